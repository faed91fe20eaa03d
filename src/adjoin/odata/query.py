"""From the query of a URL to one Query value, or to a refusal: no option is ever ignored.

Options come with or without `$` and in any case (odata.md M41.6, M41.7). What OData defines and this service does not
carry out is refused as NotServed; what it does not define, as UnknownOption; what has no meaning for the resource at
hand, as OptionNotAllowed. Names that are not system options are the caller's own and are passed over.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, TypeVar
from urllib.parse import quote, unquote, unquote_to_bytes

from adjoin.odata.binding import Surroundings, bind_filter, bind_order
from adjoin.odata.bound import Bound, Operation, Order, Sort
from adjoin.odata.edm import EntityType, Model, Navigation
from adjoin.odata.errors import Malformed, NotServed, OptionNotAllowed, UnknownName, UnknownOption
from adjoin.odata.path import Kind
from adjoin.odata.search import bind_search
from adjoin.odata.selection import bind_select
from adjoin.odata.splitting import split
from adjoin.odata.values import Instant, unstorable

T = TypeVar("T")

MAX_LENGTH: Final = 32_768
MAX_OPTIONS: Final = 64
_MAX_KNOWN: Final = 2_048  # characters of a query whose meaning is kept
_MAX_NUMBER: Final = 2**31 - 1  # Edm.Int32, the type of $top and $skip

_BAD_ESCAPE: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
_PHRASE: Final = re.compile(r'("|%22).*?("|%22)')
_NUMBER: Final = re.compile(r"[0-9]{1,16}")

# OData 4.01 part 1, 11.2.
_SYSTEM: Final = frozenset(
    {
        *("apply", "compute", "count", "deltatoken", "expand", "filter", "format", "id", "index", "levels"),
        *("orderby", "schemaversion", "search", "select", "skip", "skiptoken", "top"),
    }
)
_NOT_SERVED: Final = frozenset({"apply", "compute", "deltatoken", "id", "index", "levels", "schemaversion"})
_LIST: Final = frozenset(
    {*("count", "expand", "filter", "format", "orderby", "search", "select", "skip", "skiptoken", "top")}
    | {"apply", "compute", "deltatoken", "index", "schemaversion"}
)
_ENTITY: Final = frozenset({"select", "expand", "format", "compute", "schemaversion"})
_FORMAT: Final = frozenset({"format", "schemaversion"})
# Which options each kind of resource takes.
_TAKEN: Final[Mapping[Kind, frozenset[str]]] = {
    Kind.SERVICE: _FORMAT,
    Kind.METADATA: _FORMAT,
    Kind.SINGLETON: _ENTITY,
    Kind.COLLECTION: _LIST,
    # What else a delta query asks for was fixed at its first call (graph-contract 3.11).
    Kind.FUNCTION: frozenset({"deltatoken", "format", "select", "skiptoken", "top"}),
    Kind.COUNT: frozenset({"filter", "search", "apply"}),
    # ABNF batchOption.
    Kind.BATCH: frozenset({"format"}),
    Kind.ENTITY: _ENTITY,
    Kind.PROPERTY: _FORMAT,
    Kind.VALUE: _FORMAT,
}
_EXPANDED: Final = frozenset(
    {"compute", "count", "expand", "filter", "levels", "orderby", "search", "select", "skip", "top"}
)


@dataclass(frozen=True, slots=True)
class Query:
    """What a URL asks of a resource.

    `where` joins `$filter` and `$search`; `select` holds declared paths in declared order, none for all
    (`selection.py`); `token` and `delta_token` are $skiptoken and $deltatoken as they came; `fingerprint` tells queries
    apart whose pages must not be mixed.
    """

    where: Bound | None = None
    order: tuple[Order, ...] = ()
    select: tuple[str, ...] = ()
    top: int | None = None
    skip: int = 0
    count: bool = False
    format: str | None = None
    token: str | None = None
    delta_token: str | None = None
    fingerprint: str = ""
    expand: tuple[Expansion, ...] = ()


_NOTHING: Final = Query()


@dataclass(frozen=True, slots=True)
class Expansion:
    """A navigation property to answer along with its entity; `options` are its query as a URL of its own has it."""

    navigation: Navigation
    query: Query
    options: str = ""


@dataclass(frozen=True, slots=True)
class Given:
    """The options of one URL: system options by their names in small letters without `$`, and parameter aliases."""

    system: Mapping[str, str]
    aliases: Mapping[str, str] = field(default_factory=dict)


def given(raw: str) -> Given:
    """The options of a query that is still percent-encoded. Raises Malformed or UnknownOption.

    Split first, decode after (URL Conventions section 2); `+` stands for a space, as clients write it.
    """
    if len(raw) > MAX_LENGTH:
        raise Malformed(f"The query is longer than {MAX_LENGTH} characters.")
    if "#" in raw:
        raise Malformed("A '#' begins a fragment, which is no part of a query; as a sign it is written %23.")
    parts = [part for part in raw.split("&") if part]
    if len(parts) > MAX_OPTIONS:
        raise Malformed(f"The query has more than {MAX_OPTIONS} options.")
    system: dict[str, str] = {}
    aliases: dict[str, str] = {}
    for part in parts:
        name, _, text = part.partition("=")
        written = _decode(name)
        if _system_name(written) == "search" and ";" in _PHRASE.sub("", text):
            raise Malformed("A ';' in a word of $search is written %3B.")
        _sort(written, _decode(text), system, aliases)
    return Given(system, aliases)


def _sort(written: str, text: str, system: dict[str, str], aliases: dict[str, str]) -> None:
    if written.startswith("@"):
        if written in aliases:
            raise Malformed(f"The parameter alias '{written[:64]}' is given twice.")
        aliases[written] = text
        return
    name = _system_name(written)
    if name is None:
        return
    if name in system:
        raise Malformed(f"The query option '${name}' is given twice.")
    if text != text.lstrip() or not text:
        raise Malformed(f"The value of the query option '${name}' begins with a blank, or is missing.")
    system[name] = text


def _system_name(written: str) -> str | None:
    """The name of a system option, or None for one of the caller's own. Raises UnknownOption."""
    name = written.strip().lower()
    if name != written.lower() and name.removeprefix("$") in _SYSTEM:
        raise UnknownOption(f"The query option '{written[:64]}' has blanks about its name.")
    if name.startswith("$") and name[1:] not in _SYSTEM:
        raise UnknownOption(f"The query option '{written[:64]}' is unknown.")
    name = name.removeprefix("$")
    return name if name in _SYSTEM else None


def _decode(text: str) -> str:
    if _BAD_ESCAPE.search(text):
        raise Malformed("The query holds a '%' that is not followed by two hexadecimal digits.")
    try:
        decoded = unquote_to_bytes(text.replace("+", " ").encode("latin-1", "replace")).decode("utf-8")
    except UnicodeDecodeError:
        raise Malformed("The query is not valid UTF-8.") from None
    if fault := unstorable(decoded):
        raise Malformed(f"The query is not valid: {fault}.")
    return decoded


def check_no_options(raw: str) -> None:
    """Refuse every system option: those of a change have no meaning here. Raises OptionNotAllowed."""
    if not raw:
        return
    for name in given(raw).system:
        _refuse(name)


def check_counts_all(raw: str) -> None:
    """Refuse every option of a count of one property's values. Raises NotServed or OptionNotAllowed."""
    for name in given(raw).system:
        if name in _TAKEN[Kind.COUNT]:
            raise NotServed(f"The query option '${name}' is not served where the values of a property are counted.")
        _refuse(name)


def parse(raw: str, kind: Kind, model: Model, entity: EntityType | None, now: Callable[[], Instant]) -> Query:
    """The query of a GET on a resource of this kind; names in it are those of `entity`."""
    if not raw:
        return _NOTHING
    # Only `now()` makes a query mean another thing at another time; an escape could hide it.
    if len(raw) <= _MAX_KNOWN and "now" not in (unquote(raw) if "%" in raw else raw).lower():
        return _known(raw, kind, model, entity)
    return _parse(raw, kind, model, entity, now())


@lru_cache(maxsize=256)
def _known(raw: str, kind: Kind, model: Model, entity: EntityType | None) -> Query:
    return _parse(raw, kind, model, entity, Instant(0))


def _parse(raw: str, kind: Kind, model: Model, entity: EntityType | None, now: Instant) -> Query:
    found = given(raw)
    around = Surroundings(model, entity, now, found.aliases) if entity is not None else None
    return _query(found.system, _TAKEN.get(kind, frozenset()), around)


def _query(found: Mapping[str, str], taken: frozenset[str], around: Surroundings | None) -> Query:
    for name in found:
        if name not in taken:
            _refuse(name)
        if name in _NOT_SERVED and not (name == "deltatoken" and taken is _TAKEN[Kind.FUNCTION]):
            raise NotServed(f"The query option '${name}' is not served.")
    if "skip" in found and "skiptoken" in found:
        # The links of this service never carry $skip: whoever adds it wants something that no page would do.
        raise Malformed("$skip and $skiptoken exclude each other: a link goes on behind the last row that was shown.")
    if around is None:
        return Query(format=found.get("format"))
    return Query(
        where=_where(found, around),
        order=_named("orderby", bind_order, found, around) if "orderby" in found else (),
        select=bind_select(found["select"], around.model, around.entity) if "select" in found else (),
        top=_whole_number("top", found),
        skip=_whole_number("skip", found) or 0,
        count=_boolean("count", found),
        format=found.get("format"),
        token=found.get("skiptoken"),
        delta_token=found.get("deltatoken"),
        fingerprint=_fingerprint(found, around.aliases),
        expand=_expand(found["expand"], around) if "expand" in found else (),
    )


def _refuse(name: str) -> None:
    # Graph names the option as ASP.NET spells it: 'Filter', 'OrderBy' (graph-contract 3.2).
    shown = {"orderby": "OrderBy", "skiptoken": "SkipToken", "deltatoken": "DeltaToken"}.get(name, name.capitalize())
    raise OptionNotAllowed(
        f"The query specified in the URI is not valid. Query option '{shown}' is not allowed. To allow it, set the "
        "'AllowedQueryOptions' property on EnableQueryAttribute or QueryValidationSettings."
    )


def _where(found: Mapping[str, str], around: Surroundings) -> Bound | None:
    parts = []
    if "filter" in found:
        parts.append(_named("filter", bind_filter, found, around))
    if "search" in found:
        if not any(each.searchable for each in around.entity.properties):
            _refuse("search")
        parts.append(bind_search(found["search"], around.entity))
    return Operation("and", Sort.BOOLEAN, tuple(parts)) if len(parts) == 2 else next(iter(parts), None)


def _named(name: str, bind: Callable[[str, Surroundings], T], found: Mapping[str, str], around: Surroundings) -> T:
    """An option bound, and named in what is said of its syntax."""
    try:
        return bind(found[name], around)
    except Malformed as refusal:
        raise Malformed(f"Invalid ${name} clause: {refusal.message}", refusal.position) from None


def _fingerprint(found: Mapping[str, str], aliases: Mapping[str, str]) -> str:
    telling = [found.get(name, "") for name in ("filter", "orderby", "search")]
    if not any(telling):
        return ""
    telling += [f"{name}={aliases[name]}" for name in sorted(aliases)]
    return hashlib.blake2s("\x00".join(telling).encode(), digest_size=8).hexdigest()


def _whole_number(name: str, found: Mapping[str, str]) -> int | None:
    if name not in found:
        return None
    text = found[name].strip()
    if not _NUMBER.fullmatch(text) or int(text) > _MAX_NUMBER:
        raise Malformed(
            f"Invalid value '{text[:64]}' for ${name} query option found. "
            f"A whole number from 0 to {_MAX_NUMBER} is expected."
        )
    return int(text)


def _boolean(name: str, found: Mapping[str, str]) -> bool:
    text = found.get(name, "false").strip()
    if text.lower() not in ("true", "false"):
        raise Malformed(f"Invalid value '{text[:64]}' for ${name} query option found. It is true or false.")
    return text.lower() == "true"


def _expand(text: str, around: Surroundings) -> tuple[Expansion, ...]:
    entity = around.entity
    items: list[Expansion] = []
    for item in split(text, ",", "$expand"):
        name, parenthesis, rest = item.strip().partition("(")
        nested = rest.removesuffix(")") if parenthesis else ""
        if parenthesis and not rest.endswith(")"):
            raise Malformed("A parenthesis in $expand is not closed.")
        name, slash, more = name.partition("/")
        navigation = entity.find_navigation(name.strip())
        if slash and (navigation is not None or name.strip() == "*"):
            raise NotServed(f"'/{more[:128]}' in $expand is not served.")
        if name.strip() == "*" and entity.navigations and not nested:
            items += [Expansion(each, Query()) for each in entity.navigations]
        elif navigation is None:
            raise UnknownName(f"Could not find a property named '{name[:128]}' on type '{entity.qualified}'.")
        else:
            nested_query = _nested(nested, navigation, around)
            items.append(Expansion(navigation, nested_query, _as_options(nested, around.aliases)))
    if len({each.navigation.name for each in items}) < len(items):
        raise Malformed("A property is named twice in $expand.")
    return tuple(items)


def _nested(text: str, navigation: Navigation, around: Surroundings) -> Query:
    system: dict[str, str] = {}
    for part in split(text, ";", "$expand") if text.strip() else []:
        name, _, nested = part.strip().partition("=")
        if _system_name(name) is None:
            raise UnknownOption(f"The query option '{name[:64]}' is unknown inside $expand.")
        _sort(name, nested, system, {})
    below = Surroundings(around.model, navigation.target, around.now, around.aliases)
    return _query(system, _EXPANDED, below)


def _as_options(nested: str, aliases: Mapping[str, str]) -> str:
    """The nested options of an expansion, and the aliases they may use, as the query of a URL of their own."""
    named = [part.strip().partition("=") for part in split(nested, ";", "$expand") if part.strip()]
    pairs = [(name, value) for name, _, value in named] + list(aliases.items())
    return "&".join(f"{quote(name, safe='$@')}={quote(value)}" for name, value in pairs)
