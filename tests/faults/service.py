"""A real `adjoin serve` process for tests, and a client that says exactly what became of each request."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

ADJOIN: Final = (sys.executable, "-m", "adjoin")
LIST: Final = "/beta/deviceManagement/domainJoinConnectors"
"""Whether the long versions of the tests are wanted: the same tests with other numbers."""

_START_SECONDS: Final = 20.0


@dataclass(frozen=True, slots=True)
class Service:
    """A running service. `process` is the server itself, so that a signal reaches it and nothing else."""

    process: subprocess.Popen[bytes]
    port: int
    data_dir: Path
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def token(self, *options: str) -> str:
        """A token of the built-in issuer."""
        command = [*ADJOIN, "token", "--data-dir", str(self.data_dir), *options]
        environment = {**os.environ, **self.environment}
        done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60, env=environment)
        return done.stdout.strip()

    def kill(self) -> None:
        """`kill -9`."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """SIGTERM, and the exit code."""
        self.process.terminate()
        return self.process.wait(60)

    def alive(self) -> bool:
        return self.process.poll() is None


@contextlib.contextmanager
def serving(
    data_dir: Path, database: str | None = None, *options: str, within: tuple[str, ...] = ()
) -> Iterator[Service]:
    """A service on `data_dir` that answers; it is killed at the end if it still runs.

    `within` is a command that becomes the one that follows it.
    """
    port = _free_port()
    settings = ("--port", str(port), "--no-log-requests", "--quiet", *options)
    command = [*within, *ADJOIN, "serve", "--data-dir", str(data_dir), *settings]
    where = {"ADJOIN_DATABASE": database} if database else {}
    log = data_dir.with_suffix(".log")
    with (
        log.open("ab") as output,
        subprocess.Popen(command, stdout=output, stderr=output, env={**os.environ, **where}) as process,
    ):
        service = Service(process, port, data_dir, where)
        try:
            _wait_until_it_answers(service, log)
            yield service
        finally:
            service.kill()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_until_it_answers(service: Service, log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and service.alive():
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", service.port), 1) as probe:
            probe.sendall(b"GET /readyz HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
            if probe.recv(64).startswith(b"HTTP/1.1 200"):
                return
        time.sleep(0.01)
    raise AssertionError(f"the service did not start: {log.read_text()}")


class NoAnswer(Exception):
    """The connection ended before a whole answer came; `partial` is what came of it."""

    def __init__(self, partial: bytes) -> None:
        super().__init__(partial)
        self.partial = partial


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(slots=True)
class Client:
    """One keep-alive connection of one caller."""

    port: int
    token: str
    _streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = field(default=None, init=False)

    async def call(
        self, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Send a request and give the whole answer. Raises NoAnswer."""
        content = b"" if body is None else json.dumps(body).encode()
        lines = [f"{method} {path} HTTP/1.1", f"Host: 127.0.0.1:{self.port}", f"Authorization: Bearer {self.token}"]
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        if body is not None:
            lines += ["Content-Type: application/json", f"Content-Length: {len(content)}"]
        partial = b""
        try:
            reader, writer = self._streams = self._streams or await asyncio.open_connection("127.0.0.1", self.port)
            writer.write("\r\n".join([*lines, "", ""]).encode() + content)
            await writer.drain()
            partial = await reader.readuntil(b"\r\n\r\n")
            return await self._rest(partial, reader)
        except asyncio.IncompleteReadError as error:
            raise NoAnswer(partial + error.partial) from None
        except OSError:
            raise NoAnswer(partial) from None

    @staticmethod
    async def _rest(head: bytes, reader: asyncio.StreamReader) -> Answer:
        status_line, *lines = head.decode("latin-1").split("\r\n")[:-2]
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        return Answer(int(status_line.split(" ")[1]), headers, body)

    async def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            with contextlib.suppress(OSError):
                await self._streams[1].wait_closed()


async def every_row(port: int, token: str) -> list[dict[str, Any]]:
    """All rows of the list, page by page."""
    client, found, path = Client(port, token), [], LIST
    try:
        while path:
            page = (await client.call("GET", path)).json()
            found += page["value"]
            path = page.get("@odata.nextLink", "").removeprefix(f"http://127.0.0.1:{port}")
    finally:
        await client.close()
    return found
