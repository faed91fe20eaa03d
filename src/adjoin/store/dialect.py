"""The store's SQL as PostgreSQL reads it: `?1` as `$1` with the type of what it holds, and the few names that differ.

SQLite compares text by its bytes, so all text here has the collation "C", which does the same. The SQL of the store
holds no text of a caller's (`where.py`), so what looks like a parameter or a name is one.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final

from adjoin.store.database import Insertion, Numbers

_DIFFERS: Final = re.compile(r"\?(\d+)|\b(instr)\(")
_NAMES: Final = {"instr": "strpos"}
_PLACES: Final[dict[type, str]] = {
    bool: "${}::boolean",
    int: "${}::bigint",
    str: '(${}::text COLLATE "C")',
    bytes: "${}::bytea",
}


def translated(sql: str, parameters: Sequence[object]) -> str:
    """A statement for PostgreSQL; None gets the type of the place where it goes."""
    return _translated(sql, tuple(map(type, parameters)))


@lru_cache(maxsize=1_024)
def _translated(sql: str, types: tuple[type, ...]) -> str:
    def place(found: re.Match[str]) -> str:
        number, name = found.groups()
        if name:
            return f"{_NAMES[name]}("
        return _PLACES.get(types[int(number) - 1], "${}").format(number)

    return _DIFFERS.sub(place, sql)


def columns_of(insertion: Insertion) -> str:
    """A statement that gives no rows, with the columns that the insertion fills."""
    table, names = _into(insertion)
    return f"SELECT {names} FROM {table} WHERE FALSE"


@lru_cache(maxsize=128)
def many(insertions: tuple[tuple[Insertion, tuple[str, ...]], ...]) -> str:
    """One statement for insertions of any number of rows each, from an array for each column, whose types these are.

    Rows that get numbers have in place of it how many of their tenant's come behind them; two more arrays say how many
    numbers are wanted by which tenants, in the order of these, so that two such statements wait in one order.
    """
    parts, at = [], 1
    for number, (insertion, types) in enumerate(insertions):
        arrays = ", ".join(f"${place}::{each}[]" for place, each in enumerate(types, start=at))
        at += len(types)
        if insertion.numbers is None:
            parts.append(f"part_{number} AS ({insertion.into} SELECT * FROM unnest({arrays}))")
            continue
        parts.append(f"numbers_{number} AS ({_taken(insertion.numbers, types, at)})")
        at += 2
        names = [f"c{place}" for place in range(len(types))]
        shown = ", ".join(["c0", "last - c1", *names[2:]])
        rows = f"unnest({arrays}) AS rows ({', '.join(names)}) JOIN numbers_{number} ON tenant = c0"
        parts.append(f"part_{number} AS ({insertion.into} SELECT {shown} FROM {rows})")
    *others, last = parts
    beside = f"WITH {', '.join(others)} " if others else ""
    return beside + last.partition(" AS (")[2].removesuffix(")")


def _taken(numbers: Numbers, types: tuple[str, ...], at: int) -> str:
    table, column = numbers.table, numbers.column
    return (
        f"INSERT INTO {table} (tenant, {column}) SELECT * FROM unnest(${at}::{types[0]}[], ${at + 1}::bigint[]) "
        f"ON CONFLICT (tenant) DO UPDATE SET {column} = {table}.{column} + excluded.{column} "
        f"RETURNING tenant, {column} AS last"
    )


def arrays_of(insertion: Insertion, rows: Sequence[Sequence[object]]) -> list[list[Any]]:
    """What `many` wants of these rows: an array for each column, and those of the numbers."""
    columns: list[list[Any]] = [list(column) for column in zip(*rows, strict=True)]
    if insertion.numbers is None:
        return columns
    wanted: Counter[int] = Counter()
    for at in reversed(range(len(rows))):
        columns[1][at] = wanted[columns[0][at]]
        wanted[columns[0][at]] += 1
    return [*columns, sorted(wanted), [wanted[each] for each in sorted(wanted)]]


def _into(insertion: Insertion) -> tuple[str, str]:
    table, _, names = insertion.into.removeprefix("INSERT INTO ").partition(" (")
    return table, names.removesuffix(")")
