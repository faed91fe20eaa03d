"""What the running service says of itself at its start."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from structlog.testing import capture_logs

from adjoin.cli import running
from adjoin.odata.errors import Refusal
from adjoin.store.database import Insertion, Unavailable


class Answers:
    """A database that gives one answer."""

    def __init__(self, answer: Callable[[], float] | Refusal, embedded: bool = False) -> None:
        self._answer = answer
        self.embedded = embedded

    async def fetch(self, _sql: str, _parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        if isinstance(self._answer, Refusal):
            raise self._answer
        return [(self._answer(),)]

    fetch_apart = fetch

    def insert(self, _insertion: Insertion, _row: Sequence[object]) -> None:
        raise AssertionError("it was changed")


@pytest.mark.parametrize(
    ("off", "says"),
    [(0.0, None), (-3600.0, "ahead of the database server's"), (3600.0, "behind the database server's")],
)
def test_warns_of_a_clock_that_is_not_the_servers(off: float, says: str | None) -> None:
    with capture_logs() as lines:
        asyncio.run(running.compare_clocks(Answers(lambda: time.time() + off)))
    assert [each["event"] for each in lines] == ([] if says is None else ["clock is off"])
    assert all(str(says) in each["reason"] for each in lines)


@pytest.mark.parametrize("database", [Answers(Unavailable("It is gone.")), Answers(time.time, embedded=True)])
def test_starts_without_a_word_where_there_is_nothing_to_compare_with(database: Answers) -> None:
    with capture_logs() as lines:
        asyncio.run(running.compare_clocks(database))
    assert lines == []
