"""Verify an access token: text in, caller out, or a refusal in Graph's words.

Everything of graph-contract 4.2 and RFC 8725 is checked, and the order is part of it: size and form, then the
algorithm before any key, then the signature before any claim. No text whatever raises anything but the refusals of
`errors.py`, and none of them holds any part of a token. Keys and time are handed in; a token never says where its key
is to be found.
"""

from __future__ import annotations

import base64
from typing import Final

from adjoin.identity import entra, plain
from adjoin.identity.caller import Caller
from adjoin.identity.claims import Claims, lifetime
from adjoin.identity.errors import (
    EmptyToken,
    ExpiredToken,
    InvalidSignature,
    InvalidToken,
    NotAToken,
    TokenNotYetValid,
    UnknownKey,
)
from adjoin.identity.keys import VerificationKey
from adjoin.identity.strict_json import read_object
from adjoin.identity.trust import Trust

MAX_TOKEN_LENGTH: Final = 16 * 1024
"""Entra's largest tokens, with groups overage, stay well below; servers limit header lines to about this."""


def verify(token: str, trust: Trust, now: float) -> Caller:
    """The caller that `token` proves, at the Unix time `now`. Raises a TokenRefusal and nothing else."""
    header, payload, signature = _segments(token)
    key = _trusted_key(_json_object(_decode(header), "header"), trust)
    if not key.verifies(token[: len(header) + 1 + len(payload)].encode("ascii"), _decode(signature)):
        raise InvalidSignature
    claims = _json_object(_decode(payload), "payload")
    times = lifetime(claims)
    check_lifetime(times.expires, times.not_before, trust.clock_skew, now)
    if trust.external is not None and trust.external.issuer is not None:
        return plain.caller_of(claims, times, key, trust, trust.external)
    return entra.caller_of(claims, times, key, trust)


def said(token: str) -> tuple[Claims, Claims]:
    """Header and payload of a token, with nothing verified: good for choosing whose token it may be, nothing else."""
    header, payload, _ = _segments(token)
    return _json_object(_decode(header), "header"), _json_object(_decode(payload), "payload")


def check_lifetime(expires: int, not_before: int, skew: int, now: float) -> None:
    """A token is valid from `nbf` on and before `exp` (RFC 7519, 4.1.4 and 4.1.5), give or take the skew."""
    if now >= expires + skew:
        raise ExpiredToken
    if now < not_before - skew:
        raise TokenNotYetValid


# --- form


def check_form(token: str) -> None:
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
    check_form(token)
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


def _json_object(data: bytes, part: str) -> Claims:
    value = read_object(data)
    if value is None:
        raise InvalidToken(f"The {part} is not a JSON object.")
    return value


# --- header

# Each of these brings a key along or says where to fetch one (RFC 8725, 3.10); `b64` and `crit` change what is signed.
_FOREIGN_KEY: Final = frozenset({"jku", "jwk", "x5u", "x5c"})
_EXTENSIONS: Final = frozenset({"crit", "b64", "cty", "enc", "zip"})
_TYPES: Final = frozenset({"jwt", "at+jwt", "application/at+jwt"})


def _trusted_key(header: Claims, trust: Trust) -> VerificationKey:
    """The key to verify with: named by the token, but ours, and only with the algorithm that it is bound to."""
    algorithm = header.get("alg")
    if not isinstance(algorithm, str) or algorithm not in trust.algorithms:
        raise InvalidSignature
    if not _FOREIGN_KEY.isdisjoint(header):
        raise InvalidSignature
    if not _EXTENSIONS.isdisjoint(header):
        raise InvalidToken("The header asks for an extension that is not supported.")
    _check_type(header.get("typ", "JWT"), trust)
    kid = header.get("kid")
    if not isinstance(kid, str):
        raise InvalidSignature
    key = trust.keys.get(kid)
    if key is None:
        raise UnknownKey
    if key.algorithm != algorithm:
        raise InvalidSignature
    return key


def _check_type(kind: object, trust: Trust) -> None:
    wanted = trust.external.token_type if trust.external else None
    if not isinstance(kind, str) or kind.lower() not in _TYPES:
        raise InvalidToken("The token is not of type JWT.")
    if wanted is not None and kind.lower().removeprefix("application/") != wanted:
        raise InvalidToken(f"The token is not of type {wanted}.")
