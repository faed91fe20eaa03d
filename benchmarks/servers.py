"""The processes that are measured: starting them, filling them, and what they cost while they do nothing."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from adjoin.model import CONNECTOR
from adjoin.odata.values import Instant, time_ordered_guid
from adjoin.store import rows
from adjoin.store.database import Session
from adjoin.store.sqlite import SQLite
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
_FILL_AT_ONCE: Final = 500


@dataclass(frozen=True, slots=True)
class Running:
    """A server that answers; `started_in` is the time from its start to its first answer, in seconds."""

    process: subprocess.Popen[bytes]
    port: int
    started_in: float

    def ask(self, method: str, path: str, token: str = "", body: object = None) -> tuple[int, bytes]:
        """One request on a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        connection.request(method, path, None if body is None else json.dumps(body), headers)
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


@contextlib.contextmanager
def bare() -> Iterator[Running]:
    port = _free_port()
    with _running([sys.executable, "-m", "benchmarks.bare", str(port)], port, "/") as server:
        yield server


@contextlib.contextmanager
def adjoin(data_dir: Path) -> Iterator[Running]:
    port = _free_port()
    command = [*_ADJOIN, "serve", "--data-dir", str(data_dir), "--port", str(port), "--no-log-requests", "--quiet"]
    with _running(command, port, "/readyz") as server:
        yield server


@contextlib.contextmanager
def _running(command: list[str], port: int, ready: str) -> Iterator[Running]:
    started = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            while True:
                with contextlib.suppress(OSError):
                    running = Running(process, port, time.perf_counter() - started)
                    if running.ask("GET", ready)[0] == 200:
                        break
                if process.poll() is not None or time.perf_counter() - started > 30:
                    raise RuntimeError(f"{command} did not start")
                time.sleep(_STEP)
            yield Running(process, port, time.perf_counter() - started)
        finally:
            process.terminate()
            process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def token(data_dir: Path) -> str:
    """A token of the built-in issuer."""
    command = [*_ADJOIN, "token", "--data-dir", str(data_dir), "--expires-in", "86400"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def fill(data_dir: Path, count: int) -> str:
    """Put rows into the database while no server runs, and give the key of one in the middle."""
    table = table_of(CONNECTOR)
    seen = Instant.parse(BODY["lastConnectionDateTime"])
    keys = [time_ordered_guid(1_700_000_000_000 + number, os.urandom(10)) for number in range(count)]

    async def act(session: Session, some: list[str]) -> None:
        for key in some:
            values: dict[str, Any] = {
                "id": key,
                "displayName": f"Connector {key[:8]}",
                "state": "error",
                "version": "1",
            }
            await rows.insert(session, table, 1, {**values, "lastConnectionDateTime": seen}, 1)

    async def run() -> None:
        database = SQLite(data_dir / "adjoin.db")
        for at in range(0, count, _FILL_AT_ONCE):
            await database.write(lambda session, at=at: act(session, keys[at : at + _FILL_AT_ONCE]))  # type: ignore[misc]
        await database.close()

    asyncio.run(run())
    return keys[count // 2]
