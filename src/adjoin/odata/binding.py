"""From a parsed expression to a bound one: names against an entity type, types against operators, literals to values.

Malformed comes from the parser; here follow UnknownName, WrongType, and NotServed for what is right and not run.
Messages are ODataLib's where Graph shows those.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from adjoin.odata import expression, tree
from adjoin.odata.bound import NULL, Bound, Constant, Field, Operation, Order, Sort
from adjoin.odata.edm import EntityType, EnumType, Model
from adjoin.odata.errors import Malformed, NotServed, UnknownName, WrongType
from adjoin.odata.functions import FUNCTIONS, apply
from adjoin.odata.tree import Kind, Node
from adjoin.odata.values import BadValue, Instant, fold, unstorable

MAX_ORDER_KEYS: Final = 8
# Of all that is bound for one option, aliases included: they could otherwise double an expression again and again.
MAX_NODES: Final = 2_000
MAX_DEPTH: Final = 60
_INTEGERS: Final = range(-(2**63), 2**63)  # Edm.Int64, and what every database compares
_TEXT_SHOWN: Final = 128
_SMALL_NUMBER: Final = re.compile(r"[0-9]{1,9}")
_WHOLE: Final = re.compile(r"[+-]?[0-9]{1,32}")
_DATE: Final = re.compile(r"(?!0000)\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])", re.ASCII)
_TIME: Final = re.compile(r"([01]\d|2[0-3]):([0-5]\d)(?::([0-5]\d)(?:\.(\d{1,12}))?)?", re.ASCII)
# ODataLib's names of the operators, for its message of operands that do not fit.
_SHOWN: Final = {
    "eq": "Equal",
    "ne": "NotEqual",
    "gt": "GreaterThan",
    "ge": "GreaterThanOrEqual",
    "lt": "LessThan",
    "le": "LessThanOrEqual",
    "and": "And",
    "or": "Or",
    "in": "In",
}
_COMPARED: Final = frozenset({"eq", "ne", "gt", "ge", "lt", "le"})


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What an expression is bound against.

    `aliases` are the texts of the parameter aliases that the URL gives (`@p=…`); `now` is the time of the request.
    """

    model: Model
    entity: EntityType
    now: Instant
    aliases: Mapping[str, str] = field(default_factory=dict)


def bind_filter(text: str, around: Surroundings) -> Bound:
    """The meaning of a `$filter`, which is a Boolean. Raises Malformed, UnknownName, WrongType or NotServed."""
    bound = _Binder(around).bind(expression.parse(text))
    if bound.sort not in (Sort.BOOLEAN, Sort.NULL):
        raise WrongType("The $filter expression must evaluate to a single boolean value.")
    return bound


def bind_order(text: str, around: Surroundings) -> tuple[Order, ...]:
    """The meaning of an `$orderby`. Raises as bind_filter does."""
    items = expression.parse_orderby(text)
    if len(items) > MAX_ORDER_KEYS:
        raise Malformed(f"$orderby has more than {MAX_ORDER_KEYS} keys.")
    binder = _Binder(around)
    orders = tuple(Order(binder.bind(node), descending) for node, descending in items)
    # What is the same for every row orders nothing, nor does what an earlier key has ordered by.
    kept: dict[Bound, Order] = {}
    for each in orders:
        if not isinstance(each.by, Constant):
            kept.setdefault(each.by, each)
    return tuple(kept.values())


class _Binder:
    """One pass over one tree; it remembers which aliases it is inside of, so that none can hold itself."""

    def __init__(self, around: Surroundings) -> None:
        self._around = around
        self._inside: tuple[str, ...] = ()
        self._nodes = 0
        self._depth = 0
        self._parsed: dict[str, Node] = {}

    def bind(self, node: Node) -> Bound:
        self._nodes += 1
        self._depth += 1
        if self._nodes > MAX_NODES or self._depth > MAX_DEPTH:
            raise Malformed("The expression is too large with its parameter aliases written out.")
        bound = self._bound(node)
        self._depth -= 1
        return bound

    def _bound(self, node: Node) -> Bound:
        match node:
            case tree.Literal():
                return self._literal(node)
            case tree.Name(text=name):
                return self._field(name)
            case tree.Variable(name=name):
                return self._alias(name)
            case tree.Path(steps=steps):
                return self._path(steps)
            case tree.Unary(operator="not", operand=operand):
                return self._not(operand)
            case tree.Logic(operator=operator, operands=operands):
                return self._logic(operator, operands)
            case tree.Binary(operator="in", left=left, right=right):
                return self._in(left, right)
            case tree.Binary(operator="has", left=left):
                return self._has(self.bind(left))
            case tree.Binary(operator=operator, left=left, right=right) if operator in _COMPARED:
                return self._compare(operator, left, right)
            case tree.Call(name=name, arguments=arguments):
                return self._call(name.lower(), arguments)
            case _:
                raise NotServed(f"The expression '{_text(node)}' is not served.")

    def _literal(self, literal: tree.Literal) -> Constant:
        if literal.kind is Kind.ENUM:
            found = self._around.model.find_type(literal.prefix)
            if not isinstance(found, EnumType):
                raise UnknownName(f"There is no enumeration type named '{literal.prefix[:128]}'.")
            return _member(found, literal.content)
        read = _LITERALS.get(literal.kind)
        if read is None:
            raise NotServed(f"Values such as {literal.text[:64]} are not served; no property has their type.")
        try:
            return read(literal.content)
        except BadValue as error:
            raise Malformed(f"The value {literal.text[:64]} cannot be read: {error}.") from None

    def _field(self, name: str) -> Bound:
        entity = self._around.entity
        if declared := entity.find_property(name):
            if not declared.comparable:
                why = "is a secret" if declared.secret else "is no single value"
                raise NotServed(f"The property '{declared.name}' {why}, and is not served in expressions.")
            return Field(declared)
        if "." in name and self._is_own_type(name):
            raise WrongType("A type cast stands for no value; a property has to follow it.")
        if name.lower() == "not":
            # To the grammar, which knows no model, it may be a property of that name.
            raise Malformed(f"expected an operand after '{name}', which is no property of '{entity.qualified}'")
        raise UnknownName(f"Could not find a property named '{name[:128]}' on type '{entity.qualified}'.")

    def _is_own_type(self, name: str) -> bool:
        found = self._around.model.find_type(name)
        return any(found is each for each in self._around.entity.ancestry())

    def _alias(self, name: str) -> Bound:
        if not name.startswith("@"):
            raise NotServed(f"'{name}' is served only before a property, as in '$it/displayName'.")
        if name in self._inside:
            raise Malformed(f"The parameter alias '{name[:64]}' refers to itself.")
        text = self._around.aliases.get(name)
        if text is None:
            # URL Conventions 5.3: an alias without a value is null.
            return NULL
        if name not in self._parsed:
            self._parsed[name] = expression.parse(text)
        before, self._inside = self._inside, (*self._inside, name)
        bound = self.bind(self._parsed[name])
        self._inside = before
        return bound

    def _path(self, steps: tuple[tree.Step, ...]) -> Bound:
        """`$it/name` and `own.type/name` are the property itself; no property of the model leads further."""
        rest = list(steps)
        while len(rest) > 1 and self._passes(rest[0]):
            rest.pop(0)
        first = rest[0]
        if isinstance(first, tree.Name):
            bound = self._field(first.text)
            if len(rest) == 1:
                return bound
            if isinstance(rest[1], tree.Annotation):
                raise NotServed(f"The path '{_text(tree.Path(steps))}' is not served.")
            raise WrongType(
                f"The property '{first.text}' is a single value; no '/{_text(tree.Path(tuple(rest[1:])))}' follows it."
            )
        raise NotServed(f"The path '{_text(tree.Path(steps))}' is not served.")

    def _passes(self, step: tree.Step) -> bool:
        if isinstance(step, tree.Variable):
            return step.name == "$it"
        return isinstance(step, tree.Name) and "." in step.text and self._is_own_type(step.text)

    def _not(self, operand: Node) -> Bound:
        bound = self.bind(operand)
        if bound.sort not in (Sort.BOOLEAN, Sort.NULL):
            raise WrongType(
                f"'not' takes a Boolean, and '{_text(operand)}' is none. It binds tighter than comparisons: "
                "write not(a eq b)."
            )
        return Operation("not", Sort.BOOLEAN, (bound,))

    def _logic(self, operator: str, operands: tuple[Node, ...]) -> Bound:
        bound = tuple(self.bind(each) for each in operands)
        for each in bound:
            if each.sort not in (Sort.BOOLEAN, Sort.NULL):
                raise _incompatible(operator, bound[0], bound[1])
        return Operation(operator, Sort.BOOLEAN, bound)

    def _compare(self, operator: str, left: Node, right: Node) -> Bound:
        first, second = self._matched(self.bind(left), self.bind(right), operator)
        return Operation(operator, Sort.BOOLEAN, (first, second))

    def _in(self, left: Node, right: Node) -> Bound:
        needle = self.bind(left)
        if isinstance(right, tree.Variable) and right.name.startswith("@"):
            right = self._list(right)
        if isinstance(right, tree.Literal) and right.kind is not Kind.NULL:
            raise WrongType(f"'in' takes a list of values on its right, such as (1,2); {_text(right)} is a single one.")
        if not isinstance(right, tree.Collection):
            raise NotServed("'in' is served with a list of values on its right.")
        items = [self.bind(each) for each in right.items]
        # A constant on the left may take its type from any item, and all items then take it too.
        for each in items:
            needle, _ = self._matched(needle, each, "in")
        items = [self._matched(needle, each, "in")[1] for each in items]
        if not all(isinstance(each, Constant) for each in items):
            raise NotServed("'in' is served with a list of constant values on its right.")
        return Operation("in", Sort.BOOLEAN, (needle, *items))

    def _list(self, alias: tree.Variable) -> Node:
        """The list that an alias stands for, perhaps through others."""
        node: Node = alias
        seen = set()
        while isinstance(node, tree.Variable) and node.name.startswith("@"):
            if node.name in seen:
                raise Malformed(f"The parameter alias '{node.name[:64]}' refers to itself.")
            seen.add(node.name)
            node = expression.parse(self._around.aliases.get(node.name, "[]"))
        return node

    def _has(self, left: Bound) -> Bound:
        if left.sort is Sort.ENUM:
            raise WrongType("'has' takes an enumeration whose members are flags, and this one's are not.")
        raise WrongType(f"'has' takes an enumeration on its left, not {left.sort.value}.")

    def _matched(self, left: Bound, right: Bound, operator: str) -> tuple[Bound, Bound]:
        """Both sides in one type: a constant takes the other side's type where OData 4.01 lets it."""
        if Sort.NULL in (left.sort, right.sort):
            return left, right
        if isinstance(right, Constant):
            right = _as(right, left)
        if isinstance(left, Constant):
            left = _as(left, right)
        if left.sort is not right.sort or left.enum is not right.enum:
            raise _incompatible(operator, left, right)
        return left, right

    def _call(self, name: str, arguments: tuple[Node, ...]) -> Bound:
        if name not in FUNCTIONS:
            raise NotServed(f"The function '{name}' is not served.")
        return apply(name, tuple(self.bind(each) for each in arguments), self._around.now)


def _as(constant: Constant, other: Bound) -> Constant:
    """A constant in the type of what it is compared with, where OData 4.01 casts it (M41.9a, M41.9b); else as it is."""
    if constant.sort is other.sort:
        return constant
    wanted = other.sort
    if wanted is Sort.ENUM and other.enum is not None and constant.sort in (Sort.STRING, Sort.INTEGER):
        return _member(other.enum, str(constant.value))
    if wanted is Sort.INSTANT and constant.sort is Sort.DATE:
        return Constant(Sort.INSTANT, Instant.parse(f"{constant.value}T00:00:00Z"))
    if constant.sort is Sort.STRING and wanted in _FROM_TEXT:
        text = str(constant.value)
        try:
            return _FROM_TEXT[wanted](text)
        except BadValue as error:
            raise WrongType(f"The text '{text[:64]}' is no value of type '{wanted.value}': {error}.") from None
    return constant


def _member(enum: EnumType, text: str) -> Constant:
    """A member by its name in any case, or by its number."""
    name = enum.find_member(text)
    if name is not None:
        return Constant(Sort.ENUM, enum.members[name], enum)
    if _SMALL_NUMBER.fullmatch(text) and int(text) in enum.by_value:
        return Constant(Sort.ENUM, int(text), enum)
    raise WrongType(
        f"The string '{text[:64]}' is not a valid enumeration type constant. "
        f"The members of '{enum.qualified}' are {', '.join(enum.members)}."
    )


def _instant(text: str) -> Constant:
    return Constant(Sort.INSTANT, Instant.parse(text))


def _date(text: str) -> Constant:
    if not _DATE.fullmatch(text):
        raise BadValue("it is not a date such as 2016-12-31")
    Instant.parse(f"{text}T00:00:00Z")
    return Constant(Sort.DATE, text)


def _time(text: str) -> Constant:
    """A time of day as it is stored: with seconds, and a fraction without trailing zeros."""
    match = _TIME.fullmatch(text)
    if match is None:
        raise BadValue("it is not a time of day such as 23:58:36.667")
    hour, minute, second, fraction = match.groups()
    rest = (fraction or "")[:7].rstrip("0")
    return Constant(Sort.TIME, f"{hour}:{minute}:{second or '00'}" + (f".{rest}" if rest else ""))


def _boolean(text: str) -> Constant:
    if text.lower() not in ("true", "false"):
        raise BadValue("it is neither true nor false")
    return Constant(Sort.BOOLEAN, text.lower() == "true")


def _integer(text: str) -> Constant:
    if not _WHOLE.fullmatch(text):
        raise BadValue("it is not a whole number")
    number = int(text)
    if number not in _INTEGERS:
        raise BadValue("it is beyond the whole numbers of 64 bits")
    return Constant(Sort.INTEGER, number)


def _string(text: str) -> Constant:
    if fault := unstorable(text):
        raise Malformed(f"A string in the expression is not valid: {fault}.")
    return Constant(Sort.STRING, fold(text))


_FROM_TEXT: Final[Mapping[Sort, Callable[[str], Constant]]] = {
    Sort.INSTANT: _instant,
    Sort.DATE: _date,
    Sort.TIME: _time,
    Sort.BOOLEAN: _boolean,
    Sort.INTEGER: _integer,
}


def _whole(text: str) -> Constant:
    """A decimal that is whole, such as `5.0`: lengths and positions are all that numbers are compared with here."""
    whole, _, fraction = text.partition(".")
    if fraction.strip("0"):
        raise NotServed(f"Numbers with a fraction, such as {text[:64]}, are not served.")
    return _integer(whole)


_LITERALS: Final[Mapping[Kind, Callable[[str], Constant]]] = {
    Kind.NULL: lambda _: NULL,
    Kind.BOOLEAN: _boolean,
    Kind.STRING: _string,
    Kind.JSON_STRING: _string,
    Kind.GUID: _string,
    Kind.INTEGER: _integer,
    Kind.DECIMAL: _whole,
    Kind.DATE: _date,
    Kind.DATE_TIME: _instant,
    Kind.TIME: _time,
}


def _incompatible(operator: str, left: Bound, right: Bound) -> WrongType:
    names = [each.enum.qualified if each.enum else each.sort.value for each in (left, right)]
    return WrongType(
        "A binary operator with incompatible types was detected. "
        f"Found operand types '{names[0]}' and '{names[1]}' for operator kind '{_SHOWN[operator]}'."
    )


def _text(node: Node) -> str:
    text = tree.print_tree(node)
    return text if len(text) <= _TEXT_SHOWN else text[:_TEXT_SHOWN] + "…"
