"""Rows: every function, within one tenant, and never beyond it."""

from __future__ import annotations

from asyncio import gather
from collections.abc import Mapping
from itertools import combinations
from typing import Final, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.store.opened import Place, connector, guid, new_tenant, on

from adjoin.model import CONNECTOR
from adjoin.odata.values import Instant
from adjoin.store import rows
from adjoin.store.columns import Row, Stored, Value
from adjoin.store.database import Database, Session, Unavailable
from adjoin.store.rows import Mark, Part
from adjoin.store.tables import table_of

TABLE: Final = table_of(CONNECTOR)
NAMES: Final = [each.name for each in CONNECTOR.properties]
CHANGEABLE: Final = [name for name in NAMES if name != "id"]
SUBSETS: Final = [chosen for size in range(1, len(CHANGEABLE) + 1) for chosen in combinations(CHANGEABLE, size)]
NEW: Final[Mapping[str, Value]] = {
    "displayName": None,
    "lastConnectionDateTime": Instant.parse("9999-12-31T23:59:59.9999999Z"),
    "state": "inactive",
    "version": "2.0",
}


FIRST_VERSION: Final = 1_000


def wire(values: Mapping[str, Value]) -> Row:
    """The row of these values as it goes on the wire."""
    found = (values[name] for name in NAMES)
    return tuple(str(value) if isinstance(value, Instant) else cast("str | int | None", value) for value in found)


def kept(values: Mapping[str, Value], version: int = FIRST_VERSION) -> Stored:
    """What the store gives of these values."""
    return Stored(wire(values), version)


async def insert(database: Database, tenant: int, values: Mapping[str, Value]) -> Stored | None:
    return await database.write(lambda session: rows.insert(session, TABLE, tenant, values, FIRST_VERSION))


async def listed(
    database: Database, tenant: int, limit: int = 100, after: str | None = None, skip: int = 0
) -> list[Row]:
    """Rows in order of their keys."""
    part = Part(limit, skip=skip, after=None if after is None else Mark(after, ()))
    found, mark_of = await rows.page(database.reader, TABLE, tenant, part)
    assert [mark_of(at) for at in range(len(found))] == [Mark(str(row[0]), ()) for row in found]
    return found


@pytest.fixture
def place(place: Place) -> Place:
    """A database with the tenants 1 and 2."""

    async def act(database: Database) -> None:
        assert [(await new_tenant(database, number)).number for number in (1, 2)] == [1, 2]

    on(place, act)
    return place


class TestGet:
    """Rows that are sought at the same time are given to those who seek them, and no others."""

    @pytest.mark.parametrize("count", [1, 2, 3, 64, 65, 130])
    def test_several_at_once(self, place: Place, count: int) -> None:
        async def act(database: Database) -> None:
            for number in range(count):
                for tenant in (1, 2):
                    name = f"{tenant}: {number}"
                    await insert(database, tenant, {**NEW, "id": guid(number), "displayName": name})
            sought = [(tenant, number) for number in range(count + 2) for tenant in (1, 2, 3)]
            found = await gather(*(rows.get(database.reader, TABLE, tenant, guid(number)) for tenant, number in sought))
            for (tenant, number), each in zip(sought, found, strict=True):
                there = tenant < 3 and number < count
                assert each == (
                    kept({**NEW, "id": guid(number), "displayName": f"{tenant}: {number}"}) if there else None
                )

        on(place, act)


class TestAlike:
    """Rows that have most in common are inserted from what each has of its own, and are as others are."""

    @pytest.mark.parametrize("count", [1, 2, 3, 64, 100])
    def test_are_there_whole(self, place: Place, count: int) -> None:
        alike = rows.alike(TABLE, FIRST_VERSION, NEW, ("id", "displayName"))

        async def act(database: Database) -> None:
            async def add(session: Session) -> None:
                for number in range(count):
                    session.insert(alike, (1, guid(number), f"Number {number}", f"number {number}"))

            await database.write(add)
            assert await listed(database, 1) == [
                wire({**NEW, "id": guid(number), "displayName": f"Number {number}"}) for number in range(count)
            ]
            assert await rows.get(database.reader, TABLE, 1, guid(0)) == kept(
                {**NEW, "id": guid(0), "displayName": "Number 0"}
            )
            assert await listed(database, 2) == []

        on(place, act)

    def test_of_several_kinds_share_a_commit_with_others(self, place: Place) -> None:
        one = rows.alike(TABLE, FIRST_VERSION, NEW, ("id",))
        two = rows.alike(TABLE, FIRST_VERSION, {**NEW, "version": "3"}, ("id",))

        async def act(database: Database) -> None:
            async def add(session: Session) -> None:
                session.insert(
                    one,
                    (
                        1,
                        guid(1),
                    ),
                )
                session.insert(
                    two,
                    (
                        2,
                        guid(1),
                    ),
                )
                await rows.insert(session, TABLE, 1, {**NEW, "id": guid(2)}, FIRST_VERSION)
                session.insert(
                    one,
                    (
                        1,
                        guid(3),
                    ),
                )

            await database.write(add)
            assert await listed(database, 1) == [wire({**NEW, "id": guid(number)}) for number in (1, 2, 3)]
            assert await listed(database, 2) == [wire({**NEW, "id": guid(1), "version": "3"})]

        on(place, act)

    def test_a_key_that_is_taken_is_refused(self, place: Place) -> None:
        alike = rows.alike(TABLE, FIRST_VERSION, NEW, ("id",))

        async def act(database: Database) -> None:
            async def add(session: Session) -> None:
                session.insert(
                    alike,
                    (
                        1,
                        guid(1),
                    ),
                )

            await database.write(add)
            with pytest.raises(Unavailable):
                await database.write(add)
            assert len(await listed(database, 1)) == 1

        on(place, act)


class TestInsert:
    def test_gives_the_row_as_it_is_kept(self, place: Place) -> None:
        async def act(database: Database) -> None:
            assert await insert(database, 1, connector(1)) == kept(connector(1))
            assert await rows.get(database.reader, TABLE, 1, guid(1)) == kept(connector(1))

        on(place, act)

    def test_under_a_taken_key_changes_nothing(self, place: Place) -> None:
        async def act(database: Database) -> None:
            await insert(database, 1, connector(1))
            with pytest.raises(Unavailable):
                await insert(database, 1, connector(1, state="active"))
            assert await rows.get(database.reader, TABLE, 1, guid(1)) == kept(connector(1))

        on(place, act)

    def test_of_an_unknown_tenant_leaves_nothing(self, place: Place) -> None:
        async def act(database: Database) -> None:
            with pytest.raises(Unavailable):
                await insert(database, 3, connector(1))
            assert await rows.count(database.reader, TABLE, 3) == 0

        on(place, act)

    @pytest.mark.parametrize("number", range(3), ids=["active", "error", "inactive"])
    def test_keeps_a_state_by_its_number(self, place: Place, number: int) -> None:
        state = ("active", "error", "inactive")[number]
        on(place, lambda database: insert(database, 1, connector(1, state=state)))
        assert place.rows("SELECT state FROM domain_join_connectors") == [(number,)]

    def test_keeps_the_ticks_of_a_date_time_beside_its_text(self, place: Place) -> None:
        instant = Instant.parse("2016-12-31T23:58:36.6670033-08:00")
        on(place, lambda database: insert(database, 1, connector(1)))
        sql = "SELECT last_connection_date_time, last_connection_date_time_ticks FROM domain_join_connectors"
        assert place.rows(sql) == [(str(instant), instant.ticks)]

    @settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(names=st.lists(st.none() | st.text(st.characters(codec="utf-8", exclude_characters="\x00")), max_size=20))
    def test_keeps_any_text_to_the_character(self, place: Place, names: list[str | None]) -> None:
        async def act(database: Database) -> None:
            inserted = [await insert(database, 1, connector(at, displayName=name)) for at, name in enumerate(names)]
            found = await listed(database, 1)
            together = await gather(*(rows.get(database.reader, TABLE, 1, guid(at)) for at in range(len(names))))
            assert together == inserted
            for at in range(len(names)):
                await database.write(lambda session, at=at: rows.delete(session, TABLE, 1, guid(at)))  # type: ignore[misc]
            assert [each and each.row for each in inserted] == found
            assert [row[1] for row in found] == names

        on(place, act)


class TestUpdate:
    @pytest.mark.parametrize("changed", SUBSETS, ids="+".join)
    def test_changes_the_named_properties_and_no_other(self, place: Place, changed: tuple[str, ...]) -> None:
        changes = {name: NEW[name] for name in changed}

        async def act(database: Database) -> None:
            for number in (1, 2):
                await insert(database, 1, connector(number))
            await insert(database, 2, connector(1))
            given_back = await database.write(lambda session: rows.update(session, TABLE, 1, guid(1), changes))
            assert given_back == kept({**connector(1), **changes}, FIRST_VERSION + 1)
            assert await rows.get(database.reader, TABLE, 1, guid(1)) == given_back
            assert await rows.get(database.reader, TABLE, 1, guid(2)) == kept(connector(2))
            assert await rows.get(database.reader, TABLE, 2, guid(1)) == kept(connector(1))

        on(place, act)

    def test_does_not_depend_on_the_order_of_the_names(self, place: Place) -> None:
        async def act(database: Database) -> None:
            await insert(database, 1, connector(1))
            backwards = {name: NEW[name] for name in reversed(CHANGEABLE)}
            changed = await database.write(lambda session: rows.update(session, TABLE, 1, guid(1), backwards))
            assert changed == kept({**connector(1), **NEW}, FIRST_VERSION + 1)

        on(place, act)

    def test_counts_the_rows_version_up(self, place: Place) -> None:
        async def act(database: Database) -> None:
            await insert(database, 1, connector(1))
            for count in (1, 2):
                changed = await database.write(
                    lambda session: rows.update(session, TABLE, 1, guid(1), {"state": "active"})
                )
                assert changed is not None
                assert changed.version == FIRST_VERSION + count

        on(place, act)

    @pytest.mark.parametrize(("tenant", "key"), [(1, guid(2)), (2, guid(1)), (3, guid(1)), (1, "")])
    def test_of_what_is_not_there_is_none(self, place: Place, tenant: int, key: str) -> None:
        async def act(database: Database) -> None:
            await insert(database, 1, connector(1))
            changed = await database.write(
                lambda session: rows.update(session, TABLE, tenant, key, {"state": "active"})
            )
            assert changed is None
            assert await rows.get(database.reader, TABLE, 1, guid(1)) == kept(connector(1))

        on(place, act)


class TestDelete:
    def test_removes_the_row_once(self, place: Place) -> None:
        async def act(database: Database) -> None:
            await insert(database, 1, connector(1))
            await insert(database, 1, connector(2))
            deleted = [await database.write(lambda session: rows.delete(session, TABLE, 1, guid(1))) for _ in range(2)]
            assert deleted == [True, False]
            assert await listed(database, 1) == [wire(connector(2))]

        on(place, act)

    def test_does_not_reach_another_tenant(self, place: Place) -> None:
        async def act(database: Database) -> None:
            await insert(database, 1, connector(1))
            assert not await database.write(lambda session: rows.delete(session, TABLE, 2, guid(1)))
            assert await rows.count(database.reader, TABLE, 1) == 1

        on(place, act)


class TestReading:
    def test_tenants_may_use_the_same_key_and_see_only_their_own_row(self, place: Place) -> None:
        async def act(database: Database) -> None:
            for tenant, state in ((1, "active"), (2, "error")):
                await insert(database, tenant, connector(1, state=state))
            for tenant, state in ((1, "active"), (2, "error")):
                values = connector(1, state=state)
                assert await rows.get(database.reader, TABLE, tenant, guid(1)) == kept(values)
                assert await listed(database, tenant) == [wire(values)]
                assert await rows.count(database.reader, TABLE, tenant) == 1
            assert await listed(database, 3) == []
            assert await rows.get(database.reader, TABLE, 3, guid(1)) is None

        on(place, act)

    @pytest.mark.parametrize(
        ("after", "limit", "skip", "found"),
        [
            (None, 10, 0, [1, 3, 5, 7, 9]),
            (None, 2, 0, [1, 3]),
            (None, 0, 0, []),
            (3, 10, 0, [5, 7, 9]),
            (4, 2, 0, [5, 7]),
            (9, 10, 0, []),
            (0, 10, 0, [1, 3, 5, 7, 9]),
            (None, 10, 2, [5, 7, 9]),
            (None, 1, 4, [9]),
            (None, 10, 5, []),
            (None, 10, 2**53, []),
            (3, 1, 1, [7]),
        ],
    )
    def test_a_page_is_in_order_of_the_keys(
        self, place: Place, after: int | None, limit: int, skip: int, found: list[int]
    ) -> None:
        async def act(database: Database) -> None:
            for number in (5, 1, 9, 3, 7):
                await insert(database, 1, connector(number))
            behind = None if after is None else guid(after)
            page = await listed(database, 1, limit, behind, skip)
            assert [row[0] for row in page] == [guid(number) for number in found]

        on(place, act)

    def test_pages_neither_repeat_nor_lose_a_row_while_others_come_and_go(self, place: Place) -> None:
        async def act(database: Database) -> None:
            for number in range(100, 200, 2):
                await insert(database, 1, connector(number))
            seen: list[str] = []
            while page := await listed(database, 1, 7, seen[-1] if seen else None):
                seen += [str(row[0]) for row in page]
                await insert(database, 1, connector(len(seen)))  # before all that is listed
                await database.write(lambda session, key=seen[-2]: rows.delete(session, TABLE, 1, key))  # type: ignore[misc]
            assert seen == [guid(number) for number in range(100, 200, 2)]

        on(place, act)
