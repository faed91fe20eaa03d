"""Answers as OData JSON: which members, in which order, at which detail; and that what is written can be read."""

from __future__ import annotations

import json
from itertools import combinations
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adjoin.model import BETA, CONNECTOR
from adjoin.odata.headers import Detail
from adjoin.odata.path import parse, segments
from adjoin.odata.writer import Expanded, Place, Row, collection, entity, error, single

ID: Final = "77296cf7-6cf7-7729-f76c-2977f76c2977"
ROOT: Final = "https://host:8365/beta"
LIST: Final = "deviceManagement/domainJoinConnectors"
TYPE: Final = "#microsoft.graph.deviceManagementDomainJoinConnector"
ROW: Final[Row] = (ID, "Display Name value", "2016-12-31T23:58:36.6670033-08:00", "error", "Version value")
CONTAINED: Final = ("domainJoinConnectors", "auditEvents")
NAMES: Final = tuple(each.name for each in CONNECTOR.properties)
SELECTIONS: Final = [chosen for size in range(1, len(NAMES) + 1) for chosen in combinations(NAMES, size)]


def place(path: str = f"/{LIST}") -> Place:
    return Place(ROOT, parse(BETA, segments(path)))


def members(body: bytes) -> list[tuple[str, Any]]:
    """The members of a JSON object in their order."""
    read: list[tuple[str, Any]] = json.loads(body, object_pairs_hook=list)
    return read


class TestEntity:
    def test_is_the_published_answer_with_its_context_in_front(self) -> None:
        assert members(entity(place(), ROW)) == [
            ("@odata.context", f"{ROOT}/$metadata#{LIST}/$entity"),
            ("@odata.type", TYPE),
            ("id", ID),
            ("displayName", "Display Name value"),
            ("lastConnectionDateTime", "2016-12-31T23:58:36.6670033-08:00"),
            ("state", "error"),
            ("version", "Version value"),
        ]

    def test_shows_null(self) -> None:
        body = entity(place(), (ID, None, *ROW[2:]))
        assert b'"displayName":null' in body

    def test_without_metadata_is_the_properties_alone(self) -> None:
        assert members(entity(place(), ROW, detail=Detail.NONE)) == list(zip(NAMES, ROW, strict=True))

    def test_with_full_metadata_says_where_it_is_and_what_its_values_are(self) -> None:
        at = f"{LIST}('{ID}')"
        assert members(entity(place(), ROW, detail=Detail.FULL)) == [
            ("@odata.context", f"{ROOT}/$metadata#{LIST}/$entity"),
            ("@odata.type", TYPE),
            ("@odata.id", f"{ROOT}/{at}"),
            ("@odata.editLink", at),
            ("id", ID),
            ("displayName", "Display Name value"),
            ("lastConnectionDateTime@odata.type", "#DateTimeOffset"),
            ("lastConnectionDateTime", "2016-12-31T23:58:36.6670033-08:00"),
            ("state@odata.type", "#microsoft.graph.deviceManagementDomainJoinConnectorState"),
            ("state", "error"),
            ("version", "Version value"),
        ]

    @pytest.mark.parametrize("select", SELECTIONS, ids=",".join)
    def test_shows_exactly_the_selected_properties_in_declared_order(self, select: tuple[str, ...]) -> None:
        shown = members(entity(place(), ROW, select))
        assert shown[0] == ("@odata.context", f"{ROOT}/$metadata#{LIST}({','.join(select)})/$entity")
        assert shown[1] == ("@odata.type", TYPE)
        assert shown[2:] == [(name, value) for name, value in zip(NAMES, ROW, strict=True) if name in select]

    def test_selected_with_full_metadata_says_where_it_is_even_without_its_id(self) -> None:
        assert [name for name, _ in members(entity(place(), ROW, ("state",), Detail.FULL))] == [
            "@odata.context", "@odata.type", "@odata.id", "@odata.editLink", "state@odata.type", "state",
        ]  # fmt: skip

    def test_of_a_singleton_has_the_singletons_context(self) -> None:
        assert members(entity(place("/deviceManagement"), (ID, "active"))) == [
            ("@odata.context", f"{ROOT}/$metadata#deviceManagement"),
            ("@odata.type", "#microsoft.graph.deviceManagement"),
            ("id", ID),
            ("subscriptionState", "active"),
        ]

    def test_of_a_singleton_with_full_metadata_is_at_its_own_url(self) -> None:
        shown = dict(members(entity(place("/deviceManagement"), (ID, "active"), detail=Detail.FULL)))
        assert shown["@odata.id"] == f"{ROOT}/deviceManagement"
        assert shown["@odata.editLink"] == "deviceManagement"
        assert shown["subscriptionState@odata.type"] == "#microsoft.graph.deviceManagementSubscriptionState"

    def test_with_full_metadata_says_where_what_it_contains_is(self) -> None:
        at = place("/deviceManagement")
        shown = dict(members(entity(at, (ID, "active"), detail=Detail.FULL)))
        links = {f"{name}@odata.navigationLink": f"{ROOT}/deviceManagement/{name}" for name in CONTAINED}
        assert dict(list(shown.items())[-len(links) :]) == links
        for detail in (Detail.MINIMAL, Detail.NONE):
            assert not links.keys() & dict(members(entity(at, (ID, "active"), detail=detail)))
        assert not links.keys() & dict(members(entity(at, (ID, "active"), ("id",), Detail.FULL)))

    def test_tells_all_of_what_is_expanded_right_before_it(self) -> None:
        expanded = Expanded(place(), "domainJoinConnectors", [ROW], count=1)
        shown = members(entity(place("/deviceManagement"), (ID, "active"), (), Detail.FULL, [expanded]))
        others = [f"{name}@odata.navigationLink" for name in CONTAINED if name != "domainJoinConnectors"]
        told = [f"domainJoinConnectors@odata.{each}" for each in ("navigationLink", "context", "count")]
        names = [name for name, _ in shown]
        assert names[names.index("subscriptionState") + 1 :] == [*others, *told, "domainJoinConnectors"]

    @given(st.lists(st.text(st.characters(codec="utf-8")), min_size=5, max_size=5), st.sampled_from(Detail))
    def test_of_any_text_can_be_read_again(self, row: list[str], detail: Detail) -> None:
        shown = json.loads(entity(place(), row, detail=detail))
        assert [shown[name] for name in NAMES] == row


class TestCollection:
    def test_holds_its_rows_with_the_context_once(self) -> None:
        shown = json.loads(collection(place(), [ROW, ROW]))
        assert list(shown) == ["@odata.context", "value"]
        assert shown["@odata.context"] == f"{ROOT}/$metadata#{LIST}"
        assert shown["value"] == [{"@odata.type": TYPE, **dict(zip(NAMES, ROW, strict=True))}] * 2

    def test_that_is_empty_is_an_empty_array(self) -> None:
        assert members(collection(place(), [])) == [("@odata.context", f"{ROOT}/$metadata#{LIST}"), ("value", [])]

    def test_has_count_and_link_before_the_values(self) -> None:
        shown = members(collection(place(), [ROW], count=7, next_link="https://next"))
        assert [name for name, _ in shown] == ["@odata.context", "@odata.count", "@odata.nextLink", "value"]
        assert dict(shown)["@odata.count"] == 7
        assert dict(shown)["@odata.nextLink"] == "https://next"

    def test_counts_to_zero(self) -> None:
        assert json.loads(collection(place(), [], count=0))["@odata.count"] == 0

    def test_without_metadata_keeps_count_and_link(self) -> None:
        shown = json.loads(collection(place(), [ROW], (), Detail.NONE, 1, "https://next"))
        assert list(shown) == ["@odata.count", "@odata.nextLink", "value"]
        assert shown["value"] == [dict(zip(NAMES, ROW, strict=True))]

    @pytest.mark.parametrize("select", SELECTIONS, ids=",".join)
    def test_shows_exactly_the_selected_properties(self, select: tuple[str, ...]) -> None:
        shown = json.loads(collection(place(), [ROW], select))
        assert shown["@odata.context"] == f"{ROOT}/$metadata#{LIST}({','.join(select)})"
        assert list(shown["value"][0]) == ["@odata.type", *select]

    def test_with_full_metadata_says_where_each_is(self) -> None:
        (shown,) = json.loads(collection(place(), [ROW], detail=Detail.FULL))["value"]
        assert shown["@odata.id"] == f"{ROOT}/{LIST}('{ID}')"
        assert shown["@odata.editLink"] == f"{LIST}('{ID}')"


class TestSingle:
    def test_wraps_the_value_of_a_property(self) -> None:
        declared = CONNECTOR.properties[1]
        assert members(single(place(), ID, declared, "x")) == [
            ("@odata.context", f"{ROOT}/$metadata#{LIST}('{ID}')/displayName"),
            ("value", "x"),
        ]

    def test_without_metadata_is_the_value_alone(self) -> None:
        assert single(place(), ID, CONNECTOR.properties[1], "x", Detail.NONE) == b'{"value":"x"}'

    def test_with_full_metadata_tells_what_its_form_in_json_does_not(self) -> None:
        told = {
            each.name: dict(members(single(place(), ID, each, "x", Detail.FULL))).get("@odata.type")
            for each in CONNECTOR.properties
        }
        assert told == {
            "id": None,
            "displayName": None,
            "lastConnectionDateTime": "#DateTimeOffset",
            "state": "#microsoft.graph.deviceManagementDomainJoinConnectorState",
            "version": None,
        }
        assert "@odata.type" not in dict(members(single(place(), ID, CONNECTOR.properties[2], "x")))

    def test_of_a_singleton_has_no_key_in_its_context(self) -> None:
        at = place("/deviceManagement")
        shown = json.loads(single(at, None, at.resource.type.properties[0], ID))
        assert shown["@odata.context"] == f"{ROOT}/$metadata#deviceManagement/id"


class TestError:
    def test_is_graphs(self) -> None:
        assert members(error("BadRequest", "It is bad.", "2026-02-24T09:41:12", "r", "c")) == [
            ("error", [
                ("code", "BadRequest"),
                ("message", "It is bad."),
                ("innerError", [("date", "2026-02-24T09:41:12"), ("request-id", "r"), ("client-request-id", "c")]),
            ]),
        ]  # fmt: skip

    def test_says_more_in_details(self) -> None:
        shown = json.loads(error("Code", "m", "d", "r", "c", more=["First.", "Second."]))["error"]
        assert list(shown) == ["code", "message", "details", "innerError"]
        assert shown["details"] == [{"code": "Code", "message": "First."}, {"code": "Code", "message": "Second."}]

    def test_repeats_its_message_where_graph_does(self) -> None:
        shown = json.loads(error("ModelValidationFailure", "m", "d", "r", "c", repeat=True))["error"]["innerError"]
        assert shown == {"message": "m", "date": "d", "request-id": "r", "client-request-id": "c"}

    @given(st.text(st.characters(codec="utf-8")))
    def test_of_any_message_can_be_read_again(self, message: str) -> None:
        assert json.loads(error("c", message, "d", "r", "c"))["error"]["message"] == message


def test_an_entitys_url_has_its_key_as_a_segment() -> None:
    assert place().entity_url(ID) == f"{ROOT}/{LIST}/{ID}"
