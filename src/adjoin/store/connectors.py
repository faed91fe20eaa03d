"""What enrolled connectors leave in the database: their check-ins in their row, and the keys they prove themselves by.

A connector that the clock removed is as if it were not there; so are its keys. Times named `now` are in ticks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from typing import Any, Final

import msgspec

from adjoin.odata.values import Instant, fold
from adjoin.store import silence
from adjoin.store.columns import Stored, Wire
from adjoin.store.database import Session
from adjoin.store.statements import power_of_two
from adjoin.store.tables import CONNECTORS
from adjoin.store.where import Parameters

_OWN: Final = "instance, sequence, doubled, report, domain, enrolled"
_NAME: Final = CONNECTORS.name
_AT: Final = {each.name: at for at, each in enumerate(CONNECTORS.type.properties)}
# So long a connector shows the state that is kept.
_FRESH: Final = silence.CONNECTORS.steps[0][0]


@dataclass(frozen=True, slots=True)
class Connector:
    """A connector as administrators see it, and what the service keeps of it beside.

    `instance` and `sequence` are of the last check-in, `doubled` is set where its key was used from two places,
    `report` is JSON, `enrolled` is when it was; None: an administrator made the entry, and no connector stands behind.
    """

    shown: Stored
    instance: str | None
    sequence: int
    doubled: bool
    report: str | None
    domain: str | None
    enrolled: str | None

    def __getitem__(self, name: str) -> Wire:
        """A property by its declared name."""
        return self.shown.row[_AT[name]]


@dataclass(frozen=True, slots=True)
class Key:
    """A public key as DER by its thumbprint; `confirmed` once it was used, `expires` in Unix seconds."""

    thumbprint: str
    public_key: bytes
    confirmed: bool
    expires: int
    created: str


async def find(session: Session, tenant: int, connector: str, now: int) -> Connector | None:
    """The connector with this id."""
    found = await _select(session, tenant, now, "id = ?2", (connector,))
    return found[0] if found else None


async def every(session: Session, tenant: int, now: int, after: str = "", most: int = 1_000) -> list[Connector]:
    """At most so many connectors in the order of their ids, behind one."""
    return await _select(session, tenant, now, "id > ?2 ORDER BY id LIMIT ?3", (after, most))


async def _select(session: Session, tenant: int, now: int, where: str, more: tuple[object, ...]) -> list[Connector]:
    parameters = Parameters(tenant, *more, table=CONNECTORS, now=now)
    there = parameters.silence.there(now, parameters.add) if parameters.silence else "TRUE"
    sql = f"SELECT {_OWN}, {CONNECTORS.selected}, row_version FROM {_NAME} WHERE tenant = ?1 AND {there} AND {where}"
    return [_connector(each, now) for each in await session.fetch(sql, parameters.values)]


def _connector(fetched: tuple[Any, ...], now: int) -> Connector:
    instance, sequence, doubled, report, domain, enrolled, *rest = fetched
    return Connector(CONNECTORS.stored(rest, now), instance, sequence, bool(doubled), report, domain, enrolled)


async def enrol(session: Session, tenant: int, connector: str, domain: str | None, at: Instant, enrolled: str) -> None:
    """Make an entry, just inserted, that of a connector which was heard now."""
    sql = f"UPDATE {_NAME} SET silent_since = ?3, domain = ?4, enrolled = ?5 WHERE tenant = ?1 AND id = ?2"
    await session.fetch(sql, (tenant, connector, at.ticks, domain, enrolled))


class Heard(msgspec.Struct, frozen=True):
    """What a check-in leaves: the state by its number, the version, by which instance, and its report (JSON)."""

    connector: str
    state: int
    version: str
    instance: str
    sequence: int
    report: str


async def irregular(session: Session, tenant: int, now: int, heard: Sequence[Heard]) -> set[str]:
    """The connectors whose check-in moves more than the time, or is not to be taken as it is.

    The others were heard lately, are kept with the state and the version that they report, and go on counting as
    `service.connectors.turn` wants it: one rule written twice, and a test holds the two equal. Each is named once.
    """
    sql = _irregular_text(power_of_two(len(heard)))
    rows = ((each.connector, each.instance, each.sequence, each.version, each.state) for each in _filled(heard))
    found = await session.fetch(sql, (tenant, now - _FRESH, *chain.from_iterable(rows)))
    return {connector for (connector,) in found}


async def hear_all(session: Session, tenant: int, at: Instant, heard: Sequence[Heard]) -> None:
    """Keep check-ins that `irregular` did not name, in one statement that leaves the indexes of all but time alone."""
    sql = _hear_all_text(power_of_two(len(heard)))
    rows = ((each.connector, each.instance, each.sequence, each.report) for each in _filled(heard))
    await session.fetch(sql, (tenant, str(at), at.ticks, *chain.from_iterable(rows)))


@lru_cache(maxsize=16)
def _irregular_text(rows: int) -> str:
    return (
        f"SELECT heard.column1 FROM ({_values(rows, 5, behind=2)}) AS heard WHERE NOT EXISTS ("
        f"SELECT 1 FROM {_NAME} AS held WHERE held.tenant = ?1 AND held.id = heard.column1 "
        "AND held.enrolled IS NOT NULL AND held.doubled = 0 AND +held.silent_since > ?2 "
        "AND held.version = heard.column4 AND held.state = heard.column5 AND (held.instance IS NULL "
        "OR (held.instance <> heard.column2 AND heard.column3 = 1) "
        "OR (held.instance = heard.column2 AND held.sequence < heard.column3)))"
    )


@lru_cache(maxsize=16)
def _hear_all_text(rows: int) -> str:
    return (
        f"UPDATE {_NAME} SET last_connection_date_time = ?2, last_connection_date_time_ticks = ?3, silent_since = ?3, "
        "instance = heard.column2, sequence = heard.column3, report = heard.column4, row_version = row_version + 1 "
        f"FROM ({_values(rows, 4, behind=3)}) AS heard WHERE tenant = ?1 AND id = heard.column1"
    )


def _values(rows: int, width: int, behind: int) -> str:
    """So many rows of parameters, behind some others; both databases call their columns column1, column2, ..."""
    firsts = range(behind + 1, behind + 1 + rows * width, width)
    places = (", ".join(f"?{number}" for number in range(first, first + width)) for first in firsts)
    return f"VALUES {', '.join(f'({each})' for each in places)}"


def _filled(heard: Sequence[Heard]) -> Sequence[Heard]:
    """The same up to the next power of two: what is found or changed twice by the same values is so once."""
    return [*heard, *[heard[-1]] * (power_of_two(len(heard)) - len(heard))]


async def hear(session: Session, tenant: int, at: Instant, before: Connector, heard: Heard) -> None:
    """Keep a check-in of any kind."""
    parameters: list[object] = [tenant, before["id"], str(at), at.ticks]
    parameters += [heard.instance, heard.sequence, heard.report, heard.state]
    version = ""
    if before["version"] != heard.version:
        parameters += [heard.version, fold(heard.version)]
        version = "version = ?9, version_folded = ?10, "
    sql = (
        f"UPDATE {_NAME} SET last_connection_date_time = ?3, last_connection_date_time_ticks = ?4, silent_since = ?4, "
        f"instance = ?5, sequence = ?6, report = ?7, state = ?8, {version}row_version = row_version + 1 "
        "WHERE tenant = ?1 AND id = ?2"
    )
    await session.fetch(sql, parameters)


async def mark_doubled(session: Session, tenant: int, connector: str, state: int, report: str) -> None:
    """Note that a connector's key is used from two places; it stays so until an administrator writes its state."""
    sql = (
        f"UPDATE {_NAME} SET doubled = 1, state = ?3, report = ?4, row_version = row_version + 1 "
        "WHERE tenant = ?1 AND id = ?2"
    )
    await session.fetch(sql, (tenant, connector, state, report))


async def keys(session: Session, tenant: int, connector: str) -> list[Key]:
    """A connector's keys: one, and while it renews it two."""
    columns = "thumbprint, public_key, confirmed, expires, created"
    sql = f"SELECT {columns} FROM connector_keys WHERE tenant = ?1 AND connector = ?2"
    found = await session.fetch(sql, (tenant, connector))
    return [Key(name, bytes(der), bool(confirmed), expires, made) for name, der, confirmed, expires, made in found]


async def add_key(session: Session, tenant: int, connector: str, new: Key) -> None:
    """Add a key. One that waits to be confirmed takes the place of another that does."""
    if not new.confirmed:
        sql = "DELETE FROM connector_keys WHERE tenant = ?1 AND connector = ?2 AND confirmed = 0"
        await session.fetch(sql, (tenant, connector))
    sql = (
        "INSERT INTO connector_keys (tenant, connector, thumbprint, public_key, confirmed, expires, created) "
        "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT DO NOTHING"
    )
    values = (new.thumbprint, new.public_key, int(new.confirmed), new.expires, new.created)
    await session.fetch(sql, (tenant, connector, *values))


async def confirm_key(session: Session, tenant: int, connector: str, thumbprint: str) -> None:
    """Confirm a key that waits for it, by its use; the others end."""
    sql = (
        "UPDATE connector_keys SET confirmed = 1 WHERE tenant = ?1 AND connector = ?2 AND thumbprint = ?3 "
        "AND confirmed = 0 RETURNING thumbprint"
    )
    if await session.fetch(sql, (tenant, connector, thumbprint)):
        sql = "DELETE FROM connector_keys WHERE tenant = ?1 AND connector = ?2 AND thumbprint <> ?3"
        await session.fetch(sql, (tenant, connector, thumbprint))
