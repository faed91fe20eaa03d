"""OData 4.0 Intermediate, clauses I4.2 to I4.17."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest
from tests.conformance.conftest import ROWS
from tests.conformance.service import EVENTS, LIST, MANAGEMENT, TYPE, Service

ALPHA, BETA, GAMMA, NEIL, NULL = (row[0] for row in ROWS)
ALL = [ALPHA, BETA, GAMMA, NEIL, NULL]


def found(service: Service, **options: str) -> list[str | None]:
    """The names of what a query finds."""
    answer = service.get(LIST, **options)
    assert answer.status == 200, answer.text
    return answer.values("displayName")


@pytest.mark.parametrize(
    "path",
    [
        *("/beta/$entity?$id=x", "/beta/$all", "/beta/$crossjoin(deviceManagement)", f"{MANAGEMENT}/$ref"),
        *(f"{LIST}/$ref", f"{LIST}/$each", f"{LIST}/$filter(@f)?@f=true", f"{LIST}/$query", f"{LIST}/{{key}}/$ref"),
        f"{LIST}(@k)?@k='{{key}}'",
    ],
)
def test_i4_2_paths_of_the_grammar_that_are_not_served(service: Service, path: str) -> None:
    key = service.get(LIST).values("id")[0]
    assert service.get(path.replace("{key}", key)).status == 501


@pytest.mark.parametrize(
    "expression",
    [
        *("$root/deviceManagement/id eq 'x'", "case(true:1) eq 1", "{} eq {}", "['a'] eq ['a']", "@Core.X eq 1"),
        *("displayName/@Core.X eq 'x'", "microsoft.graph.f(a=1)", "geo.length(geography'SRID=0;Point(1 1)') eq 1"),
        *("binary'Zg' eq binary'Zg'", "3.5 eq 3.5", "INF eq 1e3", "displayName in @names/x"),
    ],
)
def test_i4_2_expressions_of_the_grammar_that_are_not_served(service: Service, expression: str) -> None:
    assert service.get(LIST, filter=expression).status == 501


@pytest.mark.parametrize(
    "expand",
    [
        *("domainJoinConnectors/$ref", "domainJoinConnectors/$count", "*/$ref", "domainJoinConnectors($levels=2)"),
        *("domainJoinConnectors($compute=1 as x)", f"domainJoinConnectors/{TYPE}"),
    ],
)
def test_i4_2_expansions_of_the_grammar_that_are_not_served(service: Service, expand: str) -> None:
    assert service.get(MANAGEMENT, expand=expand).status == 501


@pytest.mark.parametrize("select", ["microsoft.graph.*", "@Core.X"])
def test_i4_2_selections_of_the_grammar_that_are_not_served(service: Service, select: str) -> None:
    assert service.get(LIST, select=select).status == 501


@pytest.mark.parametrize(
    "expression",
    ["state", "state eq", "(state eq 'active'", "state eq 'active' and", "state eq active x", "not", "state eq 'a", ""],
)
def test_i4_2_what_is_not_of_the_grammar(service: Service, expression: str) -> None:
    assert service.get(f"{LIST}?$filter={expression.replace(' ', '%20')}").status == 400


@pytest.mark.parametrize(
    ("select", "shown"),
    [
        ("displayName", ["displayName"]),
        ("state,id", ["id", "state"]),
        ("version,version", ["version"]),
        ("*", ["id", "displayName", "lastConnectionDateTime", "state", "version"]),
    ],
)
def test_i4_3_select(service: Service, select: str, shown: list[str]) -> None:
    one = f"{LIST}/{service.get(LIST).values('id')[0]}"
    listed = service.get(LIST, select=select).json["value"][0]
    for entity in (service.get(one, select=select).json, listed):
        assert [name for name in entity if "@" not in name] == shown
    assert service.get(LIST, select="other").status == 400


@pytest.mark.parametrize("cast", [TYPE, "graph.deviceManagementDomainJoinConnector", "microsoft.graph.entity"])
def test_i4_4_casts(service: Service, cast: str) -> None:
    key = service.get(LIST).values("id")[0]
    assert service.get(f"{LIST}/{cast}").values("displayName") == ALL
    assert service.get(f"{LIST}/{cast}/{key}").json["id"] == key
    assert service.get(f"{LIST}/{key}/{cast}").json["id"] == key
    assert service.get(f"{LIST}/{cast}/$count").text == "5"
    assert found(service, filter=f"{cast}/id eq '{key}'") == [ALPHA]
    assert service.get(LIST, select=f"{cast}/id").values("id")[0] == key
    assert service.get(f"{LIST}/microsoft.graph.deviceManagement").status in (400, 404)


@pytest.mark.parametrize(("top", "number"), [("0", 0), ("1", 1), ("5", 5), ("6", 5), ("2147483647", 5)])
def test_i4_5_top(service: Service, top: str, number: int) -> None:
    assert found(service, top=top) == ALL[:number]


def test_i4_6_value_of_a_property(service: Service) -> None:
    key = service.create(displayName="ä b", lastConnectionDateTime="2016-12-31T23:58:36.6670033-08:00")
    values = {name: service.get(f"{LIST}/{key}/{name}/$value") for name in ("displayName", "lastConnectionDateTime")}
    assert {name: each.text for name, each in values.items()} == {
        "displayName": "ä b",
        "lastConnectionDateTime": "2016-12-31T23:58:36.6670033-08:00",
    }
    assert {each.headers["content-type"] for each in values.values()} == {"text/plain;charset=utf-8"}
    assert service.get(f"{LIST}/{service.create(displayName=None)}/displayName/$value").status == 204


def test_i4_7_filter(service: Service) -> None:
    assert found(service, filter="state eq 'active' and version eq '7.0'") == [NEIL]
    assert found(service, filter="true") == ALL
    assert found(service, filter="null") == []


@pytest.mark.parametrize(
    ("expression", "names"),
    [
        ("displayName eq 'Alpha East'", [ALPHA]),
        ("displayName eq 'O''Neil'", [NEIL]),
        ("displayName eq null", [NULL]),
        ("displayName ne null", ALL[:4]),
        ("displayName ne 'O''Neil'", [ALPHA, BETA, GAMMA, NULL]),
        ("state eq 'error'", [BETA, NULL]),
        ("state ne 'error'", [ALPHA, GAMMA, NEIL]),
        ("lastConnectionDateTime eq 2024-03-01T08:00:00Z", [GAMMA]),
        ("lastConnectionDateTime ne 2024-03-01T08:00:00Z", [ALPHA, BETA, NEIL, NULL]),
        ("version eq '7.0'", [NEIL, NULL]),
        ("id ne '00000000-0000-0000-0000-000000000000'", ALL),
    ],
)
def test_i4_7_1_equal_and_not_equal(service: Service, expression: str, names: list[str | None]) -> None:
    assert found(service, filter=expression) == names


def test_i4_7_2_parameter_aliases(service: Service) -> None:
    assert service.get(f"{LIST}?$filter=state%20eq%20@s&@s='active'").values("displayName") == [ALPHA, NEIL]
    assert service.get(f"{LIST}?$filter=@a&@a=@b&@b=true").values("displayName") == ALL
    assert service.get(f"{LIST}?$filter=displayName%20eq%20@none").values("displayName") == [NULL]
    assert service.get(f"{LIST}?$filter=@a&@a=@a").status == 400


@pytest.mark.parametrize(
    ("expression", "names"),
    [
        ("displayName gt 'beta east'", [GAMMA, NEIL]),
        ("displayName ge 'beta east'", [BETA, GAMMA, NEIL]),
        ("lastConnectionDateTime lt 2024-02-01T12:30:45.5Z", [ALPHA]),
        ("lastConnectionDateTime le 2024-02-01T12:30:45.5Z", [ALPHA, BETA]),
        ("not (state eq 'error')", [ALPHA, GAMMA, NEIL]),
        ("state eq 'error' or version eq '7.0'", [BETA, NEIL, NULL]),
        ("(state eq 'error' or version eq '7.0') and displayName eq null", [NULL]),
        ("version in ('7.0','x')", [NEIL, NULL]),
    ],
)
def test_i4_7_3_other_operators(service: Service, expression: str, names: list[str | None]) -> None:
    assert found(service, filter=expression) == names


@pytest.mark.parametrize("operator", ["add", "sub", "mul", "div", "divby", "mod"])
def test_i4_7_3_arithmetic_is_not_implemented(service: Service, operator: str) -> None:
    assert service.get(LIST, filter=f"length(version) {operator} 2 eq 1").status == 501
    assert service.get(LIST, filter="-length(version) eq 1").status == 501


CANONICAL = {
    "contains(displayName,'eas')": [ALPHA, BETA],
    "startswith(displayName,'o''')": [NEIL],
    "endswith(displayName,'west')": [GAMMA],
    "length(displayName) eq 6": [NEIL],
    "indexof(displayName,'East') eq 5": [BETA],
    "substring(displayName,6) eq 'East'": [ALPHA],
    "substring(displayName,0,4) eq 'Beta'": [BETA],
    "tolower(displayName) eq 'alpha east'": [ALPHA],
    "toupper(displayName) eq 'ALPHA EAST'": [ALPHA],
    "trim(concat('  ',displayName)) eq 'Alpha East'": [ALPHA],
    "concat(state,version) eq 'x'": None,
    "concat(version,'!') eq '7.0!'": [NEIL, NULL],
    "year(lastConnectionDateTime) eq 2024": ALL,
    "month(lastConnectionDateTime) eq 2": [BETA],
    "day(lastConnectionDateTime) eq 1": ALL,
    "hour(lastConnectionDateTime) eq 12": [BETA],
    "minute(lastConnectionDateTime) eq 30": [BETA],
    "second(lastConnectionDateTime) eq 45": [BETA],
    "date(lastConnectionDateTime) eq 2024-02-01": [BETA],
    "time(lastConnectionDateTime) eq 12:30:45.5": [BETA],
    "lastConnectionDateTime lt now()": ALL,
}


@pytest.mark.parametrize("expression", CANONICAL)
def test_i4_7_4_canonical_functions(service: Service, expression: str) -> None:
    names = CANONICAL[expression]
    if names is None:
        assert service.get(LIST, filter=expression).status == 400
    else:
        assert found(service, filter=expression) == names


@pytest.mark.parametrize(
    "expression",
    [
        *("ceiling(1.5) eq 2", "floor(1.5) eq 1", "round(1.5) eq 2", "cast(version,Edm.String) eq 'x'"),
        *("isof(Edm.String)", "maxdatetime() gt now()", "mindatetime() lt now()", "matchesPattern(version,'7')"),
        *("fractionalseconds(now()) eq 0", "totaloffsetminutes(now()) eq 0", "totalseconds(duration'P1D') eq 1"),
        *("hassubset(['a'],['a'])", "hassubsequence(['a'],['a'])", "geo.distance(null,null) eq 0"),
        *("geo.intersects(null,null)", "geo.length(null) eq 0"),
    ],
)
def test_i4_7_4_the_others_are_not_implemented(service: Service, expression: str) -> None:
    assert service.get(LIST, filter=expression).status == 501


def test_i4_7_5_filter_inside_expand(service: Service) -> None:
    answer = service.get(MANAGEMENT, expand="domainJoinConnectors($filter=state eq 'active';$select=displayName)")
    assert [each["displayName"] for each in answer.json["domainJoinConnectors"]] == [ALPHA, NEIL]


def test_i4_8_metadata_as_xml(service: Service) -> None:
    answer = service.get("/beta/$metadata?$format=xml")
    assert ElementTree.fromstring(answer.body).attrib["Version"] == "4.0"


def test_i4_9_json(service: Service) -> None:
    for option in ("json", "application/json", "application/json;odata.metadata=full"):
        assert service.get(LIST, {"Accept": "application/xml"}, format=option).values("displayName") == ALL


@pytest.mark.parametrize(
    ("search", "names"),
    [
        ("east", [ALPHA, BETA]),
        ("east AND beta", [BETA]),
        ("east beta", [BETA]),
        ("beta OR gamma", [BETA, GAMMA]),
        ("east NOT beta", [ALPHA]),
        ('"gamma west"', [GAMMA]),
        ("(beta OR gamma) AND west", [GAMMA]),
        ("6.2501", [ALPHA, BETA, GAMMA]),
        ("nothing", []),
    ],
)
def test_i4_11_search(service: Service, search: str, names: list[str | None]) -> None:
    assert found(service, search=search) == names


@pytest.mark.parametrize("skip", range(7))
def test_i4_12_skip(service: Service, skip: int) -> None:
    assert found(service, skip=str(skip)) == ALL[skip:]
    assert found(service, skip=str(skip), top="2") == ALL[skip : skip + 2]


def test_i4_13_count(service: Service) -> None:
    assert service.get(LIST, count="true", top="1", skip="1").json["@odata.count"] == 5
    assert service.get(LIST, count="true", filter="state eq 'active'").json["@odata.count"] == 2
    assert "@odata.count" not in service.get(LIST, count="false").json


@pytest.mark.parametrize("expand", ["domainJoinConnectors", "domainJoinConnectors()"])
def test_i4_14_expand(service: Service, expand: str) -> None:
    answer = service.get(MANAGEMENT, expand=expand).json
    assert [each["displayName"] for each in answer["domainJoinConnectors"]] == ALL
    assert answer["@odata.context"].endswith("#deviceManagement(domainJoinConnectors())")
    assert "auditEvents" not in answer
    assert service.get(LIST, expand="other").status == 400


@pytest.mark.parametrize("expand", ["*", "domainJoinConnectors,auditEvents"])
def test_i4_14_expand_of_everything(service: Service, expand: str) -> None:
    answer = service.get(MANAGEMENT, expand=expand).json
    assert [each["displayName"] for each in answer["domainJoinConnectors"]] == ALL
    assert answer["auditEvents"] == service.get(EVENTS).json["value"]
    assert len(answer["auditEvents"]) >= len(ALL)
    assert answer["@odata.context"].endswith("#deviceManagement(domainJoinConnectors(),auditEvents())")


def test_i4_16_count_of_a_collection(service: Service) -> None:
    answer = service.get(f"{LIST}/$count")
    assert (answer.text, answer.headers["content-type"]) == ("5", "text/plain")
    assert service.get(f"{LIST}/$count", filter="state eq 'active'").text == "2"
    assert service.get(f"{LIST}/$count", search="east").text == "2"
    event = service.get(EVENTS, top="1").values("id")[0]
    assert service.get(f"{EVENTS}/{event}/resources/$count").text == "1"


@pytest.mark.parametrize("quantifier", ["any", "all"])
def test_i4_15_any_and_all_are_not_implemented(service: Service, quantifier: str) -> None:
    assert service.get(EVENTS, filter=f"resources/{quantifier}(r:r/displayName eq 'a')").status == 501


@pytest.mark.parametrize(
    ("order", "names"),
    [
        ("displayName", [NULL, ALPHA, BETA, GAMMA, NEIL]),
        ("displayName asc", [NULL, ALPHA, BETA, GAMMA, NEIL]),
        ("displayName desc", [NEIL, GAMMA, BETA, ALPHA, NULL]),
        ("state desc,displayName", [GAMMA, NULL, BETA, ALPHA, NEIL]),
        ("lastConnectionDateTime desc", [NULL, NEIL, GAMMA, BETA, ALPHA]),
        ("version desc,displayName desc", [NEIL, NULL, GAMMA, BETA, ALPHA]),
        ("length(displayName),displayName", [NULL, NEIL, BETA, ALPHA, GAMMA]),
    ],
)
def test_i4_17_orderby(service: Service, order: str, names: list[str | None]) -> None:
    assert found(service, orderby=order) == names
