"""The connector's own keys: made here, kept here, and what is signed with them.

Pure but for the making of a key. Times are handed in, as the server tells them: the machine's clock may be wrong.
"""

from __future__ import annotations

import base64
import hashlib
import json
import uuid
from typing import Any, Final

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from joserfc import jws
from joserfc.jwk import ECKey

_ALGORITHM: Final = "ES256"
_ASSERTION_SECONDS: Final = 300


class BadKey(ValueError):
    """A text that is no private key on the curve P-256."""


def new_key() -> str:
    """A new private key as PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    return key.private_bytes(encoding, form, serialization.NoEncryption()).decode("ascii")


def _read(pem: str) -> ECKey:
    try:
        return ECKey.import_key(pem)
    except Exception as error:
        raise BadKey("it holds no private key on the curve P-256") from error


def thumbprint(pem: str) -> str:
    """A key's name (RFC 7638). Raises BadKey."""
    return _read(pem).thumbprint()


def proof(pem: str, **claims: str) -> str:
    """A text by which the holder of a key proves it, and says what it is for. Raises BadKey."""
    key = _read(pem)
    header = {"typ": "adjoin-key+jwt", "alg": _ALGORITHM, "jwk": key.as_dict(private=False)}
    return _signed(key, header, claims)


def digest_of_code(code: str) -> str:
    """An invitation code as a proof names it: so the code itself is sent in one place only."""
    return hashlib.sha256(b"invitation " + code.replace("-", "").upper().encode()).hexdigest()


def assertion(pem: str, client: str, audience: str, now: float, **claims: str) -> str:
    """A client assertion (RFC 7523, 2.2), with more claims if there are. `now` is the server's time. Raises BadKey."""
    key = _read(pem)
    header = {"typ": "JWT", "alg": _ALGORITHM, "kid": key.thumbprint()}
    times = {"iat": int(now), "nbf": int(now), "exp": int(now) + _ASSERTION_SECONDS}
    own = {"iss": client, "sub": client, "aud": audience, "jti": str(uuid.uuid4()), **times}
    return _signed(key, header, {**claims, **own})


def _signed(key: ECKey, header: dict[str, Any], claims: dict[str, Any]) -> str:
    registry = jws.JWSRegistry(algorithms=[_ALGORITHM])
    return jws.serialize_compact(header, json.dumps(claims).encode(), key, registry=registry)


def is_code(text: str) -> bool:
    """Whether a text could be an invitation code at all."""
    plain = text.replace("-", "").upper()
    try:
        return len(base64.b32decode(plain)) == 20
    except ValueError:
        return False
