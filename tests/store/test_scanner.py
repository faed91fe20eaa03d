"""Reads that may look at many rows: aside from all others, one after the other, and never for longer than they may."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

import pytest

from adjoin.store import settings
from adjoin.store.database import Insertion, Overloaded, TooSlow, Unavailable
from adjoin.store.lines import SHARE, WAITING_LIMIT
from adjoin.store.migrate import migrate
from adjoin.store.sqlite import SQLite
from adjoin.store.statements import Everywhere

ENDLESS: Final = "WITH RECURSIVE n(x) AS (SELECT ?1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n"
ONE: Final = Everywhere("SELECT 1")


def on(folder: Path, act: Callable[[SQLite], Awaitable[None]], seconds: float = 60.0) -> None:
    """Run `act` on a database whose slow reads may take this long."""
    migrate(folder / "adjoin.db")

    async def run() -> None:
        database = SQLite(folder / "adjoin.db", scan_seconds=seconds)
        try:
            await act(database)
        finally:
            await database.close()

    asyncio.run(run())


def test_gives_what_the_statement_finds(tmp_path: Path) -> None:
    async def act(database: SQLite) -> None:
        await database.write(lambda session: settings.keep_first(session, "a", b"1"))
        assert await database.scanner.fetch(Everywhere("SELECT name FROM settings WHERE name = ?1"), ("a",)) == [("a",)]

    on(tmp_path, act)


def test_a_read_that_takes_too_long_is_ended_and_the_next_one_runs(tmp_path: Path) -> None:
    async def act(database: SQLite) -> None:
        with pytest.raises(TooSlow, match=r"within 0\.05 seconds"):
            await database.scanner.fetch(ENDLESS, (1,))
        assert await database.scanner.fetch(ONE) == [(1,)]

    on(tmp_path, act, 0.05)


def test_waiting_for_its_turn_counts(tmp_path: Path) -> None:
    async def act(database: SQLite) -> None:
        both = (database.scanner.fetch(ENDLESS, (1,)), database.scanner.fetch(ONE))
        answers = await asyncio.gather(*both, return_exceptions=True)
        assert isinstance(answers[0], TooSlow)
        # Both times end in the same turn of the loop, or the second after the first has made way.
        assert isinstance(answers[1], TooSlow) or answers[1] == [(1,)]

    on(tmp_path, act, 0.05)


def test_reads_and_writes_go_on_beside_it(tmp_path: Path) -> None:
    async def act(database: SQLite) -> None:
        scan = asyncio.ensure_future(database.scanner.fetch(ENDLESS, (1,)))
        await asyncio.sleep(0)
        assert await database.write(lambda session: settings.keep_first(session, "a", b"1")) == b"1"
        assert await settings.find(database.reader, "a") == b"1"
        assert not scan.done()
        await database.close()
        with pytest.raises(Unavailable):
            await scan

    on(tmp_path, act)


def test_no_more_wait_than_may(tmp_path: Path) -> None:
    async def act(database: SQLite) -> None:
        tenants = range(1, WAITING_LIMIT // SHARE + 1)
        waiting = [
            asyncio.ensure_future(database.scanner.fetch(ENDLESS, (tenant,)))
            for tenant in tenants
            for _ in range(SHARE)
        ]
        await asyncio.sleep(0)
        with pytest.raises(Overloaded, match="of this tenant"):
            await database.scanner.fetch(ENDLESS, (1,))
        waiting[-1].cancel()
        await asyncio.sleep(0)
        waiting.append(asyncio.ensure_future(database.scanner.fetch(ENDLESS, (99,))))
        await asyncio.sleep(0)
        with pytest.raises(Overloaded, match="than the service takes on"):
            await database.scanner.fetch(ENDLESS, (99,))
        for each in waiting:
            each.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)

    on(tmp_path, act)


def test_changes_nothing(tmp_path: Path) -> None:
    async def act(database: SQLite) -> None:
        with pytest.raises(Unavailable, match="readonly"):
            await database.scanner.fetch("INSERT INTO connector_counts (tenant, state, number) VALUES (?1, 1, 1)", (1,))
        with pytest.raises(RuntimeError, match="in a transaction"):
            database.scanner.insert(Insertion("INSERT INTO connector_counts (tenant, state, number)", 3), (1, 1, 1))

    on(tmp_path, act)


def test_a_mistake_of_the_program_is_told(tmp_path: Path) -> None:
    async def act(database: SQLite) -> None:
        with pytest.raises(Exception, match="bindings"):
            await database.scanner.fetch("SELECT ?1, ?2", (1,))

    on(tmp_path, act)
