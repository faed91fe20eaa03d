"""A whole copy of the embedded database while others use it, and the examination of a file that is to be one."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Final
from urllib.parse import quote

import apsw

from adjoin.store.database import Unusable
from adjoin.store.migrate import knows
from adjoin.store.settings import HISTORY
from adjoin.store.sqlite import APPLICATION_ID, connect

_MANY: Final = 3
"""How many faults of a damaged file are told: one is enough to refuse it, a few help to find the cause."""


def take(source: Path, target: Path) -> None:
    """Copy the database at `source` to a new file (0600) that needs no log beside it. Raises Unusable.

    The copy is the state of one instant. It is made in one step, which readers and writers do not wait for: in more
    than one, SQLite would begin again with every change that another process makes.
    """
    if not source.is_file():
        raise Unusable(f"There is no database {source}.")
    with contextlib.closing(connect(source)) as live:
        try:
            os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
            with contextlib.closing(apsw.Connection(str(target))) as copy:
                with copy.backup("main", live, "main") as steps:
                    while not steps.done:
                        steps.step()
                copy.execute("PRAGMA journal_mode=DELETE")
        except (OSError, apsw.Error) as error:
            raise Unusable(f"The database {source} could not be copied to {target}: {error}.") from error


def examine(path: Path, named: str = "") -> str:
    """The schema of a database file that nobody uses, read from end to end; `named` is what it is called, if not so.

    Raises Unusable for what is not whole.
    """
    shown = named or f"database {path}"
    try:
        # Immutable: nothing is made beside the file, and a log that lies there by chance is not taken for its own.
        with contextlib.closing(_unchanging(path)) as connection:
            if connection.execute("PRAGMA application_id").get != APPLICATION_ID:
                raise Unusable(f"The {shown} was made by another program.")
            schema = connection.execute("SELECT version_num FROM alembic_version").get
            faults = found_faults(connection)
    except apsw.Error as error:
        raise Unusable(f"The {shown} is damaged: {error}.") from error
    if faults:
        raise Unusable(f"The {shown} is damaged: {'; '.join(faults)}.")
    if schema is None or not knows(schema):
        raise Unusable(f"The {shown} is of a version of adjoin that this one does not know; update adjoin.")
    return str(schema)


def begin_history(path: Path, name: bytes) -> None:
    """Have a copy that nobody uses begin a history of its own: what was told of the other says nothing of it."""
    with contextlib.closing(apsw.Connection(str(path))) as connection:
        # Whoever is killed here begins with another copy; a journal beside it would be taken for that one's.
        connection.execute("PRAGMA journal_mode=MEMORY")
        connection.execute("INSERT OR REPLACE INTO settings (name, value) VALUES (?, ?)", (HISTORY, name))


def _unchanging(path: Path) -> apsw.Connection:
    flags = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
    return apsw.Connection(f"file:{quote(str(path))}?immutable=1", flags=flags)


def found_faults(connection: apsw.Connection) -> list[str]:
    """What is wrong with a database's pages, indexes and references; nothing as a rule."""
    faults = [str(said) for (said,) in connection.execute(f"PRAGMA integrity_check({_MANY})") if said != "ok"]
    orphans = connection.execute("PRAGMA foreign_key_check").fetchall()[:_MANY]
    return faults + [f"a row of {table} refers to no row of {parent}" for table, _, parent, _ in orphans]
