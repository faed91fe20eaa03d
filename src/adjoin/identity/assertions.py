"""Assertions by which a client proves to hold a registered key (RFC 7523 section 2.2): read, find the key, verify.

Pure: the registered key and the time are handed in. No text raises anything but BadAssertion.
"""

from __future__ import annotations

import base64
import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from joserfc.jwk import ECKey, RSAKey
from joserfc.jws import JWSRegistry

from adjoin.identity.strict_json import read_object
from adjoin.odata.values import unstorable

ALGORITHMS: Final = ("RS256", "PS256", "ES256")
_SIGNATURES: Final = {name: JWSRegistry(algorithms=ALGORITHMS).get_alg(name) for name in ALGORITHMS}

LONGEST_LIFE: Final = 3_600
"""Seconds that an assertion may still be good for; Entra's clients make them good for ten minutes."""
CLOCK_SKEW: Final = 300
_MAX_LENGTH: Final = 16 * 1024
_RSA_BITS: Final = 2048


class BadAssertion(Exception):
    """An assertion that is not accepted. `number` is Entra's for the reason."""

    def __init__(self, number: int, message: str) -> None:
        super().__init__(message)
        self.number = number
        self.message = message


@dataclass(frozen=True, slots=True)
class Assertion:
    """An assertion that was read and is not verified yet. `names` are what its header calls its key."""

    signed: bytes
    signature: bytes
    algorithm: str
    names: tuple[str, ...]
    claims: Mapping[str, object]

    @property
    def subject(self) -> str:
        """The client that it says to be. Raises BadAssertion."""
        subject = self.claims.get("sub")
        if not isinstance(subject, str) or subject != self.claims.get("iss") or unstorable(subject):
            # RFC 7523 section 3: of a client's own assertion issuer and subject are the client.
            raise BadAssertion(700021, "The assertion's 'iss' and 'sub' are not both the application.")
        return subject

    @property
    def token_id(self) -> str:
        """What no second assertion of the client has: its `jti`, or else the digest of all of it."""
        jti = self.claims.get("jti")
        return jti if isinstance(jti, str) and jti else hashlib.sha256(self.signed).hexdigest()


def read(text: str) -> Assertion:
    """Take an assertion apart. Raises BadAssertion."""
    parts = text.split(".") if len(text) <= _MAX_LENGTH and text.isascii() else []
    if len(parts) != 3:
        raise BadAssertion(50027, "The client assertion is not a signed JWT.")
    header, claims = _json(parts[0]), _json(parts[1])
    algorithm = header.get("alg")
    if algorithm not in ALGORITHMS or "crit" in header:
        raise BadAssertion(5002738, f"The client assertion is not signed by one of {', '.join(ALGORITHMS)}.")
    names = tuple(
        name for each in ("x5t#S256", "x5t", "kid") if isinstance(name := header.get(each), str) and 0 < len(name) < 256
    )
    if not names or any(map(unstorable, names)):
        raise BadAssertion(50027, "The client assertion's header names no key: it has neither x5t#S256, x5t nor kid.")
    signed = f"{parts[0]}.{parts[1]}".encode("ascii")
    return Assertion(signed, decoded(parts[2]), str(algorithm), names, claims)


def verify(assertion: Assertion, public_key: bytes, audiences: frozenset[str], now: float) -> int:
    """Check signature, time and audience, and give when it ends (Unix seconds). Raises BadAssertion."""
    if not _signed_by(assertion, public_key):
        raise BadAssertion(700027, "The client assertion failed signature validation.")
    expires = _time(assertion.claims, "exp")
    if expires is None or not now < expires + CLOCK_SKEW or expires > now + LONGEST_LIFE + CLOCK_SKEW:
        raise BadAssertion(700024, "The client assertion is not within its valid time range.")
    begins = max(_time(assertion.claims, "nbf") or 0.0, _time(assertion.claims, "iat") or 0.0)
    if begins > now + CLOCK_SKEW:
        raise BadAssertion(700024, "The client assertion is not within its valid time range.")
    audience = assertion.claims.get("aud")
    named = audience if isinstance(audience, list) else [audience]
    if not any(isinstance(each, str) and each in audiences for each in named):
        raise BadAssertion(700023, "The client assertion's audience is not the token endpoint.")
    return math.ceil(expires) + CLOCK_SKEW


def thumbprint(data: bytes, sha256: bool) -> str:
    """A certificate's name in a header: `x5t#S256` or `x5t` (RFC 7515, 4.1.7 and 4.1.8), from its DER."""
    whole = hashlib.sha256(data) if sha256 else hashlib.sha1(data, usedforsecurity=False)
    return base64url(whole.digest())


def base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def public_key_of(der: bytes) -> RSAKey | ECKey:
    """A registered key. Raises ValueError for what can sign none of the algorithms, or too weakly."""
    try:
        key = serialization.load_der_public_key(der)
    except UnsupportedAlgorithm as error:
        raise ValueError("the kind of key is not known") from error
    if isinstance(key, RSAPublicKey) and key.key_size >= _RSA_BITS:
        return RSAKey.import_key(key)
    if isinstance(key, EllipticCurvePublicKey) and isinstance(key.curve, SECP256R1):
        return ECKey.import_key(key)
    raise ValueError(f"a key is RSA of at least {_RSA_BITS} bits, or EC on the curve P-256")


def _signed_by(assertion: Assertion, der: bytes) -> bool:
    key = public_key_of(der)
    if (assertion.algorithm == "ES256") != isinstance(key, ECKey):
        return False  # a key is used with its own kind of algorithm (RFC 8725, 3.1)
    return _SIGNATURES[assertion.algorithm].verify(assertion.signed, assertion.signature, key)


def decoded(part: str) -> bytes:
    try:
        # MSAL for Python pads `x5t` in the header, but no part of the JWT itself (clients.md section 2).
        return base64.b64decode(part + "=" * (-len(part) % 4), altchars=b"-_", validate=True)
    except ValueError:
        raise BadAssertion(50027, "The client assertion is not base64url text.") from None


def _json(part: str) -> Mapping[str, object]:
    value = read_object(decoded(part))
    if value is None:
        raise BadAssertion(50027, "The client assertion does not hold JSON objects.")
    return value


def _time(claims: Mapping[str, object], name: str) -> float | None:
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not -1e15 < value < 1e15:
        return None
    return float(value)
