"""Opening a database, whichever it is: a file of SQLite's, or the URL of one on a PostgreSQL server.

PostgreSQL's driver is imported only where it is used.
"""

from __future__ import annotations

from pathlib import Path

from adjoin.store import migrate
from adjoin.store.commits import Commits
from adjoin.store.database import Database
from adjoin.store.sqlite import SQLite


async def opened(where: Path | str, commits: Commits | None = None) -> Database:
    """The database at a path or URL, brought up to date, and made if there is none. Raises Unusable, or Unavailable."""
    if isinstance(where, Path):
        migrate.migrate(where)
        return SQLite(where, commits=commits)
    from adjoin.store import migrate_postgres, postgres  # noqa: PLC0415 - it takes time that SQLite's users need not spend

    await migrate_postgres.migrate(where)
    return postgres.PostgreSQL(where, commits=commits)
