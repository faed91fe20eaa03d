"""A database on a PostgreSQL server: a few connections to read, and one that writes in groups, as SQLite's writer does.

At any time one transaction reads and writes, whichever node has it: each takes the same lock first. So what a write has
read is still so when it changes it, and nothing has to be tried again. A group holds all that came while the last one
was kept; where its writes look at nothing and only add rows, it is one statement, and needs no lock.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from adjoin.store import group
from adjoin.store.address import shown
from adjoin.store.commits import Commits
from adjoin.store.counts import TAKE_OVER
from adjoin.store.database import Overloaded, Session, Unavailable, Uncertain
from adjoin.store.group import Job, Outcome, Ran, Undone
from adjoin.store.hosts import Hosts
from adjoin.store.lines import Lines
from adjoin.store.link import Busy, Link, Lost, connect
from adjoin.store.readers import Readers

T = TypeVar("T")

READERS: Final = 8
SCANNERS: Final = 2
READ_SECONDS: Final = 10.0
"""How long a read may take that an index leads to: more, and it waits for a lock, or the server is in distress."""

SCAN_SECONDS: Final = 5.0
"""How long a read that may look at many rows may take, and how long it may wait for its turn."""

WRITE_LOCK: Final = 0x61646A6E
"""The advisory lock of whoever writes ("adjn")."""

# A server that does not even end a statement when its time is over is stuck, and waited for no longer.
_GRACE: Final = 5.0
_QUEUE_LIMIT: Final = 4_096
_GROUP_LIMIT: Final = 512
_BEGIN: Final = f"BEGIN; SELECT pg_advisory_xact_lock({WRITE_LOCK})"
_UNCONFIRMED: Final = "The change was made, but whether it will last the database does not say. Look first."
# What was acknowledged is kept, whatever the server's own default; a stricter one stays.
_DURABLE: Final = (
    "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'"
)


class PostgreSQL:
    """An open database. Make, use and close it on one event loop; it connects when it is first used, and again."""

    def __init__(self, url: str, readers: int = READERS, commits: Commits | None = None) -> None:
        self.url = url
        self._commits = commits or Commits()
        self._commits.waiting = lambda: self._waiting
        hosts = self._hosts = Hosts(url)
        self._reader = Readers(lambda: connect(hosts, READ_SECONDS, READ_SECONDS + _GRACE), readers)
        self._scanner = Readers(
            lambda: connect(hosts, SCAN_SECONDS, SCAN_SECONDS + _GRACE, scans=True), SCANNERS, SCAN_SECONDS, Lines()
        )
        self._link: Link | None = None
        self._queue: deque[Job] = deque()
        self._waiting = 0
        self._closed = False
        self._come = asyncio.Event()
        self._writer = asyncio.get_running_loop().create_task(self._write_until_closed(), name="writer")

    def __repr__(self) -> str:
        return f"PostgreSQL({shown(self.url)})"

    @property
    def reader(self) -> Session:
        return self._reader

    @property
    def scanner(self) -> Session:
        return self._scanner

    def generation(self) -> None:
        """Other nodes change the database without this one's knowing."""
        return

    async def write(self, act: Callable[[Session], Awaitable[T]]) -> T:
        if self._closed:
            raise Unavailable("The service is stopping.")
        if self._waiting >= _QUEUE_LIMIT:
            raise Overloaded("More writes are waiting than the service takes on.")
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._waiting += 1
        self._queue.append(Job(act, future))
        self._come.set()
        return await future

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._come.set()
        await self._writer
        await self._reader.close()
        await self._scanner.close()

    async def _write_until_closed(self) -> None:
        while True:
            await self._come.wait()
            self._come.clear()
            while self._queue:
                jobs = [self._queue.popleft() for _ in range(min(len(self._queue), _GROUP_LIMIT))]
                began = time.perf_counter()
                try:
                    outcomes = await self._commit(jobs)
                except Exception as error:  # noqa: BLE001 - whoever waits for these has to hear, and the next go on
                    self._drop()
                    outcomes = [Outcome(job, error=error) for job in jobs]
                self._commits.add(time.perf_counter() - began, [each.error for each in outcomes])
                self._settle(outcomes)
            if self._closed:
                break
        if self._link is not None:
            await self._link.close()

    def _settle(self, outcomes: list[Outcome]) -> None:
        self._waiting -= len(outcomes)
        for each in outcomes:
            if each.job.future.done():
                continue
            if each.error is None:
                each.job.future.set_result(each.result)
            else:
                each.job.future.set_exception(each.error)

    async def _commit(self, jobs: list[Job]) -> list[Outcome]:
        """Run the jobs in one transaction; if one of them undoes it, each in one of its own."""
        try:
            ran = await group.run(self._begun, jobs)
            if ran.link is None and ran.gathered:
                link = await self._linked()
                await link.ready_to_add(ran.gathered)
        except Undone as undone:
            return await self._each_alone(jobs, undone.error)
        except Unavailable as refusal:
            # Nothing was kept: the transaction ended with the connection, or never began.
            await self._roll_back()
            return [Outcome(job, error=refusal) for job in jobs]
        return await self._keep(ran, jobs)

    async def _keep(self, ran: Ran, jobs: list[Job]) -> list[Outcome]:
        """End the open transaction, or make the one statement that is all of it."""
        link = ran.link or self._link
        if link is None or (ran.link is None and not ran.gathered):
            return ran.outcomes
        link.warnings()
        try:
            if ran.link is None:
                await link.add(ran.gathered)
            else:
                await link.run("COMMIT")
        except Exception as error:  # noqa: BLE001 - whatever it is, those who wait have to hear of it
            if ran.link is None and not (link.lost or isinstance(error, Busy)):
                # The database has something against a row, and so has taken none.
                return await self._each_alone(jobs, error)
            return await self._not_kept(link, ran.outcomes, error)
        if link.warnings():
            # So it says that it no longer waits for a standby: the change is there, and may be lost.
            return [Outcome(each.job, error=each.error or Uncertain(_UNCONFIRMED)) for each in ran.outcomes]
        return ran.outcomes

    async def _each_alone(self, jobs: list[Job], error: BaseException) -> list[Outcome]:
        await self._roll_back()
        if len(jobs) == 1:
            return [Outcome(jobs[0], error=error)]
        return [outcome for job in jobs for outcome in await self._commit([job])]

    async def _not_kept(self, link: Link, outcomes: list[Outcome], error: Exception) -> list[Outcome]:
        """What to tell when the end of a transaction was not confirmed. It is never tried again from here."""
        told = error
        if link.lost:
            told = Uncertain("The database was lost while it kept the change. It may have been made: look first.")
        await self._roll_back()
        return [Outcome(each.job, error=each.error or told) for each in outcomes]

    async def _begun(self) -> Link:
        """The connection, in a transaction that holds the lock. A connection that died meanwhile is replaced."""
        link = await self._linked()
        try:
            await link.run(_BEGIN)
        except Lost:
            self._drop()
            link = await self._linked()
            await link.run(_BEGIN)
        return link

    async def _linked(self) -> Link:
        if self._link is None or self._link.lost:
            link = await connect(self._hosts)
            await link.run(_DURABLE)
            link.heed()
            self._link = link
            # What the connection before has counted is nobody's now, and each count would go on summing it.
            await link.fetch(TAKE_OVER)
        return self._link

    async def _roll_back(self) -> None:
        if self._link is None:
            return
        try:
            await self._link.run("ROLLBACK")
        except Exception:  # noqa: BLE001 - then the server does, with the connection
            self._drop()
        else:
            # What was shown was rolled back, too.
            self._link.tenant = None

    def _drop(self) -> None:
        if self._link is not None:
            self._link.abandon()
            self._link = None
