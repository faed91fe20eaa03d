"""Dropping the rows that the clock removed: some with one change a second, each with its event in the audit trail."""

from __future__ import annotations

from typing import Final

from adjoin.service.audit import Recorder
from adjoin.store import changes, rows
from adjoin.store.columns import Table
from adjoin.store.database import Session

# So that no change waits for a large clean-up.
_AT_ONCE: Final = 64


async def drop(
    session: Session, table: Table, tenant: int, now: int, recorder: Recorder | None, key: str | None = None
) -> None:
    """Drop some rows of a tenant if it is time, or the one with this key. `now` is in ticks."""
    if key is None and recorder is not None and not recorder.turns.take((table.name, tenant), recorder.now):
        return
    dropped = await rows.drop_removed(session, table, tenant, now, _AT_ONCE, key)
    if recorder is None or not dropped:
        return
    told = await changes.told_until(session, tenant)
    for each, removed in dropped:
        # Where somebody had to be told, the log of changes may have it since it happened.
        logged = told is not None and (removed, each.row[table.key_at]) <= told
        by_service = recorder.of_service(logs=not logged)
        await by_service.change(session, tenant, table.type, "Delete", each.row, None)
