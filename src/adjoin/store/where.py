"""From a bound expression to SQL with its parameters, in OData's meaning of null, the same in every database.

A condition is written in one of two ways. As a value it is true, false or null exactly as OData says; comparisons with
null are made two-valued. At the top of a WHERE, and under its ANDs and ORs, null may stand for false, and there the
plain form that an index can serve is used. Parameters are numbered `?1`, `?2`, …; no text of a caller's enters the SQL.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from adjoin.odata.bound import Bound, Constant, Field, Operation, Order, Sort
from adjoin.odata.errors import NotServed
from adjoin.odata.values import Instant
from adjoin.store.columns import Table, snake, sort_column

_SYMBOLS: Final = {"gt": ">", "ge": ">=", "lt": "<", "le": "<="}
# White space as Unicode has it: SQL's own trim knows the blank alone (4.01 part 2, 5.1.1.7.5).
_WHITE_SPACE: Final = "\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(
    map(chr, range(0x2000, 0x200B))
)
# SQLite's parser holds 100 open words, and some operands are written more than once: within these it never overflows.
_MAX_DEPTH: Final = 12
_MAX_SQL: Final = 50_000
_DEEP: Final = {"substring": 4, "eq": 2, "ne": 2, "gt": 2, "ge": 2, "lt": 2, "le": 2, "in": 2}
_FAR: Final = 2**31 - 2  # SQLite's substr counts in 32 bits
_LAST_CHARACTER: Final = "\U0010ffff"


class Parameters:
    """The parameters of one statement, in the order of their numbers.

    `table` and `now` (ticks) are given where the clock changes what the table's rows show.
    """

    def __init__(self, *values: object, table: Table | None = None, now: int = 0) -> None:
        self.values: list[object] = list(values)
        self.table = table
        self.silence = table.silence if table is not None else None
        self.now = now
        self.dense = False
        """Most rows show what is asked of what the clock changes, so that the order of keys soon leads to enough."""
        self.cut: Callable[[], str] | None = None
        """Writes what ends the search for rows that the clock did not change, once there are enough: more conditions,
        an order, and a limit. Only where one value of what it changes is asked for."""
        self._depth = 0

    def add(self, value: object) -> str:
        """Hold a value and give the place where it goes."""
        self.values.append(value)
        return f"?{len(self.values)}"

    def nested(self, name: str, write: Callable[[], str]) -> str:
        """What `write` makes of an operation, unless it lies too deep or grows too long. Raises NotServed."""
        depth = _DEEP.get(name, 1)
        self._depth += depth
        text = write() if self._depth <= _MAX_DEPTH else ""
        self._depth -= depth
        if not text or len(text) > _MAX_SQL:
            raise NotServed("The expression is nested deeper than is served.")
        return text


def condition(bound: Bound, parameters: Parameters) -> str:
    """A condition for WHERE; where the expression is false or null, it is not true."""
    if isinstance(bound, Operation):
        if (wanted := by_clock(bound, parameters)) is not None:
            return wanted
        write = _joined if bound.name in ("and", "or") else _PLAIN.get(bound.name)
        if write is not None:
            return parameters.nested(bound.name, lambda: write(bound, parameters))
    return value(bound, parameters)


def _joined(bound: Operation, parameters: Parameters) -> str:
    return f"({f' {bound.name.upper()} '.join(condition(each, parameters) for each in bound.operands)})"


def value(bound: Bound, parameters: Parameters) -> str:
    """The expression's value, null included, as SQL."""
    if isinstance(bound, Field):
        if (silence := parameters.silence) is not None and silence.property == bound.declared.name:
            return f"({silence.shown(parameters.now, parameters.add)})"
        return sort_column(bound.declared)
    if isinstance(bound, Constant):
        return _constant(bound, parameters)
    return parameters.nested(bound.name, lambda: _VALUES[bound.name](bound, parameters))


def _constant(bound: Constant, parameters: Parameters) -> str:
    if bound.value is None:
        return "NULL"
    if isinstance(bound.value, bool):
        return "TRUE" if bound.value else "FALSE"
    if isinstance(bound.value, Instant):
        return parameters.add(bound.value.ticks)
    return parameters.add(bound.value)


# --- what the clock changes


def by_clock(bound: Operation, parameters: Parameters) -> str | None:
    """A comparison of what the clock changes with values of its own, as conditions that indexes serve; else None."""
    if bound.name not in ("eq", "ne", "in") or (silence := parameters.silence) is None:
        return None
    field, *rest = bound.operands
    if isinstance(field, Constant):
        if bound.name == "in":
            return None
        (field,), rest = rest, [field]
    if not isinstance(field, Field) or field.declared.name != silence.property or field.enum is None:
        return None
    if not all(isinstance(each, Constant) and isinstance(each.value, int) for each in rest):
        return None
    named = {each.value for each in rest if isinstance(each, Constant)}
    every = field.enum.by_value
    wanted = [each for each in every if (each in named) != (bound.name == "ne")]
    if not wanted:
        return "FALSE"
    others = None if parameters.dense else lambda each: _among(parameters, each)
    return silence.shows(wanted, parameters.now, parameters.add, others)


def _among(parameters: Parameters, conditions: Sequence[str]) -> str:
    if (table := parameters.table) is None:
        raise LookupError("there is no table")
    selects = [f"SELECT {table.key} FROM {table.name} WHERE tenant = ?1 AND {each}" for each in conditions]
    if parameters.cut is not None:
        selects[0] = f"SELECT {table.key} FROM ({selects[0]}{parameters.cut()}) AS others"
    return f"{table.key} IN ({' UNION ALL '.join(selects)})"


# --- comparison


def _is_null(bound: Bound) -> bool:
    return isinstance(bound, Constant) and bound.value is None


def _plain_equal(bound: Operation, parameters: Parameters) -> str:
    left, right = bound.operands
    if left.nullable and right.nullable:
        return _equal(bound, parameters)
    return f"{value(left, parameters)} = {value(right, parameters)}"


def _equal(bound: Operation, parameters: Parameters) -> str:
    return _distinct(bound, parameters, "=", "IS NOT DISTINCT FROM", "IS NULL")


def _unequal(bound: Operation, parameters: Parameters) -> str:
    return _distinct(bound, parameters, "<>", "IS DISTINCT FROM", "IS NOT NULL")


def _distinct(bound: Operation, parameters: Parameters, symbol: str, null_safe: str, for_null: str) -> str:
    left, right = bound.operands
    if _is_null(left):
        left, right = right, left
    if _is_null(right):
        return f"({value(left, parameters)} {for_null})"
    if left.nullable or right.nullable:
        symbol = null_safe
    return f"({value(left, parameters)} {symbol} {value(right, parameters)})"


def _plain_order(bound: Operation, parameters: Parameters) -> str:
    left, right = bound.operands
    if _is_null(left) or _is_null(right):
        return "FALSE"
    return f"{value(left, parameters)} {_SYMBOLS[bound.name]} {value(right, parameters)}"


def _order(bound: Operation, parameters: Parameters) -> str:
    return _two_valued(_plain_order(bound, parameters), bound.operands)


def _plain_in(bound: Operation, parameters: Parameters) -> str:
    needle, *items = bound.operands
    if _is_null(needle):
        return "TRUE" if any(_is_null(each) for each in items) else "FALSE"
    places = [value(each, parameters) for each in items if not _is_null(each)]
    text = f"{value(needle, parameters)} IN ({', '.join(places)})" if places else "FALSE"
    if len(places) < len(items):
        return f"({text} OR {value(needle, parameters)} IS NULL)"
    return text


def _in(bound: Operation, parameters: Parameters) -> str:
    needle, *items = bound.operands
    if any(_is_null(each) for each in items) and not _is_null(needle):
        rest = Operation("in", Sort.BOOLEAN, (needle, *(each for each in items if not _is_null(each))))
        return f"({_in(rest, parameters)} OR {value(needle, parameters)} IS NULL)"
    return _two_valued(_plain_in(bound, parameters), bound.operands)


def _two_valued(text: str, operands: Sequence[Bound]) -> str:
    return f"COALESCE({text}, FALSE)" if any(each.nullable for each in operands) else f"({text})"


# --- logic


def _logic(bound: Operation, parameters: Parameters) -> str:
    return f"({f' {bound.name.upper()} '.join(value(each, parameters) for each in bound.operands)})"


def _not(bound: Operation, parameters: Parameters) -> str:
    return f"(NOT {value(bound.operands[0], parameters)})"


# --- strings


def _contains(bound: Operation, parameters: Parameters) -> str:
    text, sought = (value(each, parameters) for each in bound.operands)
    return f"(instr({text}, {sought}) > 0)"


def _holds(bound: Operation, parameters: Parameters) -> str:
    return f"COALESCE({_contains(bound, parameters)}, FALSE)"


def _plain_starts(bound: Operation, parameters: Parameters) -> str:
    """A prefix that is known is a range, which an index serves."""
    text, prefix = bound.operands
    if starts_with_known(bound) and isinstance(prefix, Constant) and isinstance(prefix.value, str):
        column = value(text, parameters)
        lower, upper = parameters.add(prefix.value), _after_prefix(prefix.value)
        above = f" AND {column} < {parameters.add(upper)}" if upper is not None else ""
        return f"({column} >= {lower}{above})"
    return _starts(bound, parameters)


def starts_with_known(bound: Operation) -> bool:
    """Whether a `startswith` is a range of a property's values."""
    text, prefix = bound.operands
    return (
        isinstance(text, Field)
        and isinstance(prefix, Constant)
        and isinstance(prefix.value, str)
        and prefix.value != ""
    )


def _after_prefix(prefix: str) -> str | None:
    """The least text greater than all that begin with `prefix`, or None if there is none."""
    kept = prefix.rstrip(_LAST_CHARACTER)
    if not kept:
        return None
    following = ord(kept[-1]) + 1
    # Surrogates are no characters and have no UTF-8.
    return kept[:-1] + chr(0xE000 if following == 0xD800 else following)


def _starts(bound: Operation, parameters: Parameters) -> str:
    text, prefix = (value(each, parameters) for each in bound.operands)
    return f"(substr({text}, 1, length({prefix})) = {prefix})"


def _ends(bound: Operation, parameters: Parameters) -> str:
    text, suffix = (value(each, parameters) for each in bound.operands)
    # A longer suffix than text would reach before the text's start, where databases differ.
    return f"(length({text}) >= length({suffix}) AND substr({text}, length({text}) - length({suffix}) + 1) = {suffix})"


def _length(bound: Operation, parameters: Parameters) -> str:
    return f"length({value(bound.operands[0], parameters)})"


def _index_of(bound: Operation, parameters: Parameters) -> str:
    text, sought = (value(each, parameters) for each in bound.operands)
    return f"(instr({text}, {sought}) - 1)"


def _substring(bound: Operation, parameters: Parameters) -> str:
    """Positions count from 0; a negative one from the end (4.01); what lies outside the text is left out."""
    text = value(bound.operands[0], parameters)
    start = _position(bound.operands[1], parameters)
    length = f"length({text})"
    from_end = f"WHEN {length} + {start} > 0 THEN {length} + {start} WHEN {start} < 0 THEN 0"
    at = f"CASE WHEN {start} >= 0 THEN {start} {from_end} END"
    known = bound.operands[1]
    if isinstance(known, Constant) and isinstance(known.value, int) and known.value >= 0:
        at = start
    first = f"CAST({at} + 1 AS INTEGER)"
    if len(bound.operands) == 2:
        return f"substr({text}, {first})"
    count = _position(bound.operands[2], parameters)
    wanted = f"CASE WHEN {count} >= 0 THEN {count} WHEN {count} < 0 THEN 0 END"
    return f"substr({text}, {first}, CAST({wanted} AS INTEGER))"


def _position(bound: Bound, parameters: Parameters) -> str:
    """A position or count, no further than every database counts."""
    if isinstance(bound, Constant) and isinstance(bound.value, int):
        return parameters.add(max(-_FAR, min(bound.value, _FAR)))
    text = value(bound, parameters)
    if isinstance(bound, Field):
        return f"CASE WHEN {text} > {_FAR} THEN {_FAR} WHEN {text} < -{_FAR} THEN -{_FAR} ELSE {text} END"
    return text


def _trim(bound: Operation, parameters: Parameters) -> str:
    return f"trim({value(bound.operands[0], parameters)}, {parameters.add(_WHITE_SPACE)})"


def _concat(bound: Operation, parameters: Parameters) -> str:
    return f"({' || '.join(value(each, parameters) for each in bound.operands)})"


# --- dates and times: parts are those of the value's own offset, which its text shows (4.01 part 2, 5.1.1.8)


def _written(bound: Bound, parameters: Parameters) -> str:
    if isinstance(bound, Field):
        return snake(bound.declared.name)
    if isinstance(bound, Constant) and isinstance(bound.value, Instant):
        return parameters.add(str(bound.value))
    return value(bound, parameters)


def _part(position: int, length: int, position_in_time: int = 0) -> Callable[[Operation, Parameters], str]:
    """A whole number cut out of a written date-time or date, or at another place out of a time."""

    def part(bound: Operation, parameters: Parameters) -> str:
        (operand,) = bound.operands
        at = position_in_time if operand.sort is Sort.TIME else position
        return f"CAST(substr({_written(operand, parameters)}, {at}, {length}) AS INTEGER)"

    return part


def _date(bound: Operation, parameters: Parameters) -> str:
    return f"substr({_written(bound.operands[0], parameters)}, 1, 10)"


def _time(bound: Operation, parameters: Parameters) -> str:
    text = _written(bound.operands[0], parameters)
    offset = f"CASE WHEN substr({text}, length({text}), 1) = 'Z' THEN 1 ELSE 6 END"
    return f"substr({text}, 12, length({text}) - 11 - {offset})"


_Writer = Callable[[Operation, Parameters], str]

_PLAIN: Final[Mapping[str, _Writer]] = {
    "eq": _plain_equal,
    "gt": _plain_order,
    "ge": _plain_order,
    "lt": _plain_order,
    "le": _plain_order,
    "in": _plain_in,
    "startswith": _plain_starts,
}

_VALUES: Final[Mapping[str, _Writer]] = {
    "eq": _equal,
    "ne": _unequal,
    "gt": _order,
    "ge": _order,
    "lt": _order,
    "le": _order,
    "in": _in,
    "and": _logic,
    "or": _logic,
    "not": _not,
    "contains": _contains,
    "holds": _holds,
    "startswith": _starts,
    "endswith": _ends,
    "length": _length,
    "indexof": _index_of,
    "substring": _substring,
    "trim": _trim,
    "concat": _concat,
    "year": _part(1, 4),
    "month": _part(6, 2),
    "day": _part(9, 2),
    "hour": _part(12, 2, 1),
    "minute": _part(15, 2, 4),
    "second": _part(18, 2, 7),
    "date": _date,
    "time": _time,
}


# --- order and what follows a row in it


# What an operation comes down to, such as `in` of nothing.
_CONSTANT_TEXTS: Final = ("TRUE", "FALSE", "NULL")


def order(keys: Sequence[Order], key_column: str, parameters: Parameters) -> str:
    """The ORDER BY list: null is lowest, and the key breaks ties in the direction of the last sort key."""
    # A constant orders nothing, and PostgreSQL does not take one.
    written = [(each, value(each.by, parameters)) for each in keys if not isinstance(each.by, Constant)]
    telling = [(each, text) for each, text in written if text.strip("()") not in _CONSTANT_TEXTS]
    parts = [f"{text}{_direction(each.descending, each.by.nullable)}" for each, text in telling]
    return ", ".join([*parts, f"{key_column}{' DESC' if _ties_descend(keys) else ''}"])


def _direction(descending: bool, nullable: bool) -> str:
    nulls = (" NULLS LAST" if descending else " NULLS FIRST") if nullable else ""
    return f"{' DESC' if descending else ''}{nulls}"


def _ties_descend(keys: Sequence[Order]) -> bool:
    return bool(keys) and keys[-1].descending


def following(
    keys: Sequence[Order], last: Sequence[object], key_column: str, last_key: str, parameters: Parameters
) -> str:
    """The condition of what comes behind a row in the order; `last` are that row's values of the sort keys."""
    # What is nested stands first: so SQLite's parser closes it before it goes on.
    text = f"{key_column} {'<' if _ties_descend(keys) else '>'} {parameters.add(last_key)}"
    for each, held in zip(reversed(keys), reversed(last), strict=True):
        if isinstance(each.by, Constant):
            continue
        column = value(each.by, parameters)
        if held is None:
            behind = "FALSE" if each.descending else f"{column} IS NOT NULL"
            text = f"(({text} AND {column} IS NULL) OR {behind})"
            continue
        place = parameters.add(held)
        behind = f"{column} {'<' if each.descending else '>'} {place}"
        text = f"(({text} AND {column} = {place}) OR {behind})"
        if each.descending and each.by.nullable:
            text = f"({text} OR {column} IS NULL)"
        else:
            # Says nothing new; it lets an index on the column start at the right place.
            text = f"({text} AND {column} {'<=' if each.descending else '>='} {place})"
    return text
