"""Carries bodies to receivers: one POST each, within bounds of time and size."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from adjoin.service.receivers import Allowed

if TYPE_CHECKING:
    from adjoin.service.connections import Connections

SECONDS: Final = 10
"""How long a receiver may take to answer, as Graph gives it."""

MAX_ANSWER: Final = 4_096
"""How much of an answer is read, in bytes."""

CONNECTIONS: Final = 64


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


class Courier:
    """Connections to receivers. Make, use and close it on one event loop.

    The HTTP client and the system's authorities are loaded at the first use, in a thread: a service that notifies
    nobody never pays for them.
    """

    def __init__(self, allowed: Allowed, authorities: Path | None = None) -> None:
        self._allowed = allowed
        self._authorities = authorities
        self._first = asyncio.Lock()
        self._connections: Connections | None = None
        if authorities is not None:
            self._connections = self._made()  # a file that is none is found at the start

    async def __call__(self, url: str, body: bytes, content_type: str) -> Answer:
        try:
            async with asyncio.timeout(SECONDS):
                return await (await self._opened()).post(url, body, content_type)
        except TimeoutError:
            raise TooSlow(f"no answer within {SECONDS} seconds") from None
        except OSError as error:
            raise Unreachable(str(error) or type(error).__name__) from None

    async def close(self) -> None:
        if self._connections is not None:
            await self._connections.close()

    async def _opened(self) -> Connections:
        async with self._first:
            if self._connections is None:
                self._connections = await asyncio.to_thread(self._made)
            return self._connections

    def _made(self) -> Connections:
        from adjoin.service.connections import Connections  # noqa: PLC0415 - see the class

        return Connections(self._allowed, self._authorities)
