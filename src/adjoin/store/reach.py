"""How far a read reaches: whether an index leads to the rows that it gives, or it may look at many more on its way.

What is short is read at once, where everything else waits for it; what is not is read aside, in turn (`Database`).
Told from the shape of what is asked alone, so that one shape always goes the same way. Indexes: `schema.py`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Final

from adjoin.odata.bound import Bound, Constant, Field, Operation, Order
from adjoin.store.columns import Table
from adjoin.store.counts import value_sought
from adjoin.store.where import starts_with_known

MOST_SKIPPED: Final = 1_000
"""Rows that may be passed over on the way to a page that still counts as short."""

FEW_SILENT: Final = 500
"""Rows that the clock changed that may be looked at for a page that still counts as short."""

_RANGES: Final = frozenset({"gt", "ge", "lt", "le", "startswith"})


def short_page(table: Table, where: Bound | None, order: Sequence[Order], skip: int, silent: int | None = None) -> bool:
    """Whether a page is read straight off an index, in its order.

    `silent` is how many rows show what the clock made of them, None where that is not known or does not matter.
    """
    if skip > MOST_SKIPPED:
        return False
    if where is None and not order:
        return True
    conditions = list(joined(where))
    if any(_names_keys(table, each) for each in conditions):
        return True
    if silent and not order and not skip and shows_one(table, where, silent):
        return True
    indexed = table.indexed
    if silent == 0 and table.silence is not None:
        # What is kept is what is shown, and has an index.
        indexed |= {table.silence.property}
    along = _along(table, indexed, order)
    if along is None:
        return False
    if not conditions:
        return True
    if len(conditions) == 1 and (sought := _sought(indexed, conditions[0])) is not None:
        # Behind one value of a property, its index goes on in the order of the keys.
        return along in (sought, table.type.key.name)
    return all(_range_of(indexed, each) == along for each in conditions)


def shows_one(table: Table, where: Bound | None, silent: int) -> bool:
    """Whether a condition asks for one value of what the clock changes, where it changed few: an index has the others'
    in the order of the keys, and those few are found beside it.
    """
    if table.silence is None or where is None or silent > FEW_SILENT:
        return False
    return value_sought(table.silence, where) is not None


def joined(where: Bound | None) -> Iterator[Bound]:
    """The conditions of which all have to hold."""
    if isinstance(where, Operation) and where.name == "and":
        for each in where.operands:
            yield from joined(each)
    elif where is not None:
        yield where


def _along(table: Table, indexed: Collection[str], order: Sequence[Order]) -> str | None:
    """The property along whose index the order runs; None: there is none."""
    if not order:
        return table.type.key.name
    return _indexed(indexed, order[0].by) if len(order) == 1 else None


def _indexed(indexed: Collection[str], bound: Bound) -> str | None:
    """The name of a property that stands for itself and has an index."""
    return bound.declared.name if isinstance(bound, Field) and bound.declared.name in indexed else None


def _names_keys(table: Table, bound: Bound) -> bool:
    """Whether a condition lets no rows pass but those whose keys it names."""
    key = table.type.key.name
    if isinstance(bound, Operation) and bound.name == "in":
        first, *others = bound.operands
        return all(isinstance(each, Constant) for each in others) and _indexed((key,), first) == key
    return _sought((key,), bound) == key


def _sought(indexed: Collection[str], bound: Bound) -> str | None:
    """The property that a condition asks one value of."""
    if isinstance(bound, Operation) and bound.name == "eq":
        return _of_constant(indexed, bound)
    return None


def _range_of(indexed: Collection[str], bound: Bound) -> str | None:
    """The property whose values a condition bounds, so that its index can start, or end, there."""
    if not isinstance(bound, Operation) or bound.name not in _RANGES:
        return None
    if bound.name == "startswith" and not starts_with_known(bound):
        return None
    return _of_constant(indexed, bound)


def _of_constant(indexed: Collection[str], bound: Operation) -> str | None:
    """The property that an operation sets beside a constant, on whichever side."""
    left, right = bound.operands
    if isinstance(left, Constant):
        left, right = right, left
    return _indexed(indexed, left) if isinstance(right, Constant) else None
