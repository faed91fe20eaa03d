"""The addresses of receivers' hosts, looked up beside everything else and remembered for a short while.

The system's resolver blocks a thread, for as long as a name server likes, and cannot be stopped. So each look-up has a
thread of its own, which nothing waits for at the end; a name is looked up once at a time, and names that are not known
to be answered are fewer than there are threads: dead name servers leave room for the others.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Final

THREADS: Final = 8
"""How many names are looked up at a time."""

UNKNOWN: Final = 4
"""So many of them may be names that were never answered, or not when they were looked up last."""

KEPT_SECONDS: Final = 30.0
KEPT_SECONDS_OF_FAILURES: Final = 10.0

_SIZE: Final = 1_024

Resolve = Callable[[str], Sequence[str]]
"""The addresses of a name. It may block. Raises OSError or UnicodeError."""


class UnknownName(Exception):
    """A name that has no addresses, or could not be asked for. The words are for logs."""


@dataclass(frozen=True, slots=True)
class _Known:
    """What was found: addresses, or why there are none; and when."""

    addresses: tuple[str, ...]
    fault: str | None
    since: float

    def fresh(self, now: float) -> bool:
        return now - self.since < (KEPT_SECONDS if self.fault is None else KEPT_SECONDS_OF_FAILURES)


def _resolve(host: str) -> Sequence[str]:
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return [str(sockaddr[0]) for *_, sockaddr in found]


class Names:
    """What is known of names, by a clock that is never set. Make and use it on one event loop."""

    def __init__(self, resolve: Resolve = _resolve, now: Callable[[], float] = monotonic) -> None:
        self._resolve = resolve
        self._now = now
        self._known: dict[str, _Known] = {}
        self._asked: dict[str, asyncio.Task[_Known]] = {}
        self._all = asyncio.Semaphore(THREADS)
        self._unknown = asyncio.Semaphore(UNKNOWN)

    async def addresses(self, host: str) -> Sequence[str]:
        """The addresses of a host, each once. Raises UnknownName."""
        with contextlib.suppress(ValueError):
            return (str(ipaddress.ip_address(host)),)
        known = self._known.get(host)
        if known is None or not known.fresh(self._now()):
            task = self._asked.get(host)
            if task is None:
                answered = known is not None and known.fault is None
                task = self._asked[host] = asyncio.ensure_future(self._ask(host, answered=answered))
            # Whoever gives up leaves the look-up to others, and its thread counts until it comes back.
            known = await asyncio.shield(task)
        if known.fault is not None:
            raise UnknownName(known.fault)
        return known.addresses

    def forget(self, host: str) -> None:
        """Look a name up anew the next time: what was found is of no use."""
        known = self._known.get(host)
        if known is not None:
            # That it was answered is remembered.
            self._known[host] = _Known(known.addresses, known.fault, float("-inf"))

    async def _ask(self, host: str, *, answered: bool) -> _Known:
        try:
            async with contextlib.nullcontext() if answered else self._unknown, self._all:
                found = await self._in_thread(host)
        finally:
            del self._asked[host]
        self._known.pop(host, None)
        while len(self._known) >= _SIZE:
            del self._known[next(iter(self._known))]
        self._known[host] = found
        return found

    async def _in_thread(self, host: str) -> _Known:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[tuple[tuple[str, ...], str | None]] = loop.create_future()

        def tell(addresses: tuple[str, ...], fault: str | None) -> None:
            if not answer.done():
                answer.set_result((addresses, fault))

        def run() -> None:
            addresses, fault = self._looked_up(host)
            # The loop may be no more by now.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(tell, addresses, fault)

        # No executor: its threads are waited for when the program ends.
        threading.Thread(target=run, name="names", daemon=True).start()
        addresses, fault = await answer
        return _Known(addresses, fault, self._now())

    def _looked_up(self, host: str) -> tuple[tuple[str, ...], str | None]:
        try:
            return tuple(dict.fromkeys(self._resolve(host))), None
        except (OSError, UnicodeError) as error:
            # The second from a name that cannot be encoded.
            return (), f"{host} is not known: {getattr(error, 'strerror', None) or error}"

    async def close(self) -> None:
        """Wait for no look-up any more."""
        tasks = [*self._asked.values()]
        for each in tasks:
            each.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
