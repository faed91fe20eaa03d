"""Whether the text between the quotes of a geography or geometry literal is well formed.

No coordinate is computed: this service has no place on a map, it only owes a right judgement of the grammar.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Final

# ABNF of OData 4.01, section 7, "fullCollectionLiteral" to "polygonData". No blanks but between coordinates.
_NUMBER = r"(?:[+-]?\d++(?:\.\d++)?(?:e[+-]?\d++)?|(?-i:NaN|-?INF))"
_POSITION = rf"{_NUMBER}\ {_NUMBER}(?:\ {_NUMBER}){{0,2}}+"
_POINT = rf"\({_POSITION}\)"
_LINE = rf"\({_POSITION}(?:,{_POSITION})++\)"
_RING = rf"\({_POSITION}(?:,{_POSITION})*+\)"
_POLYGON = rf"\({_RING}(?:,{_RING})*+\)"
_SHAPE: Final = rf"""Point{_POINT} | LineString{_LINE} | Polygon{_POLYGON}
      | MultiPoint\((?:{_POINT}(?:,{_POINT})*+)?\)
      | MultiLineString\((?:{_LINE}(?:,{_LINE})*+)?\)
      | MultiPolygon\((?:{_POLYGON}(?:,{_POLYGON})*+)?\)"""
_SRID: Final = re.compile(r"SRID=\d{1,5}+;", re.ASCII | re.IGNORECASE)
_COLLECTION: Final = "geometrycollection("


@cache
def _shape() -> re.Pattern[str]:
    """Compiling it takes long, and hardly anybody sends a place, so it waits until somebody does."""
    return re.compile(_SHAPE, re.ASCII | re.VERBOSE | re.IGNORECASE)


def is_shape(text: str) -> bool:
    """Whether `text` is a reference system and one shape, as in `SRID=0;Point(142.1 64.1)`."""
    head = _SRID.match(text)
    if head is None:
        return False
    at, depth = head.end(), 0
    # Collections nest without limit; a loop, because a pattern cannot and a recursion must not.
    while True:
        while text[at : at + len(_COLLECTION)].lower() == _COLLECTION:
            at, depth = at + len(_COLLECTION), depth + 1
        shape = _shape().match(text, at)
        if shape is None:
            return False
        at = shape.end()
        while depth and text.startswith(")", at):
            at, depth = at + 1, depth - 1
        if not depth:
            return at == len(text)
        if not text.startswith(",", at):
            return False
        at += 1
