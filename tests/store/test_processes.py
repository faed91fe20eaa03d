"""A database that two processes use: what one commits the other sees, and one that leaves takes nothing with it."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

from adjoin.store import settings
from adjoin.store.migrate import migrate
from adjoin.store.sqlite import SQLite

OTHER = """
import asyncio, pathlib, sys
from adjoin.store import settings
from adjoin.store.sqlite import SQLite

async def main() -> None:
    database = SQLite(pathlib.Path(sys.argv[1]))
    await database.write(lambda session: settings.keep_first(session, sys.argv[2], b"theirs"))
    await database.close()

asyncio.run(main())
"""


def other_process_writes(path: Path, name: str) -> None:
    subprocess.run([sys.executable, "-c", OTHER, str(path), name], check=True, timeout=60)


def test_a_process_that_comes_and_goes_leaves_the_others_connections_whole(tmp_path: Path) -> None:
    path = tmp_path / "adjoin.db"
    migrate(path)

    async def run() -> list[bytes | None]:
        database = SQLite(path)
        await database.write(lambda session: settings.keep_first(session, "before", b"ours"))
        await asyncio.to_thread(other_process_writes, path, "first")
        seen = [await settings.find(database.reader, "first")]
        await database.write(lambda session: settings.keep_first(session, "after", b"ours"))
        await asyncio.to_thread(other_process_writes, path, "second")
        seen += [await settings.find(database.reader, name) for name in ("second", "before", "after")]
        await database.close()
        return seen

    assert asyncio.run(run()) == [b"theirs", b"theirs", b"ours", b"ours"]


def test_nothing_is_lost_when_the_database_is_opened_again(tmp_path: Path) -> None:
    path = tmp_path / "adjoin.db"
    migrate(path)

    async def write() -> None:
        database = SQLite(path)
        await database.write(lambda session: settings.keep_first(session, "one", b"1"))
        await asyncio.to_thread(other_process_writes, path, "two")
        await database.write(lambda session: settings.keep_first(session, "three", b"3"))
        await database.close()

    async def read() -> list[bytes | None]:
        database = SQLite(path)
        found = [await settings.find(database.reader, name) for name in ("one", "two", "three")]
        await database.close()
        return found

    asyncio.run(write())
    assert asyncio.run(read()) == [b"1", b"theirs", b"3"]
