"""The proof that a connector holds a new key: a text signed by it, which says what the key is to be taken for.

Pure. Source: RFC 9449 section 4.2 for the form (a JWT that carries its own public key), RFC 7638 for a key's name.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from cryptography.hazmat.primitives import serialization
from joserfc.errors import JoseError
from joserfc.jwk import ECKey
from joserfc.jws import JWSRegistry

from adjoin.identity.assertions import BadAssertion, decoded

_TYPE: Final = "adjoin-key+jwt"
_ES256: Final = JWSRegistry(algorithms=["ES256"]).get_alg("ES256")
_MAX_LENGTH: Final = 4_096


class BadProof(ValueError):
    """A text that does not prove to hold a key. Its words say what is wrong, and hold nothing of it."""


@dataclass(frozen=True, slots=True)
class Proven:
    """A key that its holder proved to have: its thumbprint, its public part as DER, and what was signed."""

    thumbprint: str
    public_key: bytes
    claims: Mapping[str, object]


def verify(text: str) -> Proven:
    """The key and claims of a proof. Raises BadProof."""
    parts = text.split(".") if len(text) <= _MAX_LENGTH and text.isascii() else []
    if len(parts) != 3:
        raise BadProof("The proof is not a signed JWT.")
    header, claims, signature = _read(parts)
    if header.get("typ") != _TYPE or header.get("alg") != "ES256" or "crit" in header:
        raise BadProof(f"The proof is not of type {_TYPE}, signed with ES256.")
    key = _key(header.get("jwk"))
    if not _ES256.verify(f"{parts[0]}.{parts[1]}".encode("ascii"), signature, key):
        raise BadProof("The proof is not signed by the key that it names.")
    der = key.public_key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return Proven(key.thumbprint(), der, claims)


def _read(parts: list[str]) -> tuple[Mapping[str, object], Mapping[str, object], bytes]:
    try:
        header, claims = (json.loads(decoded(each)) for each in parts[:2])
        signature = decoded(parts[2])
    except (BadAssertion, ValueError, RecursionError):
        header = claims = None
        signature = b""
    if not isinstance(header, dict) or not isinstance(claims, dict):
        raise BadProof("The proof is not a signed JWT.")
    return header, claims, signature


def _key(jwk: object) -> ECKey:
    members = jwk if isinstance(jwk, dict) else {}
    if members.get("kty") != "EC" or members.get("crv") != "P-256" or "d" in members:
        raise BadProof("The proof carries no public key on the curve P-256.")
    try:
        return ECKey.import_key({name: members[name] for name in ("kty", "crv", "x", "y")})
    except (JoseError, ValueError, KeyError, TypeError):
        raise BadProof("The proof carries no public key on the curve P-256.") from None
