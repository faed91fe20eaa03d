"""Whose rows a statement may see: those of the tenant that it has as its first parameter, or everyone's if it says so.

PostgreSQL shows a statement its tenant's rows and no others, whatever its WHERE says; one that names none is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

EVERYWHERE: Final = 0
"""What stands for all tenants where the number of one could stand."""


class Everywhere(str):
    """SQL that goes across tenants, or is about what belongs to none."""

    __slots__ = ()


class ByKey(str):
    """SQL that gives these columns of one row, by the number of its tenant and its key: `?1` and `?2`."""

    __slots__ = ("_columns", "_from", "_key")

    _columns: str
    _from: str
    _key: str

    def __new__(cls, columns: str, table: str, key: str) -> ByKey:
        """Columns and table as SQL, and the column of the key."""
        made = super().__new__(cls, f"SELECT {columns} FROM {table} WHERE tenant = ?1 AND {key} = ?2")
        made._columns, made._from, made._key = columns, table, key
        return made

    def together(self, number: int) -> str:
        """SQLite's SQL for a tenant's rows with so many keys: one JSON object, with the columns of each by its key."""
        return _together(self._columns, self._from, self._key, number)


@lru_cache(maxsize=64)
def _together(columns: str, table: str, key: str, number: int) -> str:
    places = ", ".join(f"?{at}" for at in range(2, number + 2))
    rows = f"FROM {table} WHERE tenant = ?1 AND {key} IN ({places})"
    return f"SELECT json_group_object({key}, json_array({columns})) {rows}"


def power_of_two(count: int) -> int:
    """The next one: where statements for so many rows are made for these alone, few have to be kept ready."""
    return 1 << (count - 1).bit_length()


def tenant_of(sql: str, parameters: Sequence[object]) -> int:
    """The number of the tenant whose rows a statement may see, or EVERYWHERE. Raises RuntimeError for neither."""
    if isinstance(sql, Everywhere):
        return EVERYWHERE
    first = parameters[0] if parameters else None
    if not isinstance(first, int) or isinstance(first, bool) or first <= EVERYWHERE:
        raise RuntimeError("A statement names its tenant first, or says that it goes everywhere.")
    return first
