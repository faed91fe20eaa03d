"""What was read from a database by key, kept for as long as nothing in it has changed, whoever changed it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable
from typing import Any, Final, TypeVar

from adjoin.store.database import Database, Session

T = TypeVar("T")

_LIMIT: Final = 10_000
_UNKNOWN: Final = object()


class Memory:
    """Answers of one database by key. A database that cannot tell whether it changed is asked each time."""

    def __init__(self) -> None:
        self._generation: int | None = None
        self._known: dict[Hashable, Any] = {}

    async def recall(self, database: Database, key: Hashable, read: Callable[[Session], Awaitable[T]]) -> T:
        """What `read` gives now. The same key has to stand for the same reading."""
        generation = database.generation()
        if generation is None:
            return await read(database.reader)
        if generation != self._generation:
            self._known.clear()
            self._generation = generation
        found: T | object = self._known.get(key, _UNKNOWN)
        if found is not _UNKNOWN:
            return found  # type: ignore[return-value]  # what is kept under a key is what its reading gave
        read_now = await read(database.reader)
        # Another may have noticed a change meanwhile; then this was read before it.
        if generation == self._generation:
            if len(self._known) >= _LIMIT:
                self._known.clear()
            self._known[key] = read_now
        return read_now
