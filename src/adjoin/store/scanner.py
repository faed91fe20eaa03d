"""Reads that may look at many rows: one thread for all of them, with a connection of its own.

They run one after the other, one tenant's after another's (`lines.py`), each within a time that counts from when it
was asked, its turn included. Two at once
would take turns at the interpreter for each row, and everything else would wait for both (performance.md section 5).
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import apsw

from adjoin.store.database import Insertion, TooSlow, Unavailable
from adjoin.store.lines import Lines
from adjoin.store.statements import tenant_of

# What the text index leads to lies all over the file, and is read again by who asks for the next page.
_CACHE_KIB: Final = 16_384
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

    embedded = True

    def __init__(self, connection: apsw.Connection, seconds: float) -> None:
        connection.execute("PRAGMA query_only=ON")
        connection.execute(f"PRAGMA cache_size=-{_CACHE_KIB}")
        self._connection = connection
        self._seconds = seconds
        self._loop = asyncio.get_running_loop()
        self._lines: Lines[_Job] = Lines()
        self._lock = threading.Lock()
        self._running: _Job | None = None
        self._thread = threading.Thread(target=self._run, name="scanner", daemon=True)
        self._thread.start()

    async def fetch(self, sql: str, parameters: Sequence[object] = ()) -> _Rows:
        """Run one statement that reads, when its turn comes. Raises Overloaded, TooSlow or Unavailable."""
        tenant, job = tenant_of(sql, parameters), _Job(sql, parameters, self._loop.create_future())
        self._lines.put(tenant, job)
        limit = self._loop.call_later(self._seconds, self._end, job)
        try:
            return await job.answer
        finally:
            limit.cancel()
            self._lines.done(tenant, job)

    async def fetch_apart(self, sql: str, parameters: Sequence[object] = ()) -> _Rows:
        """Nothing gathers here."""
        return await self.fetch(sql, parameters)

    def insert(self, insertion: Insertion, row: Sequence[object]) -> None:
        raise RuntimeError(f"Rows are inserted in a transaction: {insertion.into}, {len(row)} values.")

    async def close(self) -> None:
        """End what runs and what waits, and close the connection."""
        self._lines.close()
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
        while (job := self._lines.take()) is not None:
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
