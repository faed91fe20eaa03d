"""Counts of commits, and what the log says when a database takes no changes."""

from __future__ import annotations

from pathlib import Path

from structlog.testing import capture_logs
from tests.store.opened import on

from adjoin.store.commits import Commits, Histogram
from adjoin.store.database import Database, Session, Unavailable
from adjoin.store.migrate import migrate
from adjoin.store.sqlite import SQLite

FULL = Unavailable("The database did not take the change: disk full.")


def test_a_value_falls_into_the_first_bucket_that_holds_it() -> None:
    histogram = Histogram((1, 10))
    for value in (0.5, 1, 1.5, 10, 11):
        histogram.add(value)
    assert histogram.counts == [2, 2, 1]
    assert histogram.total == 24


def test_a_commit_is_counted_with_its_writes() -> None:
    commits = Commits()
    commits.add(0.002, [None, ValueError(), None])
    assert (sum(commits.sizes.counts), commits.sizes.total, commits.seconds.total, commits.refused) == (1, 3, 0.002, 0)


def test_the_log_tells_once_when_changes_are_refused_and_once_when_they_are_taken_again() -> None:
    with capture_logs() as logs:
        commits = Commits()
        for errors in ([None], [FULL], [FULL, FULL], [FULL, None], [None], [FULL]):
            commits.add(0.001, errors)
    assert [each["event"] for each in logs] == [
        "database takes no changes",
        "database takes changes again",
        "database takes no changes",
    ]
    assert logs[0]["reason"] == FULL.message
    assert commits.refused == 3


def test_a_database_counts_its_commits(tmp_path: Path) -> None:
    migrate(tmp_path / "adjoin.db")
    commits = Commits()

    async def nothing(_: Session) -> None:
        return None

    async def act(_: Database) -> None:
        database = SQLite(tmp_path / "adjoin.db", commits=commits)
        assert commits.waiting() == 0
        await database.write(nothing)
        await database.close()

    on(tmp_path / "adjoin.db", act)
    assert commits.sizes.total == 1
