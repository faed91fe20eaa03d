"""Verify an access token: text in, caller out, or a refusal in Graph's words.

Everything of graph-contract 4.2 and RFC 8725 is checked, and the order is part of it: size and form, then the
algorithm before any key, then the signature before any claim. No text whatever raises anything but the refusals below,
and no refusal holds any part of a token. Keys and time are handed in; a token never says where its key is to be found.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
from collections import OrderedDict
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, NoReturn, TypeAlias

from adjoin.identity.caller import Caller, Kind
from adjoin.identity.clouds import PERSONAL_TENANT, TENANT, fill
from adjoin.identity.keys import ALGORITHMS, VerificationKey
from adjoin.odata.errors import Refusal
from adjoin.odata.values import BadValue, parse_guid

MAX_TOKEN_LENGTH: Final = 16 * 1024
"""Entra's largest tokens, with groups overage, stay well below; servers limit header lines to about this."""

_MAX_TEXT: Final = 1024
_MAX_NAME: Final = 256
_MAX_TIME: Final = 253_402_300_799  # 9999-12-31T23:59:59Z, the last second that an Edm.DateTimeOffset has

_Claims: TypeAlias = Mapping[str, object]


class TokenRefusal(Refusal):
    """A token that isn't accepted; every class below is one. The words are Graph's (graph-contract 3.2)."""


class EmptyToken(TokenRefusal):
    """No token at all."""

    def __init__(self) -> None:
        super().__init__("Access token is empty.")


class NotAToken(TokenRefusal):
    """Text without a single dot, so nothing that was ever a token."""

    def __init__(self) -> None:
        super().__init__(
            "IDX14100: JWT is not well formed, there are no dots (.).\n"
            "The token needs to be in JWS or JWE Compact Serialization Format. (JWS): "
            "'EncodedHeader.EncodedPayload.EncodedSignature'. (JWE): 'EncodedProtectedHeader.EncodedEncryptedKey."
            "EncodedInitializationVector.EncodedCiphertext.EncodedAuthenticationTag'."
        )


class InvalidToken(TokenRefusal):
    """A token whose form or claims are not what an access token has. `reason` is a sentence of ours, never its text."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"Access token validation failure. {reason}")


class InvalidSignature(TokenRefusal):
    """A signature, algorithm or key that isn't trusted. Which of them is not told: it would help a forger alone."""

    def __init__(self) -> None:
        super().__init__("Access token validation failure. Invalid signature.")


class UnknownKey(InvalidSignature):
    """The token names a key that isn't known (yet): the sign that the keys were rotated and may be read again."""


class ExpiredToken(TokenRefusal):
    """The token's time is over."""

    def __init__(self) -> None:
        super().__init__("Lifetime validation failed, the token is expired.")


class TokenNotYetValid(TokenRefusal):
    """The token's time has not come."""

    def __init__(self) -> None:
        super().__init__("Lifetime validation failed, the token is not yet valid.")


class InvalidAudience(TokenRefusal):
    """A token for another service."""

    def __init__(self) -> None:
        super().__init__("Access token validation failure. Invalid audience.")


class InvalidIssuer(TokenRefusal):
    """A token whose issuer isn't trusted, or isn't the one of its own tenant, form or key."""

    def __init__(self) -> None:
        super().__init__("Access token validation failure. Invalid issuer.")


@dataclass(frozen=True, slots=True)
class Trust:
    """Whose tokens are accepted. One value stands for one token service, so that keys and issuers can't be crossed.

    `issuers` are templates with `{tenantid}` by the `ver` of the token; a template without a tenant would accept
    tokens of any tenant from that issuer, so it isn't taken.
    """

    keys: Mapping[str, VerificationKey] = field(repr=False)
    issuers: Mapping[str, tuple[str, ...]]
    audiences: frozenset[str]
    clock_skew: int = 300
    algorithms: frozenset[str] = frozenset({"RS256"})

    def __post_init__(self) -> None:
        """Faults here are the operator's or ours, and a trust that is wrong must not start."""
        if not self.algorithms <= set(ALGORITHMS):
            raise ValueError(f"only {', '.join(ALGORITHMS)} can be trusted")
        if any(kid != key.kid for kid, key in self.keys.items()):
            raise ValueError("a key is filed under another key's id")
        templates = [template for group in self.issuers.values() for template in group]
        templates += [template for key in self.keys.values() for template in key.issuers]
        if any(TENANT not in template for template in templates):
            raise ValueError(f"an issuer has {TENANT} in it")
        if self.clock_skew < 0:
            raise ValueError("the clock skew is not negative")
        object.__setattr__(self, "keys", MappingProxyType(dict(self.keys)))
        object.__setattr__(self, "issuers", MappingProxyType(dict(self.issuers)))


def verify(token: str, trust: Trust, now: float) -> Caller:
    """The caller that `token` proves, at the Unix time `now`. Raises a TokenRefusal and nothing else."""
    header, payload, signature = _segments(token)
    key = _trusted_key(_json_object(_decode(header), "header"), trust)
    if not key.verifies(token[: len(header) + 1 + len(payload)].encode("ascii"), _decode(signature)):
        raise InvalidSignature
    claims = _json_object(_decode(payload), "payload")
    expires, not_before = _lifetime(claims)
    _check_lifetime(expires, not_before, trust.clock_skew, now)
    version = _version(claims)
    _check_audience(claims, version, trust)
    _check_issuer(claims, version, key, trust)
    return _caller(claims, version, expires, not_before)


class VerifiedTokens:
    """Callers of tokens verified before, so that a signature is checked once and not on each request.

    Only what was verified is kept, under the token's SHA-256: the cache never holds a token that could be taken from
    it. Bounded; the least recently used goes first. A hit still looks at the clock. The trust belongs to the cache,
    since what it holds is true under that trust alone.
    """

    def __init__(self, trust: Trust, size: int = 10_000) -> None:
        self._size = size
        # One attribute, replaced as a whole: a verification that runs meanwhile in a thread files its result with
        # the trust that it began with.
        self._state: tuple[Trust, OrderedDict[bytes, Caller]] = (trust, OrderedDict())

    def __len__(self) -> int:
        return len(self._state[1])

    def verify(self, token: str, now: float) -> Caller:
        """As the function `verify` does, from memory where it can."""
        trust, known = self._state
        _check_form(token)
        digest = hashlib.sha256(token.encode("ascii")).digest()
        caller = known.pop(digest, None)
        if caller is None:
            caller = verify(token, trust, now)
        else:
            # Popped first: an expired token is not put back.
            _check_lifetime(caller.expires, caller.not_before, trust.clock_skew, now)
        known[digest] = caller
        if len(known) > self._size:
            known.popitem(last=False)
        return caller

    def forget(self, trust: Trust | None = None) -> None:
        """Forget every token; with `trust`, verify by that from now on (after a change of keys or settings)."""
        self._state = (trust or self._state[0], OrderedDict())


# --- form


def _check_form(token: str) -> None:
    """What can be said without reading: done first, so that a huge or foreign text costs nothing."""
    if not token:
        raise EmptyToken
    if len(token) > MAX_TOKEN_LENGTH:
        raise InvalidToken(f"The token is longer than {MAX_TOKEN_LENGTH} characters.")
    if "." not in token:
        raise NotAToken
    if not token.isascii():
        raise InvalidToken("The token is not base64url text.")


def _segments(token: str) -> tuple[str, str, str]:
    _check_form(token)
    match token.split(".", 5):
        case [header, payload, signature]:
            return header, payload, signature
        case [_, _, _, _, _]:
            raise InvalidToken("Encrypted tokens are not accepted.")
    raise InvalidToken("The token does not have three parts.")


def _decode(segment: str) -> bytes:
    """Strict base64url (RFC 7515, 2): what was decoded has to encode to the same text again.

    That one comparison refuses padding, foreign characters and stray bits at the end, so that there is one spelling
    of a token and not many.
    """
    try:
        data = base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4))
    except ValueError:
        data = b""
    if base64.urlsafe_b64encode(data).rstrip(b"=") != segment.encode("ascii"):
        raise InvalidToken("The token is not base64url text.")
    return data


def _no_repeats(members: list[tuple[str, object]]) -> dict[str, object]:
    """Of a repeated name, two readers may take different values (RFC 8725, 2.4; RFC 7519, 4)."""
    result = dict(members)
    if len(result) != len(members):
        raise ValueError
    return result


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError
    return number


def _not_json(_text: str) -> NoReturn:
    """Python reads NaN and Infinity, which JSON does not have."""
    raise ValueError


# The standard library's reader is the one here that tells of repeated names; each token is read once (see the cache).
_JSON: Final = json.JSONDecoder(object_pairs_hook=_no_repeats, parse_float=_finite, parse_constant=_not_json)


def _json_object(data: bytes, part: str) -> _Claims:
    # Raised outside of the handler: the JSON error would hang on the refusal, and it holds the whole payload.
    value = None
    with suppress(ValueError, RecursionError):
        value = _JSON.decode(data.decode("utf-8"))
    if not isinstance(value, dict):
        raise InvalidToken(f"The {part} is not a JSON object.")
    return value


# --- header

# Each of these brings a key along or says where to fetch one (RFC 8725, 3.10); `b64` and `crit` change what is signed.
_FOREIGN_KEY: Final = frozenset({"jku", "jwk", "x5u", "x5c"})
_EXTENSIONS: Final = frozenset({"crit", "b64", "cty", "enc", "zip"})
_TYPES: Final = frozenset({"jwt", "at+jwt", "application/at+jwt"})


def _trusted_key(header: _Claims, trust: Trust) -> VerificationKey:
    """The key to verify with: named by the token, but ours, and only with the algorithm that it is bound to."""
    algorithm = header.get("alg")
    if not isinstance(algorithm, str) or algorithm not in trust.algorithms:
        raise InvalidSignature
    if not _FOREIGN_KEY.isdisjoint(header):
        raise InvalidSignature
    if not _EXTENSIONS.isdisjoint(header):
        raise InvalidToken("The header asks for an extension that is not supported.")
    kind = header.get("typ", "JWT")
    if not isinstance(kind, str) or kind.lower() not in _TYPES:
        raise InvalidToken("The token is not of type JWT.")
    kid = header.get("kid")
    if not isinstance(kid, str):
        raise InvalidSignature
    key = trust.keys.get(kid)
    if key is None:
        raise UnknownKey
    if key.algorithm != algorithm:
        raise InvalidSignature
    return key


# --- claims

# Which claims name the calling client and the person, by the form of the token (graph-contract 4.1, 4.2).
_CLIENT: Final = {"1.0": "appid", "2.0": "azp"}
_PERSON: Final = {"1.0": "upn", "2.0": "preferred_username"}


def _lifetime(claims: _Claims) -> tuple[int, int]:
    """`exp` and `nbf` in whole seconds, rounded so that the token lives no longer than it says."""
    expires = _time(claims, "exp")
    not_before = _time(claims, "nbf")
    _time(claims, "iat")
    if expires is None:
        raise InvalidToken("The exp claim is missing.")
    return math.floor(expires), math.ceil(not_before or 0)


def _check_lifetime(expires: int, not_before: int, skew: int, now: float) -> None:
    """A token is valid from `nbf` on and before `exp` (RFC 7519, 4.1.4 and 4.1.5), give or take the skew."""
    if now >= expires + skew:
        raise ExpiredToken
    if now < not_before - skew:
        raise TokenNotYetValid


def _version(claims: _Claims) -> str:
    version = _required(claims, "ver")
    if version not in _CLIENT:
        raise InvalidToken("The ver claim is not 1.0 or 2.0.")
    return version


def _check_audience(claims: _Claims, version: str, trust: Trust) -> None:
    """One audience, and ours. A list of several is refused: such a token would be good at another service as well."""
    audience = claims.get("aud")
    if isinstance(audience, list) and len(audience) == 1:
        audience = audience[0]
    if not isinstance(audience, str) or audience not in trust.audiences:
        raise InvalidAudience
    if version == "2.0" and not _is_guid(audience):  # graph-contract 4.2: "v2: always the client-id GUID"
        raise InvalidAudience


def _check_issuer(claims: _Claims, version: str, key: VerificationKey, trust: Trust) -> None:
    """The issuer of this form of token, for the token's own tenant, and one that the key may sign for."""
    issuer, tenant = _required(claims, "iss"), _required(claims, "tid")
    _guid(claims, "tid")  # before it is filled in anywhere
    accepted = {fill(template, tenant) for template in trust.issuers.get(version, ())}
    if key.issuers:
        accepted &= {fill(template, tenant) for template in key.issuers}
    if issuer not in accepted:
        raise InvalidIssuer


def _caller(claims: _Claims, version: str, expires: int, not_before: int) -> Caller:
    kind = _kind(claims)
    roles = _texts(claims, "roles")
    tenant = _guid(claims, "tid")
    return Caller(
        tenant_id=tenant,
        subject=_guid(claims, "oid"),
        client_id=_guid(claims, _CLIENT[version]),
        kind=kind,
        permissions=roles if kind is Kind.APPLICATION else _scopes(claims),
        personal=tenant == PERSONAL_TENANT,
        not_before=not_before,
        expires=expires,
        token_id=_text(claims, "uti"),
        can_take_challenge="cp1" in {capability.lower() for capability in _texts(claims, "xms_cc")},
        name=_display(claims, "app_displayname" if kind is Kind.APPLICATION else _PERSON[version]),
    )


def _kind(claims: _Claims) -> Kind:
    """Application or delegated (graph-contract 4.3).

    `roles` has no say: a person's token carries the person's roles in it, and to take those for permissions of the
    application would let anyone with a role in any app in. Without `idtyp` an application is known by its subject,
    which for an application alone is the object itself.
    """
    idtyp, is_itself = _text(claims, "idtyp"), _required(claims, "sub") == _required(claims, "oid")
    if idtyp not in {None, "app", "user"}:
        raise InvalidToken("The idtyp claim is not app or user.")
    if idtyp == "app" and ("scp" in claims or not is_itself):
        raise InvalidToken("The claims of an application and of a user are mixed.")
    if idtyp == "app" or (idtyp is None and "scp" not in claims and is_itself):
        return Kind.APPLICATION
    return Kind.DELEGATED


def _scopes(claims: _Claims) -> frozenset[str]:
    return frozenset((_text(claims, "scp") or "").split(" ")) - {""}


# --- values of claims: each of the type that it must have, or the token is refused


def _text(claims: _Claims, name: str) -> str | None:
    if name not in claims:
        return None
    value = claims[name]
    # No control characters and no half surrogates: these texts go into logs and databases. `scp` alone may be long.
    if not isinstance(value, str) or not value.isprintable() or (len(value) > _MAX_TEXT and name != "scp"):
        raise InvalidToken(f"The {name} claim is not plain text.")
    return value


def _required(claims: _Claims, name: str) -> str:
    value = _text(claims, name)
    if not value:
        raise InvalidToken(f"The {name} claim is missing.")
    return value


def _guid(claims: _Claims, name: str) -> str:
    """In small letters, so that one tenant or subject can't appear as two by its spelling."""
    text = _required(claims, name)
    if not _is_guid(text):
        raise InvalidToken(f"The {name} claim is not a GUID.")
    return text.lower()


def _is_guid(text: str) -> bool:
    try:
        return bool(parse_guid(text))
    except BadValue:
        return False


def _texts(claims: _Claims, name: str) -> frozenset[str]:
    value = claims.get(name, [])
    if not isinstance(value, list) or not all(isinstance(item, str) and item.isprintable() for item in value):
        raise InvalidToken(f"The {name} claim is not a list of texts.")
    return frozenset(value)


def _time(claims: _Claims, name: str) -> int | float | None:
    """A NumericDate (RFC 7519, 2). True is no number here, though Python says so."""
    if name not in claims:
        return None
    value = claims[name]
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _MAX_TIME:
        raise InvalidToken(f"The {name} claim is not a time.")
    return value


def _display(claims: _Claims, name: str) -> str | None:
    """A name that a stranger chose: kept to printable characters, so that it can't forge a line of a log."""
    value = claims.get(name)
    if value is None:
        return None
    if not isinstance(value, str):
        raise InvalidToken(f"The {name} claim is not text.")
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in value[:_MAX_NAME]) or None
