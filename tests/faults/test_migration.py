"""A migration that is killed in its midst leaves the older schema whole, and the next start carries it out."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest
from tests.store.opened import rows_of
from tests.store.test_migrate import schema, upgrade_to

from adjoin.store.migrate import HEAD, migrate
from adjoin.store.snapshot import examine
from adjoin.store.sqlite import connect

# Ends the process, as `kill -9` would, when so many statements of the migration have begun.
PROGRAM: Final = """
import os, sys
from pathlib import Path
from adjoin.store import migrate, upgrade
opened = upgrade._connect
def connect(path):
    connection = opened(path)
    connection.set_trace_callback(begun)
    return connection
def begun(statement):
    global left
    left -= 1
    if not left:
        os._exit(9)
left = int(sys.argv[2])
upgrade._connect = connect
migrate.migrate(Path(sys.argv[1]))
"""


@pytest.fixture
def older(tmp_path: Path) -> Path:
    """A database of the first version, with a thousand rows."""
    path = tmp_path / "adjoin.db"
    connect(path).close()
    upgrade_to(path, "0001")
    with contextlib.closing(connect(path)) as connection:
        connection.execute("BEGIN")
        connection.execute("INSERT INTO tenants VALUES (1, 'x', 'first', 'active', 'now')")
        connection.executemany(
            "INSERT INTO applications (tenant, id, object_id, name, permissions, secret_digest, created)"
            " VALUES (1, ?1, ?1, ?1, '', x'00', 'now')",
            [(str(number),) for number in range(1_000)],
        )
        connection.execute("COMMIT")
    return path


@pytest.mark.parametrize("statements", [4, 12, 20, 28, 59, 60])
def test_killed_in_the_midst(older: Path, statements: int) -> None:
    before = schema(older)
    command = [sys.executable, "-c", PROGRAM, str(older), str(statements)]
    done = subprocess.run(command, check=False, capture_output=True, timeout=60)
    assert done.returncode == 9, done.stderr
    assert rows_of(older, "SELECT version_num FROM alembic_version") == [("0001",)]
    assert schema(older) == before
    assert migrate(older) is True
    assert rows_of(older, "SELECT version_num FROM alembic_version") == [(HEAD,)]
    assert rows_of(older, "SELECT count(*) FROM applications") == [(1_000,)]
    assert not migrate(older)
    with contextlib.closing(connect(older)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert examine(older) == HEAD
