"""Carries bodies to receivers: one POST each, to an address that was looked at, within bounds of time and size.

How many at a time is for its users to bound: a wait for a turn here would be taken from the time that a receiver has.

The name is resolved once (`names.py`), and what is connected to is what was checked. It follows no redirect and asks no
proxy. HTTP is written and read here: a POST costs a tenth of what it does through the pool of httpcore (1.7 to 6 ms of
processor time), and the requests that are served meanwhile wait for it.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from adjoin import __version__
from adjoin.service.errors import NotSubscribed
from adjoin.service.names import Names, UnknownName
from adjoin.service.receivers import Allowed, Receiver

SECONDS: Final = 10
"""How long a receiver may take to answer, as Graph gives it."""

MAX_ANSWER: Final = 4_096
"""How much of an answer is read, in bytes."""

CONNECTIONS: Final = 64
KEPT_SECONDS: Final = 30.0
"""How long a connection is kept for the next body."""

TRY_SECONDS: Final = 3.0
"""How long an address may take to be connected to while there are others."""

_TIDY_SECONDS: Final = 10.0
_MAX_HEAD: Final = 16_384
_MAX_INTERIM: Final = 5
_STATUS: Final = re.compile(r"HTTP/1\.([01]) (\d{3})(?: |$)")
_LENGTH: Final = re.compile(r"\d{1,15}")
_CHUNK: Final = re.compile(rb"([0-9A-Fa-f]{1,8})[ \t]*(?:;[^\r\n]*)?\r\n")


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


@dataclass(frozen=True, slots=True)
class _Connection:
    """An open connection; `since` is when it was last used, by the loop's clock."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    since: float = 0.0

    def usable(self, now: float) -> bool:
        return now - self.since < KEPT_SECONDS and not self.reader.at_eof() and not self.writer.is_closing()

    def drop(self) -> None:
        self.writer.transport.abort()


class _Ended(Unreachable):
    """The connection ended before a byte of an answer came."""


class Courier:
    """Connections to receivers. Make, use and close it on one event loop.

    The system's authorities are loaded at the first use, in a thread: a service that notifies nobody never pays for
    them.
    """

    def __init__(self, allowed: Allowed, authorities: Path | None = None, names: Names | None = None) -> None:
        self._allowed = allowed
        self._authorities = authorities
        self._names = names or Names()
        self._first = asyncio.Lock()
        # A file that is none is found at the start.
        self._context = None if authorities is None else _trusting(authorities)
        self._kept: dict[Receiver, list[_Connection]] = {}
        self._tidies: asyncio.TimerHandle | None = None

    async def __call__(self, url: str, body: bytes, content_type: str) -> Answer:
        try:
            # Once more: it may have been allowed when it was subscribed, and not be any longer.
            receiver = self._allowed.receiver(url)
        except NotSubscribed as refusal:
            raise Unreachable(refusal.message) from None
        request = _request(url, receiver, body, content_type)
        try:
            async with asyncio.timeout(SECONDS):
                return await self._carried(receiver, request)
        except TimeoutError:
            raise TooSlow(f"no answer within {SECONDS} seconds") from None
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
            raise Unreachable(str(error) or type(error).__name__) from None

    async def _carried(self, receiver: Receiver, request: bytes) -> Answer:
        now = asyncio.get_running_loop().time()
        while (connection := self._taken(receiver)) is not None:
            if connection.usable(now):
                try:
                    return await self._exchange(receiver, connection, request)
                except (_Ended, ConnectionError):
                    break  # the receiver had closed it; a new one tells whether it is there
            connection.drop()
        return await self._exchange(receiver, await self._connected(receiver), request)

    def _taken(self, receiver: Receiver) -> _Connection | None:
        kept = self._kept.get(receiver)
        if kept is None:
            return None
        connection = kept.pop()
        if not kept:
            del self._kept[receiver]
        return connection

    async def _exchange(self, receiver: Receiver, connection: _Connection, request: bytes) -> Answer:
        ends = True
        try:
            connection.writer.write(request)
            await connection.writer.drain()
            answer, ends = await _read(connection.reader)
        finally:
            if ends:
                connection.drop()
        self._keep(receiver, connection)
        return answer

    def _keep(self, receiver: Receiver, connection: _Connection) -> None:
        now = asyncio.get_running_loop().time()
        self._kept.setdefault(receiver, []).append(_Connection(connection.reader, connection.writer, now))
        if sum(map(len, self._kept.values())) > CONNECTIONS:
            self._tidy(now)
        self._tidy_later()

    def _tidy_later(self) -> None:
        # What its receiver has closed is of no use, and nobody may come who would find that out.
        if self._kept and self._tidies is None:
            self._tidies = asyncio.get_running_loop().call_later(_TIDY_SECONDS, self._tidy_now)

    def _tidy_now(self) -> None:
        self._tidies = None
        self._tidy(asyncio.get_running_loop().time())
        self._tidy_later()

    def _tidy(self, now: float) -> None:
        """Let go of what is no longer of use, and of the receiver that has waited longest if that is not enough."""
        for receiver, kept in list(self._kept.items()):
            for each in [each for each in kept if not each.usable(now)]:
                kept.remove(each)
                each.drop()
            if not kept:
                del self._kept[receiver]
        if sum(map(len, self._kept.values())) > CONNECTIONS:
            oldest = min(self._kept.values(), key=lambda kept: kept[0].since)
            oldest.pop(0).drop()

    async def _connected(self, receiver: Receiver) -> _Connection:
        tls, name = (await self._trust(), receiver.host) if receiver.scheme == "https" else (None, None)
        try:
            found = await self._names.addresses(receiver.host)
        except UnknownName as unknown:
            raise Unreachable(str(unknown)) from None
        allowed = [each for each in found if self._allowed.address(receiver.host, receiver.port, each)]
        error: Exception = Unreachable(f"{receiver.host} has no address that may be called")
        for address in allowed:
            try:
                # The last one may take what time there is.
                async with asyncio.timeout(None if address is allowed[-1] else TRY_SECONDS):
                    return _Connection(
                        *await asyncio.open_connection(
                            address, receiver.port, limit=_MAX_HEAD, ssl=tls, server_hostname=name
                        )
                    )
            except OSError as failed:
                error = failed
        self._names.forget(receiver.host)
        raise error

    async def _trust(self) -> ssl.SSLContext:
        async with self._first:
            if self._context is None:
                self._context = await asyncio.to_thread(_trusting, self._authorities)
            return self._context

    async def close(self) -> None:
        if self._tidies is not None:
            self._tidies.cancel()
        await self._names.close()
        for kept in self._kept.values():
            for each in kept:
                each.drop()
        self._kept.clear()


def _trusting(authorities: Path | None) -> ssl.SSLContext:
    """The system's authorities, and those of a PEM file."""
    context = ssl.create_default_context()
    if authorities is not None:
        context.load_verify_locations(authorities)
    return context


def _request(url: str, receiver: Receiver, body: bytes, content_type: str) -> bytes:
    """The request as it goes over the wire. The URL was found to hold printable ASCII alone, and no blank."""
    split = urlsplit(url)
    target = f"{split.path or '/'}{f'?{split.query}' if split.query else ''}"
    host = f"[{receiver.host}]" if ":" in receiver.host else receiver.host
    lines = (
        f"POST {target} HTTP/1.1",
        f"Host: {host}{f':{split.port}' if split.port is not None else ''}",
        f"User-Agent: adjoin/{__version__}",
        "Accept: */*",
        f"Content-Type: {content_type}",
        f"Content-Length: {len(body)}",
    )
    return "\r\n".join((*lines, "", "")).encode("ascii") + body


async def _read(reader: asyncio.StreamReader) -> tuple[Answer, bool]:
    """An answer, and whether its connection ends with it."""
    for _ in range(_MAX_INTERIM):
        minor, status, fields = await _head(reader)
        if status >= 200:
            break
    else:
        raise Unreachable("nothing but interim answers")
    body, whole = await _body(reader, status, fields)
    ends = not whole or minor == 0 or "close" in fields.get("connection", "").lower()
    return Answer(status, fields.get("content-type", ""), body), ends


async def _head(reader: asyncio.StreamReader) -> tuple[int, int, dict[str, str]]:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as error:
        raise _Ended("the connection ended without an answer") if not error.partial else error from None
    status_line, *lines = head.decode("latin-1").split("\r\n")[:-2]
    found = _STATUS.match(status_line)
    if found is None:
        raise Unreachable("the answer is not HTTP")
    fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return int(found.group(1)), int(found.group(2)), fields


async def _body(reader: asyncio.StreamReader, status: int, fields: dict[str, str]) -> tuple[bytes, bool]:
    """The beginning of a body, and whether that is all of it and its end is known."""
    if status in (204, 304):
        return b"", True
    if "transfer-encoding" in fields:
        return await _chunks(reader)
    length = fields.get("content-length")
    if length is None:
        return await _at_most(reader, MAX_ANSWER), False
    if not _LENGTH.fullmatch(length):
        raise Unreachable("the answer is not HTTP")
    if int(length) <= MAX_ANSWER:
        return await reader.readexactly(int(length)), True
    return await reader.readexactly(MAX_ANSWER), False


async def _chunks(reader: asyncio.StreamReader) -> tuple[bytes, bool]:
    body = b""
    while len(body) < MAX_ANSWER:
        line = _CHUNK.fullmatch(await reader.readuntil(b"\r\n"))
        if line is None:
            raise Unreachable("the answer is not HTTP")
        size = int(line.group(1), 16)
        if size == 0:
            return body, await reader.readuntil(b"\r\n") == b"\r\n"
        body += await reader.readexactly(min(size, MAX_ANSWER - len(body)))
        if len(body) < MAX_ANSWER:
            await reader.readexactly(2)
    return body, False


async def _at_most(reader: asyncio.StreamReader, size: int) -> bytes:
    body = b""
    while len(body) < size and (some := await reader.read(size - len(body))):
        body += some
    return body
