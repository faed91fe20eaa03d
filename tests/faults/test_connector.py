"""A connector's program against a service that is killed, a network that is cut, and a node that takes over.

Real processes, and a proxy between them that can be cut. Nothing is doubled, whatever ends when.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest
from tests.faults.service import ADJOIN, LIST, Client, Service, serving

_SECONDS: Final = 60.0


class Proxy:
    """Passes connections on to a service; cut, it drops those there are and takes none until it has a target again."""

    def __init__(self) -> None:
        self.target = 0
        self.passed = threading.Semaphore(0)
        """Released for each connection that is passed on."""
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Proxy:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self._start(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self.cut()
        for each in self._threads:
            each.join(_SECONDS)
        self._listening.close()
        for one in self._sockets:
            one.close()

    def cut(self) -> None:
        self.target = 0
        for each in self._sockets:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def _start(self, act: Callable[..., None], *arguments: socket.socket) -> None:
        thread = threading.Thread(target=act, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listening.accept()
                self._sockets.append(near)
                if not self.target:
                    near.shutdown(socket.SHUT_RDWR)
                    continue
                far = socket.create_connection(("127.0.0.1", self.target), _SECONDS)
                self._sockets.append(far)
                self._start(_pump, near, far)
                self._start(_pump, far, near)
                self.passed.release()


def _pump(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65_536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


class Running:
    """`adjoin connector run`, and what it said."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self._said: list[str] = []

    def says(self, words: str) -> None:
        """Wait until it says this."""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self._said.append(line)
            if words in line:
                return
        raise AssertionError(f"it ended without '{words}': {self._said}")


def command(machine: Path, *words: str) -> list[str]:
    return [*ADJOIN, "connector", *words, "--config", str(machine)]


def enroll(service: Service, machine: Path, *ports: int) -> None:
    line = [*ADJOIN, "connector", "invite", "--json", "--data-dir", str(service.data_dir)]
    code = json.loads(subprocess.run(line, check=True, capture_output=True, timeout=_SECONDS).stdout)["code"]
    servers = [word for port in ports for word in ("--server", f"http://127.0.0.1:{port}")]
    subprocess.run(
        command(machine, "enroll", *servers, "--code", code, "--name", "odj01"),
        check=True,
        capture_output=True,
        timeout=_SECONDS,
    )


@contextlib.contextmanager
def running(machine: Path) -> Iterator[Running]:
    with subprocess.Popen(command(machine, "run"), stderr=subprocess.PIPE, text=True) as process:
        try:
            yield Running(process)
        finally:
            process.kill()


async def entries(service: Service) -> list[tuple[str, str]]:
    client = Client(service.port, service.token())
    try:
        return [(each["displayName"], each["state"]) for each in (await client.call("GET", LIST)).json()["value"]]
    finally:
        await client.close()


def once(machine: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(machine, "run", "--once"), check=False, capture_output=True, text=True, timeout=_SECONDS
    )


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    return tmp_path / "connector.toml"


def test_it_comes_through_a_killed_service_and_a_cut_network(tmp_path: Path, machine: Path) -> None:
    with Proxy() as proxy, serving(tmp_path / "data") as service:
        proxy.target = service.port
        enroll(service, machine, proxy.port)
        with running(machine) as connector:
            connector.says("as active")
            proxy.cut()
            service.kill()
            connector.says("No server can be reached")
            while proxy.passed.acquire(blocking=False):
                pass
            with serving(tmp_path / "data") as again:
                proxy.target = again.port
                assert proxy.passed.acquire(timeout=_SECONDS)
                connector.process.send_signal(signal.SIGTERM)
                assert connector.process.wait(_SECONDS) == 0
                assert once(machine).stdout == "odj01: active\n"
                assert asyncio.run(entries(again)) == [("odj01", "active")]


def test_another_node_takes_over(tmp_path: Path, machine: Path) -> None:
    with serving(tmp_path / "data") as one, serving(tmp_path / "data") as other:
        enroll(one, machine, one.port, other.port)
        assert once(machine).stdout == "odj01: active\n"
        one.kill()
        assert once(machine).stdout == "odj01: active\n"
        assert asyncio.run(entries(other)) == [("odj01", "active")]


def test_killed_itself_it_goes_on_where_it_was(tmp_path: Path, machine: Path) -> None:
    with serving(tmp_path / "data") as service:
        enroll(service, machine, service.port)
        for _ in range(3):
            with running(machine) as connector:
                connector.says("as active")
                connector.process.kill()
        assert once(machine).stdout == "odj01: active\n"
        assert asyncio.run(entries(service)) == [("odj01", "active")]


def test_a_stop_of_the_service_waits_for_no_connector(tmp_path: Path, machine: Path) -> None:
    with serving(tmp_path / "data") as service:
        enroll(service, machine, service.port)
        with running(machine) as connector:
            connector.says("as active")
            assert service.stop() == 0
            connector.process.send_signal(signal.SIGTERM)
            assert connector.process.wait(_SECONDS) == 0
