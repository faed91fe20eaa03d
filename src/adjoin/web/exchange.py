"""One request and its response, as plain values: what the handlers see of HTTP, whatever server carries it."""

from __future__ import annotations

import contextlib
import re
import zlib
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from itertools import chain
from typing import Any, Final

import msgspec

from adjoin.odata.errors import MalformedBody, Refusal, UnsupportedEncoding
from adjoin.web.errors import BadHost, BodyCut, BodyTooLarge, BodyTooSlow, HeadersTooLarge
from adjoin.web.heads import Known, Raw
from adjoin.web.meter import Meter
from adjoin.web.patience import Waiting, next_turn
from adjoin.web.timing import Stopwatch

MAX_BODY: Final = 1024 * 1024
_DIGITS: Final = len(str(MAX_BODY)) - 1
MAX_TARGET: Final = 32 * 1024
MAX_HEADERS: Final = 64 * 1024
_BODY_SECONDS: Final = 30.0
_PATIENCE: Final = 5.0
_BYTES_PER_SECOND: Final = 1024
_UNREAD_SECONDS: Final = 5.0

# What may be echoed of a client-request-id: GUIDs and other plain tokens.
_ECHOED: Final = re.compile(r"[A-Za-z0-9._~{}-]{1,128}")

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]


class Request(msgspec.Struct):
    """A request. `path` and `query` are still percent-encoded; header names are in small letters.

    `id` is new for each request; `client_id` is the caller's own id, or the same as `id` without one.
    """

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    origin: str
    receive: Receive
    id: str
    client_id: str
    address: str | None = None
    """Who sent it, as far as proxies that are believed say so; None: over a Unix socket."""
    content: bytes | None = None
    """The body where it is at hand already: read before, or part of a batch."""
    operation: str = "unknown"
    """What is asked for, by a name of ours, as soon as that is known: it is counted under it."""
    meter: Meter = msgspec.field(default_factory=Meter)
    watch: Stopwatch | None = None
    begun: bool = False
    """Whether the body has been read, or a part of it."""
    raw: Raw = ()
    """The headers as they came."""
    digest: object = None
    """What tells its headers from others; None for a request that is part of another."""
    known: Known | None = None
    """Who sends it, where that was verified before."""

    @property
    def authorization(self) -> str:
        """The header of this name, which is not kept with the others of a known caller."""
        found = self.headers.get("authorization")
        if found is None:
            found = next((value.decode("latin-1") for name, value in self.raw if name == b"authorization"), "")
        return found.strip()

    async def body(self) -> bytes:
        """The body, unpacked. Raises BodyTooLarge, BodyTooSlow, BodyCut, UnsupportedEncoding or MalformedBody."""
        if self.content is None:
            self.content = await self._arrived()
        return self.content

    async def pass_over(self) -> None:
        """Let a body arrive that nobody has asked for, as far as it may be large and slow.

        Answered before it is there, the stream is reset; HTTP/2 clients take that for a failure, and lose the answer.
        A client that expects a word before it sends its body has not sent it.
        """
        if self.content is not None or self.begun or self.method in ("GET", "HEAD", "OPTIONS"):
            return
        if "expect" in self.headers or self._declares_too_much():
            return
        with contextlib.suppress(TimeoutError, BodyTooLarge, BodyCut):
            await self._read(_UNREAD_SECONDS, earns=False)

    def _declares_too_much(self) -> bool:
        length = self.headers.get("content-length", "")
        # What has fewer digits than the limit is below it.
        return len(length) > _DIGITS and length.isdecimal() and (len(length) > 15 or int(length) > MAX_BODY)

    async def _arrived(self) -> bytes:
        encoding = self.headers.get("content-encoding")
        packed = False if encoding is None else _is_packed(encoding)
        if self._declares_too_much():
            raise BodyTooLarge(MAX_BODY)
        try:
            data = await self._read(_PATIENCE, earns=True)
        except TimeoutError:
            raise BodyTooSlow from None
        return _unpacked(data) if packed else data

    async def _read(self, patience: float, *, earns: bool) -> bytes:
        """The body as it was sent, within so many seconds. Raises TimeoutError.

        If it `earns` more, what comes in does so, but a byte a second holds nobody for long.
        """
        self.begun = True
        self.meter.waiting += 1
        try:
            # The bodies of a turn of the loop are asked for in a row: asking wakes the thread that has them.
            await next_turn()
            with self.meter.patience.until(patience) as waiting:
                return await self._chunks(waiting if earns else None)
        finally:
            self.meter.waiting -= 1

    async def _chunks(self, waiting: Waiting | None) -> bytes:
        chunks: list[bytes] = []
        size = 0
        while True:
            message = await self.receive()
            if message["type"] != "http.request":
                # Of a client that is gone, as of one that sends what is no body, or has closed its own side alone.
                raise BodyCut
            chunk: bytes = message.get("body", b"")
            size += len(chunk)
            if size > MAX_BODY:
                raise BodyTooLarge(MAX_BODY)
            if not message.get("more_body", False):
                return b"".join([*chunks, chunk]) if chunks else chunk
            chunks.append(chunk)
            if waiting is not None:
                waiting.extend(min(_PATIENCE + size / _BYTES_PER_SECOND, _BODY_SECONDS))


class ClientGone(Exception):
    """The client closed the connection while it was to wait for its answer; there is nobody to answer."""


class Response(msgspec.Struct):
    """An answer: its status, its body, and the headers that are its own (those of every answer are added later)."""

    status: int
    body: bytes = b""
    content_type: str | None = None
    headers: list[tuple[str, str]] = []


def _is_packed(encoding: str) -> bool:
    """Whether a body comes packed, by its Content-Encoding. Raises UnsupportedEncoding."""
    name = encoding.strip().lower()
    if name not in ("identity", "gzip", "x-gzip", ""):
        raise UnsupportedEncoding("A body is sent as it is, or packed with gzip.")
    return "gzip" in name


def _unpacked(data: bytes) -> bytes:
    """A gzip body's content, never more than MAX_BODY of it: a small body can unpack to a thousand times its size."""
    unpacker = zlib.decompressobj(wbits=31)
    try:
        content = unpacker.decompress(data, MAX_BODY + 1)
    except zlib.error:
        raise MalformedBody("The request body is not the gzip that its Content-Encoding says.") from None
    if len(content) > MAX_BODY:
        raise BodyTooLarge(MAX_BODY)
    if not unpacker.eof or unpacker.unused_data:
        raise MalformedBody(
            "The request body is not the gzip that its Content-Encoding says: it ends too early or goes on."
        )
    return content


def headers_of(raw: Raw) -> tuple[dict[str, str], Refusal | None]:
    """Headers by name in small letters, repeated ones joined (RFC 9110, 5.3), and what they are to be refused for."""
    # No header holds a line feed (RFC 9110, 5.5), so that names and values are lines of one text.
    lines = b"\n".join(chain.from_iterable(raw)).decode("latin-1").split("\n")
    if len(lines) != 2 * len(raw):
        lines = [each.decode("latin-1") for each in chain.from_iterable(raw)]
    names, values = map(str.lower, lines[::2]), lines[1::2]
    found = dict(zip(names, values, strict=True))
    fault = _join(found, raw) if len(found) < len(raw) else None
    if sum(map(len, lines)) > MAX_HEADERS:
        fault = HeadersTooLarge(MAX_HEADERS)
    return found, fault


def _join(found: dict[str, str], raw: Raw) -> Refusal | None:
    """Put the values of repeated headers together, and give what is wrong if one may not be repeated."""
    fault: Refusal | None = None
    found.clear()
    for name, value in ((name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in raw):
        if name in found and name in ("host", "content-length", "authorization", "content-type"):
            fault = BadHost(f"The header '{name}' is given twice.")
        found[name] = f"{found[name]}, {value}" if name in found else value
    return fault


def echoed(own: bytes) -> str | None:
    """The caller's client-request-id, if it can be given back as it is."""
    text = own.decode("latin-1")
    return text if _ECHOED.fullmatch(text) else None
