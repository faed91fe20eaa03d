"""The connector's metrics: on the loopback alone, and nothing else there."""

from __future__ import annotations

import asyncio
import socket

import pytest

from adjoin.connector import metrics
from adjoin.connector.faults import Unusable
from adjoin.connector.loop import Status


def asked(head: bytes) -> bytes:
    """What is answered to this head."""

    async def act() -> bytes:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        async with metrics.served(port, Status("1.0.0.0", state="active", check_ins=3, last_check_in=12.5)):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(head)
            answer = await reader.read()
            writer.close()
            await writer.wait_closed()
            return answer

    return asyncio.run(act())


def test_tell_how_it_does() -> None:
    answer = asked(b"GET /metrics HTTP/1.1\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    lines = answer.partition(b"\r\n\r\n")[2].decode().splitlines()
    assert "adjoin_connector_check_ins_total 3" in lines
    assert "adjoin_connector_last_check_in_seconds 12.500" in lines
    assert 'adjoin_connector_state{state="active"} 1' in lines
    assert 'adjoin_connector_state{state="error"} 0' in lines


def test_there_is_nothing_else() -> None:
    assert asked(b"GET / HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.1 404")


def test_a_head_has_no_body() -> None:
    assert asked(b"HEAD /metrics HTTP/1.1\r\n\r\n").endswith(b"\r\n\r\n")


def test_a_taken_port_is_refused_in_words() -> None:
    async def act(port: int) -> None:
        async with metrics.served(port, Status("1")):
            pass

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(Unusable, match="cannot be served"):
            asyncio.run(act(taken.getsockname()[1]))
