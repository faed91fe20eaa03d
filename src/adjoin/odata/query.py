"""From the query of a URL to one Query value, or to a refusal: no option is ever ignored.

Options come with or without `$` and in any case (odata.md M41.6, M41.7). What OData defines and this service does not
carry out is refused as NotServed; what it does not define, as UnknownOption; what has no meaning for the resource at
hand, as OptionNotAllowed. Names that are not system options are the caller's own and are passed over.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, TypeVar
from urllib.parse import unquote_to_bytes

from adjoin.odata.edm import EntityType
from adjoin.odata.errors import Malformed, NotServed, OptionNotAllowed, UnknownName, UnknownOption
from adjoin.odata.path import Kind
from adjoin.odata.values import unstorable

T = TypeVar("T")

MAX_LENGTH: Final = 16_384
MAX_OPTIONS: Final = 64
_MAX_NUMBER: Final = 2**53  # whole numbers that every JSON reader keeps (RFC 8259 section 6)

_BAD_ESCAPE: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
_NUMBER: Final = re.compile(r"[0-9]{1,16}")

# OData 4.01 part 1, 11.2; and what each kind of resource takes of it.
_SYSTEM: Final = frozenset(
    [
        "apply",
        "compute",
        "count",
        "deltatoken",
        "expand",
        "filter",
        "format",
        "id",
        "index",
        "levels",
        "orderby",
        "schemaversion",
        "search",
        "select",
        "skip",
        "skiptoken",
        "top",
    ]
)
_TAKEN: Final[Mapping[Kind, frozenset[str]]] = {
    Kind.SERVICE: frozenset({"format"}),
    Kind.METADATA: frozenset({"format"}),
    Kind.SINGLETON: frozenset({"select", "expand", "format", "compute"}),
    Kind.COLLECTION: frozenset(
        [
            "apply",
            "compute",
            "count",
            "deltatoken",
            "expand",
            "filter",
            "format",
            "index",
            "orderby",
            "search",
            "select",
            "skip",
            "skiptoken",
            "top",
        ]
    ),
    Kind.COUNT: frozenset({"filter", "search", "apply"}),
    Kind.ENTITY: frozenset({"select", "expand", "format", "compute"}),
    Kind.PROPERTY: frozenset({"format"}),
    Kind.VALUE: frozenset({"format"}),
}
_NOT_SERVED: Final = frozenset(
    [
        "apply",
        "compute",
        "deltatoken",
        "expand",
        "filter",
        "id",
        "index",
        "levels",
        "orderby",
        "schemaversion",
        "search",
    ]
)


@dataclass(frozen=True, slots=True)
class Query:
    """What a URL asks of a resource. `select` holds declared names; `token` is the $skiptoken as it came."""

    select: tuple[str, ...] = ()
    top: int | None = None
    skip: int = 0
    count: bool = False
    format: str | None = None
    token: str | None = None


def options(raw: str) -> list[tuple[str, str]]:
    """The options of a query that is still percent-encoded, decoded, in their order.

    Split first, decode after (URL Conventions section 2); `+` stands for a space, as clients write it.
    """
    if len(raw) > MAX_LENGTH:
        raise Malformed(f"The query is longer than {MAX_LENGTH} characters.")
    parts = [part for part in raw.split("&") if part]
    if len(parts) > MAX_OPTIONS:
        raise Malformed(f"The query has more than {MAX_OPTIONS} options.")
    found = []
    for part in parts:
        name, _, value = part.partition("=")
        found.append((_decode(name), _decode(value)))
    return found


def _decode(text: str) -> str:
    if _BAD_ESCAPE.search(text):
        raise Malformed("The query holds a '%' that is not followed by two hexadecimal digits.")
    try:
        decoded = unquote_to_bytes(text.replace("+", " ")).decode("utf-8")
    except UnicodeDecodeError:
        raise Malformed("The query is not valid UTF-8.") from None
    if fault := unstorable(decoded):
        raise Malformed(f"The query is not valid: {fault}.")
    return decoded


def system_options(given: list[tuple[str, str]]) -> dict[str, str]:
    """The system options among `given`, by their names in small letters without `$`."""
    found: dict[str, str] = {}
    for written, value in given:
        name = written.strip().lower()
        if name.startswith("$"):
            name = name[1:]
            if name not in _SYSTEM:
                raise UnknownOption(f"The query option '{written}' is unknown.")
        if name not in _SYSTEM:
            continue
        if name in found:
            raise Malformed(f"The query option '${name}' is given twice.")
        found[name] = value
    return found


def check_no_options(raw: str) -> None:
    """Refuse every system option: those of a change have no meaning here. Raises OptionNotAllowed."""
    for name in system_options(options(raw)):
        _refuse(name)


def parse(raw: str, kind: Kind, entity: EntityType | None) -> Query:
    """The query of a GET on a resource of this kind. `entity` is what `$select` names properties of."""
    if not raw:
        return Query()
    found = system_options(options(raw))
    for name in found:
        if name not in _TAKEN.get(kind, frozenset()):
            _refuse(name)
        if name in _NOT_SERVED:
            raise NotServed(f"The query option '${name}' is not served yet.")
    return Query(
        select=_select(found["select"], entity) if "select" in found and entity is not None else (),
        top=_read("top", found, _whole_number),
        skip=_read("skip", found, _whole_number) or 0,
        count=_read("count", found, _boolean) or False,
        format=found.get("format"),
        token=found.get("skiptoken"),
    )


def _read(name: str, found: Mapping[str, str], read: Callable[[str, str], T]) -> T | None:
    return read(name, found[name]) if name in found else None


def _refuse(name: str) -> None:
    # Graph names the option as ASP.NET spells it: 'Filter', 'OrderBy' (graph-contract 3.2).
    shown = {"orderby": "OrderBy", "skiptoken": "SkipToken", "deltatoken": "DeltaToken"}.get(name, name.capitalize())
    raise OptionNotAllowed(
        f"The query specified in the URI is not valid. Query option '{shown}' is not allowed. To allow it, set the "
        "'AllowedQueryOptions' property on EnableQueryAttribute or QueryValidationSettings."
    )


def _whole_number(name: str, text: str) -> int:
    if not _NUMBER.fullmatch(text.strip()) or int(text) > _MAX_NUMBER:
        raise Malformed(f"Invalid value '{text[:64]}' for ${name} query option found. A whole number is expected.")
    return int(text)


def _boolean(name: str, text: str) -> bool:
    folded = text.strip().lower()
    if folded not in ("true", "false"):
        raise Malformed(f"Invalid value '{text[:64]}' for ${name} query option found. It is true or false.")
    return folded == "true"


def _select(text: str, entity: EntityType) -> tuple[str, ...]:
    """The declared names of the selected properties, in declared order; none for `*`."""
    chosen: set[str] = set()
    everything = False
    for item in (part.strip() for part in text.split(",")):
        if not item:
            raise Malformed("An item of $select is empty.")
        if item == "*":
            everything = True
        elif declared := entity.find_property(item):
            chosen.add(declared.name)
        else:
            raise UnknownName(f"Could not find a property named '{item[:128]}' on type '{entity.qualified}'.")
    if everything:
        return ()
    return tuple(each.name for each in entity.properties if each.name in chosen)
