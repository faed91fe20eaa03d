"""What systemd is told of this program: that it is ready, lives and stops, to the socket that it named."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cli.program import ADJOIN, adjoin, environment, serving
from tests.postgresql import Databases

from adjoin.cli import supervisor


@pytest.fixture
def notify(tmp_path: Path) -> Iterator[socket.socket]:
    """A socket as systemd has it, at `notify` in the folder of the test."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as bound:
        bound.bind(str(tmp_path / "notify"))
        bound.settimeout(60)
        yield bound


def told(notify: socket.socket) -> str:
    """What is told next, but that it lives still."""
    while (state := notify.recv(256).decode()) == "WATCHDOG=1":
        pass
    return state


def test_a_service_says_that_it_is_ready_lives_and_stops(notify: socket.socket, tmp_path: Path) -> None:
    settings = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "20000"}
    with serving(tmp_path / "data", settings=settings) as service:
        assert told(notify) == "READY=1"
        assert notify.recv(256) == b"WATCHDOG=1"
        assert service.stop(signal.SIGTERM) == 0
    assert told(notify) == "STOPPING=1"


def test_workers_speak_for_their_parent(notify: socket.socket, postgresql: Databases, tmp_path: Path) -> None:
    with postgresql.lent() as url:
        settings = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "ADJOIN_DATABASE": url}
        with serving(tmp_path / "data", "--workers", "2", settings=settings) as service:
            assert [told(notify) for _ in range(2)] == ["READY=1"] * 2
            assert service.stop(signal.SIGTERM) == 0
        assert [told(notify) for _ in range(2)] == ["STOPPING=1"] * 2


def test_a_connector_says_so_too(notify: socket.socket, tmp_path: Path) -> None:
    with serving(tmp_path / "data") as service:
        code = adjoin("connector", "invite", "--data-dir", str(tmp_path / "data"), folder=tmp_path).stdout.strip()
        config = str(tmp_path / "connector.toml")
        given = ("--server", f"http://127.0.0.1:{service.port}", "--code", code, "--config", config)
        done = adjoin("connector", "enroll", *given, folder=tmp_path)
        assert done.returncode == 0, done.stderr
        settings = environment(NOTIFY_SOCKET=str(tmp_path / "notify"), WATCHDOG_USEC="20000")
        command = [ADJOIN, "connector", "run", "--config", config]
        with subprocess.Popen(command, env=settings, stderr=subprocess.DEVNULL) as process:
            try:
                assert told(notify) == "READY=1"
                assert notify.recv(256) == b"WATCHDOG=1"
            finally:
                process.terminate()
        assert told(notify) == "STOPPING=1"
        assert process.returncode == 0


def test_a_name_of_the_kernels_own_is_spoken_to() -> None:
    name = f"adjoin-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as bound:
        bound.bind(f"\0{name}")
        supervisor.tell("READY=1", {"NOTIFY_SOCKET": f"@{name}"})
        assert bound.recv(64) == b"READY=1"


@pytest.mark.parametrize("address", ["", "relative", "/nowhere/at/all", "vsock:2:1"])
def test_where_nobody_listens_nothing_happens(address: str) -> None:
    supervisor.tell("READY=1", {"NOTIFY_SOCKET": address})


@pytest.mark.parametrize(
    ("asked", "seconds"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "x"}, None),
        ({"WATCHDOG_USEC": "60000000"}, 30),
        ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": str(os.getpid())}, 30),
        ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": str(os.getppid())}, 30),
        ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "1000000000"}, None),
    ],
)
def test_it_is_heard_of_twice_as_often_as_is_asked(asked: dict[str, str], seconds: float | None) -> None:
    assert supervisor.watched(asked) == seconds


def test_whom_nobody_asks_says_nothing() -> None:
    asyncio.run(supervisor.live({}))
