"""Which columns hold which property: derived from the model, for the schema and for every statement alike.

A date-time has two columns: the text that is given back, and its ticks, by which it is compared. So has a string: as it
was written, and folded, by which it is compared without regard to case.
An enumeration is held by number, so that it orders as OData wants. A row that leaves here holds what goes on the wire.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any, Final, NamedTuple, TypeAlias

import msgspec

from adjoin.odata.edm import EntityType, EnumType, Primitive, Property
from adjoin.odata.values import Instant, fold
from adjoin.store.silence import Silence
from adjoin.store.statements import ByKey

# What a property holds inside the service, and what it holds in a row: there date-times are already text.
# A structured value is builtins of JSON inside, and JSON that is written already in a row.
Value: TypeAlias = str | int | bool | Instant | Mapping[str, Any] | Sequence[Any] | None
Wire: TypeAlias = str | int | bool | msgspec.Raw | None
Row: TypeAlias = tuple[Wire, ...]


# Beyond what versions count to: they begin with the milliseconds of a row's creation.
_STEP: Final = 2**56


class Stored(NamedTuple):
    """A row, and its version: a number that is another after each change, and for each row that had the key."""

    row: Row
    version: int


def snake(name: str) -> str:
    """A declared name as the database spells it: `lastConnectionDateTime` → `last_connection_date_time`."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


@dataclass(frozen=True, eq=False)
class Column:
    """One column: its name and its kind, `text`, `integer`, `ticks` (64 bits), `boolean` or `bytes`."""

    name: str
    kind: str


@dataclass(frozen=True, eq=False)
class Own:
    """A column of no property, which the service keeps for itself; without a default it may be null.

    `reset` is set where the value ends with an administrator's write of what the clock changes.
    """

    name: str
    kind: str
    default: int | None = None
    reset: bool = False


@dataclass(frozen=True, eq=False)
class Table:
    """The rows of one entity type under every tenant. `silence` is set where the clock changes what a row shows."""

    name: str
    type: EntityType
    silence: Silence | None = None
    own: tuple[Own, ...] = ()
    counts: str | None = None
    """The table of how many rows a tenant has by the kept value of what the clock changes."""

    @cached_property
    def selected(self) -> str:
        """The select list of a row, in the order of the type's properties; what the clock goes by stands behind."""
        names = ["NULL" if each.secret else snake(each.name) for each in self.type.properties]
        return ", ".join([*names, self.silence.column] if self.silence else names)

    @cached_property
    def width(self) -> int:
        """How many columns `selected` names."""
        return len(self.type.properties) + (self.silence is not None)

    @cached_property
    def resets(self) -> str:
        """The assignments that go with an administrator's write of what the clock changes."""
        values = (("NULL" if each.default is None else each.default, each) for each in self.own if each.reset)
        return "".join(f"{each.name} = {value}, " for value, each in values)

    @cached_property
    def by_key(self) -> ByKey:
        """The statement that gives a row, and its version, by tenant and key."""
        return ByKey(f"{self.selected}, row_version", self.name, self.key)

    @cached_property
    def indexed(self) -> frozenset[str]:
        """The properties along which an index runs: of rows that are only ever added, the key alone.

        None does along what the clock changes.
        """
        found = [self.type.key] if self.type.append_only else self.type.properties
        return frozenset(each.name for each in found if self.silence is None or each.name != self.silence.property)

    @cached_property
    def key(self) -> str:
        return snake(self.type.key.name)

    @cached_property
    def key_at(self) -> int:
        """Where a row holds its key."""
        return self.type.properties.index(self.type.key)

    @cached_property
    def columns(self) -> tuple[tuple[Property, Column], ...]:
        """Every column that a property needs, beside the tenant's and the row's version."""
        return tuple((each, column) for each in self.type.properties for column in columns(each))

    @cached_property
    def _documents(self) -> tuple[int, ...]:
        return tuple(at for at, each in enumerate(self.type.properties) if not each.scalar)

    @cached_property
    def _enums(self) -> tuple[tuple[int, Mapping[int, str]], ...]:
        pairs = enumerate(self.type.properties)
        return tuple((at, each.type.by_value) for at, each in pairs if isinstance(each.type, EnumType))

    @cached_property
    def _booleans(self) -> tuple[int, ...]:
        # SQLite keeps them as numbers.
        return tuple(at for at, each in enumerate(self.type.properties) if each.type is Primitive.BOOLEAN)

    @cached_property
    def holders(self) -> tuple[tuple[str, _Hold | None, Callable[[Any], Wire] | None], ...]:
        """For each property its name, what makes of a value what its columns hold, and of the first of these what is
        shown. None: the value is held, or shown, as it is.
        """
        held = ((each, _holder(each)) for each in self.type.properties)
        return tuple((each.name, None if hold is _as_it_is else hold, _shower(each)) for each, hold in held)

    @cached_property
    def _lone(self) -> tuple[int, Mapping[int, str], int] | None:
        """Where nothing has to be turned but what the clock changes: its place, its names, and how long it is kept."""
        if self.silence is None or len(self._enums) != 1 or self._booleans or self._documents:
            return None
        ((at, names),) = self._enums
        return at, names, self.silence.steps[0][0]

    def rows(self, fetched: Sequence[Sequence[Any]], now: int = 0) -> list[Row]:
        """Rows as they go on the wire at this time (ticks), from what `selected` fetched and whatever stands behind."""
        silence, width, lone = self.silence, self.width, self._lone
        if silence is None or lone is None:
            return [self.row(each[:width], now) for each in fetched]
        # The most frequent case in one expression: a page has up to a thousand rows.
        (at, names, kept), last = lone, width - 1
        fresh = now - kept
        return [
            (
                *each[:at],
                names.get(each[at] if each[last] > fresh else silence.value_at(each[at], each[last], now)),
                *each[at + 1 : last],
            )
            for each in fetched
        ]

    @cached_property
    def _silent_at(self) -> int:
        return [each.name for each in self.type.properties].index(self.silence.property) if self.silence else -1

    def stored_there(self, fetched: Sequence[Any], now: int) -> Stored | None:
        """As `stored`, or None for a row that the clock has removed."""
        lone = self._lone
        if lone is not None and fetched[-2] > now - lone[2]:
            at, names, _ = lone
            return Stored((*fetched[:at], names.get(fetched[at]), *fetched[at + 1 : -2]), fetched[-1])
        if self.silence is not None and self.silence.removed_at(fetched[-2], now):
            return None
        return self.stored(fetched, now)

    def stored(self, fetched: Sequence[Any], now: int = 0) -> Stored:
        """A row with its version, from what `selected` and `row_version` fetched, as it is shown at this time (ticks).

        What shows otherwise by the clock alone has another version, too.
        """
        version = int(fetched[-1])
        if self.silence is not None:
            version += self.silence.step_at(fetched[-2], now) * _STEP
        return Stored(self.row(fetched[:-1], now), version)

    def row(self, fetched: Sequence[Any], now: int = 0) -> Row:
        """A row as it goes on the wire, from what `selected` fetched, as it is shown at this time (ticks)."""
        values: list[object] = list(fetched)
        if self.silence is not None:
            since = values.pop()
            values[self._silent_at] = self.silence.value_at(fetched[self._silent_at], since, now)  # type: ignore[arg-type]
        for at, names in self._enums:
            values[at] = names.get(values[at])  # type: ignore[call-overload]
        for at in self._booleans:
            values[at] = None if values[at] is None else bool(values[at])
        for at in self._documents:
            values[at] = None if values[at] is None else msgspec.Raw(str(values[at]).encode())
        return tuple(values)  # type: ignore[arg-type]


def columns(declared: Property) -> tuple[Column, ...]:
    """The columns of one property, the one that a row shows first."""
    name = snake(declared.name)
    if not declared.scalar:
        return (Column(name, "text"),)
    if isinstance(declared.type, EnumType):
        return (Column(name, "integer"),)
    if declared.type is Primitive.DATE_TIME_OFFSET:
        return (Column(name, "text"), Column(f"{name}_ticks", "ticks"))
    if declared.type is Primitive.BOOLEAN:
        return (Column(name, "boolean"),)
    if declared.type is Primitive.INT32:
        return (Column(name, "integer"),)
    if declared.type is Primitive.INT64:
        return (Column(name, "ticks"),)
    if _folds(declared):
        return (Column(name, "text"), Column(f"{name}_folded", "text"))
    return (Column(name, "text"),)


def sort_column(declared: Property) -> str:
    """The column by which a property is compared and ordered."""
    return columns(declared)[-1].name


def _folds(declared: Property) -> bool:
    return declared.comparable and declared.type is Primitive.STRING and not declared.guid


def stored(declared: Property, value: Value) -> tuple[object, ...]:
    """A value as its columns hold it, one for each of `columns(declared)`."""
    return _holder(declared)(value)


_Hold: TypeAlias = Callable[[Value], tuple[object, ...]]


@cache
def _holder(declared: Property) -> _Hold:
    """What does that for one property, chosen once."""
    if not declared.scalar:
        return lambda value: (None if value is None else msgspec.json.encode(value).decode(),)
    if isinstance(declared.type, EnumType):
        members = declared.type.members
        return lambda value: (None if value is None else members[str(value)],)
    if declared.type is Primitive.DATE_TIME_OFFSET:
        return lambda value: (str(value), value.ticks) if isinstance(value, Instant) else (None, None)
    if _folds(declared):
        return lambda value: (value, fold(value) if isinstance(value, str) else None)
    return _as_it_is


def _shower(declared: Property) -> Callable[[Any], Wire] | None:
    """What makes what is shown of the first column of a property, where that is not the value itself."""
    if declared.secret:
        return lambda _: None
    if not declared.scalar:
        return lambda text: None if text is None else msgspec.Raw(text.encode())
    if declared.type is Primitive.DATE_TIME_OFFSET:
        return lambda text: text
    return None


def _as_it_is(value: Value) -> tuple[object, ...]:
    return (value,)
