"""A place in the words of one text: looking at the word at hand, stepping over it, refusing it.

The readers of the grammar (`members.py`, `expression.py`) stand on this; it knows marks and blanks, no grammar.
"""

from __future__ import annotations

import re
from typing import Final

from .errors import Malformed
from .tokens import Token, split

_LONGEST_SHOWN: Final = 40
_DATE_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d", re.ASCII | re.IGNORECASE)
_OFFSET: Final = re.compile(r"(?:Z|[+-]\d\d:\d\d)\Z", re.ASCII | re.IGNORECASE)


class Words:
    """The words of a text and the place of the one at hand, `token`."""

    __slots__ = ("_at", "_tokens", "token")

    def __init__(self, text: str) -> None:
        self._tokens = split(text)
        self._at = 0
        self.token = self._tokens[0]

    def advance(self) -> Token:
        """Step over the word at hand, which is not the end, and give it back."""
        token = self.token
        self._at += 1
        self.token = self._tokens[self._at]
        return token

    def ahead(self, count: int = 1) -> Token:
        """The word `count` further on, or the end."""
        return self._tokens[min(self._at + count, len(self._tokens) - 1)]

    def take(self, mark: str) -> bool:
        """Step over `mark` if it is at hand."""
        if self.token.text != mark:
            return False
        self.advance()
        return True

    def expect(self, mark: str, expected: str = "") -> None:
        """Step over `mark`, which must be at hand; `expected` says it better where more could have stood here."""
        if not self.take(mark):
            raise self.fault(expected or f"'{mark}'")

    def touches(self) -> bool:
        """Whether no blank stands before the word at hand."""
        return self._tokens[self._at - 1].end == self.token.start

    def opens(self) -> bool:
        """Whether the word at hand, which is not the end, has a parenthesis attached."""
        following = self._tokens[self._at + 1]
        return following.text == "(" and following.start == self.token.end

    def want_blank(self) -> None:
        """A blank must stand before the word at hand (ABNF RWS)."""
        if self.touches():
            raise self.fault(f"a blank before {_shown(self.token)}")

    def want_no_blank(self) -> None:
        """No blank may stand before the word at hand."""
        if not self.touches():
            raise self.fault(f"no blank before {_shown(self.token)}")

    def fault(self, expected: str, token: Token | None = None) -> Malformed:
        """The refusal that says what was expected and what was found: at `token`, or else at the word at hand."""
        token = token or self.token
        if token.kind == "bad" and _DATE_TIME.match(token.text):
            if _OFFSET.search(token.text):
                expected = "a date-time that there is (months to 12, hours to 23, at most 12 digits of a fraction)"
            else:
                # Mostly a plus that was sent as it is, and so was read as a blank.
                expected = "a date-time with its offset, such as Z, -08:00 or %2B01:00"
        return Malformed(f"expected {expected}, found {_shown(token)} at {token.start}", token.start)


def _shown(token: Token) -> str:
    """The word as a message may carry it: not too long, and without what cannot be printed or encoded."""
    if token.kind == "end":
        return "the end"
    text = token.text if len(token.text) <= _LONGEST_SHOWN else f"{token.text[:_LONGEST_SHOWN]}…"
    return f"'{text}'" if text.isprintable() else f"'{ascii(text)[1:-1]}'"
