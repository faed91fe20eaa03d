"""Dropping the rows that the clock removed: some with one change a second, each with its event in the audit trail."""

from __future__ import annotations

from typing import Final

from adjoin.odata.values import TICKS_PER_SECOND
from adjoin.service.audit import Recorder
from adjoin.store import changes, deliveries, rows
from adjoin.store.columns import Stored, Table
from adjoin.store.database import Session

# So that no change waits for a large clean-up.
_AT_ONCE: Final = 64

SKEW: Final = 60 * TICKS_PER_SECOND
"""How far the clocks of two nodes may be apart before one is taken for wrong."""


async def drop(
    session: Session, table: Table, tenant: int, now: int, recorder: Recorder | None, key: str | None = None
) -> None:
    """Drop some rows of a tenant if it is time, or the one with this key. `now` is in ticks."""
    if key is None and recorder is not None and not recorder.turns.take((table.name, tenant), recorder.now):
        return
    dropped = await rows.drop_removed(session, table, tenant, now, _AT_ONCE, key)
    if dropped:
        told = await _told(session, tenant, now)
        logged = [told is not None and (removed, each.row[table.key_at]) <= told for each, removed in dropped]
        await _record(session, table, tenant, recorder, [each for each, _ in dropped], logged)


async def drop_more(session: Session, table: Table, tenant: int, now: int, recorder: Recorder | None) -> bool:
    """Drop some rows of a tenant that nobody follows, and put each into the log; whether there may be more."""
    dropped = await rows.drop_removed(session, table, tenant, now, _AT_ONCE)
    await _record(session, table, tenant, recorder, [each for each, _ in dropped], [False] * len(dropped))
    return len(dropped) == _AT_ONCE


async def _told(session: Session, tenant: int, now: int) -> tuple[int, str] | None:
    """Up to which moment and key the log is sure to have what the clock removed; None: up to none.

    It has that where somebody has to be told, by a clock that has not been set back: what a clock removed, and gave
    back when it was set back, is in the log of a time before it is removed again, where no later link finds it.
    """
    if not await deliveries.number(session, tenant):
        return None
    told = await changes.told_until(session, tenant)
    return None if told is None or told[0] > now + SKEW else told


async def _record(
    session: Session, table: Table, tenant: int, recorder: Recorder | None, dropped: list[Stored], logged: list[bool]
) -> None:
    if recorder is None:
        return
    for each, known in zip(dropped, logged, strict=True):
        by_service = recorder.of_service(logs=not known)
        await by_service.change(session, tenant, table.type, "Delete", each.row, None)
