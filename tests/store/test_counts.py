"""Counts that the database keeps are those of the rows, whatever was done to them; `test_silence.py` has the clock."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from contextlib import suppress

import pytest
from tests.postgresql import Databases
from tests.store.opened import Place, connector, guid, new_tenant, on, opened

from adjoin.model import CONNECTOR, CONNECTOR_STATE
from adjoin.odata.bound import Bound, Constant, Field, Operation, Sort
from adjoin.store import counts, rows, tenants
from adjoin.store.counts import by_counts
from adjoin.store.database import Database, Session, Unavailable
from adjoin.store.link import connect
from adjoin.store.statements import Everywhere
from adjoin.store.tables import table_of

TABLE = table_of(CONNECTOR)
STATES = tuple(CONNECTOR_STATE.members)


def in_state(member: str, property_name: str = "state") -> Bound:
    declared = CONNECTOR.find_property(property_name)
    assert declared is not None
    return Operation(
        "eq",
        Sort.BOOLEAN,
        (Field(declared), Constant(Sort.ENUM, CONNECTOR_STATE.members[member], CONNECTOR_STATE)),
    )


async def some_change(
    session: Session, source: random.Random, tenant: int, held: dict[int, str], first: int = 0
) -> None:
    """A row more, a row less, or a row changed, in the database and in what is held against it."""
    number, state = source.randrange(first, first + 30), source.choice(STATES)
    if number not in held:
        await rows.insert(session, TABLE, tenant, connector(number, state=state), 1)
        held[number] = state
    elif source.random() < 0.3:
        await rows.delete(session, TABLE, tenant, guid(number))
        del held[number]
    else:
        values = {"state": state} if source.random() < 0.7 else {"version": "2"}
        await rows.update(session, TABLE, tenant, guid(number), values)
        held[number] = values.get("state", held[number])


def test_counts_are_those_of_the_rows(place: Place) -> None:
    async def run() -> None:
        source = random.Random(5)
        async with opened(place) as database:
            held: dict[int, dict[int, str]] = {1: {}, 2: {}}
            for number in held:
                await new_tenant(database, number)
            for _ in range(200):
                tenant = source.choice((1, 2))
                await database.write(lambda session, t=tenant: some_change(session, source, t, held[t]))  # type: ignore[misc]
                mine = held[tenant]
                assert await rows.count(database.reader, TABLE, tenant) == len(mine)
                for state in STATES:
                    found = await rows.count(database.reader, TABLE, tenant, in_state(state))
                    assert found == list(mine.values()).count(state)

    asyncio.run(run())


def test_what_failed_is_not_counted(place: Place) -> None:
    async def failing(session: Session) -> None:
        await rows.insert(session, TABLE, 1, connector(1), 1)
        await session.fetch("SELECT 1")
        raise ZeroDivisionError

    async def run() -> None:
        async with opened(place) as database:
            await new_tenant(database, 1)
            await asyncio.gather(database.write(failing), return_exceptions=True)
            assert await rows.count(database.reader, TABLE, 1) == 0

    asyncio.run(run())


def test_a_tenant_takes_its_counts_along(place: Place) -> None:
    async def act(database: Database) -> None:
        for number in (1, 2):
            await new_tenant(database, number)
            await database.write(lambda session, n=number: rows.insert(session, TABLE, n, connector(n), 1))  # type: ignore[misc]
        await database.write(lambda session: tenants.remove(session, 1))

    on(place, act)
    assert place.rows("SELECT DISTINCT tenant FROM connector_counts") == [(2,)]


def test_a_count_looks_at_no_row_that_was_heard(place: Place) -> None:
    """What the triggers keep is all that tells how many there are."""

    async def act(database: Database) -> tuple[int, int]:
        await new_tenant(database, 1)
        await database.write(lambda session: rows.insert(session, TABLE, 1, connector(1, state="error"), 1))
        await database.write(
            lambda session: session.fetch("UPDATE connector_counts SET number = number + 41 WHERE tenant = ?1", (1,))
        )
        where = in_state("error")
        return await rows.count(database.reader, TABLE, 1), await rows.count(database.reader, TABLE, 1, where)

    assert on(place, act) == (42, 42)


def test_what_is_wrong_is_found_and_put_right(place: Place) -> None:
    async def act(database: Database) -> list[int]:
        for number in (1, 2):
            await new_tenant(database, number)
            await database.write(lambda session, n=number: rows.insert(session, TABLE, n, connector(n), 1))  # type: ignore[misc]
        found = [await counts.wrong(database.reader)]
        for spoilt in (
            "UPDATE connector_counts SET number = number + 1 WHERE tenant = 1",
            "DELETE FROM connector_counts WHERE tenant = 2",
            "INSERT INTO connector_counts (tenant, state, writer, number) VALUES (1, 2, 0, 7)",
        ):
            await database.write(lambda session, sql=spoilt: session.fetch(Everywhere(sql)))  # type: ignore[misc]
            found.append(await counts.wrong(database.reader))
        await database.write(counts.recount)
        return [*found, await counts.wrong(database.reader), await rows.count(database.reader, TABLE, 1)]

    assert on(place, act) == [0, 1, 2, 3, 0, 1]


class TestOnPostgreSQL:
    """Each connection that writes keeps a part of the counts."""

    @pytest.fixture
    def place(self, postgresql: Databases) -> Iterator[Place]:
        with postgresql.lent() as url:
            yield Place(url, postgresql)

    def test_nobody_waits_for_who_has_counted(self, place: Place) -> None:
        """A statement that only adds rows needs no lock; so it goes on beside a transaction that has counted."""

        async def run() -> None:
            async with opened(place) as one, opened(place) as other:
                await new_tenant(one, 1)
                counted = asyncio.Event()
                goes_on = asyncio.Event()

                async def holding() -> None:
                    link = await connect(str(place.where))
                    await link.run("BEGIN; SET LOCAL adjoin.tenant = '1'")
                    await link.fetch("DELETE FROM domain_join_connectors WHERE tenant = ?1 AND id = ?2", (1, guid(1)))
                    counted.set()
                    await goes_on.wait()
                    await link.run("COMMIT")
                    await link.close()

                await one.write(lambda session: rows.insert(session, TABLE, 1, connector(1), 1))
                held = asyncio.create_task(holding())
                await counted.wait()
                # Did it wait, it would do so until the server gives it up.
                await other.write(lambda session: rows.insert(session, TABLE, 1, connector(2), 1))
                assert await rows.count(one.reader, TABLE, 1) == 2
                goes_on.set()
                await held
                assert await rows.count(one.reader, TABLE, 1) == 1

        asyncio.run(run())

    def test_two_nodes_count_as_one(self, place: Place) -> None:
        async def of(database: Database, seed: int) -> list[int]:
            source, held = random.Random(seed), dict[int, str]()
            for _ in range(60):
                await database.write(lambda session: some_change(session, source, 1, held, seed * 30))
            return [list(held.values()).count(state) for state in STATES]

        async def run() -> None:
            async with opened(place) as one, opened(place) as other:
                await new_tenant(one, 1)
                found = await asyncio.gather(*(of(node, seed) for seed, node in enumerate((one, other, one, other))))
                for at, state in enumerate(STATES):
                    kept = await rows.count(one.reader, TABLE, 1, in_state(state))
                    assert kept == sum(each[at] for each in found)

        asyncio.run(run())
        assert len(place.rows("SELECT DISTINCT writer FROM connector_counts")) == 2

    def test_a_start_takes_over_what_connections_left_that_ended(self, place: Place) -> None:
        async def add(database: Database, number: int) -> None:
            await database.write(lambda session: rows.insert(session, TABLE, 1, connector(number), 1))

        # The server takes a moment to end a connection that was closed.
        still_there = Everywhere(
            "SELECT 1 FROM connector_counts WHERE writer <> ?1 AND writer IN (SELECT pid FROM pg_stat_activity)"
        )

        async def run() -> None:
            async with opened(place) as lives:
                await add(lives, 100)
                mine = await lives.write(lambda session: session.fetch(Everywhere("SELECT pg_backend_pid()")))
                while await lives.reader.fetch(still_there, mine[0]):  # noqa: ASYNC110 - the server tells of no end
                    await asyncio.sleep(0.01)
                async with opened(place):
                    pass
                parts = Everywhere("SELECT writer = 0, number FROM connector_counts ORDER BY 1")
                assert await lives.reader.fetch(parts) == [(False, 1), (True, 3)]
                assert await rows.count(lives.reader, TABLE, 1) == 4

        on(place, lambda database: new_tenant(database, 1))
        for number in range(3):
            on(place, lambda database, n=number: add(database, n))  # type: ignore[misc]
        asyncio.run(run())

    def test_so_does_a_connection_that_takes_the_place_of_one_that_was_cut(self, place: Place) -> None:
        nobody = 2**31 - 1  # no process has that number
        parts = Everywhere("SELECT sum(number), count(*) FILTER (WHERE writer = ?1) FROM connector_counts")

        async def act(database: Database) -> None:
            await new_tenant(database, 1)
            await database.write(lambda session: rows.insert(session, TABLE, 1, connector(1), 1))
            left = Everywhere("UPDATE connector_counts SET writer = ?1")
            await database.write(lambda session: session.fetch(left, (nobody,)))
            with suppress(Unavailable):
                cut = Everywhere("SELECT pg_terminate_backend(pg_backend_pid())")
                await database.write(lambda session: session.fetch(cut))
            await database.write(lambda session: rows.insert(session, TABLE, 1, connector(2), 1))
            assert await database.reader.fetch(parts, (nobody,)) == [(2, 0)]

        on(place, act)


def test_other_conditions_are_not_told_by_counts() -> None:
    either = Operation("or", Sort.BOOLEAN, (in_state("error"), in_state("active")))
    assert by_counts(TABLE, 1, either, 0) is None
    assert by_counts(TABLE, 1, in_state("error", "version"), 0) is None
    assert by_counts(TABLE, 1, None, 0) is not None
