"""The claims of a plain OpenID provider's access tokens (RFC 9068, and what providers really send) to their caller.

Such a provider names people and programs by texts of its own. Here both are GUIDs made from issuer and name, so that no
provider can name a subject or client of another's.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Final

from adjoin.identity.caller import Caller, Kind
from adjoin.identity.claims import Claims, Lifetime, display, list_of_texts, required, text, texts
from adjoin.identity.errors import InvalidAudience, InvalidIssuer, InvalidToken
from adjoin.identity.keys import VerificationKey
from adjoin.identity.trust import External, Trust

# `client_id` is RFC 9068's; the others are those of Keycloak and Auth0, Okta, and Entra's v1 form.
_CLIENT: Final = ("client_id", "azp", "cid", "appid")
_PERSON: Final = ("preferred_username", "email", "name")

# Only id tokens have these (OpenID Connect Core 3.1.3.6, 3.3.2.11): they tell a client who signed in, and open nothing.
_ID_TOKEN: Final = frozenset({"at_hash", "c_hash"})
# Keycloak writes into the payload what kind of token it is: Bearer, ID, Refresh, Offline, Logout.
_ACCESS_TOKEN: Final = frozenset({"bearer", "at+jwt"})


def caller_of(claims: Claims, times: Lifetime, key: VerificationKey, trust: Trust, external: External) -> Caller:
    """The caller that the claims name, once issuer and audience are right. Raises a TokenRefusal."""
    issuer = required(claims, "iss")
    if issuer != external.issuer or (key.issuers and issuer not in key.issuers):
        raise InvalidIssuer
    _check_audience(claims, trust)
    _check_purpose(claims)
    text(claims, "jti")  # RFC 7519, 4.1.7; nothing is made of it
    subject, client = required(claims, "sub"), _client(claims)
    kind = _kind(claims, external, subject, client)
    return Caller(
        tenant_id=external.tenant,
        subject=_guid(issuer, "subject", subject),
        client_id=_guid(issuer, "client", client),
        kind=kind,
        permissions=_permissions(claims, external, kind),
        personal=False,
        not_before=times.not_before,
        expires=times.expires,
        issued=times.issued,
        issuer=external.name,
        can_take_challenge="cp1" in {capability.lower() for capability in texts(claims, "xms_cc")},
        name=_name(claims, kind, client),
    )


def _check_audience(claims: Claims, trust: Trust) -> None:
    """One of the audiences has to be ours. Providers add their own to the list (Keycloak: `account`)."""
    audience = claims.get("aud")
    audiences = list_of_texts([audience] if isinstance(audience, str) else audience, "aud")
    if audiences.isdisjoint(trust.audiences):
        raise InvalidAudience


def _check_purpose(claims: Claims) -> None:
    kind = text(claims, "typ")
    if not _ID_TOKEN.isdisjoint(claims) or (kind is not None and kind.lower() not in _ACCESS_TOKEN):
        raise InvalidToken("The token is not an access token.")


def _client(claims: Claims) -> str:
    for name in _CLIENT:
        if name in claims:
            return required(claims, name)
    raise InvalidToken("The client_id claim is missing.")


def _kind(claims: Claims, external: External, subject: str, client: str) -> Kind:
    """An application by what the settings say, or else by its subject, which then is the client (RFC 9068, 2.2)."""
    if external.application:
        is_application = all(claims.get(name) == value for name, value in external.application.items())
    else:
        is_application = subject == client
    return Kind.APPLICATION if is_application else Kind.DELEGATED


def _permissions(claims: Claims, external: External, kind: Kind) -> frozenset[str]:
    """Scopes; and of an application its roles too. A person's roles are the person's, not the client's."""
    permissions = external.permissions_of_scopes(_scopes(claims, external))
    if kind is Kind.APPLICATION:
        permissions |= external.permissions_of_roles(_roles(claims, external))
    return permissions


def _scopes(claims: Claims, external: External) -> frozenset[str]:
    """Scopes in one text with blanks between (RFC 9068), or in a list (Okta)."""
    name = external.scopes_claim or ("scope" if "scope" in claims else "scp")
    value = claims.get(name, "")
    if isinstance(value, list):
        return list_of_texts(value, name)
    return frozenset((text(claims, name) or "").split(" ")) - {""}


def _roles(claims: Claims, external: External) -> frozenset[str]:
    """The list of roles. A dot leads into an object (`realm_access.roles`), unless a claim bears the whole name."""
    name = external.roles_claim
    if name in claims:
        return texts(claims, name)
    value: object = claims
    for step in name.split("."):
        if not isinstance(value, Mapping) or step not in value:
            return frozenset()
        value = value[step]
    return list_of_texts(value, name)


def _name(claims: Claims, kind: Kind, client: str) -> str | None:
    if kind is Kind.APPLICATION:
        return display({"client_id": client}, "client_id")
    return next((found for name in _PERSON if (found := display(claims, name))), None)


def _guid(issuer: str, what: str, name: str) -> str:
    return str(uuid.uuid5(uuid.uuid5(uuid.NAMESPACE_URL, issuer), f"{what} {name}"))
