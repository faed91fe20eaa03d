"""What a bound expression is for a row, in plain Python: the second opinion that SQL is held against.

It is written from the words of OData 4.01 part 2, section 5.1.1, and not from the SQL: dates are counted, not cut out
of text, and null is carried by hand. A row is a dict of property → value: text, whole number, bool, Instant, the name
of an enumeration's member, or None.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from functools import cmp_to_key
from typing import Any, Final

from adjoin.odata.bound import Bound, Constant, Field, Order, Sort
from adjoin.odata.edm import EnumType
from adjoin.odata.values import TICKS_PER_SECOND, Instant, fold

Value = str | int | bool | None
Row = Mapping[str, Any]

_DAY: Final = 86_400 * TICKS_PER_SECOND
# The characters that Unicode calls White_Space (PropList.txt); Python's strip() would take U+001C to U+001F as well.
_WHITE_SPACE: Final = "".join(
    map(
        chr,
        [*range(9, 14), 0x20, 0x85, 0xA0, 0x1680, *range(0x2000, 0x200B), 0x2028, 0x2029, 0x202F, 0x205F, 0x3000],
    )
)


def holds(bound: Bound, row: Row) -> bool:
    """Whether a filter lets a row through: what is null does not (5.1.1)."""
    return evaluate(bound, row) is True


def evaluate(bound: Bound, row: Row) -> Value:
    """The value of an expression: a date-time is its ticks, a date its day's number, a time its ticks of the day."""
    if isinstance(bound, Field):
        return _property(bound, row)
    if isinstance(bound, Constant):
        return _constant(bound)
    if bound.name == "and":
        return _and([evaluate(each, row) for each in bound.operands])
    if bound.name == "or":
        return _or([evaluate(each, row) for each in bound.operands])
    if bound.name in _PARTS:
        return _PARTS[bound.name](bound.operands[0], row)
    operands = [evaluate(each, row) for each in bound.operands]
    if bound.name in _COMPARISONS:
        return _COMPARISONS[bound.name](*operands)
    # A canonical function, and `not`, of null is null (5.1.1.1.9, 5.1.1.4).
    return None if None in operands else _FUNCTIONS[bound.name](*operands)


def _property(bound: Field, row: Row) -> Value:
    value = row[bound.declared.name]
    if value is None:
        return None
    if isinstance(bound.declared.type, EnumType):
        return bound.declared.type.members[value]
    if isinstance(value, Instant):
        return value.ticks
    return fold(value) if isinstance(value, str) else value


def _constant(bound: Constant) -> Value:
    value = bound.value
    if isinstance(value, Instant):
        return value.ticks
    if value is not None and bound.sort is Sort.DATE:
        return date.fromisoformat(str(value)).toordinal()
    if value is not None and bound.sort is Sort.TIME:
        clock, _, fraction = str(value).partition(".")
        hour, minute, second = map(int, clock.split(":"))
        return (hour * 3_600 + minute * 60 + second) * TICKS_PER_SECOND + int(fraction.ljust(7, "0"))
    return value


# --- logic: the tables of 5.1.1.1.7 and 5.1.1.1.8


def _and(operands: Sequence[Value]) -> Value:
    if any(each is False for each in operands):
        return False
    return None if None in operands else True


def _or(operands: Sequence[Value]) -> Value:
    if any(each is True for each in operands):
        return True
    return None if None in operands else False


# --- comparison: true or false whatever is null (5.1.1.1.1 to 5.1.1.1.6, 5.1.1.1.12)


def _equal(left: Value, right: Value) -> bool:
    if left is None or right is None:
        return left is right
    return left == right


def _relation(compare: Callable[[Any, Any], bool]) -> Callable[..., bool]:
    def relation(left: Value, right: Value) -> bool:
        return left is not None and right is not None and compare(left, right)

    return relation


def _in(needle: Value, *items: Value) -> bool:
    return any(_equal(needle, each) for each in items)


def _holds(text: Value, sought: Value) -> bool:
    """A term of $search: a null property holds nothing."""
    return text is not None and str(sought) in str(text)


_COMPARISONS: Final[Mapping[str, Callable[..., bool]]] = {
    "eq": _equal,
    "ne": lambda left, right: not _equal(left, right),
    "gt": _relation(lambda left, right: left > right),
    "ge": _relation(lambda left, right: left >= right),
    "lt": _relation(lambda left, right: left < right),
    "le": _relation(lambda left, right: left <= right),
    "in": _in,
    "holds": _holds,
}


# --- functions (5.1.1.5 to 5.1.1.8); no operand is null


def _substring(text: str, start: int, count: int | None = None) -> str:
    """A negative start counts from the end (5.1.1.7.4); what lies outside the text is left out."""
    at = start if start >= 0 else max(len(text) + start, 0)
    return text[at:] if count is None else text[at : at + max(count, 0)]


_FUNCTIONS: Final[Mapping[str, Callable[..., Value]]] = {
    "not": lambda operand: not operand,
    "contains": lambda text, sought: sought in text,
    "startswith": lambda text, prefix: text.startswith(prefix),
    "endswith": lambda text, suffix: text.endswith(suffix),
    "length": len,
    "indexof": lambda text, sought: text.find(sought),
    "substring": _substring,
    "trim": lambda text: text.strip(_WHITE_SPACE),
    "concat": lambda first, second: first + second,
}


def _local(operand: Bound, row: Row) -> int | None:
    """The ticks that a clock at the value's own offset shows: its parts are those of the value as written (5.1.1.8)."""
    value = row[operand.declared.name] if isinstance(operand, Field) else operand
    if isinstance(value, Constant):
        value = value.value
    return value.ticks + value.offset * 60 * TICKS_PER_SECOND if isinstance(value, Instant) else None


def _day(operand: Bound, row: Row) -> int | None:
    """The number of a date, or of a date-time's own day, in the calendar."""
    if operand.sort is Sort.DATE:
        value = evaluate(operand, row)
        return None if value is None else int(value)
    ticks = _local(operand, row)
    return None if ticks is None else ticks // _DAY + 1


def _clock(operand: Bound, row: Row) -> int | None:
    """The ticks of a time of day, or of a date-time since its own midnight."""
    if operand.sort is Sort.TIME:
        value = evaluate(operand, row)
        return None if value is None else int(value)
    ticks = _local(operand, row)
    return None if ticks is None else ticks % _DAY


def _of_day(part: Callable[[date], int]) -> Callable[[Bound, Row], Value]:
    def of_day(operand: Bound, row: Row) -> Value:
        day = _day(operand, row)
        return None if day is None else part(date.fromordinal(day))

    return of_day


def _of_clock(unit: int, units: int) -> Callable[[Bound, Row], Value]:
    def of_clock(operand: Bound, row: Row) -> Value:
        clock = _clock(operand, row)
        return None if clock is None else clock // (unit * TICKS_PER_SECOND) % units

    return of_clock


_PARTS: Final[Mapping[str, Callable[[Bound, Row], Value]]] = {
    "year": _of_day(lambda day: day.year),
    "month": _of_day(lambda day: day.month),
    "day": _of_day(lambda day: day.day),
    "hour": _of_clock(3_600, 24),
    "minute": _of_clock(60, 60),
    "second": _of_clock(1, 60),
    "date": _day,
    "time": _clock,
}


# --- order (part 1, 11.2.6.2): null comes before everything else, and the key breaks ties


def ordered(rows: Sequence[Row], keys: Sequence[Order], key: str) -> list[Row]:
    """The rows in an order; those alike in it go by their key, in the direction of the last sort key."""

    def compare(left: Row, right: Row) -> int:
        for each in keys:
            sign = _compare(evaluate(each.by, left), evaluate(each.by, right))
            if sign:
                return -sign if each.descending else sign
        sign = _compare(left[key], right[key])
        return -sign if keys and keys[-1].descending else sign

    return sorted(rows, key=cmp_to_key(compare))


def _compare(left: Any, right: Any) -> int:
    if left is None or right is None:
        return (left is not None) - (right is not None)
    return int(left > right) - int(left < right)
