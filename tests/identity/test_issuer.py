"""What the built-in issuer puts into tokens, that the service takes them again, and client secrets."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adjoin.identity import issuer
from adjoin.identity.caller import Caller, Kind
from adjoin.identity.clouds import CLOUDS, GLOBAL, GRAPH_APP_ID, PERMISSIONS, PERSONAL_TENANT, Cloud, Version, fill
from adjoin.identity.errors import ExpiredToken, InvalidAudience, InvalidIssuer, TokenNotYetValid, UnknownKey
from adjoin.identity.issuer import Grant, digest, matches, mint, new_secret
from adjoin.identity.keys import KeyRing, add_key, open_ring
from adjoin.identity.tokens import verify
from adjoin.identity.verified import VerifiedTokens

NOW: Final = 1_800_000_000
TENANT: Final = "11111111-1111-4111-8111-111111111111"
SUBJECT: Final = "aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa"
CLIENT: Final = "cccccccc-cccc-4ccc-8ccc-cccccccccccc"
READ: Final = "DeviceManagementConfiguration.Read.All"
WRITE: Final = "DeviceManagementConfiguration.ReadWrite.All"
VERSIONS: Final[tuple[Version, ...]] = ("1.0", "2.0")


@pytest.fixture(scope="module")
def ring(tmp_path_factory: pytest.TempPathFactory) -> KeyRing:
    return open_ring(tmp_path_factory.mktemp("issuer") / "keys")


def granting(**changes: Any) -> Grant:
    usual: dict[str, Any] = {
        "tenant_id": TENANT,
        "subject": SUBJECT,
        "client_id": CLIENT,
        "permissions": frozenset({WRITE, READ}),
    }
    return Grant(**{**usual, **changes})


def parts(token: str) -> list[dict[str, Any]]:
    return [json.loads(base64.urlsafe_b64decode(part + "==")) for part in token.split(".")[:2]]


# --- claims


def test_application_token_is_as_graphs(ring: KeyRing) -> None:
    """graph-contract 4.1: v1 form, whichever endpoint was asked."""
    header, claims = parts(mint(ring.signing, granting(app_display_name="Tool", capabilities=("cp1",)), NOW, "uti-1"))
    assert header == {"typ": "JWT", "alg": "RS256", "kid": ring.signing.kid}
    assert claims == {
        "aud": "https://graph.microsoft.com",
        "iss": f"https://sts.windows.net/{TENANT}/",
        "iat": NOW,
        "nbf": NOW - 300,
        "exp": NOW + 3599,
        "app_displayname": "Tool",
        "appid": CLIENT,
        "appidacr": "1",
        "idtyp": "app",
        "oid": SUBJECT,
        "roles": [READ, WRITE],
        "sub": SUBJECT,
        "tid": TENANT,
        "uti": "uti-1",
        "ver": "1.0",
        "xms_cc": ["cp1"],
    }


def test_user_token_is_as_graphs(ring: KeyRing) -> None:
    grant = granting(kind=Kind.DELEGATED, upn="ada@example.org", public_client=True)
    _, claims = parts(mint(ring.signing, grant, NOW, "uti-1"))
    assert (claims["idtyp"], claims["scp"], claims["appidacr"]) == ("user", f"{READ} {WRITE}", "0")
    assert claims["upn"] == claims["unique_name"] == "ada@example.org"
    assert "roles" not in claims
    assert claims["oid"] == SUBJECT != claims["sub"]


def test_v2_form(ring: KeyRing) -> None:
    _, claims = parts(mint(ring.signing, granting(version="2.0"), NOW, "uti-1"))
    assert (claims["ver"], claims["aud"], claims["azp"], claims["azpacr"]) == ("2.0", GRAPH_APP_ID, CLIENT, "1")
    assert claims["iss"] == f"https://login.microsoftonline.com/{TENANT}/v2.0"
    assert not {"appid", "appidacr"} & set(claims)


def test_a_persons_sub_differs_from_client_to_client() -> None:
    subjects = {
        issuer.claims(granting(kind=Kind.DELEGATED, client_id=client, subject=subject), NOW, "u")["sub"]
        for client in (CLIENT, TENANT)
        for subject in (SUBJECT, TENANT)
    }
    assert len(subjects) == 4


@pytest.mark.parametrize("seconds", [3599, 1, 0, -1, -300, -3600, -86400])
def test_a_lifetime_has_its_beginning_before_its_end(seconds: int) -> None:
    claims = issuer.claims(granting(expires_in=seconds), NOW, "u")
    assert claims["exp"] == NOW + seconds
    assert claims["nbf"] < claims["iat"] <= claims["exp"]
    assert claims["nbf"] <= NOW - 300


# --- round trip


@pytest.mark.parametrize("cloud", CLOUDS.values(), ids=CLOUDS)
@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("personal", [False, True])
def test_what_is_minted_is_verified(ring: KeyRing, cloud: Cloud, version: Version, kind: Kind, personal: bool) -> None:
    grant = granting(
        kind=kind,
        version=version,
        personal=personal,
        cloud=cloud,
        app_display_name="Tool",
        upn="ada@example.org",
        capabilities=("CP1",),
    )
    assert verify(mint(ring.signing, grant, NOW, "uti-1"), issuer.trust(ring, cloud), NOW) == Caller(
        tenant_id=PERSONAL_TENANT if personal else TENANT,
        subject=SUBJECT,
        client_id=CLIENT,
        kind=kind,
        permissions=frozenset({READ, WRITE}),
        personal=personal,
        not_before=NOW - 300,
        expires=NOW + 3599,
        issued=NOW,
        issuer=None,
        can_take_challenge=True,
        name="Tool" if kind is Kind.APPLICATION else "ada@example.org",
    )


_NAMES: Final = st.from_regex(r"[A-Za-z]{1,12}(\.[A-Za-z]{1,12}){1,3}", fullmatch=True)


@given(
    permissions=st.frozensets(_NAMES, max_size=5),
    kind=st.sampled_from(Kind),
    version=st.sampled_from(VERSIONS),
    ids=st.tuples(st.uuids(), st.uuids(), st.uuids()),
    name=st.none() | st.text(max_size=40),
    lifetime=st.integers(1, 100_000),
)
@settings(max_examples=60, deadline=None)
def test_every_grant_survives_the_round_trip(
    ring: KeyRing,
    permissions: frozenset[str],
    kind: Kind,
    version: Version,
    ids: tuple[object, object, object],
    name: str | None,
    lifetime: int,
) -> None:
    tenant, subject, client = (str(number) for number in ids)
    grant = Grant(
        tenant_id=tenant,
        subject=subject,
        client_id=client,
        permissions=permissions,
        kind=kind,
        version=version,
        expires_in=lifetime,
        app_display_name=name,
        upn=name,
    )
    caller = verify(mint(ring.signing, grant, NOW, "u"), issuer.trust(ring), NOW + lifetime - 1)
    assert (caller.tenant_id, caller.subject, caller.client_id) == (tenant, subject, client)
    assert (caller.kind, caller.permissions) == (kind, permissions)


def test_a_token_without_permissions_has_none(ring: KeyRing) -> None:
    for kind in Kind:
        text = mint(ring.signing, granting(kind=kind, permissions=frozenset()), NOW, "u")
        caller = verify(text, issuer.trust(ring), NOW)
        assert (caller.kind, caller.permissions) == (kind, frozenset())


@pytest.mark.parametrize("seconds", [0, -1, -3600])
def test_a_token_minted_as_expired_is_refused_at_once(ring: KeyRing, seconds: int) -> None:
    """`adjoin token --expires-in -1`: testers of clients want the refusal now, not after five minutes of skew."""
    with pytest.raises(ExpiredToken):
        verify(mint(ring.signing, granting(expires_in=seconds), NOW, "u"), issuer.trust(ring), NOW)


def test_a_service_whose_clock_is_behind_takes_new_tokens(ring: KeyRing) -> None:
    text = mint(ring.signing, granting(), NOW, "u")
    assert verify(text, issuer.trust(ring), NOW - 300)
    with pytest.raises(TokenNotYetValid):
        verify(text, issuer.trust(ring), NOW - 301)


def test_audiences_of_the_services_own(ring: KeyRing) -> None:
    """clients.md item 23: the audience follows the address that the client was told."""
    text = mint(ring.signing, granting(audience="https://127.0.0.1:8365"), NOW, "u")
    assert verify(text, issuer.trust(ring, audiences=["https://127.0.0.1:8365"]), NOW)
    with pytest.raises(InvalidAudience):
        verify(text, issuer.trust(ring), NOW)


def test_tokens_of_one_cloud_are_not_good_in_another(ring: KeyRing) -> None:
    text = mint(ring.signing, granting(audience=GRAPH_APP_ID, version="2.0"), NOW, "u")
    with pytest.raises(InvalidIssuer):
        verify(text, issuer.trust(ring, CLOUDS["China"]), NOW)


def test_rotation(tmp_path: Path) -> None:
    """Old tokens stay good; a process that hasn't read the new key yet is told that the key is unknown, by its type."""
    before = open_ring(tmp_path / "keys")
    old = mint(before.signing, granting(), NOW, "u")
    cache = VerifiedTokens(issuer.trust(before))
    after = add_key(tmp_path / "keys")
    new = mint(after.signing, granting(), NOW, "u")
    with pytest.raises(UnknownKey):
        cache.verify(new, NOW)
    cache.forget(issuer.trust(open_ring(tmp_path / "keys")))
    assert cache.verify(new, NOW) == cache.verify(old, NOW)


# --- secrets


def test_a_secret_is_printable_and_keeps_all_its_randomness() -> None:
    secret = new_secret(bytes(range(224, 256)))
    assert re.fullmatch(r"adj8Q~[A-Za-z0-9_-]{43}", secret)
    assert base64.urlsafe_b64decode(secret[6:] + "=") == bytes(range(224, 256))


@given(st.binary(min_size=32, max_size=64), st.binary(min_size=32, max_size=64))
def test_secrets_of_different_bytes_differ(one: bytes, other: bytes) -> None:
    assert (new_secret(one) == new_secret(other)) == (one == other)
    assert matches(new_secret(one), digest(new_secret(other))) == (one == other)


@pytest.mark.parametrize("size", [0, 16, 31])
def test_a_secret_of_too_few_bytes_is_not_made(size: int) -> None:
    with pytest.raises(ValueError, match="32"):
        new_secret(bytes(size))


@given(st.text(alphabet=st.characters()))
def test_any_text_may_be_offered_as_a_secret(text: str) -> None:
    assert not matches(text, digest(new_secret(bytes(32))))
    assert matches(text, digest(text))


@pytest.mark.parametrize("stored", [b"", b"\0" * 31, digest("x")[:-1]])
def test_a_cut_digest_matches_nothing(stored: bytes) -> None:
    assert not matches("x", stored)


def test_the_digest_is_not_the_secret() -> None:
    assert digest("adj8Q~x") != b"adj8Q~x"
    assert len(digest("")) == 32


# --- clouds


def test_clouds_are_those_of_the_create_call() -> None:
    """DESIGN 2: Global, US Government L4 and L5, China; roots and authorities of graph-contract 4.6."""
    assert {name: (cloud.graph_root, cloud.login_authority) for name, cloud in CLOUDS.items()} == {
        "Global": ("https://graph.microsoft.com", "https://login.microsoftonline.com"),
        "USGov": ("https://graph.microsoft.us", "https://login.microsoftonline.us"),
        "USGovDoD": ("https://dod-graph.microsoft.us", "https://login.microsoftonline.us"),
        "China": ("https://microsoftgraph.chinacloudapi.cn", "https://login.chinacloudapi.cn"),
    }
    assert GLOBAL.audiences == ("https://graph.microsoft.com", "https://graph.microsoft.com/", GRAPH_APP_ID)


def test_every_issuer_has_its_tenant_in_it() -> None:
    for cloud in CLOUDS.values():
        for template in (*cloud.issuers_v1, *cloud.issuers_v2):
            assert fill(template, TENANT).count(TENANT) == 1
            assert "{" not in fill(template, TENANT)


def test_permission_ids() -> None:
    assert PERMISSIONS[WRITE].app_role_id == "9241abd9-d0e6-425a-bd4f-47ba86e767a4"
    assert PERMISSIONS[READ].scope_id == "f1493658-876a-4c87-8fa7-edb559b3476a"
