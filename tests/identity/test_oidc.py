"""The settings of external issuers: what is taken, what is refused and in which words."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import pytest
from tests.identity.provider import AUDIENCE, HOME, ISSUER, METADATA, WRITE, settings

from adjoin.identity import oidc
from adjoin.identity.oidc import BadIssuer

ENTRA: Final = "https://login.microsoftonline.com/{tenantid}/v2.0"
ENTRA_V1: Final = "https://sts.windows.net/{tenantid}/"
THEIRS: Final = "99999999-9999-4999-8999-99999999999A"
GOOD: Final = {"name": "main", "issuer": ISSUER, "audiences": [AUDIENCE], "tenant": HOME}
SHARED: Final = {"name": "entra", "issuer": ENTRA, "audiences": [HOME], "tenants": [THEIRS]}


def test_defaults() -> None:
    found = settings()
    assert found.metadata_url == METADATA
    assert found.hosts == {"id.example.org"}
    assert (found.algorithms, found.shared, found.refresh, found.unknown_key_interval) == (("RS256",), False, 3600, 60)


def test_entra_for_many_tenants() -> None:
    (found,) = oidc.read([SHARED])
    assert found.metadata_url == "https://login.microsoftonline.com/common/v2.0/.well-known/openid-configuration"
    external = oidc.external(found, lambda name: name)
    assert external.issuer is None
    assert external.tenants == {THEIRS.lower(): THEIRS}
    assert oidc.trust(found, external, {}).issuers == {"2.0": (ENTRA,)}


def test_entra_v1_with_its_discovery_elsewhere() -> None:
    given = {
        **SHARED,
        "issuer": ENTRA_V1,
        "discovery": "https://login.microsoftonline.com/common/.well-known/openid-configuration",
        "tenants": {THEIRS: "contoso"},
    }
    (found,) = oidc.read([given])
    external = oidc.external(found, {"contoso": HOME}.get)
    assert external.tenants == {THEIRS.lower(): HOME}
    assert oidc.trust(found, external, {}).issuers == {"1.0": (ENTRA_V1,)}
    assert found.hosts == {"sts.windows.net", "login.microsoftonline.com"}


def test_a_tenant_that_is_not_there() -> None:
    with pytest.raises(BadIssuer, match="'main' names a tenant 'contoso', which is not there"):
        oidc.external(settings(tenant="contoso"), lambda _: None)


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://a.example/x", "a.example"),
        ("https://A.Example:443/x", "a.example"),
        ("https://a.example:8443/x", "a.example:8443"),
        ("https://[::1]:8443/x", "::1:8443"),
        ("http://127.0.0.1:80/", "127.0.0.1"),
        ("https://a.example:80/", "a.example:80"),
    ],
)
def test_hosts_have_their_ports(url: str, host: str) -> None:
    assert oidc.host_of(oidc.check_url(url, loopback=True)) == host


def test_http_on_loopback_for_tests() -> None:
    for host in ("127.0.0.1:9", "localhost:9", "[::1]:9", "127.9.9.9"):
        assert settings(issuer=f"http://{host}", allow_http_loopback=True)


def test_a_ca_file_that_is_there(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("")
    assert settings(ca_file=str(tmp_path / "ca.pem")).ca_file == tmp_path / "ca.pem"


WRONG: Final[dict[str, tuple[dict[str, Any], str]]] = {
    "no name": ({"name": None}, "missing required field `name`"),
    "a name with a blank": ({"name": "a b"}, "name"),
    "no issuer": ({"issuer": None}, "missing required field `issuer`"),
    "no audiences": ({"audiences": []}, "it has no audiences"),
    "an empty audience": ({"audiences": [""]}, "it has no audiences"),
    "a word for audiences": ({"audiences": "x"}, "audiences"),
    "a setting that there is not": ({"jwks-uri": "https://x"}, "jwks-uri"),
    "http": ({"issuer": "http://id.example.org"}, "does not begin with https"),
    "http on loopback without leave": ({"issuer": "http://127.0.0.1:1"}, "does not begin with https"),
    "http elsewhere with leave": (
        {"issuer": "http://id.example.org", "allow-http-loopback": True},
        "does not begin with https",
    ),
    "http on a name that begins as loopback": (
        {"issuer": "http://127.0.0.1.evil.example", "allow-http-loopback": True},
        "does not begin with https",
    ),
    "ftp": ({"issuer": "ftp://id.example.org"}, "does not begin with https"),
    "a file": ({"issuer": "file:///etc/passwd"}, "no host"),
    "no URL": ({"issuer": "id.example.org"}, "no host"),
    "a user in the URL": ({"issuer": "https://good.example@evil.example"}, "names a user"),
    "a backslash": ({"issuer": "https://good.example\\@evil.example"}, "not a plain URL"),
    "a line end": ({"issuer": "https://good.example\n.evil.example"}, "not a plain URL"),
    "letters beyond ASCII": ({"issuer": "https://gооd.example"}, "not a plain URL"),
    "a fragment": ({"issuer": "https://id.example.org/#x"}, "not a plain URL"),
    "braces": ({"issuer": "https://id.example.org/{tenant}"}, "braces"),
    "a tenant in the host": ({"issuer": "https://{tenantid}.example.org", "tenants": [THEIRS]}, "braces"),
    "http for the discovery": ({"discovery": "http://id.example.org/x"}, "its discovery"),
    "braces in the discovery": ({"discovery": "https://id.example.org/{tenantid}"}, "braces"),
    "no tenant": ({"tenant": None}, "it has no `tenant`"),
    "tenants beside a fixed issuer": ({"tenants": [THEIRS]}, "it has no `tenant`"),
    "HS256": ({"algorithms": ["HS256"]}, "RS256, ES256"),
    "none": ({"algorithms": ["none"]}, "RS256, ES256"),
    "no algorithms": ({"algorithms": []}, "RS256, ES256"),
    "no interval": ({"unknown-key-interval": 0}, "unknown-key-interval"),
    "no refresh": ({"refresh": 0}, "refresh"),
    "a skew of an hour": ({"clock-skew": 3600}, "clock-skew"),
    "a ca-file that is not there": ({"ca-file": "/nowhere/ca.pem"}, "ca-file"),
    "roles that are no map": ({"roles": ["x"]}, "roles"),
    "Entra with a fixed tenant": (
        {"issuer": f"https://login.microsoftonline.com/{THEIRS}/v2.0"},
        "Entra is named with {tenantid}",
    ),
    "Entra v1 with a fixed tenant": ({"issuer": f"https://sts.windows.net/{THEIRS}/"}, "Entra is named with"),
    "Entra without a list": ({**SHARED, "tenants": []}, "has a list `tenants`"),
    "Entra with one tenant for all": ({**SHARED, "tenant": HOME}, "has a list `tenants`"),
    "Entra's tenants by name": ({**SHARED, "tenants": ["contoso"]}, "by their GUIDs"),
    "a file that is a number": ({"ca-file": 5}, "a path is text, not 5"),
    "Entra with another claim for roles": ({**SHARED, "tenant": None, "roles-claim": "x"}, "have fixed names"),
}


@pytest.mark.parametrize(("changes", "words"), WRONG.values(), ids=WRONG.keys())
def test_wrong_settings(changes: dict[str, Any], words: str) -> None:
    base = {} if "tenants" in changes and changes.get("issuer") == ENTRA else GOOD
    given = {name: value for name, value in {**base, **changes}.items() if value is not None}
    with pytest.raises(BadIssuer) as caught:
        oidc.read([given])
    assert words in caught.value.message


@pytest.mark.parametrize("what", ["name", "issuer"])
def test_two_issuers_that_are_one(what: str) -> None:
    other = {**GOOD, "name": "other", "issuer": "https://other.example", what: GOOD[what]}
    with pytest.raises(BadIssuer, match=f"same {what}"):
        oidc.read([GOOD, other])


def test_mappings() -> None:
    mapped = oidc.external(settings(roles={"admin": WRITE}, scopes={"write": WRITE, "none": "x"}), lambda name: name)
    assert mapped.permissions_of_roles(frozenset({"admin", WRITE})) == {WRITE}
    assert mapped.permissions_of_scopes(frozenset({"write", "admin"})) == {WRITE}
    plain = oidc.external(settings(), lambda name: name)
    assert plain.permissions_of_roles(frozenset({WRITE})) == {WRITE}
