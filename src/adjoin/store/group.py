"""Writes that share one transaction on PostgreSQL: each is a coroutine that is run from statement to statement.

A statement costs a round trip, so writes that only add rows take turns: what all of them insert next goes in as one
statement. The others run one after the other, each to its end. A mistake in one undoes the whole transaction; whoever
runs the group then runs each alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from adjoin.store.database import Session, Unavailable
from adjoin.store.link import Link, Lost, Row
from adjoin.store.statements import Insertion

Act = Callable[[Session], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Job:
    """A write that waits to be made, and where its caller waits for what comes of it."""

    act: Act
    future: asyncio.Future[Any]
    adds: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a job: its result, or the exception that it ended with."""

    job: Job
    result: Any = None
    error: BaseException | None = None


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

    def __await__(self) -> Generator[_Statement, list[Row], list[Row]]:
        return (yield self)


class _Asking:
    """The session that jobs are given."""

    async def fetch(self, sql: str, parameters: Sequence[object] = ()) -> list[Row]:
        return await _Statement(sql, parameters)


_SESSION: Final = _Asking()


class _Run:
    """A job under way: the statement that it waits for, or its outcome."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.waits_for: _Statement | None = None
        self.outcome: Outcome | None = None
        self.changed = False
        try:
            self._coroutine: Any = job.act(_SESSION)
        except Exception as error:  # noqa: BLE001 - whatever it is, it belongs to the caller who waits for this job
            self.outcome = Outcome(job, error=error)
        else:
            self._go_on(lambda: self._coroutine.send(None))

    def given(self, rows: list[Row]) -> None:
        """Go on with what the statement gave."""
        sql = self.waits_for.sql if self.waits_for else ""
        self.changed = self.changed or _changes(sql, rows)
        self._go_on(lambda: self._coroutine.send(rows))

    def refused(self, error: Exception) -> None:
        """Let the job see that its statement failed. It may ask for more, and gets the same answer."""
        for _ in range(_PATIENCE):
            if self.outcome is not None:
                return
            self._go_on(lambda: self._coroutine.throw(error))
        self.stop()

    def stop(self) -> None:
        if self.outcome is None:
            self._coroutine.close()

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


_PATIENCE: Final = 8


def _changes(sql: str, rows: list[Row]) -> bool:
    """Whether a statement may have changed something."""
    return not sql.startswith("SELECT") and (bool(rows) or "RETURNING" not in sql)


async def run(link: Link, jobs: Sequence[Job]) -> list[Outcome]:
    """Run the jobs in the open transaction. Raises Undone, or Lost when the connection is gone."""
    runs: list[_Run] = []
    try:
        runs.extend(_Run(job) for job in jobs if job.adds)
        await _by_turns(link, runs)
        for job in jobs:
            if not job.adds:
                runs.append(_Run(job))
                await _to_the_end(link, runs[-1], alone=len(jobs) == 1)
    finally:
        for each in runs:
            each.stop()
    return [_kept(each) for each in runs]


def _kept(run: _Run) -> Outcome:
    if run.outcome is None:
        raise Undone(RuntimeError("A write did not end."))
    if run.outcome.error is not None and run.changed:
        raise Undone(run.outcome.error)
    return run.outcome


async def _to_the_end(link: Link, run: _Run, *, alone: bool) -> None:
    while run.waits_for is not None:
        try:
            rows = await link.fetch(run.waits_for.sql, run.waits_for.parameters)
        except Lost:
            raise
        except Exception as error:
            if alone:
                run.refused(error)
            raise Undone(_own(run, error)) from error
        run.given(rows)
    _kept(run)


def _own(run: _Run, error: Exception) -> BaseException:
    """What a job made of the failure of its statement; nothing that it gave back is kept."""
    return run.outcome.error if run.outcome is not None and run.outcome.error is not None else error


async def _by_turns(link: Link, runs: Sequence[_Run]) -> None:
    """Run jobs that only add side by side, until all have ended."""
    while waiting := [each for each in runs if each.waits_for is not None]:
        alike: dict[str, list[_Run]] = {}
        for each in waiting:
            if each.waits_for is not None:
                alike.setdefault(each.waits_for.sql, []).append(each)
        for sql, those in alike.items():
            try:
                if isinstance(sql, Insertion) and len(those) > 1:
                    await _insert(link, sql, those)
                else:
                    for each in those:
                        await _one(link, each)
            except Lost:
                raise
            except (Unavailable, RuntimeError) as error:
                raise Undone(error) from error


async def _one(link: Link, run: _Run) -> None:
    if run.waits_for is not None:
        run.given(await link.fetch(run.waits_for.sql, run.waits_for.parameters))


async def _insert(link: Link, insertion: Insertion, runs: Sequence[_Run]) -> None:
    """One insertion for all. Of two with one key the first has it, as if they had come one after the other."""
    rows = [each.waits_for.parameters for each in runs if each.waits_for is not None]
    free = set(await link.add(insertion, rows))
    for each, row in zip(runs, rows, strict=True):
        key = tuple(row[at] for at in insertion.key)
        if key in free:
            free.discard(key)
            each.given([tuple(row[at] for at in insertion.returned)])
        else:
            each.given([])
