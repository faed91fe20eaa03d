"""OData 4.01 Minimal and Intermediate: M41.2 to M41.27 and I41.4 to I41.11."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from tests.conformance.conftest import ROWS
from tests.conformance.service import BODY, EVENTS, LIST, MANAGEMENT, TYPE, Service

ALPHA, BETA, GAMMA, NEIL, NULL = (row[0] for row in ROWS)
ALL = [ALPHA, BETA, GAMMA, NEIL, NULL]
JSON = "application/json"


def found(service: Service, query: str) -> list[str | None]:
    answer = service.get(f"{LIST}?{query.replace(' ', '%20')}")
    assert answer.status == 200, answer.text
    return answer.values("displayName")


def without_annotations(value: Any) -> Any:
    if isinstance(value, list):
        return [without_annotations(each) for each in value]
    if isinstance(value, dict):
        return {name: without_annotations(each) for name, each in value.items() if "@" not in name}
    return value


class TestJson:
    """OData JSON 4.01 section 25: what a service owes to payloads of 4.01; answers may stay 4.0 (there, clause 26)."""

    def test_m41_2_format_parameters_without_prefix(self, service: Service) -> None:
        for detail in ("none", "minimal", "full"):
            answer = service.get(
                LIST, {"Accept": f"{JSON};metadata={detail};streaming=true", "OData-MaxVersion": "4.01"}
            )
            assert answer.headers["content-type"].startswith(f"{JSON};odata.metadata={detail};")

    def test_m41_2_control_information_without_prefix(self, service: Service) -> None:
        body = {name: value for name, value in BODY.items() if name != "@odata.type"}
        for kind in (f"#{TYPE}", TYPE):
            made = service.ask("POST", LIST, {"@context": "x", "@type": kind, **body}, {"OData-Version": "4.01"})
            assert made.status == 201
        wrong = {"@type": "#microsoft.graph.deviceManagement", **body}
        assert service.ask("POST", LIST, wrong, {"OData-Version": "4.01"}).status == 400

    @pytest.mark.parametrize("name", ["@odata.etag", "@etag"])
    def test_m41_2_an_etag_in_a_payload_is_honoured(self, service: Service, name: str) -> None:
        # There, clause 28: "MUST honor the odata.etag control information within PUT, PATCH or DELETE payloads".
        url = f"{LIST}/{service.create()}"
        tag = service.get(url).headers["etag"]
        assert service.ask("PATCH", url, {name: 'W/"1"', "version": "8"}).status == 412
        assert service.ask("PUT", f"{url}/version", {name: 'W/"1"', "value": "8"}).status == 412
        assert service.ask("PATCH", url, {name: tag, "version": "9"}).status == 200
        assert service.get(url).json["version"] == "9"

    def test_m41_2_annotations_before_and_after_what_they_annotate(self, service: Service) -> None:
        body = {"state@type": "#x", **BODY, "version@odata.type": "#String", "@my.note": 1}
        assert service.ask("POST", LIST, body).status == 201


@pytest.mark.parametrize("prefix", ["", "odata.", "OData."])
def test_m41_4_preferences_with_and_without_prefix(service: Service, prefix: str) -> None:
    assert len(service.get(LIST, {"Prefer": f"{prefix}maxpagesize=2"}).json["value"]) == 2


@pytest.mark.parametrize("name", ["Isolation", "OData-Isolation"])
def test_m41_4_headers_with_and_without_prefix(service: Service, name: str) -> None:
    assert service.get(LIST, {name: "snapshot"}).status == 412


OPTIONS = {
    "filter": "state eq 'active'",
    "orderby": "displayName desc",
    "select": "displayName",
    "top": "1",
    "skip": "1",
    "count": "true",
    "search": "east",
    "format": "json",
}


@pytest.mark.parametrize("name", OPTIONS)
def test_m41_6_options_with_and_without_dollar(service: Service, name: str) -> None:
    value = OPTIONS[name].replace(" ", "%20")
    answers = [service.get(f"{LIST}?{prefix}{name}={value}") for prefix in ("$", "%24", "")]
    assert [each.status for each in answers] == [200, 200, 200]
    assert len({each.body for each in answers}) == 1


@pytest.mark.parametrize("name", OPTIONS)
def test_m41_7_options_in_any_case(service: Service, name: str) -> None:
    value = OPTIONS[name].replace(" ", "%20")
    spellings = (name, name.upper(), name.capitalize())
    assert len({service.get(f"{LIST}?${each}={value}").body for each in spellings}) == 1


@pytest.mark.parametrize(
    "expression",
    [
        "state eq 'active' and not (version eq 'x') or contains(displayName,'zzz')",
        "startswith(displayName,'alpha') or version in ('7.0') and length(displayName) ge 6",
        "year(lastConnectionDateTime) eq 2024 and displayName ne null",
    ],
)
def test_m41_7_operators_and_functions_in_any_case(service: Service, expression: str) -> None:
    words = ("eq", "ne", "ge", "and", "or", "not", "in", "contains", "startswith", "length", "year")
    loud = " ".join(_louder(each, words) for each in expression.split(" "))
    assert loud != expression
    assert found(service, f"$filter={loud}") == found(service, f"$filter={expression}")


def _louder(word: str, words: tuple[str, ...]) -> str:
    name, parenthesis, rest = word.partition("(")
    return f"{name.upper()}{parenthesis}{rest}" if name in words else word


def test_m41_8_names_come_back_as_declared(service: Service) -> None:
    answer = service.get(f"{LIST.lower()}?$select=DISPLAYNAME,STATE&$filter=STATE%20eq%20'ACTIVE'")
    assert [name for name in answer.json["value"][0] if "@" not in name] == ["displayName", "state"]
    assert answer.json["@odata.context"].endswith("#deviceManagement/domainJoinConnectors(displayName,state)")
    assert answer.values("state") == ["active", "active"]


@pytest.mark.parametrize("version", ["", "4.0", "4.01"])
@pytest.mark.parametrize(
    "query",
    [
        f"$filter=state eq {TYPE}State'active'",
        "$filter=state eq 'active'",
        "filter=state in ('active')",
        "filter=lastConnectionDateTime gt '2020-01-01T00:00:00Z' and state eq 'active'",
    ],
)
def test_m41_9_both_syntaxes_whatever_version(service: Service, query: str, version: str) -> None:
    answer = service.get(f"{LIST}?{query.replace(' ', '%20')}", {"OData-MaxVersion": version})
    assert answer.values("displayName") == [ALPHA, NEIL]


@pytest.mark.parametrize(
    ("expression", "names"),
    [
        ("lastConnectionDateTime ge '2024-04-01T00:00:00Z'", [NEIL, NULL]),
        ("'2024-04-01T00:00:00Z' le lastConnectionDateTime", [NEIL, NULL]),
        ("lastConnectionDateTime in ('2024-04-01T00:00:00Z')", [NEIL]),
        ("length(displayName) eq '6'", [NEIL]),
        ("date(lastConnectionDateTime) eq '2024-02-01'", [BETA]),
        ("time(lastConnectionDateTime) eq '12:30:45.5'", [BETA]),
        ("contains(displayName,'East') eq 'true'", [ALPHA, BETA]),
    ],
)
def test_m41_9a_strings_cast_to_primitive_types(service: Service, expression: str, names: list[str | None]) -> None:
    assert found(service, f"$filter={expression}") == names


def test_m41_9a_a_string_that_is_no_value(service: Service) -> None:
    assert service.get(LIST, filter="lastConnectionDateTime ge 'yesterday'").status == 400


@pytest.mark.parametrize("literal", ["'active'", f"{TYPE}State'active'", "'0'", f"{TYPE}State'0'"])
def test_m41_9b_enumeration_literals_with_and_without_type(service: Service, literal: str) -> None:
    assert found(service, f"$filter=state eq {literal}") == [ALPHA, NEIL]


def test_m41_9f_such_octets_are_in_no_key(service: Service) -> None:
    for key in ("a%2Fb", "a%5Cb", "%00"):
        assert service.get(f"{LIST}('{key}')").status in (400, 404)
        assert service.ask("POST", LIST, {**BODY, "id": key}).status == 400


@pytest.mark.parametrize("values", ["('7.0','x')", "('7.0')", '["7.0"]', "('7.0', 'x')"])
def test_m41_9i_in(service: Service, values: str) -> None:
    assert found(service, f"$filter=version in {values}") == [NEIL, NULL]


def test_m41_9j_divby_is_not_implemented(service: Service) -> None:
    assert service.get(LIST, filter="length(version) divby 2 eq 1.5").status == 501


def test_m41_9k_negative_index_in_substring(service: Service) -> None:
    # 4.01 part 2, 5.1.1.7.2: a negative position counts from the end.
    assert found(service, "$filter=substring(displayName,-4) eq 'East'") == [ALPHA, BETA]
    assert found(service, "$filter=substring(displayName,-4,2) eq 'Ea'") == [ALPHA, BETA]


def test_m41_9l_key_as_segment_and_canonical(service: Service) -> None:
    key = service.get(LIST).values("id")[0]
    answers = [service.get(f"{LIST}{form}").json for form in (f"/{key}", f"('{key}')", f"(id='{key}')")]
    assert answers[0]["id"] == key
    assert answers[0] == answers[1] == answers[2]


def test_m41_9m_count_of_a_part_of_a_collection_is_not_implemented(service: Service) -> None:
    assert service.get(EVENTS, filter="resources/$count($filter=resourceId ne null) gt 0").status == 501


def test_m41_9n_structural_comparison_is_not_implemented(service: Service) -> None:
    assert service.get(LIST, filter="['a'] eq ['a']").status == 501


def test_m41_10_metadata_in_both_forms(service: Service) -> None:
    for accept in ("application/xml", JSON):
        answer = service.get("/beta/$metadata", {"Accept": accept})
        assert (answer.status, answer.headers["content-type"]) == (200, accept)


def test_m41_11_no_names_that_differ_only_in_case(service: Service) -> None:
    for scope in scopes(service.get("/beta/$metadata").json):
        names = [name.lower() for name in scope if name[0] not in "$@"]
        assert len(set(names)) == len(names)


def scopes(value: Any) -> Iterator[dict[str, Any]]:
    """Every object in a CSDL JSON document: each is a scope of names."""
    if isinstance(value, dict):
        yield value
        for each in value.values():
            yield from scopes(each)


def container(service: Service) -> dict[str, Any]:
    return dict(service.get("/beta/$metadata").json["microsoft.graph"]["GraphService"])


def test_m41_12_versions(service: Service) -> None:
    assert container(service)["@Core.ODataVersions"] in ("4.0", "4.01")


def test_m41_13_capabilities(service: Service) -> None:
    # What they say is held against requests in test_capabilities.py.
    assert container(service)["@Capabilities.ConformanceLevel"] == "Intermediate"
    assert "@Capabilities.NavigationRestrictions" in container(service)["deviceManagement"]


def test_m41_14_annotations_in_filters_are_not_implemented(service: Service) -> None:
    assert service.get(LIST, filter="@Core.Messages eq 'x'").status == 501


def test_m41_15_no_compute(service: Service) -> None:
    assert service.get(LIST, compute="length(version) as x").status == 501


def test_m41_16_search(service: Service) -> None:
    assert found(service, "search=east") == [ALPHA, BETA]


def test_m41_17_answers_are_40(service: Service) -> None:
    for version in ("", "4.01"):
        answer = service.get(LIST, {"OData-MaxVersion": version})
        assert answer.headers["odata-version"] == "4.0"
        assert "@odata.context" in answer.json


def test_m41_23_values_are_not_added_to(service: Service) -> None:
    key = service.get(EVENTS, top="1").values("id")[0]
    assert service.ask("POST", f"{EVENTS}/{key}/resources", {"displayName": "a"}).status == 400
    assert service.get(f"{EVENTS}/{key}/resources/$count").text == "1"


@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
@pytest.mark.parametrize("below", ["", f"/{TYPE}", "/$each"])
def test_m41_24_no_change_of_a_whole_collection(service: Service, method: str, below: str) -> None:
    assert service.ask(method, LIST + below, {"version": "9"}).status in (400, 501)
    assert service.get(LIST).values("version") == [row[3] for row in ROWS]


@pytest.mark.parametrize("option", ["$select=id", "$expand=x"])
def test_m41_27_no_options_on_changes(service: Service, option: str) -> None:
    assert service.ask("POST", f"{LIST}?{option}", dict(BODY)).status == 400
    assert service.get(f"{LIST}/$count").text == "5"


def test_i41_4_in(service: Service) -> None:
    assert found(service, "$filter=state in ('error','inactive') and displayName in ('Gamma West')") == [GAMMA]
    assert found(service, "$filter=not (state in ('error','inactive'))") == [ALPHA, NEIL]
    assert found(service, "$filter=version in ()") == []


@pytest.mark.parametrize(
    ("select", "shown"),
    [
        ("actor/auditActorType", {"actor": {"auditActorType": "Application"}}),
        ("actor($select=auditActorType)", {"actor": {"auditActorType": "Application"}}),
        (
            "activityResult,actor(select=AUDITACTORTYPE)",
            {"actor": {"auditActorType": "Application"}, "activityResult": "Success"},
        ),
        (
            "resources($select=auditResourceType)",
            {"resources": [{"auditResourceType": "DeviceManagementDomainJoinConnector"}]},
        ),
    ],
)
@pytest.mark.parametrize("metadata", ["none", "minimal", "full"])
def test_i41_5_select_within_select(service: Service, select: str, shown: dict[str, object], metadata: str) -> None:
    accept = {"Accept": f"application/json;odata.metadata={metadata}"}
    key = service.get(EVENTS, top="1").values("id")[0]
    alone = service.get(f"{EVENTS}/{key}", accept, select=select)
    listed = service.get(EVENTS, accept, select=select, top="1")
    for event in (alone.json, listed.json["value"][0]):
        assert without_annotations(event) == shown


def test_i41_5_the_context_names_what_is_selected(service: Service) -> None:
    key = service.get(EVENTS, top="1").values("id")[0]
    for select in ("actor/userId,id", "id,actor($select=userId)"):
        assert service.get(EVENTS, select=select).json["@odata.context"].endswith("auditEvents(id,actor/userId)")
        one = service.get(f"{EVENTS}/{key}", select=select).json["@odata.context"]
        assert one.endswith("auditEvents(id,actor/userId)/$entity")


def test_i41_5_select_within_select_within_expand(service: Service) -> None:
    answer = service.get(MANAGEMENT, expand="auditEvents($select=actor($select=auditActorType);$top=1)").json
    assert answer["@odata.context"].endswith("#deviceManagement(auditEvents(actor/auditActorType))")
    assert [each["actor"] for each in answer["auditEvents"]] == [{"auditActorType": "Application"}]


def test_i41_6_count_of_a_part_of_a_collection_is_not_implemented(service: Service) -> None:
    assert service.get(EVENTS, filter="resources/$count($filter=resourceId ne null) gt 0").status == 501


def test_i41_7_structural_comparison_is_not_implemented(service: Service) -> None:
    assert service.get(LIST, filter='{"a":1} eq {"a":1}').status == 501


def test_i41_8_no_compute(service: Service) -> None:
    assert service.get(MANAGEMENT, compute="id as x").status == 501


@pytest.mark.parametrize("option", ["$filter=true", "$orderby=resourceId", "$top=1"])
def test_i41_9_options_within_select_are_not_implemented(service: Service, option: str) -> None:
    assert service.get(EVENTS, select=f"resources({option})").status == 501


def test_i41_10_no_aliases_within_an_option(service: Service) -> None:
    answer = service.get(MANAGEMENT, expand="domainJoinConnectors(@a='x';$filter=displayName eq @a)")
    assert answer.status in (400, 501)


def test_i41_11_no_filter_segment(service: Service) -> None:
    assert service.get(f"{LIST}/$filter(true)").status == 501


def test_m41_9c_a_function_without_parameters_is_called_without_parentheses(service: Service) -> None:
    """The one function is bound and not imported; parentheses may be left out of either (part 2, 4.5.2)."""
    for call in ("microsoft.graph.delta", "microsoft.graph.delta()", "graph.delta", "delta", "DELTA()"):
        answer = service.get(f"{LIST}/{call}")
        assert (answer.status, "@odata.deltaLink" in answer.json) == (200, True), call


def test_m41_9e_a_function_of_the_default_namespace_goes_by_its_name_alone(service: Service) -> None:
    schema = service.get("/beta/$metadata", {"Accept": "application/json"}).json["microsoft.graph"]
    assert schema["@Core.DefaultNamespace"] is True
    assert schema["delta"][0]["$IsBound"] is True
    assert service.get(f"{LIST}/delta").status == 200
    assert service.get(f"{LIST}/other.delta").status == 404
