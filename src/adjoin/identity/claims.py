"""Values of claims: each of the type that it must have, or the token is refused. Pure; no claim is given a meaning."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final, NamedTuple, TypeAlias

from adjoin.identity.errors import InvalidToken
from adjoin.odata.values import BadValue, parse_guid

Claims: TypeAlias = Mapping[str, object]


class Lifetime(NamedTuple):
    """When a token is good, and when it was made, in whole Unix seconds."""

    expires: int
    not_before: int
    issued: int | None


_MAX_TEXT: Final = 1024
_MAX_NAME: Final = 256
_MAX_TIME: Final = 253_402_300_799  # 9999-12-31T23:59:59Z, the last second that an Edm.DateTimeOffset has


def text(claims: Claims, name: str) -> str | None:
    """A text, or None where the claim is missing."""
    if name not in claims:
        return None
    value = claims[name]
    # No control characters and no half surrogates: these texts go into logs and databases. Scopes alone may be long.
    if not isinstance(value, str) or not value.isprintable() or (len(value) > _MAX_TEXT and name not in _LONG):
        raise InvalidToken(f"The {name} claim is not plain text.")
    return value


_LONG: Final = frozenset({"scp", "scope"})


def required(claims: Claims, name: str) -> str:
    """A text that has to be there, and not empty."""
    value = text(claims, name)
    if not value:
        raise InvalidToken(f"The {name} claim is missing.")
    return value


def guid(claims: Claims, name: str) -> str:
    """In small letters, so that one tenant or subject can't appear as two by its spelling."""
    value = required(claims, name)
    if not is_guid(value):
        raise InvalidToken(f"The {name} claim is not a GUID.")
    return value.lower()


def is_guid(value: str) -> bool:
    """Whether a text is a GUID."""
    try:
        return bool(parse_guid(value))
    except BadValue:
        return False


def texts(claims: Claims, name: str) -> frozenset[str]:
    """A list of texts; empty where the claim is missing."""
    return list_of_texts(claims.get(name, []), name)


def list_of_texts(value: object, name: str) -> frozenset[str]:
    """A value that has to be a list of texts; `name` is that of its claim."""
    if not isinstance(value, list) or not all(isinstance(item, str) and item.isprintable() for item in value):
        raise InvalidToken(f"The {name} claim is not a list of texts.")
    return frozenset(value)


def display(claims: Claims, name: str) -> str | None:
    """A name that a stranger chose: kept to printable characters, so that it can't forge a line of a log."""
    value = claims.get(name)
    if value is None:
        return None
    if not isinstance(value, str):
        raise InvalidToken(f"The {name} claim is not text.")
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in value[:_MAX_NAME]) or None


def lifetime(claims: Claims) -> Lifetime:
    """`exp`, `nbf` and `iat` in whole seconds, rounded so that the token lives no longer than it says."""
    expires = _time(claims, "exp")
    not_before = _time(claims, "nbf")
    issued = _time(claims, "iat")
    if expires is None:
        raise InvalidToken("The exp claim is missing.")
    return Lifetime(math.floor(expires), math.ceil(not_before or 0), None if issued is None else math.floor(issued))


def _time(claims: Claims, name: str) -> int | float | None:
    """A NumericDate (RFC 7519, 2). True is no number here, though Python says so."""
    if name not in claims:
        return None
    value = claims[name]
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _MAX_TIME:
        raise InvalidToken(f"The {name} claim is not a time.")
    return value
