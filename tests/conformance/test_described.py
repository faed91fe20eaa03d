"""The OpenAPI document and the service have the same operations, and the document says what comes back."""

from __future__ import annotations

from typing import Any, Final

import pytest
from openapi_schema_validator import OAS31Validator
from openapi_spec_validator import OpenAPIV31SpecValidator
from tests.conformance.service import BODY, EVENTS, LIST, READ, READ_EVENTS, SUBSCRIPTION, WRITE, Service

from adjoin import model
from adjoin.odata.edm import EntityType
from adjoin.odata.path import Kind
from adjoin.web.graph import METHODS

Json = dict[str, Any]

KEY: Final = "{deviceManagementDomainJoinConnector-id}"
SUBSCRIPTION_KEY: Final = "{subscription-id}"
EVENT_KEY: Final = "{auditEvent-id}"
NOT_ROUTED: Final = ("No method match route template", "Request_BadRequest")
BODIES: Final[dict[str, object]] = {
    "displayName": {"value": "x"},
    "lastConnectionDateTime": {"value": BODY["lastConnectionDateTime"]},
    "state": {"value": "active"},
    "version": {"value": "9"},
    "expirationDateTime": {"value": SUBSCRIPTION["expirationDateTime"]},
}


@pytest.fixture
def document(service: Service) -> Json:
    return dict(service.get("/openapi.json").json)


def urls() -> list[str]:
    """A URL for each resource that a path can name; properties one by one, a key as the document writes it."""
    found = ["/", "/$metadata", "/$batch"]
    for root in model.BETA.singletons:
        at = f"/{root.name}"
        owned = [(at, root.type)]
        found.append(at)
        for navigation in root.type.navigations:
            below = f"{at}/{navigation.name}"
            found += [below, f"{below}/$count", f"{below}/{{{navigation.target.name}-id}}"]
            owned.append((found[-1], navigation.target))
        found += _properties(owned)
    for entity_set in model.BETA.entity_sets:
        below = f"/{entity_set.name}"
        found += [below, f"{below}/$count", f"{below}/{{{entity_set.target.name}-id}}"]
        found += _properties([(found[-1], entity_set.target)])
    found += [f"/deviceManagement/domainJoinConnectors/microsoft.graph.{each.name}()" for each in model.BETA.functions]
    return found


def _properties(owned: list[tuple[str, EntityType]]) -> list[str]:
    found: list[str] = []
    for place, entity in owned:
        for each in entity.properties:
            found += [f"{place}/{each.name}", f"{place}/{each.name}/$value"]
            found += [f"{place}/{each.name}/$count"] if each.collection else []
    return found


def filled(service: Service, url: str) -> str:
    """The URL with the key of a new connector, or of an event, for which there is one once there was a change."""
    key = service.create()
    event = service.get(EVENTS, top="1").values("id")[0] if EVENT_KEY in url else ""
    subscription = service.subscribe() if SUBSCRIPTION_KEY in url else ""
    return f"/beta{url.replace(KEY, key).replace(EVENT_KEY, event).replace(SUBSCRIPTION_KEY, subscription)}"


def body_for(method: str, url: str) -> object:
    if url == "/$batch":
        return {"requests": []}
    if method == "POST":
        return dict(SUBSCRIPTION if url == "/subscriptions" else BODY)
    name = url.rpartition("/")[2]
    return BODIES.get(name, {"value": "x"} if name == "id" else {}) if method in ("PUT", "PATCH") else None


def test_there_is_a_url_for_every_kind_of_resource() -> None:
    templates = {Kind.SERVICE: "/", Kind.METADATA: "/$metadata", Kind.BATCH: "/$batch"}
    assert set(templates.values()) <= set(urls())
    assert len(Kind) == 10, "a new kind of resource needs its URL above"


def test_what_is_routed_is_described_and_what_is_described_is_routed(service: Service, document: Json) -> None:
    """An operation that can never succeed (a value that never changes, a null where none may be) is no operation."""
    described = {
        (verb.upper(), path)
        for path, item in document["paths"].items()
        for verb in item
        if verb.upper() in METHODS and not path.startswith("/connector/")
    }
    routed, never = set(), set()
    for url in urls():
        for method in sorted(METHODS):
            answer = service.ask(method, filled(service, url), body_for(method, url), {"Accept": "*/*"})
            code = answer.json["error"]["code"] if answer.status == 400 else ""
            if answer.status < 400:
                routed.add((method, url))
            elif code not in NOT_ROUTED:
                never.add((method, url))
    assert routed == described
    properties = [
        ("id", ("PUT", "PATCH", "DELETE")),
        *((each.name, ("DELETE",)) for each in model.CONNECTOR.own_properties if not each.nullable),
    ]
    at = f"/deviceManagement/domainJoinConnectors/{KEY}"
    below = f"/subscriptions/{SUBSCRIPTION_KEY}"
    assert never == {(method, f"{at}/{name}") for name, methods in properties for method in methods} | {
        (method, f"{below}/{each.name}")
        for each in model.SUBSCRIPTION.properties
        for method in (("DELETE",) if each.changeable else ("PUT", "PATCH", "DELETE"))
    }


def test_what_v1_describes(service: Service) -> None:
    assert service.get("/v1.0/deviceManagement/domainJoinConnectors").status == 400


def test_it_is_valid(document: Json) -> None:
    assert [str(each) for each in OpenAPIV31SpecValidator(document).iter_errors()] == []


def test_permissions(service: Service, document: Json) -> None:
    for path, item in document["paths"].items():
        for method in sorted({verb.upper() for verb in item} & set(METHODS)):
            names = {name for each in item[method.lower()]["security"] for names in each.values() for name in names}
            for permission in (READ, WRITE, READ_EVENTS) if names else ():
                token = {"Authorization": f"Bearer {service.token_with(permission)}", "Accept": "*/*"}
                answer = service.ask(method, filled(service, path), body_for(method, path), token)
                assert (answer.status == 403) is (permission not in names), (method, path)


REQUESTS: Final[list[tuple[str, str, object, dict[str, str]]]] = [
    ("GET", "", None, {}),
    ("GET", "?$filter=state%20add%20'x'", None, {}),
    ("GET", "", None, {"Prefer": "odata.maxpagesize=1"}),
    ("GET", "", None, {"Accept": "image/png"}),
    ("GET", "", None, {"Authorization": ""}),
    ("GET", "/$count", None, {}),
    ("GET", "/{key}", None, {}),
    ("GET", "/{key}", None, {"If-None-Match": "*"}),
    ("GET", "/00000000-0000-0000-0000-000000000000", None, {}),
    ("GET", "/{key}/displayName", None, {}),
    ("GET", "/{key}/displayName/$value", None, {}),
    ("POST", "", dict(BODY), {}),
    ("POST", "", dict(BODY), {"Prefer": "return=minimal"}),
    ("POST", "", {**BODY, "id": "{key}"}, {}),
    ("POST", "", {}, {}),
    ("POST", "", b"x", {"Content-Encoding": "br", "Content-Type": "application/json"}),
    ("PATCH", "/{key}", {"version": "9"}, {}),
    ("PATCH", "/{key}", {"version": "9"}, {"Prefer": "return=minimal"}),
    ("PATCH", "/{key}", {"version": "9"}, {"If-Match": 'W/"1"'}),
    ("PUT", "/{key}/state", {"value": "active"}, {}),
    ("DELETE", "/{key}/displayName", None, {}),
    ("DELETE", "/{key}", None, {}),
    ("DELETE", "/{key}", None, {"If-None-Match": "*"}),
    (
        "DELETE",
        "/{key}",
        None,
        {"Repeatability-Request-ID": "a", "Repeatability-First-Sent": "Thu, 01 Jan 2026 00:00:00 GMT"},
    ),
]


@pytest.mark.parametrize(("method", "below", "body", "headers"), REQUESTS)
def test_answers_are_as_described(
    service: Service, document: Json, method: str, below: str, body: object, headers: dict[str, str]
) -> None:
    key = service.create()
    sent = {**body, "id": key} if isinstance(body, dict) and "id" in body else body
    answer = service.ask(method, LIST + below.replace("{key}", key), sent, headers)
    template = f"/deviceManagement/domainJoinConnectors{below.partition('?')[0]}".replace("{key}", KEY)
    path = template.replace("00000000-0000-0000-0000-000000000000", KEY)
    responses = document["paths"][path][method.lower()]["responses"]
    assert str(answer.status) in responses
    described = _resolved(document, responses[str(answer.status)])
    for name, header in described["headers"].items():
        if _resolved(document, header)["required"]:
            assert name.lower() in answer.headers, name
    # Those of every answer, whatever it is, need not be said again.
    own = {"etag", "location", "odata-entityid", "preference-applied", "repeatability-result", "www-authenticate"}
    assert own & set(answer.headers) <= {name.lower() for name in described["headers"]}
    assert bool(answer.body) is ("content" in described)
    schema = described.get("content", {}).get("application/json", {}).get("schema")
    if schema is not None:
        whole = {**schema, "components": document["components"]}
        assert OAS31Validator(whole).is_valid(answer.json)


def _resolved(document: Json, value: Json) -> Json:
    if "$ref" not in value:
        return value
    _, _, kind, name = value["$ref"].split("/")
    return dict(document["components"][kind][name])
