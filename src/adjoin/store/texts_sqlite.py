"""The text index of the embedded database: what it is made of, and who keeps it up to date.

Triggers keep the text of each row in a plain table, whoever writes; there it waits until the writer puts it into the
index of grams (FTS5), with many others, in the transaction of a commit that comes soon. Readers look at what waits as
well, so the index is never behind.

The rows' numbers begin with their tenant's, so what one tenant asks never looks at what another has.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import isqrt
from typing import Final

import apsw

from adjoin.store import text_index
from adjoin.store.database import Database, Session, Unavailable, Unusable
from adjoin.store.grams import LENGTH, Joined, fts5
from adjoin.store.rows import Among
from adjoin.store.statements import Everywhere
from adjoin.store.text_index import BUILDING, COLUMNS, OF, OFF, ON, Kept, Last, Status, set_state, state
from adjoin.store.where import Parameters

_TEXTS: Final = "connector_texts"
_GRAMS: Final = "connector_grams"
_BITS: Final = 40  # of a number, below those of the tenant
_AT_ONCE: Final = 2_000
_WORTH_IT: Final = 64
_PAUSE: Final = 1_000  # commits, before what failed is tried again

WAITS, IS_IN, GOES = 1, 0, 2
"""The steps of a text: it waits to be put into the index, is in it, waits to be taken out."""


# --- asking it


async def among(database: Database, tenant: int, sought: Joined, limit: int | None) -> Among | None:
    """As `texts.among`, of what is sought."""
    if await state(database.reader) != ON:
        return None
    asked, most = fts5(sought), text_index.MOST_FOUND
    first, last = tenant << _BITS, ((tenant + 1) << _BITS) - 1
    if limit is not None:
        # As many as it costs as much to look up as to read on in order until there are enough.
        ((every,),) = await database.reader.fetch(_EVERY, (tenant,))
        most = min(most, isqrt(int(max(limit, 100) * every / text_index.ROWS_FOR_ONE)))
    try:
        ((found, waiting),) = await database.scanner.fetch(
            _FOUND, (tenant, asked, first, last, most + 1, text_index.MOST_FOUND)
        )
    except Unavailable:
        return None  # switched off just now, or damaged: without it all is found, too
    if found > most or found + waiting > text_index.MOST_FOUND:
        return None

    def write(parameters: Parameters) -> str:
        places = [parameters.add(each) for each in (asked, first, last)]
        return f"{OF.key} IN ({_LEADS_TO.format(*places)})"

    return write


_FOUND: Final = (
    f"SELECT (SELECT count(*) FROM (SELECT rowid FROM {_GRAMS} WHERE {_GRAMS} MATCH ?2 AND rowid BETWEEN ?3 AND ?4 "
    f"LIMIT ?5)), (SELECT count(*) FROM (SELECT 1 FROM {_TEXTS} WHERE tenant = ?1 AND step <> {IS_IN} LIMIT ?6 + 1))"
)
_EVERY: Final = f"SELECT COALESCE(sum(number), 0) FROM {OF.counts} WHERE tenant = ?1"
_LEADS_TO: Final = (
    f"SELECT texts.id FROM (SELECT rowid AS n FROM {_GRAMS} WHERE {_GRAMS} MATCH {{}} AND rowid BETWEEN {{}} AND {{}}) "
    f"CROSS JOIN {_TEXTS} AS texts ON texts.number = n "
    f"UNION ALL SELECT id FROM {_TEXTS} WHERE tenant = ?1 AND step <> {IS_IN}"
)


async def status(session: Session, now: bytes) -> Status:
    """How the index is, whose state is known."""
    sql = f"SELECT (SELECT count(*) FROM {_TEXTS}), (SELECT count(*) FROM {_TEXTS} WHERE step <> {IS_IN})"
    ((every, waiting),) = await session.fetch(Everywhere(sql))
    return Status(now, every - waiting, waiting)


async def sound(session: Session) -> bool:
    """Whether the index leads to some rows that it has, from all over it."""
    try:
        ((missed,),) = await session.fetch(Everywhere(_MISSED))
    except Unavailable:
        return False
    return not missed


_MISSED: Final = (
    f"SELECT count(*) FROM {_TEXTS} AS texts WHERE step = {IS_IN} AND length(text) >= {LENGTH} "
    f"AND number % (SELECT 1 + count(*) / 1000 FROM {_TEXTS}) = 0 AND NOT EXISTS (SELECT 1 FROM {_GRAMS} "
    f"WHERE {_GRAMS} MATCH '\"' || replace(substr(texts.text, 1, {LENGTH}), '\"', '\"\"') || '\"' "
    "AND rowid = texts.number)"
)


# --- switching it


async def switch_on(database: Database, told: Callable[[int], None]) -> None:
    """As `texts.switch_on`. Raises Unusable where this SQLite has no such index."""
    await database.write(_begin)
    await text_index.take_up(database, _take_up, told)
    await database.write(lambda session: set_state(session, ON))


async def switch_off(database: Database) -> None:
    """Drop the index, if there is one."""

    async def act(session: Session) -> None:
        for statement in _DROPPING:
            await session.fetch(Everywhere(statement))
        await set_state(session, OFF)

    await database.write(act)


async def _begin(session: Session) -> None:
    if await state(session) != OFF:
        return
    try:
        for statement in _MAKING:
            await session.fetch(Everywhere(statement))
    except Unavailable as error:
        raise Unusable(
            f"SQLite {apsw.sqlite_lib_version()}, which is used here, cannot keep a text index; it takes 3.34 or "
            f"newer, with FTS5. {error.message}"
        ) from None
    await set_state(session, BUILDING)


async def _take_up(after: Last, session: Session) -> tuple[Last, int]:
    found = await session.fetch(Everywhere(_NEXT), (*after, text_index.AT_ONCE))
    if not found:
        return after, 0
    last: Last = found[-1]
    await session.fetch(Everywhere(_TAKE_UP), (*after, *last))
    return last, len(found)


def _text(row: str) -> str:
    return text_index.text(row, "char(31)")


def _added(row: str) -> str:
    first = f"({row}.tenant << {_BITS})"
    last = f"(SELECT max(number) FROM {_TEXTS} WHERE number BETWEEN {first} AND {first} + {2**_BITS - 1})"
    return (
        f"INSERT INTO {_TEXTS} (number, tenant, id, text, step) "
        f"VALUES (COALESCE({last}, {first}) + 1, {row}.tenant, {row}.{OF.key}, {_text(row)}, {WAITS})"
    )


_HAS: Final = f"tenant = OLD.tenant AND id = OLD.{OF.key} AND step < {GOES}"
_TAKEN: Final = f"DELETE FROM {_TEXTS} WHERE {_HAS} AND step = {WAITS}; UPDATE {_TEXTS} SET step = {GOES} WHERE {_HAS}"
_CHANGES: Final = ", ".join(COLUMNS)

# A row that waits to be taken out may have a successor already. Grams are kept without their places in the text: that
# takes a fifth of the room, and the texts themselves are looked at anyway.
_MAKING: Final[Sequence[str]] = f"""
CREATE TABLE {_TEXTS}
    (number INTEGER PRIMARY KEY, tenant INTEGER NOT NULL, id TEXT NOT NULL, text TEXT NOT NULL, step INTEGER NOT NULL)
    STRICT
;;
CREATE UNIQUE INDEX {_TEXTS}_by_id ON {_TEXTS} (tenant, id) WHERE step < {GOES}
;;
CREATE INDEX {_TEXTS}_waiting ON {_TEXTS} (tenant, number) WHERE step <> {IS_IN}
;;
CREATE VIRTUAL TABLE {_GRAMS}
    USING fts5(text, content='', tokenize='trigram case_sensitive 1', detail=none, columnsize=0)
;;
CREATE TRIGGER {_TEXTS}_insert AFTER INSERT ON {OF.name} BEGIN {_added("NEW")}; END
;;
CREATE TRIGGER {_TEXTS}_delete AFTER DELETE ON {OF.name} BEGIN {_TAKEN}; END
;;
CREATE TRIGGER {_TEXTS}_update AFTER UPDATE OF {_CHANGES} ON {OF.name}
    WHEN {_text("NEW")} <> {_text("OLD")} BEGIN {_TAKEN}; {_added("NEW")}; END
""".split(";;")
_DROPPING: Final = (
    *(f"DROP TRIGGER IF EXISTS {_TEXTS}_{each}" for each in ("insert", "delete", "update")),
    f"DROP TABLE IF EXISTS {_GRAMS}",
    f"DROP TABLE IF EXISTS {_TEXTS}",
)
_NEXT: Final = (
    f"SELECT tenant, {OF.key} FROM {OF.name} WHERE (tenant, {OF.key}) > (?1, ?2) ORDER BY tenant, {OF.key} LIMIT ?3"
)
_TAKE_UP: Final = f"""
INSERT INTO {_TEXTS} (number, tenant, id, text, step)
SELECT
    (SELECT COALESCE(max(number), rows.tenant << {_BITS}) FROM {_TEXTS}
        WHERE number BETWEEN rows.tenant << {_BITS} AND (rows.tenant << {_BITS}) + {2**_BITS - 1})
    + row_number() OVER (PARTITION BY rows.tenant ORDER BY rows.{OF.key}),
    rows.tenant, rows.{OF.key}, {_text("rows")}, {WAITS}
FROM {OF.name} AS rows
WHERE (rows.tenant, rows.{OF.key}) > (?1, ?2) AND (rows.tenant, rows.{OF.key}) <= (?3, ?4)
AND NOT EXISTS (SELECT 1 FROM {_TEXTS} AS texts
    WHERE texts.tenant = rows.tenant AND texts.id = rows.{OF.key} AND texts.step < {GOES})
"""


KEPT: Final = Kept(among, status, sound, switch_on, switch_off)


# --- keeping it up to date


class Waiting:
    """The texts that wait, as the writing connection sees them within its transaction."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self._schema: int | None = None
        self._there = False
        self._pause = 0

    def put_in(self) -> None:
        """Put what waits into the index, if there is one and it is worth it.

        An index that does not take it keeps nobody from writing: what waits is found all the same, if more slowly.
        """
        if self._pause:
            self._pause -= 1
            return
        schema = self._connection.execute("PRAGMA schema_version").get
        if schema != self._schema:
            found = self._connection.execute("SELECT 1 FROM sqlite_schema WHERE name = ?1", (_GRAMS,)).get
            self._schema, self._there = schema, found is not None
        if not self._there:
            return
        last = self._connection.execute(_WAITING, (_AT_ONCE, _WORTH_IT)).get
        if last is None:
            return
        self._connection.execute("SAVEPOINT texts")
        try:
            for statement in _PUTTING_IN:
                self._connection.execute(statement, (last,))
            # Here, and not at the end of the transaction, the index writes what it has gathered.
            self._connection.execute("RELEASE texts")
        except apsw.Error:
            self._pause = _PAUSE
            if not self._connection.in_transaction:
                raise  # as after some errors: those whose transaction it was are told, or tried once more
            self._connection.execute("ROLLBACK TO texts")
            self._connection.execute("RELEASE texts")


_WAITING: Final = (
    f"SELECT CASE WHEN count(*) >= ?2 THEN max(number) END FROM (SELECT number FROM {_TEXTS} WHERE step <> {IS_IN} "
    "ORDER BY tenant, number LIMIT ?1)"
)
_SOME: Final = f"FROM {_TEXTS} WHERE step <> {IS_IN} AND number <= ?1 AND step"
_PUTTING_IN: Final = (
    f"INSERT INTO {_GRAMS} ({_GRAMS}, rowid, text) SELECT 'delete', number, text {_SOME} = {GOES} ORDER BY 2",
    f"DELETE {_SOME} = {GOES}",
    f"INSERT INTO {_GRAMS} (rowid, text) SELECT number, text {_SOME} = {WAITS} ORDER BY 1",
    f"UPDATE {_TEXTS} SET step = {IS_IN} WHERE step <> {IS_IN} AND number <= ?1 AND step = {WAITS}",
)
