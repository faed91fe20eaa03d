"""Parts of complex values in answers: exactly what is selected, in declared order, at every detail."""

from __future__ import annotations

import json
from typing import Any, Final

import msgspec
import pytest

from adjoin.model import AUDIT_EVENT, BETA
from adjoin.odata.headers import Detail
from adjoin.odata.path import parse, segments
from adjoin.odata.writer import Place, Row, collection, entity, single

ROOT: Final = "https://host:8365/beta"
LIST: Final = "deviceManagement/auditEvents"
ID: Final = "77296cf7-6cf7-7729-f76c-2977f76c2977"
ACTOR: Final[dict[str, Any]] = {
    "auditActorType": "ItPro",
    "userPermissions": ["a", "b"],
    "applicationId": ID,
    "applicationDisplayName": None,
    "userPrincipalName": "ann@example.test",
    "servicePrincipalName": None,
    "ipAddress": "::1",
    "userId": ID,
}
CHANGED: Final = [{"displayName": "version", "oldValue": "1", "newValue": "2"}]
RESOURCES: Final = [
    {"displayName": "One", "modifiedProperties": CHANGED, "auditResourceType": "X", "resourceId": ID},
    {"displayName": None, "modifiedProperties": [], "auditResourceType": "X", "resourceId": None},
]
VALUES: Final[dict[str, Any]] = {
    **{each.name: "text" for each in AUDIT_EVENT.properties},
    "id": ID,
    "actor": msgspec.Raw(json.dumps(ACTOR).encode()),
    "resources": msgspec.Raw(json.dumps(RESOURCES).encode()),
}
ROW: Final[Row] = tuple(VALUES.values())


def place(below: str = "") -> Place:
    return Place(ROOT, parse(BETA, segments(f"/{LIST}{below}")))


def shown(*select: str, detail: Detail = Detail.MINIMAL, row: Row = ROW) -> dict[str, Any]:
    """The entity, the same within a collection, less its annotations."""
    alone: dict[str, Any] = json.loads(entity(place(), row, select, detail))
    (listed,) = json.loads(collection(place(), [row], select, detail))["value"]
    alone.pop("@odata.context", None)
    assert alone == listed
    return {name: value for name, value in alone.items() if not name.startswith("@")}


def test_all_of_it_goes_out_as_it_is_kept() -> None:
    assert shown("id", "actor", "resources") == {"id": ID, "actor": ACTOR, "resources": RESOURCES}


@pytest.mark.parametrize("detail", [Detail.MINIMAL, Detail.NONE])
def test_a_part_is_what_is_selected_and_nothing_else(detail: Detail) -> None:
    assert shown("actor/userId", detail=detail) == {"actor": {"userId": ID}}
    assert shown("id", "actor/userPermissions", "actor/userId", detail=detail) == {
        "id": ID,
        "actor": {"userPermissions": ["a", "b"], "userId": ID},
    }
    assert shown("resources/displayName", detail=detail) == {
        "resources": [{"displayName": "One"}, {"displayName": None}]
    }
    assert shown("resources/modifiedProperties/newValue", detail=detail) == {
        "resources": [{"modifiedProperties": [{"newValue": "2"}]}, {"modifiedProperties": []}]
    }


def test_the_context_names_the_paths() -> None:
    select = ("id", "actor/userId", "resources/modifiedProperties/newValue")
    context = f"{ROOT}/$metadata#{LIST}({','.join(select)})"
    assert json.loads(entity(place(), ROW, select))["@odata.context"] == f"{context}/$entity"
    assert json.loads(collection(place(), [ROW], select))["@odata.context"] == context


def test_full_detail_tells_the_types_within() -> None:
    assert shown("actor/userPermissions", "actor/userId", detail=Detail.FULL) == {
        "actor": {
            "@odata.type": "#microsoft.graph.auditActor",
            "userPermissions@odata.type": "#Collection(String)",
            "userPermissions": ["a", "b"],
            "userId": ID,
        }
    }
    assert shown("resources/modifiedProperties/newValue", detail=Detail.FULL) == {
        "resources@odata.type": "#Collection(microsoft.graph.auditResource)",
        "resources": [
            {
                "@odata.type": "#microsoft.graph.auditResource",
                "modifiedProperties@odata.type": "#Collection(microsoft.graph.auditProperty)",
                "modifiedProperties": [{"@odata.type": "#microsoft.graph.auditProperty", "newValue": "2"}],
            },
            {
                "@odata.type": "#microsoft.graph.auditResource",
                "modifiedProperties@odata.type": "#Collection(microsoft.graph.auditProperty)",
                "modifiedProperties": [],
            },
        ],
    }


@pytest.mark.parametrize("detail", Detail)
def test_no_actor_has_no_parts(detail: Detail) -> None:
    row = tuple({**VALUES, "actor": None}.values())
    assert shown("actor/userId", detail=detail, row=row) == {"actor": None}
    assert shown("actor", detail=detail, row=row) == {"actor": None}


def test_a_complex_property_alone_is_the_object_itself() -> None:
    at = place(f"/{ID}/actor")
    declared = at.resource.declared
    assert declared is not None
    context = f"{ROOT}/$metadata#{LIST}('{ID}')/actor"
    assert json.loads(single(at, ID, declared, VALUES["actor"])) == {"@odata.context": context, **ACTOR}
    assert json.loads(single(at, ID, declared, VALUES["actor"], Detail.NONE)) == ACTOR
    full = json.loads(single(at, ID, declared, VALUES["actor"], Detail.FULL))
    assert list(full)[:2] == ["@odata.context", "@odata.type"]


def test_a_collection_alone_is_wrapped() -> None:
    at = place(f"/{ID}/resources")
    declared = at.resource.declared
    assert declared is not None
    assert json.loads(single(at, ID, declared, VALUES["resources"], Detail.NONE)) == {"value": RESOURCES}
    full = json.loads(single(at, ID, declared, VALUES["resources"], Detail.FULL))["value"]
    assert {each["@odata.type"] for each in full} == {"#microsoft.graph.auditResource"}
