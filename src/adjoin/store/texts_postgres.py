"""The text index on PostgreSQL: what it is made of, and how it keeps to the wall of tenants.

A table holds, for each row, the hashes of its text's grams, made with the tenant's number; triggers keep it, and an
index of arrays (GIN, with no extension) finds the rows that hold some. What is sought of them is part of the table's
policy: an index serves no other condition before row-level security has looked at every row, as conditions on arrays
and patterns can tell of rows in their errors. So a session sees of the table its own tenant's rows that hold what it
seeks.

Some rows are hashed a second time, with the tenant's number negated: they tell how many hold what is sought before all
of them are found.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from math import isqrt
from typing import Final
from weakref import WeakSet

import asyncpg

from adjoin.store import text_index
from adjoin.store.database import Database, Session, Unavailable, Unusable
from adjoin.store.grams import LENGTH, Joined, alternatives
from adjoin.store.link import Lacking, Link, connect
from adjoin.store.postgres import PostgreSQL
from adjoin.store.rows import Among
from adjoin.store.statements import Everywhere
from adjoin.store.text_index import BUILDING, COLUMNS, OF, OFF, ON, Kept, Last, Status, set_state, state
from adjoin.store.where import Parameters

SAMPLED: Final = 256
"""Of so many rows one is hashed twice."""
_COUNTED: Final = 16_384
"""Of so many, one is so even without grams: they tell how many rows there are."""
_MOST_LED_TO: Final = 100_000
"""More are never gathered: then the sample was misleading, and the query is given up."""

_TEXTS: Final = "connector_texts"
_BY_GRAMS: Final = f"{_TEXTS}_by_grams"
_SWITCH_LOCK: Final = 0x61646A74  # "adjt"
_LONG: Final = 24 * 3_600.0
# Milliseconds that a table which is in use is waited for, time after time. What the server does to it by itself makes
# way after a second.
_PATIENCE: Final = (*[250] * 20, *[1_500] * 3)
_SHOWN: Final = "(SELECT NULLIF(current_setting('adjoin.tenant', true), '')::integer)"
_SOUGHT: Final = "(SELECT COALESCE(NULLIF(current_setting('adjoin.sought', true), ''), '{}')::integer[])"


# --- asking it

# To look at the setting is a round trip. What is asked of the index exists only while it is on, and so says it, too.
_FOUND_ON: Final[WeakSet[Database]] = WeakSet()


async def among(database: Database, tenant: int, sought: Joined, limit: int | None) -> Among | None:
    """As `texts.among`, of what is sought."""
    if database not in _FOUND_ON:
        if await state(database.reader) != ON:
            return None
        _FOUND_ON.add(database)
    asked, most = alternatives(sought), text_index.MOST_FOUND
    try:
        ((sampled, counted),) = await database.scanner.fetch(_SAMPLE, (tenant, asked, most // SAMPLED + 1))
    except Unavailable:
        _FOUND_ON.discard(database)
        return None  # switched off meanwhile: without it all is found, too
    if limit is not None:
        # As many as it costs as much to look up as to read on in order until there are enough.
        every = max(counted, 1) * _COUNTED
        most = min(most, isqrt(int(max(limit, 100) * every / text_index.ROWS_FOR_ONE)))
    if sampled > most // SAMPLED:
        return None
    return lambda parameters: _led_to(parameters, asked)


def _led_to(parameters: Parameters, asked: tuple[str, ...]) -> str:
    found = f"{_TEXTS}_holding(?1, {parameters.add(asked)}, {_MOST_LED_TO})"
    return f'{OF.key} = ANY((SELECT {found})::text[] COLLATE "C")'


_SAMPLE: Final = (
    f"SELECT cardinality({_TEXTS}_holding(-?1, ?2, ?3)), cardinality({_TEXTS}_holding(-?1, '{{\"\"}}', {_MOST_LED_TO}))"
)


async def status(session: Session, now: bytes) -> Status:
    """How the index is, whose state is known."""
    sql = f"SELECT (SELECT count(*) FROM {_TEXTS}), (SELECT count(*) FROM {OF.name})"
    ((held, every),) = await session.fetch(Everywhere(sql))
    return Status(now, held, max(0, every - held))


async def sound(session: Session) -> bool:
    """Whether the index is whole, its triggers are at work, and it has what it should of some rows."""
    ((whole,),) = await session.fetch(Everywhere(_SOUND))
    return bool(whole)


_ROW_GRAMS: Final = f"{_TEXTS}_grams(%s.tenant, {text_index.text('%s', 'chr(31)')}, %s.{OF.key})"


def _grams_of(row: str) -> str:
    return _ROW_GRAMS.replace("%s", row)


_VALID: Final = (
    f"COALESCE((SELECT indisvalid AND indisready FROM pg_index WHERE indexrelid = to_regclass('{_BY_GRAMS}')), FALSE)"
)
_SOUND: Final = (
    f"SELECT {_VALID} AND (SELECT count(*) = 3 FROM pg_trigger WHERE tgrelid = '{OF.name}'::regclass "
    f"AND tgname LIKE '{_TEXTS}\\_%' AND tgenabled <> 'D') AND NOT EXISTS (SELECT FROM {OF.name} AS rows "
    f"LEFT JOIN {_TEXTS} AS texts ON texts.tenant = rows.tenant AND texts.id = rows.{OF.key} "
    f"WHERE hashtextextended(rows.{OF.key}, 0) & {SAMPLED - 1} = 0 "
    f"AND texts.grams IS DISTINCT FROM {_grams_of('rows')})"
)


# --- switching it


async def switch_on(database: Database, told: Callable[[int], None]) -> None:
    """As `texts.switch_on`. Raises Unusable where adjoin's role may not make it, or somebody else switches it."""
    async with _switching(database) as link:
        if await state(database.reader) == OFF:
            await _changed(database, _begin)
        await text_index.take_up(database, _take_up, told)
        await _index(link)
        await _changed(database, _end)


async def switch_off(database: Database) -> None:
    """As `texts.switch_off`."""
    async with _switching(database):
        await _changed(database, _drop)


# What another made could not be used by the role that serves, and no connector would be taken any more.
_ANOTHERS: Final = (
    f"SELECT relowner::regrole::text FROM pg_class WHERE oid = '{OF.name}'::regclass "
    "AND relowner::regrole::text <> quote_ident(current_user)"
)


@contextlib.asynccontextmanager
async def _switching(database: Database) -> AsyncIterator[Link]:
    """While this lasts, nobody else switches the index; gives a connection on which much time may be taken."""
    if not isinstance(database, PostgreSQL):
        raise TypeError("The index is not switched within a transaction.")
    link = await connect(database.url, _LONG)
    try:
        await link.run("SET lock_timeout = 0")
        if owner := await link.fetch(Everywhere(_ANOTHERS)):
            raise Unusable(f"Only the role {owner[0][0]}, which has adjoin's tables, may switch the text index.")
        if await link.fetch(Everywhere(f"SELECT 1 WHERE NOT pg_try_advisory_lock({_SWITCH_LOCK})")):
            raise Unusable("The text index is being switched by another command; wait for its end.")
        yield link
    finally:
        await link.close()


async def _changed(database: Database, act: Callable[[Session], Awaitable[None]]) -> None:
    """Change tables that are in use: who waits for one keeps all that come after waiting, so that it soon gives way."""

    async def patiently(session: Session, milliseconds: int) -> None:
        await session.fetch(Everywhere(f"SET LOCAL lock_timeout = '{milliseconds}ms'"))
        await act(session)

    for milliseconds in _PATIENCE:
        try:
            await database.write(partial(patiently, milliseconds=milliseconds))
        except Lacking as refusal:
            raise Unusable(f"The role that adjoin has may not switch the text index: {refusal.__cause__}.") from None
        except Unavailable as refusal:
            if not isinstance(refusal.__cause__, asyncpg.LockNotAvailableError):
                raise
        else:
            return
    raise Unusable("The tables of connectors are in use all the time; try again when less is being asked.")


async def _begin(session: Session) -> None:
    for statement in _MAKING:
        await session.fetch(Everywhere(statement))
    await set_state(session, BUILDING)


async def _end(session: Session) -> None:
    # Only where this function is there the index is asked, wherever that may be decided.
    await session.fetch(Everywhere(_HOLDING))
    await set_state(session, ON)


async def _drop(session: Session) -> None:
    for statement in _DROPPING:
        await session.fetch(Everywhere(statement))
    await set_state(session, OFF)


async def _take_up(after: Last, session: Session) -> tuple[Last, int]:
    ((tenant, key, taken),) = await session.fetch(Everywhere(_TAKE_UP), (*after, text_index.AT_ONCE))
    return (after, 0) if key is None else ((tenant, key), taken)


# Whoever changes or deletes rows holds the lock of those who write, which this has, too.
_TAKE_UP: Final = (
    f"WITH next AS (SELECT * FROM {OF.name} WHERE (tenant, {OF.key}) > (?1::integer, ?2) ORDER BY tenant, {OF.key} "
    f"LIMIT ?3), taken AS (INSERT INTO {_TEXTS} SELECT tenant, {OF.key}, {_grams_of('next')} FROM next "
    f"ON CONFLICT DO NOTHING), last AS (SELECT tenant, {OF.key} AS id FROM next ORDER BY 1 DESC, 2 DESC LIMIT 1) "
    "SELECT last.tenant, last.id, counted.number FROM (SELECT count(*) AS number FROM next) AS counted "
    "LEFT JOIN last ON TRUE"
)


async def _index(link: Link) -> None:
    """Make the index itself, while everything else goes on; one that was left half made is made anew."""
    await link.run(f"DO $$ BEGIN IF NOT {_VALID} THEN DROP INDEX IF EXISTS {_BY_GRAMS}; END IF; END $$")
    if await link.fetch(Everywhere(f"SELECT 1 WHERE NOT {_VALID}")):
        # New entries wait in a list that each search reads through: a long one is cheaper to make, and dearer to ask.
        await link.run(
            f"CREATE INDEX CONCURRENTLY {_BY_GRAMS} ON {_TEXTS} USING gin (grams) WITH (gin_pending_list_limit = 256)"
        )


_HASH: Final = '(hashtextextended({} COLLATE "C", {}) >> 32)::integer'
_GRAM: Final = _HASH.format(f"substr(one, n, {LENGTH})", "{}")
_UPSERT: Final = "ON CONFLICT (tenant, id) DO UPDATE SET grams = excluded.grams"
_MAKING: Final = f"""
CREATE TABLE {_TEXTS}
    (tenant integer, id text COLLATE "C", grams integer[] NOT NULL, PRIMARY KEY (tenant, id))
;;
ALTER TABLE {_TEXTS} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY, ALTER grams SET STATISTICS 0
;;
CREATE POLICY one_tenant ON {_TEXTS}
    USING ((tenant = {_SHOWN} OR {_SHOWN} = 0) AND grams OPERATOR(pg_catalog.@>) {_SOUGHT})
    WITH CHECK (tenant = {_SHOWN} OR {_SHOWN} = 0)
;;
CREATE FUNCTION {_TEXTS}_grams(tenant bigint, one text, key text) RETURNS integer[]
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    last CONSTANT integer := length(one) - {LENGTH - 1};
    chosen CONSTANT bigint := hashtextextended(key COLLATE "C", 0);
    grams integer[] := '{{}}';
BEGIN
    FOR n IN 1 .. last LOOP
        grams[n] := {_GRAM.format("tenant")};
    END LOOP;
    IF chosen & {SAMPLED - 1} = 0 THEN
        FOR n IN 1 .. last LOOP
            grams[last + n] := {_GRAM.format("-tenant")};
        END LOOP;
        IF chosen & {_COUNTED - 1} = 0 THEN
            grams := grams || {_HASH.format("''", "-tenant")};
        END IF;
    END IF;
    RETURN grams;
END $$
;;
CREATE FUNCTION {_TEXTS}_insert() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    INSERT INTO {_TEXTS} SELECT tenant, {OF.key}, {_grams_of("added")} FROM added {_UPSERT};
    RETURN NULL;
END $$
;;
CREATE FUNCTION {_TEXTS}_update() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    INSERT INTO {_TEXTS} VALUES (NEW.tenant, NEW.{OF.key}, {_grams_of("NEW")}) {_UPSERT};
    RETURN NULL;
END $$
;;
CREATE FUNCTION {_TEXTS}_delete() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT
SET enable_seqscan TO off AS $$
BEGIN
    DELETE FROM {_TEXTS} WHERE tenant = OLD.tenant AND id = OLD.{OF.key};
    RETURN NULL;
END $$
;;
CREATE TRIGGER {_TEXTS}_insert AFTER INSERT ON {OF.name} REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION {_TEXTS}_insert()
;;
CREATE TRIGGER {_TEXTS}_update AFTER UPDATE OF {", ".join(COLUMNS)} ON {OF.name}
    FOR EACH ROW WHEN ({" OR ".join(f"OLD.{each} IS DISTINCT FROM NEW.{each}" for each in COLUMNS)})
    EXECUTE FUNCTION {_TEXTS}_update()
;;
CREATE TRIGGER {_TEXTS}_delete AFTER DELETE ON {OF.name} FOR EACH ROW EXECUTE FUNCTION {_TEXTS}_delete()
""".split(";;")

# Whom row-level security does not hold, a superuser for one, asks the same of the table itself.
_HOLDING: Final = f"""
CREATE OR REPLACE FUNCTION {_TEXTS}_holding(seed bigint, sought text[], most bigint) RETURNS text[]
LANGUAGE plpgsql STABLE SET search_path FROM CURRENT
SET enable_seqscan TO off SET enable_indexscan TO off SET enable_indexonlyscan TO off AS $$
DECLARE
    keys text[] := '{{}}';
    hashes integer[];
    one text;
BEGIN
    FOREACH one IN ARRAY sought LOOP
        hashes := '{{}}';
        FOR n IN 1 .. greatest(length(one), 1) BY {LENGTH} LOOP
            hashes := hashes || {_GRAM.format("seed")};
        END LOOP;
        IF row_security_active('{_TEXTS}') THEN
            PERFORM set_config('adjoin.sought', hashes::text, true);
            keys := keys || ARRAY(SELECT id FROM {_TEXTS} LIMIT most - cardinality(keys));
        ELSE
            keys := keys || ARRAY(SELECT id FROM {_TEXTS} WHERE tenant = abs(seed)
                AND grams OPERATOR(pg_catalog.@>) hashes LIMIT most - cardinality(keys));
        END IF;
        EXIT WHEN cardinality(keys) >= most;
    END LOOP;
    PERFORM set_config('adjoin.sought', '{{}}', true);
    IF most = {_MOST_LED_TO} AND cardinality(keys) >= most THEN
        RAISE query_canceled USING MESSAGE = 'the text index leads to too many rows';
    END IF;
    RETURN keys;
END $$
"""
_DROPPING: Final = (
    *(f"DROP TRIGGER IF EXISTS {_TEXTS}_{each} ON {OF.name}" for each in ("insert", "update", "delete")),
    *(f"DROP FUNCTION IF EXISTS {_TEXTS}_{each}" for each in ("holding", "insert", "update", "delete", "grams")),
    f"DROP TABLE IF EXISTS {_TEXTS}",
)

KEPT: Final = Kept(among, status, sound, switch_on, switch_off)
