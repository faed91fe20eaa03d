"""`$search`: words and phrases with AND, OR, NOT and parentheses, bound to the searchable properties of a type.

A term is found in an entity when one of those properties holds it, without regard to case. Words beside each other
are joined by AND; operators are written in capitals (OData 4.01 part 2, 5.1.8).
"""

from __future__ import annotations

import re
from typing import Final

from adjoin.odata.bound import Bound, Constant, Field, Operation, Sort
from adjoin.odata.edm import EntityType
from adjoin.odata.errors import Malformed
from adjoin.odata.values import fold

MAX_LENGTH: Final = 1_024
MAX_TERMS: Final = 50
MAX_DEPTH: Final = 20

_TOKEN: Final = re.compile(r'\s*(?:([()])|"((?:[^"\\]|\\.)*)"|([^\s()"]+))', re.DOTALL)


def bind_search(text: str, entity: EntityType) -> Bound:
    """The meaning of a `$search` for an entity type, a Boolean. Raises Malformed."""
    if len(text) > MAX_LENGTH:
        raise Malformed(f"$search is longer than {MAX_LENGTH} characters.")
    return _Reader(text, entity).whole()


class _Reader:
    """A cursor over the tokens; each is a kind, its text, and where it stands."""

    def __init__(self, text: str, entity: EntityType) -> None:
        self._tokens = _tokens(text)
        self._end = len(text)
        self._at = 0
        self._fields = tuple(Field(each) for each in entity.properties if each.searchable)

    def whole(self) -> Bound:
        bound = self._either(0)
        if self._at < len(self._tokens):
            raise self._unexpected("the end")
        return bound

    def _either(self, depth: int) -> Bound:
        if depth > MAX_DEPTH:
            raise Malformed(f"$search is nested deeper than {MAX_DEPTH}.", self._position())
        parts = [self._all(depth)]
        while self._takes("OR"):
            parts.append(self._all(depth))
        return parts[0] if len(parts) == 1 else Operation("or", Sort.BOOLEAN, tuple(parts))

    def _all(self, depth: int) -> Bound:
        parts = [self._one(depth)]
        while self._takes("AND") or self._begins_part():
            parts.append(self._one(depth))
        return parts[0] if len(parts) == 1 else Operation("and", Sort.BOOLEAN, tuple(parts))

    def _one(self, depth: int) -> Bound:
        if self._takes("NOT"):
            return Operation("not", Sort.BOOLEAN, (self._one(depth),))
        if self._takes("("):
            bound = self._either(depth + 1)
            if not self._takes(")"):
                raise self._unexpected("')'")
            return bound
        if self._begins_term():
            self._at += 1
            return self._term(self._tokens[self._at - 1][1])
        raise self._unexpected("a word or a phrase in double quotes")

    def _term(self, text: str) -> Bound:
        sought = Constant(Sort.STRING, fold(text))
        found = tuple(Operation("holds", Sort.BOOLEAN, (field, sought)) for field in self._fields)
        return found[0] if len(found) == 1 else Operation("or", Sort.BOOLEAN, found)

    def _takes(self, word: str) -> bool:
        if self._at < len(self._tokens) and self._tokens[self._at][:2] == ("word", word):
            self._at += 1
            return True
        return False

    def _begins_term(self) -> bool:
        if self._at >= len(self._tokens):
            return False
        kind, text, _ = self._tokens[self._at]
        return kind == "phrase" or text not in ("AND", "OR", "NOT", "(", ")")

    def _begins_part(self) -> bool:
        """Whether something follows that can be joined without an AND."""
        return self._begins_term() or (self._at < len(self._tokens) and self._tokens[self._at][1] in ("NOT", "("))

    def _position(self) -> int:
        return self._tokens[self._at][2] if self._at < len(self._tokens) else self._end

    def _unexpected(self, wanted: str) -> Malformed:
        found = f"'{self._tokens[self._at][1]}'" if self._at < len(self._tokens) else "the end"
        at = self._position()
        return Malformed(f"$search: expected {wanted}, found {found} at {at}.", at)


def _tokens(text: str) -> list[tuple[str, str, int]]:
    found: list[tuple[str, str, int]] = []
    at = 0
    while at < len(text.rstrip()):
        match = _TOKEN.match(text, at)
        if match is None:
            at = len(text) - len(text[at:].lstrip())
            raise Malformed(f"$search: a phrase that begins at {at} does not end.", at)
        sign, phrase, word = match.groups()
        start = match.end() - len(match.group().lstrip())
        if phrase == "":
            raise Malformed(f"$search: the phrase at {start} is empty.", start)
        if start == at and not sign and found and found[-1][0] == "phrase":
            raise Malformed(f"$search: a blank is missing at {at}.", at)
        if phrase is not None:
            found.append(("phrase", re.sub(r"\\(.)", r"\1", phrase), start))
        else:
            found.append(("word", sign or word, start))
        at = match.end()
    if len(found) > MAX_TERMS:
        raise Malformed(f"$search has more than {MAX_TERMS} words and signs.")
    return found
