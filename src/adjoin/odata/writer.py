"""Entities, collections, single values and errors as OData JSON, from rows to bytes.

A row is a tuple in the order of its type's properties. For each combination of type, selection and detail a msgspec
struct is made once; encoding rows of such structs costs a quarter of encoding dicts (performance.md section 3).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import starmap
from typing import Any, Final, cast

import msgspec

from adjoin.odata import held
from adjoin.odata.edm import ComplexType, EntityType, Property
from adjoin.odata.headers import Detail
from adjoin.odata.path import Resource
from adjoin.odata.written import Written

Row = Sequence[str | int | bool | msgspec.Raw | None]

_ENCODER: Final = msgspec.json.Encoder()


class Place(msgspec.Struct, frozen=True):
    """Where an answer hangs: the service root as the caller wrote it, and the resource asked for."""

    root: str
    resource: Resource

    def context(self, select: tuple[str, ...] = (), suffix: str = "") -> str:
        """The context URL (OData JSON 4.01 section 4.6.1; Graph's form, graph-contract 3.6)."""
        return _context(self.root, self.resource.trail, select, suffix)

    def entity_url(self, key: str) -> str:
        """The canonical URL of an entity of the collection at hand."""
        return f"{self.root}/{'/'.join(self.resource.trail)}/{key}"


@lru_cache(maxsize=512)
def _context(root: str, trail: tuple[str, ...], select: tuple[str, ...], suffix: str) -> str:
    chosen = f"({','.join(select)})" if select else ""
    return f"{root}/$metadata#{'/'.join(trail)}{chosen}{suffix}"


@dataclass(frozen=True, slots=True)
class Expanded:
    """A contained collection that is answered within its entity."""

    place: Place
    name: str
    rows: Sequence[Row]
    select: tuple[str, ...] = ()
    count: int | str | None = None
    next_link: str | None = None

    @property
    def context(self) -> str:
        return f"{self.name}({','.join(self.select)})"

    def members(self, detail: Detail) -> dict[str, object]:
        """Its members, annotations first (OData JSON 4.01 section 8.3)."""
        shape = _shape(self.place.resource.type, self.select, detail, False)
        members: dict[str, object] = {}
        if detail is not Detail.NONE:
            members[f"{self.name}@odata.context"] = self.place.context(self.select)
        if self.count is not None:
            members[f"{self.name}@odata.count"] = self.count
        if self.next_link is not None:
            members[f"{self.name}@odata.nextLink"] = self.next_link
        members[self.name] = shape.make_all(self.place, self.rows)
        return members


def entity(
    place: Place,
    row: Row,
    select: tuple[str, ...] = (),
    detail: Detail = Detail.MINIMAL,
    expanded: Sequence[Expanded] = (),
) -> bytes:
    """One entity. `select` names what to show by declared paths, `actor/userId`; none means all."""
    resource = place.resource
    shown = (*select, *(each.context for each in expanded)) if expanded else select
    suffix = "" if resource.navigation is None else "/$entity"
    leading = () if detail is Detail.NONE else (_context(place.root, resource.trail, shown, suffix),)
    whole = _shape(resource.type, select, detail, True).make(leading, place, row)
    if not expanded:
        return _ENCODER.encode(whole)
    members = msgspec.to_builtins(whole)
    for each in expanded:
        # What is told of a property stands right before it (OData JSON 4.01, payload ordering constraints).
        if (link := _navigation_link(each.name)) in members:
            members[link] = members.pop(link)
        members |= each.members(detail)
    return _ENCODER.encode(members)


def collection(
    place: Place,
    rows: Sequence[Row] | Written,
    select: tuple[str, ...] = (),
    detail: Detail = Detail.MINIMAL,
    count: int | str | None = None,
    next_link: str | None = None,
) -> bytes:
    """A collection, or a page of one; the link to the next page stands before the values, as Graph puts it.

    Rows that are written already are whole, and at minimal detail.
    """
    whole = _Collection(
        context=msgspec.UNSET if detail is Detail.NONE else place.context(select),
        count=msgspec.UNSET if count is None else count,
        next_link=msgspec.UNSET if next_link is None else next_link,
        value=[],
    )
    if isinstance(rows, Written):
        # The values come last, so that they are not copied once more for being put in their place.
        return b"%b%b]}" % (_ENCODER.encode(whole)[:-2], rows.text)
    whole.value = _shape(place.resource.type, select, detail, False).make_all(place, rows)
    return _ENCODER.encode(whole)


def delta(
    place: Place,
    rows: Sequence[Row | str],
    select: tuple[str, ...] = (),
    detail: Detail = Detail.MINIMAL,
    *,
    next_link: str | None = None,
    delta_link: str | None = None,
) -> bytes:
    """A page of changes: entities as they are now, and the keys of those that are no more (graph-contract 3.11)."""
    shape = _shape(place.resource.type, select, detail, False)
    members: dict[str, object] = {}
    if detail is not Detail.NONE:
        members["@odata.context"] = place.context(select, "/$delta")
    if next_link is not None:
        members["@odata.nextLink"] = next_link
    if delta_link is not None:
        members["@odata.deltaLink"] = delta_link
    key = place.resource.type.key.name
    members["value"] = [
        {key: each, "@removed": {"reason": "deleted"}} if isinstance(each, str) else shape.make([], place, each)
        for each in rows
    ]
    return _ENCODER.encode(members)


def single(place: Place, key: str | None, declared: Property, value: object, detail: Detail = Detail.MINIMAL) -> bytes:
    """The value of one property: a complex one is an object already, others are wrapped (OData JSON 4.01, 11)."""
    at = "/".join(place.resource.trail) + (f"('{key}')" if key is not None else "")
    members: dict[str, object] = {}
    if detail is not Detail.NONE:
        members["@odata.context"] = f"{place.root}/$metadata#{at}/{declared.name}"
    if detail is Detail.FULL and (annotation := held.annotation(declared)) is not None:
        members["@odata.type"] = annotation
    shown = held.show(declared, (), detail is Detail.FULL)
    value = value if shown is None else shown(value)
    if declared.collection or not isinstance(declared.type, ComplexType):
        members["value"] = value
        return _ENCODER.encode(members)
    whole = msgspec.json.decode(value) if isinstance(value, msgspec.Raw) else value
    return _ENCODER.encode(members | cast("dict[str, object]", whole))


def error(
    code: str,
    message: str,
    date: str,
    request_id: str,
    client_request_id: str,
    more: Sequence[str] = (),
    repeat: bool = False,
) -> bytes:
    """Graph's error body (graph-contract 3.1).

    `date` is UTC to the second without a zone; `more` are sentences for `details`; `repeat` puts the message into
    innerError too, as ModelValidationFailure has it.
    """
    inner: dict[str, str] = {"message": message} if repeat else {}
    inner |= {"date": date, "request-id": request_id, "client-request-id": client_request_id}
    body: dict[str, object] = {"code": code, "message": message}
    if more:
        body["details"] = [{"code": code, "message": sentence} for sentence in more]
    body["innerError"] = inner
    return _ENCODER.encode({"error": body})


class _Collection(msgspec.Struct, kw_only=True):
    context: str | msgspec.UnsetType = msgspec.field(name="@odata.context", default=msgspec.UNSET)
    count: int | str | msgspec.UnsetType = msgspec.field(name="@odata.count", default=msgspec.UNSET)
    next_link: str | msgspec.UnsetType = msgspec.field(name="@odata.nextLink", default=msgspec.UNSET)
    value: list[Any]


class _Shape:
    """How rows of one type are shown: the struct to fill, what goes before the properties, and which are shown."""

    def __init__(self, of: EntityType, select: tuple[str, ...], detail: Detail, leading: tuple[str, ...]) -> None:
        wanted = held.heads(select)
        self._at = [at for at, each in enumerate(of.properties) if not select or each.name in wanted]
        self._key_at = of.properties.index(of.key)
        self._whole = not select and detail is not Detail.FULL
        self._full = detail is Detail.FULL
        name = None if detail is Detail.NONE else f"#{of.qualified}"
        # Where it comes first, the type is the struct's tag, which costs nothing for each.
        self._tag = None if leading else name
        self._type = [name] if leading and name is not None else []
        shown = [of.properties[at] for at in self._at]
        self._annotated = [held.annotation(each) if self._full else None for each in shown]
        self._shows = [held.show(each, held.below(each.name, select), self._full) for each in shown]
        # A selection names no navigation property here, and so leaves their links out.
        self._navigations = [each.name for each in of.navigations] if self._full and not select else []
        links = [_navigation_link(each) for each in self._navigations]
        self._struct = _struct([*leading, *self._control_names(), *self._names(shown), *links], self._tag)

    def _control_names(self) -> list[str]:
        return [*(["@odata.type"] if self._type else []), *(["@odata.id", "@odata.editLink"] if self._full else [])]

    def _names(self, shown: list[Property]) -> list[str]:
        names = []
        for each, annotation in zip(shown, self._annotated, strict=True):
            names += [each.name] if annotation is None else [f"{each.name}@odata.type", each.name]
        return names

    def make_all(self, place: Place, rows: Sequence[Row]) -> list[msgspec.Struct]:
        """The structs of a collection's rows."""
        if self._whole:
            return list(starmap(self._struct, rows))
        return [self.make([], place, row) for row in rows]

    def make(self, leading: Sequence[Any], place: Place, row: Row) -> msgspec.Struct:
        if self._whole:
            return self._struct(*leading, *self._type, *row)
        links: tuple[str, ...] = self._links(place, str(row[self._key_at])) if self._full else ()
        values = [*leading, *self._type, *links]
        for at, annotation, show in zip(self._at, self._annotated, self._shows, strict=True):
            if annotation is not None:
                values.append(annotation)
            values.append(row[at] if show is None else show(row[at]))
        values += [f"{links[0]}/{each}" for each in self._navigations]
        return self._struct(*values)

    def _links(self, place: Place, key: str) -> tuple[str, str]:
        if place.resource.navigation is None:
            trail = "/".join(place.resource.trail)
            return f"{place.root}/{trail}", trail
        at = f"{'/'.join(place.resource.trail)}('{key}')"
        return f"{place.root}/{at}", at


def _navigation_link(name: str) -> str:
    return f"{name}@odata.navigationLink"


def _struct(names: list[str], tag: str | None) -> Callable[..., msgspec.Struct]:
    fields = [(f"f{number}", Any) for number in range(len(names))]
    rename = {f"f{number}": name for number, name in enumerate(names)}
    # None of them is part of a cycle, and the collector is spared a thousand objects for a page.
    return msgspec.defstruct("Shown", fields, rename=rename, tag_field=tag and "@odata.type", tag=tag, gc=False)


@lru_cache(maxsize=512)
def _shape(of: EntityType, select: tuple[str, ...], detail: Detail, with_context: bool) -> _Shape:
    leading = ("@odata.context",) if with_context and detail is not Detail.NONE else ()
    return _Shape(of, select, detail, leading)
