"""Counts that need not look at each row: those that the database keeps by value, put right by what the clock changed.

Triggers keep them, whoever writes. On PostgreSQL each connection that writes keeps a part of its own, by the number of
its process, so that none waits for another; SQLite has one writer, whose number is 0.

What is kept is true of rows in which nobody has been silent; the others stand together in the index on silence, and
are counted there.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Final

from adjoin.odata.bound import Bound, Constant, Field, Operation
from adjoin.store.columns import Table
from adjoin.store.database import Session
from adjoin.store.silence import Silence
from adjoin.store.statements import Everywhere
from adjoin.store.tables import CONNECTORS
from adjoin.store.where import Parameters

_LOCK: Final = 0x61646A63  # "adjc"

TAKE_OVER: Final = Everywhere(
    f"WITH ended AS (DELETE FROM {CONNECTORS.counts} WHERE writer <> 0 "
    f"AND (SELECT pg_try_advisory_xact_lock({_LOCK})) "
    "AND writer NOT IN (SELECT pid FROM pg_stat_activity WHERE pid IS NOT NULL) RETURNING tenant, state, number) "
    f"INSERT INTO {CONNECTORS.counts} (tenant, state, writer, number) "
    "SELECT tenant, state, 0, sum(number) FROM ended GROUP BY tenant, state "
    f"ON CONFLICT (tenant, state, writer) DO UPDATE SET number = {CONNECTORS.counts}.number + excluded.number"
)
"""PostgreSQL: adds the parts of connections that have ended to those that belong to nobody, unless another does so."""


def by_counts(table: Table, tenant: int, where: Bound | None, now: int) -> tuple[str, list[object]] | None:
    """The statement that gives a count from what is kept, and its parameters; None where that does not tell it."""
    silence = table.silence
    if table.counts is None or silence is None:
        return None
    parameters = Parameters(tenant, table=table, now=now)
    kept, silent = f"SELECT sum(number) FROM {table.counts}", f"SELECT count(*) FROM {table.name}"
    if where is None:
        terms = [f"- ({silent} WHERE tenant = ?1 AND {silence.removed(now, parameters.add)})"]
        mine = ""
    elif (value := value_sought(silence, where)) is not None:
        place = parameters.add(value)
        mine = f" AND {silence.property} = {place}"
        first = parameters.add(now - silence.steps[0][0])
        terms = [f"- ({silent} WHERE tenant = ?1 AND {silence.column} <= {first} AND +{silence.property} = {place})"]
        ends = (*silence.steps, (silence.removed_after, None))
        terms += [
            f"+ ({silent} WHERE tenant = ?1 AND {silence.column} > {parameters.add(now - until)} "
            f"AND {silence.column} <= {parameters.add(now - after)})"
            for (after, held), (until, _) in pairwise(ends)
            if held == value
        ]
    else:
        return None
    return f"SELECT COALESCE(({kept} WHERE tenant = ?1{mine}), 0) {' '.join(terms)}", parameters.values


def value_sought(silence: Silence, where: Bound) -> int | None:
    """The one value of what the clock changes that a condition asks for."""
    if not isinstance(where, Operation) or where.name != "eq":
        return None
    left, right = where.operands
    if isinstance(left, Constant):
        left, right = right, left
    if isinstance(left, Field) and left.declared.name == silence.property and isinstance(right, Constant):
        return right.value if isinstance(right.value, int) else None
    return None


_BY_ROWS: Final = f"SELECT tenant, state, count(*) AS number FROM {CONNECTORS.name} GROUP BY tenant, state"
_WRONG: Final = Everywhere(
    f"SELECT count(*) FROM ({_BY_ROWS}) AS held FULL JOIN "
    f"(SELECT tenant, state, sum(number) AS number FROM {CONNECTORS.counts} GROUP BY tenant, state) AS kept "
    "ON kept.tenant = held.tenant AND kept.state = held.state "
    "WHERE COALESCE(kept.number, 0) <> COALESCE(held.number, 0)"
)


async def wrong(session: Session) -> int:
    """How many of all that are kept are not those of the rows. Looks at every row."""
    ((number,),) = await session.fetch(_WRONG)
    return int(number)


async def recount(session: Session) -> None:
    """Make all that are kept anew, in a transaction; whoever writes waits for its end."""
    if not session.embedded:
        # Statements that only add rows take no other lock.
        await session.fetch(Everywhere(f"LOCK TABLE {CONNECTORS.name} IN SHARE ROW EXCLUSIVE MODE"))
    await session.fetch(Everywhere(f"DELETE FROM {CONNECTORS.counts}"))
    await session.fetch(Everywhere(f"INSERT INTO {CONNECTORS.counts} (tenant, state, number) {_BY_ROWS}"))
