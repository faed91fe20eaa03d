"""The log of what happened to a tenant's connectors: one row a change, numbered in the order in which it is committed.

What the clock alone does is not in it until somebody has to be told; it is found by the index on silence instead. Times
are ticks.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import Final, NamedTuple

from adjoin.odata.values import TICKS_PER_SECOND
from adjoin.store.columns import Table
from adjoin.store.database import Insertion, Numbers, Session

KEPT: Final = 8 * 86_400 * TICKS_PER_SECOND
"""How long a change stays in the log: links are good for seven days (graph-contract 3.11), and a day is to spare."""

LOOKED_AT: Final = 4_096
"""So many changes are looked at for one page at most."""

_DROPPED_AT_ONCE: Final = 4_096


_CHANGE: Final = Insertion(
    "INSERT INTO changes (tenant, sequence, entity, kind, ticks)", 5, Numbers("change_counters", "last")
)


class Kind(IntEnum):
    """What happened."""

    CREATED = 1
    UPDATED = 2
    DELETED = 3


class Change(NamedTuple):
    """A change of the entity with this key, and when it came into the log."""

    sequence: int
    entity: str
    kind: Kind
    ticks: int


class Counter(NamedTuple):
    """The number of the last change, and of the last one that is no longer kept."""

    last: int
    dropped: int


class Silent(NamedTuple):
    """Since when an entity has been silent, and its key; in this order, telling where a list of them goes on."""

    since: int
    key: str


def append(session: Session, tenant: int, entity: str, kind: Kind, ticks: int) -> None:
    """Add a change. Its number is the next: they grow in the order of commits; who has seen one has seen all before."""
    session.insert(_CHANGE, (tenant, None, entity, int(kind), ticks))


async def drop_old(session: Session, tenant: int, now: int) -> None:
    """Drop some changes that are older than any link is good for; more at once than come from one turn to the next."""
    before = now - KEPT
    oldest = await session.fetch("SELECT ticks FROM changes WHERE tenant = ?1 ORDER BY sequence LIMIT 1", (tenant,))
    if not oldest or oldest[0][0] >= before:
        return
    sql = (
        "DELETE FROM changes WHERE tenant = ?1 AND ticks < ?2 AND sequence IN "
        "(SELECT sequence FROM changes WHERE tenant = ?1 ORDER BY sequence LIMIT ?3) RETURNING sequence"
    )
    gone = await session.fetch(sql, (tenant, before, _DROPPED_AT_ONCE))
    if gone:
        sql = "UPDATE change_counters SET dropped = ?2 WHERE tenant = ?1"
        await session.fetch(sql, (tenant, max(sequence for (sequence,) in gone)))


async def counter(session: Session, tenant: int) -> Counter:
    """How far the log has come."""
    found = await session.fetch("SELECT last, dropped FROM change_counters WHERE tenant = ?1", (tenant,))
    return Counter(*found[0]) if found else Counter(0, 0)


async def dated(session: Session, tenant: int, sequence: int) -> int | None:
    """When the change with this number came into the log; None: it is not there (any more)."""
    sql = "SELECT ticks FROM changes WHERE tenant = ?1 AND sequence = ?2"
    found = await session.fetch(sql, (tenant, sequence))
    return int(found[0][0]) if found else None


async def after(session: Session, tenant: int, sequence: int, until: int, limit: int) -> list[Change]:
    """The first changes behind one, up to and with another."""
    sql = (
        "SELECT sequence, entity, kind, ticks FROM changes WHERE tenant = ?1 AND sequence > ?2 AND sequence <= ?3 "
        "ORDER BY sequence LIMIT ?4"
    )
    found = await session.fetch(sql, (tenant, sequence, until, limit))
    return [Change(number, entity, Kind(kind), ticks) for number, entity, kind, ticks in found]


class Entities(NamedTuple):
    """Keys of entities, each once, and the change up to which these are all; None: there are no others."""

    keys: list[str]
    up_to: int | None


async def entities_after(session: Session, tenant: int, sequence: int, until: int, limit: int) -> Entities:
    """The first entities with changes behind one, up to and with another, in the order of the first change of each.

    However often they changed, a bounded number of changes is looked at.
    """
    sql = (
        "SELECT entity, min(sequence), count(*), max(sequence) FROM (SELECT entity, sequence FROM changes "
        "WHERE tenant = ?1 AND sequence > ?2 AND sequence <= ?3 ORDER BY sequence LIMIT ?4) looked_at "
        "GROUP BY entity ORDER BY 2"
    )
    found = await session.fetch(sql, (tenant, sequence, until, LOOKED_AT))
    keys = [str(entity) for entity, *_ in found[:limit]]
    if len(found) > limit:
        return Entities(keys, int(found[limit][1]) - 1)
    if sum(each[2] for each in found) == LOOKED_AT:
        return Entities(keys, max(int(each[3]) for each in found))
    return Entities(keys, None)


async def silent(
    session: Session, table: Table, tenant: int, behind: Silent, until: int, limit: int
) -> Sequence[Silent]:
    """The first entities whose silence began behind this place, until that time, in the order of their silence."""
    if table.silence is None:
        return ()
    column = table.silence.column
    sql = (
        f"SELECT {column}, {table.key} FROM {table.name} WHERE tenant = ?1 AND {column} <= ?2 "
        f"AND {column} >= ?3 AND ({column} > ?3 OR {table.key} > ?4) ORDER BY {column}, {table.key} LIMIT ?5"
    )
    found = await session.fetch(sql, (tenant, until, behind.since, behind.key, limit))
    return [Silent(*each) for each in found]


# --- what the clock does, for those who have to be told


class Turn(NamedTuple):
    """A moment at which the clock alone makes an entity another, the entity's key, and what happens to it."""

    ticks: int
    key: str
    kind: Kind


async def turns(
    session: Session, table: Table, tenant: int, behind: tuple[int, str], until: int, limit: int
) -> list[Turn]:
    """The first turns behind a moment and key, until that time, in their order."""
    found: list[Turn] = []
    for end, kind in _ends(table):
        place = Silent(behind[0] - end, behind[1])
        silent_ones = await silent(session, table, tenant, place, until - end, limit)
        found += [Turn(each.since + end, each.key, kind) for each in silent_ones]
    return sorted(found)[:limit]


async def next_turn(session: Session, table: Table, tenant: int, now: int) -> int:
    """When the clock makes an entity another next: no later than what is heard from now on can be another."""
    ends = _ends(table)
    times = [now + ends[0][0]]
    column = table.silence.column if table.silence else ""
    for end, _ in ends:
        sql = f"SELECT {column} FROM {table.name} WHERE tenant = ?1 AND {column} > ?2 ORDER BY {column} LIMIT 1"
        times += [since + end for (since,) in await session.fetch(sql, (tenant, now - end))]
    return min(times)


def _ends(table: Table) -> list[tuple[int, Kind]]:
    if table.silence is None:
        raise LookupError(f"the clock changes no {table.name}")
    return [*((after, Kind.UPDATED) for after, _ in table.silence.steps), (table.silence.removed_after, Kind.DELETED)]


async def told_until(session: Session, tenant: int) -> tuple[int, str] | None:
    """Up to which moment and key the log has what the clock did; None: nobody had to be told."""
    found = await session.fetch("SELECT clock, clock_key FROM change_counters WHERE tenant = ?1", (tenant,))
    return None if not found or found[0][0] is None else (int(found[0][0]), str(found[0][1]))


async def tell_until(session: Session, tenant: int, ticks: int, key: str) -> None:
    """Set that moment and key."""
    sql = (
        "INSERT INTO change_counters (tenant, clock, clock_key) VALUES (?1, ?2, ?3) "
        "ON CONFLICT (tenant) DO UPDATE SET clock = excluded.clock, clock_key = excluded.clock_key"
    )
    await session.fetch(sql, (tenant, ticks, key))
