"""The headers of every answer (graph-contract 3.4), and whose host the links of an answer are on."""

from __future__ import annotations

import re
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.conftest import Opens
from tests.server import GUID, HOST, LIST, NOWHERE, ORIGIN, PUBLISHED, Answer, Server

from adjoin.web.errors import BadHost
from adjoin.web.exchange import MAX_HEADERS, MAX_TARGET, headers_of

# One request for each kind of answer.
CALLS: Final = {
    "created": ("POST", LIST),
    "list": ("GET", LIST),
    "count": ("GET", f"{LIST}/$count"),
    "metadata": ("GET", "/beta/$metadata"),
    "missing": ("GET", f"{LIST}/{NOWHERE}"),
    "unknown segment": ("GET", "/beta/nothing"),
    "unknown version": ("GET", "/nothing"),
    "not routed": ("PUT", LIST),
    "not allowed": ("TRACE", LIST),
    "page": ("GET", "/"),
    "alive": ("GET", "/healthz"),
    "discovery": ("GET", "/default/v2.0/.well-known/openid-configuration"),
    "no token granted": ("POST", "/default/oauth2/v2.0/token"),
    "preflight": ("OPTIONS", LIST),
    "too long": ("GET", f"{LIST}?x={'x' * MAX_TARGET}"),
}
ANY: Final = pytest.mark.parametrize("kind", CALLS)
HSTS: Final = "strict-transport-security"


def answer_of(server: Server, kind: str, headers: dict[str, str] | None = None, scheme: str = "http") -> Answer:
    method, target = CALLS[kind]
    return server.call(method, target, PUBLISHED if method == "POST" else None, headers or {}, scheme=scheme)


@ANY
def test_headers_of_every_answer(shared: Server, kind: str) -> None:
    answer = answer_of(shared, kind)
    headers = answer.headers
    assert re.fullmatch(GUID, headers["request-id"])
    assert headers["client-request-id"] == headers["request-id"]
    assert re.fullmatch(r'\{"ServerInfo":\{.*"RoleInstance":".*"\}\}', headers["x-ms-ags-diagnostic"])
    assert headers["odata-version"] == "4.0"
    assert re.match("no-cache|no-store", headers["cache-control"])
    assert headers["x-content-type-options"] == "nosniff"
    assert len(headers) == len(answer.pairs), "a header is there twice"
    if answer.status == 204:
        assert not {"content-type", "content-length"} & headers.keys()
    else:
        assert headers["content-length"] == str(len(answer.body))
        assert headers["content-type"]


@ANY
def test_token_answers_are_stored_nowhere(shared: Server, kind: str) -> None:
    if kind == "no token granted":
        assert "no-store" in answer_of(shared, kind).headers["cache-control"]
        assert answer_of(shared, kind).headers["pragma"] == "no-cache"


@ANY
def test_client_request_id_is_echoed(shared: Server, kind: str) -> None:
    given = "2E0A2A4C-0000-4000-8000-00000000000a"
    headers = answer_of(shared, kind, {"client-request-id": given}).headers
    assert headers["client-request-id"] == given
    assert headers["request-id"] != given


@pytest.mark.parametrize("given", ["abc", "{2e0a2a4c-0000-4000-8000-00000000000a}", "a.b_c~d", "x" * 128])
def test_plain_text_is_echoed(shared: Server, given: str) -> None:
    refused = shared.call("GET", f"{LIST}/{NOWHERE}", headers={"client-request-id": given})
    assert refused.headers["client-request-id"] == given
    assert refused.error["innerError"]["client-request-id"] == given
    assert f"Activity ID: {given} " in refused.error["message"]


@pytest.mark.parametrize(
    "given", ["", " ", "a b", "a,b", "<script>", 'a"b', "a\r\nset-cookie: x", "é", "x" * 129, "a;b", "\x00", "a\n"]
)
def test_text_that_is_not_safe_is_not_echoed(shared: Server, given: str) -> None:
    refused = shared.call("GET", f"{LIST}/{NOWHERE}", headers={"client-request-id": given})
    assert refused.headers["client-request-id"] == refused.headers["request-id"]
    assert refused.error["innerError"]["client-request-id"] == refused.headers["request-id"]
    assert f"Activity ID: {refused.headers['request-id']} " in refused.error["message"]


def test_client_request_id_that_is_there_twice_is_not_echoed(shared: Server) -> None:
    answer = shared.call("GET", LIST, headers=[("client-request-id", "a"), ("client-request-id", "b")])
    assert answer.headers["client-request-id"] == answer.headers["request-id"]


# --- transport security


@ANY
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_no_strict_transport_for_a_host_that_nobody_said_is_for_good(shared: Server, kind: str, scheme: str) -> None:
    """Browsers keep to it for a year, for all ports of the host: trying `--tls` out would end others on localhost."""
    assert HSTS not in answer_of(shared, kind, scheme=scheme).headers


@ANY
def test_strict_transport_where_the_public_url_is_https(opens: Opens, kind: str) -> None:
    assert answer_of(opens(public_url="https://graph.example.com"), kind).headers[HSTS] == "max-age=31536000"


def test_no_strict_transport_where_it_is_http(opens: Opens) -> None:
    assert HSTS not in opens(public_url="http://graph.example.com").call("GET", LIST, scheme="https").headers


# --- other origins


@ANY
def test_answers_may_be_read_from_any_origin(shared: Server, kind: str) -> None:
    headers = answer_of(shared, kind, {"Origin": "https://app.example.com"}).headers
    assert headers["access-control-allow-origin"] == "*"
    exposed = headers["access-control-expose-headers"].split(", ")
    assert {"ETag", "Location", "Preference-Applied", "request-id", "client-request-id", "Retry-After"} <= set(exposed)
    assert "access-control-allow-credentials" not in headers
    assert "access-control-allow-origin" not in answer_of(shared, kind).headers


@pytest.mark.parametrize("target", [LIST, "/beta", "/default/oauth2/v2.0/token", "/nothing"])
def test_preflight_needs_no_token(shared: Server, target: str) -> None:
    asked = {
        "Origin": "https://app.example.com",
        "Access-Control-Request-Method": "PATCH",
        "Access-Control-Request-Headers": "authorization,content-type,prefer",
    }
    answer = shared.call("OPTIONS", target, headers=asked, token=None)
    assert (answer.status, answer.body) == (204, b"")
    assert answer.headers["access-control-allow-origin"] == "*"
    methods = answer.headers["access-control-allow-methods"].split(", ")
    assert {"GET", "POST", "PATCH", "DELETE"} <= set(methods)
    assert answer.headers["access-control-allow-headers"] == "authorization,content-type,prefer"


# --- whose host


def hosts(server: Server, headers: dict[str, str], scheme: str = "http") -> set[str]:
    """The scheme and host of everything that an answer may point to."""
    made = server.call("POST", LIST, PUBLISHED, headers, scheme=scheme)
    server.call("POST", LIST, PUBLISHED, headers, scheme=scheme)
    page = server.call("GET", LIST, headers={**headers, "Prefer": "odata.maxpagesize=1"}, scheme=scheme).json
    missing = server.call("GET", f"{LIST}/{NOWHERE}", headers=headers, scheme=scheme).error["message"]
    discovery = server.call("GET", "/default/v2.0/.well-known/openid-configuration", headers=headers, scheme=scheme)
    openapi = server.call("GET", "/openapi.json", headers=headers, scheme=scheme).json
    challenge = server.call("GET", LIST, headers=headers, token=None, scheme=scheme).headers["www-authenticate"]
    links = [
        made.headers["location"],
        made.json["@odata.context"],
        page["@odata.context"],
        page["@odata.nextLink"],
        missing.partition("Url: ")[2],
        discovery.json["token_endpoint"],
        discovery.json["jwks_uri"],
        openapi["servers"][0]["url"],
        challenge.partition('authorization_uri="')[2],
    ]
    return {"/".join(link.split("/")[:3]) for link in links}


@pytest.mark.parametrize("host", [HOST, "localhost:1", "graph.example.com", "[::1]:8365", "GRAPH.example.com"])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_links_are_on_the_host_that_the_client_used(shared: Server, host: str, scheme: str) -> None:
    assert hosts(shared, {"Host": host}, scheme) == {f"{scheme}://{host}"}


FORWARDED: Final = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "graph.example.com"}


def test_stranger_may_not_say_what_was_forwarded(shared: Server) -> None:
    assert hosts(shared, FORWARDED) == {ORIGIN}


@pytest.mark.parametrize("public_url", ["https://graph.example.com", "https://graph.example.com/"])
def test_links_are_on_the_public_url(opens: Opens, public_url: str) -> None:
    assert hosts(opens(public_url=public_url), {"Host": "inside:1"}) == {"https://graph.example.com"}


@pytest.mark.parametrize(
    ("headers", "origin"),
    [
        (FORWARDED, "https://graph.example.com"),
        ({"X-Forwarded-Proto": "https"}, f"https://{HOST}"),
        ({}, ORIGIN),
        ({"X-Forwarded-Proto": "HTTPS"}, f"https://{HOST}"),
        ({"X-Forwarded-Host": "forged.example.com, graph.example.com"}, "http://graph.example.com"),
        ({"X-Forwarded-Proto": "http, https"}, f"https://{HOST}"),
    ],
    ids=str,
)
def test_links_behind_a_proxy_are_on_what_the_nearest_proxy_said(
    opens: Opens, headers: dict[str, str], origin: str
) -> None:
    assert hosts(opens(behind_proxy=True), headers) == {origin}


@pytest.mark.parametrize(
    "headers", [{"X-Forwarded-Proto": "javascript"}, {"X-Forwarded-Host": "a b"}, {"X-Forwarded-Host": ""}], ids=str
)
def test_proxy_that_says_nonsense(opens: Opens, headers: dict[str, str]) -> None:
    refused = opens(behind_proxy=True).call("GET", LIST, headers=headers)
    assert (refused.status, refused.error["code"]) == (400, "BadRequest")


def test_request_whose_headers_are_too_large_is_answered_with_the_usual_ones(shared: Server) -> None:
    headers = {"client-request-id": "mine", "Origin": "https://app.example.com", "x": "x" * MAX_HEADERS}
    refused = shared.call("GET", LIST, headers=headers)
    assert refused.headers["client-request-id"] == "mine"
    assert refused.headers["access-control-allow-origin"] == "*"


NAME: Final = st.sampled_from([b"Accept", b"accept", b"prefer", b"host", b"x-a", b"\xe9", b"", b"x\na"])
VALUE: Final = st.binary(max_size=4) | st.sampled_from([b"", b"a\nb", b"\n", b"\xff"])


@given(st.lists(st.tuples(NAME, VALUE), max_size=6))
def test_headers_are_read_pair_by_pair_whatever_they_hold(raw: list[tuple[bytes, bytes]]) -> None:
    """Also what no server lets through, so that no value can pass for a header of its own."""
    joined: dict[str, str] = {}
    twice = False
    for name, value in ((name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in raw):
        twice = twice or (name in joined and name == "host")
        joined[name] = f"{joined[name]}, {value}" if name in joined else value
    found, fault = headers_of(raw)
    assert found == joined
    assert isinstance(fault, BadHost) == twice
