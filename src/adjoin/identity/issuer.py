"""The built-in token service's logic: tokens with the claims that Entra's tokens for Graph have, and client secrets.

Pure: keys, time, ids and random bytes are handed in. Who may have which token is decided by the caller of this module.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from joserfc import jws

from adjoin.identity.caller import Kind
from adjoin.identity.clouds import GLOBAL, GRAPH_APP_ID, GRAPH_HOST_CLAIM, PERSONAL_TENANT, Cloud, Version
from adjoin.identity.keys import KeyRing, SigningKey
from adjoin.identity.trust import Trust

# Entra dates its tokens back by five minutes, so that a service whose clock is behind takes them at once.
_BACKDATED: Final = 300

CLI_CLIENT: Final = str(uuid.uuid5(uuid.NAMESPACE_URL, "urn:adjoin:cli"))
"""The client of the tokens that `adjoin token` makes. It alone is registered nowhere: whoever can run the command holds
the signing key, so that to revoke such a token is to rotate the key and retire the old one."""

_SECRET_BYTES: Final = 32
_SECRET_PREFIX: Final = "adj8Q~"  # noqa: S105 - not a secret but what each begins with


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """What a token is to say. `subject` is the object id of the service principal, or of the person who signed in."""

    tenant_id: str
    subject: str
    client_id: str
    permissions: frozenset[str]
    kind: Kind = Kind.APPLICATION
    audience: str | None = None
    """None: the usual one of the form, which is the Graph root in v1 and Graph's application id in v2."""
    version: Version = "1.0"
    expires_in: int = 3599
    """Seconds from now; negative for a token that is expired already (tests of clients want one)."""
    personal: bool = False
    """A personal account: its tenant stands in place of `tenant_id`, as it does in Microsoft's tokens."""
    app_display_name: str | None = None
    upn: str | None = None
    capabilities: tuple[str, ...] = ()
    """What the client asked for in `xms_cc`; `cp1` is the one that means something (graph-contract 4.5)."""
    public_client: bool = False
    """The client proved itself by nothing (`appidacr` 0); otherwise by a secret (1)."""
    certificate: bool = False
    """The client proved itself by the key of a certificate (`appidacr` 2)."""
    cloud: Cloud = GLOBAL
    counts_from: int = 0
    """The time from which the caller's tokens count (`revoked_before` of the application and the person)."""


def mint(key: SigningKey, grant: Grant, now: int, token_id: str) -> str:
    """A signed token. `token_id` becomes the `uti` claim and has to be new."""
    header = {"typ": "JWT", "alg": key.algorithm, "kid": key.kid}
    return jws.serialize_compact(header, msgspec.json.encode(claims(grant, now, token_id)), key.key, [key.algorithm])


def claims(grant: Grant, now: int, token_id: str) -> dict[str, Any]:
    """The claims of graph-contract 4.1, in the form of the grant's version; members without a value are left out."""
    tenant = PERSONAL_TENANT if grant.personal else grant.tenant_id
    expires = now + grant.expires_in
    begins = min(now, expires)
    form = _v1 if grant.version == "1.0" else _v2
    every = {
        "aud": grant.audience or (grant.cloud.graph_root if grant.version == "1.0" else GRAPH_APP_ID),
        "iss": grant.cloud.issuer(grant.version, tenant),
        # Entra dates `iat` back, too. Here it says when the token was made, or one made right after a revocation would
        # count as revoked for five minutes.
        "iat": max(begins, grant.counts_from),
        "nbf": begins - _BACKDATED,
        "exp": expires,
        **form(grant),
        **_rights(grant),
        "oid": grant.subject,
        "tid": tenant,
        "uti": token_id,
        "ver": grant.version,
        "xms_cc": list(grant.capabilities) or None,
        # Absent in Global's, so that those are just as Entra's.
        GRAPH_HOST_CLAIM: None if grant.cloud is GLOBAL else grant.cloud.graph_host,
    }
    return {name: value for name, value in every.items() if value is not None}


def trust(ring: KeyRing, cloud: Cloud = GLOBAL, audiences: Iterable[str] = ()) -> Trust:
    """What a service accepts that takes the built-in issuer's tokens; `audiences` are names of its own.

    No clock skew: issuer and service read the same clock, and tokens are dated back for the case that they don't. So
    a token minted as expired a second ago is refused now and not in five minutes.
    """
    accepted = frozenset(cloud.audiences) | frozenset(audiences)
    return Trust(ring.verification, cloud.issuers, accepted, clock_skew=0, graph_host=cloud.graph_host)


def new_secret(random: bytes) -> str:
    """A client secret in Entra's manner, from at least 32 random bytes.

    It starts with a fixed mark, by which scanners find one that leaked, and which keeps it from starting with `-`.
    """
    if len(random) < _SECRET_BYTES:
        raise ValueError(f"a secret is made of at least {_SECRET_BYTES} random bytes")
    return _SECRET_PREFIX + _base64url(random)


def digest(secret: str) -> bytes:
    """What is stored of a secret: SHA-256, unsalted.

    That is enough for this kind of secret alone: of 256 random bits none can be guessed, so there is nothing for a
    salt or a slow function (Argon2, bcrypt) to protect. Those are for what people choose; and a slow function at the
    token endpoint would let anyone keep the server busy.
    """
    # surrogatepass: what came from a form may hold half a surrogate pair; it is then wrong, but no error.
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()


def matches(secret: str, stored: bytes) -> bool:
    """Whether `stored` is the digest of `secret`, in a time that tells nothing about either."""
    return hmac.compare_digest(digest(secret), stored)


def pairwise(subject: str, client_id: str) -> str:
    """A person's `sub` differs from client to client, as Entra's does; so it never equals the `oid`."""
    return _base64url(hashlib.sha256(f"{subject} {client_id}".encode()).digest())


def _v1(grant: Grant) -> dict[str, Any]:
    """Members that only the v1 form has, which is what Graph's tokens are in even from the v2 endpoint."""
    return {
        "app_displayname": grant.app_display_name,
        "appid": grant.client_id,
        "appidacr": _strength(grant),
        "upn": grant.upn,
        "unique_name": grant.upn,
    }


def _v2(grant: Grant) -> dict[str, Any]:
    return {
        "app_displayname": grant.app_display_name,
        "azp": grant.client_id,
        "azpacr": _strength(grant),
        "preferred_username": grant.upn,
    }


def _strength(grant: Grant) -> str:
    """What the client proved itself by (graph-contract 4.2, `appidacr` and `azpacr`)."""
    if grant.public_client:
        return "0"
    return "2" if grant.certificate else "1"


def _rights(grant: Grant) -> dict[str, Any]:
    """Sorted, so that equal grants give equal claims."""
    if grant.kind is Kind.APPLICATION:
        return {"idtyp": "app", "roles": sorted(grant.permissions), "sub": grant.subject}
    return {
        "idtyp": "user",
        "scp": " ".join(sorted(grant.permissions)),
        "sub": pairwise(grant.subject, grant.client_id),
    }


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")
