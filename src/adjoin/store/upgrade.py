"""Running the migrations with Alembic. Only `migrate.py` imports this, and only when there is something to do.

SQLAlchemy speaks to SQLite by the standard library, so here, and here alone, the file is opened by another SQLite than
the service's: while no other connection of this process has it open, since the two would drop each other's locks.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from sqlalchemy import NullPool, create_engine, event
from sqlalchemy.engine import Connection, Engine

from adjoin.store.sqlite import BUSY_SECONDS, PRAGMAS

MIGRATIONS: Final = Path(__file__).parent / "migrations"


def upgrade(path: Path) -> None:
    """Bring the SQLite database at `path` to the newest schema, in one transaction."""
    engine = engine_of(path)
    with engine.begin() as connection:
        settings = configuration()
        settings.attributes["connection"] = connection
        command.upgrade(settings, "head")
    engine.dispose()


def engine_of(path: Path) -> Engine:
    """An engine for migrating and for comparing schemas."""
    engine = create_engine("sqlite://", creator=lambda: _connect(path), poolclass=NullPool)

    # The lock is taken before the version is read again, so that of two processes the second finds nothing to do.
    @event.listens_for(engine, "begin")
    def _(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None)
    for pragma in PRAGMAS:
        connection.execute(pragma)
    return connection


def configuration() -> Config:
    """Alembic's configuration, without a file of its own."""
    settings = Config()
    settings.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    return settings
