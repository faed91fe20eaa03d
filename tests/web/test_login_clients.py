"""How applications prove themselves: secrets in the body and in the header, and assertions by a registered key."""

from __future__ import annotations

import base64
import datetime
import hashlib
from collections.abc import Callable
from functools import cache
from typing import Any
from urllib.parse import quote_plus

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID
from joserfc import jws
from joserfc.jwk import ECKey, OctKey, RSAKey
from tests.web.visitor import CALLBACK, GRAPH, NOW, ORIGIN, WRITE, Visitor, claims

from adjoin.identity import assertions
from adjoin.identity.client_keys import BadClientKey, read
from adjoin.service.sign_in_clients import ASSERTION_TYPE
from adjoin.store.applications import Application

SCOPE = f"{GRAPH}/.default"
PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


@cache
def rsa_key(number: int = 0) -> rsa.RSAPrivateKey:
    del number
    return rsa.generate_private_key(65537, 2048)


@cache
def ec_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def certificate(key: PrivateKey, days: int = 30) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "app")])
    now = datetime.datetime.fromtimestamp(NOW, datetime.UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(7).not_valid_before(now - datetime.timedelta(days=1))
    return builder.not_valid_after(now + datetime.timedelta(days=days)).sign(key, hashes.SHA256())


def pem(found: x509.Certificate) -> bytes:
    return found.public_bytes(serialization.Encoding.PEM)


def public_pem(key: Any) -> bytes:
    encoded: bytes = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return encoded


def named(found: x509.Certificate, *, sha256: bool = True) -> str:
    return assertions.thumbprint(found.public_bytes(serialization.Encoding.DER), sha256)


def assertion(client: Application, tenant: str, key: PrivateKey, header: dict[str, str], **changes: object) -> str:
    algorithm = header.get("alg", "ES256" if isinstance(key, ec.EllipticCurvePrivateKey) else "RS256")
    said = {
        "aud": f"{ORIGIN}/{tenant}/oauth2/v2.0/token",
        "iss": client.id,
        "sub": client.id,
        "jti": "one",
        "nbf": NOW,
        "exp": NOW + 600,
        **changes,
    }
    said = {name: value for name, value in said.items() if value is not None}
    jwk = ECKey.import_key(key) if isinstance(key, ec.EllipticCurvePrivateKey) else RSAKey.import_key(key)
    whole = {"typ": "JWT", "alg": algorithm, **header}
    return jws.serialize_compact(whole, msgspec.json.encode(said), jwk, [algorithm])


def prove(visitor: Visitor, text: str, **changes: Any) -> Any:
    form = {
        "grant_type": "client_credentials",
        "scope": SCOPE,
        "client_assertion_type": ASSERTION_TYPE,
        "client_assertion": text,
    }
    return visitor.token(**{**form, **changes})


# --- secrets


def test_a_secret_in_the_body_and_in_the_header(visitor: Visitor) -> None:
    client, secret = visitor.add_app()
    form = {"grant_type": "client_credentials", "scope": SCOPE}
    answer = visitor.token(client_id=client.id, client_secret=secret, **form)
    assert list(answer.json) == ["token_type", "expires_in", "ext_expires_in", "access_token"]
    basic = base64.b64encode(f"{quote_plus(client.id)}:{quote_plus(secret)}".encode()).decode()
    answer = visitor.token(headers={"authorization": f"Basic {basic}"}, **form)
    assert visitor.works(answer.json["access_token"]) == 200
    assert claims(answer.json["access_token"])["roles"] == [WRITE]
    both = visitor.token(headers={"authorization": f"Basic {basic}"}, client_secret=secret, **form)
    assert both.refusal == (400, "invalid_request", 7000219)


@pytest.mark.parametrize("credentials", ["", "!", "YQ==", "YTpi"])
def test_a_header_that_proves_nothing(visitor: Visitor, credentials: str) -> None:
    client, _ = visitor.add_app()
    form = {"grant_type": "client_credentials", "scope": SCOPE}
    wrong = base64.b64encode(f"{client.id}:wrong".encode()).decode() if credentials == "YTpi" else credentials
    answer = visitor.token(headers={"authorization": f"Basic {wrong}"}, **form)
    assert answer.refusal == (401, "invalid_client", 7000215)
    assert answer.headers["www-authenticate"] == 'Basic realm="adjoin"'


def test_a_public_client_has_nothing_to_prove(visitor: Visitor) -> None:
    client, secret = visitor.add_app(public=True)
    form = {"grant_type": "client_credentials", "scope": SCOPE, "client_id": client.id}
    assert visitor.token(**form).refusal == (401, "invalid_client", 7000218)
    assert visitor.token(client_secret=secret, **form).refusal == (401, "invalid_client", 700025)


def test_an_application_with_a_certificate_has_no_secret(visitor: Visitor) -> None:
    client, secret = visitor.add_app(pem=pem(certificate(rsa_key())))
    form = {"grant_type": "client_credentials", "scope": SCOPE, "client_id": client.id}
    assert visitor.token(client_secret=secret, **form).refusal == (401, "invalid_client", 7000215)
    assert visitor.token(client_secret="", **form).refusal == (401, "invalid_client", 7000218)


# --- assertions


@pytest.mark.parametrize("algorithm", ["RS256", "PS256", "ES256"])
@pytest.mark.parametrize("name", ["x5t", "x5t padded", "x5t#S256", "kid", "kid in hexadecimal"])
def test_a_registered_key_proves_its_application(visitor: Visitor, algorithm: str, name: str) -> None:
    key = ec_key() if algorithm == "ES256" else rsa_key()
    found = certificate(key)
    client, _ = visitor.add_app(pem=pem(found))
    sha1 = named(found, sha256=False)
    header = {
        "x5t": {"x5t": sha1},
        "x5t padded": {"x5t": sha1 + "="},
        "x5t#S256": {"x5t#S256": named(found)},
        "kid": {"kid": sha1},
        "kid in hexadecimal": {"kid": found.fingerprint(hashes.SHA1()).hex().upper()},
    }[name]
    answer = prove(visitor, assertion(client, visitor.tenant.id, key, {"alg": algorithm, **header}))
    assert answer.status == 200, answer.text
    said = claims(answer.json["access_token"])
    assert (said["appid"], said["appidacr"]) == (client.id, "2")
    assert visitor.works(answer.json["access_token"]) == 200


def test_a_bare_public_key_goes_by_its_thumbprint(visitor: Visitor) -> None:
    client, _ = visitor.add_app(pem=public_pem(ec_key()))
    header = {"kid": ECKey.import_key(ec_key().public_key()).thumbprint()}
    assert prove(visitor, assertion(client, visitor.tenant.id, ec_key(), header)).status == 200


@pytest.mark.parametrize("end", ["oauth2/v2.0/token", "oauth2/token", "v2.0"])
def test_the_audience_is_the_token_endpoint_or_the_issuer(visitor: Visitor, end: str) -> None:
    found = certificate(rsa_key())
    client, _ = visitor.add_app(pem=pem(found))
    header = {"x5t#S256": named(found)}
    tenant = visitor.tenant.id
    for at, audience in enumerate(
        (f"{ORIGIN}/{tenant}/{end}", f"{ORIGIN}/default/{end}", ["x", f"{ORIGIN}/{tenant}/{end}"])
    ):
        text = assertion(client, tenant, rsa_key(), header, aud=audience, jti=f"{end}{at}")
        assert prove(visitor, text).status == 200


@pytest.mark.parametrize("target", ["oauth2/v2.0/token", "v2.0"])
def test_the_audience_is_not_what_a_request_calls_the_service(visitor: Visitor, target: str) -> None:
    """Whoever gets an assertion that was made for them could pass it on here, under their own host's name."""
    found = certificate(rsa_key())
    client, _ = visitor.add_app(pem=pem(found))
    audience = f"https://evil.example/{visitor.tenant.id}/{target}"
    text = assertion(client, visitor.tenant.id, rsa_key(), {"x5t#S256": named(found)}, aud=audience)
    assert prove(visitor, text, headers={"host": "evil.example"}).refusal == (401, "invalid_client", 700023)


def test_the_clouds_issuer_is_good_on_any_host(visitor: Visitor) -> None:
    found = certificate(rsa_key())
    client, _ = visitor.add_app(pem=pem(found))
    audience = f"https://login.microsoftonline.com/{visitor.tenant.id}/v2.0"
    text = assertion(client, visitor.tenant.id, rsa_key(), {"x5t#S256": named(found)}, aud=audience)
    assert prove(visitor, text, headers={"host": "inner.example"}).status == 200


def _tamper(text: str) -> str:
    head, body, signature = text.split(".")
    return f"{head}.{body}.{'A' if signature[0] != 'A' else 'B'}{signature[1:]}"


@pytest.mark.parametrize(
    ("changes", "number"),
    [
        ({"aud": f"{ORIGIN}/other/oauth2/v2.0/token"}, 700023),
        ({"aud": "https://evil.example/token"}, 700023),
        ({"aud": None}, 700023),
        ({"aud": 1}, 700023),
        ({"exp": NOW - 300}, 700024),
        ({"exp": NOW + 3_600 + 301}, 700024),
        ({"exp": None}, 700024),
        ({"exp": "soon"}, 700024),
        ({"exp": True}, 700024),
        ({"nbf": NOW + 301}, 700024),
        ({"iat": NOW + 301}, 700024),
        ({"iss": "someone else"}, 700021),
        ({"sub": None}, 700021),
    ],
)
def test_an_assertion_that_says_the_wrong_thing(visitor: Visitor, changes: dict[str, object], number: int) -> None:
    found = certificate(rsa_key())
    client, _ = visitor.add_app(pem=pem(found))
    text = assertion(client, visitor.tenant.id, rsa_key(), {"x5t#S256": named(found)}, **changes)
    assert prove(visitor, text).refusal == (401, "invalid_client", number)


@pytest.mark.parametrize("changes", [{"exp": NOW - 299}, {"exp": NOW + 3_900}, {"nbf": NOW + 300}, {"jti": None}])
def test_an_assertion_at_the_edge(visitor: Visitor, changes: dict[str, object]) -> None:
    found = certificate(rsa_key())
    client, _ = visitor.add_app(pem=pem(found))
    text = assertion(client, visitor.tenant.id, rsa_key(), {"x5t#S256": named(found)}, **changes)
    assert prove(visitor, text).status == 200


@pytest.mark.parametrize(
    "change",
    [
        _tamper,
        lambda text: text.rpartition(".")[0] + ".",
    ],
)
def test_an_assertion_with_another_signature(visitor: Visitor, change: Callable[[str], str]) -> None:
    found = certificate(rsa_key())
    client, _ = visitor.add_app(pem=pem(found))
    text = assertion(client, visitor.tenant.id, rsa_key(), {"x5t#S256": named(found)})
    assert prove(visitor, change(text)).refusal == (401, "invalid_client", 700027)


def test_the_key_has_to_be_registered_on_that_application(visitor: Visitor) -> None:
    mine, theirs = certificate(rsa_key()), certificate(rsa_key(1))
    client, _ = visitor.add_app(pem=pem(mine))
    other, _ = visitor.add_app("other", pem=pem(theirs))
    tenant = visitor.tenant.id
    text = assertion(client, tenant, rsa_key(1), {"x5t#S256": named(theirs)})
    assert prove(visitor, text).refusal == (401, "invalid_client", 700027)
    text = assertion(client, tenant, rsa_key(1), {"x5t#S256": named(mine)})
    assert prove(visitor, text).refusal == (401, "invalid_client", 700027)
    text = assertion(other, tenant, rsa_key(1), {"x5t#S256": named(theirs)})
    assert prove(visitor, text, client_id=client.id).refusal == (401, "invalid_client", 700021)
    assert prove(visitor, text).status == 200


def test_the_algorithm_is_the_keys(visitor: Visitor) -> None:
    found = certificate(rsa_key())
    client, _ = visitor.add_app(pem=pem(found))
    tenant, header = visitor.tenant.id, {"x5t#S256": named(found)}
    text = assertion(client, tenant, ec_key(), header)
    assert prove(visitor, text).refusal == (401, "invalid_client", 700027)
    payload = assertion(client, tenant, rsa_key(), header).split(".")[1]
    secret = OctKey.import_key(b"k" * 32)
    head = {"typ": "JWT", "alg": "HS256", **header}
    forged = jws.serialize_compact(head, base64.urlsafe_b64decode(payload + "=="), secret, ["HS256"])
    assert prove(visitor, forged).refusal == (401, "invalid_client", 5002738)
    none = base64.urlsafe_b64encode(msgspec.json.encode({"alg": "none", **header})).rstrip(b"=").decode()
    assert prove(visitor, f"{none}.{payload}.").refusal == (401, "invalid_client", 5002738)


@pytest.mark.parametrize("text", ["", "x", "a.b.c", "a.b.c.d", "é.é.é", "e30.e30.", "W10.e30.x", "." * 3, "x" * 20_000])
def test_what_is_no_assertion(visitor: Visitor, text: str) -> None:
    visitor.add_app(pem=pem(certificate(rsa_key())))
    status, error, number = prove(visitor, text).refusal
    assert (status, error) == (401, "invalid_client")
    assert number in (50027, 5002738)


@pytest.mark.parametrize("text", ["\\ud800", "a\\u0000b"])
@pytest.mark.parametrize("place", ["sub", "kid"])
def test_an_assertion_with_text_that_no_database_takes(visitor: Visitor, text: str, place: str) -> None:
    client, _ = visitor.add_app(pem=pem(certificate(rsa_key())))
    subject, kid = (text, "k") if place == "sub" else (client.id, text)
    # As JSON has it: half of a pair cannot be written otherwise.
    parts = (f'{{"alg":"RS256","kid":"{kid}"}}', f'{{"iss":"{subject}","sub":"{subject}"}}', "signature")
    whole = ".".join(base64.urlsafe_b64encode(each.encode()).rstrip(b"=").decode() for each in parts)
    status, error, _ = prove(visitor, whole).refusal
    assert (status, error) == (401, "invalid_client")


@pytest.mark.parametrize("value", ["a\0b", "\0"])
def test_parameters_that_no_database_takes(visitor: Visitor, value: str) -> None:
    form = {"grant_type": "client_credentials", "scope": SCOPE}
    answer = visitor.token(client_id=value, client_secret="x", **form)
    assert answer.refusal == (400, "invalid_request", 900144)
    basic = base64.b64encode(f"{quote_plus(value)}:x".encode()).decode()
    answer = visitor.token(headers={"authorization": f"Basic {basic}"}, **form)
    assert answer.refusal == (401, "invalid_client", 7000215)


def test_an_assertion_needs_its_type(visitor: Visitor) -> None:
    found = certificate(rsa_key())
    client, _ = visitor.add_app(pem=pem(found))
    text = assertion(client, visitor.tenant.id, rsa_key(), {"x5t#S256": named(found)})
    assert prove(visitor, text, client_assertion_type="x").refusal == (400, "invalid_request", 900144)
    assert prove(visitor, text, client_secret="x").refusal == (400, "invalid_request", 7000219)


@pytest.mark.parametrize("jti", ["one", None])
def test_a_request_with_an_assertion_is_good_once(visitor: Visitor, jti: str | None) -> None:
    found = certificate(rsa_key())
    client, _ = visitor.add_app(pem=pem(found))
    text = assertion(client, visitor.tenant.id, rsa_key(), {"x5t#S256": named(found)}, jti=jti)
    assert prove(visitor, text).status == 200
    assert prove(visitor, text).refusal == (401, "invalid_client", 50013)
    visitor.clock.time += 899
    assert prove(visitor, text).refusal == (401, "invalid_client", 50013)


def test_another_request_may_bring_the_same_assertion(visitor: Visitor) -> None:
    """MSAL for Python uses one for nine minutes, whatever it asks for in them."""
    found = certificate(rsa_key())
    client, _ = visitor.add_app(pem=pem(found))
    text = assertion(client, visitor.tenant.id, rsa_key(), {"x5t#S256": named(found)})
    assert prove(visitor, text).status == 200
    assert prove(visitor, text, scope=f"{ORIGIN}/.default").status == 200
    assert prove(visitor, text, claims='{"access_token":{}}').status == 200


def test_an_expired_certificate_proves_nothing(visitor: Visitor) -> None:
    found = certificate(rsa_key(), days=1)
    client, _ = visitor.add_app(pem=pem(found))
    visitor.clock.time = NOW + 86_400
    later = {"nbf": NOW + 86_400, "exp": NOW + 87_000}
    text = assertion(client, visitor.tenant.id, rsa_key(), {"x5t#S256": named(found)}, **later)
    assert prove(visitor, text).refusal == (401, "invalid_client", 700027)


def test_an_assertion_redeems_a_code(visitor: Visitor) -> None:
    found = certificate(rsa_key())
    client, _ = visitor.add_app(pem=pem(found))
    visitor.add_user()
    text = assertion(client, visitor.tenant.id, rsa_key(), {"x5t#S256": named(found)})
    proof = {"client_assertion_type": ASSERTION_TYPE, "client_assertion": text}
    tokens = visitor.redeem(client, visitor.code(client), **proof).json
    assert claims(tokens["access_token"])["appidacr"] == "2"
    assert visitor.refresh(client, tokens["refresh_token"], **proof).status == 200


@pytest.mark.parametrize(
    "made",
    [
        lambda: b"",
        lambda: b"-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n",
        lambda: public_pem(rsa.generate_private_key(65537, 1024)),
        lambda: public_pem(ec.generate_private_key(ec.SECP384R1())),
        lambda: rsa_key().private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ),
    ],
)
def test_keys_that_cannot_be_registered(made: Callable[[], bytes]) -> None:
    with pytest.raises(BadClientKey):
        read(made())


# --- tenants, grants and discovery


@pytest.mark.parametrize(
    ("tenant", "number"),
    [("common", 50059), ("organizations", 50059), ("COMMON", 50059), ("consumers", 9002331), ("nowhere", 90002)],
)
def test_an_application_has_to_name_its_tenant(visitor: Visitor, tenant: str, number: int) -> None:
    client, secret = visitor.add_app()
    form = {"grant_type": "client_credentials", "scope": SCOPE, "client_id": client.id, "client_secret": secret}
    assert visitor.token(tenant, **form).refusal == (400, "invalid_request", number)


@pytest.mark.parametrize("tenant", ["common", "organizations"])
def test_people_may_leave_the_tenant_out_where_there_is_one(visitor: Visitor, tenant: str) -> None:
    client, _ = visitor.add_app(public=True)
    visitor.add_user()
    code = visitor.sign_in(visitor.authorize(client, tenant=tenant)).returned["code"]
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": CALLBACK, "code_verifier": "v" * 43}
    tokens = visitor.token(tenant, client_id=client.id, **form).json
    assert claims(tokens["access_token"])["tid"] == visitor.tenant.id
    visitor.add_tenant("second")
    refresh = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"], "client_id": client.id}
    assert visitor.token(tenant, **refresh).refusal == (400, "invalid_request", 50059)


@pytest.mark.parametrize("grant", ["password", "implicit", "urn:ietf:params:oauth:grant-type:jwt-bearer", "x" * 500])
def test_other_grants_are_refused(visitor: Visitor, grant: str) -> None:
    assert visitor.token(grant_type=grant).refusal == (400, "unsupported_grant_type", 70003)


@pytest.mark.parametrize("grant", ["authorization_code", "refresh_token", "device_code"])
def test_what_a_grant_lacks_is_named(visitor: Visitor, grant: str) -> None:
    client, _ = visitor.add_app(public=True)
    answer = visitor.token(grant_type=grant, client_id=client.id)
    assert answer.refusal == (400, "invalid_request", 900144)


def test_the_configuration_names_what_there_is(visitor: Visitor) -> None:
    for name in (visitor.tenant.id, "default", "common"):
        found = visitor.get(f"/{name}/v2.0/.well-known/openid-configuration").json
        base = f"{ORIGIN}/{visitor.tenant.id}"
        assert found["token_endpoint"] == f"{base}/oauth2/v2.0/token"
        assert found["authorization_endpoint"] == f"{base}/oauth2/v2.0/authorize"
        assert found["device_authorization_endpoint"] == f"{base}/oauth2/v2.0/devicecode"
        assert found["jwks_uri"] == f"{base}/discovery/v2.0/keys"
        assert visitor.get(found["jwks_uri"]).json["keys"][0]["kty"] == "RSA"
        assert found["issuer"] == f"https://login.microsoftonline.com/{visitor.tenant.id}/v2.0"
    older = visitor.get("/default/.well-known/openid-configuration").json
    assert older["token_endpoint"].endswith("/oauth2/token")
    assert older["issuer"] == f"https://sts.windows.net/{visitor.tenant.id}/"


def test_instance_discovery_knows_this_host_alone(visitor: Visitor) -> None:
    """MSAL leaves out the port of its authority (clients.md section 2)."""
    tenant = visitor.tenant.id
    path = "/common/discovery/instance?api-version=1.1&authorization_endpoint="
    found = visitor.get(f"{path}https://sign-in.example/{tenant}/oauth2/v2.0/authorize").json
    assert found["tenant_discovery_endpoint"] == f"{ORIGIN}/{tenant}/v2.0/.well-known/openid-configuration"
    assert found["metadata"][0]["aliases"] == ["sign-in.example:8443"]
    for other in (
        f"https://evil.example/{tenant}/x",
        f"http://sign-in.example/{tenant}/x",
        "https://sign-in.example",
        "x",
    ):
        assert visitor.get(path + other).refusal == (400, "invalid_instance", 50049)
    assert visitor.get("/common/discovery/instance").refusal == (400, "invalid_request", 900144)


def test_the_digest_of_an_assertion_stands_for_a_missing_jti() -> None:
    text = "e30.e30.x"
    read_one = assertions.Assertion(text.encode(), b"", "RS256", ("x",), {})
    assert read_one.token_id == hashlib.sha256(text.encode()).hexdigest()
