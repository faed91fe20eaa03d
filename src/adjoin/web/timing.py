"""`Server-Timing`: where the time of one request went, for whoever looks at it in a browser or with curl.

Off by default: it tells strangers what was remembered and what was not.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any, TypeVar, cast

from adjoin.service.installation import Installation
from adjoin.store.database import Database, Session

T = TypeVar("T")


class Stopwatch:
    """The time of one request, in seconds: until it was read, until its caller was known, and within the database."""

    def __init__(self) -> None:
        self._started = self._read = self._known = time.perf_counter()
        self._stored = 0.0

    def read(self) -> None:
        """What is asked for is known now."""
        self._read = self._known = time.perf_counter()

    def known(self, installation: Installation) -> Installation:
        """The caller is known now; gives the installation with a database whose time is taken."""
        self._known = time.perf_counter()
        return replace(installation, database=cast("Database", _Timed(installation.database, self)))

    async def taken(self, act: Awaitable[T]) -> T:
        """What `act` gives, its time counted as the database's."""
        began = time.perf_counter()
        try:
            return await act
        finally:
            self._stored += time.perf_counter() - began

    def stages(self) -> dict[str, float]:
        """How long each stage took of an answer that leaves now."""
        ended = time.perf_counter()
        return {
            "read": self._read - self._started,
            "auth": self._known - self._read,
            "store": self._stored,
            "write": ended - self._known - self._stored,
            "total": ended - self._started,
        }

    def header(self) -> tuple[str, str]:
        """The header of an answer that leaves now (W3C Server Timing; in milliseconds)."""
        stages = self.stages().items()
        return "server-timing", ", ".join(f"{name};dur={seconds * 1000:.3f}" for name, seconds in stages)


class _Timed:
    """A database or a session; what it does not time it passes on as it is."""

    def __init__(self, inner: Any, watch: Stopwatch) -> None:
        self._inner = inner
        self._watch = watch

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    @property
    def reader(self) -> Any:
        return _Timed(self._inner.reader, self._watch)

    @property
    def scanner(self) -> Any:
        return _Timed(self._inner.scanner, self._watch)

    async def fetch(self, sql: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        return await self._watch.taken(self._inner.fetch(sql, parameters))

    async def write(self, act: Callable[[Session], Awaitable[T]]) -> T:
        return await self._watch.taken(self._inner.write(act))
