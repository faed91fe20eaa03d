"""What the rest of the store asks of a database, whichever it is: read at once, write in a transaction.

SQL is written once, with `?1`-style parameters; each engine puts them in its own form.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any, Protocol, TypeVar

from adjoin.odata.errors import Refusal

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Numbers:
    """Numbers that each tenant's rows get in the order of their commits, counted on in a column of a table of counters.

    Whoever takes one keeps others from taking the next to the end of the transaction.
    """

    table: str
    column: str

    @property
    def take(self) -> str:
        """The statement that takes some for a tenant, and gives the last of them."""
        return (
            f"INSERT INTO {self.table} (tenant, {self.column}) VALUES (?1, ?2) "
            f"ON CONFLICT (tenant) DO UPDATE SET {self.column} = {self.table}.{self.column} + ?2 "
            f"RETURNING {self.column}"
        )


@dataclass(frozen=True, eq=False)
class Insertion:
    """An INSERT of rows of one form: what stands before VALUES, and how many values a row has. One for each table.

    A row's first value is its tenant's number. With `numbers` the second is the next of those, and None until then.
    """

    into: str
    width: int
    numbers: Numbers | None = None

    @property
    def common(self) -> Sequence[object]:
        """What is handed in once for all rows, before what each has of its own."""
        return ()

    def text(self, rows: int) -> str:
        """The statement for this many rows."""
        return _text(self.into, self.width, None, rows)


@dataclass(frozen=True, eq=False)
class Alike(Insertion):
    """An insertion of rows that are alike but for a few values, which alone are handed in, the tenant's number first.

    `cells` are those of a whole row, `own` is where rows differ, `of` inserts such rows whole. A database that takes
    values once for many rows saves what they have in common.
    """

    of: Insertion = field(kw_only=True)
    cells: tuple[object, ...] = field(kw_only=True)
    own: tuple[int, ...] = field(kw_only=True)

    @cached_property
    def common(self) -> Sequence[object]:
        return [cell for at, cell in enumerate(self.cells) if at not in self.own]

    def text(self, rows: int) -> str:
        return _text(self.into, self.width, self.own, rows)

    def whole(self, values: Sequence[object]) -> list[object]:
        """The whole row with these values of its own."""
        row = list(self.cells)
        for at, value in zip(self.own, values, strict=True):
            row[at] = value
        return row


@lru_cache(maxsize=256)
def _text(into: str, width: int, own: tuple[int, ...] | None, rows: int) -> str:
    own = tuple(range(width)) if own is None else own
    common = [at for at in range(width) if at not in own]
    place = {at: number for number, at in enumerate(common, 1)}

    def row(first: int) -> str:
        place.update((at, number) for number, at in enumerate(own, first))
        return f"({', '.join(f'?{place[at]}' for at in range(width))})"

    every = (row(len(common) + number * len(own) + 1) for number in range(rows))
    return f"{into} VALUES {', '.join(every)}"


class Session(Protocol):
    """One connection's view: the current state for a read, the open transaction for a write."""

    async def fetch_apart(self, sql: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """As `fetch`, for a statement that has nothing to do with the rows that gather: those go on gathering."""
        ...

    @property
    def embedded(self) -> bool:
        """Whether it is SQLite, which writes pages as JSON (`writing.py`)."""
        ...

    def insert(self, insertion: Insertion, row: Sequence[object]) -> None:
        """Insert a row, not at once: at the latest before the next fetch or the end of the transaction.

        Rows that gather meanwhile, of neighbours in the same commit too, may go into one statement. What the database
        has against a row can come as late as that: look before whether its key is free.
        """
        ...

    async def fetch(self, sql: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Run one statement and give all its rows (a write gives what it returns)."""
        ...


class Database(Protocol):
    """An open database. Reads never wait for writers."""

    @property
    def reader(self) -> Session: ...

    @property
    def scanner(self) -> Session:
        """For reads that may look at many rows: they wait for each other, and nothing else waits for them.

        Raises TooSlow past the time that one may take, and Overloaded when too many wait.
        """
        ...

    def generation(self) -> int | None:
        """A number that is another whenever anybody has changed the database since; None: it cannot be told.

        As long as it is the same, what was read before is what would be read now.
        """
        ...

    async def write(self, act: Callable[[Session], Awaitable[T]]) -> T:
        """Run `act` in a transaction and give its result once that is on disk.

        Writes that arrive together share a commit. `act` awaits nothing but its session, and may be run again from
        the start when a neighbour in the same commit fails: it must do nothing that a rollback does not undo.
        Raises what `act` raises (and then nothing of it is kept), Unavailable, Overloaded, or Uncertain.
        """
        ...

    async def close(self) -> None:
        """Finish what is queued and let go of the files."""
        ...


class StoreRefusal(Refusal):
    """The database cannot do what was asked now; nothing of it was done unless the words say otherwise."""


class Unavailable(StoreRefusal):
    """The database is busy, full, read-only or gone.

    `message` is for operators: it may name the database, and the role there. Callers hear no more than that it is so.
    """


class Uncertain(StoreRefusal):
    """The database was lost while it kept a change: it may or may not have been made."""


class Overloaded(StoreRefusal):
    """More writes, or more reads that take long, are waiting than the queue may hold."""


class TooSlow(StoreRefusal):
    """A read looked at more rows than fits into the time that one may take."""


class Unusable(StoreRefusal):
    """A database that this program must not touch: foreign, damaged, or written by a newer version."""
