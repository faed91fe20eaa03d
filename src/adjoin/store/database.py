"""What the rest of the store asks of a database, whichever it is: read at once, write in a transaction.

SQL is written once, with `?1`-style parameters; each engine puts them in its own form.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol, TypeVar

from adjoin.odata.errors import Refusal

T = TypeVar("T")


class Session(Protocol):
    """One connection's view: the current state for a read, the open transaction for a write."""

    async def fetch(self, sql: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Run one statement and give all its rows (a write gives what it returns)."""
        ...


class Database(Protocol):
    """An open database. Reads never wait for writers."""

    @property
    def reader(self) -> Session: ...

    def generation(self) -> int | None:
        """A number that is another whenever anybody has changed the database since; None: it cannot be told.

        As long as it is the same, what was read before is what would be read now.
        """
        ...

    async def write(self, act: Callable[[Session], Awaitable[T]]) -> T:
        """Run `act` in a transaction and give its result once that is on disk.

        Writes that arrive together share a commit. `act` awaits nothing but its session, and may be run again from
        the start when a neighbour in the same commit fails: it must do nothing that a rollback does not undo.
        Raises what `act` raises (and then nothing of it is kept), Unavailable, or Overloaded.
        """
        ...

    async def close(self) -> None:
        """Finish what is queued and let go of the files."""
        ...


class StoreRefusal(Refusal):
    """The database cannot do what was asked now; nothing of it was done unless the words say otherwise."""


class Unavailable(StoreRefusal):
    """The database is busy, full, read-only or gone."""


class Overloaded(StoreRefusal):
    """More writes are waiting than the queue may hold."""


class Unusable(StoreRefusal):
    """A database that this program must not touch: foreign, damaged, or written by a newer version."""
