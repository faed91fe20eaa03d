"""Which rows may fulfil a condition, told from the pieces of three characters ("grams") that their texts must hold.

What is told here lets every row pass that the condition holds for, and now and then another: whoever reads by it looks
at the condition itself as well. Pure.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Final

from adjoin.odata.bound import Bound, Constant, Field, Operation

LENGTH: Final = 3
"""How many characters make a gram: a shorter text is not found by them."""

# More of one text hardly keep more rows out; more in all take longer to put together than to look rows up by fewer.
_MOST_OF_ONE: Final = 12
_MOST: Final = 200
_HOLDING: Final = frozenset({"contains", "holds", "startswith", "endswith", "eq"})


def sought(where: Bound | None, properties: Collection[str]) -> str | None:
    """What SQLite's FTS5 is asked for the rows of a condition; None where these properties' grams do not narrow it.

    A row's text has the values of all these properties, folded, one behind the other.
    """
    asked = None if where is None else _asked(where, properties)
    return None if asked is None or asked.count('" ') + 1 > _MOST else asked


def _asked(bound: Bound, properties: Collection[str]) -> str | None:
    if not isinstance(bound, Operation):
        return None
    if bound.name in ("and", "or"):
        parts = [_asked(each, properties) for each in bound.operands]
        told = [each for each in parts if each is not None]
        # Of conditions that all have to hold, any narrows; of others, all have to.
        if not told or (bound.name == "or" and len(told) < len(parts)):
            return None
        return f"({f' {bound.name.upper()} '.join(told)})"
    text = _text(bound, properties)
    if text is None or len(text) < LENGTH:
        return None
    quoted = ('"{}"'.format(each.replace('"', '""')) for each in _grams(text))
    return f"({' AND '.join(quoted)})"


def _text(bound: Operation, properties: Collection[str]) -> str | None:
    """The text that a property's value has to hold for a condition to be true."""
    if bound.name not in _HOLDING:
        return None
    field, known = bound.operands
    if bound.name == "eq" and isinstance(field, Constant):
        field, known = known, field
    if not isinstance(field, Field) or field.declared.name not in properties or not isinstance(known, Constant):
        return None
    return known.value if isinstance(known.value, str) else None


def _grams(text: str) -> Iterator[str]:
    """Grams of a text, from all parts of it."""
    different = list(dict.fromkeys(text[at : at + LENGTH] for at in range(len(text) - LENGTH + 1)))
    step = max(1, -(-len(different) // _MOST_OF_ONE))
    yield from different[::step]
