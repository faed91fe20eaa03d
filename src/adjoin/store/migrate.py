"""Bringing a database to the schema that this version needs, in one transaction, by one process at a time.

Alembic takes half a second and 25 MB to import, so it is asked only when an older database is there. A new one is made
from `schema.sql`, which is what the migrations make of an empty one; a test holds the two equal.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import apsw

from adjoin.store.database import Unusable
from adjoin.store.sqlite import connect

HEAD: Final = "0009"
"""The newest migration; a test holds it equal to what Alembic finds."""

KNOWN: Final = ("0001", "0002", "0003", "0004", "0005", "0006", "0007", "0008", "0009")
"""Every migration, oldest first."""

SCHEMA: Final = Path(__file__).parent / "schema.sql"


def knows(schema: object) -> bool:
    """Whether this version can bring a database with this schema up to date, or works with it as it is."""
    return schema in KNOWN


def migrate(path: Path) -> bool:
    """Bring the SQLite database at `path` up to date, making it if there is none; True if anything was done.

    Raises Unusable for a database of another program, a damaged one, or one written by a newer version.
    """
    current = _current(path)
    if current == HEAD:
        return False
    if current is not None and current not in KNOWN:
        raise Unusable(f"The database {path} was written by a newer adjoin (its schema is {current}); update adjoin.")
    try:
        if current is None:
            _make(path)
        else:
            _upgrade(path)
    except apsw.Error as error:
        raise Unusable(f"The database {path} could not be brought up to date: {error}.") from error
    return True


def _current(path: Path) -> str | None:
    connection = connect(path)
    try:
        if not connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'alembic_version'").get:
            return None
        found = connection.execute("SELECT version_num FROM alembic_version").get
        if found is None:
            raise Unusable(f"The database {path} is damaged: it does not say which schema it has.")
    except apsw.Error as error:
        raise Unusable(f"The database {path} cannot be read: {error}.") from error
    finally:
        connection.close()
    return str(found)


def _make(path: Path) -> None:
    connection = connect(path)
    try:
        connection.execute("BEGIN IMMEDIATE")
        # Another process may have been first, while this one waited for the lock.
        if not connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'alembic_version'").get:
            for statement in SCHEMA.read_text("utf-8").split(";\n"):
                connection.execute(statement)
            connection.execute("INSERT INTO alembic_version VALUES (?)", (HEAD,))
        connection.execute("COMMIT")
    finally:
        connection.close()


def _upgrade(path: Path) -> None:
    # Here, and not above: this import is most of what a start would otherwise wait for.
    from adjoin.store.upgrade import upgrade  # noqa: PLC0415

    upgrade(path)
