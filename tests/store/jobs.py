"""Jobs for a database's writer, on a table that belongs to no tenant: those that succeed, and those that do not."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final

from adjoin.store.database import Database, Insertion, Session
from adjoin.store.sqlite import SQLite
from adjoin.store.statements import Everywhere

Act = Callable[[Session], Awaitable[Any]]
INSERT: Final = Everywhere("INSERT INTO settings VALUES (?1, ?2)")
COUNT: Final = Everywhere("SELECT count(*) FROM settings")
SETTING: Final = Insertion(Everywhere("INSERT INTO settings (name, value)"), 2)


class Wrong(Exception):
    """What a failing job raises."""


def put(name: str) -> Act:
    """A job that writes and gives the name."""

    async def act(session: Session) -> str:
        await session.fetch(INSERT, (name, b""))
        return name

    return act


def put_and_fail(name: str) -> Act:
    async def act(session: Session) -> None:
        await session.fetch(INSERT, (name, b""))
        raise Wrong(name)

    return act


def gather(name: str) -> Act:
    """As `put`, with an insertion that may wait."""

    async def act(session: Session) -> str:
        session.insert(SETTING, (name, b""))
        return name

    return act


def gather_and_fail(name: str) -> Act:
    async def act(session: Session) -> None:
        session.insert(SETTING, (name, b""))
        raise Wrong(name)

    return act


def fail(name: str) -> Act:
    async def act(_: Session) -> None:
        raise Wrong(name)

    return act


def count_and_put(name: str) -> Act:
    """A job whose result depends on what those before it left."""

    async def act(session: Session) -> int:
        ((before,),) = await session.fetch(COUNT)
        await session.fetch(INSERT, (name, b""))
        return int(before)

    return act


@contextlib.asynccontextmanager
async def held(database: Database) -> AsyncIterator[None]:
    """While this lasts the writer is busy with a job; what is queued meanwhile makes one group."""
    begun, go_on = threading.Event(), threading.Event()

    async def act(_: Session) -> None:
        begun.set()
        go_on.wait(10)

    holding = asyncio.ensure_future(database.write(act))
    await asyncio.to_thread(begun.wait, 10)
    yield
    go_on.set()
    await holding


def gathering(database: Database) -> contextlib.AbstractAsyncContextManager[None]:
    """What is queued while this lasts makes one group. PostgreSQL's writer is on the loop: it waits as it is."""
    return held(database) if isinstance(database, SQLite) else contextlib.nullcontext()


async def in_one_group(database: Database, jobs: list[Act]) -> list[Any]:
    """The results, or the exceptions, of jobs that share a commit."""
    async with gathering(database):
        futures = [asyncio.ensure_future(database.write(job)) for job in jobs]
        await asyncio.sleep(0)
    return await asyncio.gather(*futures, return_exceptions=True)


async def names(database: Database) -> list[str]:
    return [name for (name,) in await database.reader.fetch(Everywhere("SELECT name FROM settings ORDER BY name"))]
