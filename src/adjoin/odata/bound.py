"""What an expression means for one entity type: typed nodes, with names resolved and literals turned into values.

The binder makes them; SQL is made of them, and tests evaluate them. Strings in them are folded (`values.fold`), since
string comparison does not tell case apart here, as in Graph's directory (docs/compatibility.md).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from adjoin.odata.edm import EnumType, Primitive, Property
from adjoin.odata.values import Instant


class Sort(Enum):
    """The type of a bound expression. The value is the name that messages show."""

    STRING = "Edm.String"
    INTEGER = "Edm.Int64"
    BOOLEAN = "Edm.Boolean"
    INSTANT = "Edm.DateTimeOffset"
    DATE = "Edm.Date"
    TIME = "Edm.TimeOfDay"
    ENUM = "enumeration"
    NULL = "null"


_SORTS = {
    Primitive.STRING: Sort.STRING,
    Primitive.GUID: Sort.STRING,
    Primitive.BOOLEAN: Sort.BOOLEAN,
    Primitive.INT32: Sort.INTEGER,
    Primitive.INT64: Sort.INTEGER,
    Primitive.DATE_TIME_OFFSET: Sort.INSTANT,
}


@dataclass(frozen=True, slots=True)
class Field:
    """A property of the row at hand."""

    declared: Property

    @property
    def enum(self) -> EnumType | None:
        return self.declared.type if isinstance(self.declared.type, EnumType) else None

    @property
    def sort(self) -> Sort:
        kind = self.declared.type
        return _SORTS[kind] if isinstance(kind, Primitive) else Sort.ENUM

    @property
    def nullable(self) -> bool:
        return self.declared.nullable


@dataclass(frozen=True, slots=True)
class Constant:
    """A value: a string is folded, a date or time is its text, a member of `enum` its number, and null is None."""

    sort: Sort
    value: str | int | bool | Instant | None
    enum: EnumType | None = None

    @property
    def nullable(self) -> bool:
        return self.value is None


@dataclass(frozen=True, slots=True)
class Operation:
    """An operator or function over its operands, by its OData name in small letters.

    `holds` is ours: a search term that a string holds; unlike `contains` it is false, not null, for a null string.
    """

    name: str
    sort: Sort
    operands: tuple[Bound, ...]
    enum: None = None

    @property
    def nullable(self) -> bool:
        if self.name in TWO_VALUED:
            return False
        return any(each.nullable for each in self.operands)


Bound = Field | Constant | Operation

COMPARISONS = frozenset({"eq", "ne", "gt", "ge", "lt", "le", "in"})
# These are true or false whatever their operands are (OData 4.01 part 2, 5.1.1.1: a comparison with null is).
TWO_VALUED = COMPARISONS | {"holds"}


NULL = Constant(Sort.NULL, None)


@dataclass(frozen=True, slots=True)
class Order:
    """One key of an order."""

    by: Bound
    descending: bool = False
