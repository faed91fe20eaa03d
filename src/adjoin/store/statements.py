"""What a statement says of itself beyond its SQL: that it goes across tenants, or how many like it are run as one.

Every other statement has its tenant as its first parameter. PostgreSQL shows it that tenant's rows and no others,
whatever its WHERE says; one that names no tenant is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from adjoin.store.columns import Column

EVERYWHERE: Final = 0
"""What stands for all tenants where the number of one could stand."""


class Everywhere(str):
    """SQL that goes across tenants, or is about what belongs to none."""

    __slots__ = ()


class Insertion(str):
    """`INSERT … VALUES (?1, …) ON CONFLICT DO NOTHING RETURNING …`, with what it takes to run many of it as one.

    `columns` are those of its parameters in their order, the tenant's first; `key` and `returned` are the places among
    them of the primary key and of what is given back.
    """

    table: str
    columns: tuple[Column, ...]
    key: tuple[int, ...]
    returned: tuple[int, ...]

    def __new__(cls, table: str, columns: Sequence[Column], key: Sequence[str], returned: Sequence[str]) -> Insertion:
        names = [each.name for each in columns]
        places = ", ".join(f"?{number}" for number in range(1, len(names) + 1))
        made = super().__new__(
            cls,
            f"INSERT INTO {table} ({', '.join(names)}) VALUES ({places}) "
            f"ON CONFLICT DO NOTHING RETURNING {', '.join(returned)}",
        )
        made.table, made.columns = table, tuple(columns)
        made.key = tuple(names.index(each) for each in key)
        made.returned = tuple(names.index(each) for each in returned)
        return made


def tenant_of(sql: str, parameters: Sequence[object]) -> int:
    """The number of the tenant whose rows a statement may see, or EVERYWHERE. Raises RuntimeError for neither."""
    if isinstance(sql, Everywhere):
        return EVERYWHERE
    first = parameters[0] if parameters else None
    if not isinstance(first, int) or isinstance(first, bool) or first <= EVERYWHERE:
        raise RuntimeError("A statement names its tenant first, or says that it goes everywhere.")
    return first
