"""What is remembered of a database: only as long as nobody has changed it, this process or another."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import apsw
from tests.store.opened import opened

from adjoin.store import settings
from adjoin.store.database import Database, Session
from adjoin.store.memory import Memory
from adjoin.store.within import Within


class Counted:
    """Reads a setting, and counts how often the database was asked."""

    def __init__(self) -> None:
        self.memory = Memory()
        self.readings = 0

    async def read(self, session: Session) -> bytes | None:
        self.readings += 1
        return await settings.find(session, "name")

    async def recall(self, database: Database) -> bytes | None:
        return await self.memory.recall(database, "name", self.read)


def write_from_elsewhere(path: Path) -> None:
    """A change by another connection, which SQLite does not tell from one of another process."""
    with contextlib.closing(apsw.Connection(str(path))) as other:
        other.execute("INSERT INTO settings VALUES ('name', x'01')")


def test_the_same_is_read_once(tmp_path: Path) -> None:
    async def run() -> None:
        async with opened(tmp_path / "a.db") as database:
            counted = Counted()
            for _ in range(3):
                assert await counted.recall(database) is None
                await asyncio.sleep(0)
            assert counted.readings == 1

    asyncio.run(run())


def test_a_change_by_another_process_shows_at_once(tmp_path: Path) -> None:
    async def run() -> None:
        async with opened(tmp_path / "a.db") as database:
            counted = Counted()
            assert await counted.recall(database) is None
            await asyncio.to_thread(write_from_elsewhere, tmp_path / "a.db")
            assert await counted.recall(database) == b"\x01"

    asyncio.run(run())


def test_a_change_of_ones_own_shows_at_once(tmp_path: Path) -> None:
    async def run() -> None:
        async with opened(tmp_path / "a.db") as database:
            counted = Counted()
            assert await counted.recall(database) is None
            await database.write(lambda session: settings.keep_first(session, "name", b"\x02"))
            assert await counted.recall(database) == b"\x02"

    asyncio.run(run())


def test_nothing_is_remembered_of_an_open_transaction(tmp_path: Path) -> None:
    async def run() -> None:
        async with opened(tmp_path / "a.db") as database:
            counted = Counted()

            async def act(session: Session) -> Sequence[Any]:
                within = Within(session)
                before = await counted.recall(within)
                await settings.keep_first(session, "name", b"\x03")
                return before, await counted.recall(within)

            assert await database.write(act) == (None, b"\x03")

    asyncio.run(run())


class Changing:
    """A database that is changed while it is read."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.number = 0

    @property
    def reader(self) -> Session:
        return self._database.reader

    def generation(self) -> int:
        return self.number

    write = close = None


def test_what_was_read_before_a_change_is_not_kept_as_if_it_were_after(tmp_path: Path) -> None:
    async def run() -> None:
        async with opened(tmp_path / "a.db") as database:
            changing: Any = Changing(database)
            memory, read = Memory(), []

            async def slowly(_: Session) -> str:
                changing.number += 1
                await memory.recall(changing, "other", quickly)
                return "before"

            async def quickly(_: Session) -> str:
                read.append(changing.number)
                return "after"

            assert await memory.recall(changing, "key", slowly) == "before"
            assert await memory.recall(changing, "key", quickly) == "after"

    asyncio.run(run())
