"""OData 4.0 Minimal, clauses M4.1 to M4.15: what every service owes."""

from __future__ import annotations

import json
from xml.etree import ElementTree

import pytest
from tests.conformance.conftest import ROWS
from tests.conformance.service import BODY, LIST, MANAGEMENT, READ, ROOT, TYPE, Service

JSON = "application/json"
EVERY = ("/beta", "/beta/$metadata", MANAGEMENT, LIST, f"{LIST}/$count")


@pytest.mark.parametrize("root", ["/beta", "/beta/", "/v1.0"])
def test_m4_1_service_document_at_the_root(service: Service, root: str) -> None:
    answer = service.get(root)
    assert answer.status == 200
    assert answer.json["@odata.context"] == f"http://graph.test{root.rstrip('/')}/$metadata"
    sets = [] if root == "/v1.0" else [{"name": "subscriptions", "kind": "EntitySet", "url": "subscriptions"}]
    singleton = {"name": "deviceManagement", "kind": "Singleton", "url": "deviceManagement"}
    assert answer.json["value"] == [*sets, singleton]
    assert service.get(f"{root.rstrip('/')}/deviceManagement").status == 200


def test_m4_2_data_as_json(service: Service) -> None:
    answer = service.get(LIST)
    assert answer.headers["content-type"].startswith(f"{JSON};odata.metadata=minimal;")
    assert answer.json["@odata.context"] == f"{ROOT}/$metadata#deviceManagement/domainJoinConnectors"
    assert answer.values("displayName") == [row[0] for row in ROWS]
    key = answer.values("id")[0]
    one = service.get(f"{LIST}/{key}").json
    assert one.pop("@odata.context") == f"{ROOT}/$metadata#deviceManagement/domainJoinConnectors/$entity"
    assert one == answer.json["value"][0]
    assert set(one) == {"@odata.type", "id", "displayName", "lastConnectionDateTime", "state", "version"}


def test_m4_3_partial_results_by_paging_only(service: Service) -> None:
    seen: list[str] = []
    link: str | None = LIST
    pages = 0
    while link:
        page = service.get(link.removeprefix("http://graph.test"), {"Prefer": "odata.maxpagesize=2"})
        assert page.status == 200
        seen += page.values("id")
        link = page.json.get("@odata.nextLink")
        pages += 1
        assert len(page.json["value"]) <= 2
    assert pages == 3
    assert seen == service.get(LIST).values("id")
    assert "@odata.nextLink" not in service.get(LIST).json


def test_m4_3_top_is_no_partial_result(service: Service) -> None:
    assert "@odata.nextLink" not in service.get(LIST, top="2").json


@pytest.mark.parametrize("target", [*EVERY, "/beta/nothing", f"{LIST}/00000000-0000-0000-0000-000000000000"])
def test_m4_4_odata_version_on_every_answer(service: Service, target: str) -> None:
    assert service.get(target, {"Accept": "*/*"}).headers["odata-version"] == "4.0"


@pytest.mark.parametrize("detail", ["none", "minimal", "full"])
@pytest.mark.parametrize("target", [MANAGEMENT, LIST])
def test_m4_5_1_gives_the_metadata_asked_for(service: Service, target: str, detail: str) -> None:
    accept = f"{JSON};odata.metadata={detail}"
    answer = service.get(target, {"Accept": accept})
    assert answer.headers["content-type"].startswith(accept)
    assert ("@odata.context" in answer.json) is (detail != "none")
    assert ("@odata.editLink" in answer.text) is (detail == "full")


@pytest.mark.parametrize("target", EVERY)
@pytest.mark.parametrize("accept", ["image/png", "application/atom+xml", "application/json;q=0"])
def test_m4_5_1_refuses_what_it_cannot_give(service: Service, target: str, accept: str) -> None:
    answer = service.get(target, {"Accept": accept})
    assert answer.status == 406
    assert answer.headers["content-type"] == JSON


@pytest.mark.parametrize(
    "parameter", ["odata.metadata=some", "metadata=some", "unknown=1", "IEEE754Compatible=1", "charset=utf-16"]
)
def test_m4_5_1_refuses_unknown_format_parameters(service: Service, parameter: str) -> None:
    # 8.2.1: "Services MUST reject formats that specify unknown or unsupported format parameters."
    assert service.get(LIST, {"Accept": f"{JSON};{parameter}"}).status == 406
    assert service.get(LIST, {"Accept": f"{JSON};{parameter}, {JSON}"}).status == 200


def test_m4_5_1_large_numbers_as_strings_or_not_at_all(service: Service) -> None:
    # OData JSON 4.01 section 3.2: with IEEE754Compatible=true a count is a string.
    answer = service.get(LIST, {"Accept": f"{JSON};IEEE754Compatible=true"}, count="true")
    assert answer.status == 406 or answer.json["@odata.count"] == "5"


def test_m4_5_1_the_form_of_a_batch(service: Service) -> None:
    body = {"requests": [{"id": "1", "method": "GET", "url": "/deviceManagement"}]}
    assert service.ask("POST", "/beta/$batch", body, {"Accept": "image/png"}).status == 406
    assert service.ask("POST", "/beta/$batch", body, {"Accept": "*/*"}).status == 200


@pytest.mark.parametrize("target", EVERY)
@pytest.mark.parametrize(("version", "status"), [("3.0", 400), ("4.0", 200), ("4.01", 200), ("5.0", 200), ("x", 400)])
def test_m4_5_2_obeys_the_highest_version(service: Service, target: str, version: str, status: int) -> None:
    answer = service.get(target, {"OData-MaxVersion": version, "Accept": "*/*"})
    assert answer.status == status
    assert answer.headers["odata-version"] == "4.0"


def test_m4_5_2_obeys_the_highest_version_of_a_batch(service: Service) -> None:
    body = {"requests": [{"id": "1", "method": "GET", "url": "/deviceManagement"}]}
    assert service.ask("POST", "/beta/$batch", body, {"OData-MaxVersion": "3.0"}).status == 400


def test_m4_6_options_of_the_callers_own(service: Service) -> None:
    assert service.get(f"{LIST}?mine=1&other").status == 200
    assert service.get(f"{LIST}?$mine=1").status == 400


def test_m4_6_payloads_hold_what_is_declared_and_annotations(service: Service) -> None:
    declared = {"id", "displayName", "lastConnectionDateTime", "state", "version"}
    for each in service.get(LIST, {"Accept": f"{JSON};odata.metadata=full"}).json["value"]:
        assert {name for name in each if "@" not in name} == declared


FOLLOWED = {
    "filter": "state eq 'active'",
    "orderby": "displayName desc",
    "select": "displayName",
    "top": "1",
    "skip": "1",
    "count": "true",
    "search": "east",
    "format": "json;odata.metadata=none",
}


@pytest.mark.parametrize("name", FOLLOWED)
def test_m4_7_every_option_is_followed(service: Service, name: str) -> None:
    answer = service.get(LIST, **{name: FOLLOWED[name]})
    assert answer.status == 200
    assert answer.body != service.get(LIST).body


@pytest.mark.parametrize(
    "option", ["apply=aggregate($count as n)", "compute=1 as x", "deltatoken=x", "index=1", "schemaversion=*"]
)
def test_m4_7_every_other_option_is_not_implemented(service: Service, option: str) -> None:
    for prefix in ("$", ""):
        assert service.get(f"{LIST}?{prefix}{option.replace(' ', '%20')}").status == 501


@pytest.mark.parametrize(
    "option",
    [
        *("filter=", "filter=state eq", "filter=state%20=%20'x'", "orderby=state up", "select=", "top=-1", "top=x"),
        *("skip=1.5", "count=1", "search=(a", "expand=x(", "format=", "skiptoken=x", "top=1&$top=1"),
    ],
)
def test_m4_7_what_breaks_the_grammar_is_refused(service: Service, option: str) -> None:
    assert service.get(f"{LIST}?${option.replace(' ', '%20')}").status in (400, 406)


def test_m4_8_types_of_csdl(service: Service) -> None:
    text = service.get("/beta/$metadata", {"Accept": "application/xml"}).body
    types = {each.attrib["Type"] for each in ElementTree.fromstring(text).iter() if each.tag.endswith("}Property")}
    assert types == {
        *("Edm.String", "Edm.Boolean", "Edm.DateTimeOffset", "Edm.Guid", "Collection(Edm.String)"),
        *("graph.deviceManagementDomainJoinConnectorState", "graph.deviceManagementSubscriptionState"),
        *("graph.auditActor", "Collection(graph.auditResource)", "Collection(graph.auditProperty)"),
    }


def test_m4_9_no_header_or_annotation_has_to_be_understood(service: Service) -> None:
    plain = service.get(LIST, {"Accept": f"{JSON};odata.metadata=none"})
    assert plain.status == 200
    assert "@odata" not in plain.text
    made = service.ask("POST", LIST, {name: value for name, value in BODY.items() if "@" not in name})
    assert made.status == 201


class TestUpdates:
    """11.4 and what is below it."""

    @pytest.fixture
    def key(self, service: Service) -> str:
        return service.create()

    def test_m4_10_a_patch_changes_what_it_names(self, service: Service, key: str) -> None:
        before = service.get(f"{LIST}/{key}").json
        assert service.ask("PATCH", f"{LIST}/{key}", {"version": "9"}).status == 200
        assert service.get(f"{LIST}/{key}").json == {**before, "version": "9"}

    def test_m4_10_a_refused_change_changes_nothing(self, service: Service, key: str) -> None:
        before = service.get(f"{LIST}/{key}").json
        assert service.ask("PATCH", f"{LIST}/{key}", {"version": "9", "state": "other"}).status == 400
        assert service.get(f"{LIST}/{key}").json == before

    def test_m4_10_annotations_and_the_key_are_passed_over(self, service: Service, key: str) -> None:
        whole = service.get(f"{LIST}/{key}", {"Accept": f"{JSON};odata.metadata=full"}).json
        assert service.ask("PATCH", f"{LIST}/{key}", {**whole, "version": "9"}).status == 200
        assert service.ask("PATCH", f"{LIST}/{key}", {"id": ROWS[0][1]}).status == 400

    def test_m4_10_a_change_answers_the_entity_or_nothing(self, service: Service, key: str) -> None:
        for prefer, status in (("return=representation", 200), ("return=minimal", 204)):
            answer = service.ask("PATCH", f"{LIST}/{key}", {"version": prefer}, {"Prefer": prefer})
            assert answer.status == status
            assert answer.headers["preference-applied"] == prefer
            assert bool(answer.body) is (status == 200)

    def test_m4_10_what_was_deleted_is_gone(self, service: Service, key: str) -> None:
        assert service.ask("DELETE", f"{LIST}/{key}").status == 204
        assert service.get(f"{LIST}/{key}").status == 404
        assert service.ask("DELETE", f"{LIST}/{key}").status == 404


class TestOtherRules:
    def test_m4_11_a_reader_may_insist_on_what_it_knows(self, service: Service) -> None:
        # 8.2.4: If-Match on GET; RFC 9110 section 13.1.1.
        key = service.create()
        tag = service.get(f"{LIST}/{key}").headers["etag"]
        assert service.get(f"{LIST}/{key}", {"If-Match": tag}).status == 200
        assert service.get(f"{LIST}/{key}", {"If-Match": "*"}).status == 200
        assert service.get(f"{LIST}/{key}", {"If-Match": 'W/"0"'}).status == 412

    def test_m4_11_not_modified(self, service: Service) -> None:
        key = service.create()
        tag = service.get(f"{LIST}/{key}").headers["etag"]
        answer = service.get(f"{LIST}/{key}", {"If-None-Match": tag})
        assert (answer.status, answer.body) == (304, b"")

    @pytest.mark.parametrize("name", ["Isolation", "OData-Isolation"])
    def test_m4_11_isolation_is_not_promised(self, service: Service, name: str) -> None:
        # 8.2.6: a service without it "MUST NOT process the request and MUST respond with 412".
        assert service.get(LIST, {name: "snapshot"}).status == 412

    def test_m4_11_unknown_preferences_are_ignored(self, service: Service) -> None:
        answer = service.get(LIST, {"Prefer": "respond-async, odata.track-changes, mine=1"})
        assert answer.status == 200
        assert "preference-applied" not in answer.headers

    def test_m4_11_an_error_has_code_and_message(self, service: Service) -> None:
        error = service.get(f"{LIST}?$filter=x").json["error"]
        assert error["code"]
        assert error["message"]

    def test_m4_11_a_reader_may_not_write(self, service: Service) -> None:
        reader = {"Authorization": f"Bearer {service.token_with(READ)}"}
        assert service.get(LIST, reader).status == 200
        assert service.ask("POST", LIST, dict(BODY), reader).status == 403

    def test_m4_11_evaluation_order(self, service: Service) -> None:
        # 11.2.1: filter and search, count, order, skip, top.
        answer = service.get(
            LIST, filter="state ne 'inactive'", orderby="version desc", count="true", skip="1", top="2"
        )
        assert answer.json["@odata.count"] == 4
        assert answer.values("version")[1:] == ["6.2501.2000.2"]

    def test_m4_11_selecting_a_relation_selects_no_property(self, service: Service) -> None:
        # 11.2.4.1: "only … the specified properties".
        answer = service.get(MANAGEMENT, select="domainJoinConnectors")
        assert answer.status == 200
        assert "id" not in answer.json


def test_m4_12_expand(service: Service) -> None:
    found = service.get(MANAGEMENT, expand="domainJoinConnectors").json
    assert [each["id"] for each in found["domainJoinConnectors"]] == service.get(LIST).values("id")


@pytest.mark.parametrize("accept", ["", "*/*", "application/xml", "text/xml"])
def test_m4_13_metadata_as_xml(service: Service, accept: str) -> None:
    answer = service.get("/beta/$metadata", {"Accept": accept, "Authorization": ""})
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/xml"
    assert ElementTree.fromstring(answer.body).tag.endswith("}Edmx")


def test_m4_14_prefixed_headers_and_preferences(service: Service) -> None:
    answer = service.get(LIST, {"Prefer": "odata.maxpagesize=1", "OData-MaxVersion": "4.0", "OData-Version": "4.0"})
    assert len(answer.json["value"]) == 1
    assert answer.headers["preference-applied"] == "odata.maxpagesize=1"


def test_m4_15_enumeration_literals_with_their_type(service: Service) -> None:
    for prefix in (f"{TYPE}State", "graph.deviceManagementDomainJoinConnectorState"):
        assert len(service.get(LIST, filter=f"state eq {prefix}'active'").json["value"]) == 2


def test_m4_15_duration_literals_are_read(service: Service) -> None:
    # No property is a duration, so that there is nothing to compare one with: read, and not implemented.
    assert service.get(LIST, filter="duration'P1D' eq duration'P1D'").status == 501
    assert service.get(LIST, filter="duration'1 day' eq duration'P1D'").status == 400


def test_errors_are_json(service: Service) -> None:
    assert json.loads(service.get("/beta/nothing").body)["error"]["code"] == "BadRequest"
