"""From the path of a URL to the resource it names in a model.

Both key forms are read, `/{id}` and `('{id}')`; names match without regard to case and come back as declared;
empty segments are passed over, since some clients double a slash (clients.md items 3 and 7).
"""

from __future__ import annotations

import re
from enum import Enum
from functools import lru_cache
from typing import Final
from urllib.parse import unquote_to_bytes

import msgspec
from msgspec.structs import replace

from adjoin.odata.edm import EntityType, Function, Model, Navigation, Property, Singleton
from adjoin.odata.errors import Malformed, NotServed, ProtocolRefusal, UnknownSegment
from adjoin.odata.values import unstorable

MAX_SEGMENTS: Final = 32
MAX_SEGMENT_LENGTH: Final = 1_024

_KEY_IN_PARENTHESES: Final = re.compile(r"([^()]+)\((.*)\)", re.DOTALL)
_STRING_LITERAL: Final = re.compile(r"'((?:[^']|'')*)'", re.DOTALL)
# What is the same decoded, as nearly every segment and nearly every path is.
_PLAIN: Final = re.compile(r"[A-Za-z0-9$._~-]*")
_PLAIN_PATH: Final = re.compile(r"(?:/[A-Za-z0-9$._~-]{1,1024}){1,32}")
_KEY: Final = re.compile(r"[0-9A-Fa-f]{8}-(?:[0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12}")
# What URL Conventions 4 has besides, and is not carried out here.
_NOT_SERVED: Final = re.compile(
    r"\$(?:all|each|entity|query|ref|crossjoin\(.*\)|filter\(.*\))", re.DOTALL | re.IGNORECASE
)
_BAD_ESCAPE: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")


class Kind(Enum):
    """What a path names; the value is its part of a route template as Graph's messages show it."""

    SERVICE = ""
    METADATA = "$metadata"
    BATCH = "$batch"
    SINGLETON = "singleton"
    COLLECTION = "navigation"
    COUNT = "navigation/$count"
    FUNCTION = "navigation/function"
    ENTITY = "navigation/key"
    ACTION = "navigation/key/action"
    PROPERTY = "property"
    VALUE = "property/$value"

    # Of each there is one, so identity tells them apart; Enum's own hash is a call into Python.
    __hash__ = object.__hash__


class Resource(msgspec.Struct, frozen=True):
    """What a path names.

    `trail` holds the declared names that lead to it, without keys; `key` is as the caller wrote it, decoded;
    `declared` is the property at hand, `function` what is called on the collection. `root` is None below an entity set.
    """

    kind: Kind
    trail: tuple[str, ...] = ()
    root: Singleton | None = None
    navigation: Navigation | None = None
    key: str | None = None
    declared: Property | None = None
    function: Function | None = None

    @property
    def type(self) -> EntityType:
        """The entity type at hand; only where the path leads to, or into, entities."""
        if self.navigation is not None:
            return self.navigation.target
        if self.root is not None:
            return self.root.type
        raise LookupError(f"{self.kind} has no entity type")

    @property
    def template(self) -> str:
        """The route template, as Graph's "no route" message shows it: `~/singleton/navigation/key`."""
        parts = ["~"]
        if self.root is not None:
            parts.append("singleton")
        if self.navigation is not None:
            parts.append("entityset" if self.root is None else "navigation")
            parts += ["key"] if self.key is not None else []
        if self.kind in (Kind.PROPERTY, Kind.VALUE):
            parts.append(self.kind.value)
        elif self.kind is Kind.COUNT:
            parts += ["property", "$count"] if self.declared is not None else ["$count"]
        elif self.kind is Kind.FUNCTION:
            parts.append("function")
        elif self.kind is Kind.ACTION:
            parts.append("action")
        elif len(parts) == 1:
            parts.append(self.kind.value)
        return "/".join(parts)


def segments(raw_path: str) -> tuple[str, ...]:
    """The decoded, non-empty segments of a path that is still percent-encoded.

    They are split before they are decoded, so that `%2F` stays inside its segment (URL Conventions section 2).
    """
    if _PLAIN_PATH.fullmatch(raw_path):
        return tuple(raw_path[1:].split("/"))
    parts = tuple(part for part in raw_path.split("/") if part)
    if len(parts) > MAX_SEGMENTS:
        raise Malformed(f"The path has more than {MAX_SEGMENTS} segments.")
    return tuple(_decode(part) for part in parts)


def _decode(part: str) -> str:
    if len(part) > MAX_SEGMENT_LENGTH:
        raise Malformed(f"A path segment is longer than {MAX_SEGMENT_LENGTH} characters.")
    if _PLAIN.fullmatch(part):
        return part
    if _BAD_ESCAPE.search(part):
        raise Malformed("The path holds a '%' that is not followed by two hexadecimal digits.")
    try:
        text = unquote_to_bytes(part.encode("latin-1", "replace")).decode("utf-8")
    except UnicodeDecodeError:
        raise Malformed("The path is not valid UTF-8.") from None
    if fault := unstorable(text):
        raise Malformed(f"The path is not valid: {fault}.")
    return text


def parse(model: Model, parts: tuple[str, ...]) -> Resource:
    """The resource that these segments (below the version) name. Raises UnknownSegment or Malformed."""
    if len(parts) > 1 and _KEY.fullmatch(parts[-1]):
        at = _known(model, parts[:-1])
        if at.kind is Kind.COLLECTION:
            return Resource(Kind.ENTITY, at.trail, at.root, at.navigation, parts[-1])
    return _known(model, parts)


# Paths are many by their keys alone: what leads to a collection is read once.
@lru_cache(maxsize=128)
def _known(model: Model, parts: tuple[str, ...]) -> Resource:
    if not parts:
        return Resource(Kind.SERVICE)
    first, *rest = parts
    folded = first.lower()
    if folded in ("$metadata", "$batch"):
        _end(rest)
        return Resource(Kind.METADATA if folded == "$metadata" else Kind.BATCH)
    root = model.find_singleton(first)
    if root is not None:
        return _below_entity(model, Resource(Kind.SINGLETON, (root.name,), root), rest)
    entity_set = model.find_entity_set(first.partition("(")[0])
    if entity_set is None:
        raise _unknown(first)
    at = Resource(Kind.COLLECTION, (entity_set.name,), None, entity_set)
    return _collection(model, at, _split_key(first)[1], rest)


def _collection(model: Model, at: Resource, key: str | None, rest: list[str]) -> Resource:
    """What is named below a collection, or below the entity of it with this key."""
    if key is None:
        return _below_collection(model, at, rest)
    return _below_entity(model, replace(at, kind=Kind.ENTITY, key=key), rest)


def _below_entity(model: Model, at: Resource, rest: list[str]) -> Resource:
    if not rest:
        return at
    segment, *more = rest
    if _is_cast(model, at.type, segment):
        return _below_entity(model, at, more)
    if declared := at.type.find_property(segment):
        return _below_property(replace(at, kind=Kind.PROPERTY, declared=declared), more)
    if model.find_action(segment, at.type):
        _end(more)
        return replace(at, kind=Kind.ACTION)
    if at.navigation is None:
        name, key = _split_key(segment)
        if navigation := at.type.find_navigation(name):
            trail = (*at.trail, navigation.name)
            return _collection(model, Resource(Kind.COLLECTION, trail, at.root, navigation), key, more)
    raise _unknown(segment)


def _below_collection(model: Model, at: Resource, rest: list[str]) -> Resource:
    if not rest:
        return at
    segment, *more = rest
    if segment.lower() == "$count":
        _end(more)
        return replace(at, kind=Kind.COUNT)
    if _is_cast(model, at.type, segment):
        return _below_collection(model, at, more)
    # OData 4.01 part 2, 4.5: parentheses may be left out of a call without parameters, and so may a default namespace.
    if function := model.find_function(segment.removesuffix("()"), at.type):
        _end(more)
        return replace(at, kind=Kind.FUNCTION, function=function)
    if segment.startswith("$") or "(" in segment:
        raise _unknown(segment)
    return _below_entity(model, Resource(Kind.ENTITY, at.trail, at.root, at.navigation, segment), more)


def _below_property(at: Resource, rest: list[str]) -> Resource:
    if not rest:
        return at
    segment, *more = rest
    folded = segment.lower()
    if at.declared is not None and not at.declared.scalar and folded not in ("$value", "$count"):
        # A member, a type or an ordinal (URL Conventions 4.6, 4.8, 4.11).
        raise NotServed(f"The segment '{segment[:64]}' is not served: no path leads into a value.")
    counts = folded == "$count" and at.declared is not None and at.declared.collection
    if folded != "$value" and not counts:
        raise _unknown(segment)
    _end(more)
    return replace(at, kind=Kind.COUNT if counts else Kind.VALUE)


def _split_key(segment: str) -> tuple[str, str | None]:
    """A segment's name and, where it has one, its key: `name('it''s')` → `name`, `it's`."""
    match = _KEY_IN_PARENTHESES.fullmatch(segment)
    if match is None:
        return segment, None
    name, inner = match.groups()
    if inner.lower().startswith("id="):
        inner = inner[3:]
    if inner.startswith("@"):
        raise NotServed("A parameter alias as a key is not served.")
    literal = _STRING_LITERAL.fullmatch(inner)
    if literal is None:
        raise Malformed(f"The key in '{segment}' is not a string in single quotes.", len(name) + 1)
    return name, literal.group(1).replace("''", "'")


def _is_cast(model: Model, entity: EntityType, segment: str) -> bool:
    """Whether a segment casts to the type that is there already (or to one it derives from)."""
    named = model.find_type(segment) if "." in segment else None
    return isinstance(named, EntityType) and any(named is each for each in entity.ancestry())


def _unknown(segment: str) -> ProtocolRefusal:
    if _NOT_SERVED.fullmatch(segment):
        return NotServed(f"The segment '{segment[:64]}' is not served.")
    return UnknownSegment(segment)


def _end(rest: list[str]) -> None:
    if rest:
        raise UnknownSegment(rest[0])
