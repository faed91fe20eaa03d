"""Bytes that are no HTTP, or not yet: the process stays alive and goes on answering."""

from __future__ import annotations

import contextlib
import random
import socket
import threading
from collections.abc import Iterator
from typing import Final

import pytest
from tests.faults.service import LIST, Service, serving
from tests.full import FULL

ROUNDS: Final = 2_000 if FULL else 150
HEAD: Final = b"Host: test\r\n"
GOOD: Final = b"GET " + LIST.encode() + b" HTTP/1.1\r\n" + HEAD + b"\r\n"
POST_JSON: Final = b"POST " + LIST.encode() + b" HTTP/1.1\r\n" + HEAD + b"Content-Type: application/json\r\n"

CASES: Final = {
    "nothing": b"",
    "blank lines": b"\r\n" * 1_000,
    "no request line": b"hello\r\n\r\n",
    "no version": b"GET /\r\n\r\n",
    "unknown version": b"GET / HTTP/9.9\r\n\r\n",
    "http 1.0 without host": b"GET /readyz HTTP/1.0\r\n\r\n",
    "http 0.9": b"GET /readyz\r\n",
    "http 2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(100),
    "tls": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500),
    "zeros": bytes(10_000),
    "high bytes": bytes(range(256)) * 40,
    "long method": b"A" * 100_000 + b" / HTTP/1.1\r\n\r\n",
    "long target": b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\n" + HEAD + b"\r\n",
    "bytes in the target": b"GET /\xff\xfe\x80 HTTP/1.1\r\n" + HEAD + b"\r\n",
    "blanks in the target": b"GET /a b c HTTP/1.1\r\n" + HEAD + b"\r\n",
    "absolute target": b"GET http://other/readyz HTTP/1.1\r\n" + HEAD + b"\r\n",
    "asterisk": b"OPTIONS * HTTP/1.1\r\n" + HEAD + b"\r\n",
    "connect": b"CONNECT test:443 HTTP/1.1\r\n" + HEAD + b"\r\n",
    "no host": b"GET /readyz HTTP/1.1\r\n\r\n",
    "two hosts": b"GET /readyz HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "huge header": b"GET / HTTP/1.1\r\n" + HEAD + b"X: " + b"a" * 300_000 + b"\r\n\r\n",
    "many headers": b"GET / HTTP/1.1\r\n" + HEAD + b"".join(b"X%d: y\r\n" % n for n in range(20_000)) + b"\r\n",
    "folded header": b"GET / HTTP/1.1\r\nHost: test\r\n more\r\n\r\n",
    "header without colon": b"GET / HTTP/1.1\r\n" + HEAD + b"nonsense\r\n\r\n",
    "header with a zero": b"GET / HTTP/1.1\r\n" + HEAD + b"X: a\x00b\r\n\r\n",
    "upgrade": b"GET / HTTP/1.1\r\n" + HEAD + b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    "bad length": POST_JSON + b"Content-Length: x\r\n\r\n{}",
    "negative length": POST_JSON + b"Content-Length: -5\r\n\r\n{}",
    "huge length": POST_JSON + b"Content-Length: 9999999999\r\n\r\n{}",
    "two lengths": b"POST / HTTP/1.1\r\n" + HEAD + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n{}",
    "length and chunks": b"POST / HTTP/1.1\r\n" + HEAD
    + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET",
    "bad chunk": POST_JSON + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}",
    "huge chunk": b"POST / HTTP/1.1\r\n" + HEAD + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n{}",
    "body cut short": POST_JSON + b"Content-Length: 500\r\n\r\n{",
    "pipelined": GOOD * 500,
    "pipelined garbage": GOOD + b"\x00\x01\x02" + GOOD,
}  # fmt: skip


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with serving(tmp_path_factory.mktemp("raw") / "data") as running:
        yield running


def send(service: Service, data: bytes, patience: float = 0.3) -> bytes:
    """What comes back for these bytes, as far as it comes at once."""
    answer = b""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", service.port), 5) as connection:
        connection.settimeout(patience)
        with contextlib.suppress(ConnectionError):
            connection.sendall(data)
        while len(answer) < 10**6 and (part := connection.recv(65_536)):
            answer += part
    return answer


def still_answers(service: Service) -> bool:
    good = send(service, b"GET /readyz HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n", 10)
    return service.alive() and good.startswith(b"HTTP/1.1 200") and good.endswith(b"ok\n")


@pytest.mark.parametrize("name", CASES)
def test_what_is_hardly_http_is_refused_or_dropped(service: Service, name: str) -> None:
    answer = send(service, CASES[name])
    assert answer == b"" or answer.startswith(b"HTTP/1.")
    assert not answer.startswith((b"HTTP/1.1 500", b"HTTP/1.0 500"))
    assert still_answers(service)


def test_random_bytes_and_mutated_requests_do_no_harm(service: Service) -> None:
    rng = random.Random(0)
    for _ in range(ROUNDS):
        data = bytearray(rng.choice((GOOD, *CASES.values()))[:2_000] or b"\n")
        for _ in range(rng.choice((1, 3, 20))):
            data[rng.randrange(len(data))] = rng.randrange(256)
        answer = send(service, bytes(data), 0.02)
        assert not answer.startswith(b"HTTP/1.1 500"), data
    assert still_answers(service)


def test_slow_and_silent_clients_keep_nobody_from_being_answered(service: Service) -> None:
    with contextlib.ExitStack() as stack:
        connections = []
        for number in range(300):
            connection = stack.enter_context(socket.create_connection(("127.0.0.1", service.port), 5))
            connections.append(connection)
            connection.sendall(GOOD[: number % len(GOOD)])
        assert still_answers(service)
        for at, connection in enumerate(connections):
            with contextlib.suppress(OSError):
                connection.sendall(b"X"[: at % 2])
        assert still_answers(service)
    assert still_answers(service)


def test_clients_that_go_away_in_the_middle_do_no_harm(service: Service) -> None:
    def come_and_go() -> None:
        for cut in range(1, len(GOOD), 3):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", service.port), 5) as connection:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
                connection.sendall(GOOD[:cut])

    threads = [threading.Thread(target=come_and_go) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert still_answers(service)
