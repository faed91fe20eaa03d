"""What `$metadata` states of the service is so: each statement is held against requests."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from typing import Any, Final

import pytest
from tests.conformance.service import (
    BODY,
    EVENTS,
    LIST,
    MANAGEMENT,
    READ,
    READ_EVENTS,
    SUBSCRIPTION,
    SUBSCRIPTIONS,
    TYPE,
    WRITE,
    Service,
)

from adjoin.odata.tree import POWER

PREFIX: Final = "@Capabilities."
TIME: Final = "lastConnectionDateTime"

# One filter with each function and operator that OData has: to be answered 200 if it is stated, and refused if not.
FILTERS: Final[Mapping[str, str]] = {
    **{each: f"version {each} '7.0'" for each in ("eq", "ne", "gt", "ge", "lt", "le")},
    **{each: f"length(version) {each} 2 eq 2" for each in ("add", "sub", "mul", "div", "divby", "mod")},
    **{each: f"true {each} false" for each in ("and", "or")},
    "not": "not true",
    "in": "version in ('7.0')",
    "has": f"state has {TYPE}State'active'",
    **{each: f"{each}(version,'7')" for each in ("contains", "startswith", "endswith")},
    **{each: f"{each}(version) eq '7'" for each in ("tolower", "toupper", "trim")},
    "matchespattern": "matchespattern(version,'7')",
    "length": "length(version) eq 3",
    "indexof": "indexof(version,'7') eq 0",
    "substring": "substring(version,1) eq '7'",
    "concat": "concat(version,'7') eq '7'",
    **{each: f"{each}({TIME}) eq 1" for each in ("year", "month", "day", "hour", "minute", "second")},
    "fractionalseconds": f"fractionalseconds({TIME}) eq 0.5",
    "totaloffsetminutes": f"totaloffsetminutes({TIME}) eq 0",
    "totalseconds": "totalseconds(duration'P1D') eq 0",
    "date": f"date({TIME}) eq 2024-01-01",
    "time": f"time({TIME}) eq 01:00",
    **{each: f"{TIME} lt {each}()" for each in ("now", "maxdatetime", "mindatetime")},
    **{each: f"{each}(length(version)) eq 1" for each in ("round", "floor", "ceiling")},
    "cast": "cast(version,Edm.String) eq '7'",
    "isof": "isof(version,Edm.String)",
    "case": "case(true:true)",
    "hassubset": "hassubset(['a'],['a'])",
    "hassubsequence": "hassubsequence(['a'],['a'])",
    **{each: f"{each}(null,null) eq 0" for each in ("geo.distance", "geo.intersects")},
    "geo.length": "geo.length(null) eq 0",
    "any": "version/any(x:x eq 'a')",
    "all": "version/all(x:x eq 'a')",
}


@pytest.fixture
def container(running: Service) -> dict[str, Any]:
    return dict(running.get("/beta/$metadata").json["microsoft.graph"]["GraphService"])


@pytest.fixture
def singleton(container: dict[str, Any]) -> dict[str, Any]:
    return dict(container["deviceManagement"])


@pytest.fixture
def restrictions(singleton: dict[str, Any]) -> dict[str, dict[str, Any]]:
    stated = singleton[f"{PREFIX}NavigationRestrictions"]["RestrictedProperties"]
    assert [each["NavigationProperty"] for each in stated] == ["domainJoinConnectors", "auditEvents"]
    return {each["NavigationProperty"]: dict(each) for each in stated}


@pytest.fixture
def connectors(restrictions: dict[str, dict[str, Any]]) -> dict[str, Any]:
    return restrictions["domainJoinConnectors"]


@pytest.fixture
def events(restrictions: dict[str, dict[str, Any]]) -> dict[str, Any]:
    return restrictions["auditEvents"]


@pytest.fixture
def key(service: Service) -> str:
    return str(service.get(LIST).values("id")[0])


def test_nothing_is_stated_that_is_not_tested(
    container: dict[str, Any], singleton: dict[str, Any], restrictions: dict[str, dict[str, Any]]
) -> None:
    assert {name.removeprefix(PREFIX) for name in container if name.startswith(PREFIX)} == {
        *("ConformanceLevel", "SupportedFormats", "SupportedMetadataFormats", "AcceptableEncodings", "BatchSupport"),
        *("KeyAsSegmentSupported", "QuerySegmentSupported", "CrossJoinSupported"),
        *("AnnotationValuesInQuerySupported", "AsynchronousRequestsSupported"),
    }
    assert {name.removeprefix(PREFIX) for name in singleton if name.startswith(PREFIX)} == {
        *("ReadRestrictions", "UpdateRestrictions", "DeleteRestrictions", "SelectSupport", "ExpandRestrictions"),
        "NavigationRestrictions",
    }
    for stated in restrictions.values():
        assert set(stated) == {
            *("NavigationProperty", "FilterFunctions", "FilterRestrictions", "SearchRestrictions", "SortRestrictions"),
            *("TopSupported", "SkipSupported", "SelectSupport", "IndexableByKey", "InsertRestrictions"),
            *("UpdateRestrictions", "DeleteRestrictions", "ReadRestrictions"),
        }


def test_subscriptions(service: Service, container: dict[str, Any]) -> None:
    stated = {name.removeprefix(PREFIX): each for name, each in container["subscriptions"].items()}
    assert set(stated) == {
        *("$Collection", "$Type", "@Core.Description", "FilterFunctions", "FilterRestrictions", "SearchRestrictions"),
        *("SortRestrictions", "TopSupported", "SkipSupported", "SelectSupport", "IndexableByKey", "CountRestrictions"),
        *("InsertRestrictions", "UpdateRestrictions", "DeleteRestrictions", "ReadRestrictions", "ExpandRestrictions"),
    }
    key = service.subscribe()
    assert service.get(f"{SUBSCRIPTIONS}/{key}").json["id"] == key
    assert service.get(SUBSCRIPTIONS, top="1", skip="0", select="id", orderby="resource").status == 200
    assert service.get(f"{SUBSCRIPTIONS}/$count").status == 200
    assert stated["SearchRestrictions"] == {"Searchable": False}
    assert service.get(SUBSCRIPTIONS, search="x").status == 400
    assert stated["ExpandRestrictions"] == {"Expandable": False}
    assert service.get(SUBSCRIPTIONS, expand="x").status == 400
    (secret,) = stated["FilterRestrictions"]["NonFilterableProperties"]
    for option in ("filter", "orderby"):
        assert service.get(SUBSCRIPTIONS, **{option: f"{secret} eq 'x'"}).status == 501
    for name in stated["InsertRestrictions"]["RequiredProperties"]:
        body = {each: value for each, value in SUBSCRIPTION.items() if each != name}
        assert service.ask("POST", SUBSCRIPTIONS, body).status == 400
    assert service.ask("PATCH", f"{SUBSCRIPTIONS}/{key}", {}).status == 200
    assert service.ask("DELETE", f"{SUBSCRIPTIONS}/{key}").status == 204


def test_conformance_level(container: dict[str, Any]) -> None:
    # The level itself is what the other modules here are about: test_a4_1, test_a41_1.
    assert container[f"{PREFIX}ConformanceLevel"] == "Intermediate"


def test_formats(service: Service, container: dict[str, Any]) -> None:
    for accept in container[f"{PREFIX}SupportedFormats"]:
        answer = service.get(LIST, {"Accept": accept})
        assert (answer.status, answer.headers["content-type"].startswith(accept)) == (200, True)
    for accept in container[f"{PREFIX}SupportedMetadataFormats"]:
        assert service.get("/beta/$metadata", {"Accept": accept}).headers["content-type"] == accept


def test_encodings(service: Service, container: dict[str, Any]) -> None:
    assert container[f"{PREFIX}AcceptableEncodings"] == ["gzip"]
    body = gzip.compress(json.dumps({"requests": []}).encode())
    for encoding, status in (("gzip", 200), ("br", 415), ("deflate", 415)):
        headers = {"Content-Encoding": encoding, "Content-Type": "application/json"}
        assert service.ask("POST", "/beta/$batch", body, headers).status == status


def test_key_as_segment(service: Service, container: dict[str, Any], key: str) -> None:
    assert container[f"{PREFIX}KeyAsSegmentSupported"] is True
    assert service.get(f"{LIST}/{key}").json["id"] == key


@pytest.mark.parametrize(
    ("term", "target"),
    [
        ("QuerySegmentSupported", f"{LIST}/$query"),
        ("CrossJoinSupported", "/beta/$crossjoin(deviceManagement)"),
        ("AnnotationValuesInQuerySupported", f"{LIST}?$filter=@Core.X%20eq%20'x'"),
    ],
)
def test_what_is_not_there(service: Service, container: dict[str, Any], term: str, target: str) -> None:
    assert container[f"{PREFIX}{term}"] is False
    assert service.get(target).status in (400, 501)


def test_nothing_is_asynchronous(service: Service, container: dict[str, Any]) -> None:
    assert container[f"{PREFIX}AsynchronousRequestsSupported"] is False
    answer = service.get(LIST, {"Prefer": "respond-async"})
    assert answer.status == 200
    assert "preference-applied" not in answer.headers


class TestBatch:
    @pytest.fixture
    def stated(self, container: dict[str, Any]) -> dict[str, Any]:
        return dict(container[f"{PREFIX}BatchSupport"])

    def test_formats(self, service: Service, stated: dict[str, Any]) -> None:
        assert stated["Supported"] is True
        part = f"--b\r\nContent-Type: application/http\r\n\r\nGET {LIST} HTTP/1.1\r\n\r\n\r\n--b--\r\n"
        bodies = {"application/json": b'{"requests":[]}', "multipart/mixed": part.encode()}
        assert stated["SupportedFormats"] == list(bodies)
        for media, body in bodies.items():
            headers = {"Content-Type": f"{media}; boundary=b", "Accept": media}
            answer = service.ask("POST", "/beta/$batch", body, headers)
            assert (answer.status, answer.headers["content-type"].partition(";")[0]) == (200, media)

    def test_continues_on_error(self, service: Service, stated: dict[str, Any]) -> None:
        assert stated["ContinueOnErrorSupported"] is True
        one = "--b\r\nContent-Type: application/http\r\n\r\nGET /beta/{} HTTP/1.1\r\n\r\n\r\n"
        body = (one.format("nothing") + one.format("deviceManagement") + "--b--\r\n").encode()
        headers = {"Content-Type": "multipart/mixed; boundary=b", "Accept": "*/*", "Prefer": "continue-on-error"}
        assert service.ask("POST", "/beta/$batch", body, headers).text.count("HTTP/1.1 ") == 2
        requests = [
            {"id": str(n), "method": "GET", "url": url} for n, url in enumerate(("/nothing", "/deviceManagement"))
        ]
        answer = service.ask("POST", "/beta/$batch", {"requests": requests}, {"Prefer": "continue-on-error"})
        assert [each["status"] for each in answer.json["responses"]] == [400, 200]

    def test_has_no_conditions(self, service: Service, stated: dict[str, Any]) -> None:
        assert stated["RequestDependencyConditionsSupported"] is False
        requests = [{"id": "1", "method": "GET", "url": "/deviceManagement", "if": "false"}]
        answer = service.ask("POST", "/beta/$batch", {"requests": requests})
        assert answer.json["responses"][0]["status"] == 424

    def test_has_no_references_to_bodies_or_etags(self, service: Service, stated: dict[str, Any], key: str) -> None:
        assert stated["ReferencesInRequestBodiesSupported"] is False
        assert stated["ReferencesAcrossChangeSetsSupported"] is False
        assert stated["EtagReferencesSupported"] is False
        url = f"/deviceManagement/domainJoinConnectors/{key}"
        patch = {"method": "PATCH", "url": url, "headers": {"If-Match": "$1"}, "body": {"version": "$1/version"}}
        requests = [{"id": "1", "method": "GET", "url": url}, {"id": "2", "dependsOn": ["1"], **patch}]
        answer = service.ask("POST", "/beta/$batch", {"requests": requests})
        assert [each["status"] for each in answer.json["responses"]] == [200, 400]


def test_the_singleton(service: Service, singleton: dict[str, Any]) -> None:
    assert singleton[f"{PREFIX}ReadRestrictions"]["Readable"] is True
    assert service.get(MANAGEMENT).status == 200
    for term, able, method in (
        ("UpdateRestrictions", "Updatable", "PATCH"),
        ("DeleteRestrictions", "Deletable", "DELETE"),
    ):
        assert singleton[PREFIX + term][able] is False
        assert service.ask(method, MANAGEMENT, {}).status == 400
    assert singleton[f"{PREFIX}SelectSupport"] == {"Supported": True}
    assert service.get(MANAGEMENT, select="id").status == 200


def test_expand(service: Service, singleton: dict[str, Any]) -> None:
    assert singleton[f"{PREFIX}ExpandRestrictions"] == {"Expandable": True, "MaxLevels": 1}
    assert len(service.get(MANAGEMENT, expand="domainJoinConnectors").json["domainJoinConnectors"]) == 5
    assert service.get(MANAGEMENT, expand="domainJoinConnectors($expand=*)").status == 400
    assert service.get(MANAGEMENT, expand="auditEvents($expand=*)").status == 400
    assert set(service.get(MANAGEMENT, expand="*").json) >= {"domainJoinConnectors", "auditEvents"}


def test_expand_of_nothing(service: Service) -> None:
    v1 = service.get("/v1.0/$metadata").json["microsoft.graph"]["GraphService"]["deviceManagement"]
    assert v1[f"{PREFIX}ExpandRestrictions"] == {"Expandable": False}
    assert service.get("/v1.0/deviceManagement?$expand=*").status == 400


@pytest.mark.parametrize("name", FILTERS)
def test_filter_functions_and_operators(service: Service, connectors: dict[str, Any], name: str) -> None:
    status = service.get(LIST, filter=FILTERS[name]).status
    assert (status == 200) is (name in connectors["FilterFunctions"]), status


def test_every_operator_and_function_is_tried(connectors: dict[str, Any]) -> None:
    assert set(connectors["FilterFunctions"]) | set(POWER) <= set(FILTERS)


def test_query_options(service: Service, connectors: dict[str, Any]) -> None:
    names = ("id", "displayName", TIME, "state", "version")
    assert connectors["FilterRestrictions"] == {"Filterable": True}
    assert connectors["SortRestrictions"] == {"Sortable": True}
    assert connectors["SearchRestrictions"] == {"Searchable": True}
    assert connectors["SelectSupport"] == {"Supported": True}
    assert connectors["TopSupported"] is connectors["SkipSupported"] is connectors["IndexableByKey"] is True
    for name in names:
        assert service.get(LIST, filter=f"{name} ne null", select=name).status == 200
        assert service.get(LIST, orderby=f"{name} desc", top="1", skip="1").status == 200
    assert len(service.get(LIST, search='("alpha east" OR gamma) AND NOT west').json["value"]) == 1


def test_count(service: Service) -> None:
    management = service.get("/beta/$metadata").json["microsoft.graph"]["deviceManagement"]
    assert management["domainJoinConnectors"][f"{PREFIX}CountRestrictions"] == {"Countable": True}
    assert service.get(LIST, count="true").json["@odata.count"] == 5
    assert service.get(f"{LIST}/$count").text == "5"
    assert management["auditEvents"][f"{PREFIX}CountRestrictions"] == {"Countable": True}
    number = service.get(EVENTS, count="true").json["@odata.count"]
    assert number >= 5
    assert service.get(f"{EVENTS}/$count").text == str(number)


def test_query_options_of_events(service: Service, events: dict[str, Any], connectors: dict[str, Any]) -> None:
    apart = ["actor", "resources"]
    assert events["FilterFunctions"] == connectors["FilterFunctions"]
    assert events["FilterRestrictions"] == {"Filterable": True, "NonFilterableProperties": apart}
    assert events["SortRestrictions"] == {"Sortable": True, "NonSortableProperties": apart}
    assert events["SearchRestrictions"] == {"Searchable": True}
    assert events["SelectSupport"] == {"Supported": True}
    assert events["TopSupported"] is events["SkipSupported"] is events["IndexableByKey"] is True
    (event,) = service.get(EVENTS, top="1").json["value"]
    for name in event:
        if "@" in name:
            continue
        wanted = (400, 501) if name in apart else (200,)
        assert service.get(EVENTS, filter=f"{name} ne null").status in wanted
        assert service.get(EVENTS, orderby=f"{name} desc").status in wanted
        assert service.get(EVENTS, select=name, top="1", skip="1").status == 200
    assert service.get(f"{EVENTS}/{event['id']}").json["id"] == event["id"]
    assert service.get(EVENTS, search="create").json["value"]
    assert service.get(EVENTS, search="nothing").json["value"] == []


def test_events_do_not_change(service: Service, events: dict[str, Any]) -> None:
    assert events["InsertRestrictions"] == {"Insertable": False}
    for restriction, able in (("UpdateRestrictions", "Updatable"), ("DeleteRestrictions", "Deletable")):
        each_at_a_time = {"FilterSegmentSupported": False, "TypecastSegmentSupported": False}
        assert events[restriction] == {able: False, **each_at_a_time}
    before = service.get(EVENTS).json["value"]
    at = f"{EVENTS}/{before[0]['id']}"
    for method, url in (("POST", EVENTS), ("PATCH", at), ("PUT", at), ("DELETE", at), ("DELETE", f"{at}/category")):
        assert service.ask(method, url, {"category": "x"}).status == 400
    assert service.get(EVENTS).json["value"] == before


def test_the_permissions_of_events(service: Service, events: dict[str, Any]) -> None:
    (scopes,) = {
        tuple(each["Scope"] for each in scheme["Scopes"]) for scheme in events["ReadRestrictions"]["Permissions"]
    }
    assert scopes == (READ_EVENTS, "DeviceManagementApps.ReadWrite.All")
    for permission in (*scopes, READ, WRITE):
        headers = {"Authorization": f"Bearer {service.token_with(permission)}"}
        assert service.get(EVENTS, headers).status == (200 if permission in scopes else 403), permission


def test_required_properties(service: Service, connectors: dict[str, Any]) -> None:
    stated = connectors["InsertRestrictions"]
    assert stated["Insertable"] is True
    assert stated["RequiredProperties"] == [name for name in BODY if "@" not in name]
    for name in stated["RequiredProperties"]:
        assert service.ask("POST", LIST, {each: value for each, value in BODY.items() if each != name}).status == 400
    only = {name: BODY[name] for name in stated["RequiredProperties"]}
    assert service.ask("POST", LIST, only).status == 201


def test_changes(service: Service, connectors: dict[str, Any], key: str) -> None:
    update, delete = connectors["UpdateRestrictions"], connectors["DeleteRestrictions"]
    assert (update["Updatable"], update["UpdateMethod"], delete["Deletable"]) == (True, "PATCH", True)
    assert service.ask("PATCH", f"{LIST}/{key}", {"version": "9"}).status == 200
    assert service.ask("PUT", f"{LIST}/{key}", {"version": "9"}).status == 400
    for stated, method in ((update, "PATCH"), (delete, "DELETE")):
        assert stated["FilterSegmentSupported"] is stated["TypecastSegmentSupported"] is False
        for segments in ("$filter(true)/$each", f"{TYPE}/$each"):
            assert service.ask(method, f"{LIST}/{segments}", {"version": "9"}).status in (400, 501)
    assert service.ask("DELETE", f"{LIST}/{key}").status == 204


OPERATIONS: Final[dict[str, tuple[str, str, object, int]]] = {
    "ReadRestrictions": ("GET", "", None, 200),
    "InsertRestrictions": ("POST", "", dict(BODY), 201),
    "UpdateRestrictions": ("PATCH", "/{key}", {"version": "9"}, 200),
    "DeleteRestrictions": ("DELETE", "/{key}", None, 204),
}


@pytest.mark.parametrize("restriction", OPERATIONS)
def test_permissions(service: Service, connectors: dict[str, Any], key: str, restriction: str) -> None:
    method, below, body, status = OPERATIONS[restriction]
    schemes = connectors[restriction]["Permissions"]
    opening = {each["Scope"] for scheme in schemes for each in scheme["Scopes"]}
    for permission in (READ, WRITE, "DeviceManagementConfiguration.Other"):
        headers = {"Authorization": f"Bearer {service.token_with(permission)}"}
        answer = service.ask(method, LIST + below.format(key=key), body, headers)
        assert answer.status == (status if permission in opening else 403), permission


def test_the_permissions_of_the_singleton(service: Service, singleton: dict[str, Any]) -> None:
    (scopes,) = {
        tuple(each["Scope"] for each in scheme["Scopes"])
        for scheme in singleton[f"{PREFIX}ReadRestrictions"]["Permissions"]
    }
    assert scopes == (READ, WRITE)
    for permission in scopes:
        assert service.get(MANAGEMENT, {"Authorization": f"Bearer {service.token_with(permission)}"}).status == 200
    assert service.get(MANAGEMENT, {"Authorization": f"Bearer {service.token_with('Other')}"}).status == 403
