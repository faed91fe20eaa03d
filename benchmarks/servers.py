"""The processes that are measured: starting them, filling them, and what they cost while they do nothing."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import os
import random
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import urlencode

from cryptography.hazmat.primitives import serialization

from adjoin.identity.keys import open_ring
from adjoin.model import CONNECTOR
from adjoin.odata.values import Instant, time_ordered_guid
from adjoin.store import rows as store
from adjoin.store.database import Session
from adjoin.store.opening import opened
from adjoin.store.statements import Everywhere
from adjoin.store.tables import table_of

LIST: Final = "/beta/deviceManagement/domainJoinConnectors"
BODY: Final = {
    "@odata.type": "#microsoft.graph.deviceManagementDomainJoinConnector",
    "displayName": "Display Name value",
    "lastConnectionDateTime": "2016-12-31T23:58:36.6670033-08:00",
    "state": "error",
    "version": "Version value",
}
_ADJOIN: Final = (sys.executable, "-m", "adjoin")
_STEP: Final = 0.002
_FILL_AT_ONCE: Final = 5_000
WRITE: Final = "DeviceManagementConfiguration.ReadWrite.All"
DURABLE: Final = {"fsync": "on", "full_page_writes": "on", "shared_buffers": "256MB"}
"""The settings of a PostgreSQL server that is measured; it is the one that the tests start."""

Row = tuple[str, str, str, str, str]
"""id, displayName, lastConnectionDateTime, state, version."""


@dataclass(frozen=True, slots=True)
class Running:
    """A server that answers; `started_in` is the time from its start to its first answer, in seconds."""

    process: subprocess.Popen[bytes]
    port: int
    started_in: float

    def ask(
        self,
        method: str,
        path: str,
        token: str = "",
        body: object = None,
        headers: Mapping[str, str] = MappingProxyType({}),
    ) -> tuple[int, bytes]:
        """One request on a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        sent = {"Authorization": f"Bearer {token}", "Content-Type": "application/json", **headers}
        connection.request(method, path, None if body is None else json.dumps(body), sent)
        answer = connection.getresponse()
        with contextlib.closing(connection):
            return answer.status, answer.read()

    def cpu_seconds(self) -> float:
        """Processor time so far, of all threads."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text("ascii").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory(self) -> float:
        """Resident memory in MiB."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text("ascii").split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20

    def most_memory(self) -> float:
        """The most resident memory that it has had, in MiB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text("ascii")
        return int(status.partition("VmHWM:")[2].split()[0]) / 2**10


@contextlib.contextmanager
def bare() -> Iterator[Running]:
    port = free_port()
    with running([sys.executable, "-m", "benchmarks.bare", str(port)], port, "/") as server:
        yield server


@contextlib.contextmanager
def adjoin(data_dir: Path, *more: str) -> Iterator[Running]:
    """The service on a data directory; `more` are options of its own."""
    port = free_port()
    command = [*_ADJOIN, "serve", "--data-dir", str(data_dir), "--port", str(port), "--no-log-requests", "--quiet"]
    command += more
    with running(command, port, "/readyz") as server:
        yield server


@contextlib.contextmanager
def running(
    command: list[str], port: int, ready: str, folder: Path | None = None, environment: Mapping[str, str] | None = None
) -> Iterator[Running]:
    """A server of this command while it is used: it is there when it answers `ready`, and not with a fault."""
    started = time.perf_counter()
    silent = subprocess.DEVNULL
    with subprocess.Popen(command, stdout=silent, stderr=silent, cwd=folder, env=environment) as process:
        try:
            while True:
                with contextlib.suppress(OSError):
                    if Running(process, port, 0).ask("GET", ready)[0] < 500:
                        break
                if process.poll() is not None or time.perf_counter() - started > 30:
                    raise RuntimeError(f"{command} did not start")
                time.sleep(_STEP)
            yield Running(process, port, time.perf_counter() - started)
        finally:
            process.terminate()
            process.wait()


@contextlib.contextmanager
def alongside(module: str, *arguments: str) -> Iterator[None]:
    """While this lasts, a module of these benchmarks runs beside; it says that it is ready by a line."""
    with subprocess.Popen(
        [sys.executable, "-m", f"benchmarks.{module}", *arguments], stdout=subprocess.PIPE
    ) as process:
        if process.stdout is None or process.stdout.readline() != b"ready\n":
            raise SystemExit(f"benchmarks.{module} did not start")
        try:
            yield
        finally:
            process.kill()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def token(data_dir: Path, server: Running, *more: str) -> str:
    """A token as a program gets it: of a registered application, by its secret. `more` are options of the command."""
    made = _said("app", "add", "bench", "-p", WRITE, "--json", "--data-dir", str(data_dir), *more)
    form = {
        "grant_type": "client_credentials",
        "client_id": made["client_id"],
        "client_secret": made["client_secret"],
        "scope": "https://graph.microsoft.com/.default",
    }
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    with contextlib.closing(connection):
        connection.request("POST", f"/{made['tenant_id']}/oauth2/v2.0/token", urlencode(form), headers)
        return str(json.load(connection.getresponse())["access_token"])


def index_texts(data_dir: Path, *more: str) -> None:
    """Switch the text index on, whether the service runs or not."""
    subprocess.run([*_ADJOIN, "text-index", "on", "--data-dir", str(data_dir), *more], check=True, capture_output=True)


def public_key(data_dir: Path) -> str:
    """The key that the built-in issuer's tokens are verified by, as PEM."""
    ring = open_ring(data_dir / "keys", time.time())
    key = ring.verification[ring.signing.kid].key.public_key
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_bytes(serialization.Encoding.PEM, form).decode()


def _said(*words: str) -> Any:
    return json.loads(subprocess.run([*_ADJOIN, *words], check=True, capture_output=True, text=True).stdout)


def made_up(count: int) -> Iterator[Row]:
    """Rows as an installation may have them: of a hundred 90 are active and one is in error; of a thousand one has a
    rare word in its name. Always the same ones.
    """
    source = random.Random(count)
    for number in range(count):
        key = time_ordered_guid(1_700_000_000_000 + number, source.randbytes(10))
        share = number * 7 % 100
        state = "error" if share == 0 else "inactive" if share < 10 else "active"
        word = "zebra" if number % 1_000 == 500 else source.choice(("berlin", "oslo", "lima", "quito"))
        seen = f"2026-{number % 12 + 1:02}-{number % 28 + 1:02}T{number % 24:02}:{number % 60:02}:07.1234567Z"
        yield key, f"connector {word} {number:07}", seen, state, f"6.2504.{number % 100}"


def fill(data_dir: Path, rows: Iterable[Row], url: str | None = None) -> None:
    """Put rows into the database of an installation, made where there is none, while no server runs.

    It is the one in the data directory, or the one at a URL.
    """
    more = ("--database", url) if url else ()
    subprocess.run([*_ADJOIN, "token", "--data-dir", str(data_dir), *more], check=True, capture_output=True)
    table = table_of(CONNECTOR)

    async def act(session: Session, some: list[Row]) -> None:
        for key, name, seen, state, version in some:
            values: dict[str, Any] = {"id": key, "displayName": name, "state": state, "version": version}
            await store.insert(session, table, 1, {**values, "lastConnectionDateTime": Instant.parse(seen)}, 1)

    async def run() -> None:
        database = await opened(url or data_dir / "adjoin.db")
        waiting = iter(rows)
        while some := list(islice(waiting, _FILL_AT_ONCE)):
            await database.write(lambda session, some=some: act(session, some))  # type: ignore[misc]
        if url:
            # The server does by itself what this does, within a minute.
            await database.write(lambda session: session.fetch(Everywhere("ANALYZE")))
        await database.close()

    asyncio.run(run())
