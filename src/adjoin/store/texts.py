"""Asking the text index, and switching it, whichever database keeps it.

PostgreSQL's part is imported only where it is used.
"""

from __future__ import annotations

from collections.abc import Callable

from adjoin.odata.bound import Bound
from adjoin.store import texts_sqlite
from adjoin.store.columns import Table
from adjoin.store.database import Database, Session
from adjoin.store.grams import sought
from adjoin.store.rows import Among
from adjoin.store.text_index import NAMES, OF, OFF, ON, Kept, Status, state


async def among(database: Database, table: Table, tenant: int, where: Bound | None, limit: int | None) -> Among | None:
    """What narrows the rows of a condition to few by the index; None: it is off, or cannot, or reading on is cheaper.

    `limit` is how many rows are wanted, None where all have to be counted.
    """
    if table is not OF or (asked := sought(where, NAMES)) is None:
        return None
    return await _kept(database.scanner).among(database, tenant, asked, limit)


async def status(session: Session) -> Status:
    """How the index is."""
    now = await state(session)
    return Status(OFF, 0, 0) if now == OFF else await _kept(session).status(session, now)


async def sound(session: Session) -> bool:
    """Whether the index, if there is one, leads to some rows that it has, from all over it."""
    return await state(session) == OFF or await _kept(session).sound(session)


async def switch_on(database: Database, told: Callable[[int], None] = lambda _: None) -> None:
    """Make the index and fill it, in many short transactions, between which others write; or go on where that ended.

    `told` hears how many rows have been taken up. Raises Unusable where the database has no such index.
    """
    if await state(database.reader) != ON:
        await _kept(database.reader).switch_on(database, told)


async def switch_off(database: Database) -> None:
    """Drop the index, if there is one. Raises Unusable where that cannot be done now."""
    await _kept(database.reader).switch_off(database)


def _kept(session: Session) -> Kept:
    if session.embedded:
        return texts_sqlite.KEPT
    from adjoin.store import texts_postgres  # noqa: PLC0415 - it takes time that SQLite's users need not spend

    return texts_postgres.KEPT
