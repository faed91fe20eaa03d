"""`$batch` from end to end: each request of it is answered as if it had come alone, and a change set whole or not."""

from __future__ import annotations

import asyncio
import json
import threading
from base64 import b64encode
from collections.abc import Callable
from email.parser import BytesParser
from typing import Any, Final

import pytest
from tests.server import HOST, LIST, NOWHERE, ORIGIN, PUBLISHED, READ, Answer, Server

from adjoin.identity.clouds import PERSONAL_TENANT
from adjoin.identity.parties import Parties
from adjoin.store.tenants import NO_LICENCE

BATCH: Final = "/beta/$batch"
URL: Final = LIST.removeprefix("/beta")


def get(url: str = URL, id_: object = "1", **members: object) -> dict[str, object]:
    return {"id": id_, "method": "GET", "url": url, **members}


def post(id_: object = "1", **changes: object) -> dict[str, object]:
    return {"id": id_, "method": "POST", "url": URL, "body": {**PUBLISHED, **changes}}


def send(server: Server, *requests: object, token: str = "", **headers: str) -> dict[Any, dict[str, Any]]:
    """The answers of a JSON batch by their ids."""
    answer = server.call("POST", BATCH, {"requests": requests}, headers, token=token)
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json"), answer.body
    responses = answer.json["responses"]
    assert len({each["id"] for each in responses}) == len(responses) == len(requests)
    return {each["id"]: each for each in responses}


def only(server: Server, request: object, token: str = "") -> dict[str, Any]:
    (answer,) = send(server, request, token=token).values()
    return answer


def number(server: Server, filter_: str = "true") -> int:
    return int(server.call("GET", f"{LIST}/$count?$filter={filter_}").body)


# --- where a request goes


@pytest.mark.parametrize(
    "prefix",
    [
        "/",
        "",
        "/beta/",
        "beta/",
        "//",
        "/beta//",
        "/BETA/",
        f"{ORIGIN}/beta/",
        f"{ORIGIN}//beta/",
        f"http://{HOST}/beta//",
    ],
)
def test_every_form_of_a_url_leads_there(shared: Server, prefix: str) -> None:
    made = shared.create()
    for url in (
        f"deviceManagement/domainJoinConnectors/{made['id']}",
        f"deviceManagement/domainJoinConnectors('{made['id']}')",
    ):
        answer = only(shared, get(prefix + url))
        assert (answer["status"], answer["body"]) == (200, made)


@pytest.mark.parametrize(
    "query", ["$filter=displayName eq 'a & b/é?'", "%24filter=displayName%20eq%20%27a+%26%20b/%C3%A9?%27"]
)
def test_a_query_may_be_encoded_or_not(shared: Server, query: str) -> None:
    made = shared.create(displayName="a & b/é?")
    query = query.replace("a & b", "a %26 b")
    assert made["id"] in [each["id"] for each in only(shared, get(f"{URL}?{query}"))["body"]["value"]]


def test_a_version_may_be_named_that_is_not_the_batchs(shared: Server) -> None:
    assert only(shared, get(f"/v1.0{URL}"))["status"] == 400
    answer = shared.call("POST", "/v1.0/$batch", {"requests": [get(), get(f"/beta{URL}", "2")]})
    assert [each["status"] for each in answer.json["responses"]] == [400, 200]


@pytest.mark.parametrize(
    ("url", "status"),
    [
        *(("http://other.example/beta" + URL, 400), ("http://[", 400), ("/nowhere", 400), ("", 200)),
        ("/$metadata", 200),
        *((f"http://user@{HOST}/beta{URL}", 400), ("/" * 500, 200), (f"{URL}?$top=x", 400), (f"{URL}/{NOWHERE}", 404)),
        *((f"{URL}?$filter=%zz", 400), ("/%zz", 400), ("/%00", 400), ("\x00", 400), (f"{URL}?{'a' * 40_000}", 400)),
        *(("\ud800", 400), (f"{URL}?$filter=a#b", 400), (f"{URL}?$filter=geo.length(1)", 501)),
    ],
)  # fmt: skip
def test_a_url_is_refused_inside_its_own_answer(shared: Server, url: str, status: int) -> None:
    answers = send(shared, get(url), get(id_="other"))
    assert (answers["1"]["status"], answers["other"]["status"]) == (status, 200)


@pytest.mark.parametrize(
    "url", ["/$batch", "$batch", "/beta/$batch", f"{ORIGIN}/beta/$batch", "/%24BATCH", "/v1.0/$batch"]
)
@pytest.mark.parametrize("method", ["POST", "GET"])
def test_a_batch_inside_a_batch_is_refused(shared: Server, url: str, method: str) -> None:
    inner = {"requests": [post()]}
    answer = only(shared, {"id": "1", "method": method, "url": url, "body": inner})
    assert (answer["status"], answer["body"]["error"]["message"]) == (400, "A batch cannot be inside a batch.")


# --- what a request says and is answered


def test_every_operation_is_answered_with_its_status_headers_and_body(server: Server) -> None:
    key = server.create()["id"]
    at = f"{URL}/{key}"
    answers = send(
        server,
        get(f"{URL}?$count=true&$select=id", 1),
        get(f"{URL}/$count", 2, headers={"Accept": "text/plain;q=0.9"}, dependsOn=["1"]),
        {**post(3, displayName="made"), "dependsOn": [2]},
        {"id": 4, "method": "patch", "url": at, "body": {"state": "active"}, "dependsOn": [3]},
        {"id": 5, "method": "PUT", "url": f"{at}/version", "body": {"value": "9"}, "dependsOn": ["4"]},
        get(f"{at}/version/$value", 6, dependsOn=["5"]),
        {"id": 7, "method": "DELETE", "url": at, "dependsOn": ["6"]},
        get(at, 8, dependsOn=[]),
    )
    assert [answers[each]["status"] for each in range(1, 8)] == [200, 200, 201, 200, 204, 200, 204]
    assert answers[1]["body"]["@odata.count"] == 1
    assert answers[2]["body"] == b64encode(b"1").decode()
    assert answers[3]["headers"]["Location"] == f"{ORIGIN}{LIST}/{answers[3]['body']['id']}"
    assert answers[4]["body"]["state"] == "active"
    assert answers[6]["body"] == b64encode(b"9").decode()
    assert all("body" not in answers[each] for each in (5, 7))
    for answer in answers.values():
        assert answer["headers"]["Cache-Control"] == "no-cache"
        assert ("Content-Type" in answer["headers"]) == ("body" in answer)
    assert answers[1]["headers"]["Content-Type"].startswith("application/json")
    assert answers[4]["headers"]["ETag"].startswith("W/")


def test_a_base64_body_without_headers_makes_an_entity(shared: Server) -> None:
    body = b64encode(json.dumps({**PUBLISHED, "displayName": "kiota"}).encode()).decode()
    answer = only(shared, {**post(), "body": body})
    assert (answer["status"], answer["body"]["displayName"]) == (201, "kiota")


def test_a_body_that_is_missing_is_refused_in_the_words_of_a_request_that_comes_alone(shared: Server) -> None:
    at = f"{LIST}/{shared.create()['id']}"
    for method, url in (("POST", LIST), ("PATCH", at), ("PUT", f"{at}/version")):
        alone = shared.call(method, url, b"", {"content-type": "application/json"})
        inside = only(shared, {"id": "1", "method": method, "url": url})
        assert (inside["status"], inside["body"]["error"]["message"]) == (400, alone.error["message"])
        assert inside["body"]["error"]["details"] == alone.error["details"]
        assert "Unable to read JSON" in alone.error["message"]


def test_headers_are_a_requests_own(shared: Server) -> None:
    made = shared.create()
    at = f"{URL}/{made['id']}"
    etag = shared.call("GET", f"{LIST}/{made['id']}").headers["etag"]
    full = {"ACCEPT": "application/json;odata.metadata=full"}
    answers = send(
        shared,
        get(at, "full", headers=full),
        get(at, "minimal"),
        get(at, "unchanged", headers={"If-None-Match": etag}),
        {**post("quiet"), "headers": {"prefer": "return=minimal"}},
        {"id": "stale", "method": "PATCH", "url": at, "body": {}, "headers": {"If-Match": 'W/"0"'}},
        get(URL, "paged", headers={"Prefer": "odata.maxpagesize=1"}),
        get(at, "text", headers={"Accept": "text/html"}),
    )
    assert "@odata.editLink" in answers["full"]["body"]
    assert "@odata.editLink" not in answers["minimal"]["body"]
    statuses = {name: answer["status"] for name, answer in answers.items()}
    assert statuses["unchanged"] == 304
    assert (statuses["quiet"], answers["quiet"]["headers"]["Preference-Applied"]) == (204, "return=minimal")
    assert (statuses["stale"], statuses["paged"], statuses["text"]) == (412, 200, 406)
    link = answers["paged"]["body"].get("@odata.nextLink", f"{ORIGIN}{LIST}")
    assert shared.follow(link).status == 200


def test_a_requests_headers_cannot_make_it_another_callers(shared: Server) -> None:
    other = shared.token(tenant=shared.add_tenant("the other"))
    for token in (other, "garbage"):
        made = only(shared, {**post(), "headers": {"Authorization": f"Bearer {token}", "Host": "evil.example"}})
        assert made["status"] == 201
        assert made["headers"]["Location"].startswith(f"{ORIGIN}/")
    assert shared.call("GET", f"{LIST}/$count", token=other).body == b"0"


def test_a_list_is_walked_in_batches(shared: Server) -> None:
    for _ in range(3):
        shared.create(version="walked")
    url, found = f"{URL}?$filter=version eq 'walked'", []
    while url:
        body = only(shared, get(url, headers={"Prefer": "odata.maxpagesize=1"}))["body"]
        found += [each["id"] for each in body["value"]]
        url = body.get("@odata.nextLink", "")
    assert len(found) == len(set(found)) == 3


# --- order and dependence


def test_what_depends_on_a_failure_is_not_run_nor_what_depends_on_that(server: Server) -> None:
    answers = send(
        server,
        {**post("c"), "dependsOn": ["B"]},
        {**post("b"), "dependsOn": ["a"]},
        get(f"{URL}/{NOWHERE}", "a"),
        {**post("d"), "dependsOn": ["e"]},
        get(id_="e"),
        {**post("f"), "dependsOn": ["e", "a"]},
    )
    assert {each: answers[each]["status"] for each in "abcdef"} == {
        "a": 404,
        "b": 424,
        "c": 424,
        "d": 201,
        "e": 200,
        "f": 424,
    }
    assert answers["b"]["body"]["error"]["code"] == "FailedDependency"
    assert number(server) == 1


def test_what_is_to_run_under_a_condition_is_not_run_nor_what_depends_on_it(server: Server) -> None:
    answers = send(
        server,
        get(id_="a"),
        {**post("b"), "dependsOn": ["a"], "if": "$a eq null"},
        {**post("c"), "dependsOn": ["b"]},
        {**post("d"), "dependsOn": ["a"]},
    )
    assert {each: answers[each]["status"] for each in "abcd"} == {"a": 200, "b": 424, "c": 424, "d": 201}
    assert "'if'" in answers["b"]["body"]["error"]["message"]
    assert number(server) == 1


def test_what_depends_sees_what_it_depends_on(server: Server) -> None:
    key = "12345678-1234-4234-8234-123456789abc"
    answers = send(
        server,
        get(f"{URL}/{key}", "last", dependsOn=["delete"]),
        {"id": "delete", "method": "DELETE", "url": f"{URL}/{key}", "dependsOn": ["read"]},
        get(f"{URL}/{key}", "read", dependsOn=["make"]),
        post("make", id=key),
    )
    assert {name: answer["status"] for name, answer in answers.items()} == {
        "make": 201,
        "read": 200,
        "delete": 204,
        "last": 404,
    }


@pytest.mark.parametrize(
    ("requests", "code"),
    [
        ([get()] * 2, "BadRequest"),
        ([get(dependsOn=["2"])], "BadRequest"),
        ([get(dependsOn=["1"])], "BadRequest"),
        ([{"id": "1"}], "BadRequest"),
        ([get(id_=each) for each in range(21)], "MaximumValueExceeded"),
        ("x", "BadRequest"),
    ],
)
def test_a_batch_that_is_none_is_refused_as_a_whole(shared: Server, requests: Any, code: str) -> None:
    before = number(shared)
    answer = shared.call("POST", BATCH, {"requests": requests})
    assert (answer.status, answer.error["code"]) == (400, code)
    assert number(shared) == before


def test_of_a_batch_with_a_group_to_be_kept_whole_nothing_is_run(shared: Server) -> None:
    before = number(shared)
    broken = {**post("3"), "body": {}, "atomicityGroup": "g"}
    answer = shared.call("POST", BATCH, {"requests": [post("1"), {**post("2"), "atomicityGroup": "g"}, broken]})
    assert (answer.status, answer.error["code"]) == (501, "NotSupported")
    assert "change sets" in answer.error["message"]
    assert number(shared) == before


@pytest.mark.parametrize(
    ("options", "status"),
    [
        *(("$top=5", 400), ("top=5", 400), ("$count=true", 400), ("$select=id", 400), ("$nosuch=1", 400)),
        *(("$format=json&$format=json", 400), ("$schemaversion=1", 400), ("$filter=%zz", 400)),
        *(("mine=1", 200), ("mine=1&mine=2", 200), ("$format=json", 200), ("$format=xml", 406)),
    ],
)  # fmt: skip
def test_what_a_batch_does_not_take_as_options_is_refused_and_nothing_is_run(
    server: Server, options: str, status: int
) -> None:
    answer = server.call("POST", f"{BATCH}?{options}", {"requests": [post()]})
    assert answer.status == status, answer.body
    assert number(server) == (status == 200)


def test_an_option_of_a_batch_is_refused_in_the_words_of_other_resources(shared: Server) -> None:
    for options, words in (("$top=5", "'Top' is not allowed"), ("$nosuch=1", "'$nosuch' is unknown")):
        assert words in shared.call("POST", f"{BATCH}?{options}", {"requests": []}).error["message"]


def test_twenty_requests_are_answered(server: Server) -> None:
    answers = send(server, *(post(each) for each in range(20)))
    assert {each["status"] for each in answers.values()} == {201}
    assert number(server) == 20


@pytest.mark.parametrize("headers", [{"content-type": "text/plain"}, {"content-type": "multipart/mixed"}])
def test_a_batch_of_another_type_is_refused(shared: Server, headers: dict[str, str]) -> None:
    assert shared.call("POST", BATCH, b"{}", headers).status == 400


def test_a_batch_is_posted(shared: Server) -> None:
    assert shared.call("GET", BATCH).status in (400, 405)


# --- who may


def test_a_batch_needs_a_token(shared: Server) -> None:
    for token in (None, "garbage"):
        assert shared.call("POST", BATCH, {"requests": [get("/$metadata")]}, token=token).status == 401


def test_a_personal_account_is_refused_in_every_request(shared: Server) -> None:
    token = shared.token(tenant_id=PERSONAL_TENANT)
    answers = send(shared, get(), post("2"), get("/$metadata", "3"), token=token)
    assert [answers[each]["status"] for each in "123"] == [400, 400, 200]
    assert "MSA accounts" in answers["1"]["body"]["error"]["message"]


def test_a_tenant_without_a_licence_is_refused_in_every_request(shared: Server) -> None:
    token = shared.token(tenant=shared.add_tenant("unlicensed", NO_LICENCE))
    answers = send(shared, get(), post("2"), token=token)
    assert {(each["status"], each["body"]["error"]["code"]) for each in answers.values()} == {(403, "Forbidden")}


def test_each_request_needs_its_own_permission(shared: Server) -> None:
    answers = send(shared, get(), post("2"), get(URL, "3"), token=shared.token(READ))
    assert [answers[each]["status"] for each in "123"] == [200, 403, 200]


# --- multipart

BOUNDARY: Final = {"content-type": "multipart/mixed; boundary=b"}


def http(method: str, url: str, body: object = None, content_id: str | None = None, ends: str = "\r\n") -> str:
    head = ["Content-Type: application/http", "Content-Transfer-Encoding: binary"]
    head += [f"Content-ID: {content_id}"] if content_id else []
    text = "" if body is None else json.dumps(body)
    lines = [*head, "", f"{method} {url} HTTP/1.1", "Content-Type: application/json", "", text]
    return ends.join(lines)


def joined(*parts: str, boundary: str = "b", ends: str = "\r\n") -> str:
    return "".join(f"--{boundary}{ends}{each}{ends}" for each in parts) + f"--{boundary}--{ends}"


def changes(*parts: str, ends: str = "\r\n") -> str:
    return f"Content-Type: multipart/mixed; boundary=c{ends}{ends}" + joined(*parts, boundary="c", ends=ends)


def multipart(server: Server, *parts: str, ends: str = "\r\n", **headers: str) -> list[Any]:
    """The statuses of a multipart batch's answers, those of a change set in a list of their own; see `bodies`."""
    answer = server.call("POST", BATCH, joined(*parts, ends=ends).encode(), {**BOUNDARY, **headers})
    assert answer.status == 200, answer.body
    return statuses(whole(answer))


def whole(answer: Answer) -> Any:
    message = BytesParser().parsebytes(f"Content-Type: {answer.headers['content-type']}\r\n\r\n".encode() + answer.body)
    assert not message.defects
    return message


def statuses(message: Any) -> list[Any]:
    return [
        statuses(each) if each.is_multipart() else int(each.get_payload().split(" ")[1])
        for each in message.get_payload()
    ]


def making(name: str, content_id: str | None = None, url: str = LIST) -> str:
    return http("POST", url, {**PUBLISHED, "displayName": name}, content_id)


@pytest.mark.parametrize("ends", ["\r\n", "\n"], ids=["CRLF", "LF"])
@pytest.mark.parametrize("url", [LIST, URL, URL.removeprefix("/"), f"{ORIGIN}{LIST}"])
def test_a_multipart_batch_is_answered_in_its_order(server: Server, ends: str, url: str) -> None:
    parts = [
        http("GET", f"{url}?$top=1", ends=ends),
        changes(
            http("POST", url, dict(PUBLISHED), ends=ends), http("POST", url, dict(PUBLISHED), ends=ends), ends=ends
        ),
        http("GET", f"{url}/$count", ends=ends),
        http("POST", url, dict(PUBLISHED), ends=ends),
    ]
    assert multipart(server, *parts, ends=ends) == [200, [201, 201], 200, 201]
    assert number(server) == 3


def test_a_change_set_does_not_look_at_the_folder_of_keys(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is carried out by another thread, within a transaction; the batch it is part of has looked."""
    server.token()
    looked: list[threading.Thread] = []
    monkeypatch.setattr(Parties, "notice", lambda *_: looked.append(threading.current_thread()))
    assert multipart(server, changes(making("first"), making("second"))) == [[201, 201]]
    assert set(looked) == {threading.current_thread()}


def test_a_change_set_is_carried_out_whole(server: Server) -> None:
    parts = changes(
        making("first", "1"),
        http("PATCH", "$1", {"version": "patched"}),
        making("second", "x@y"),
        http("PUT", "/$x@y/version", {"value": "put"}),
        http("DELETE", "$1"),
    )
    assert multipart(server, parts) == [[201, 200, 201, 204, 204]]
    assert number(server, "version eq 'put'") == number(server) == 1


@pytest.mark.parametrize(
    "failing",
    [
        lambda: http("DELETE", f"{LIST}/{NOWHERE}"),
        lambda: http("POST", LIST, {"displayName": "incomplete"}),
        lambda: http("PATCH", "$1", {"state": "lost"}),
        lambda: http("PATCH", "$9", {"state": "active"}),
        lambda: http("POST", "/nowhere", {}),
        lambda: http("POST", f"{LIST}?$top=1", dict(PUBLISHED)),
        lambda: http("POST", "/beta/$batch", {"requests": []}),
        lambda: http("POST", LIST, {**PUBLISHED, "id": "12345678-1234-4234-8234-123456789abc"}),
    ],
    ids=["missing", "incomplete", "enum", "reference", "segment", "option", "batch", "taken"],
)
@pytest.mark.parametrize("at", [0, 1, 2])
def test_a_change_set_of_which_one_request_fails_changes_nothing(
    server: Server, failing: Callable[[], str], at: int
) -> None:
    server.create(displayName="before", id="12345678-1234-4234-8234-123456789abc")
    parts = [making("first", "1"), making("second")]
    parts.insert(at, failing())
    (status,) = multipart(server, changes(*parts))
    assert 400 <= status < 500
    assert number(server) == number(server, "displayName eq 'before'") == 1


def test_other_writers_are_unharmed_by_a_change_set_that_fails(server: Server) -> None:
    bad = joined(changes(making("bad"), making("bad"), http("DELETE", f"{LIST}/{NOWHERE}"))).encode()
    good = joined(changes(making("set"), making("set"))).encode()
    token = server.token()

    async def all_at_once() -> list[Answer]:
        calls = []
        for round_ in range(12):
            calls.append(server.answer("POST", LIST, {**PUBLISHED, "displayName": f"one {round_}"}, token=token))
            calls.append(server.answer("POST", BATCH, bad, BOUNDARY, token=token))
            calls.append(server.answer("POST", BATCH, good, BOUNDARY, token=token))
            calls.append(server.answer("POST", BATCH, {"requests": [post(each) for each in range(3)]}, token=token))
        return list(await asyncio.gather(*calls))

    answers = server.run(all_at_once())
    for at, answer in enumerate(answers):
        assert answer.status == (201, 200, 200, 200)[at % 4]
        if at % 4 in (1, 2):
            assert statuses(whole(answer)) == ([404] if at % 4 == 1 else [[201, 201]])
        if at % 4 == 3:
            assert [each["status"] for each in answer.json["responses"]] == [201] * 3
    assert number(server, "displayName eq 'bad'") == 0
    assert number(server, "displayName eq 'set'") == 24
    assert number(server, "startswith(displayName,'one ')") == 12
    assert number(server) == 24 + 12 + 36


MISSING: Final = http("GET", f"{LIST}/{NOWHERE}")


@pytest.mark.parametrize(
    ("prefer", "goes_on"),
    [
        ("", False),
        ("continue-on-error", True),
        ("odata.continue-on-error", True),
        ("continue-on-error=true", True),
        ("Continue-On-Error", True),
        ("return=minimal, continue-on-error", True),
        ("continue-on-error=false", False),
        ("odata.continue-on-error=false", False),
        ("x=continue-on-error", False),
    ],
)
def test_a_failure_ends_a_batch_unless_the_caller_prefers_to_go_on(server: Server, prefer: str, goes_on: bool) -> None:
    parts = [making("a"), MISSING, making("b"), changes(making("c"))]
    found = multipart(server, *parts, prefer=prefer)
    assert found == ([201, 404, 201, [201]] if goes_on else [201, 404])
    assert number(server) == (3 if goes_on else 1)


def test_a_change_set_that_fails_ends_a_batch_too(server: Server) -> None:
    failing = changes(making("a"), http("DELETE", f"{LIST}/{NOWHERE}"))
    assert multipart(server, failing, making("b")) == [404]
    assert multipart(server, failing, making("b"), prefer="continue-on-error") == [404, 201]
    assert number(server) == 1


@pytest.mark.parametrize(
    "body",
    [
        joined(changes(http("GET", LIST))).encode(),
        joined(changes(making("x", "é"))).encode(),
        b"".join(b"--b\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n" for _ in range(2_000)),
        b"--b\r\n" + b"Content-Type: message/rfc822\r\n\r\n" * 5_000,
        joined("Content-Type: multipart/mixed; boundary*=a\x00b''x\r\n\r\n").encode(),
        b"",
    ],
    ids=["get", "content id", "nested", "messages", "charset", "empty"],
)
def test_a_malformed_batch_changes_nothing_and_is_no_fault_of_ours(server: Server, body: bytes) -> None:
    answer = server.call("POST", BATCH, body, BOUNDARY)
    assert answer.status == 400
    assert number(server) == 0


@pytest.mark.parametrize(
    ("options", "status"), [("$top=5", 400), ("$format=multipart/mixed", 200), ("$format=json", 406), ("mine=1", 200)]
)
def test_a_multipart_batch_takes_its_form_as_an_option_and_no_other(server: Server, options: str, status: int) -> None:
    answer = server.call("POST", f"{BATCH}?{options}", joined(making("x")).encode(), BOUNDARY)
    assert answer.status == status
    assert number(server) == (status == 200)


def test_a_multipart_batch_needs_what_its_requests_need(server: Server) -> None:
    body = joined(http("GET", LIST), making("x")).encode()
    read_only = server.call("POST", BATCH, body, BOUNDARY, token=server.token(READ))
    assert statuses(whole(read_only)) == [200, 403]
    assert server.call("POST", BATCH, body, BOUNDARY, token=None).status == 401
    change_set = server.call("POST", BATCH, joined(changes(making("x"))).encode(), BOUNDARY, token=server.token(READ))
    assert statuses(whole(change_set)) == [403]
    assert number(server) == 0
