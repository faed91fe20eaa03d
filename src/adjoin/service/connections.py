"""Connections to receivers: one POST each, to an address that was looked at.

On httpcore, whose connections can be told where to go: the name is resolved once, and what is connected to is what was
checked. It follows no redirect and asks no proxy.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import httpcore

from adjoin import __version__
from adjoin.service.courier import CONNECTIONS, MAX_ANSWER, Answer, Unreachable
from adjoin.service.receivers import Allowed

_AGENT: Final = f"adjoin/{__version__}".encode()


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


class Connections:
    """A pool of them. Make it anywhere, use and close it on one event loop."""

    def __init__(self, allowed: Allowed, authorities: Path | None) -> None:
        """`authorities` is a PEM file of those to trust besides the system's."""
        context = ssl.create_default_context()
        if authorities is not None:
            context.load_verify_locations(authorities)
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=context,
            max_connections=CONNECTIONS,
            keepalive_expiry=30.0,
            network_backend=_Checked(allowed),
        )

    async def post(self, url: str, body: bytes, content_type: str) -> Answer:
        """What the receiver answers. Raises Unreachable."""
        headers = [(b"Content-Type", content_type.encode()), (b"User-Agent", _AGENT), (b"Accept", b"*/*")]
        try:
            async with self._pool.stream("POST", url, headers=headers, content=body) as response:
                return await _read(response)
        except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException) as error:
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
