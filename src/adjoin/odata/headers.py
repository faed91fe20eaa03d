"""The request headers that OData gives a meaning: Accept, Prefer, OData-Version, OData-MaxVersion, Content-Type.

Everything that official clients send is understood; what asks for something that is not served is refused, never
ignored (odata.md M4.5). Names of headers and preferences count without regard to case and with or without `odata.`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from enum import Enum
from functools import lru_cache
from typing import Final, NamedTuple

from adjoin.odata.errors import (
    Malformed,
    NotAcceptable,
    PreconditionFailed,
    UnsupportedMediaType,
    UnsupportedVersion,
)


class Detail(Enum):
    """How much control information an answer carries (odata.metadata)."""

    NONE = "none"
    MINIMAL = "minimal"
    FULL = "full"

    # Of each there is one, so identity tells them apart; Enum's own hash is a call into Python.
    __hash__ = object.__hash__


class Return(Enum):
    """What a caller prefers to get back after a change."""

    MINIMAL = "minimal"
    REPRESENTATION = "representation"


@dataclass(frozen=True, slots=True)
class Preferences:
    """What Prefer asked for, as far as it is known here."""

    answer: Return | None = None
    max_page_size: int | None = None
    continue_on_error: bool = False


@dataclass(frozen=True, slots=True)
class MediaRange:
    """One entry of Accept: its type and the names of its parameters in small letters, and without `odata.`."""

    type: str
    parameters: tuple[tuple[str, str], ...]
    quality: float


class Form(NamedTuple):
    """How data are answered as JSON."""

    detail: Detail
    counts_as_text: bool
    """Whether counts, which are Edm.Int64, are strings (OData JSON 4.01 section 3.2)."""


# What clients mostly send for JSON; read once and for all.
_USUAL: Final = frozenset({"application/json", "*/*"})
# All that there are, the one first that is answered to whom it is all the same.
_FORMS: Final = tuple(
    Form(each, exact) for exact in (False, True) for each in (Detail.MINIMAL, Detail.FULL, Detail.NONE)
)
_QUALITY: Final = re.compile(r"[01](?:\.\d{0,3})?")
_JSON_CHARSETS: Final = ("utf-8", "utf8", "us-ascii")
# The ranges that take a type, by how closely they name it.
_JSON: Final = {"application/json": 2, "application/*": 1, "*/*": 0}
# Those that are answered with JSON where nothing else that they stand beside can be.
_JSON_AT_LAST: Final = {"text/plain": 2, "text/json": 2, "text/*": 1}
_TEXT: Final = {"text/plain": 2, "text/*": 1, "*/*": 0}
_TEXT_AT_LAST: Final = {"application/json": 2, "application/octet-stream": 2, "application/*": 1}
_XML: Final = {"application/xml": 2, "text/xml": 2, "application/*": 1, "text/*": 1, "*/*": 0}
_MULTIPART: Final = {"multipart/mixed": 2, "multipart/*": 1, "*/*": 0}
_FLAG: Final = ("true", "false")
_FORMAT_PARAMETERS: Final = {
    "metadata": tuple(each.value for each in Detail),
    "streaming": _FLAG,
    "ieee754compatible": _FLAG,
    "exponentialdecimals": _FLAG,
    "charset": _JSON_CHARSETS,
}
_SHORT_NAMES: Final = {"json": "application/json", "xml": "application/xml"}
_MAX_RANGES: Final = 32
_MAX_REQUEST_ID: Final = 128
_REQUEST_ID: Final = re.compile(rf"[!-~]{{1,{_MAX_REQUEST_ID}}}")


def media_ranges(accept: str) -> list[MediaRange]:
    """The entries of an Accept header in their order; malformed ones are left out."""
    ranges = []
    for entry in accept.split(",")[:_MAX_RANGES]:
        media_type, *parameters = (part.strip() for part in entry.split(";"))
        named = tuple((name.strip().lower(), value.strip().strip('"')) for name, _, value in _pairs(parameters))
        quality = next((value for name, value in named if name == "q"), "1")
        weight = float(quality) if _QUALITY.fullmatch(quality) else 1.0
        if media_type:
            told = tuple((name.removeprefix("odata."), value.lower()) for name, value in named if name != "q")
            ranges.append(MediaRange(media_type.lower(), told, weight))
    return ranges


def _pairs(parameters: list[str]) -> Iterator[tuple[str, str, str]]:
    return (part.partition("=") for part in parameters if part)


def json_form(accept: str | None, format_option: str | None = None) -> Form:
    """The form asked of a JSON answer by `$format`, which wins, or by Accept. Raises NotAcceptable.

    `text/plain` is let through at last, too: SDKs send it alone where Graph answers JSON (clients.md item 10).
    """
    if format_option is None and (not accept or accept in _USUAL):
        return _FORMS[0]
    return _form(None if format_option is not None else accept, format_option)


@lru_cache(maxsize=64)
def _form(accept: str | None, format_option: str | None) -> Form:
    ranges = _asked(accept, format_option)
    form = _best(ranges, _JSON)
    if form is None and format_option is None and not _rules_out(ranges, "application/json"):
        form = _best(ranges, _JSON_AT_LAST)
    if form is None:
        raise NotAcceptable("This resource is served as application/json, with odata.metadata none, minimal or full.")
    return form


def _best(ranges: list[MediaRange], names: Mapping[str, int]) -> Form | None:
    ranked = [(rank, form) for form in _FORMS if (rank := _rank(ranges, names, form)) is not None]
    return max(ranked, key=lambda each: each[0])[1] if ranked else None


def _rules_out(ranges: list[MediaRange], media_type: str) -> bool:
    """Whether these refuse the type in so many words, so that leniency would give a client what it cannot read."""
    return any(each.type == media_type and not each.parameters and not each.quality for each in ranges)


def _rank(ranges: list[MediaRange], names: Mapping[str, int], form: Form | None = None) -> tuple[float, int] | None:
    """How much what these ranges take is wanted, to be compared; None where it is not accepted.

    The range that names it most closely decides (RFC 9110 section 12.5.1); of two as close, and of two representations
    as much wanted, the one that comes first.
    """
    closest = max(
        (
            (names[each.type], len(each.parameters), -at, each.quality)
            for at, each in enumerate(ranges)
            if each.type in names and _takes(each, form)
        ),
        default=None,
    )
    if closest is None or not closest[3]:
        return None
    return closest[3], closest[2]


def _takes(media: MediaRange, form: Form | None) -> bool:
    if form is None or not media.parameters:
        return True
    own = {"metadata": form.detail.value, "ieee754compatible": "true" if form.counts_as_text else "false"}
    return all(own.get(name, value) == value for name, value in media.parameters)


def _asked(accept: str | None, format_option: str | None) -> list[MediaRange]:
    """What `$format`, which wins, or Accept names, as far as its parameters are obeyed. Raises NotAcceptable.

    `$format` is a media type or a short name of one, never a list or a range (OData 4.01 URL conventions, `$format`).
    """
    if format_option is None:
        return _obeyed(accept or "*/*")
    name, semicolon, rest = format_option.partition(";")
    media_type = _SHORT_NAMES.get(name.strip().lower(), name)
    if "," in format_option or "*" in media_type:
        raise NotAcceptable("$format names one media type.")
    return _obeyed(f"{media_type}{semicolon}{rest}")


def _obeyed(accept: str) -> list[MediaRange]:
    """The ranges without unknown format parameters, which are refused (OData 4.01 part 1, 8.2.1)."""
    return [
        each
        for each in media_ranges(accept)
        if all(value in _FORMAT_PARAMETERS.get(name, ()) for name, value in each.parameters)
    ]


def accepts_multipart(accept: str | None) -> bool:
    """Whether a multipart batch may be answered in its own form."""
    # Their parameters are those of multipart, such as `boundary`, and none of a format of OData.
    return _rank(media_ranges(accept or "*/*"), _MULTIPART) is not None


def prefers_csdl_json(accept: str | None, format_option: str | None = None) -> bool:
    """Whether `$metadata` is wanted as CSDL JSON; XML is for callers without an opinion. Raises NotAcceptable."""
    ranges = _asked(accept, format_option)
    as_json, as_xml = _rank(ranges, _JSON), _rank(ranges, _XML)
    if as_xml is None and as_json is None:
        if format_option is None and not _rules_out(ranges, "application/xml") and _rank(ranges, _TEXT) is not None:
            return False
        raise NotAcceptable("The metadata is served as application/xml and application/json.")
    return as_json is not None and (as_xml is None or as_json > as_xml)


def accepts_text(accept: str | None, format_option: str | None = None) -> bool:
    """Whether a plain value may be answered as text. Everything clients send for `$count` and `$value` passes.

    Raises NotAcceptable for a `$format` that is no media type.
    """
    ranges = _asked(accept, format_option)
    if _rank(ranges, _TEXT) is not None:
        return True
    return format_option is None and not _rules_out(ranges, "text/plain") and _rank(ranges, _TEXT_AT_LAST) is not None


def preferences(prefer: str | None) -> Preferences:
    """What Prefer asks for. Unknown preferences are ignored, as RFC 7240 section 2 has it."""
    if not prefer:
        return _NO_PREFERENCES
    answer: Return | None = None
    size: int | None = None
    goes_on = False
    for entry in prefer.split(","):
        name, _, value = entry.partition(";")[0].partition("=")
        name, value = name.strip().lower().removeprefix("odata."), value.strip().strip('"')
        if name == "return" and answer is None and value.lower() in ("minimal", "representation"):
            answer = Return(value.lower())
        elif name == "maxpagesize" and size is None and re.fullmatch(r"\d{1,9}", value) and int(value) > 0:
            size = int(value)
        elif name == "continue-on-error":
            goes_on = value.lower() in ("", "true")
    return Preferences(answer, size, goes_on)


@dataclass(frozen=True, slots=True)
class Conditions:
    """What If-Match and If-None-Match ask. Each is None, or the tags it names, `*` among them as it is.

    All tags here are weak, and are compared as such (RFC 9110 section 8.8.3.2).
    """

    match: frozenset[str] | None = None
    none_match: frozenset[str] | None = None

    def check(self, tag: str) -> None:
        """Refuse a change to what is there with this tag. Raises PreconditionFailed."""
        if self.match is not None and not self.match & {"*", tag}:
            raise PreconditionFailed("The ETag in If-Match is not that of the entity as it is now")
        if self.none_match is not None and self.none_match & {"*", tag}:
            raise PreconditionFailed("The entity is there with the ETag in If-None-Match")

    def unchanged(self, tag: str) -> bool:
        """Whether a reader has what is there already. Raises PreconditionFailed for one that insists on another."""
        if self.match is not None and not self.match & {"*", tag}:
            raise PreconditionFailed("The ETag in If-Match is not that of the entity as it is now")
        return self.none_match is not None and bool(self.none_match & {"*", tag})


_NO_PREFERENCES: Final = Preferences()
UNCONDITIONAL: Final = Conditions()
"""Those of a request that names none."""
_ENTITY_TAG: Final = re.compile(r'\s*(?:W/)?("[\x21\x23-\x7e\x80-\xff]*")\s*')


def conditions(if_match: str | None, if_none_match: str | None) -> Conditions:
    """The conditions of a request. Raises Malformed for what is no list of entity tags."""
    if if_match is None and if_none_match is None:
        return UNCONDITIONAL
    return Conditions(_entity_tags("If-Match", if_match), _entity_tags("If-None-Match", if_none_match))


class Wishes(NamedTuple):
    """What the headers of a request ask of its answer, whatever it is.

    Form and conditions are None where they have to be refused, which is for the operation to do in its turn.
    """

    form: Form | None
    conditions: Conditions | None
    preferences: Preferences


def wishes(given: Mapping[str, str]) -> Wishes:
    """The wishes of headers, by their names in small letters."""
    form, asked = None, None
    with suppress(NotAcceptable):
        form = json_form(given.get("accept"))
    with suppress(Malformed):
        asked = conditions(given.get("if-match"), given.get("if-none-match"))
    return Wishes(form, asked, preferences(given.get("prefer")))


def _entity_tags(name: str, text: str | None) -> frozenset[str] | None:
    if text is None:
        return None
    if text.strip() == "*":
        return frozenset({"*"})
    tags = set()
    for part in text.split(","):
        match = _ENTITY_TAG.fullmatch(part)
        if match is None:
            raise Malformed(f"{name} is neither * nor a list of entity tags.")
        tags.add(f"W/{match.group(1)}")
    return frozenset(tags)


def entity_tag(version: int) -> str:
    """The weak entity tag of a row's version."""
    return f'W/"{version}"'


class Repeat(NamedTuple):
    """The name of a request that may be sent again, and when it was first sent, in Unix seconds."""

    request_id: str
    first_sent: int


def repeat(request_id: str | None, first_sent: str | None) -> Repeat | None:
    """The Repeatability headers (OASIS Repeatable Requests 1.0). Raises Malformed where one is missing or wrong."""
    if request_id is None and first_sent is None:
        return None
    if not request_id or not _REQUEST_ID.fullmatch(request_id):
        raise Malformed(f"Repeatability-Request-ID has to be 1 to {_MAX_REQUEST_ID} visible ASCII characters.")
    try:
        moment = parsedate_to_datetime(first_sent or "")
        if moment.tzinfo is None:
            # RFC 9110, 5.6.7: of the obsolete forms one names no zone, and means UTC.
            moment = moment.replace(tzinfo=UTC)
        return Repeat(request_id, int(moment.timestamp()))
    except (ValueError, OverflowError):
        raise Malformed("Repeatability-First-Sent is missing or is no HTTP date.") from None


def check_isolation(isolation: str | None) -> None:
    """Refuse a request for snapshots, which are not promised (OData 4.01 part 1, 8.2.6). Raises PreconditionFailed."""
    if isolation is not None:
        raise PreconditionFailed("Isolation is not supported")


def check_versions(version: str | None, max_version: str | None) -> None:
    """Refuse what cannot be spoken: this service answers OData 4.0 (DESIGN section 4). Raises UnsupportedVersion."""
    if version is not None and version.strip() not in ("4.0", "4.01"):
        raise UnsupportedVersion("OData-Version is 4.0 or 4.01 here.")
    if max_version is not None and not _at_least_4(max_version.strip()):
        raise UnsupportedVersion("OData-MaxVersion must allow 4.0, the version of the answers.")


def _at_least_4(text: str) -> bool:
    major, dot, minor = text.partition(".")
    return major.isdecimal() and len(major) < 4 and int(major) >= 4 and (not dot or minor.isdecimal())


def check_json_body(content_type: str | None) -> None:
    """Refuse a write whose body is not declared as JSON in UTF-8. Raises UnsupportedMediaType with Graph's words."""
    if content_type == "application/json":
        return
    media_type, *parameters = (part.strip().lower() for part in (content_type or "").split(";"))
    if media_type != "application/json":
        raise UnsupportedMediaType("Entity only allows writes with a JSON Content-Type header.")
    for name, _, value in _pairs(parameters):
        if name == "charset" and value.strip('"') not in _JSON_CHARSETS:
            raise UnsupportedMediaType("A JSON body is UTF-8 here; send it so, or leave the charset out.")
