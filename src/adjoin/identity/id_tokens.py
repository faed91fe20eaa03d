"""Id tokens: what a client is told about the person who signed in (OpenID Connect Core section 2), in Entra's form."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Final

import msgspec
from joserfc import jws

from adjoin.identity import issuer
from adjoin.identity.clouds import Cloud
from adjoin.identity.keys import SigningKey

_LASTS: Final = 3_600


@dataclass(frozen=True, slots=True)
class SignIn:
    """Who signed in to which client, and when (Unix seconds)."""

    tenant_id: str
    subject: str
    client_id: str
    upn: str
    display_name: str
    at: int
    nonce: str | None = None


def mint(key: SigningKey, cloud: Cloud, sign_in: SignIn, now: int, token_id: str) -> str:
    """A signed id token; its audience is the client, so that no service takes it for an access token."""
    claims = {
        "aud": sign_in.client_id,
        "iss": cloud.issuer("2.0", sign_in.tenant_id),
        "iat": now,
        "nbf": now - 300,
        "exp": now + _LASTS,
        "auth_time": sign_in.at,
        "name": sign_in.display_name,
        "oid": sign_in.subject,
        # azure-identity's AuthenticationRecord is made from this one, tid and sub (clients.md section 2).
        "preferred_username": sign_in.upn,
        "sub": issuer.pairwise(sign_in.subject, sign_in.client_id),
        "tid": sign_in.tenant_id,
        "uti": token_id,
        "ver": "2.0",
    }
    if sign_in.nonce is not None:
        claims["nonce"] = sign_in.nonce
    header = {"typ": "JWT", "alg": key.algorithm, "kid": key.kid}
    return jws.serialize_compact(header, msgspec.json.encode(claims), key.key, [key.algorithm])


def client_info(tenant_id: str, subject: str) -> str:
    """The account's key in MSAL's caches, which asks for it with `client_info=1`."""
    content = msgspec.json.encode({"uid": subject, "utid": tenant_id})
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode("ascii")
