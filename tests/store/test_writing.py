"""Pages that the database writes as JSON: they are what the writer makes of the same rows, and go on where those do."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.store.opened import connector, guid, new_tenant, on, opened

from adjoin.model import BETA, CONNECTOR, CONNECTOR_STATE
from adjoin.odata import writer
from adjoin.odata.bound import Bound, Constant, Field, Operation, Order, Sort
from adjoin.odata.edm import ComplexType, EnumType, Primitive, Property
from adjoin.odata.errors import Refusal
from adjoin.odata.path import parse
from adjoin.odata.values import Instant, unstorable
from adjoin.odata.writer import Place
from adjoin.odata.written import Written
from adjoin.store import rows
from adjoin.store.columns import Table, Value
from adjoin.store.database import Database, Session
from adjoin.store.rows import Part
from adjoin.store.silence import CONNECTORS as SILENCE
from adjoin.store.tables import ENTITY_TABLES, table_of

NOW: Final = Instant.parse("2027-03-01T12:00:00Z").ticks
TEXTS: Final = st.text(st.characters(exclude_categories=["Cs"]), max_size=40).filter(lambda text: not unstorable(text))
# Just before and just after each step of the clock.
SINCE: Final = st.sampled_from([NOW, *(NOW - after + more for after, _ in SILENCE.steps for more in (0, 1))])
STATE: Final = Field(next(each for each in CONNECTOR.properties if each.name == "state"))


def place_of(table: Table) -> Place:
    """The collection that shows the rows of a table."""
    name = next(each.name for each in BETA.collections if each.target is table.type)
    paths = [(name,), *((each.name, name) for each in BETA.singletons)]
    for path in paths:
        with contextlib.suppress(Refusal):
            return Place("https://host/beta", parse(BETA, path))
    raise LookupError(name)


def shown(body: bytes) -> list[tuple[str, Any]]:
    """The members of an answer, each with its own in their order."""
    read: list[tuple[str, Any]] = json.loads(body, object_pairs_hook=list)
    return read


async def both(session: Session, table: Table, part: Part) -> Written:
    """The part as it is written, once it is seen to be what the writer makes of the same rows."""
    found, _ = await rows.page(session, table, 1, part, NOW)
    wanted = Part(part.limit, part.where, skip=part.skip, after=part.after, written=True)
    written, mark_of = await rows.find(session, table, 1, wanted, NOW)
    assert isinstance(written, Written)
    at = place_of(table)
    assert shown(writer.collection(at, written)) == shown(writer.collection(at, found))
    assert len(written) == len(found)
    for number in range(len(found)):
        assert mark_of(number).key == found[number][table.key_at]
    return written


def value_of(declared: Property) -> st.SearchStrategy[Value]:
    """Any value of a property, as the service holds it."""
    some: st.SearchStrategy[Any] = TEXTS
    if isinstance(declared.type, EnumType):
        some = st.sampled_from(list(declared.type.members))
    elif isinstance(declared.type, ComplexType):
        some = st.dictionaries(TEXTS, TEXTS, max_size=3)
    elif declared.guid:
        some = st.integers(0, 10**9).map(guid)
    elif declared.type is Primitive.DATE_TIME_OFFSET:
        some = st.integers(0, 10**9).map(Instant.from_unix)
    elif declared.type is Primitive.BOOLEAN:
        some = st.booleans()
    elif declared.type in (Primitive.INT32, Primitive.INT64):
        some = st.integers(-(2**31), 2**31 - 1)
    if declared.collection:
        some = st.lists(some, max_size=3)
    return st.one_of(st.none(), some) if declared.nullable else some


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A database with the tenant 1."""

    async def act(database: Database) -> None:
        await new_tenant(database, 1)

    on(tmp_path / "adjoin.db", act)
    return tmp_path / "adjoin.db"


async def fill(database: Database, table: Table, held: Sequence[Mapping[str, Value]], since: Sequence[int]) -> None:
    """Put these rows in place of all others, silent since those times where they can be."""

    async def act(session: Session) -> None:
        await session.fetch(f"DELETE FROM {table.name}")
        for values in held:
            await rows.insert(session, table, 1, values, 1)
        for values, ticks in zip(held, since, strict=False):
            await session.fetch(f"UPDATE {table.name} SET silent_since = ?1 WHERE id = ?2", (ticks, values["id"]))

    await database.write(act)


@pytest.mark.parametrize("table", ENTITY_TABLES, ids=lambda table: table.name)
def test_whole_entities_of_each_type_are_written_as_the_writer_does(path: Path, table: Table) -> None:
    values = st.fixed_dictionaries({each.name: value_of(each) for each in table.type.properties})

    @settings(max_examples=25, deadline=None)
    @given(held=st.lists(values, max_size=4, unique_by=lambda each: str(each["id"])))
    def holds(held: list[dict[str, Value]]) -> None:
        async def act() -> None:
            async with opened(path) as database:
                await fill(database, table, held, [])
                await both(database.reader, table, Part(10))

        asyncio.run(act())

    holds()


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(TEXTS, st.sampled_from(list(CONNECTOR_STATE.members)), SINCE), max_size=6), st.integers(1, 4))
def test_what_the_clock_changes_is_written_as_it_is_shown(
    tmp_path_factory: pytest.TempPathFactory, held: list[tuple[str, str, int]], size: int
) -> None:
    path = tmp_path_factory.mktemp("clock") / "adjoin.db"
    table = table_of(CONNECTOR)

    async def act(database: Database) -> None:
        await new_tenant(database, 1)
        made = [connector(at, displayName=name, state=state) for at, (name, state, _) in enumerate(held)]
        await fill(database, table, made, [since for *_, since in held])
        for where in (None, *(asks(each) for each in CONNECTOR_STATE.members)):
            everything = await both(database.reader, table, Part(100, where))
            some = await both(database.scanner, table, Part(size, where))
            if len(some):
                after = rows.Mark(some.last_key, ())
                rest = await both(database.reader, table, Part(100, where, after=after))
                assert [*texts(some), *texts(rest)] == texts(everything)
                assert some.first(size - 1).text == everything.first(min(size - 1, len(some))).text

    on(path, act)


def asks(member: str) -> Bound:
    value = Constant(Sort.ENUM, CONNECTOR_STATE.members[member], CONNECTOR_STATE)
    return Operation("eq", Sort.BOOLEAN, (STATE, value))


def texts(written: Written) -> list[Any]:
    found: list[Any] = json.loads(b"[%b]" % written.text)
    return found


def test_what_looks_like_the_beginning_of_an_entity_within_a_value_is_a_value(path: Path) -> None:
    opening = '{"@odata.type":"#microsoft.graph.deviceManagementDomainJoinConnector","id":'

    async def act(database: Database) -> None:
        names = [opening, f"x,{opening}", "plain"]
        await fill(
            database, table_of(CONNECTOR), [connector(at, displayName=each) for at, each in enumerate(names)], []
        )
        written = await both(database.reader, table_of(CONNECTOR), Part(10))
        for number in (0, 1, 2, 3, 4):
            assert [each["displayName"] for each in texts(written.first(number))] == names[:number]

    on(path, act)


def test_an_order_of_its_own_comes_as_rows(path: Path) -> None:
    async def act(database: Database) -> None:
        await fill(database, table_of(CONNECTOR), [connector(1)], [])
        order = (Order(Field(CONNECTOR.key)),)
        found, _ = await rows.find(database.reader, table_of(CONNECTOR), 1, Part(10, order=order, written=True), NOW)
        assert isinstance(found, list)

    on(path, act)
