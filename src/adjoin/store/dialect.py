"""The store's SQL as PostgreSQL reads it: `?1` as `$1` with the type of what it holds, and the few names that differ.

SQLite compares text by its bytes, so all text here has the collation "C", which does the same. The SQL of the store
holds no text of a caller's (`where.py`), so what looks like a parameter or a name is one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from adjoin.store.database import Insertion

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


def many(insertions: Sequence[tuple[Insertion, Sequence[str]]]) -> str:
    """One statement for insertions of any number of rows each, from an array for each column, whose types these are."""
    parts, at = [], 1
    for insertion, types in insertions:
        arrays = ", ".join(f"${number}::{each}[]" for number, each in enumerate(types, start=at))
        parts.append(f"{insertion.into} SELECT * FROM unnest({arrays})")
        at += len(types)
    *others, last = parts
    beside = ", ".join(f"part_{number} AS ({each})" for number, each in enumerate(others))
    return f"WITH {beside} {last}" if others else last


def _into(insertion: Insertion) -> tuple[str, str]:
    table, _, names = insertion.into.removeprefix("INSERT INTO ").partition(" (")
    return table, names.removesuffix(")")
