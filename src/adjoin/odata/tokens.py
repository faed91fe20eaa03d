"""The words of an expression: one regular expression cuts the text, and the limits on its size are kept here.

Text that is no word of OData becomes a token too (`bad`, `open`), so that the parser refuses it where it stands
and reports the first fault, not the first odd character.
"""

from __future__ import annotations

import re
from functools import cache
from itertools import islice
from typing import Final, NamedTuple
from unicodedata import category

from .errors import Malformed

# Measured in odata.md 2.3: within these the slowest input takes a few milliseconds.
MAX_LENGTH: Final = 8_192
MAX_TOKENS: Final = 1_000


class Token(NamedTuple):
    """A word, its kind (a group of the regular expression below) and where it begins and ends."""

    kind: str
    text: str
    start: int
    end: int


# ABNF rules of OData 4.01, section 6 and 7, for decoded text. Quantifiers are possessive: no input makes them go back.
# Letters beyond ASCII are let in here and judged one by one in `_is_name`.
_LEAD = r"[A-Za-z_\x80-\U0010ffff]"
_IDENTIFIER = rf"{_LEAD}[\w\x80-\U0010ffff]{{0,127}}+"
_QUALIFIED = rf"{_IDENTIFIER}(?:\.{_IDENTIFIER})++"
_NO_WORD = r"(?![\w.'\x80-\U0010ffff-])"
_DATE = r"-?(?:0\d{3}|[1-9]\d{3,}+)-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])"
_CLOCK = r"(?:[01]\d|2[0-3]):[0-5]\d"
_TIME = rf"{_CLOCK}(?::(?:[0-5]\d|60)(?:\.\d{{1,12}}+)?)?"
_ENUM_MEMBERS = rf"(?:{_IDENTIFIER}|[+-]?\d{{1,19}}+)"
# The ABNF's durationValue calls itself an approximation of XSD's dayTimeDuration, which wants a part after P and T.
_DURATION = r"-?P(?=[\dT])(?:\d++D)?(?:T(?=\d)(?:\d++H)?(?:\d++M)?(?:\d++(?:\.\d++)?S)?)?"
_BASE64 = r"(?:[\w-]{4})*+(?:[\w-]{2}[AEIMQUYcgkosw048]=?|[\w-][AQgw](?:==)?)?"

_WORDS: Final = rf"""(?:
      (?P<name>{_IDENTIFIER}{_NO_WORD})
    | (?P<mark>[()\[\]{{}},:;=/])
    | (?P<string>'[^']*+(?:''[^']*+)*+')
    | (?P<qualified>{_QUALIFIED}{_NO_WORD})
    | (?P<guid>[0-9A-Fa-f]{{8}}-(?:[0-9A-Fa-f]{{4}}-){{3}}[0-9A-Fa-f]{{12}}{_NO_WORD})
    | (?P<datetime>{_DATE}[Tt]{_TIME}(?:[Zz]|[+-]{_CLOCK}){_NO_WORD})
    | (?P<date>{_DATE}{_NO_WORD})
    | (?P<time>{_TIME}{_NO_WORD})
    | (?P<integer>[+-]?\d++{_NO_WORD})
    | (?P<decimal>[+-]?\d++\.\d++{_NO_WORD})
    | (?P<double>[+-]?\d++(?:\.\d++)?[eE][+-]?\d++{_NO_WORD} | -INF(?![\w.'\x80-\U0010ffff/(-]))
    | (?P<variable>[$][A-Za-z]++{_NO_WORD})
    | (?P<at>@{_IDENTIFIER}(?:\.{_IDENTIFIER})*+(?:\#{_IDENTIFIER})?{_NO_WORD})
    | (?P<enum>{_QUALIFIED}'{_ENUM_MEMBERS}(?:,{_ENUM_MEMBERS})*+')
    | (?P<duration>(?i:duration'{_DURATION}'))
    | (?P<binary>[Bb][Ii][Nn][Aa][Rr][Yy]'{_BASE64}')
    | (?P<geography>(?i:geography)'[^']*+')
    | (?P<geometry>(?i:geometry)'[^']*+')
    | (?P<json>"[^"\\]*+(?:\\(?:["\\/bfnrt]|u[0-9A-Fa-f]{{4}})[^"\\]*+)*+")
    | (?P<open>['"].*+)
    | (?P<minus>-)
    | (?P<bad>[\w.:+\x80-\U0010ffff-]++(?:'[^']*+(?:''[^']*+)*+'?)?|.)
    )[ \t]*+"""


@cache
def enum_content() -> re.Pattern[str]:
    """The expression of what stands between an enumeration value's quotes. It waits, as the next one does."""
    return re.compile(rf"{_ENUM_MEMBERS}(?:,{_ENUM_MEMBERS})*+", re.ASCII)


@cache
def words() -> re.Pattern[str]:
    """The expression of all words. Compiling it takes longer than most of a start, so it waits until it is needed."""
    return re.compile(_WORDS, re.ASCII | re.VERBOSE | re.DOTALL)


def split(text: str) -> list[Token]:
    """The words of `text` without the blanks between them, closed by an `end`. Positions are those in `text`."""
    if len(text) > MAX_LENGTH:
        raise Malformed(f"expected at most {MAX_LENGTH} characters, found more at {MAX_LENGTH}", MAX_LENGTH)
    begin = len(text) - len(text.lstrip(" \t"))
    found_words = islice(words().finditer(text, begin), MAX_TOKENS + 1)
    make = tuple.__new__
    tokens = [
        make(Token, (word.lastgroup, found := word[word.lastgroup or 0], start := word.start(), start + len(found)))
        for word in found_words
    ]
    if len(tokens) > MAX_TOKENS:
        start = tokens[MAX_TOKENS].start
        raise Malformed(f"expected at most {MAX_TOKENS} words and marks, found more at {start}", start)
    if not text.isascii():
        tokens = [_judged(token) for token in tokens]
    tokens.append(Token("end", "", len(text), len(text)))
    return tokens


def _judged(token: Token) -> Token:
    """The token itself, or a bad one where a character beyond ASCII is in a name that may not have it."""
    names = token.text.partition("'")[0] if token.kind == "enum" else token.text
    if token.kind not in ("name", "qualified", "at", "enum") or (names.isascii() and token.text.isascii()):
        return token
    parts = re.split(r"[.@#',]", token.text)
    return token if all(_is_name(part) for part in parts) else token._replace(kind="bad")


def _is_name(part: str) -> bool:
    """Whether the Unicode categories are those of a simple identifier (CSDL 4.01, section 15.2)."""
    if part.isascii():
        return True
    lead = part[0] == "_" or category(part[0]) in _LEADING
    return lead and all(category(character) in _FOLLOWING for character in part[1:])


_LEADING: Final = frozenset({"Lu", "Ll", "Lt", "Lm", "Lo", "Nl"})
_FOLLOWING: Final = _LEADING | {"Nd", "Mn", "Mc", "Pc", "Cf"}
