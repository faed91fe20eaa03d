"""The embedded database: one file in WAL mode, one reading connection on the event loop (`reading.py`), one writing
thread, and one thread for reads that may take long (`scanner.py`).

The writer commits in groups: everything that queued while the last commit ran shares the next one, so that an
`fsync` is paid once for many (performance.md section 4: four times the rows, at full durability).

The driver is apsw, which brings a SQLite of its own: a read by key costs it half of what the standard library's costs.
Nothing else may open the file in this process by another SQLite meanwhile: the two would drop each other's locks
(sqlite.org/howtocorrupt.html, 2.2.1).
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import queue
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

import apsw

from adjoin.store.commits import Commits
from adjoin.store.database import Insertion, Numbers, Overloaded, Session, Unavailable, Unusable
from adjoin.store.reading import Outcome, Reading, Turns, refused, tell
from adjoin.store.scanner import Scanner
from adjoin.store.texts_sqlite import Waiting

T = TypeVar("T")

APPLICATION_ID: Final = 0x61646A6E  # "adjn": tells our files from other SQLite files
SCAN_SECONDS: Final = 5.0
"""How long a read that may look at many rows may take, its turn included."""
_HEADER_BYTES: Final = 100
BUSY_SECONDS: Final = 10.0
_STATEMENTS: Final = 256
_QUEUE_LIMIT: Final = 4_096
_GROUP_LIMIT: Final = 512
_ROWS_AT_ONCE: Final = 64
_ROWS_STEP: Final = 8

# FULL keeps every acknowledged commit through a power cut; grouping makes it nearly as cheap as NORMAL.
PRAGMAS: Final = (
    "PRAGMA synchronous=FULL",
    "PRAGMA foreign_keys=ON",
    "PRAGMA trusted_schema=OFF",
    "PRAGMA temp_store=MEMORY",
    "PRAGMA wal_autocheckpoint=2000",
)


def connect(path: Path) -> apsw.Connection:
    """A connection with this service's settings; makes the file (0600) if there is none. Raises Unusable.

    It may be handed to one other thread, never used by two.
    """
    try:
        # Only ever with O_EXCL: closing another descriptor of the file would drop the locks that this process's other
        # connections hold on it, and the next process to leave would take the log away from under them
        # (sqlite.org/howtocorrupt.html, 2.2).
        with contextlib.suppress(FileExistsError):
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        connection = apsw.Connection(str(path), statementcachesize=_STATEMENTS)
    except (OSError, apsw.Error) as error:
        raise Unusable(f"The database {path} cannot be opened: {error}.") from error
    try:
        # First of all: commands open the file while the server does, and wait for each other.
        connection.set_busy_timeout(int(BUSY_SECONDS * 1000))
        _claim(connection, path)
        _use_log(connection)
        for pragma in PRAGMAS:
            connection.execute(pragma)
    except apsw.Error as error:
        connection.close()
        raise Unusable(f"The database {path} cannot be used: {error}.") from error
    except Unusable:
        connection.close()
        raise
    return connection


def _use_log(connection: apsw.Connection) -> None:
    """Write-ahead logging, which the file keeps. The change to it does not wait for other connections by itself."""
    deadline = time.monotonic() + BUSY_SECONDS
    while connection.execute("PRAGMA journal_mode").get != "wal":
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except (apsw.BusyError, apsw.LockedError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)


def _claim(connection: apsw.Connection, path: Path) -> None:
    """Make an empty file ours, and refuse another program's before anything of it is changed."""
    if connection.execute("PRAGMA application_id").get == APPLICATION_ID:
        return
    # SQLite takes a file shorter than its header for an empty database, and would write over it.
    if 0 < path.stat().st_size < _HEADER_BYTES:
        raise Unusable(f"The file {path} is no database; adjoin does not touch it.")
    connection.execute("BEGIN IMMEDIATE")
    owner = connection.execute("PRAGMA application_id").get
    if owner == 0 and not connection.execute("SELECT 1 FROM sqlite_schema LIMIT 1").get:
        connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
        owner = APPLICATION_ID
    connection.execute("COMMIT")
    if owner != APPLICATION_ID:
        raise Unusable(f"The database {path} was made by another program; adjoin does not touch it.")


class _Connected(Reading):
    """A session over the connection that writes. Its coroutine never suspends, so the writer can run it to its end."""

    def __init__(self, connection: apsw.Connection) -> None:
        super().__init__(connection)
        self._connection = connection
        self._gathered: dict[Insertion, list[Sequence[object]]] = {}
        self._inserted = 0
        self.texts = Waiting(connection)

    @property
    def changes(self) -> int:
        """Another after each change."""
        return self._connection.total_changes() + self._inserted

    def insert(self, insertion: Insertion, row: Sequence[object]) -> None:
        rows = self._gathered.get(insertion)
        if rows is None:
            self._gathered[insertion] = [row]
        else:
            rows.append(row)
        self._inserted += 1

    def put_in(self) -> None:
        """Carry out the insertions that have gathered: a statement for many rows lets the event loop run meanwhile."""
        for insertion, rows in self._gathered.items():
            for some in _in_pieces(self._numbered(insertion.numbers, rows)):
                self._execute(insertion.text(len(some)), [*insertion.common, *itertools.chain.from_iterable(some)])
        self._gathered.clear()

    def _numbered(self, numbers: Numbers | None, rows: list[Sequence[object]]) -> list[Sequence[object]]:
        """The rows, each with its number where it gets one."""
        if numbers is None:
            return rows
        following = {}
        for tenant, count in Counter(row[0] for row in rows).items():
            last = self._execute(numbers.take, (tenant, count)).get
            following[tenant] = itertools.count(last - count + 1)
        return [(row[0], next(following[row[0]]), *row[2:]) for row in rows]

    def forget(self) -> None:
        """Drop the insertions that have gathered."""
        self._gathered.clear()

    async def fetch(self, sql: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        if self._gathered:
            try:
                self.put_in()
            except apsw.Error as error:
                raise refused(error) from error
        return self._all(sql, parameters)


def _in_pieces(rows: list[Sequence[object]]) -> Iterator[list[Sequence[object]]]:
    """The rows in few pieces of few lengths, so that few statements have to be run and few to be kept ready."""
    at = 0
    while (left := len(rows) - at) > 0:
        length = left if left < _ROWS_STEP else min(_ROWS_AT_ONCE, left - left % _ROWS_STEP)
        yield rows[at : at + length]
        at += length


Act = Callable[[Session], Awaitable[Any]]
_Job = tuple[Act, "asyncio.Future[Any]"]


class SQLite:
    """An open SQLite database. Make, use and close it on one event loop."""

    def __init__(self, path: Path, scan_seconds: float = SCAN_SECONDS, commits: Commits | None = None) -> None:
        self._read = connect(path)
        self._read.execute("PRAGMA query_only=ON")
        self._commits = commits or Commits()
        self._commits.waiting = lambda: self._waiting
        self._loop = asyncio.get_running_loop()
        self._reader = Turns(self._read, self._loop)
        self._jobs: list[_Job] = []
        self._queue: queue.SimpleQueue[list[_Job] | None] = queue.SimpleQueue()
        self._waiting = 0
        self._closed = False
        self._scanner = Scanner(connect(path), scan_seconds)
        writing = (connect(path),)
        self._thread = threading.Thread(target=self._write_until_closed, args=writing, name="writer", daemon=True)
        self._thread.start()

    @property
    def reader(self) -> Session:
        return self._reader

    @property
    def scanner(self) -> Session:
        return self._scanner

    def generation(self) -> int | None:
        return self._reader.version()

    async def write(self, act: Callable[[Session], Awaitable[T]]) -> T:
        if self._closed:
            raise Unavailable("The service is stopping.")
        if self._waiting >= _QUEUE_LIMIT:
            raise Overloaded("More writes are waiting than the service takes on.")
        future: asyncio.Future[T] = self._loop.create_future()
        self._waiting += 1
        if not self._jobs:
            self._loop.call_soon(self._hand_over)
        self._jobs.append((act, future))
        return await future

    def _hand_over(self) -> None:
        """Give the writer what came in one turn of the event loop, together: it would begin with the first alone."""
        jobs, self._jobs = self._jobs, []
        if jobs:
            self._queue.put(jobs)

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._hand_over()
        self._queue.put(None)
        await self._scanner.close()
        await asyncio.to_thread(self._thread.join)
        self._reader.end()
        self._read.close()

    def _write_until_closed(self, connection: apsw.Connection) -> None:
        session = _Connected(connection)
        left: list[_Job] = []
        while (waiting := self._come(left)) is not None:
            jobs, left = waiting[:_GROUP_LIMIT], waiting[_GROUP_LIMIT:]
            began = time.perf_counter()
            try:
                outcomes = _commit(connection, session, jobs)
            except Exception as error:  # noqa: BLE001 - whoever waits for these jobs has to hear, and the next go on
                _roll_back(connection, session)
                outcomes = [(future, None, error) for _, future in jobs]
            self._commits.add(time.perf_counter() - began, [error for _, _, error in outcomes])
            self._loop.call_soon_threadsafe(self._settle, outcomes)
        connection.close()

    def _come(self, left: list[_Job]) -> list[_Job] | None:
        """What is left of earlier jobs, and all that have come meanwhile; None at the end."""
        jobs = left or self._queue.get()
        while jobs is not None:
            try:
                more = self._queue.get_nowait()
            except queue.Empty:
                break
            if more is None:
                self._queue.put(None)
                break
            jobs = jobs + more
        return jobs

    def _settle(self, outcomes: list[Outcome]) -> None:
        self._waiting -= len(outcomes)
        tell(outcomes)


def _commit(connection: apsw.Connection, session: _Connected, jobs: list[_Job]) -> list[Outcome]:
    """Run the jobs in one transaction. A job that fails after it changed something sends each to one of its own."""
    outcomes: list[Outcome] = []
    try:
        connection.execute("BEGIN IMMEDIATE")
        for act, future in jobs:
            before = session.changes
            result, error = _attempt(act, session)
            if error is not None and (session.changes != before or not connection.in_transaction):
                # Undoing one job alone would take a savepoint around each; this way only a failure pays.
                _roll_back(connection, session)
                return _commit_alone(connection, session, jobs, error)
            outcomes.append((future, result, error))
        session.put_in()
        session.texts.put_in()
        connection.execute("COMMIT")
    except apsw.Error as error:
        _roll_back(connection, session)
        if isinstance(error, apsw.ConstraintError) and len(jobs) > 1:
            # A row of one of them; its neighbours have nothing to do with it.
            return _commit_alone(connection, session, jobs, error)
        refusal = Unavailable(f"The database did not take the change: {error}.")
        return [(future, None, refusal) for _, future in jobs]
    return outcomes


def _commit_alone(
    connection: apsw.Connection, session: _Connected, jobs: list[_Job], error: BaseException
) -> list[Outcome]:
    if len(jobs) == 1:
        return [(jobs[0][1], None, error)]
    return [outcome for job in jobs for outcome in _commit(connection, session, [job])]


def _attempt(act: Act, session: Session) -> tuple[Any, BaseException | None]:
    try:
        coroutine = act(session)
        coroutine.send(None)  # type: ignore[attr-defined]
    except StopIteration as done:
        return done.value, None
    except Exception as error:  # noqa: BLE001 - whatever it is, it belongs to the caller who waits for this job
        return None, error
    coroutine.close()  # type: ignore[attr-defined]
    return None, RuntimeError("A write awaited something other than its session.")


def _roll_back(connection: apsw.Connection, session: _Connected) -> None:
    session.forget()
    # After a full disk or an I/O error SQLite has rolled back by itself, and says so only when asked again.
    with contextlib.suppress(apsw.Error):
        connection.execute("ROLLBACK")
