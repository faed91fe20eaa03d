"""The token service: discovery, keys, and tokens for applications, in Entra's forms and with Entra's numbers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import urlencode

import pytest
from joserfc import jwt
from joserfc.jwk import KeySet
from tests.conftest import Opens
from tests.server import GUID, LIST, NOW, NOWHERE, ORIGIN, PUBLISHED, READ, WRITE, Answer, Server

from adjoin.store import applications

TOKEN: Final = "/{}/oauth2/v2.0/token"
SCOPE: Final = "https://graph.microsoft.com/.default"
FORM: Final = {"Content-Type": "application/x-www-form-urlencoded"}


def ask(
    server: Server, form: Mapping[str, str | None], tenant: str = "default", *, host: str = "", path: str = TOKEN
) -> Answer:
    """A token request of the client credentials grant; a parameter that is None is left out."""
    whole = {"grant_type": "client_credentials", "scope": SCOPE, **form}
    body = urlencode({name: value for name, value in whole.items() if value is not None}).encode()
    headers = {**FORM, **({"Host": host} if host else {})}
    return server.call("POST", path.format(tenant), body, headers, token=None)


def credentials(server: Server, name: str, *permissions: str) -> dict[str, str | None]:
    added, secret = server.add_app(name, *permissions)
    return {"client_id": added.id, "client_secret": secret}


def check(refused: Answer, status: int, error: str, number: int) -> None:
    """That a refusal is in Entra's form (clients branch on `error` and show the rest)."""
    assert refused.status == status, refused.body
    body = refused.json
    assert list(body) == ["error", "error_description", "error_codes", "timestamp", "trace_id", "correlation_id"]
    assert (body["error"], body["error_codes"]) == (error, [number])
    assert body["error_description"].startswith(f"AADSTS{number}: ")
    assert body["error_description"].endswith(
        f"Trace ID: {body['trace_id']} Correlation ID: {body['correlation_id']} Timestamp: {body['timestamp']}"
    )
    assert body["timestamp"] == "2027-01-15 08:00:00Z"
    assert body["trace_id"] == refused.headers["request-id"]
    assert body["correlation_id"] == refused.headers["client-request-id"]
    assert refused.headers["content-type"].startswith("application/json")
    assert "no-store" in refused.headers["cache-control"]


# --- discovery and keys


@pytest.mark.parametrize("name", ["default", "{id}", "{ID}"])
@pytest.mark.parametrize(
    ("below", "issuer", "middle", "key_set"),
    [
        ("v2.0/", "https://login.microsoftonline.com/{}/v2.0", "oauth2/v2.0", "discovery/v2.0/keys"),
        ("", "https://sts.windows.net/{}/", "oauth2", "discovery/keys"),
    ],
)
def test_discovery(shared: Server, name: str, below: str, issuer: str, middle: str, key_set: str) -> None:
    tenant = shared.tenant()
    path = name.format(id=tenant.id, ID=tenant.id.upper())
    answer = shared.call("GET", f"/{path}/{below}.well-known/openid-configuration", token=None)
    assert answer.status == 200
    document = answer.json
    assert document["issuer"] == issuer.format(tenant.id)
    assert document["token_endpoint"] == f"{ORIGIN}/{tenant.id}/{middle}/token"
    assert document["jwks_uri"] == f"{ORIGIN}/{tenant.id}/{key_set}"
    assert document["authorization_endpoint"] == f"{ORIGIN}/{tenant.id}/{middle}/authorize"
    assert shared.follow(document["jwks_uri"]).status == 200


@pytest.mark.parametrize("key_set", ["discovery/v2.0/keys", "discovery/keys", "Discovery/V2.0/Keys"])
def test_published_keys_verify_a_token_and_hold_nothing_private(shared: Server, key_set: str) -> None:
    published = shared.call("GET", f"/default/{key_set}", token=None).json
    assert all(set(key) == {"kty", "use", "kid", "n", "e", "alg"} for key in published["keys"])
    token = jwt.decode(shared.token(), KeySet.import_key_set(published), algorithms=["RS256"])
    assert token.claims["tid"] == shared.tenant().id


@pytest.mark.parametrize("below", ["v2.0/.well-known/openid-configuration", ".well-known/openid-configuration"])
def test_unknown_tenant(shared: Server, below: str) -> None:
    check(shared.call("GET", f"/nobody/{below}", token=None), 400, "invalid_request", 90002)


def test_token_of_an_unknown_tenant(shared: Server) -> None:
    check(ask(shared, {"client_id": "x", "client_secret": "y"}, NOWHERE), 400, "invalid_request", 90002)


# --- tokens


def test_token_for_an_application_works(server: Server) -> None:
    answer = ask(server, credentials(server, "tool"))
    assert answer.status == 200
    assert list(answer.json) == ["token_type", "expires_in", "ext_expires_in", "access_token"]
    assert (answer.json["token_type"], answer.json["expires_in"]) == ("Bearer", 3599)
    assert answer.headers["cache-control"] == "no-store, no-cache"
    assert server.call("POST", LIST, PUBLISHED, token=answer.json["access_token"]).status == 201


def test_token_carries_the_permissions_of_the_application_and_no_others(server: Server) -> None:
    token = ask(server, credentials(server, "reader", READ)).json["access_token"]
    assert server.call("GET", LIST, token=token).status == 200
    assert server.call("POST", LIST, PUBLISHED, token=token).status == 403


def test_claims_of_a_token(server: Server) -> None:
    """graph-contract 4.1: the v1 form from the v2 endpoint."""
    added, secret = server.add_app("tool", READ, WRITE)
    asked = {"client_id": added.id, "client_secret": secret, "claims": '{"access_token":{"xms_cc":{"values":["cp1"]}}}'}
    published = server.call("GET", "/default/discovery/v2.0/keys", token=None).json
    keys = KeySet.import_key_set(published)
    claims = jwt.decode(ask(server, asked).json["access_token"], keys, algorithms=["RS256"]).claims
    assert re.fullmatch(GUID, claims.pop("uti"))
    assert claims == {
        "aud": "https://graph.microsoft.com",
        "iss": f"https://sts.windows.net/{server.tenant().id}/",
        "iat": NOW,
        "nbf": NOW - 300,
        "exp": NOW + 3599,
        "app_displayname": "tool",
        "appid": added.id,
        "appidacr": "1",
        "idtyp": "app",
        "oid": added.object_id,
        "roles": [READ, WRITE],
        "sub": added.object_id,
        "tid": server.tenant().id,
        "ver": "1.0",
        "xms_cc": ["cp1"],
    }


def test_v1_endpoint_takes_a_resource(server: Server) -> None:
    given = credentials(server, "tool")
    for resource in ("https://graph.microsoft.com", "https://graph.microsoft.com/", ORIGIN):
        answer = ask(server, {**given, "scope": None, "resource": resource}, path="/{}/oauth2/token")
        assert answer.status == 200, answer.body


@pytest.fixture(scope="module")
def tool(shared: Server) -> dict[str, str | None]:
    """The credentials of an application of the shared service."""
    return credentials(shared, "tool")


@pytest.mark.parametrize("tenant", ["default", "{id}", "{ID}"])
def test_tenant_goes_by_name_or_id(shared: Server, tool: dict[str, str | None], tenant: str) -> None:
    name = tenant.format(id=shared.tenant().id, ID=shared.tenant().id.upper())
    assert ask(shared, tool, name).status == 200


def test_client_id_is_read_in_any_case(shared: Server, tool: dict[str, str | None]) -> None:
    assert ask(shared, {**tool, "client_id": str(tool["client_id"]).upper()}).status == 200


@pytest.mark.parametrize(
    ("scope", "host"),
    [
        ("https://graph.microsoft.com/.default", "127.0.0.1:8365"),
        ("https://graph.microsoft.com//.default", "127.0.0.1:8365"),
        ("00000003-0000-0000-c000-000000000000/.default", "127.0.0.1:8365"),
        ("http://127.0.0.1:8365/.default", "127.0.0.1:8365"),
        ("http://127.0.0.1/.default", "127.0.0.1:8365"),
        ("https://127.0.0.1/.default", "127.0.0.1:8365"),
        ("http://graph.example.com/.default", "graph.example.com"),
        ("http://[::1]/.default", "[::1]:8365"),
        ("http://[::1]:8365/.default", "[::1]:8365"),
        ("http://[::1]/.default", "[::1]"),
    ],
)
def test_scopes_by_which_clients_name_the_service(
    shared: Server, tool: dict[str, str | None], scope: str, host: str
) -> None:
    """clients.md item 23: Graph's URL, or the service's own with and without its port (`https` from some SDKs)."""
    answer = ask(shared, {**tool, "scope": scope}, host=host)
    assert answer.status == 200, answer.body


@pytest.mark.parametrize(
    ("scope", "host", "error", "number"),
    [
        ("https://graph.microsoft.com", "localhost", "invalid_scope", 1002012),
        ("User.Read", "localhost", "invalid_scope", 1002012),
        (f"https://graph.microsoft.com/{WRITE}", "localhost", "invalid_scope", 1002012),
        ("https://vault.azure.net/.default", "localhost", "invalid_resource", 500011),
        ("https://graph.microsoft.us/.default", "localhost", "invalid_resource", 500011),
        ("https://graph.microsoft.com.example/.default", "localhost", "invalid_resource", 500011),
        ("http/.default", "localhost", "invalid_resource", 500011),
        ("http:/.default", "localhost", "invalid_resource", 500011),
        ("http://localhost:2/.default", "localhost:1", "invalid_resource", 500011),
        ("/.default", "localhost:1", "invalid_resource", 500011),
    ],
)
def test_scope_of_something_else(
    shared: Server, tool: dict[str, str | None], scope: str, host: str, error: str, number: int
) -> None:
    check(ask(shared, {**tool, "scope": scope}, host=host), 400, error, number)


@pytest.mark.parametrize("missing", ["grant_type", "client_id", "scope"])
@pytest.mark.parametrize("given", [None, ""])
def test_parameter_that_is_missing_is_named(
    shared: Server, tool: dict[str, str | None], missing: str, given: str | None
) -> None:
    refused = ask(shared, {**tool, missing: given})
    check(refused, 400, "invalid_request", 900144)
    assert f"'{missing}'" in refused.json["error_description"]


@pytest.mark.parametrize("grant", ["password", "implicit", "x" * 999, "\ufffd"])
def test_grant_that_is_not_served(shared: Server, tool: dict[str, str | None], grant: str) -> None:
    check(ask(shared, {**tool, "grant_type": grant}), 400, "unsupported_grant_type", 70003)


@pytest.mark.parametrize("secret", ["wrong", "x" * 10_000, "\x00", "é", "adj8Q~"])
def test_wrong_secret(shared: Server, tool: dict[str, str | None], secret: str) -> None:
    refused = ask(shared, {**tool, "client_secret": secret})
    check(refused, 401, "invalid_client", 7000215)
    assert secret not in refused.json["error_description"]


@pytest.mark.parametrize("client_id", [NOWHERE, "x", "' OR 1=1 --", "x" * 10_000])
def test_unknown_application(shared: Server, tool: dict[str, str | None], client_id: str) -> None:
    check(ask(shared, {**tool, "client_id": client_id}), 400, "unauthorized_client", 700016)


def test_application_of_another_tenant_is_unknown(shared: Server, tool: dict[str, str | None]) -> None:
    other = shared.add_tenant("other")
    known = ask(shared, tool, other.id)
    unknown = ask(shared, {"client_id": NOWHERE, "client_secret": "x"}, other.id)
    check(known, 400, "unauthorized_client", 700016)
    assert (
        known.json["error_description"].partition(" Trace")[0].replace(str(tool["client_id"]), NOWHERE)
        == (unknown.json["error_description"].partition(" Trace")[0])
    )


def test_application_that_was_removed_gets_no_token(server: Server) -> None:
    given = credentials(server, "tool")
    assert ask(server, given).status == 200
    number, write = server.tenant().number, server.application.installation.database.write
    server.run(write(lambda session: applications.remove(session, number, "tool")))
    check(ask(server, given), 400, "unauthorized_client", 700016)


@pytest.mark.parametrize("content_type", ["application/json", "multipart/form-data", "text/plain", ""])
def test_body_that_is_no_form(shared: Server, content_type: str) -> None:
    refused = shared.call("POST", TOKEN.format("default"), b"{}", {"Content-Type": content_type}, token=None)
    check(refused, 400, "invalid_request", 900144)


@pytest.mark.parametrize("body", [b"\xff", b"&".join([b"a=b"] * 65)], ids=["not text", "too many parameters"])
def test_form_that_cannot_be_read(shared: Server, body: bytes) -> None:
    check(shared.call("POST", TOKEN.format("default"), body, FORM, token=None), 400, "invalid_request", 900144)


def test_parameter_that_is_there_twice(shared: Server, tool: dict[str, str | None]) -> None:
    """RFC 6749 section 3.2: parameters must not be included more than once."""
    body = urlencode([("grant_type", "client_credentials"), ("scope", SCOPE), *tool.items(), ("client_secret", "x")])
    for twice in (body, "client_secret=x&" + body.removesuffix("&client_secret=x")):
        refused = shared.call("POST", TOKEN.format("default"), twice.encode(), FORM, token=None)
        check(refused, 400, "invalid_request", 9000411)
        assert "'client_secret'" in refused.json["error_description"]


def test_half_a_surrogate_pair_is_wrong_and_no_fault(shared: Server, tool: dict[str, str | None]) -> None:
    body = f"grant_type=client_credentials&scope={SCOPE}&client_id={tool['client_id']}&client_secret=%ED%A0%80"
    assert shared.call("POST", TOKEN.format("default"), body.encode(), FORM, token=None).status in (400, 401)


@pytest.mark.parametrize(
    ("method", "target", "allowed"),
    [
        ("GET", TOKEN.format("default"), "POST, OPTIONS"),
        ("GET", "/default/oauth2/v2.0/devicecode", "POST, OPTIONS"),
        ("POST", "/default/discovery/v2.0/keys", "GET, OPTIONS"),
        ("POST", "/default/v2.0/.well-known/openid-configuration", "GET, OPTIONS"),
        ("PUT", "/default/oauth2/v2.0/authorize", "GET, POST, OPTIONS"),
        ("PUT", "/default/login", "POST, OPTIONS"),
        ("PUT", "/device", "GET, POST, OPTIONS"),
    ],
)
def test_other_methods(shared: Server, method: str, target: str, allowed: str) -> None:
    refused = shared.call(method, target, token=None)
    assert (refused.status, refused.headers["allow"]) == (405, allowed)


def test_secret_that_is_missing_is_named(shared: Server, tool: dict[str, str | None]) -> None:
    for given in (None, ""):
        refused = ask(shared, {**tool, "client_secret": given})
        check(refused, 401, "invalid_client", 7000218)
        assert "'client_secret'" in refused.json["error_description"]


# --- secrets


def test_secret_is_kept_nowhere(opens: Opens, tmp_path: Path) -> None:
    server = opens(log_requests=True)
    _, secret = server.add_app("tool")
    found, _ = server.add_app("second")
    assert ask(server, {"client_id": found.id, "client_secret": secret}).status == 401
    server.run(server.application.close())
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert any(path.name == "adjoin.db" for path in files)
    for path in files:
        assert secret.encode() not in path.read_bytes()
        assert secret.removeprefix("adj8Q~").encode() not in path.read_bytes()
