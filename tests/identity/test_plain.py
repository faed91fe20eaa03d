"""Access tokens of plain OpenID providers: Keycloak's, Okta's, Auth0's and RFC 9068's forms, and what is refused."""

from __future__ import annotations

import asyncio
import tomllib
import uuid
from functools import cache
from pathlib import Path
from textwrap import dedent
from typing import Any, Final

import pytest
from tests.identity.provider import AUDIENCE, HOME, ISSUER, NOW, READ, WRITE, Provider, curve_key, jwk, rsa_key, source

from adjoin.identity import oidc
from adjoin.identity.caller import Caller, Kind
from adjoin.identity.errors import (
    ExpiredToken,
    InvalidAudience,
    InvalidIssuer,
    InvalidSignature,
    InvalidToken,
    TokenNotYetValid,
    TokenRefusal,
    UnknownKey,
)
from adjoin.identity.sources import KeySource
from adjoin.identity.tokens import verify
from adjoin.identity.trust import Trust

PROVIDER: Final = Provider()


def trust(provider: Provider = PROVIDER, **changes: Any) -> Trust:
    found = source(provider, **changes)
    asyncio.run(found.refresh(NOW))
    return found.trust


TRUST: Final = trust()


def derived(what: str) -> str:
    return str(uuid.uuid5(uuid.uuid5(uuid.NAMESPACE_URL, ISSUER), what))


def test_a_program() -> None:
    assert verify(PROVIDER.token(xms_cc=["cp1"], nbf=NOW - 20), TRUST, NOW) == Caller(
        tenant_id=HOME,
        subject=derived("subject provisioning"),
        client_id=derived("client provisioning"),
        kind=Kind.APPLICATION,
        permissions=frozenset({WRITE}),
        personal=False,
        not_before=NOW - 20,
        expires=NOW + 600,
        issued=NOW - 10,
        issuer="main",
        can_take_challenge=True,
        name="provisioning",
    )


def test_a_person() -> None:
    text = PROVIDER.token(sub="ada", scope=f"openid {READ}", roles=[WRITE], preferred_username="ada@example.org")
    found = verify(text, TRUST, NOW)
    assert (found.kind, found.name) == (Kind.DELEGATED, "ada@example.org")
    assert found.permissions == {READ, "openid"}


def test_the_same_name_at_two_issuers_is_two_subjects() -> None:
    other = Provider(issuer="https://other.example")
    mine, theirs = verify(PROVIDER.token(), TRUST, NOW), verify(other.token(), trust(other), NOW)
    assert mine.subject != theirs.subject
    assert mine.client_id != theirs.client_id


def test_a_guid_of_an_issuers_is_not_taken_for_one_of_ours() -> None:
    found = verify(PROVIDER.token(sub=HOME, client_id=HOME), TRUST, NOW)
    assert HOME not in (found.subject, found.client_id)


KEYCLOAK: Final = {
    "azp": "portal",
    "client_id": None,
    "typ": "Bearer",
    "aud": ["account", AUDIENCE],
    "realm_access": {"roles": ["connector-admin", "offline_access"]},
    "scope": "profile email",
    "preferred_username": "service-account-portal",
}


@pytest.mark.parametrize(
    ("settings", "claims", "permissions"),
    [
        ({}, {"client_id": None, "azp": "provisioning"}, {WRITE}),
        ({}, {"client_id": None, "cid": "provisioning", "scope": None, "scp": [READ]}, {READ}),
        ({}, {"client_id": None, "appid": "provisioning", "scope": None, "scp": READ}, {READ}),
        ({}, {"scope": None}, set()),
        ({}, {"scope": "", "roles": [READ]}, {READ}),
        ({"scopes_claim": "permissions"}, {"permissions": [READ], "scope": WRITE}, {READ}),
        ({"scopes": {"write": WRITE}}, {"scope": f"write {READ}"}, {WRITE}),
        ({"scopes": {}, "roles": {"r": READ}}, {"roles": ["r", "s"]}, {READ}),
        ({"roles_claim": "groups"}, {"scope": "", "groups": [READ]}, {READ}),
        ({"roles_claim": "realm_access.roles"}, {"scope": "", "realm_access": {"roles": [READ]}}, {READ}),
        ({"roles_claim": "a.b"}, {"scope": "", "a.b": [READ], "a": {"b": [WRITE]}}, {READ}),
        ({"roles_claim": "https://x.example/roles"}, {"scope": "", "https://x.example/roles": [READ]}, {READ}),
        ({"roles_claim": "a.b"}, {"scope": "", "a": [READ]}, set()),
        (
            {
                "roles_claim": "realm_access.roles",
                "roles": {"connector-admin": WRITE},
                "scopes": {},
                "application": {"preferred_username": "service-account-portal"},
            },
            KEYCLOAK,
            {WRITE},
        ),
        ({"roles_claim": "realm_access.roles", "roles": {"connector-admin": WRITE}, "scopes": {}}, KEYCLOAK, set()),
        (
            {"application": {"gty": "client-credentials"}},
            {"sub": "x@clients", "azp": "x", "gty": "client-credentials", "roles": [READ]},
            {READ, WRITE},
        ),
        ({"application": {"gty": "client-credentials"}}, {"roles": [READ]}, {WRITE}),
    ],
)
def test_forms_of_claims(settings: dict[str, Any], claims: dict[str, Any], permissions: set[str]) -> None:
    assert verify(PROVIDER.token(**claims), trust(**settings), NOW).permissions == permissions


SERVICE_ACCOUNT: Final[dict[str, Any]] = {
    **KEYCLOAK,
    "header": {"typ": "JWT"},
    "sub": "5ad4a7a0-6f3e-4e0e-9f3c-0b1f5b0a2d11",
    "client_id": "portal",
    "clientHost": "192.0.2.7",
    "clientAddress": "192.0.2.7",
    "acr": "1",
    "allowed-origins": ["/*"],
    "resource_access": {"account": {"roles": ["manage-account", "view-profile"]}},
    "email_verified": False,
}
"""The claims of a Keycloak client's token as itself: the subject is a user that it has for that."""


@cache
def documented() -> Trust:
    """The trust in a Keycloak by exactly the settings that docs/operations.md has for one."""
    text = (Path(__file__).parents[2] / "docs" / "operations.md").read_text("utf-8")
    example = text.partition("## External issuers\n")[2].partition("\n| ")[0]
    given = oidc.read(tomllib.loads(dedent(example))["issuers"][:1])[0]
    found = KeySource(given, oidc.external(given, {"default": HOME}.get), PROVIDER.fetch)
    asyncio.run(found.refresh(NOW))
    return found.trust


class TestTheDocumentedKeycloak:
    def test_takes_a_service_account_for_a_program_with_its_roles(self) -> None:
        found = verify(PROVIDER.token(**SERVICE_ACCOUNT), documented(), NOW)
        assert (found.kind, found.tenant_id, found.name) == (Kind.APPLICATION, HOME, "portal")
        assert WRITE in found.permissions

    def test_takes_a_person_for_one_whose_roles_are_their_own(self) -> None:
        person = {**SERVICE_ACCOUNT, "preferred_username": "ada", "sub": HOME}
        found = verify(PROVIDER.token(**person), documented(), NOW)
        assert (found.kind, found.name) == (Kind.DELEGATED, "ada")
        assert WRITE not in found.permissions


ID_TOKEN: Final[dict[str, Any]] = {"header": {"typ": "JWT"}, "at_hash": "x", "nonce": "y"}
OTHER_KEY: Final = Provider(keys={"k1": rsa_key(2)})

REFUSED: Final[dict[str, tuple[str, type[TokenRefusal]]]] = {
    "another issuer": (PROVIDER.token(iss="https://evil.example"), InvalidIssuer),
    "an issuer with a slash": (PROVIDER.token(iss=f"{ISSUER}/"), InvalidIssuer),
    "an issuer in capitals": (PROVIDER.token(iss=ISSUER.upper()), InvalidIssuer),
    "an issuer that goes on": (PROVIDER.token(iss=f"{ISSUER}2"), InvalidIssuer),
    "no issuer": (PROVIDER.token(iss=None), InvalidToken),
    "an issuer in a list": (PROVIDER.token(iss=[ISSUER]), InvalidToken),
    "another audience": (PROVIDER.token(aud="account"), InvalidAudience),
    "audiences without ours": (PROVIDER.token(aud=["a", "b"]), InvalidAudience),
    "no audience": (PROVIDER.token(aud=None), InvalidToken),
    "an empty list of audiences": (PROVIDER.token(aud=[]), InvalidAudience),
    "an audience that is a number": (PROVIDER.token(aud=[1]), InvalidToken),
    "an audience in an object": (PROVIDER.token(aud={AUDIENCE: 1}), InvalidToken),
    "an id token": (PROVIDER.token("k1", **ID_TOKEN), InvalidToken),
    "an id token of the hybrid flow": (PROVIDER.token(c_hash="x"), InvalidToken),
    "Keycloak's id token": (PROVIDER.token(typ="ID"), InvalidToken),
    "Keycloak's refresh token": (PROVIDER.token(typ="Refresh"), InvalidToken),
    "Keycloak's offline token": (PROVIDER.token(typ="Offline"), InvalidToken),
    "a logout token": (PROVIDER.token(header={"typ": "logout+jwt"}), InvalidToken),
    "a proof of possession": (PROVIDER.token(header={"typ": "dpop+jwt"}), InvalidToken),
    "no subject": (PROVIDER.token(sub=None), InvalidToken),
    "an empty subject": (PROVIDER.token(sub=""), InvalidToken),
    "a subject that is a number": (PROVIDER.token(sub=1), InvalidToken),
    "no client": (PROVIDER.token(client_id=None), InvalidToken),
    "a client that is a list": (PROVIDER.token(client_id=["x"]), InvalidToken),
    "a client beside another": (PROVIDER.token(client_id=1, azp="provisioning"), InvalidToken),
    "no end": (PROVIDER.token(exp=None), InvalidToken),
    "an end that is a text": (PROVIDER.token(exp="never"), InvalidToken),
    "over": (PROVIDER.token(exp=NOW - 301), ExpiredToken),
    "not yet": (PROVIDER.token(nbf=NOW + 301), TokenNotYetValid),
    "scopes that are an object": (PROVIDER.token(scope={WRITE: 1}), InvalidToken),
    "scopes that are numbers": (PROVIDER.token(scope=[1]), InvalidToken),
    "roles that are one text": (PROVIDER.token(roles=WRITE), InvalidToken),
    "roles that are objects": (PROVIDER.token(roles=[{}]), InvalidToken),
    "a token id that is a list": (PROVIDER.token(jti=[]), InvalidToken),
    "a subject with a line end": (PROVIDER.token(sub="a\nb"), InvalidToken),
    "another's key under our kid": (OTHER_KEY.token(), InvalidSignature),
    "a kid of nobody's": (PROVIDER.token("k2"), UnknownKey),
}


@pytest.mark.parametrize(("text", "refusal"), REFUSED.values(), ids=REFUSED.keys())
def test_refused(text: str, refusal: type[TokenRefusal]) -> None:
    with pytest.raises(TokenRefusal) as caught:
        verify(text, TRUST, NOW)
    assert type(caught.value) is refusal


def test_a_type_that_has_to_be() -> None:
    strict = trust(token_type="AT+JWT")
    assert verify(PROVIDER.token(), strict, NOW)
    assert verify(PROVIDER.token(header={"typ": "application/at+jwt"}), strict, NOW)
    with pytest.raises(InvalidToken, match="not of type at\\+jwt"):
        verify(PROVIDER.token(header={"typ": "JWT"}), strict, NOW)


def test_a_key_bound_to_another_issuer_verifies_nothing() -> None:
    """Such a key isn't taken at all; were it, its tokens would still be refused."""
    bound = Provider(jwks={"keys": [jwk(rsa_key(1), "k1", issuer="https://evil.example")]})
    with pytest.raises(UnknownKey):
        verify(bound.token(), trust(bound), NOW)


def test_curves() -> None:
    document = {"keys": [jwk(curve_key(1), "c"), jwk(rsa_key(1), "k1")]}
    found = trust(Provider(jwks=document), algorithms=["ES256"])
    assert set(found.keys) == {"c"}
    with pytest.raises(InvalidSignature):
        verify(PROVIDER.token(), found, NOW)
