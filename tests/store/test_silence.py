"""The clock's rule for connectors: as values, as SQL, and in every statement that shows, finds, orders or counts."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Final

import apsw
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.store.opened import connector, guid, new_tenant, on, opened

from adjoin.model import CONNECTOR, CONNECTOR_STATE
from adjoin.odata.bound import Bound, Constant, Field, Operation, Order, Sort
from adjoin.odata.values import TICKS_PER_SECOND, Instant
from adjoin.store import reach, rows
from adjoin.store.database import Database, Session
from adjoin.store.rows import Part
from adjoin.store.silence import CONNECTORS, NEVER
from adjoin.store.tables import CONNECTORS as TABLE
from adjoin.store.where import Parameters, condition

SECOND: Final = TICKS_PER_SECOND
HOUR: Final = 3_600 * SECOND
DAY: Final = 24 * HOUR
NOW: Final = Instant.from_unix(1_800_000_000).ticks
ACTIVE, ERROR, INACTIVE = 0, 1, 2
NAMES: Final = {number: name for name, number in CONNECTOR_STATE.members.items()}
_STATE = CONNECTOR.find_property("state")
assert _STATE is not None
STATE: Final = Field(_STATE)

# Around each boundary, and anywhere.
SILENCES: Final = st.sampled_from(
    [0, 1, -1, HOUR - 1, HOUR, HOUR + 1, 5 * DAY - 1, 5 * DAY, 5 * DAY + 1, 30 * DAY - 1, 30 * DAY, 40 * DAY, -DAY]
) | st.integers(-DAY, 40 * DAY)
ROWS: Final = st.lists(
    st.tuples(st.sampled_from([ACTIVE, ERROR]), SILENCES) | st.tuples(st.sampled_from(list(NAMES)), st.none()),
    max_size=25,
)


class TestValues:
    @pytest.mark.parametrize(
        ("kept", "silence", "shown"),
        [
            (ACTIVE, 0, ACTIVE),
            (ERROR, 0, ERROR),
            (ACTIVE, HOUR - 1, ACTIVE),
            (ACTIVE, HOUR, ERROR),
            (ERROR, HOUR, ERROR),
            (ACTIVE, 5 * DAY - 1, ERROR),
            (ACTIVE, 5 * DAY, INACTIVE),
            (ERROR, 5 * DAY, INACTIVE),
            (ACTIVE, -HOUR, ACTIVE),  # a node whose clock is behind
        ],
    )
    def test_after_a_check_in_the_clock_rules(self, kept: int, silence: int, shown: int) -> None:
        assert CONNECTORS.value_at(kept, NOW - silence, NOW) == shown

    @pytest.mark.parametrize("written", NAMES)
    def test_what_an_administrator_wrote_stands(self, written: int) -> None:
        assert CONNECTORS.value_at(written, NEVER, NOW) == written
        assert not CONNECTORS.removed_at(NEVER, Instant.parse("9999-12-31T23:59:59Z").ticks)

    @pytest.mark.parametrize(("silence", "removed"), [(30 * DAY - 1, False), (30 * DAY, True)])
    def test_thirty_days_of_silence_remove(self, silence: int, removed: bool) -> None:
        assert CONNECTORS.removed_at(NOW - silence, NOW) is removed

    @settings(deadline=None)
    @given(st.sampled_from(list(NAMES)), SILENCES, SILENCES)
    def test_the_step_tells_what_shows_otherwise(self, kept: int, one: int, other: int) -> None:
        if CONNECTORS.value_at(kept, NOW - one, NOW) != CONNECTORS.value_at(kept, NOW - other, NOW):
            assert CONNECTORS.step_at(NOW - one, NOW) != CONNECTORS.step_at(NOW - other, NOW)


async def filled(database: Database, held: Sequence[tuple[int, int | None]]) -> None:
    async def act(session: Session) -> None:
        await session.fetch("DELETE FROM domain_join_connectors")
        for number, (kept, silence) in enumerate(held):
            await rows.insert(session, TABLE, 1, connector(number, state=NAMES[kept]), 1)
            if silence is not None:
                sql = "UPDATE domain_join_connectors SET silent_since = ?1 WHERE id = ?2"
                await session.fetch(sql, (NOW - silence, guid(number)))

    await database.write(act)


def expected(held: Sequence[tuple[int, int | None]]) -> dict[str, str]:
    """What is shown of each row, by its key, in the order of keys."""
    since = {at: NEVER if silence is None else NOW - silence for at, (_, silence) in enumerate(held)}
    return {
        guid(at): NAMES[CONNECTORS.value_at(kept, since[at], NOW)]
        for at, (kept, _) in enumerate(held)
        if not CONNECTORS.removed_at(since[at], NOW)
    }


def state(member: str) -> Constant:
    return Constant(Sort.ENUM, CONNECTOR_STATE.members[member], CONNECTOR_STATE)


def compared(name: str, *members: str) -> Bound:
    return Operation(name, Sort.BOOLEAN, (STATE, *(state(each) for each in members)))


def negated(bound: Bound) -> Bound:
    return Operation("not", Sort.BOOLEAN, (bound,))


UNWELL: Final = frozenset({"error", "inactive"})
FILTERS: Final[Sequence[tuple[Bound, frozenset[str]]]] = [
    *((compared("eq", each), frozenset({each})) for each in CONNECTOR_STATE.members),
    *((compared("ne", each), frozenset(CONNECTOR_STATE.members) - {each}) for each in CONNECTOR_STATE.members),
    *((negated(compared("eq", each)), frozenset(CONNECTOR_STATE.members) - {each}) for each in CONNECTOR_STATE.members),
    (compared("in", "active", "inactive"), frozenset({"active", "inactive"})),
    (compared("gt", "active"), frozenset({"error", "inactive"})),
    (Operation("eq", Sort.BOOLEAN, (state("error"), STATE)), frozenset({"error"})),
    (Operation("or", Sort.BOOLEAN, (compared("eq", "error"), compared("ge", "inactive"))), UNWELL),
    (Operation("and", Sort.BOOLEAN, (compared("eq", "error"), compared("ne", "error"))), frozenset()),
]  # fmt: skip


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with the tenant 1."""
    made = tmp_path_factory.mktemp("silence") / "adjoin.db"

    async def act(database: Database) -> None:
        await new_tenant(database, 1)

    on(made, act)
    return made


@pytest.fixture(params=["few", "many"])
def silent(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether the rows that the clock changes count as few."""
    if request.param == "many":
        monkeypatch.setattr(reach, "FEW_SILENT", 0)


@pytest.mark.usefixtures("silent")
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(held=ROWS, size=st.integers(1, 30))
def test_sql_says_what_the_rule_says(path: Path, held: list[tuple[int, int | None]], size: int) -> None:
    async def act() -> None:
        async with opened(path) as database:
            await filled(database, held)
            shown = expected(held)
            found, _ = await rows.page(database.reader, TABLE, 1, Part(100), NOW)
            assert {row[0]: row[3] for row in found} == shown
            assert await rows.count(database.reader, TABLE, 1, None, NOW) == len(shown)
            for key in map(guid, range(len(held))):
                one = await rows.get(database.reader, TABLE, 1, key, NOW)
                assert (one and one.row[3]) == shown.get(key)
            for where, members in FILTERS:
                wanted = [key for key, member in shown.items() if member in members]
                found, _ = await rows.page(database.reader, TABLE, 1, Part(100, where), NOW)
                assert [row[0] for row in found] == wanted
                assert await rows.count(database.reader, TABLE, 1, where, NOW) == len(wanted)
                some, mark_of = await rows.page(database.reader, TABLE, 1, Part(size, where), NOW)
                if len(some) == size:
                    more = Part(100, where, after=mark_of(size - 1))
                    some += (await rows.page(database.reader, TABLE, 1, more, NOW))[0]
                assert some == found
            await _check_orders(database, shown, size)

    asyncio.run(act())


async def _check_orders(database: Database, shown: dict[str, str], size: int) -> None:
    """Orders by state, alone and with another key before or behind it, page by page."""
    name = CONNECTOR.find_property("displayName")
    assert name is not None
    for down in (False, True):
        by_state, by_name = Order(STATE, down), Order(Field(name), not down)
        for order in ((by_state,), (by_state, by_name), (by_name, by_state)):
            seen: list[tuple[object, ...]] = []
            after = None
            while True:
                found, mark_of = await rows.page(database.reader, TABLE, 1, Part(size, None, order, 0, after), NOW)
                seen += found
                if len(found) < size:
                    break
                after = mark_of(size - 1)
            assert {row[0]: row[3] for row in seen} == shown
            assert len(seen) == len(shown)
            all_at_once, _ = await rows.page(database.reader, TABLE, 1, Part(100, None, order), NOW)
            skipped, _ = await rows.page(database.reader, TABLE, 1, Part(100, None, order, skip=2), NOW)
            assert (seen, seen[2:]) == (all_at_once, skipped)
            if order[0] is by_state:
                numbers = [CONNECTOR_STATE.members[str(row[3])] for row in seen]
                assert numbers == sorted(numbers, reverse=down)


class TestIndexes:
    """What a large list is asked by state for is looked up, however many other rows there are."""

    @pytest.mark.parametrize(
        ("where", "used"),
        [
            (compared("eq", "active"), ["by_state (tenant=? AND state=?)"]),
            (
                compared("eq", "error"),
                ["by_state (tenant=? AND state=?)", "by_silent_since (tenant=? AND silent_since>? AND silent_since<?)"],
            ),
            (
                compared("ne", "active"),
                ["by_state (tenant=? AND state=?)", "by_silent_since (tenant=? AND silent_since>? AND silent_since<?)"],
            ),
        ],
    )
    def test_serve_a_filter(self, path: Path, where: Bound, used: list[str]) -> None:
        plan = plan_of(path, where)
        assert not [each for each in used if each not in plan], plan
        assert "PRIMARY KEY (tenant=?)" not in plan
        assert "B-TREE" not in plan

    def test_do_not_serve_a_plain_list_by_silence(self, path: Path) -> None:
        assert plan_of(path, None).startswith("SEARCH domain_join_connectors USING PRIMARY KEY (tenant=?)")


def plan_of(path: Path, where: Bound | None) -> str:
    """How SQLite finds a page."""
    parameters = Parameters(1, table=TABLE, now=NOW)
    conditions = [CONNECTORS.there(NOW, parameters.add), *([condition(where, parameters)] if where else [])]
    found = f"SELECT {TABLE.selected} FROM {TABLE.name} WHERE tenant = ?1 AND {' AND '.join(conditions)}"
    with closing(apsw.Connection(str(path))) as connection:
        return "\n".join(
            row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {found} ORDER BY id LIMIT 9", parameters.values)
        )


class TestChanges:
    def test_rows_that_are_removed_are_as_if_they_were_not_there(self, path: Path) -> None:
        async def act(database: Database) -> None:
            await filled(database, [(ACTIVE, 30 * DAY)])
            changed = await database.write(
                lambda session: rows.update(session, TABLE, 1, guid(0), {"state": "active"}, NOW)
            )
            deleted = await database.write(lambda session: rows.delete(session, TABLE, 1, guid(0), NOW))
            assert (changed, deleted) == (None, False)

        on(path, act)

    def test_dropping_takes_the_longest_silent_first_and_never_one_that_is_there(self, path: Path) -> None:
        async def act(database: Database) -> None:
            await filled(database, [(ACTIVE, 31 * DAY), (ERROR, 33 * DAY), (ACTIVE, None), (ACTIVE, 29 * DAY)])
            dropped = [
                await database.write(lambda session: rows.drop_removed(session, TABLE, 1, NOW, 1)) for _ in range(3)
            ]
            assert [[each.row[0] for each, _ in some] for some in dropped] == [[guid(1)], [guid(0)], []]
            assert [each.row[3] for some in dropped for each, _ in some] == ["inactive", "inactive"]
            assert await rows.count(database.reader, TABLE, 1) == 2

        on(path, act)

    def test_dropping_one_leaves_the_others(self, path: Path) -> None:
        async def act(database: Database) -> None:
            await filled(database, [(ACTIVE, 31 * DAY), (ERROR, 33 * DAY)])
            dropped = await database.write(lambda session: rows.drop_removed(session, TABLE, 1, NOW, 9, guid(0)))
            assert [(each.row[0], when) for each, when in dropped] == [(guid(0), NOW - DAY)]

        on(path, act)

    def test_a_written_state_stops_the_clock_and_another_property_does_not(self, path: Path) -> None:
        async def act(database: Database) -> None:
            await filled(database, [(ACTIVE, 2 * HOUR), (ACTIVE, 2 * HOUR)])
            renamed = await database.write(
                lambda session: rows.update(session, TABLE, 1, guid(0), {"displayName": "x"}, NOW)
            )
            written = await database.write(
                lambda session: rows.update(session, TABLE, 1, guid(1), {"state": "active"}, NOW)
            )
            assert [each and each.row[3] for each in (renamed, written)] == ["error", "active"]

        on(path, act)

    def test_the_version_is_another_at_each_step_of_silence(self, path: Path) -> None:
        async def act(database: Database) -> None:
            await filled(database, [(ACTIVE, 0)])
            found = [await rows.get(database.reader, TABLE, 1, guid(0), NOW + later) for later in (0, 1, HOUR, 5 * DAY)]
            versions = [each.version for each in found if each is not None]
            assert [one == other for one, other in pairwise(versions)] == [True, False, False]

        on(path, act)
