"""Whose rows a statement may see: those of the tenant that it has as its first parameter, or everyone's if it says so.

PostgreSQL shows a statement its tenant's rows and no others, whatever its WHERE says; one that names none is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

EVERYWHERE: Final = 0
"""What stands for all tenants where the number of one could stand."""


class Everywhere(str):
    """SQL that goes across tenants, or is about what belongs to none."""

    __slots__ = ()


def tenant_of(sql: str, parameters: Sequence[object]) -> int:
    """The number of the tenant whose rows a statement may see, or EVERYWHERE. Raises RuntimeError for neither."""
    if isinstance(sql, Everywhere):
        return EVERYWHERE
    first = parameters[0] if parameters else None
    if not isinstance(first, int) or isinstance(first, bool) or first <= EVERYWHERE:
        raise RuntimeError("A statement names its tenant first, or says that it goes everywhere.")
    return first
