"""The OpenAPI document: valid, derived from the model, believable, and as it was."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openapi_schema_validator import OAS31Validator, oas31_format_checker
from openapi_spec_validator import OpenAPIV31SpecValidator
from tests.odata.csdl import check_golden, models

from adjoin.model import AUDIT_EVENT, BETA, CONNECTOR, V1
from adjoin.model import SUBSCRIPTION as SUBSCRIPTION_
from adjoin.odata.edm import Model, Property
from adjoin.odata.errors import ProtocolRefusal
from adjoin.odata.openapi import openapi
from adjoin.odata.reader import read_create, read_patch, read_single

Json = dict[str, Any]

COLLECTION = "/deviceManagement/domainJoinConnectors"
ENTITY = COLLECTION + "/{deviceManagementDomainJoinConnector-id}"
EVENTS = "/deviceManagement/auditEvents"
EVENT = EVENTS + "/{auditEvent-id}"
SUBSCRIPTIONS = "/subscriptions"
SUBSCRIPTION = SUBSCRIPTIONS + "/{subscription-id}"
READ = "DeviceManagementConfiguration.Read.All"
WRITE = "DeviceManagementConfiguration.ReadWrite.All"
READ_EVENTS = ["DeviceManagementApps.Read.All", "DeviceManagementApps.ReadWrite.All"]
PROPERTIES = [each.name for each in CONNECTOR.properties]
KEY = "77296cf7-6cf7-7729-f76c-2977f76c2977"
PUBLISHED = {
    "@odata.type": "#microsoft.graph.deviceManagementDomainJoinConnector",
    "displayName": "Display Name value",
    "lastConnectionDateTime": "2016-12-31T23:58:36.6670033-08:00",
    "state": "error",
    "version": "Version value",
}


def document(model: Model = BETA, version: str = "beta") -> Json:
    """As it goes over the wire."""
    root = "http://127.0.0.1:8365"
    token_url = f"{root}/organizations/oauth2/v2.0/token"
    made = openapi(model, title="adjoin", version=version, server_url=f"{root}/{version}", token_url=token_url)
    return dict(json.loads(json.dumps(made)))


def schema(name: str) -> Json:
    """A schema of the connector that stands alone."""
    return schema_named(f"{CONNECTOR.qualified}{name}")


def schema_named(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}", "components": document()["components"]}


def takes(name: str, body: object) -> bool:
    return bool(OAS31Validator(schema(name), format_checker=oas31_format_checker).is_valid(body))


def operations(model: Model = BETA) -> dict[str, Json]:
    verbs = ("get", "post", "patch", "delete", "put")
    paths = document(model)["paths"]
    return {f"{verb} {path}": item[verb] for path, item in paths.items() for verb in verbs if verb in item}


def test_it_is_as_it_was() -> None:
    check_golden("openapi.json", (json.dumps(document(), indent=2) + "\n").encode())


@pytest.mark.parametrize("model", [BETA, V1], ids=["beta", "v1.0"])
def test_it_is_valid(model: Model) -> None:
    assert [str(each) for each in OpenAPIV31SpecValidator(document(model)).iter_errors()] == []


@settings(max_examples=10, deadline=None)
@given(models())
def test_it_is_valid_for_any_model(model: Model) -> None:
    assert [str(each) for each in OpenAPIV31SpecValidator(document(model)).iter_errors()] == []


def test_operations_go_by_the_names_of_graph() -> None:
    names = {name: each["operationId"] for name, each in operations().items()}
    assert {name: each for name, each in names.items() if "-id}/" not in name and not name.endswith("()")} == {
        "get /": "serviceDocument.Get",
        "get /$metadata": "metadata.Get",
        "post /$batch": "batch.Post",
        "get /deviceManagement": "deviceManagement.deviceManagement.GetDeviceManagement",
        "get /deviceManagement/id": "deviceManagement.deviceManagement.GetId",
        "get /deviceManagement/id/$value": "deviceManagement.deviceManagement.GetIdValue",
        "get /deviceManagement/subscriptionState": "deviceManagement.deviceManagement.GetSubscriptionState",
        "get /deviceManagement/subscriptionState/$value": "deviceManagement.deviceManagement.GetSubscriptionStateValue",
        f"get {COLLECTION}": "deviceManagement.ListDomainJoinConnectors",
        f"post {COLLECTION}": "deviceManagement.CreateDomainJoinConnectors",
        f"get {COLLECTION}/$count": "deviceManagement.domainJoinConnectors.GetCount",
        f"get {ENTITY}": "deviceManagement.GetDomainJoinConnectors",
        f"patch {ENTITY}": "deviceManagement.UpdateDomainJoinConnectors",
        f"delete {ENTITY}": "deviceManagement.DeleteDomainJoinConnectors",
        f"get {EVENTS}": "deviceManagement.ListAuditEvents",
        f"get {EVENTS}/$count": "deviceManagement.auditEvents.GetCount",
        f"get {EVENT}": "deviceManagement.GetAuditEvents",
        f"get {SUBSCRIPTIONS}": "subscriptions.ListSubscriptions",
        f"post {SUBSCRIPTIONS}": "subscriptions.CreateSubscriptions",
        f"get {SUBSCRIPTIONS}/$count": "subscriptions.subscriptions.GetCount",
        f"get {SUBSCRIPTION}": "subscriptions.GetSubscriptions",
        f"patch {SUBSCRIPTION}": "subscriptions.UpdateSubscriptions",
        f"delete {SUBSCRIPTION}": "subscriptions.DeleteSubscriptions",
    }


def test_the_delta_function_is_described_with_what_it_gives() -> None:
    described = operations()[f"get {COLLECTION}/microsoft.graph.delta()"]
    assert described["operationId"] == "deviceManagement.domainJoinConnectors.delta"
    names = {each.get("name") or each["$ref"].rpartition("/")[2] for each in described["parameters"]}
    assert names == {"top", "deltatoken", "skiptoken", "Prefer.page", "client-request-id", "$select"}
    assert set(described["responses"]) == {"200", "400", "401", "403", "406", "410", "501"}
    gone = {"id": KEY, "@removed": {"reason": "deleted"}}
    page = {"@odata.context": "x", "@odata.deltaLink": "http://host/x", "value": [{"id": KEY, **PUBLISHED}, gone]}
    assert OAS31Validator(schema("DeltaResponse")).is_valid(page)


def test_a_subscription_is_changed_in_its_end_alone() -> None:
    paths = document()["paths"]
    verbs = {each.name: set(paths[f"{SUBSCRIPTION}/{each.name}"]) - {"parameters"} for each in SUBSCRIPTION_.properties}
    assert {name for name, each in verbs.items() if each != {"get"}} == {"expirationDateTime"}
    made = document()["components"]["schemas"][f"{SUBSCRIPTION_.qualified}Create"]
    assert made["required"] == ["changeType", "expirationDateTime", "notificationUrl", "resource"]
    assert not {"applicationId", "creatorId"} & set(made["properties"])


def test_each_property_has_what_it_can_have() -> None:
    paths = document()["paths"]
    verbs = {name: set(paths[f"{ENTITY}/{name}"]) - {"parameters"} for name in PROPERTIES}
    assert verbs["id"] == {"get"}
    assert verbs["displayName"] == {"get", "put", "patch", "delete"}
    assert verbs["lastConnectionDateTime"] == verbs["state"] == verbs["version"] == {"get", "put", "patch"}
    assert all(set(paths[f"{ENTITY}/{name}/$value"]) == {"parameters", "get"} for name in PROPERTIES)


def test_audit_events_are_for_reading() -> None:
    below = {path: item for path, item in document()["paths"].items() if path.startswith(EVENTS)}
    assert all(set(item) <= {"description", "parameters", "get"} for item in below.values())
    raw = {f"{EVENT}/{each.name}/$value" for each in AUDIT_EVENT.properties if each.name not in ("actor", "resources")}
    assert set(below) == {
        *(EVENTS, f"{EVENTS}/$count", EVENT),
        *(f"{EVENT}/{each.name}" for each in AUDIT_EVENT.properties),
        *raw,
        f"{EVENT}/resources/$count",
    }
    names = {f"{AUDIT_EVENT.qualified}{each}" for each in ("Create", "Update")}
    assert not names & set(document()["components"]["schemas"])


def test_order_is_by_what_can_be_compared() -> None:
    order = next(each for each in operations()[f"get {EVENTS}"]["parameters"] if each.get("name") == "$orderby")
    names = {each.partition(" ")[0] for each in order["schema"]["items"]["enum"]}
    assert names == {each.name for each in AUDIT_EVENT.properties} - {"actor", "resources"}


def test_operation_ids_are_unique() -> None:
    ids = [each["operationId"] for each in operations().values()]
    assert len(set(ids)) == len(ids)


def test_v1_has_the_singleton_only() -> None:
    root = "/deviceManagement"
    properties = [f"{root}/{name}{form}" for name in ("id", "subscriptionState") for form in ("", "/$value")]
    assert list(document(V1)["paths"]) == ["/", "/$metadata", "/$batch", root, *properties]


def test_each_operation_names_the_permissions_that_open_it() -> None:
    # graph-contract 1.4: either permission reads, one writes; the model itself is open to all (3.13).
    for name, each in operations().items():
        # A subscription tells its reader nothing but what it may read.
        names = [READ, WRITE] if name.startswith("get") or SUBSCRIPTIONS in name else [WRITE]
        if name.startswith(f"get {EVENTS}"):
            names = READ_EVENTS
        wanted = [{scheme: [one]} for scheme in ("oauth2", "bearer") for one in names]
        if name in ("get /", "get /$metadata"):
            wanted = []
        elif name == "post /$batch":
            wanted = [{"oauth2": []}, {"bearer": []}]
        assert each["security"] == wanted, name


def test_every_scope_is_declared() -> None:
    flows = document()["components"]["securitySchemes"]["oauth2"]["flows"]
    assert list(flows["clientCredentials"]["scopes"]) == [*READ_EVENTS, READ, WRITE]


def test_answers_carry_their_headers() -> None:
    common = {"request-id", "client-request-id"}
    told = {"Preference-Applied", "Repeatability-Result"}
    created = operations()[f"post {COLLECTION}"]["responses"]
    assert set(created["201"]["headers"]) == {*common, *told, "OData-Version", "Location", "ETag"}
    assert set(created["204"]["headers"]) == {*common, *told, "Location", "OData-EntityId"}
    assert set(operations()[f"get {ENTITY}"]["responses"]["304"]["headers"]) == {*common, "ETag"}
    for each in document()["components"]["responses"].values():
        assert {"request-id", "client-request-id"} <= set(each["headers"])


@pytest.mark.parametrize(
    ("operation", "statuses"),
    [
        (f"get {COLLECTION}", {200, 400, 401, 403, 406, 501}),
        (f"post {COLLECTION}", {201, 204, 400, 401, 403, 406, 409, 412, 413, 415}),
        (f"get {ENTITY}", {200, 304, 400, 401, 403, 404, 406, 501}),
        (f"patch {ENTITY}", {200, 204, 400, 401, 403, 404, 406, 412, 413, 415}),
        (f"delete {ENTITY}", {204, 400, 401, 403, 404, 412}),
        (f"put {ENTITY}/displayName", {204, 400, 401, 403, 404, 412, 413, 415}),
        (f"get {ENTITY}/displayName", {200, 204, 400, 401, 403, 404, 406, 501}),
        ("post /$batch", {200, 400, 401, 406, 413, 415}),
    ],
)
def test_statuses(operation: str, statuses: set[int]) -> None:
    assert {int(status) for status in operations()[operation]["responses"]} == statuses


def test_every_component_is_used_and_there() -> None:
    text = json.dumps(document())
    used = set(re.findall(r'"#/components/([^"]+)"', text))
    components = document()["components"]
    there = {f"{kind}/{name}" for kind in components for name in components[kind] if kind != "securitySchemes"}
    assert used == there


class TestBodies:
    """What the schemas take and what the reader takes."""

    def test_the_published_body_is_the_example(self) -> None:
        assert document()["components"]["schemas"][f"{CONNECTOR.qualified}Create"]["examples"] == [PUBLISHED]

    @pytest.mark.parametrize(
        "change",
        [
            {},
            {"id": KEY},
            {"displayName": None},
            {"displayName": "x" * 512},
            {"@odata.context": "http://host/", "state@odata.type": 1},
            {"lastConnectionDateTime": "2024-02-29T00:00:00Z"},
        ],
    )
    def test_taken(self, change: Json) -> None:
        body = PUBLISHED | change
        assert takes("Create", body)
        read_create(BETA, CONNECTOR, json.dumps(body).encode())

    @pytest.mark.parametrize(
        "change",
        [
            {"id": "7"},
            {"id": None},
            {"version": None},
            {"version": "x" * 129},
            {"displayName": "a\0b"},
            {"displayName": "x" * 513},
            {"state": "unknownFutureValue"},
            {"other": 1},
            {"@odata.type": "#microsoft.graph.user"},
            {"lastConnectionDateTime": "2016-12-31T23:58:36"},
            {"lastConnectionDateTime": "0000-12-31T23:58:36Z"},
            {"lastConnectionDateTime": "2016-12-31T23:58:60Z"},
        ],
    )
    def test_refused(self, change: Json) -> None:
        assert not takes("Create", PUBLISHED | change)
        with pytest.raises(ProtocolRefusal):
            read_create(BETA, CONNECTOR, json.dumps(PUBLISHED | change).encode())

    @pytest.mark.parametrize("name", [each.name for each in CONNECTOR.properties if not each.generated])
    def test_a_create_needs_all_but_the_key(self, name: str) -> None:
        body = {each: value for each, value in PUBLISHED.items() if each != name}
        assert not takes("Create", body)
        assert takes("Update", body)

    @settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.data())
    def test_the_reader_takes_what_the_schema_of_a_create_takes(self, data: st.DataObject) -> None:
        read_create(BETA, CONNECTOR, _generated(data, COLLECTION, "POST"))

    @settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.data())
    def test_the_reader_takes_what_the_schema_of_an_update_takes(self, data: st.DataObject) -> None:
        read_patch(BETA, CONNECTOR, KEY, _generated(data, ENTITY, "PATCH"))

    @pytest.mark.parametrize("declared", [each for each in CONNECTOR.properties if not each.generated])
    @settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
    @given(data=st.data())
    def test_the_reader_takes_what_the_schema_of_a_property_takes(
        self, declared: Property, data: st.DataObject
    ) -> None:
        read_single(declared, _generated(data, f"{ENTITY}/{declared.name}", "PUT"))

    def test_the_schema_of_a_batch(self) -> None:
        found = schema_named("batchRequest")
        assert OAS31Validator(found).is_valid({"requests": [{"id": "1", "method": "GET", "url": "/x"}]})
        assert not OAS31Validator(found).is_valid({"requests": [{"id": "1", "method": "GET"}]})
        too_many = [{"id": str(number), "method": "GET", "url": "/x"} for number in range(21)]
        assert not OAS31Validator(found).is_valid({"requests": too_many})


_CASES = schemathesis.openapi.from_dict(document())


def _generated(data: st.DataObject, path: str, method: str) -> bytes:
    """A body as schemathesis makes it from the document."""
    return json.dumps(data.draw(_CASES[path][method].as_strategy()).body).encode()
