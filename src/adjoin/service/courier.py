"""Carries bodies to receivers: one POST each, to an address that was looked at, within bounds of time and size.

On httpcore, whose connections can be told where to go: the name is resolved once, and what is connected to is what was
checked. It follows no redirect and asks no proxy.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpcore

from adjoin import __version__
from adjoin.service.receivers import Allowed

SECONDS: Final = 10
"""How long a receiver may take to answer, as Graph gives it."""

MAX_ANSWER: Final = 4_096
"""How much of an answer is read, in bytes."""

CONNECTIONS: Final = 64

_AGENT: Final = f"adjoin/{__version__}".encode()


@dataclass(frozen=True, slots=True)
class Answer:
    """What a receiver answered; `body` is its beginning."""

    status: int
    content_type: str
    body: bytes


class Unreachable(Exception):
    """A receiver that did not answer. The words are for logs, and hold no part of a URL but its host."""


class TooSlow(Unreachable):
    """A receiver that did not answer in time."""


Carry = Callable[[str, bytes, str], Awaitable[Answer]]
"""POSTs a body of this content type to a URL. Raises Unreachable."""


class _Checked(httpcore.AsyncNetworkBackend):
    """Connects to checked addresses only."""

    def __init__(self, allowed: Allowed) -> None:
        self._allowed = allowed
        self._inner = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - the signature is httpcore's
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        error: Exception = httpcore.ConnectError(f"{host} has no address that may be called")
        for address in await _addresses(host, port):
            if not self._allowed.address(host, port, address):
                continue
            try:
                return await self._inner.connect_tcp(address, port, timeout, local_address, socket_options)
            except httpcore.ConnectError as failed:
                error = failed
        raise error

    async def sleep(self, seconds: float) -> None:
        await self._inner.sleep(seconds)


async def _addresses(host: str, port: int) -> list[str]:
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise httpcore.ConnectError(f"{host} is not known: {error.strerror}") from None
    return list(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found))


class Courier:
    """Connections to receivers. Make, use and close it on one event loop."""

    def __init__(self, allowed: Allowed, authorities: Path | None = None) -> None:
        context = ssl.create_default_context()
        if authorities is not None:
            context.load_verify_locations(authorities)
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=context,
            max_connections=CONNECTIONS,
            keepalive_expiry=30.0,
            network_backend=_Checked(allowed),
        )

    async def __call__(self, url: str, body: bytes, content_type: str) -> Answer:
        headers = [(b"Content-Type", content_type.encode()), (b"User-Agent", _AGENT), (b"Accept", b"*/*")]
        try:
            async with asyncio.timeout(SECONDS):
                async with self._pool.stream("POST", url, headers=headers, content=body) as response:
                    return await _read(response)
        except TimeoutError:
            raise TooSlow(f"no answer within {SECONDS} seconds") from None
        except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException, OSError) as error:
            raise Unreachable(str(error) or type(error).__name__) from None

    async def close(self) -> None:
        await self._pool.aclose()


async def _read(response: httpcore.Response) -> Answer:
    found = {name.lower(): value for name, value in response.headers}
    body = b""
    async for chunk in response.aiter_stream():
        body += chunk
        if len(body) >= MAX_ANSWER:
            break
    return Answer(response.status, found.get(b"content-type", b"").decode("latin-1"), body[:MAX_ANSWER])
