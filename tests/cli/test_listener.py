"""What a real server makes of what clients send that is not whole: it is their fault, and they are told so."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from typing import Final
from urllib.request import urlopen

import pytest
from tests.faults.service import Service, serving

_HEAD: Final = (
    b"POST /default/oauth2/v2.0/token HTTP/1.1\r\nHost: test\r\nContent-Type: application/x-www-form-urlencoded\r\n"
)
_CHUNKED: Final = _HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
_CUT: Final = {
    "a chunk without a size": _CHUNKED + b"5\r\ngrant\r\nzz\r\n",
    "a chunk that goes on": _CHUNKED + b"2\r\ngrant_type=x\r\n0\r\n\r\n",
    "a size beyond all": _CHUNKED + b"fffffffffffffffffffff\r\n",
    "chunks without an end": _CHUNKED + b"5\r\ngrant\r\n",
    "less than was promised": _HEAD + b"Content-Length: 4000\r\n\r\ngrant_type=",
}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with serving(tmp_path_factory.mktemp("listener") / "data") as running:
        yield running


def said(service: Service, data: bytes, *, listens: bool) -> bytes:
    """What comes back to a client that says this and no more."""
    answer = b""
    with socket.create_connection(("127.0.0.1", service.port), 20) as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        while listens and (part := connection.recv(65_536)):
            answer += part
    return answer


@pytest.mark.parametrize("data", _CUT.values(), ids=_CUT.keys())
def test_a_body_that_is_cut_is_refused_in_graphs_form(service: Service, data: bytes) -> None:
    head, _, body = said(service, data, listens=True).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    assert b"\r\nrequest-id: " in head
    assert json.loads(body)["error"]["code"] == "BadRequest"


def test_nobody_hears_of_those_who_are_gone(service: Service) -> None:
    for data in _CUT.values():
        said(service, data, listens=False)
    with urlopen(f"{service.url}/healthz", timeout=20) as answer:
        assert answer.status == 200
    lines = map(json.loads, service.data_dir.with_suffix(".log").read_text().splitlines())
    assert [each["event"] for each in lines] == ["listening"]
