"""The store's SQL as PostgreSQL reads it: `?1` as `$1` with the type of what it holds, and the few names that differ.

SQLite compares text by its bytes, so all text here has the collation "C", which does the same. The SQL of the store
holds no text of a caller's (`where.py`), so what looks like a parameter or a name is one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from adjoin.store.statements import Insertion

_DIFFERS: Final = re.compile(r"\?(\d+)|\b(instr)\(")
_NAMES: Final = {"instr": "strpos"}
_PLACES: Final[dict[type, str]] = {
    bool: "${}::boolean",
    int: "${}::bigint",
    str: '(${}::text COLLATE "C")',
    bytes: "${}::bytea",
}
_KINDS: Final = {"text": "text", "integer": "bigint", "ticks": "bigint", "boolean": "boolean", "bytes": "bytea"}


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


@lru_cache(maxsize=64)
def many(insertion: Insertion) -> str:
    """An insertion of any number of rows, one array for each column. It gives the keys of the rows that went in."""
    names = [each.name for each in insertion.columns]
    arrays = ", ".join(f"${at}::{_KINDS[each.kind]}[]" for at, each in enumerate(insertion.columns, start=1))
    return (
        f"INSERT INTO {insertion.table} ({', '.join(names)}) SELECT * FROM unnest({arrays}) "
        f"ON CONFLICT DO NOTHING RETURNING {', '.join(names[at] for at in insertion.key)}"
    )
