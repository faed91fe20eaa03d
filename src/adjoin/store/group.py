"""Writes that share a transaction on PostgreSQL, one after the other: each is a coroutine, run statement by statement.

A statement costs a round trip. So rows to be inserted are gathered, over all writes of the group and all tables, until
a statement could see them, and a transaction begins with the first statement: a group of creates is one statement.
A mistake undoes the whole transaction; whoever runs the group then runs each write alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from adjoin.store.database import Alike, Insertion, Session, Unavailable
from adjoin.store.link import Busy, Gathered, Link, Lost, Row

Act = Callable[[Session], Awaitable[Any]]

_PATIENCE: Final = 8


@dataclass(frozen=True, slots=True)
class Job:
    """A write that waits to be made, and where its caller waits for what comes of it."""

    act: Act
    future: asyncio.Future[Any]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a job: its result, or the exception that it ended with."""

    job: Job
    result: Any = None
    error: BaseException | None = None


@dataclass(frozen=True, slots=True)
class Ran:
    """What came of the jobs, the connection whose transaction is still open, if any, and what is to be inserted yet."""

    outcomes: list[Outcome]
    link: Link | None
    gathered: Gathered


class Undone(Exception):
    """The transaction cannot be kept: a job failed after it had changed something, or the database refused one."""

    def __init__(self, error: BaseException) -> None:
        super().__init__(str(error))
        self.error = error


@dataclass(slots=True)
class _Statement:
    """A statement that a job waits for. What runs the job sends its rows in."""

    sql: str
    parameters: Sequence[object]
    apart: bool = False
    """What has gathered may go on gathering."""

    def __await__(self) -> Generator[_Statement, list[Row], list[Row]]:
        return (yield self)


class CannotBegin(Unavailable):
    """No transaction can be had now; nothing was done."""


class _Asking:
    """The session that the jobs of a group are given."""

    embedded = False

    def __init__(self, begin: Callable[[], Awaitable[Link]]) -> None:
        self._begin = begin
        self.link: Link | None = None
        self.gathered: dict[Insertion, list[Sequence[object]]] = {}
        self.changes = 0

    async def begun(self) -> Link:
        """The connection, in a transaction."""
        if self.link is None:
            try:
                self.link = await self._begin()
            except Unavailable as refusal:
                raise CannotBegin(refusal.message) from refusal
        return self.link

    async def put_in(self) -> None:
        """Carry out the insertions that have gathered."""
        gathered, self.gathered = self.gathered, {}
        if gathered and self.link is not None:
            await self.link.ready_to_add(gathered)
            await self.link.add(gathered)

    def insert(self, insertion: Insertion, row: Sequence[object]) -> None:
        if isinstance(insertion, Alike):
            # Arrays of columns have a value for each row.
            row, insertion = insertion.whole(row), insertion.of
        self.gathered.setdefault(insertion, []).append(row)
        self.changes += 1

    async def fetch(self, sql: str, parameters: Sequence[object] = ()) -> list[Row]:
        return await self._ask(_Statement(sql, parameters))

    async def fetch_apart(self, sql: str, parameters: Sequence[object] = ()) -> list[Row]:
        return await self._ask(_Statement(sql, parameters, apart=True))

    async def _ask(self, statement: _Statement) -> list[Row]:
        sql, rows = statement.sql, await statement
        if not sql.startswith("SELECT") and (rows or "RETURNING" not in sql):
            self.changes += 1
        return rows


async def run(begin: Callable[[], Awaitable[Link]], jobs: Sequence[Job]) -> Ran:
    """Run the jobs; `begin` opens a transaction, and is called if one is needed.

    Raises Undone, or Unavailable when the transaction cannot begin, its connection is gone, or the server is busy: each
    alone would wait for it anew.
    """
    session = _Asking(begin)
    outcomes = [await _to_the_end(session, job, alone=len(jobs) == 1) for job in jobs]
    if _numbers_of_several(session.gathered):
        # Counters of several tenants are taken under the lock alone: else two nodes could wait for each other.
        await session.begun()
    if session.link is not None:
        try:
            await session.put_in()
        except (Lost, Busy):
            raise
        except Exception as error:
            raise Undone(error) from error
    return Ran(outcomes, session.link, session.gathered)


def _numbers_of_several(gathered: Gathered) -> bool:
    return len({row[0] for each, rows in gathered.items() if each.numbers is not None for row in rows}) > 1


async def _to_the_end(session: _Asking, job: Job, *, alone: bool) -> Outcome:
    before = session.changes
    run = _Run(session, job)
    while run.waits_for is not None:
        try:
            link = await session.begun()
            if not run.waits_for.apart:
                await session.put_in()
            rows = await link.fetch(run.waits_for.sql, run.waits_for.parameters)
        except (Lost, CannotBegin, Busy):
            run.stop()
            raise
        except Exception as error:
            raise Undone(run.refused(error) if alone else run.stop(error)) from error
        run.given(rows)
    if run.outcome is None:
        raise Undone(RuntimeError("A write did not end."))
    if run.outcome.error is not None and session.changes != before:
        raise Undone(run.outcome.error)
    return run.outcome


class _Run:
    """A job under way: the statement that it waits for, or its outcome."""

    def __init__(self, session: _Asking, job: Job) -> None:
        self.job = job
        self.waits_for: _Statement | None = None
        self.outcome: Outcome | None = None
        try:
            self._coroutine: Any = job.act(session)
        except Exception as error:  # noqa: BLE001 - whatever it is, it belongs to the caller who waits for this job
            self.outcome = Outcome(job, error=error)
        else:
            self.given(None)

    def given(self, rows: list[Row] | None) -> None:
        """Go on with what the statement gave; None begins."""
        self._go_on(lambda: self._coroutine.send(rows))

    def refused(self, error: Exception) -> BaseException:
        """Let the job see that its statement failed, and give what it makes of that; nothing of it can be kept.

        It may ask for more, and gets the same answer.
        """
        for _ in range(_PATIENCE):
            if self.outcome is None:
                self._go_on(lambda: self._coroutine.throw(error))
        self.stop()
        return self.outcome.error if self.outcome is not None and self.outcome.error is not None else error

    def stop(self, error: Exception | None = None) -> Exception:
        """Give the job up."""
        if self.outcome is None:
            self._coroutine.close()
        return error or RuntimeError("A write was given up.")

    def _go_on(self, step: Callable[[], Any]) -> None:
        self.waits_for = None
        try:
            waits_for = step()
        except StopIteration as done:
            self.outcome = Outcome(self.job, done.value)
        except Exception as error:  # noqa: BLE001 - as above
            self.outcome = Outcome(self.job, error=error)
        else:
            if isinstance(waits_for, _Statement):
                self.waits_for = waits_for
                return
            self._coroutine.close()
            self.outcome = Outcome(self.job, error=RuntimeError("A write awaited something other than its session."))
