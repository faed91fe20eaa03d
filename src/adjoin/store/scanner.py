"""Reads that may look at many rows: one thread for all of them, with a connection of its own.

They run one after the other, each within a time that counts from when it was asked, its turn included. Two at once
would take turns at the interpreter for each row, and everything else would wait for both (performance.md section 5).
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import apsw

from adjoin.store.database import Insertion, Overloaded, TooSlow, Unavailable

WAITING_LIMIT: Final = 64
_Rows = list[tuple[Any, ...]]


@dataclass(eq=False)
class _Job:
    sql: str
    parameters: Sequence[object]
    answer: asyncio.Future[_Rows]
    late: bool = False
    """Its time was over before its turn came, or in the middle of it."""


class Scanner:
    """A session for such reads. Make, use and close it on one event loop; the connection is its own from then on."""

    keeps_counts = True

    def __init__(self, connection: apsw.Connection, seconds: float) -> None:
        connection.execute("PRAGMA query_only=ON")
        self._connection = connection
        self._seconds = seconds
        self._loop = asyncio.get_running_loop()
        self._queue: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._waiting = 0
        self._lock = threading.Lock()
        self._running: _Job | None = None
        self._thread = threading.Thread(target=self._run, name="scanner", daemon=True)
        self._thread.start()

    async def fetch(self, sql: str, parameters: Sequence[object] = ()) -> _Rows:
        """Run one statement that reads, when its turn comes. Raises Overloaded, TooSlow or Unavailable."""
        if self._waiting >= WAITING_LIMIT:
            raise Overloaded("More reads that take long are waiting than the service takes on.")
        job = _Job(sql, parameters, self._loop.create_future())
        limit = self._loop.call_later(self._seconds, self._end, job)
        self._waiting += 1
        self._queue.put(job)
        try:
            return await job.answer
        finally:
            limit.cancel()
            self._waiting -= 1

    async def fetch_apart(self, sql: str, parameters: Sequence[object] = ()) -> _Rows:
        """Nothing gathers here."""
        return await self.fetch(sql, parameters)

    async def insert(self, insertion: Insertion, row: Sequence[object]) -> None:
        """Refused by the connection, as any change is."""
        await self.fetch(insertion.text(1), row)

    async def close(self) -> None:
        """End what runs and what waits, and close the connection."""
        self._queue.put(None)
        with self._lock:
            if self._running is not None:
                self._connection.interrupt()
        await asyncio.to_thread(self._thread.join)

    def _end(self, job: _Job) -> None:
        # Under the lock no other read can begin, which would be interrupted in place of this one.
        with self._lock:
            job.late = True
            if self._running is job:
                self._connection.interrupt()

    def _run(self) -> None:
        while (job := self._queue.get()) is not None:
            with self._lock:
                self._running = None if job.late else job
            found: _Rows = []
            error: Exception | None = None
            if not (job.late or job.answer.done()):
                try:
                    found = self._connection.execute(job.sql, job.parameters).fetchall()
                except Exception as raised:  # noqa: BLE001 - whatever it is, it belongs to the caller who waits
                    error = raised
            with self._lock:
                self._running = None
            self._loop.call_soon_threadsafe(self._settle, job, found, error)
        self._connection.close()

    def _settle(self, job: _Job, found: _Rows, error: Exception | None) -> None:
        if job.answer.done():
            return
        if job.late:
            job.answer.set_exception(
                TooSlow(
                    f"The query was not done within {self._seconds:g} seconds, its turn included. Ask for less: by id, "
                    "by one value of a property, in the order of one property, or on from a nextLink."
                )
            )
        elif error is None:
            job.answer.set_result(found)
        elif isinstance(error, apsw.Error) and not isinstance(error, (apsw.BindingsError, apsw.MisuseError)):
            job.answer.set_exception(Unavailable(f"The database did not answer: {error}."))
        else:
            job.answer.set_exception(error)
