"""How far a read reaches: whether an index leads to the rows that it gives, or it may look at many more on its way.

What is short is read at once, where everything else waits for it; what is not is read aside, in turn (`Database`).
Told from the shape of what is asked alone, so that one shape always goes the same way. Indexes: `schema.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from adjoin.odata.bound import Bound, Constant, Field, Operation, Order
from adjoin.store.columns import Table
from adjoin.store.where import starts_with_known

MOST_SKIPPED: Final = 1_000
"""Rows that may be passed over on the way to a page that still counts as short."""

_RANGES: Final = frozenset({"gt", "ge", "lt", "le", "startswith"})


def short_page(table: Table, where: Bound | None, order: Sequence[Order], skip: int) -> bool:
    """Whether a page is read straight off an index, in its order."""
    if skip > MOST_SKIPPED:
        return False
    conditions = list(joined(where))
    if any(_names_keys(table, each) for each in conditions):
        return True
    along = _along(table, order)
    if along is None:
        return False
    if not conditions:
        return True
    if len(conditions) == 1 and (sought := _sought(table, conditions[0])) is not None:
        # Behind one value of a property, its index goes on in the order of the keys.
        return along in (sought, table.type.key.name)
    return all(_range_of(table, each) == along for each in conditions)


def joined(where: Bound | None) -> Iterator[Bound]:
    """The conditions of which all have to hold."""
    if isinstance(where, Operation) and where.name == "and":
        for each in where.operands:
            yield from joined(each)
    elif where is not None:
        yield where


def _along(table: Table, order: Sequence[Order]) -> str | None:
    """The property along whose index the order runs; None: there is none."""
    if not order:
        return table.type.key.name
    return _indexed(table, order[0].by) if len(order) == 1 else None


def _indexed(table: Table, bound: Bound) -> str | None:
    """The name of a property that stands for itself and has an index."""
    return bound.declared.name if isinstance(bound, Field) and bound.declared.name in table.indexed else None


def _names_keys(table: Table, bound: Bound) -> bool:
    """Whether a condition lets no rows pass but those whose keys it names."""
    if isinstance(bound, Operation) and bound.name == "in":
        first, *others = bound.operands
        return all(isinstance(each, Constant) for each in others) and _indexed(table, first) == table.type.key.name
    return _sought(table, bound) == table.type.key.name


def _sought(table: Table, bound: Bound) -> str | None:
    """The property that a condition asks one value of."""
    if isinstance(bound, Operation) and bound.name == "eq":
        return _of_constant(table, bound)
    return None


def _range_of(table: Table, bound: Bound) -> str | None:
    """The property whose values a condition bounds, so that its index can start, or end, there."""
    if not isinstance(bound, Operation) or bound.name not in _RANGES:
        return None
    if bound.name == "startswith" and not starts_with_known(bound):
        return None
    return _of_constant(table, bound)


def _of_constant(table: Table, bound: Operation) -> str | None:
    """The property that an operation sets beside a constant, on whichever side."""
    left, right = bound.operands
    if isinstance(left, Constant):
        left, right = right, left
    return _indexed(table, left) if isinstance(right, Constant) else None
