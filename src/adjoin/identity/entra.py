"""The claims of Entra's tokens, v1 and v2, which the built-in issuer's tokens have too: from claims to their caller.

Everything of graph-contract 4.2 that stands in the payload is checked here; signature and lifetime were before.
"""

from __future__ import annotations

from typing import Final

from adjoin.identity.caller import Caller, Kind
from adjoin.identity.claims import Claims, Lifetime, display, guid, is_guid, required, text, texts
from adjoin.identity.clouds import GLOBAL, GRAPH_HOST_CLAIM, PERSONAL_TENANT, fill
from adjoin.identity.errors import InvalidAudience, InvalidIssuer, InvalidToken
from adjoin.identity.keys import VerificationKey
from adjoin.identity.trust import Trust

# Which claims name the calling client and the person, by the form of the token (graph-contract 4.1, 4.2).
_CLIENT: Final = {"1.0": "appid", "2.0": "azp"}
_PERSON: Final = {"1.0": "upn", "2.0": "preferred_username"}


def caller_of(claims: Claims, times: Lifetime, key: VerificationKey, trust: Trust) -> Caller:
    """The caller that the claims name, once their form, audience and issuer are right. Raises a TokenRefusal."""
    version = _version(claims)
    _check_audience(claims, version, trust)
    _check_issuer(claims, version, key, trust)
    return _caller(claims, times, version, trust)


def _version(claims: Claims) -> str:
    version = required(claims, "ver")
    if version not in _CLIENT:
        raise InvalidToken("The ver claim is not 1.0 or 2.0.")
    return version


def _check_audience(claims: Claims, version: str, trust: Trust) -> None:
    """One audience, and ours. A list of several is refused: such a token would be good at another service as well."""
    audience = claims.get("aud")
    if isinstance(audience, list) and len(audience) == 1:
        audience = audience[0]
    if not isinstance(audience, str) or audience not in trust.audiences:
        raise InvalidAudience
    if version == "2.0" and not is_guid(audience):  # graph-contract 4.2: "v2: always the client-id GUID"
        raise InvalidAudience


def _check_issuer(claims: Claims, version: str, key: VerificationKey, trust: Trust) -> None:
    """The issuer of this form of token, for the token's own tenant, and one that the key may sign for."""
    issuer, tenant = required(claims, "iss"), required(claims, "tid")
    guid(claims, "tid")  # before it is filled in anywhere
    accepted = {fill(template, tenant) for template in trust.issuers.get(version, ())}
    if key.issuers:
        accepted &= {fill(template, tenant) for template in key.issuers}
    if issuer not in accepted or claims.get(GRAPH_HOST_CLAIM, GLOBAL.graph_host) != trust.graph_host:
        raise InvalidIssuer


def _caller(claims: Claims, times: Lifetime, version: str, trust: Trust) -> Caller:
    kind = _kind(claims)
    text(claims, "uti")  # as Entra writes it, or a token is none of its form; nothing is made of it
    roles = texts(claims, "roles")
    tenant = guid(claims, "tid")
    return Caller(
        tenant_id=_home(tenant, trust),
        subject=guid(claims, "oid"),
        client_id=guid(claims, _CLIENT[version]),
        kind=kind,
        permissions=_granted(roles, claims, kind, trust),
        personal=tenant == PERSONAL_TENANT,
        not_before=times.not_before,
        expires=times.expires,
        issued=times.issued,
        issuer=trust.external.name if trust.external else None,
        can_take_challenge="cp1" in {capability.lower() for capability in texts(claims, "xms_cc")},
        name=display(claims, "app_displayname" if kind is Kind.APPLICATION else _PERSON[version]),
    )


def _home(tenant: str, trust: Trust) -> str:
    """The tenant here that a tenant of Entra's acts in: itself for our own tokens, by the allow list for others.

    Personal accounts go through: they are refused later, and in Graph's words for them.
    """
    if trust.external is None or tenant == PERSONAL_TENANT:
        return tenant
    home = trust.external.tenants.get(tenant)
    if home is None:
        raise InvalidIssuer
    return home


def _granted(roles: frozenset[str], claims: Claims, kind: Kind, trust: Trust) -> frozenset[str]:
    scopes = frozenset((text(claims, "scp") or "").split(" ")) - {""}
    if trust.external is None:
        return roles if kind is Kind.APPLICATION else scopes
    if kind is Kind.APPLICATION:
        return trust.external.permissions_of_roles(roles)
    return trust.external.permissions_of_scopes(scopes)


def _kind(claims: Claims) -> Kind:
    """Application or delegated (graph-contract 4.3).

    `roles` has no say: a person's token carries the person's roles in it, and to take those for permissions of the
    application would let anyone with a role in any app in. Without `idtyp` an application is known by its subject,
    which for an application alone is the object itself.
    """
    idtyp, is_itself = text(claims, "idtyp"), required(claims, "sub") == required(claims, "oid")
    if idtyp not in {None, "app", "user"}:
        raise InvalidToken("The idtyp claim is not app or user.")
    if idtyp == "app" and ("scp" in claims or not is_itself):
        raise InvalidToken("The claims of an application and of a user are mixed.")
    if idtyp == "app" or (idtyp is None and "scp" not in claims and is_itself):
        return Kind.APPLICATION
    return Kind.DELEGATED
