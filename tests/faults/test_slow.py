"""Clients that hold on and ask for nothing: they are let go of, and others are served meanwhile."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final

from tests.faults.service import LIST, Client, serving

HEAD: Final = b"GET /healthz HTTP/1.1\r\nHost: slow\r\n"
FORM: Final = (
    b"POST /default/oauth2/v2.0/token HTTP/1.1\r\nHost: slow\r\nContent-Length: 4000\r\n"
    b"Content-Type: application/x-www-form-urlencoded\r\n\r\n"
)
HOLDING: Final = {
    "nothing": (b"", b""),
    "half a head": (HEAD, b""),
    "a head, byte by byte": (HEAD + b"X-Slow: ", b"x"),
    "half a body": (FORM + b"grant_type=", b""),
    "a body, byte by byte": (FORM, b"x"),
    "one request and no more": (HEAD + b"\r\n", b""),
}
EACH: Final = 20


async def until_it_ends(port: int, begin: bytes, drip: bytes) -> bytes:
    """What a connection was told before the service ended it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(begin)
    ended = asyncio.ensure_future(reader.read())
    while not ended.done():
        writer.write(drip)
        await asyncio.wait({ended}, timeout=0.5)
    writer.close()
    return b"" if ended.exception() is not None else ended.result()


async def hold_and_ask(port: int, token: str) -> dict[str, list[bytes]]:
    """Hold with all kinds of connections until each has been ended, asking all the while on others."""
    held = {
        name: [asyncio.ensure_future(until_it_ends(port, *kind)) for _ in range(EACH)] for name, kind in HOLDING.items()
    }
    every = [each for some in held.values() for each in some]
    while not all(each.done() for each in every):
        client = Client(port, token)
        for path in ("/healthz", f"{LIST}?$top=1"):
            assert (await client.call("GET", path)).status == 200
        await client.close()
        await asyncio.wait(every, timeout=0.2)
    return {name: [each.result() for each in some] for name, some in held.items()}


def test_they_are_let_go_of_and_others_are_served_meanwhile(tmp_path: Path) -> None:
    with serving(tmp_path / "data") as service:
        told = asyncio.run(asyncio.wait_for(hold_and_ask(service.port, service.token()), 120))
        assert service.alive()
    assert {name: {each[:12] for each in some} for name, some in told.items()} == {
        "nothing": {b""},
        "half a head": {b""},
        "a head, byte by byte": {b""},
        "half a body": {b"HTTP/1.1 408"},
        "a body, byte by byte": {b"HTTP/1.1 408"},
        "one request and no more": {b"HTTP/1.1 200"},
    }
