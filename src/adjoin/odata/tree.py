"""The nodes of an OData expression: frozen data, one class per shape, with everything kept as it was written.

Nothing here knows a model: whether a name is a property, a type or a lambda variable is for the binder to say.
The parser bounds the height of a tree, so it may be walked by recursion.
`print_tree` gives a tree back as text that parses to an equal tree.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import Enum
from typing import Final


class Kind(Enum):
    """What a literal is by its spelling alone; a string may still stand for an enumeration, date or duration."""

    NULL = "null"
    BOOLEAN = "boolean"
    STRING = "string"
    JSON_STRING = "json string"
    INTEGER = "integer"
    DECIMAL = "decimal"
    DOUBLE = "double"  # an exponent, NaN, INF or -INF
    GUID = "guid"
    DATE = "date"
    DATE_TIME = "date-time"
    TIME = "time"
    DURATION = "duration"  # written with its prefix, as are the four below
    ENUM = "enumeration"
    BINARY = "binary"
    GEOGRAPHY = "geography"
    GEOMETRY = "geometry"


@dataclass(frozen=True, slots=True)
class Literal:
    """A value, as it was written: `5.00`, `'O''Neil'`, `Sales.Pattern'Yellow'`."""

    kind: Kind
    text: str

    @property
    def content(self) -> str:
        """What stands between the quotes, undoubled or unescaped; the text itself where there are none."""
        if self.kind is Kind.JSON_STRING:
            # The grammar allows control characters between the quotes (ABNF charInJSON), strict JSON does not.
            return str(json.loads(self.text, strict=False))
        _, quote, rest = self.text.partition("'")
        return rest[:-1].replace("''", "'") if quote else self.text

    @property
    def prefix(self) -> str:
        """What stands before the quotes: the type of an enumeration literal, otherwise mostly nothing."""
        before, quote, _ = self.text.partition("'")
        return before if quote and self.kind is not Kind.JSON_STRING else ""


@dataclass(frozen=True, slots=True)
class Name:
    """One segment that is a name: property, lambda variable, entity set, or (with dots, mostly) a type to cast to."""

    text: str


@dataclass(frozen=True, slots=True)
class Variable:
    """`$it`, `$this`, `$root`, or a parameter alias such as `@p`."""

    name: str


@dataclass(frozen=True, slots=True)
class Annotation:
    """`@Core.Messages#first`. An unqualified one that begins an expression cannot be told from an alias: a Variable."""

    term: str
    qualifier: str | None


@dataclass(frozen=True, slots=True)
class Type:
    """The type that `cast` or `isof` names."""

    name: str
    collection: bool


@dataclass(frozen=True, slots=True)
class Call:
    """A function that OData itself defines, such as `contains(a,b)`, `cast` and `isof` included."""

    name: str
    arguments: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Invocation:
    """A function of the service, by named parameters. `Items(ID=1)`, a compound key, reads as one too."""

    name: str
    parameters: tuple[tuple[str, Node], ...]


@dataclass(frozen=True, slots=True)
class Case:
    """`case(condition:value,…)`."""

    branches: tuple[tuple[Node, Node], ...]


@dataclass(frozen=True, slots=True)
class Unary:
    """`-` or `not`."""

    operator: str
    operand: Node


@dataclass(frozen=True, slots=True)
class Binary:
    """Arithmetic, comparison, `has` and `in`; the operator in lower case."""

    operator: str
    left: Node
    right: Node


@dataclass(frozen=True, slots=True)
class Logic:
    """`and` or `or` over two or more operands: a flat chain, so that a long one is no deep tree."""

    operator: str
    operands: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Collection:
    """`['a',1]`, or the list `('a','b')` on the right of `in`."""

    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Record:
    """A JSON object. Member names are unquoted."""

    members: tuple[tuple[str, Node], ...]


@dataclass(frozen=True, slots=True)
class Path:
    """Two or more steps, joined by `/` (a Key by nothing)."""

    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Key:
    """Key values in a path; a single one has no name."""

    values: tuple[tuple[str | None, Node], ...]


@dataclass(frozen=True, slots=True)
class Lambda:
    """`any(x:…)`, `all(x:…)`, or `any()` with neither variable nor predicate."""

    quantifier: str
    variable: str | None
    predicate: Node | None


@dataclass(frozen=True, slots=True)
class Filter:
    """The step `$filter(…)`."""

    predicate: Node


@dataclass(frozen=True, slots=True)
class Count:
    """The step `$count`, perhaps with what to count. The text of a search is not read further."""

    predicate: Node | None
    search: str | None


Step = Name | Variable | Annotation | Invocation | Key | Lambda | Filter | Count
Node = (
    Literal | Name | Variable | Annotation | Type | Call | Invocation | Case
    | Unary | Binary | Logic | Collection | Record | Path
)  # fmt: skip

# OData 4.01 part 2, 5.1.1.16 "Operator Precedence": the higher binds tighter; all are left-associative.
POWER: Final = {
    "or": 1, "and": 2, "eq": 3, "ne": 3, "gt": 4, "ge": 4, "lt": 4, "le": 4,
    "add": 5, "sub": 5, "mul": 6, "div": 6, "divby": 6, "mod": 6, "has": 8, "in": 8,
}  # fmt: skip
UNARY_POWER: Final = 7


def print_tree(node: Node, floor: int = 0) -> str:
    """Text that parses to an equal tree; in parentheses if its operator is weaker than `floor`."""
    match node:
        case Unary() | Binary() | Logic():
            text, power = _print_operation(node)
            text = f"({text})" if power < floor else text
        case Type(name=name, collection=collection):
            text = f"Collection({name})" if collection else name
        case Call(name=name, arguments=arguments):
            text = f"{name}({_print_list(arguments)})"
        case Case(branches=branches):
            text = "case(" + ",".join(f"{print_tree(when)} : {print_tree(then)}" for when, then in branches) + ")"
        case Collection(items=items):
            text = f"[{_print_list(items)}]"
        case Record(members=members):
            text = "{" + ",".join(f"{json.dumps(name)}:{print_tree(value)}" for name, value in members) + "}"
        case Path(steps=steps):
            text = "".join(_print_step(step) if isinstance(step, Key) else f"/{_print_step(step)}" for step in steps)[
                1:
            ]
        case _:
            text = _print_step(node)
    return text


def _print_operation(node: Unary | Binary | Logic) -> tuple[str, int]:
    if isinstance(node, Unary):
        operand = print_tree(node.operand, UNARY_POWER)
        # A minus that touches a number or INF would be read as its sign.
        apart = node.operator == "not" or operand[0] in "+-0123456789" or operand.startswith("INF")
        return f"{node.operator}{' ' if apart else ''}{operand}", UNARY_POWER
    power = POWER[node.operator]
    if isinstance(node, Logic):
        return f" {node.operator} ".join(print_tree(operand, power + 1) for operand in node.operands), power
    return f"{print_tree(node.left, power)} {node.operator} {print_tree(node.right, power + 1)}", power


def _print_list(nodes: tuple[Node, ...]) -> str:
    return ",".join(print_tree(node) for node in nodes)


def _print_step(step: Step | Literal) -> str:
    match step:
        case Literal(text=text) | Name(text=text) | Variable(name=text):
            pass
        case Annotation(term=term, qualifier=qualifier):
            text = f"@{term}#{qualifier}" if qualifier else f"@{term}"
        case Invocation(name=name, parameters=parameters):
            text = f"{name}(" + ",".join(f"{key}={print_tree(value)}" for key, value in parameters) + ")"
        case Key(values=((None, Literal(kind=Kind.INTEGER | Kind.GUID, text=key)),)):
            text = f"/{key}"  # as a segment it is never taken for the argument of a function
        case Key(values=values):
            text = "(" + ",".join((f"{name}=" if name else "") + print_tree(value) for name, value in values) + ")"
        case Lambda(quantifier=quantifier, variable=variable, predicate=predicate):
            text = f"{quantifier}({variable}:{print_tree(predicate)})" if predicate else f"{quantifier}()"
        case Filter(predicate=predicate):
            text = f"$filter({print_tree(predicate)})"
        case Count(predicate=predicate, search=search):
            options = [f"$filter={print_tree(predicate)}"] if predicate else []
            options += [f"$search={search}"] if search else []
            text = f"$count({';'.join(options)})" if options else "$count"
    return text
