"""Reads `$filter` and `$orderby` texts into trees: a Pratt parser for the whole OData 4.01 expression grammar.

It knows the grammar and no model, so that what is well formed but not served here can be told from what is malformed
(OData 4.01 part 1, 13.1.1 item 7). It refuses with `Malformed` alone, at the first fault, in words.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from .errors import Malformed
from .members import MemberReader, literal_kind
from .tokens import Token, enum_content
from .tree import (
    POWER,
    UNARY_POWER,
    Binary,
    Call,
    Case,
    Collection,
    Kind,
    Literal,
    Logic,
    Name,
    Node,
    Record,
    Unary,
)

# Parentheses, calls, signs and operators inside one another. It bounds the height of a tree, as its walkers recurse.
MAX_DEPTH: Final = 50

# The methods of OData 4.01 part 2, 5.1.1.5 to 5.1.1.11, and how many arguments each takes.
_METHODS: Final = {
    "concat": (2, 2), "contains": (2, 2), "endswith": (2, 2), "indexof": (2, 2), "length": (1, 1),
    "matchespattern": (2, 2), "startswith": (2, 2), "substring": (2, 3), "tolower": (1, 1), "toupper": (1, 1),
    "trim": (1, 1), "hassubset": (2, 2), "hassubsequence": (2, 2), "year": (1, 1), "month": (1, 1), "day": (1, 1),
    "hour": (1, 1), "minute": (1, 1), "second": (1, 1), "fractionalseconds": (1, 1), "totalseconds": (1, 1),
    "date": (1, 1), "time": (1, 1), "totaloffsetminutes": (1, 1), "mindatetime": (0, 0), "maxdatetime": (0, 0),
    "now": (0, 0), "round": (1, 1), "floor": (1, 1), "ceiling": (1, 1), "geo.distance": (2, 2),
    "geo.length": (1, 1), "geo.intersects": (2, 2),
}  # fmt: skip
# What cannot begin an operand.
_NO_OPERAND: Final = frozenset({"", ")", "]", "}", ",", ":", ";", "=", "/"})


def parse(text: str) -> Node:
    """The tree of a decoded `$filter` text.

    >>> parse("state eq 'error'")
    Binary(operator='eq', left=Name(text='state'), right=Literal(kind=<Kind.STRING: 'string'>, text="'error'"))
    """
    reader = _Reader(text)
    tree = reader.expression(0)
    if reader.token.kind != "end":
        raise reader.fault("an operator or the end")
    return tree


def parse_orderby(text: str) -> tuple[tuple[Node, bool], ...]:
    """The items of a decoded `$orderby` text, each with whether it is descending."""
    reader = _Reader(text)
    items: list[tuple[Node, bool]] = []
    while True:
        tree = reader.expression(0)
        direction = reader.token.text.lower()
        if direction in {"asc", "desc"}:
            reader.want_blank()
            reader.advance()
        items.append((tree, direction == "desc"))
        if not reader.take(","):
            break
    if reader.token.kind != "end":
        raise reader.fault("an operator, asc, desc, a comma or the end")
    return tuple(items)


class _Reader(MemberReader):
    """Operators and operands; and how deep they lie in one another."""

    __slots__ = ("_deepest", "_depth")

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = -1
        self._deepest = 0

    def expression(self, floor: int) -> Node:
        """An operand, and the operators at least as strong as `floor` with theirs (Pratt's method)."""
        sibling = self._deepest
        self._depth += 1
        self._sink(self._depth)
        left = self._operand()
        while True:
            word = self.token.text
            power = POWER.get(word) or POWER.get(word := word.lower(), 0)
            if not power or power < floor:
                break
            sunken = self._deepest + 1
            left = self._operation(left, word, power)
            # What stood on the left now hangs one lower: so a long chain is a deep tree as well.
            self._sink(max(sunken, self._deepest))
        self._depth -= 1
        self._deepest = max(self._deepest, sibling)
        return left

    def _sink(self, deepest: int) -> None:
        if deepest > MAX_DEPTH:
            start = self.token.start
            raise Malformed(f"expected at most {MAX_DEPTH} levels of nesting, found more at {start}", start)
        self._deepest = deepest

    def _operation(self, left: Node, word: str, power: int) -> Node:
        self._operator(word)
        if word == "in":
            return Binary(word, left, self._list() or self.expression(power + 1))
        if word == "has":
            return Binary(word, left, self._enumeration())
        right = self.expression(power + 1)
        if word not in {"and", "or"}:
            return Binary(word, left, right)
        operands = [left, right]
        while self.token.text.lower() == word:
            self._operator(word)
            operands.append(self.expression(power + 1))
        return Logic(word, tuple(operands))

    def _operator(self, word: str) -> None:
        """Step over an operator and its blanks (ABNF RWS)."""
        self.want_blank()
        self.advance()
        # Clients of Graph write `in('a','b')`, as they write `not(…)`.
        if self.touches() and self.token.kind != "end" and not (word == "in" and self.token.text == "("):
            raise self.fault(f"a blank after '{word}'")

    def _list(self) -> Collection | None:
        """A list of literals, if one begins here: otherwise a parenthesis is a parenthesis (ABNF listExpr)."""
        if self.token.text != "(":
            return None
        first = self.ahead()
        if first.text != ")" and (literal_kind(first) is None or self.ahead(2).text not in {",", ")"}):
            return None
        self.advance()
        items: list[Node] = []
        if self.token.text != ")":
            items.append(self.literal())
            while self.take(","):
                items.append(self.literal())
        self.expect(")", "a comma or ')'")
        return Collection(tuple(items))

    def _enumeration(self) -> Literal:
        kind, text = self.token.kind, self.token.text
        if kind == "enum" or (kind == "string" and enum_content().fullmatch(text[1:-1])):
            return self.literal()
        raise self.fault("an enumeration literal after 'has'")

    def _operand(self) -> Node:
        token = self.token
        kind = token.kind
        if kind == "name":
            return self._named(token)
        if literal_kind(token):
            return self.literal()
        begin = _BEGINNINGS.get(token.text) or _BEGINNINGS.get(kind)
        if begin is None:
            raise self._no_operand(token)
        return begin(self)

    def _no_operand(self, token: Token) -> Malformed:
        if token.kind == "open" and token.text[0] == "'":
            end = token.end
            return Malformed(f"expected a quote that closes the one at {token.start}, found the end at {end}", end)
        if token.kind == "bad" and token.text[-1] == "'":
            return self.fault("a prefix that literals of OData 4 have, or an enumeration type with its namespace")
        return self.fault("a string in single quotes" if token.text[:1] == '"' else "a name, a literal or '('")

    def _named(self, token: Token) -> Node:
        """What begins with a plain name: a path or call, a literal that is spelled like a name, `not`, or a name."""
        following = self.ahead()
        if following.text == "(" and following.start == token.end:
            return self._called()
        if following.text == "/":
            return self.path()
        if literal_kind(token):
            return self.literal()
        if token.text.lower() == "not" and not self._is_property(following):
            return self._negated()
        self.advance()
        return Name(token.text)

    def _is_property(self, following: Token) -> bool:
        """Whether a `not` is the name of a property, as in `not eq true`: what follows it cannot be an operand."""
        if following.text.lower() not in POWER:
            return following.text in _NO_OPERAND
        after = self.ahead(2).text
        return after not in _NO_OPERAND and after.lower() not in POWER

    def _qualified(self) -> Node:
        return self._called() if self.opens() else self.path()

    def _called(self) -> Node:
        """What begins with a name and a parenthesis attached: one of OData's own functions, or one of the service."""
        name = self.token.text
        word = name.lower()
        if word == "not":
            return self._negated()
        if word in {"any", "all"}:
            raise self.fault(f"a collection and '/' before {word}")
        # A function of the service may have the name of one of OData's; its parameters are named.
        if self.ahead(2).kind == "name" and self.ahead(3).text == "=":
            return self.path()
        if word in _METHODS:
            return self._method(name, *_METHODS[word])
        if word in {"cast", "isof"}:
            return self._typed(name)
        return self._case() if word == "case" else self.path()

    def _negated(self) -> Unary:
        operator = self.advance().text.lower()
        if operator == "not" and self.touches() and self.token.text != "(":
            raise self.fault("a blank after 'not'")
        return Unary(operator, self.expression(UNARY_POWER))

    def _group(self) -> Node:
        self.advance()
        inner = self.expression(0)
        self.expect(")", "an operator or ')'")
        return inner

    def _method(self, name: str, least: int, most: int) -> Call:
        self.advance()
        self.advance()
        arguments: list[Node] = []
        while len(arguments) < most:
            if len(arguments) >= max(least, 1) and self.token.text != ",":
                break
            if arguments:
                self.expect(",", f"an operator, or a comma and argument {len(arguments) + 1} of {name}")
            arguments.append(self.expression(0))
        if most and self.token.text == ",":
            raise self.fault(f"')', as {name} takes {most} argument{'s' if most > 1 else ''}")
        self.expect(")", "an operator or ')'" if most else f"')', as {name} takes no argument")
        return Call(name, tuple(arguments))

    def _typed(self, name: str) -> Call:
        """`cast` or `isof`, whose last argument is a type and whose first may be left out (part 2, 5.1.1.10)."""
        self.advance()
        self.advance()
        mark = self._at
        alone = self.type_name()
        if alone is not None and self.take(")"):
            return Call(name, (alone,))
        self._at, self.token = mark, self._tokens[mark]
        operand = self.expression(0)
        self.expect(",", f"an operator, or a comma and the type for {name}")
        kind = self.type_name()
        if kind is None:
            raise self.fault("the name of a type")
        self.expect(")")
        return Call(name, (operand, kind))

    def _case(self) -> Case:
        self.advance()
        self.advance()
        branches: list[tuple[Node, Node]] = []
        while True:
            condition = self.expression(0)
            self.expect(":", "an operator, or ':' and the value of this case")
            branches.append((condition, self.expression(0)))
            if not self.take(","):
                break
        self.expect(")", "an operator, a comma or ')'")
        return Case(tuple(branches))

    def _array(self) -> Collection:
        self.advance()
        items: list[Node] = []
        if self.token.text != "]":
            items.append(self._json_value())
            while self.take(","):
                items.append(self._json_value())
        self.expect("]", "an operator, a comma or ']'")
        return Collection(tuple(items))

    def _object(self) -> Record:
        self.advance()
        members: list[tuple[str, Node]] = []
        while self.token.text != "}" or members:
            if self.token.kind != "json":
                raise self.fault("the name of a member in double quotes")
            name = Literal(Kind.JSON_STRING, self.advance().text).content
            self.expect(":")
            members.append((name, self._json_value()))
            if not self.take(","):
                break
        self.expect("}", "an operator, a comma or '}'")
        return Record(tuple(members))

    def _json_value(self) -> Node:
        # A string in double quotes is a value of JSON, never an operand (ABNF valueInUrl).
        if self.token.kind == "json":
            return Literal(Kind.JSON_STRING, self.advance().text)
        if self.token.kind == "open":
            raise self.fault("a string that is closed, and escaped as in JSON")
        return self.expression(0)


# By the word itself, or by its kind.
_BEGINNINGS: Final[dict[str, Callable[[_Reader], Node]]] = {
    "(": _Reader._group,
    "[": _Reader._array,
    "{": _Reader._object,
    "-": _Reader._negated,
    "qualified": _Reader._qualified,
    "variable": _Reader.path,
    "at": _Reader.path,
}
