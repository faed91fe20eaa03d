"""What is asked of the operating system, and that connections which only take room come to an end."""

from __future__ import annotations

import resource
import socket

import pytest
from structlog.testing import capture_logs

from adjoin.cli import limits
from adjoin.cli.limits import CONNECTIONS, connections, end_unread


class Descriptors:
    """A process's limits; what it may not have, it does not get."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, soft: int, hard: int, granted: bool = True) -> None:
        self.now = (soft, hard)
        self._granted = granted
        monkeypatch.setattr(resource, "getrlimit", lambda _: self.now)
        monkeypatch.setattr(resource, "setrlimit", lambda _, wanted: self._set(wanted))

    def _set(self, wanted: tuple[int, int]) -> None:
        if not self._granted:
            raise ValueError("not allowed to raise maximum limit")
        self.now = wanted


def test_the_limit_of_descriptors_is_raised_as_far_as_it_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    descriptors = Descriptors(monkeypatch, 1_024, 524_288)
    assert connections() == CONNECTIONS
    assert descriptors.now == (524_288, 524_288)


@pytest.mark.parametrize(("soft", "hard", "granted", "allowed"), [(256, 1_024, True, 896), (1_024, 9_999, False, 896)])
def test_with_few_descriptors_fewer_connections_are_taken_and_the_log_says_so(
    monkeypatch: pytest.MonkeyPatch, soft: int, hard: int, granted: bool, allowed: int
) -> None:
    Descriptors(monkeypatch, soft, hard, granted)
    with capture_logs() as logs:
        assert connections() == allowed
    assert [(each["event"], each["connections"]) for each in logs] == [("few descriptors", allowed)]


def test_connections_inherit_the_end_of_unread_ones() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        assert end_unread(port) == 1
        with socket.create_connection(("127.0.0.1", port)), listening.accept()[0] as accepted:
            option = accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
    assert option == limits._UNREAD_SECONDS * 1_000


def test_other_sockets_are_left_alone() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        assert end_unread(1) == 0
        assert listening.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 0
