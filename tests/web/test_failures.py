"""Every failure as its caller sees it: status, code, words and form (graph-contract 3.1 to 3.3), and their order."""

from __future__ import annotations

import base64
import gzip
import importlib
import json
import pkgutil
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec
import pytest
import structlog
from cryptography.hazmat.primitives import serialization
from joserfc import jws
from joserfc.jwk import OctKey
from structlog.testing import capture_logs
from tests.server import CLIENT, GUID, LIST, NOW, NOWHERE, ORIGIN, PUBLISHED, READ, SUBJECT, WRITE, Answer, Server

import adjoin
from adjoin.config import BadConfig
from adjoin.identity import issuer
from adjoin.identity.caller import Kind
from adjoin.identity.clouds import GRAPH_APP_ID
from adjoin.identity.issuer import Grant
from adjoin.identity.keys import open_ring
from adjoin.odata.errors import Refusal
from adjoin.service.sign_in import SignInRefusal
from adjoin.store.database import TooSlow, Unavailable
from adjoin.store.tenants import NO_LICENCE
from adjoin.web import failures
from adjoin.web.exchange import MAX_BODY, MAX_HEADERS, MAX_TARGET

ITEM: Final = f"{LIST}/{NOWHERE}"
ENTITY: Final = "microsoft.graph.deviceManagementDomainJoinConnector"
STATE: Final = "microsoft.graph.deviceManagementDomainJoinConnectorState"
UNREADABLE: Final = (
    "Unable to read JSON request payload. Please ensure Content-Type header is set and payload is of valid JSON format."
)
NO_SUCH_JWT: Final = (
    "IDX14100: JWT is not well formed, there are no dots (.).\n"
    "The token needs to be in JWS or JWE Compact Serialization Format. (JWS): "
    "'EncodedHeader.EncodedPayload.EncodedSignature'. (JWE): "
    "'EncodedProtectedHeader.EncodedEncryptedKey.EncodedInitializationVector.EncodedCiphertext."
    "EncodedAuthenticationTag'."
)
FAILED: Final = "Access token validation failure."
PROPERTIES: Final = ("displayName", "lastConnectionDateTime", "state", "version")
JSON: Final = {"Content-Type": "application/json"}


def check(answer: Answer, status: int, code: str, said: str | None = None) -> None:
    """That a refusal has this status, code and sentence, and the form that every refusal has."""
    assert (answer.status, answer.error["code"]) == (status, code), answer.body
    if said is not None:
        assert answer.said == said
    check_form(answer)


def check_form(answer: Answer) -> None:
    assert answer.headers["content-type"] == "application/json"
    assert list(answer.json) == ["error"]
    error = answer.error
    assert [name for name in error if name != "details"] == ["code", "message", "innerError"]
    inner = error["innerError"]
    repeated = ["message"] if error["code"] == "ModelValidationFailure" else []
    assert list(inner) == [*repeated, "date", "request-id", "client-request-id"]
    assert inner.get("message", error["message"]) == error["message"]
    assert inner["date"] == "2027-01-15T08:00:00"
    assert inner["request-id"] == answer.headers["request-id"]
    assert inner["client-request-id"] == answer.headers["client-request-id"]
    for detail in error.get("details", []):
        assert list(detail) == ["code", "message"]
    assert ("www-authenticate" in answer.headers) == (answer.status == 401)


def post(server: Server, body: object = None, headers: Mapping[str, str] | None = None) -> Answer:
    return server.call("POST", LIST, body, headers or (JSON if isinstance(body, bytes | list) else {}))


# --- who is calling


def signed(server: Server, algorithm: str, key: Any, **changes: object) -> str:
    """A token of the usual claims with another algorithm or key."""
    ring = server.application.installation.ring
    grant = Grant(tenant_id=server.tenant().id, subject=SUBJECT, client_id=CLIENT, permissions=frozenset({WRITE}))
    claims = msgspec.json.encode({**issuer.claims(grant, NOW, "id"), **changes})
    header = {"typ": "JWT", "alg": algorithm, "kid": ring.signing.kid}
    return jws.serialize_compact(header, claims, key, [algorithm])


def unsigned(server: Server) -> str:
    _, claims, _ = server.token().split(".")
    header = base64.urlsafe_b64encode(b'{"alg":"none","typ":"JWT"}').decode().rstrip("=")
    return f"{header}.{claims}."


def signed_with_the_public_key(server: Server) -> str:
    """The confusion of RFC 8725 section 2.1: the public key as the secret of an HMAC."""
    ring = server.application.installation.ring
    pem = ring.verification[ring.signing.kid].key.public_key.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    head = {"typ": "JWT", "alg": "HS256", "kid": ring.signing.kid}
    claims = base64.urlsafe_b64decode(server.token().split(".")[1] + "==")
    key = OctKey.import_key(base64.urlsafe_b64encode(pem).decode())
    return jws.serialize_compact(head, claims, key, ["HS256"])


def changed_signature(server: Server) -> str:
    token = server.token()
    return token[:-8] + ("A" if token[-8] != "A" else "B") + token[-7:]


TOKENS: Final[Mapping[str, tuple[Callable[[Server], str], str | None]]] = {
    "not a JWT": (lambda _: "abc", NO_SUCH_JWT),
    "one dot": (lambda _: "abc.def", f"{FAILED} The token does not have three parts."),
    "two dots": (lambda _: "..", None),
    "alg none": (unsigned, f"{FAILED} Invalid signature."),
    "HS256 with the public key": (signed_with_the_public_key, f"{FAILED} Invalid signature."),
    "changed signature": (changed_signature, None),
    "expired": (lambda server: server.token(expires_in=-1), "Lifetime validation failed, the token is expired."),
    "wrong audience": (
        lambda server: server.token(audience="https://graph.microsoft.us"),
        f"{FAILED} Invalid audience.",
    ),
    "wrong issuer": (
        lambda server: signed(
            server, "RS256", server.application.installation.ring.signing.key, iss="https://sts.windows.net/x/"
        ),
        f"{FAILED} Invalid issuer.",
    ),
    "not yet valid": (
        lambda server: signed(server, "RS256", server.application.installation.ring.signing.key, nbf=NOW + 1),
        "Lifetime validation failed, the token is not yet valid.",
    ),
    "foreign tenant": (
        lambda server: signed(
            server,
            "RS256",
            server.application.installation.ring.signing.key,
            tid=NOWHERE,
            iss=f"https://sts.windows.net/{NOWHERE}/",
        ),
        f"{FAILED} The tenant of the token is not known to this service.",
    ),
}


@pytest.mark.parametrize("case", TOKENS)
def test_token_that_is_not_accepted(shared: Server, case: str) -> None:
    make, said = TOKENS[case]
    refused = shared.call("GET", LIST, token=make(shared))
    check(refused, 401, "InvalidAuthenticationToken", said)
    assert refused.error["message"].startswith(("Access token", "IDX14100", "Lifetime"))


def test_token_of_another_installation(shared: Server, tmp_path: Any) -> None:
    strange = open_ring(tmp_path / "strange")
    refused = shared.call("GET", LIST, token=signed(shared, "RS256", strange.signing.key))
    check(refused, 401, "InvalidAuthenticationToken", f"{FAILED} Invalid signature.")


@pytest.mark.parametrize("given", [None, "", "Bearer", "Bearer ", "bearer   ", "Basic dXNlcjpwYXNz", "token"])
def test_no_bearer_token(shared: Server, given: str | None) -> None:
    headers = {} if given is None else {"Authorization": given}
    refused = shared.call("GET", LIST, headers=headers, token=None)
    check(refused, 401, "InvalidAuthenticationToken", "Access token is empty.")


def test_challenge_has_graphs_form(shared: Server) -> None:
    """graph-contract 3.3; it names the token service of this installation."""
    assert shared.call("GET", LIST, token=None).headers["www-authenticate"] == (
        f'Bearer realm="", authorization_uri="{ORIGIN}/common/oauth2/authorize", client_id="{GRAPH_APP_ID}"'
    )


@pytest.mark.parametrize("scheme", ["bearer", "BEARER", "Bearer  "])
def test_scheme_is_read_in_any_case(shared: Server, scheme: str) -> None:
    answer = shared.call("GET", LIST, headers={"Authorization": f"{scheme} {shared.token()}"}, token=None)
    assert answer.status == 200


def test_token_is_looked_at_again_when_its_time_is_over(server: Server) -> None:
    token = server.token(expires_in=60)
    assert server.call("GET", LIST, token=token).status == 200
    server.clock.time += 60
    refused = server.call("GET", LIST, token=token)
    assert (refused.status, refused.said) == (401, "Lifetime validation failed, the token is expired.")


def test_personal_account(shared: Server) -> None:
    refused = shared.call("GET", LIST, token=shared.token(personal=True, kind=Kind.DELEGATED))
    check(
        refused,
        400,
        "BadRequest",
        "This API is not supported for MSA accounts (no addressUrl for Microsoft.Management.Services,False).",
    )


def test_tenant_without_a_licence(server: Server) -> None:
    server.set_licence(server.tenant(), NO_LICENCE)
    for method, target in (("GET", LIST), ("POST", LIST), ("DELETE", ITEM), ("GET", "/beta/deviceManagement")):
        refused = server.call(method, target, PUBLISHED if method == "POST" else None)
        check(refused, 403, "Forbidden", "Request not applicable to target tenant")
    server.set_licence(server.tenant(), "active")
    assert server.call("GET", LIST).status == 200


_LACKS: Final = "Application is not authorized to perform this operation. Application must have one of the following "


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize(
    ("held", "method", "below", "accepted"),
    [
        ("User.Read", "GET", "", [READ, WRITE]),
        ("User.Read", "GET", "/$count", [READ, WRITE]),
        ("User.Read", "GET", f"/{NOWHERE}", [READ, WRITE]),
        ("User.Read", "GET", f"/{NOWHERE}/state", [READ, WRITE]),
        (READ, "POST", "", [WRITE]),
        (READ, "PATCH", f"/{NOWHERE}", [WRITE]),
        (READ, "DELETE", f"/{NOWHERE}", [WRITE]),
        (READ, "PUT", f"/{NOWHERE}/displayName", [WRITE]),
        (READ, "DELETE", f"/{NOWHERE}/displayName", [WRITE]),
        (WRITE.lower(), "POST", "", [WRITE]),
        ("DeviceManagementConfiguration.ReadWrite", "POST", "", [WRITE]),
    ],
)
def test_permission_that_is_missing_is_named(
    shared: Server, kind: Kind, held: str, method: str, below: str, accepted: list[str]
) -> None:
    body = PUBLISHED if method in ("POST", "PATCH", "PUT") else None
    refused = shared.call(method, LIST + below, body, token=shared.token(held, kind=kind))
    check(refused, 403, "Forbidden", f"{_LACKS}scopes: {', '.join(accepted)}")


@pytest.mark.parametrize("permissions", [frozenset[str](), frozenset({"User.Read"})], ids=["none", "another"])
def test_device_management_needs_a_permission(shared: Server, permissions: frozenset[str]) -> None:
    token = shared.token(permissions=permissions)
    assert shared.call("GET", "/beta/deviceManagement", token=token).status == 403


def test_roles_of_a_person_are_no_permissions(shared: Server) -> None:
    """graph-contract 4.2: never treat `roles` alone as application."""
    key = shared.application.installation.ring.signing.key
    token = signed(shared, "RS256", key, idtyp="user", scp="User.Read", sub="someone")
    assert shared.call("GET", LIST, token=token).status == 403


# --- Intune's nested message


@pytest.mark.parametrize("target", [ITEM, f"{LIST}('{NOWHERE}')", "/beta//deviceManagement/domainJoinConnectors/%22"])
def test_nested_message(shared: Server, target: str) -> None:
    refused = shared.call("GET", target, headers={"client-request-id": "my-id"})
    said = (
        "An error has occurred - Operation ID (for customer support): 00000000-0000-0000-0000-000000000000 - "
        f"Activity ID: my-id - Url: {ORIGIN}{target}"
    )
    message = refused.error["message"]
    assert message == message.replace("\r\n", "\n").replace("\n", "\r\n")
    assert message.startswith('{\r\n  "_version": 3,\r\n  "Message": "')
    assert list(json.loads(message).items()) == [
        ("_version", 3),
        ("Message", said),
        ("CustomApiErrorPhrase", ""),
        ("RetryAfter", None),
        ("ErrorSourceService", ""),
        ("HttpHeaders", "{}"),
    ]


# --- where a request goes


@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
@pytest.mark.parametrize("below", [f"/{NOWHERE}", f"('{NOWHERE}')", "/7", "('it''s')", "/%F0%9F%98%80", "/%25", "('')"])
def test_nothing_goes_by_this_id(shared: Server, method: str, below: str) -> None:
    refused = shared.call(method, LIST + below, {"state": "active"} if method == "PATCH" else None)
    check(refused, 404, "ResourceNotFound", "An error has occurred")


@pytest.mark.parametrize("below", ["/state", "/state/$value"])
def test_property_of_nothing(shared: Server, below: str) -> None:
    check(shared.call("GET", ITEM + below), 404, "ResourceNotFound", "An error has occurred")


@pytest.mark.parametrize(
    ("target", "segment"),
    [
        ("/v1.0/deviceManagement/domainJoinConnectors", "domainJoinConnectors"),
        (f"/v1.0/deviceManagement/domainJoinConnectors/{NOWHERE}", "domainJoinConnectors"),
        ("/v1.0/DeviceManagement/domainJoinConnectors", "domainJoinConnectors"),
        ("/beta/deviceManagement/domainJoinConnector", "domainJoinConnector"),
        ("/beta/users", "users"),
        ("/beta/deviceManagement('x')", "deviceManagement('x')"),
        (f"{ITEM}/nothing", "nothing"),
        (f"{ITEM}/displayName/nothing", "nothing"),
        (f"{ITEM}/displayName/$value/more", "more"),
        (f"{ITEM}/$value", "$value"),
        (f"{LIST}/$count/more", "more"),
        ("/beta/deviceManagement/auditEvents/delta()", "delta()"),
        ("/beta/deviceManagement/auditEvents/microsoft.graph.delta()", "microsoft.graph.delta()"),
        ("/beta/$metadata/more", "more"),
        ("/beta/$nothing", "$nothing"),
        ("/beta/a%2Fb", "a/b"),
    ],
)
def test_unknown_segment(shared: Server, target: str, segment: str) -> None:
    for token in (None, ""):
        refused = shared.call("GET", target, token=token)
        check(refused, 400, "BadRequest", f"Resource not found for the segment '{segment}'.")


@pytest.mark.parametrize(
    ("target", "version"),
    [
        ("/devicemanagement/domainJoinConnectors", "devicemanagement"),
        ("/v2.0/deviceManagement", "v2.0"),
        ("/beta2", "beta2"),
        ("/favicon.ico", "favicon.ico"),
        ("//deviceManagement", "deviceManagement"),
        ("/healthz/more", "healthz"),
    ],
)
def test_unknown_version(shared: Server, target: str, version: str) -> None:
    check(shared.call("GET", target, token=None), 404, "ResourceNotFound", f"Invalid version: {version}")


@pytest.mark.parametrize(
    ("method", "target", "template"),
    [
        ("PUT", ITEM, "~/singleton/navigation/key"),
        ("POST", ITEM, "~/singleton/navigation/key"),
        ("PUT", LIST, "~/singleton/navigation"),
        ("PATCH", LIST, "~/singleton/navigation"),
        ("DELETE", LIST, "~/singleton/navigation"),
        ("POST", f"{LIST}/$count", "~/singleton/navigation/$count"),
        ("POST", f"{ITEM}/displayName", "~/singleton/navigation/key/property"),
        ("PUT", f"{ITEM}/displayName/$value", "~/singleton/navigation/key/property/$value"),
        ("PATCH", "/beta/deviceManagement", "~/singleton"),
        ("DELETE", "/v1.0/deviceManagement", "~/singleton"),
        ("PATCH", "/beta/deviceManagement/id", "~/singleton/property"),
        ("POST", "/beta/$metadata", "~/$metadata"),
        ("GET", "/beta/$batch", "~/$batch"),
    ],
)
def test_method_that_is_not_routed(shared: Server, method: str, target: str, template: str) -> None:
    said = f"No OData route exists that match template {template} with http verb {method} for request {target}."
    check(shared.call(method, target), 400, "No method match route template", said)


@pytest.mark.parametrize("method", ["TRACE", "CONNECT", "PROPFIND", "get", "LOCK"])
@pytest.mark.parametrize("target", [LIST, ITEM, "/beta", "/beta/$metadata"])
def test_method_that_the_gateway_knows_nothing_of(shared: Server, method: str, target: str) -> None:
    refused = shared.call(method, target, token=None)
    check(refused, 405, "Request_BadRequest", "Specified HTTP method is not allowed for the request target.")
    assert {each.strip() for each in refused.headers["allow"].split(",")} >= {"GET", "POST", "PATCH", "DELETE"}


@pytest.mark.parametrize("target", [LIST, ITEM, "/beta", "/beta/$metadata"])
def test_head_is_one_of_them_and_its_refusal_has_no_body(shared: Server, target: str) -> None:
    refused, other = (shared.call(method, target, token=None) for method in ("HEAD", "LOCK"))
    assert (refused.status, refused.body) == (405, b"")
    assert {name: refused.headers[name] for name in ("allow", "content-length")} == {
        name: other.headers[name] for name in ("allow", "content-length")
    }


@pytest.mark.parametrize(
    ("target", "allowed"),
    [("/healthz", {"GET", "HEAD"}), ("/openapi.json", {"GET", "HEAD"}), ("/default/oauth2/v2.0/token", {"POST"})],
)
def test_allow_names_the_methods_of_the_target(shared: Server, target: str, allowed: set[str]) -> None:
    """RFC 9110 section 10.2.1: the methods that this target supports."""
    refused = shared.call("DELETE", target, token=None)
    assert refused.status == 405
    assert {each.strip() for each in refused.headers["allow"].split(",")} - {"OPTIONS"} == allowed


@pytest.mark.parametrize("escape", ["%", "%4", "%zz", "%ff", "%c3", "%00", "%ED%A0%80"])
def test_malformed_path(shared: Server, escape: str) -> None:
    check(shared.call("GET", f"{LIST}/{escape}"), 400, "BadRequest")


# --- query options

_NOT_ALLOWED: Final = (
    "The query specified in the URI is not valid. Query option '{}' is not allowed. To allow it, set the "
    "'AllowedQueryOptions' property on EnableQueryAttribute or QueryValidationSettings."
)


@pytest.mark.parametrize(
    ("method", "target", "shown"),
    [
        ("GET", f"{ITEM}?$filter=state%20eq%20'active'", "Filter"),
        ("GET", f"{ITEM}?filter=x", "Filter"),
        ("GET", f"{ITEM}?$orderby=state", "OrderBy"),
        ("GET", f"{ITEM}?$top=1", "Top"),
        ("GET", f"{ITEM}?$count=true", "Count"),
        ("GET", f"{LIST}/$count?$top=1", "Top"),
        ("GET", f"{LIST}/$count?$skiptoken=x", "SkipToken"),
        ("GET", "/beta/deviceManagement?$skip=1", "Skip"),
        ("GET", "/beta/$metadata?$select=id", "Select"),
        ("POST", f"{LIST}?$select=id", "Select"),
        ("PATCH", f"{ITEM}?$filter=x", "Filter"),
        ("DELETE", f"{ITEM}?$search=x", "Search"),
    ],
)
def test_option_that_is_not_allowed(shared: Server, method: str, target: str, shown: str) -> None:
    body = PUBLISHED if method in ("POST", "PATCH") else None
    check(shared.call(method, target, body), 400, "BadRequest", _NOT_ALLOWED.format(shown))


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_unknown_option(shared: Server, method: str) -> None:
    target = (ITEM if method == "DELETE" else LIST) + "?$nothing=1"
    body = PUBLISHED if method == "POST" else None
    check(shared.call(method, target, body), 400, "BadRequest", "The query option '$nothing' is unknown.")


@pytest.mark.parametrize(
    "query",
    [
        *("$top=-1", "$top=x", "$top=", "$top=1.5", "$top=99999999999", "$skip=-1", "$count=yes", "$top=1&$top=2"),
        *("$top=1&top=2", "$filter=", "$filter=state", "$filter=state%20eq", "$filter=nothing%20eq%201", "$filter=%00"),
        *("$filter=version%20eq%203", "$filter=state%20eq%20'nothing'", "$orderby=nothing", "$orderby=state%20up"),
        *("$select=nothing", "$select=", "$select=,", "$expand=nothing", "$expand=displayName", "$skiptoken=x"),
        *("$skiptoken=", "$skiptoken=%F0%9F%98%80", "$filter=%zz", "$filter=%ff", "$search="),
        *("$filter=" + "(" * 5000, "$filter=" + "not%20" * 2000 + "true", "$skiptoken=" + "A" * 3000),
    ],
    ids=lambda query: query[:40],
)
def test_query_that_is_wrong(shared: Server, query: str) -> None:
    check(shared.call("GET", f"{LIST}?{query}"), 400, "BadRequest")


@pytest.mark.parametrize("option", ["$apply=x", "$compute=x", "$deltatoken=x", "$index=1", "$schemaversion=1"])
def test_odata_that_is_not_served(shared: Server, option: str) -> None:
    check(shared.call("GET", f"{LIST}?{option}"), 501, "NotSupported")


@pytest.mark.parametrize("versions", [{"OData-Version": "3.0"}, {"OData-MaxVersion": "3.0"}, {"OData-Version": "x"}])
def test_version_of_odata_that_is_not_spoken(shared: Server, versions: dict[str, str]) -> None:
    check(shared.call("GET", LIST, headers=versions), 400, "BadRequest")


# --- bodies


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"{'state': 'active'}",
        b'{"state": "active",}',
        b"[]",
        b"1",
        b"null",
        b'"text"',
        b"\xff\xfe",
        b'{"displayName": "\xe9"}',
        b'{"displayName": "\xed\xa0\x80"}',
        b'{"displayName": NaN}',
        b'{"displayName": "a\nb"}',
        b'{"state": "active"} {}',
        b'{"version": ' + b"9" * 5000 + b"}",
        b"[" * 200_000,
        b'{"a":' * 100_000,
        b'{"displayName": ' + b"[" * 100_000,
    ],
    ids=lambda body: repr(body[:24]),
)
def test_body_that_is_no_json_object(shared: Server, body: bytes) -> None:
    for method, target in (("POST", LIST), ("PATCH", ITEM)):
        check(shared.call(method, target, body, JSON), 400, "BadRequest", UNREADABLE)


@pytest.mark.parametrize(
    "given", [None, "", "text/plain", "application/xml", "application/x-www-form-urlencoded", "text/json", "*/*"]
)
def test_body_that_is_not_declared_as_json(shared: Server, given: str | None) -> None:
    body = json.dumps(dict(PUBLISHED)).encode()
    for method, target in (("POST", LIST), ("PATCH", ITEM), ("PUT", f"{ITEM}/displayName")):
        refused = shared.call(method, target, body, {} if given is None else {"Content-Type": given})
        check(refused, 400, "BadRequest", "Entity only allows writes with a JSON Content-Type header.")


def test_body_in_another_character_set(shared: Server) -> None:
    refused = shared.call("POST", LIST, b"{}", {"Content-Type": "application/json; charset=utf-16"})
    check(refused, 400, "BadRequest")


_VALUES: Final[Mapping[str, object]] = {
    "number": 3,
    "negative": -1,
    "fraction": 1.5,
    "huge": 10**400,
    "true": True,
    "false": False,
    "object": {},
    "array": [],
    "text": "text",
    "empty": "",
    "null": None,
}
_TAKES: Final = {"displayName": {"text", "empty", "null"}, "version": {"text", "empty"}}
_EXPECTED: Final = {
    "id": "Edm.String",
    "displayName": "Edm.String",
    "lastConnectionDateTime": "Edm.DateTimeOffset",
    "state": STATE,
    "version": "Edm.String",
}


_WRONG: Final = [(name, kind) for name in _EXPECTED for kind in _VALUES if kind not in _TAKES.get(name, ())]


@pytest.mark.parametrize(("name", "kind"), _WRONG)
def test_value_of_a_wrong_type(shared: Server, name: str, kind: str) -> None:
    value = _VALUES[kind]
    for method, target in (("POST", LIST), ("PATCH", ITEM)):
        refused = shared.call(method, target, {**PUBLISHED, name: value})
        check(refused, 400, "ModelValidationFailure")
        if isinstance(value, bool | int | float | str):
            literal = value if isinstance(value, str) else json.dumps(value)
            shown = literal if len(literal) <= 128 else f"{literal[:128]}…"
            assert refused.said == f"Cannot convert the literal '{shown}' to the expected type '{_EXPECTED[name]}'."
        else:
            assert name in refused.said


@pytest.mark.parametrize(
    "value",
    [
        *("2026-01-02T03:04:05", "2026-01-02T03:04:05.123", "2026-01-02", "03:04:05Z", "2026-02-30T00:00:00Z"),
        *("2026-01-02T24:00:00Z", "2026-01-02T03:04:60Z", "2026-13-01T00:00:00Z", "2026-01-02T03:04:05+25:00"),
        *(
            "2026-01-02 03:04:05Z",
            "2026-01-02T03:04:05.Z",
            "/Date(1)/",
            "0000-01-01T00:00:00Z",
            "２026-01-02T03:04:05Z",
        ),
    ],
)
def test_date_time_without_an_offset_or_off_the_calendar(shared: Server, value: str) -> None:
    refused = shared.call("POST", LIST, {**PUBLISHED, "lastConnectionDateTime": value})
    said = f"Cannot convert the literal '{value}' to the expected type 'Edm.DateTimeOffset'."
    check(refused, 400, "ModelValidationFailure", said)
    assert "lastConnectionDateTime" in refused.error["details"][0]["message"]


@pytest.mark.parametrize("value", ["Active", "unknownFutureValue", "active ", "active,error", "7", "-1", "\u0660"])
def test_unknown_member_of_the_enumeration(shared: Server, value: str) -> None:
    refused = shared.call("PATCH", ITEM, {"state": value})
    said = f"Cannot convert the literal '{value}' to the expected type '{STATE}'."
    check(refused, 400, "ModelValidationFailure", said)


@pytest.mark.parametrize("name", ["foo", "DisplayName", "displayname", "", "display name", "id ", "\ud800", "x" * 999])
def test_unknown_property(shared: Server, name: str) -> None:
    shown = name.replace("\ud800", "?") if len(name) < 129 else name[:128] + "…"
    for method, target in (("POST", LIST), ("PATCH", ITEM)):
        refused = shared.call(method, target, {**PUBLISHED, name: "x"})
        said = f"The property '{shown}' does not exist on type '{ENTITY}'. "
        check(refused, 400, "BadRequest", said + "Make sure to only use property names that are defined by the type.")


@pytest.mark.parametrize("name", PROPERTIES)
def test_property_that_is_missing_is_named(shared: Server, name: str) -> None:
    refused = post(shared, {member: value for member, value in PUBLISHED.items() if member != name})
    said = f"The following property is required to create a {ENTITY}: '{name}'."
    check(refused, 400, "ModelValidationFailure", said)


def test_properties_that_are_missing_are_all_named(shared: Server) -> None:
    names = ", ".join(f"'{name}'" for name in PROPERTIES)
    said = f"The following properties are required to create a {ENTITY}: {names}."
    check(post(shared, {}), 400, "ModelValidationFailure", said)


@pytest.mark.parametrize("named", ["#microsoft.graph.nothing", "nothing", "", "#", "\ud800"])
def test_unknown_type(shared: Server, named: str) -> None:
    shown = named.removeprefix("#").replace("\ud800", "?")
    said = f"A type named '{shown}' could not be resolved by the model. "
    refused = post(shared, {**PUBLISHED, "@odata.type": named})
    more = "When a model is available, each type name must resolve to a valid type."
    check(refused, 400, "BadRequest", said + more)


@pytest.mark.parametrize("named", ["#microsoft.graph.deviceManagement", f"#{STATE}", "#Edm.String", 7, None])
def test_type_of_something_else(shared: Server, named: object) -> None:
    check(post(shared, {**PUBLISHED, "@odata.type": named}), 400, "BadRequest")


@pytest.mark.parametrize("value", ["a\x00b", "\ud800", "a\udfffb"])
@pytest.mark.parametrize("name", ["displayName", "version"])
def test_text_that_cannot_be_kept(shared: Server, name: str, value: str) -> None:
    check(post(shared, {**PUBLISHED, name: value}), 400, "ModelValidationFailure")


def test_id_in_a_batch_that_cannot_be_given_back(shared: Server) -> None:
    requests = [{"id": "\ud800", "method": "GET", "url": "/deviceManagement/domainJoinConnectors"}]
    check(shared.call("POST", "/beta/$batch", {"requests": requests}), 400, "BadRequest")


@pytest.mark.parametrize(("name", "length"), [("displayName", 513), ("version", 129)])
def test_text_that_is_too_long(shared: Server, name: str, length: int) -> None:
    assert post(shared, {**PUBLISHED, name: "x" * (length - 1)}).status == 201
    check(post(shared, {**PUBLISHED, name: "x" * length}), 400, "ModelValidationFailure")


def test_name_that_is_there_twice(shared: Server) -> None:
    refused = post(shared, b'{"state": "active", "state": "error"}')
    said = "Multiple properties with the name 'state' were detected in a resource. "
    check(refused, 400, "BadRequest", said + "In OData, duplicate property names are not allowed.")


def test_link_to_changes_that_are_no_longer_kept(server: Server) -> None:
    link = server.call("GET", f"{LIST}/delta?$deltatoken=latest").json["@odata.deltaLink"].removeprefix(ORIGIN)
    server.clock.time -= 3_600
    refused = server.call("GET", link)
    server.clock.time += 3_600
    assert (refused.status, refused.error["code"]) == (410, "SyncStateNotFound")
    assert refused.headers["location"] == f"{ORIGIN}{LIST}/delta"


def test_subscription_that_is_not_taken(shared: Server) -> None:
    body = {"changeType": "created", "resource": "users", "expirationDateTime": "2027-01-15T09:00:00Z"}
    refused = shared.call("POST", "/beta/subscriptions", {**body, "notificationUrl": "https://hooks.example/"})
    said = "The resource 'users' has no notifications; 'deviceManagement/domainJoinConnectors' has."
    check(refused, 400, "ValidationError", said)


@pytest.mark.parametrize("given", ["7", "{77296cf7-6cf7-7729-f76c-2977f76c2977}", "77296cf76cf77729f76c2977f76c2977"])
def test_id_that_is_no_guid(shared: Server, given: str) -> None:
    check(post(shared, {**PUBLISHED, "id": given}), 400, "ModelValidationFailure")


def test_id_that_is_taken(server: Server) -> None:
    made = server.create()
    for given in (made["id"], made["id"].upper()):
        refused = post(server, {**PUBLISHED, "id": given, "version": "2"})
        check(refused, 409, "Conflict", f"An entity with the id '{made['id']}' already exists")
    assert server.call("GET", f"{LIST}/{made['id']}").json == made


@pytest.mark.parametrize("given", [NOWHERE, "x", None])
def test_id_cannot_be_changed(shared: Server, given: object) -> None:
    made = shared.create()
    check(shared.call("PATCH", f"{LIST}/{made['id']}", {"id": given}), 400, "ModelValidationFailure")
    assert shared.call("GET", f"{LIST}/{made['id']}").json == made


def test_refused_change_changes_nothing(shared: Server) -> None:
    made = shared.create()
    for change in ({"version": "2", "state": "nothing"}, {"version": "2", "foo": 1}, {"version": "2", "state": None}):
        assert shared.call("PATCH", f"{LIST}/{made['id']}", change).status == 400
    assert shared.call("GET", f"{LIST}/{made['id']}").json == made


# --- sizes and packing

_LARGE: Final = f"The request body is larger than {MAX_BODY} bytes."


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        ([b"{}"], {"Content-Length": str(MAX_BODY + 1)}),
        ([b"{}"], {"Content-Length": "9" * 400}),
        ([b"x" * MAX_BODY, b"x"], {}),
        ([b" " * 1000] * 1049, {"Transfer-Encoding": "chunked"}),
        ([gzip.compress(b" " * (MAX_BODY + 1))], {"Content-Encoding": "gzip"}),
        ([gzip.compress(bytes(300 * MAX_BODY), 9)], {"Content-Encoding": "gzip"}),
    ],
    ids=["declared", "declared beyond reason", "sent", "chunked", "unpacked", "bomb"],
)
def test_body_that_is_too_large(shared: Server, body: list[bytes], headers: dict[str, str]) -> None:
    for method, target in (("POST", LIST), ("PATCH", ITEM)):
        check(shared.call(method, target, body, {**JSON, **headers}), 413, "RequestEntityTooLarge", _LARGE)


def test_body_as_large_as_may_be(shared: Server) -> None:
    body = json.dumps(dict(PUBLISHED)).encode().ljust(MAX_BODY)
    assert post(shared, body).status == 201
    packed = shared.call("POST", LIST, gzip.compress(body), {**JSON, "Content-Encoding": "gzip"})
    assert packed.status == 201


@pytest.mark.parametrize("encoding", ["gzip", "GZIP", "x-gzip", " gzip "])
def test_packed_body_is_read(shared: Server, encoding: str) -> None:
    """clients.md item 4: kiota for Go packs every body."""
    body = gzip.compress(json.dumps(dict(PUBLISHED)).encode())
    made = shared.call("POST", LIST, [body[:20], body[20:]], {**JSON, "Content-Encoding": encoding})
    assert (made.status, made.json["version"]) == (201, "Version value")


_PACKED: Final = gzip.compress(json.dumps(dict(PUBLISHED)).encode())


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        _PACKED[:-9],
        _PACKED[:-1],
        _PACKED[:-8] + bytes(8),
        b"\x1f\x8b",
        _PACKED + b"more",
        _PACKED + _PACKED,
    ],
    ids=["empty", "plain", "cut", "cut at the end", "wrong checksum", "head alone", "with a tail", "twice"],
)
def test_body_that_is_not_the_gzip_it_says(shared: Server, body: bytes) -> None:
    check(shared.call("POST", LIST, body, {**JSON, "Content-Encoding": "gzip"}), 400, "BadRequest")


@pytest.mark.parametrize("encoding", ["br", "deflate", "zstd", "gzip, gzip", "nothing"])
def test_packing_that_is_not_read(shared: Server, encoding: str) -> None:
    refused = shared.call("POST", LIST, b"{}", {**JSON, "Content-Encoding": encoding})
    check(refused, 415, "UnsupportedMediaType")


# --- HTTP


@pytest.mark.parametrize(
    "host",
    ["", " ", "a b", "user@host", "host/path", "host:port", "host:", 'ho"st', "[::1", "a,b", "ho\tst", "é", "h?x"],
)
def test_bad_host(shared: Server, host: str) -> None:
    refused = shared.call("GET", LIST, headers={"Host": host})
    check(refused, 400, "BadRequest", "The Host header is missing or is not a host name with an optional port.")


@pytest.mark.parametrize("name", ["Host", "Authorization", "Content-Type", "Content-Length"])
def test_header_that_is_there_twice(shared: Server, name: str) -> None:
    value = {"Host": "a", "Authorization": f"Bearer {shared.token()}", "Content-Length": "2"}.get(name, "x")
    refused = shared.call("GET", LIST, headers=[(name, value), (name, value)])
    check(refused, 400, "BadRequest", f"The header '{name.lower()}' is given twice.")


def test_url_that_is_too_long(shared: Server) -> None:
    for target in (f"{LIST}?x={'x' * MAX_TARGET}", f"/{'x' * MAX_TARGET}"):
        refused = shared.call("GET", target)
        check(refused, 414, "UriTooLong", f"The URL is longer than {MAX_TARGET} characters.")


def test_url_whose_next_link_would_be_too_long(shared: Server) -> None:
    """What stands unescaped in a URL takes three times the room in a link, which is then longer than is read here."""
    shared.create(), shared.create()
    long, small = "é" * 7_000, {"Prefer": "odata.maxpagesize=1"}
    refused = shared.call("GET", f"{LIST}?$filter=displayName ne '{long}'".replace(" ", "%20"), headers=small)
    said = f"With its characters escaped, the link to the next page is longer than {MAX_TARGET} characters."
    check(refused, 414, "UriTooLong", said)
    whole = shared.call("GET", f"{LIST}?$filter=displayName eq '{long}'".replace(" ", "%20"), headers=small)
    assert (whole.status, whole.json["value"]) == (200, [])


def test_headers_that_are_too_large(shared: Server) -> None:
    said = f"The request's headers are larger than {MAX_HEADERS} bytes."
    for headers in ([("x-one", "x" * MAX_HEADERS)], [(f"x-{number}", "x" * 1000) for number in range(66)]):
        refused = shared.call("GET", LIST, headers=headers)
        check(refused, 431, "RequestHeaderFieldsTooLarge", said)


# --- the order of checks


def test_checks_come_in_their_order(server: Server) -> None:
    """Routing, token, personal account, licence, permission, object (DESIGN section 4)."""
    unlicensed = server.add_tenant("unlicensed", NO_LICENCE)
    nothing = frozenset[str]()
    nobody = server.token(permissions=nothing, tenant=unlicensed, personal=True, kind=Kind.DELEGATED, expires_in=-1)
    personal = server.token(permissions=nothing, tenant=unlicensed, personal=True, kind=Kind.DELEGATED)
    without_licence = server.token(permissions=nothing, tenant=unlicensed)
    without_permission = server.token(permissions=nothing)
    found = [
        server.call("TRACE", "/beta/nowhere", token=nobody).status,
        server.call("PATCH", "/beta/nowhere", b"x", token=nobody).said,
        server.call("PATCH", ITEM, b"x", token=nobody).status,
        server.call("PATCH", ITEM, b"x", token=personal).said[:12],
        server.call("PATCH", ITEM, b"x", token=without_licence).said,
        server.call("PATCH", ITEM, b"x", token=without_permission).said[:29],
        server.call("PATCH", ITEM, {"state": "active"}).status,
    ]
    assert found == [
        405,
        "Resource not found for the segment 'nowhere'.",
        401,
        "This API is ",
        "Request not applicable to target tenant",
        "Application is not authorized",
        404,
    ]


def test_who_may_not_do_a_thing_learns_nothing_of_it(shared: Server) -> None:
    key, token = shared.create()["id"], shared.token("User.Read")
    there, missing = (shared.call("GET", f"{LIST}/{each}", token=token) for each in (key, NOWHERE))
    assert (there.status, there.said) == (missing.status, missing.said)


def test_ids_of_a_request_are_new(shared: Server) -> None:
    found = {shared.call("GET", ITEM).headers["request-id"] for _ in range(20)}
    assert len(found) == 20
    assert all(re.fullmatch(GUID, each) for each in found)


class Slow:
    """Reads that are never done in their time."""

    embedded = False

    async def fetch(self, _sql: str, _parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        raise TooSlow("The query was not done within 5 seconds.")


@pytest.mark.parametrize("query", ["?$filter=contains(displayName,'a')", "/$count?$filter=contains(version,'a')"])
def test_query_that_takes_too_long(server: Server, monkeypatch: pytest.MonkeyPatch, query: str) -> None:
    monkeypatch.setattr(type(server.application.installation.database), "scanner", Slow())
    answer = server.call("GET", LIST + query)
    check_form(answer)
    assert (answer.status, answer.error["code"]) == (503, "ServiceUnavailable")
    assert answer.error["message"] == "The query was not done within 5 seconds."
    assert answer.headers["retry-after"] == "2"
    assert server.call("GET", f"{LIST}?$top=1").status == 200, "what is short goes on"


class Away:
    """A database that is not there, and whose words are for its operator."""

    SAYS: Final = (
        "The database postgresql://role@inner/name?sslmode=require cannot be reached: "
        'password authentication failed for user "role".'
    )
    embedded = False

    async def fetch(self, _sql: str, _parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        raise Unavailable(self.SAYS)


@pytest.mark.parametrize(
    ("method", "target", "body"),
    [
        ("GET", "/readyz", None),
        ("GET", LIST, None),
        ("POST", f"/{NOWHERE}/oauth2/v2.0/token", b"grant_type=client_credentials&client_id=x"),
    ],
)
def test_where_the_database_is_is_for_the_log_alone(
    server: Server, monkeypatch: pytest.MonkeyPatch, method: str, target: str, body: bytes | None
) -> None:
    server.token()
    monkeypatch.setattr(type(server.application.installation.database), "reader", Away())
    monkeypatch.setattr(failures, "_REASONS", failures._Reasons())
    # The module's own logger may have been bound to the log of an earlier test.
    monkeypatch.setattr(failures, "_LOG", structlog.get_logger())
    form = {"Content-Type": "application/x-www-form-urlencoded"} if body else {}
    with capture_logs() as lines:
        answers = [server.call(method, target, body, form) for _ in range(3)]
    for each in answers:
        assert (each.status, each.headers["retry-after"]) == (503, "2")
        assert "The database is not available now. Try again later." in each.body.decode()
        assert "role@" not in each.body.decode()
    (line,) = [each for each in lines if "reason" in each]
    assert (line["event"], line["log_level"], line["reason"]) == ("database not available", "error", Away.SAYS)
    assert line["request_id"] == answers[0].headers["request-id"]


# --- the list is closed

# No request meets these: they stop a command, or the start of the service.
COMMANDS: Final = ("adjoin.cli.", "adjoin.config")
# Answered in Entra's form and not in Graph's, by `web/login`.
ENTRA: Final = (SignInRefusal,)


def refusals(of: type[Refusal] = Refusal) -> Iterator[type[Refusal]]:
    for each in of.__subclasses__():
        yield each
        yield from refusals(each)


def test_every_refusal_has_its_row() -> None:
    for module in pkgutil.walk_packages(adjoin.__path__, "adjoin."):
        if ".migrations" not in module.name and not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    ours = [each for each in refusals() if each.__module__.startswith("adjoin.")]
    leaves = [each for each in ours if not each.__subclasses__()]
    assert BadConfig in leaves
    without = [
        each.__name__
        for each in leaves
        if failures.row_of(each).status == 500
        and not issubclass(each, (*failures.AT_START, *ENTRA))
        and not each.__module__.startswith(COMMANDS)
    ]
    assert not without
    assert not [each for each in (*failures.AT_START, *ENTRA) if failures.row_of(each).status != 500]
