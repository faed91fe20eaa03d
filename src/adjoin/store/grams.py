"""Which rows may fulfil a condition, told from the pieces of three characters ("grams") that their texts must hold.

What is told here lets every row pass that the condition holds for, and now and then another: whoever reads by it looks
at the condition itself as well. Pure.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Final, NamedTuple, TypeAlias

from adjoin.odata.bound import Bound, Constant, Field, Operation

LENGTH: Final = 3
"""How many characters make a gram: a shorter text is not found by them."""

# More of one text hardly keep more rows out; more in all take longer to put together than to look rows up by fewer.
_MOST_OF_ONE: Final = 12
_MOST: Final = 200
_MOST_ALTERNATIVES: Final = 16
_HOLDING: Final = frozenset({"contains", "holds", "startswith", "endswith", "eq"})


class Joined(NamedTuple):
    """Of what a row's text has to hold all ("and"), or one ("or")."""

    by: str
    parts: tuple[Sought, ...]


Sought: TypeAlias = "Joined | str"
"""What a row's text has to hold: a gram, or several, joined."""


def sought(where: Bound | None, properties: Collection[str]) -> Joined | None:
    """What rows that a condition holds for have in their texts; None where these properties' grams do not narrow it.

    A row's text has the values of all these properties, folded, one behind the other.
    """
    asked = None if where is None else _asked(where, properties)
    return None if asked is None or _count(asked) > _MOST else asked


def fts5(asked: Sought) -> str:
    """It as SQLite's FTS5 is asked for it."""
    if isinstance(asked, str):
        return '"{}"'.format(asked.replace('"', '""'))
    return f"({f' {asked.by.upper()} '.join(map(fts5, asked.parts))})"


def alternatives(asked: Joined) -> tuple[str, ...]:
    """It as texts, of one of which a row has to hold every gram; each is its grams, one behind the other.

    Where that would be too many, they say less, and let more rows pass.
    """
    return tuple("".join(each) for each in _alternatives(asked))


def _alternatives(asked: Sought) -> list[tuple[str, ...]]:
    if isinstance(asked, str):
        return [(asked,)]
    parts = [_alternatives(each) for each in asked.parts]
    if asked.by == "or":
        return [each for part in parts for each in part]
    first, *others = sorted(parts, key=len)
    for part in others:
        if len(first) * len(part) <= max(len(first), _MOST_ALTERNATIVES):
            first = [tuple(dict.fromkeys((*one, *other))) for one in first for other in part]
    return first


def _count(asked: Sought) -> int:
    return 1 if isinstance(asked, str) else sum(map(_count, asked.parts))


def _asked(bound: Bound, properties: Collection[str]) -> Joined | None:
    if not isinstance(bound, Operation):
        return None
    if bound.name in ("and", "or"):
        parts = [_asked(each, properties) for each in bound.operands]
        told = tuple(each for each in parts if each is not None)
        # Of conditions that all have to hold, any narrows; of others, all have to.
        if not told or (bound.name == "or" and len(told) < len(parts)):
            return None
        return Joined(bound.name, told)
    text = _text(bound, properties)
    if text is None or len(text) < LENGTH:
        return None
    return Joined("and", tuple(_grams(text)))


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
