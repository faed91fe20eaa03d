"""Dropping the rows that the clock removed: some with each later change, each with its event in the audit trail."""

from __future__ import annotations

from typing import Final

from adjoin.odata.values import TICKS_PER_SECOND
from adjoin.service.audit import Recorder
from adjoin.service.turns import Turns
from adjoin.store import rows
from adjoin.store.columns import Table
from adjoin.store.database import Session

# So that no change waits for a large clean-up.
_AT_ONCE: Final = 64


async def drop_some(
    session: Session, table: Table, tenant: int, now: int, recorder: Recorder | None, turns: Turns
) -> None:
    """Drop some rows of a tenant if it is time for that. `now` is in ticks."""
    if turns.take((table.name, tenant), now / TICKS_PER_SECOND):
        await drop(session, table, tenant, now, recorder)


async def drop(
    session: Session, table: Table, tenant: int, now: int, recorder: Recorder | None, key: str | None = None
) -> None:
    """Drop some rows of a tenant, or the one with this key. `now` is in ticks."""
    dropped = await rows.drop_removed(session, table, tenant, now, _AT_ONCE, key)
    if recorder is not None:
        for each in dropped:
            await recorder.of_service().change(session, tenant, table.type, "Delete", each.row, None)
