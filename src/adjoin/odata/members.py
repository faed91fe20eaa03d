"""Reads what a name, variable or annotation can begin: paths, casts, keys, functions of the service, any, all, $count.

Without a model some of it stays open: `Items(ID=1)` reads as a function with a parameter, `Ns.Name` as a name.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Final

from .geo import is_shape
from .tokens import Token
from .tree import (
    Annotation,
    Count,
    Filter,
    Invocation,
    Key,
    Kind,
    Lambda,
    Literal,
    Name,
    Node,
    Path,
    Step,
    Type,
    Variable,
)
from .words import Words

_LITERALS: Final = {
    "string": Kind.STRING, "integer": Kind.INTEGER, "decimal": Kind.DECIMAL, "double": Kind.DOUBLE,
    "guid": Kind.GUID, "date": Kind.DATE, "datetime": Kind.DATE_TIME, "time": Kind.TIME, "duration": Kind.DURATION,
    "enum": Kind.ENUM, "binary": Kind.BINARY, "geography": Kind.GEOGRAPHY, "geometry": Kind.GEOMETRY,
}  # fmt: skip
# true and false go without regard to case, these do not (ABNF section 7).
_SPELLED: Final = {"null": Kind.NULL, "NaN": Kind.DOUBLE, "INF": Kind.DOUBLE}
_NO_KEY: Final = frozenset({Kind.NULL, Kind.BINARY, Kind.GEOGRAPHY, Kind.GEOMETRY})
_NAMES: Final = frozenset({"name", "qualified"})
_VARIABLES: Final = frozenset({"$it", "$this", "$root"})


def literal_kind(token: Token) -> Kind | None:
    """What literal the word is, if it is one. Where a path can stand, `true/x` and `null(…)` are names all the same."""
    kind = token.kind
    if kind != "name":
        return _LITERALS.get(kind)
    text = token.text
    return _SPELLED.get(text) or (Kind.BOOLEAN if text.lower() in {"true", "false"} else None)


def is_alias(token: Token) -> bool:
    """Whether the word may be a parameter alias; otherwise it is an annotation, with its namespace or qualifier."""
    return token.kind == "at" and "." not in token.text and "#" not in token.text


class MemberReader(Words, ABC):
    """Each method reads what it is named after, from the word at hand on, and stops behind it."""

    __slots__ = ()

    @abstractmethod
    def expression(self, floor: int) -> Node:
        """What stands in parentheses and behind `=`: `expression.py` reads it."""

    def literal(self) -> Literal:
        token = self.token
        kind = literal_kind(token)
        if kind is None:
            raise self.fault("a literal")
        if kind in {Kind.GEOGRAPHY, Kind.GEOMETRY} and not is_shape(token.text.partition("'")[2][:-1]):
            raise self.fault("a well-formed shape such as SRID=0;Point(142.1 64.1)")
        self.advance()
        return Literal(kind, token.text)

    def type_name(self) -> Type | None:
        """`Edm.String` or `Collection(Edm.String)`; None, perhaps some words further on, if there is no such thing."""
        if self.token.kind not in _NAMES:
            return None
        collection = self.token.text == "Collection" and self.opens()
        if collection:
            self.advance()
            self.advance()
            if self.token.kind not in _NAMES:
                return None
        name = self.advance().text
        return Type(name, collection) if not collection or self.take(")") else None

    def path(self) -> Node:
        """Steps joined by `/`. A single one is given as it is."""
        first = self._first_step()
        steps: list[Step] = [first]
        while not isinstance(steps[-1], Lambda | Count):
            if self.token.text == "/":
                self.want_no_blank()
                self.advance()
                self.want_no_blank()
                steps.append(self._step(steps[-1]))
            elif self.token.text == "(" and self.touches() and isinstance(steps[-1], Name | Invocation | Filter):
                steps.append(self._key(steps[-1]))
            else:
                break
        self._check_casts(steps)
        return first if len(steps) == 1 else Path(tuple(steps))

    def _check_casts(self, steps: list[Step]) -> None:
        """A type casts what stands before it or the member after it, and only once (ABNF memberExpr)."""
        types = [isinstance(step, Name) and "." in step.text for step in steps]
        if any(types[at] and types[at + 1] for at in range(len(types) - 1)):
            raise self.fault("a property after the type, not another type")
        if types[-1] and (len(steps) == 1 or isinstance(steps[-2], Variable)):
            raise self.fault("'/' and a property after the type")

    def _first_step(self) -> Name | Variable | Annotation | Invocation:
        token = self.token
        if token.kind in _NAMES:
            return self._member()
        if token.kind == "at" and not is_alias(token):
            return self._annotation()
        if token.kind == "variable" and token.text not in _VARIABLES:
            raise self.fault("$it, $this or $root")
        self.advance()
        if token.text == "$root" and (self.token.text != "/" or self.ahead().kind not in _NAMES):
            raise self.fault("'/' and an entity set, singleton or function after $root")
        return Variable(token.text)

    def _step(self, before: Step) -> Step:
        """What may follow a `/`."""
        token = self.token
        quantifier = token.text.lower()
        if token.kind in _NAMES and not (quantifier in {"any", "all"} and self.opens()):
            return self._member()
        if token.kind == "at":
            return self._annotation()
        # ABNF inscopeVariableExpr: a variable is followed by a member; an alias may be an annotation, which isn't.
        if isinstance(before, Variable) and before.name in _VARIABLES:
            raise self.fault(f"a property, type, function or annotation after {before.name}/")
        if token.kind == "name":
            return self._lambda(quantifier)
        if token.text == "$count":
            return self._count()
        if token.text == "$filter" and self.opens():
            return self._filter()
        if token.kind in {"integer", "guid"}:
            return Key(((None, self.literal()),))  # ABNF keyPathSegments
        raise self.fault("a property, type, function, annotation, any, all, $count or $filter after '/'")

    def _annotation(self) -> Annotation:
        term, _, qualifier = self.advance().text[1:].partition("#")
        return Annotation(term, qualifier or None)

    def _member(self) -> Name | Invocation:
        """A name, or a function of the service with its parameters. Any other parenthesis is left for a key."""
        opens = self.opens()
        name = self.advance().text
        if not opens:
            return Name(name)
        inner = self.ahead()
        if inner.text != ")" and not (inner.kind == "name" and self.ahead(2).text == "="):
            return Name(name)
        self.advance()
        parameters: list[tuple[str, Node]] = []
        while inner.text != ")":
            parameters.append((self._parameter(), self.expression(0)))
            if not self.take(","):
                break
        self.expect(")", "an operator, a comma or ')'")
        return Invocation(name, tuple(parameters))

    def _parameter(self) -> str:
        """The name of a parameter or key property, and the `=` that it touches (ABNF functionExprParameter)."""
        if self.token.kind != "name":
            raise self.fault("the name of a parameter")
        name = self.advance().text
        self._equals()
        return name

    def _equals(self) -> None:
        self.want_no_blank()
        self.expect("=")
        self.want_no_blank()

    def _key(self, owner: Step) -> Key:
        """`(1)`, `('a')`, `(@p)`; and `(ID=1,Line=2)` after a step that cannot be a function. No blanks."""
        function = self._tokens[self._at - 1]
        self.advance()
        named = self.token.kind == "name" and self.ahead().text == "="
        if isinstance(owner, Name) and not self._is_key_value():
            raise self.fault("a function that OData defines", function)
        values: list[tuple[str | None, Node]] = []
        while True:
            self.want_no_blank()
            values.append((self._parameter() if named else None, self._key_value()))
            # A key without names is one value: what has more is a call.
            if isinstance(owner, Name) and self.token.text == ",":
                raise self.fault("a function that OData defines", function)
            if not named or not self.take(","):
                break
        self.want_no_blank()
        self.expect(")", "a comma or ')'" if named else "')' after the key")
        return Key(tuple(values))

    def _key_value(self) -> Node:
        if not self._is_key_value():
            raise self.fault("a literal or a parameter alias as key")
        return Variable(self.advance().text) if self.token.kind == "at" else self.literal()

    def _is_key_value(self) -> bool:
        """ABNF keyPropertyValue, or an alias for one."""
        kind = literal_kind(self.token)
        return is_alias(self.token) or (kind is not None and kind not in _NO_KEY)

    def _lambda(self, quantifier: str) -> Lambda:
        self.advance()
        self.advance()
        if quantifier == "any" and self.take(")"):
            return Lambda(quantifier, None, None)
        if self.token.kind != "name":
            raise self.fault("a lambda variable")
        variable = self.advance().text
        self.expect(":")
        predicate = self.expression(0)
        self.expect(")", "an operator or ')'")
        return Lambda(quantifier, variable, predicate)

    def _filter(self) -> Filter:
        self.advance()
        self.advance()
        predicate = self.expression(0)
        self.expect(")", "an operator or ')'")
        return Filter(predicate)

    def _count(self) -> Count:
        """`$count`, perhaps with `($filter=…;$search=…)`, each once in any order (ABNF expandCountOption)."""
        more = self.opens()
        self.advance()
        predicate: Node | None = None
        search: str | None = None
        while more:
            self.advance()
            option = self.token.text.lower().removeprefix("$")
            if option == "filter" and predicate is None:
                self.advance()
                self._equals()
                predicate = self.expression(0)
            elif option == "search" and search is None:
                self.advance()
                self._equals()
                search = self._search()
            else:
                raise self.fault("$filter or $search, each once")
            more = self.token.text == ";"
            if not more:
                self.expect(")", "an operator, ';' or ')'")
        return Count(predicate, search)

    def _search(self) -> str:
        """The text of a search as it stands, up to the `;` or `)` that ends it."""
        words: list[str] = []
        nesting = 0
        while self.token.kind not in {"end", "open"} and (nesting or self.token.text not in {";", ")"}):
            nesting += (self.token.text == "(") - (self.token.text == ")")
            # One blank says as much as several: between words of a search it stands for AND.
            words.append(self.token.text if self.touches() or not words else f" {self.token.text}")
            self.advance()
        if not words:
            raise self.fault("a search expression")
        return "".join(words)
