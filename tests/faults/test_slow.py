"""Clients that hold on and ask for nothing: they are let go of, and others are served meanwhile."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from tests.faults.service import LIST, Client, serving
from tests.server import config_of

from adjoin.cli.listener import Listener, claim_address, look_of
from adjoin.identity.certificates import CA_FILE
from adjoin.web import app

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


# HTTP/2's preface with empty settings (RFC 9113, 3.4), and a request as HPACK has it (RFC 7541): GET, https, /healthz.
BEGIN: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0" + b"\0\0\0\0"
FIELDS: Final = b"\x82\x87\x04\x08/healthz\x01\x04slow"
_HEADERS, _END_STREAM, _END_HEADERS = b"\1", 1, 4


def headers_frame(flags: int) -> bytes:
    return len(FIELDS).to_bytes(3) + _HEADERS + bytes([flags]) + b"\0\0\0\1" + FIELDS


HOLDING_TLS: Final = {
    "a preface": BEGIN,
    "one request and no more": BEGIN + headers_frame(_END_STREAM | _END_HEADERS),
    "half a head": BEGIN + headers_frame(_END_STREAM),
}


@asynccontextmanager
async def listening(folder: Path) -> AsyncIterator[tuple[int, ssl.SSLContext]]:
    """A service over TLS in this process: its port, and what its clients need to trust it and speak HTTP/2."""
    config = config_of(folder, port=claim_address("127.0.0.1", 0), tls=True)
    application = app.create(config)
    await application.open()
    listener = Listener(application, config, look_of(config, time.time))
    running = asyncio.create_task(listener.run())
    assert await listener.listening()
    context = ssl.create_default_context(cafile=str(config.tls_dir / CA_FILE))
    context.set_alpn_protocols(["h2"])
    yield config.port, context
    listener.stop()
    await running
    await application.close()


async def until_it_ends_over_tls(port: int, context: ssl.SSLContext, begin: bytes) -> None:
    """Say this, and then nothing, not even that one is there."""
    reader, writer = await asyncio.open_connection("localhost", port, ssl=context)
    writer.write(begin)
    while await reader.read(65_536):
        pass
    writer.close()


def test_those_who_speak_http_2_are_let_go_of_too(tmp_path: Path) -> None:
    async def hold() -> None:
        async with listening(tmp_path / "data") as (port, context):
            kinds = [each for each in HOLDING_TLS.values() for _ in range(EACH)]
            await asyncio.gather(*(until_it_ends_over_tls(port, context, each) for each in kinds))

    asyncio.run(asyncio.wait_for(hold(), 120))
