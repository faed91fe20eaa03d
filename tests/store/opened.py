"""Databases for the tests of the store: migrated, opened on an event loop of their own, and closed again."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import apsw
from tests.postgresql import Databases

from adjoin.odata.values import Instant
from adjoin.store import opening, tenants
from adjoin.store.columns import Value
from adjoin.store.database import Database, Session
from adjoin.store.tenants import Tenant

T = TypeVar("T")

CREATED: Final = "2026-01-01T00:00:00Z"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a database is: a file, or a URL and the server that it is on."""

    where: Path | str
    databases: Databases | None = None

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """What a statement finds, past this program's own code."""
        if self.databases is None:
            return rows_of(Path(self.where), sql)
        return self.databases.rows_of(str(self.where), sql)


@contextlib.asynccontextmanager
async def opened(where: Path | str | Place) -> AsyncIterator[Database]:
    """The database there, migrated and open."""
    database = await opening.opened(where.where if isinstance(where, Place) else where)
    try:
        yield database
    finally:
        await database.close()


def on(where: Path | str | Place, act: Callable[[Database], Awaitable[T]]) -> T:
    """What `act` gives on the database there."""

    async def run() -> T:
        async with opened(where) as database:
            return await act(database)

    return asyncio.run(run())


async def new_tenant(database: Database, number: int) -> Tenant:
    """A tenant named by a number."""

    async def act(session: Session) -> Tenant | None:
        return await tenants.add(session, guid(number), f"tenant {number}", tenants.ACTIVE, CREATED)

    added = await database.write(act)
    assert added is not None
    return added


def guid(number: int) -> str:
    """A GUID made of a number; they order as the numbers do."""
    return f"00000000-0000-4000-8000-{number:012x}"


def connector(number: int, **changes: Value) -> dict[str, Value]:
    """The values of a connector, told from others by a number."""
    return {
        "id": guid(number),
        "displayName": f"connector {number}",
        "lastConnectionDateTime": Instant.parse("2016-12-31T23:58:36.6670033-08:00"),
        "state": "error",
        "version": "1.0",
        **changes,
    }


@contextlib.contextmanager
def locked_by_another_process(path: Path) -> Iterator[None]:
    """While this lasts, another process has an open write transaction."""
    program = (
        "import sqlite3, sys; c = sqlite3.connect(sys.argv[1], isolation_level=None); c.execute('BEGIN IMMEDIATE');"
        "c.execute(\"INSERT INTO settings VALUES ('other', x'00')\"); print('locked', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", program, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"locked\n"
            yield
        finally:
            process.communicate()


def rows_of(path: Path, sql: str) -> list[tuple[Any, ...]]:
    """What a statement finds in the file, past this program's own code."""
    with contextlib.closing(apsw.Connection(str(path))) as connection:
        return connection.execute(sql).fetchall()
