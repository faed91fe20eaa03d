"""What `$select` names, as paths in declared order: `displayName`, or `actor/userId` for a part of a complex value.

Both forms of OData 4.01 lead to the same paths, `actor/userId` and `actor($select=userId)` (part 1, 11.2.5.1; URL
Conventions 5.1.3), and so does a cast on the way to the type that is there already. A path is what the context URL
shows too (OData JSON 4.01 section 10.8).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from adjoin.odata.edm import ComplexType, EntityType, Model, Property
from adjoin.odata.errors import Malformed, NotServed, UnknownName, UnknownOption
from adjoin.odata.splitting import split

MAX_SELECTED: Final = 64
# What OData 4.01 part 2, 5.1.3, lets an item of $select carry; the first is carried out here.
_OPTIONS: Final = frozenset({"select", "filter", "search", "count", "orderby", "skip", "top", "compute", "expand"})


@dataclass(slots=True)
class _Part:
    """What is selected of a value: all of it, or its members named here."""

    whole: bool = False
    members: dict[str, _Part] = field(default_factory=dict)

    def paths(self, of: EntityType | ComplexType) -> Iterator[str]:
        """The selected paths; none where all is selected."""
        if self._all(of):
            return
        for each in of.properties:
            if part := self.members.get(each.name):
                within = tuple(part.paths(each.type)) if isinstance(each.type, ComplexType) else ()
                yield from (f"{each.name}/{path}" for path in within) if within else (each.name,)

    def _all(self, of: EntityType | ComplexType) -> bool:
        found = ((each, self.members.get(each.name)) for each in of.properties)
        return self.whole or all(
            part is not None and (not isinstance(each.type, ComplexType) or part._all(each.type))
            for each, part in found
        )


def bind_select(text: str, model: Model, entity: EntityType) -> tuple[str, ...]:
    """The selected paths, none for all, and behind them the selected navigation properties.

    Raises Malformed, UnknownName, UnknownOption, or NotServed for what OData has and this service has not.
    """
    reader = _Reader(model)
    chosen = _Part()
    related: dict[str, None] = {}
    for item in reader.items(text):
        if navigation := entity.find_navigation(item):
            related[navigation.name] = None
        else:
            reader.take(item, item, entity, chosen)
    paths = tuple(chosen.paths(entity))
    if not paths and not chosen.members and not chosen.whole:
        return tuple(related)
    return (*paths, *related) if paths else ()


@dataclass(slots=True)
class _Reader:
    model: Model
    count: int = 0

    def items(self, text: str) -> list[str]:
        found = [part.strip() for part in split(text, ",", "$select")]
        self.count += len(found)
        if self.count > MAX_SELECTED:
            raise Malformed(f"$select names more than {MAX_SELECTED} properties.")
        if not all(found):
            raise Malformed("An item of $select is empty.")
        return found

    def take(self, item: str, path: str, of: EntityType | ComplexType, into: _Part) -> None:
        """Add what `path` names of a value of the type `of`; `item` is the whole of what was written."""
        path = self._without_casts(path, of)
        if path == "*":
            into.whole = True
            return
        head, parenthesis, options = path.partition("(")
        name, slash, _ = head.partition("/")
        declared = of.find_property(name)
        if declared is None:
            raise _unknown(item, of)
        if slash:
            self.take(item, path.partition("/")[2], _complex(declared, item, of), self._part(declared, into))
        elif parenthesis:
            self._nested(options, declared, item, of, self._part(declared, into))
        else:
            self._part(declared, into).whole = True

    def _part(self, declared: Property, into: _Part) -> _Part:
        return into.members.setdefault(declared.name, _Part())

    def _nested(self, text: str, declared: Property, item: str, of: EntityType | ComplexType, into: _Part) -> None:
        below = _complex(declared, item, of)
        if not text.endswith(")"):
            raise Malformed(f"Something follows the parenthesis in '{item[:128]}' of $select.")
        given = set()
        for option in split(text[:-1], ";", "$select"):
            name, _, value = option.strip().partition("=")
            folded = name.lower().removeprefix("$")
            if folded not in _OPTIONS:
                raise UnknownOption(f"The query option '{name[:64]}' is unknown inside $select.")
            if folded != "select":
                raise NotServed(f"The query option '${folded}' is not served inside $select.")
            if folded in given:
                raise Malformed("The query option '$select' is given twice.")
            given.add(folded)
            for each in self.items(value):
                self.take(each, each, below, into)

    def _without_casts(self, path: str, of: EntityType | ComplexType) -> str:
        """The path behind casts to the type itself: `microsoft.graph.entity/id` is `id`."""
        own = tuple(of.ancestry()) if isinstance(of, EntityType) else (of,)
        while True:
            name, slash, rest = path.partition("/")
            named = self.model.find_type(name) if slash and "." in name else None
            if named is None or not any(named is each for each in own):
                return path
            path = rest


def _complex(declared: Property, item: str, of: EntityType | ComplexType) -> ComplexType:
    if not isinstance(declared.type, ComplexType):
        raise _unknown(item, of)
    return declared.type


def _unknown(item: str, of: EntityType | ComplexType) -> NotServed | UnknownName:
    last = item.rpartition("/")[2]
    if last.endswith(".*") or (last.startswith("@") and not last.startswith("@odata.")):
        return NotServed(f"'{item[:128]}' in $select is not served.")
    return UnknownName(f"Could not find a property named '{item[:128]}' on type '{of.qualified}'.")
