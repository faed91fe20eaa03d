"""The log of changes: its numbers grow in the order of commits, whoever commits, and none is given twice."""

from __future__ import annotations

import asyncio
from typing import Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.store.opened import Place, guid, new_tenant, on, opened

from adjoin.store import changes
from adjoin.store.changes import Kind
from adjoin.store.database import Database, Session

TENANTS: Final = (1, 2)


class Broken(Exception):
    """What a write ends with."""


@pytest.fixture
def place(place: Place) -> Place:
    """A database with two tenants."""

    async def act(database: Database) -> None:
        for number in TENANTS:
            await new_tenant(database, number)

    on(place, act)
    return place


async def append(database: Database, tenant: int, count: int = 1, *, fails: bool = False, looks: bool = False) -> None:
    """Add so many changes in one write."""

    async def act(session: Session) -> None:
        for _ in range(count):
            before = (await changes.counter(session, tenant)).last if looks else 0
            changes.append(session, tenant, guid(1), Kind.UPDATED, 1)
            if looks:
                assert (await changes.counter(session, tenant)).last == before + 1
        if fails:
            raise Broken

    await database.write(act)


async def numbers(database: Database, tenant: int) -> list[int]:
    return [each.sequence for each in await changes.after(database.reader, tenant, 0, 10_000, 10_000)]


def test_numbers_are_each_tenants_own(place: Place) -> None:
    async def act(database: Database) -> None:
        await asyncio.gather(*(append(database, tenant) for tenant in (1, 2, 1, 1, 2)))
        assert (await numbers(database, 1), await numbers(database, 2)) == ([1, 2, 3], [1, 2])
        assert (await changes.counter(database.reader, 1)).last == 3

    on(place, act)


def test_the_counter_is_seen_within_the_write(place: Place) -> None:
    async def act(database: Database) -> None:
        await asyncio.gather(append(database, 1, 3, looks=True), append(database, 1, 2, looks=True))
        assert await numbers(database, 1) == [1, 2, 3, 4, 5]

    on(place, act)


def test_a_write_that_fails_leaves_nothing_and_its_neighbours_whole(place: Place) -> None:
    async def act(database: Database) -> None:
        ends = await asyncio.gather(
            *(append(database, 1, fails=at % 2 == 1) for at in range(6)), return_exceptions=True
        )
        assert [isinstance(each, Broken) for each in ends] == [False, True] * 3
        assert await numbers(database, 1) == [1, 2, 3]
        assert (await changes.counter(database.reader, 1)).last == 3

    on(place, act)


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, 1), st.sampled_from(TENANTS), st.integers(1, 3)), max_size=12))
def test_two_nodes_never_give_a_number_twice(place: Place, writes: list[tuple[int, int, int]]) -> None:
    async def run() -> None:
        async with opened(place) as one, opened(place) as other:
            before = {tenant: await numbers(one, tenant) for tenant in TENANTS}
            await asyncio.gather(*(append((one, other)[node], tenant, count) for node, tenant, count in writes))
            for tenant in TENANTS:
                mine = sum(count for _, of, count in writes if of == tenant)
                first = len(before[tenant]) + 1
                assert await numbers(other, tenant) == before[tenant] + list(range(first, first + mine))
                assert (await changes.counter(one.reader, tenant)).last == first + mine - 1

    asyncio.run(run())
