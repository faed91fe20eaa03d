"""The resource as Graph shows it: every operation in both key forms, as the contract's sections 1.4 and 3.4 to 3.7."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from typing import Any, Final

import pytest
from tests.server import GUID, LIST, NOWHERE, ORIGIN, PUBLISHED, READ, TYPE, WRITE, Answer, Server

CONTEXT: Final = f"{ORIGIN}/beta/$metadata#deviceManagement/domainJoinConnectors"
MINIMAL: Final = {"Prefer": "return=minimal"}
JSON: Final = "application/json;odata.metadata={};odata.streaming=true;IEEE754Compatible=false;charset=utf-8"
GIVEN: Final = "77296CF7-6cf7-7729-F76C-2977f76c2977"

KEY_FORMS: Final = pytest.mark.parametrize(
    "form", ["/{}", "('{}')", "(id='{}')", "(%27{}%27)", "%28%27{}%27%29", "/microsoft.graph.entity/{}"]
)


def at(key: str, below: str = "", form: str = "/{}") -> str:
    return LIST + form.format(key) + below


def ids(answer: Answer) -> list[str]:
    return [each["id"] for each in answer.json["value"]]


# --- create


def test_published_body_is_answered_with_its_members_and_an_id(server: Server) -> None:
    made = server.call("POST", LIST, PUBLISHED, {"Accept": "application/json"})
    assert made.status == 201
    assert made.headers["content-type"] == JSON.format("minimal")
    assert re.fullmatch(GUID, made.json["id"])
    assert list(made.json.items()) == [
        ("@odata.context", f"{CONTEXT}/$entity"),
        ("@odata.type", TYPE),
        ("id", made.json["id"]),
        ("displayName", "Display Name value"),
        ("lastConnectionDateTime", "2016-12-31T23:58:36.6670033-08:00"),
        ("state", "error"),
        ("version", "Version value"),
    ]


def test_location_leads_to_what_was_made(server: Server) -> None:
    made = server.call("POST", LIST, PUBLISHED)
    assert made.headers["location"] == f"{ORIGIN}{at(made.json['id'])}"
    assert server.follow(made.headers["location"]).json == made.json


@pytest.mark.parametrize("state", ["active", "error", "inactive"])
def test_each_state_is_kept(shared: Server, state: str) -> None:
    made = shared.create(state=state)
    assert shared.call("GET", at(made["id"])).json["state"] == state


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("2016-12-31T23:58:36.6670033-08:00", "2016-12-31T23:58:36.6670033-08:00"),
        ("2016-12-31T23:58:36.6670000Z", "2016-12-31T23:58:36.667Z"),
        ("2016-12-31T23:58:36.0000000Z", "2016-12-31T23:58:36Z"),
        ("2016-12-31T23:58:36+00:00", "2016-12-31T23:58:36Z"),
        ("2026-01-02T03:04:05.678901+02:00", "2026-01-02T03:04:05.678901+02:00"),
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"),
        ("9999-12-31T23:59:59.9999999Z", "9999-12-31T23:59:59.9999999Z"),
    ],
)
def test_date_times_keep_seven_digits_and_their_offset(shared: Server, given: str, shown: str) -> None:
    made = shared.create(lastConnectionDateTime=given)
    assert made["lastConnectionDateTime"] == shown
    assert shared.call("GET", at(made["id"])).json["lastConnectionDateTime"] == shown


@pytest.mark.parametrize("name", ["", "Zoë ✓ 日本 😀", 'it\'s "so"', "line\nbreak\ttab", "x" * 512, None])
def test_display_name_is_any_text_or_null(shared: Server, name: str | None) -> None:
    made = shared.create(displayName=name)
    assert made["displayName"] == name
    assert shared.call("GET", at(made["id"])).json["displayName"] == name


@pytest.mark.parametrize("named", [TYPE, TYPE[1:], "#microsoft.graph.entity", "#graph.entity"])
def test_type_may_be_named_with_and_without_hash_or_be_the_base(shared: Server, named: str) -> None:
    assert shared.create(**{"@odata.type": named})["@odata.type"] == TYPE


@pytest.mark.parametrize("content_type", ["application/json", "application/json; charset=utf-8", "Application/JSON"])
def test_json_content_types(shared: Server, content_type: str) -> None:
    body = b'{"displayName": null, "lastConnectionDateTime": "2026-01-01T00:00:00Z", "state": "active", "version": "1"}'
    assert shared.call("POST", LIST, body, {"Content-Type": content_type}).status == 201


def test_id_of_the_client_is_kept_in_small_letters(server: Server) -> None:
    made = server.call("POST", LIST, {**PUBLISHED, "id": GIVEN})
    assert (made.status, made.json["id"]) == (201, GIVEN.lower())
    assert made.headers["location"] == f"{ORIGIN}{at(GIVEN.lower())}"
    assert server.call("GET", at(GIVEN.upper())).json == made.json


def test_create_with_return_minimal(server: Server) -> None:
    made = server.call("POST", LIST, PUBLISHED, MINIMAL)
    assert (made.status, made.body) == (204, b"")
    assert made.headers["preference-applied"] == "return=minimal"
    assert made.headers["odata-entityid"] == made.headers["location"]
    assert "content-type" not in made.headers
    assert server.follow(made.headers["location"]).status == 200


@pytest.mark.parametrize("method", ["POST", "PATCH"])
def test_return_representation_is_applied(server: Server, method: str) -> None:
    target = LIST if method == "POST" else at(server.create()["id"])
    answer = server.call(method, target, PUBLISHED, {"Prefer": "return=representation"})
    assert answer.headers["preference-applied"] == "return=representation"
    assert answer.json["version"] == "Version value"


def test_create_through_a_cast(server: Server) -> None:
    made = server.call("POST", f"{LIST}/microsoft.graph.deviceManagementDomainJoinConnector", PUBLISHED)
    assert made.headers["location"] == f"{ORIGIN}{at(made.json['id'])}"


# --- read


@KEY_FORMS
def test_get_in_every_key_form(shared: Server, form: str) -> None:
    made = shared.create()
    got = shared.call("GET", at(made["id"], form=form))
    assert (got.status, got.json) == (200, made)
    assert list(got.json) == list(made)


def test_list_of_nothing(server: Server) -> None:
    assert list(server.call("GET", LIST).json.items()) == [("@odata.context", CONTEXT), ("value", [])]


def test_list_holds_the_entities_without_their_context(server: Server) -> None:
    made = [server.create(version=str(number)) for number in range(3)]
    listed = server.call("GET", LIST)
    assert listed.headers["content-type"] == JSON.format("minimal")
    for each in made:
        del each["@odata.context"]
    assert sorted(listed.json["value"], key=lambda each: each["version"]) == made


def test_permission_to_read_is_enough_to_read(shared: Server) -> None:
    key, token = shared.create()["id"], shared.token(READ)
    for target in (LIST, f"{LIST}/$count", at(key), at(key, "/state"), at(key, "/state/$value")):
        assert shared.call("GET", target, token=token).status == 200


@pytest.mark.parametrize("segments", ["{0}//{1}", "/{0}/{1}", "{0}/{1}/", "//{0}//{1}//"])
def test_doubled_slashes_are_passed_over(shared: Server, segments: str) -> None:
    target = "/beta" + segments.format("/deviceManagement", "domainJoinConnectors")
    assert shared.call("GET", target).json["@odata.context"] == CONTEXT


@pytest.mark.parametrize("change", [str.upper, str.lower, str.swapcase], ids=["upper", "lower", "swapped"])
def test_segments_in_any_case_answer_in_declared_case(shared: Server, change: Any) -> None:
    made = shared.create()
    got = shared.call("GET", change(at(made["id"])))
    assert got.json == made
    assert shared.call("GET", change(f"{LIST}/$count")).status == 200
    assert shared.call("GET", change(at(made["id"], "/displayName"))).json["value"] == made["displayName"]


def test_context_of_a_property_has_declared_case_and_the_stored_id(shared: Server) -> None:
    key = shared.create()["id"]
    value = shared.call("GET", at(key, "/displayName").upper())
    assert value.json["@odata.context"] == f"{CONTEXT}('{key}')/displayName"


@pytest.mark.parametrize(
    "below", ["/microsoft.graph.deviceManagementDomainJoinConnector", "/graph.entity", "/Microsoft.Graph.ENTITY"]
)
def test_casts_to_what_is_there(shared: Server, below: str) -> None:
    made = shared.create()
    assert shared.call("GET", at(made["id"], below)).json == made
    assert made["id"] in ids(shared.call("GET", LIST + below))


@pytest.mark.parametrize("accept", [None, "text/plain", "text/plain;q=0.9", "application/json", "*/*"])
def test_count_is_digits_alone(server: Server, accept: str | None) -> None:
    for _ in range(3):
        server.create()
    counted = server.call("GET", f"{LIST}/$count", headers={"Accept": accept} if accept else {})
    assert (counted.status, counted.body, counted.headers["content-type"]) == (200, b"3", "text/plain")


def test_a_filter_compares_all_whole_numbers_of_64_bits(server: Server) -> None:
    server.create(displayName="name")
    most, least = 2**63 - 1, -(2**63)
    for filter_, found in (
        *((f"length(displayName) lt {most}", 1), (f"length(displayName) gt {most}", 0)),
        *((f"length(displayName) gt {least}", 1), (f"length(displayName) lt {least}", 0)),
        *((f"{most} gt {most - 1}", 1), (f"{least} lt {least + 1}", 1), (f"{most} eq {most - 1}", 0)),
        *((f"length(displayName) in ({most},4)", 1), (f"indexof(displayName,'x') ge {least}", 1)),
        *((f"substring(displayName,{most}) eq ''", 1), (f"substring(displayName,{least},{most}) eq 'name'", 1)),
    ):
        counted = server.call("GET", f"{LIST}/$count?$filter={filter_.replace(' ', '+')}")
        assert (filter_, counted.body) == (filter_, str(found).encode())


def test_count_honours_a_filter(server: Server) -> None:
    for state in ("active", "active", "error"):
        server.create(state=state)
    assert server.call("GET", f"{LIST}/$count?$filter=state%20eq%20'active'").body == b"2"


@pytest.mark.parametrize("name", ["id", "displayName", "lastConnectionDateTime", "state", "version"])
def test_property_and_its_value(shared: Server, name: str) -> None:
    made = shared.create()
    wrapped = shared.call("GET", at(made["id"], f"/{name}"))
    expected = [("@odata.context", f"{CONTEXT}('{made['id']}')/{name}"), ("value", made[name])]
    assert list(wrapped.json.items()) == expected
    raw = shared.call("GET", at(made["id"], f"/{name}/$value"))
    assert (raw.status, raw.body.decode()) == (200, made[name])
    assert raw.headers["content-type"].startswith("text/plain")


def test_property_that_is_no_single_value_has_no_raw_form(shared: Server) -> None:
    shared.create()
    token = shared.token("DeviceManagementApps.Read.All")
    (event,) = shared.call("GET", "/beta/deviceManagement/auditEvents?$top=1", token=token).json["value"]
    for name in ("actor", "resources"):
        target = f"/beta/deviceManagement/auditEvents/{event['id']}/{name}"
        assert shared.call("GET", target, token=token).status == 200
        assert shared.call("GET", f"{target}/$value", token=token).status == 400
        for below in ("/userId", "/0", "/microsoft.graph.auditActor"):
            assert shared.call("GET", f"{target}{below}", token=token).status == 501


def test_complex_property_alone_is_the_object_and_a_collection_is_wrapped(shared: Server) -> None:
    shared.create()
    token = shared.token("DeviceManagementApps.Read.All")
    (event,) = shared.call("GET", "/beta/deviceManagement/auditEvents?$top=1", token=token).json["value"]
    at_event = f"deviceManagement/auditEvents('{event['id']}')"
    actor = shared.call("GET", f"/beta/{at_event}/actor", token=token).json
    assert actor == {"@odata.context": f"{ORIGIN}/beta/$metadata#{at_event}/actor", **event["actor"]}
    resources = shared.call("GET", f"/beta/{at_event}/resources", token=token).json
    assert resources == {"@odata.context": f"{ORIGIN}/beta/$metadata#{at_event}/resources", "value": event["resources"]}


def test_values_of_a_collection_are_counted(shared: Server) -> None:
    shared.create()
    token = shared.token("DeviceManagementApps.Read.All")
    (event,) = shared.call("GET", "/beta/deviceManagement/auditEvents?$top=1", token=token).json["value"]
    target = f"/beta/deviceManagement/auditEvents/{event['id']}/resources/$count"
    answer = shared.call("GET", target, token=token)
    assert (answer.status, answer.body) == (200, b"1")
    for option, status in (("$filter=true", 501), ("$search=a", 501), ("$top=1", 400), ("$format=json", 400)):
        assert shared.call("GET", f"{target}?{option}", token=token).status == status
    assert shared.call("GET", f"{target}/more", token=token).status == 400
    assert shared.call("GET", target.replace("resources", "actor"), token=token).status == 400


@pytest.mark.parametrize("below", ["/displayName", "/displayName/$value"])
def test_property_that_is_null_is_no_content(shared: Server, below: str) -> None:
    answer = shared.call("GET", at(shared.create(displayName=None)["id"], below))
    assert (answer.status, answer.body) == (204, b"")


def test_device_management_goes_by_its_tenant(shared: Server) -> None:
    answer = shared.call("GET", "/beta/deviceManagement")
    assert list(answer.json.items()) == [
        ("@odata.context", f"{ORIGIN}/beta/$metadata#deviceManagement"),
        ("@odata.type", "#microsoft.graph.deviceManagement"),
        ("id", shared.tenant().id),
        ("subscriptionState", "active"),
    ]
    assert shared.call("GET", "/v1.0/deviceManagement").json["id"] == shared.tenant().id


def test_device_management_expanded(server: Server) -> None:
    made = server.create()
    del made["@odata.context"]
    assert server.call("GET", "/beta/deviceManagement?$expand=domainJoinConnectors").json["domainJoinConnectors"] == [
        made
    ]


@pytest.mark.parametrize("expand", ["auditEvents", "AUDITEVENTS($top=1)", "*", "domainJoinConnectors,auditEvents"])
def test_what_is_expanded_needs_the_permission_that_it_needs_by_itself(shared: Server, expand: str) -> None:
    shared.create()
    target = f"/beta/deviceManagement?$expand={expand}"
    for held in (READ, WRITE):
        refused = shared.call("GET", target, token=shared.token(held))
        assert (refused.status, "auditEvents" in refused.json) == (403, False)
    for held in ("DeviceManagementApps.Read.All", "DeviceManagementApps.ReadWrite.All"):
        assert shared.call("GET", target, token=shared.token(held)).status == 403
        allowed = shared.call("GET", target, token=shared.token(READ, held))
        assert allowed.status == 200
        assert allowed.json["auditEvents"]
    token = shared.token(READ)
    assert shared.call("GET", "/beta/deviceManagement?$expand=domainJoinConnectors", token=token).status == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Accept": "*/*"},
        {"Accept": "application/json"},
        {"Accept": "application/json;odata.metadata=minimal;odata.streaming=False;IEEE754Compatible=False"},
        {"Accept": "text/plain"},
        {"Accept": "text/plain;q=0.9"},
        {"Accept": "application/json, text/plain, */*"},
        {"Accept": "application/json;q=0.5,text/html"},
        {"Accept": ""},
        {"Content-Type": "application/json"},
        {"Content-Type": "application/json;odata.metadata=full"},
        {"Content-Type": "text/xml"},
        {"Pragma": "no-cache", "ConsistencyLevel": "eventual"},
        {"OData-Version": "4.0", "OData-MaxVersion": "4.0"},
        {"OData-Version": "4.01", "OData-MaxVersion": "4.01"},
        {"SdkVersion": "x", "x-ms-client-request-id": "y", "CommandName": "z", "Retry-Attempt": "1"},
    ],
    ids=str,
)
def test_headers_that_clients_send_are_taken(shared: Server, headers: dict[str, str]) -> None:
    """clients.md items 10 and 11."""
    key = shared.create()["id"]
    for target in (LIST, at(key), f"{LIST}/$count", at(key, "/version/$value"), "/beta", "/beta/$metadata"):
        assert shared.call("GET", target, headers=headers).status == 200
    assert shared.call("PATCH", at(key), b"{}", {"Content-Type": "application/json", **headers}).status in (200, 400)
    assert shared.call("DELETE", at(key), headers=headers).status == 204


@pytest.mark.parametrize("accept", ["text/html", "application/atom+xml", "image/png, text/html;q=0.5"])
def test_what_is_not_served_is_not_acceptable(shared: Server, accept: str) -> None:
    for target in (LIST, at(shared.create()["id"]), "/beta", "/beta/$metadata", f"{LIST}/$count"):
        refused = shared.call("GET", target, headers={"Accept": accept})
        assert (refused.status, refused.error["code"]) == (406, "NotAcceptable")


@pytest.mark.parametrize("parameter", ["charset=utf-16", "foo=bar", "odata=verbose"])
@pytest.mark.parametrize("media_type", ["application/json", "text/plain"])
def test_what_no_form_of_an_answer_has_is_acceptable_nowhere(shared: Server, media_type: str, parameter: str) -> None:
    key = shared.create()["id"]
    for target in (LIST, at(key), at(key, "/version/$value"), f"{LIST}/$count", "/beta", "/beta/$metadata"):
        accept = f"{media_type};{parameter}"
        assert shared.call("GET", target, headers={"Accept": accept}).status == 406
        assert shared.call("GET", target, headers={"Accept": f"{accept}, */*;q=0.1"}).status == 200


@pytest.mark.parametrize(
    ("below", "option"),
    [
        ("", "text/plain"),
        ("", "text/*"),
        ("", "application/xml,application/json"),
        ("/displayName", "text/plain"),
        ("/displayName/$value", "json"),
        ("/displayName/$value", "application/octet-stream"),
    ],
)
def test_format_names_the_one_media_type_of_the_answer(shared: Server, below: str, option: str) -> None:
    key = shared.create()["id"]
    targets = [at(key, below)] if below else [LIST, at(key), "/beta", "/beta/deviceManagement"]
    for target in targets:
        refused = shared.call("GET", f"{target}?$format={option}")
        assert (refused.status, refused.error["code"]) == (406, "NotAcceptable")
    got = shared.call("GET", at(key, "/version/$value?$format=text/plain"), headers={"Accept": "application/xml"})
    assert (got.status, got.headers["content-type"]) == (200, "text/plain;charset=utf-8")


def test_what_cannot_be_answered_is_not_made(server: Server) -> None:
    assert server.call("POST", LIST, PUBLISHED, {"Accept": "text/html"}).status == 406
    assert server.call("GET", f"{LIST}/$count").body == b"0"


# --- whether counts are strings


def test_counts_are_strings_wherever_they_stand(shared: Server) -> None:
    asked = {"Accept": "application/json;IEEE754Compatible=true"}
    number = shared.call("GET", f"{LIST}?$count=true").json["@odata.count"]
    assert shared.call("GET", f"{LIST}?$count=true", headers=asked).json["@odata.count"] == str(number)
    within = "/beta/deviceManagement?$expand=domainJoinConnectors($top=0;$count=true)"
    assert shared.call("GET", within, headers=asked).json["domainJoinConnectors@odata.count"] == str(number)
    by_option = shared.call("GET", f"{within}&$format=json;IEEE754Compatible=true")
    assert by_option.json["domainJoinConnectors@odata.count"] == str(number)
    assert shared.call("GET", within).json["domainJoinConnectors@odata.count"] == number


def test_content_type_says_whether_counts_are_strings(shared: Server) -> None:
    key, asked = shared.create()["id"], {"Accept": "application/json;IEEE754Compatible=true"}
    said = JSON.format("minimal").replace("IEEE754Compatible=false", "IEEE754Compatible=true")
    for target in (LIST, at(key), at(key, "/version"), f"{LIST}/delta()", "/beta/deviceManagement", "/beta"):
        assert shared.call("GET", target, headers=asked).headers["content-type"] == said
    changed = shared.call("PATCH", at(key), b"{}", {"Content-Type": "application/json", **asked})
    assert (changed.status, changed.headers["content-type"]) == (200, said)
    made = shared.call("POST", LIST, PUBLISHED, asked)
    assert (made.status, made.headers["content-type"]) == (201, said)


# --- how much control information


def test_metadata_none_leaves_context_and_type_out(shared: Server) -> None:
    key = shared.create()["id"]
    asked = {"Accept": "application/json;odata.metadata=none"}
    got = shared.call("GET", at(key), headers=asked)
    assert got.headers["content-type"] == JSON.format("none")
    assert list(got.json) == ["id", "displayName", "lastConnectionDateTime", "state", "version"]
    listed = shared.call("GET", f"{LIST}?$count=true", headers={**asked, "Prefer": "odata.maxpagesize=1"})
    assert set(listed.json) - {"@odata.nextLink"} == {"@odata.count", "value"}


def test_metadata_full_adds_types_and_links(shared: Server) -> None:
    key = shared.create()["id"]
    for target, headers in (
        (at(key), {"Accept": "application/json;odata.metadata=full"}),
        (at(key, "?$format=application/json;odata.metadata=full"), {"Accept": "text/html"}),
    ):
        got = shared.call("GET", target, headers=headers)
        assert got.headers["content-type"] == JSON.format("full")
        assert got.json["@odata.id"] == f"{CONTEXT.replace('$metadata#', '')}('{key}')"
        assert got.json["@odata.editLink"] == f"deviceManagement/domainJoinConnectors('{key}')"
        assert got.json["lastConnectionDateTime@odata.type"] == "#DateTimeOffset"
        assert got.json["state@odata.type"] == "#microsoft.graph.deviceManagementDomainJoinConnectorState"
        assert shared.follow(got.json["@odata.id"]).status == 200


def test_metadata_full_of_what_contains_connectors_leads_to_them(shared: Server) -> None:
    asked = {"Accept": "application/json;odata.metadata=full"}
    got = shared.call("GET", "/beta/deviceManagement", headers=asked)
    assert got.json["domainJoinConnectors@odata.navigationLink"] == f"{ORIGIN}{LIST}"
    assert shared.follow(got.json["domainJoinConnectors@odata.navigationLink"]).status == 200
    older = shared.call("GET", "/v1.0/deviceManagement", headers=asked)
    assert not [name for name in older.json if name.endswith("navigationLink")]


def test_metadata_full_of_a_property_tells_its_type(shared: Server) -> None:
    target = at(shared.create()["id"], "/lastConnectionDateTime")
    got = shared.call("GET", target, headers={"Accept": "application/json;odata.metadata=full"})
    assert list(got.json) == ["@odata.context", "@odata.type", "value"]
    assert got.json["@odata.type"] == "#DateTimeOffset"


@pytest.mark.parametrize("target", [LIST, "/beta/deviceManagement"])
def test_unknown_level_of_metadata(shared: Server, target: str) -> None:
    assert shared.call("GET", target, headers={"Accept": "application/json;odata.metadata=all"}).status == 406


# --- $select


@pytest.mark.parametrize(
    ("asked", "chosen"),
    [
        ("displayName,state", ["displayName", "state"]),
        ("STATE, displayname", ["displayName", "state"]),
        ("version", ["version"]),
        ("id", ["id"]),
    ],
)
def test_select_shows_what_is_named_and_names_it_in_the_context(shared: Server, asked: str, chosen: list[str]) -> None:
    key, query = shared.create()["id"], f"?$select={asked.replace(' ', '%20')}"
    listed = shared.call("GET", LIST + query).json
    assert listed["@odata.context"] == f"{CONTEXT}({','.join(chosen)})"
    assert all(list(each) == ["@odata.type", *chosen] for each in listed["value"])
    got = shared.call("GET", at(key, query)).json
    assert got["@odata.context"] == f"{CONTEXT}({','.join(chosen)})/$entity"
    assert list(got)[2:] == chosen


def test_select_of_everything_is_no_selection(shared: Server) -> None:
    made = shared.create()
    assert shared.call("GET", at(made["id"], "?$select=*")).json == made


# --- pages

MANY: Final = 2_500
EVERY: Final = [f"{number:04}" for number in range(MANY)]


@pytest.fixture(scope="module")
def many(shared: Server) -> str:
    """A token of a tenant with 2,500 connectors."""
    tenant = shared.add_tenant("many")
    shared.fill(tenant, MANY)
    return shared.token(tenant=tenant)


def pages(server: Server, target: str, token: str, headers: Mapping[str, str] | None = None) -> list[list[str]]:
    """The versions on each page, by the links. Only the first request says what it prefers (clients.md item 19)."""
    found, answer = [], server.call("GET", target, headers=headers or {}, token=token)
    while True:
        assert answer.status == 200, answer.body
        found.append([each["version"] for each in answer.json["value"]])
        if "@odata.nextLink" not in answer.json:
            return found
        answer = server.call("GET", answer.json["@odata.nextLink"].removeprefix(ORIGIN), token=token)


@pytest.mark.parametrize(
    ("query", "prefer", "sizes"),
    [
        ("", None, [1000, 1000, 500]),
        ("", "odata.maxpagesize=900", [900, 900, 700]),
        ("", "maxpagesize=900", [900, 900, 700]),
        ("", "odata.maxpagesize=5000", [1000, 1000, 500]),
        ("?$top=1500", None, [1000, 500]),
        ("?$top=2500", None, [1000, 1000, 500]),
        ("?$top=9999", None, [1000, 1000, 500]),
        ("?%24top=1000", None, [1000]),
        ("?top=7", None, [7]),
        ("?$top=0", None, [0]),
        ("?$top=1500", "odata.maxpagesize=600", [600, 600, 300]),
        ("?$skip=2400", None, [100]),
        ("?$skip=1400", None, [1000, 100]),
        ("?$skip=2500", None, [0]),
        ("?$skip=99999", None, [0]),
        ("?$skip=100&$top=1200", "odata.maxpagesize=1000", [1000, 200]),
        ("?$filter=state%20eq%20'active'", "odata.maxpagesize=500", [500, 334]),
        ("?$filter=state+eq+'error'+and+version+eq+'0007'", None, [1]),
    ],
)
def test_pages_by_their_links(shared: Server, many: str, query: str, prefer: str | None, sizes: list[int]) -> None:
    found = pages(shared, LIST + query, many, {"Prefer": prefer} if prefer else {})
    assert [len(each) for each in found] == sizes
    every = [version for page in found for version in page]
    assert len(set(every)) == len(every)


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ("version", EVERY),
        ("version%20desc", EVERY[::-1]),
        ("state,version", [*EVERY[0::3], *EVERY[1::3], *EVERY[2::3]]),
        ("state%20desc,version%20desc", [*EVERY[2::3][::-1], *EVERY[1::3][::-1], *EVERY[0::3][::-1]]),
        ("lastConnectionDateTime,version", EVERY),
    ],
)
def test_order_holds_over_all_pages(shared: Server, many: str, order: str, expected: list[str]) -> None:
    found = pages(shared, f"{LIST}?$orderby={order}", many, {"Prefer": "odata.maxpagesize=999"})
    assert [version for page in found for version in page] == expected


def test_size_of_a_page_is_said_to_be_applied(shared: Server, many: str) -> None:
    asked = shared.call("GET", LIST, headers={"Prefer": "odata.maxpagesize=10"}, token=many)
    assert asked.headers["preference-applied"] == "odata.maxpagesize=10"
    assert "preference-applied" not in shared.call("GET", LIST, token=many).headers


def test_size_that_is_said_to_be_applied_is_applied_behind_a_link_too(shared: Server, many: str) -> None:
    first = shared.call("GET", LIST, headers={"Prefer": "odata.maxpagesize=10"}, token=many)
    target = first.json["@odata.nextLink"].removeprefix(ORIGIN)
    second = shared.call("GET", target, headers={"Prefer": "odata.maxpagesize=5"}, token=many)
    said = second.headers.get("preference-applied", f"odata.maxpagesize={len(second.json['value'])}")
    assert said == f"odata.maxpagesize={len(second.json['value'])}"


def test_count_is_of_all_pages_and_stands_before_the_link(shared: Server, many: str) -> None:
    answer = shared.call("GET", f"{LIST}?$count=true&$top=1200", token=many)
    assert list(answer.json) == ["@odata.context", "@odata.count", "@odata.nextLink", "value"]
    assert answer.json["@odata.count"] == MANY
    after = shared.call("GET", answer.json["@odata.nextLink"].removeprefix(ORIGIN), token=many)
    assert after.json["@odata.count"] == MANY
    assert "@odata.count" not in shared.call("GET", f"{LIST}?$count=false", token=many).json


def test_link_repeats_the_options_of_the_request(shared: Server, many: str) -> None:
    query = "?%24filter=state%20eq%20%27active%27&$orderby=version+desc&$select=version&custom=1"
    answer = shared.call("GET", LIST + query, headers={"Prefer": "odata.maxpagesize=5"}, token=many)
    link = answer.json["@odata.nextLink"]
    assert link.startswith(f"{ORIGIN}{LIST}{query}&$skiptoken=")
    second = shared.call("GET", link.replace("$", "%24").removeprefix(ORIGIN), token=many)
    assert second.status == 200
    assert second.json["@odata.context"].endswith("(version)")


def test_link_of_a_query_in_raw_utf8_leads_on(shared: Server) -> None:
    token = shared.token(tenant=shared.add_tenant("raw"))
    for number in range(3):
        shared.create(token, displayName="é", version=str(number))
    query = "?$filter=displayName%20eq%20'é'&$orderby=version"
    assert pages(shared, LIST + query, token, {"Prefer": "odata.maxpagesize=2"}) == [["0", "1"], ["2"]]


def test_pages_neither_repeat_nor_lose_rows_when_others_come_and_go(server: Server) -> None:
    for number in range(6):
        server.clock.time += 1
        server.create(version=str(number))
    first = server.call("GET", f"{LIST}?$orderby=version", headers={"Prefer": "odata.maxpagesize=2"})
    for key in ids(first):
        assert server.call("DELETE", at(key)).status == 204
    server.create(version="00")
    rest = pages(server, first.json["@odata.nextLink"].removeprefix(ORIGIN), server.token())
    assert rest == [["2", "3"], ["4", "5"]]


# --- change


@KEY_FORMS
def test_change_in_every_key_form(shared: Server, form: str) -> None:
    made = shared.create()
    changed = shared.call("PATCH", at(made["id"], form=form), {"state": "inactive"})
    assert (changed.status, changed.json) == (200, {**made, "state": "inactive"})
    assert list(changed.json) == list(made)


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"displayName": "another"},
        {"displayName": None},
        {"displayName": ""},
        {"version": "6.2501.2000.5", "state": "active"},
        {"lastConnectionDateTime": "2026-01-02T03:04:05.6789+02:00"},
    ],
    ids=str,
)
def test_change_is_partial(shared: Server, change: dict[str, object]) -> None:
    made = shared.create()
    changed = shared.call("PATCH", at(made["id"]), change)
    assert (changed.status, changed.json) == (200, {**made, **change})
    assert changed.headers["content-type"] == JSON.format("minimal")
    assert shared.call("GET", at(made["id"])).json == changed.json


def test_object_comes_back_as_it_was_given(shared: Server) -> None:
    """clients.md item 13: with its id in any case and every annotation."""
    made = shared.create()
    whole = shared.call("GET", at(made["id"]), headers={"Accept": "application/json;odata.metadata=full"}).json
    for sent in (made, whole, {**made, "id": made["id"].upper(), "@odata.etag": "x", "version@odata.type": "y"}):
        changed = shared.call("PATCH", at(made["id"]), sent)
        assert (changed.status, changed.json) == (200, made)


def test_change_with_return_minimal(shared: Server) -> None:
    key = shared.create()["id"]
    changed = shared.call("PATCH", at(key), {"state": "active"}, MINIMAL)
    assert (changed.status, changed.body) == (204, b"")
    assert changed.headers["preference-applied"] == "return=minimal"
    assert shared.call("GET", at(key)).json["state"] == "active"


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_property_is_set_by_itself(shared: Server, method: str) -> None:
    key = shared.create()["id"]
    assert shared.call(method, at(key, "/displayName"), {"value": "new"}).status == 204
    assert shared.call("GET", at(key)).json["displayName"] == "new"


def test_property_that_may_be_null_is_cleared(shared: Server) -> None:
    key = shared.create()["id"]
    assert shared.call("DELETE", at(key, "/displayName")).status == 204
    assert shared.call("GET", at(key)).json["displayName"] is None
    assert shared.call("DELETE", at(key, "/version")).status == 400


def test_change_under_an_etag(server: Server) -> None:
    made = server.call("POST", LIST, PUBLISHED)
    target, tag = at(made.json["id"]), made.headers["etag"]
    assert server.call("GET", target, headers={"If-None-Match": tag}).status == 304
    assert server.call("PATCH", target, {"version": "2"}, {"If-Match": tag}).status == 200
    refused = server.call("PATCH", target, {"version": "3"}, {"If-Match": tag})
    assert (refused.status, refused.error["code"]) == (412, "ConditionNotMet")
    assert server.call("DELETE", target, headers={"If-Match": tag}).status == 412
    assert server.call("DELETE", target, headers={"If-Match": "*"}).status == 204


def test_unchanged_says_no_false_length(shared: Server) -> None:
    """RFC 9110 section 8.6: in a 304, Content-Length is that of the 200, or left out."""
    got = shared.call("GET", at(shared.create()["id"]))
    unchanged = shared.call("GET", at(got.json["id"]), headers={"If-None-Match": got.headers["etag"]})
    assert (unchanged.status, unchanged.body) == (304, b"")
    assert unchanged.headers.get("content-length", str(len(got.body))) == str(len(got.body))


# --- delete


@KEY_FORMS
def test_delete_and_then_nothing_is_there(shared: Server, form: str) -> None:
    key = shared.create()["id"]
    gone = shared.call("DELETE", at(key, form=form), headers={"Content-Type": "application/json"})
    assert (gone.status, gone.body) == (204, b"")
    assert not {"content-type", "content-length"} & gone.headers.keys()
    for method in ("GET", "DELETE"):
        assert shared.call(method, at(key, form=form)).status == 404
    assert key not in ids(shared.call("GET", LIST))


def test_id_that_was_deleted_may_be_given_again(server: Server) -> None:
    for _ in range(2):
        assert server.create(id=NOWHERE)["id"] == NOWHERE
        assert server.call("DELETE", at(NOWHERE)).status == 204


# --- what is served


@pytest.mark.parametrize(
    ("target", "headers", "content_type"),
    [
        ("/beta/$metadata", {}, "application/xml"),
        ("/beta/$metadata", {"Accept": "*/*"}, "application/xml"),
        ("/beta/$METADATA", {"Accept": "application/xml"}, "application/xml"),
        ("/beta/$metadata", {"Accept": "application/json"}, "application/json"),
        ("/beta/$metadata", {"Accept": "application/xml;q=0.5, application/json"}, "application/json"),
        ("/beta/$metadata?$format=json", {"Accept": "application/xml"}, "application/json"),
        ("/beta/$metadata?$format=xml", {"Accept": "application/json"}, "application/xml"),
        ("/v1.0/$metadata", {}, "application/xml"),
    ],
)
def test_metadata_needs_no_token(shared: Server, target: str, headers: dict[str, str], content_type: str) -> None:
    answer = shared.call("GET", target, headers=headers, token=None)
    assert (answer.status, answer.headers["content-type"]) == (200, content_type)
    declared = b"deviceManagementDomainJoinConnector"
    assert (declared in answer.body) == target.startswith("/beta")
    if content_type == "application/xml":
        assert ET.fromstring(answer.body).attrib["Version"] == answer.headers["odata-version"]
    else:
        assert answer.json["$Version"] == answer.headers["odata-version"]
        assert answer.json["$EntityContainer"] == "microsoft.graph.GraphService"


def test_service_document_lists_what_is_at_the_root(shared: Server) -> None:
    for target in ("/beta", "/beta/", "/BETA"):
        answer = shared.call("GET", target, token=None)
        assert answer.json["@odata.context"] == f"{ORIGIN}/beta/$metadata"
        assert [each["url"] for each in answer.json["value"]] == ["subscriptions", "deviceManagement"]
        assert answer.headers["content-type"] == JSON.format("minimal")
