"""Counts that the database keeps are those of the rows, whatever was done to them; `test_silence.py` has the clock."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

from tests.store.opened import connector, guid, new_tenant, opened

from adjoin.model import CONNECTOR, CONNECTOR_STATE
from adjoin.odata.bound import Bound, Constant, Field, Operation, Sort
from adjoin.store import rows, tenants
from adjoin.store.counts import by_counts
from adjoin.store.database import Session
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


async def some_change(session: Session, source: random.Random, tenant: int, held: dict[int, str]) -> None:
    """A row more, a row less, or a row changed, in the database and in what is held against it."""
    number, state = source.randrange(30), source.choice(STATES)
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


def test_counts_are_those_of_the_rows(tmp_path: Path) -> None:
    async def run() -> None:
        source = random.Random(5)
        async with opened(tmp_path / "a.db") as database:
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


def test_what_failed_is_not_counted(tmp_path: Path) -> None:
    async def failing(session: Session) -> None:
        await rows.insert(session, TABLE, 1, connector(1), 1)
        await session.fetch("SELECT 1")
        raise ZeroDivisionError

    async def run() -> None:
        async with opened(tmp_path / "a.db") as database:
            await new_tenant(database, 1)
            await asyncio.gather(database.write(failing), return_exceptions=True)
            assert await rows.count(database.reader, TABLE, 1) == 0

    asyncio.run(run())


def test_a_tenant_takes_its_counts_along(tmp_path: Path) -> None:
    async def run() -> None:
        async with opened(tmp_path / "a.db") as database:
            await new_tenant(database, 1)
            await database.write(lambda session: rows.insert(session, TABLE, 1, connector(1), 1))
            await database.write(lambda session: tenants.remove(session, 1))
            assert await database.reader.fetch("SELECT * FROM connector_counts") == []

    asyncio.run(run())


def test_other_conditions_are_not_told_by_counts() -> None:
    either = Operation("or", Sort.BOOLEAN, (in_state("error"), in_state("active")))
    assert by_counts(TABLE, 1, either, 0) is None
    assert by_counts(TABLE, 1, in_state("error", "version"), 0) is None
    assert by_counts(TABLE, 1, None, 0) is not None
