"""OData 4.0 Minimal, clauses M4.18 to M4.31: what a service owes whose entities can be changed."""

from __future__ import annotations

import pytest
from tests.conformance.service import BODY, LIST, ROOT, TYPE, Service

FULL = {"Accept": "application/json;odata.metadata=full"}
NOBODY = "00000000-0000-4000-8000-000000000000"


@pytest.fixture
def key(service: Service) -> str:
    return service.create()


def edit_urls(service: Service, key: str) -> list[str]:
    """Every URL under which an entity can be changed: the link that it gives, and those that conventions imply."""
    link = service.get(f"{LIST}/{key}", FULL).json["@odata.editLink"]
    cast = f"{LIST}/{key}/{TYPE}"
    return [f"/beta/{link}", f"{LIST}/{key}", f"{LIST}('{key}')", f"{LIST}(id='{key}')", f"{LIST}(%27{key}%27)", cast]


def test_m4_18_edit_links(service: Service, key: str) -> None:
    found = service.get(f"{LIST}/{key}", FULL).json
    assert found["@odata.editLink"] == f"deviceManagement/domainJoinConnectors('{key}')"
    assert found["@odata.id"] == f"{ROOT}/{found['@odata.editLink']}"
    assert service.get(f"/beta/{found['@odata.editLink']}").json["id"] == key


def test_m4_19_post_of_a_new_entity(service: Service) -> None:
    answer = service.ask("POST", LIST, dict(BODY))
    assert answer.status == 201
    made = answer.json
    assert {name: made[name] for name in BODY} == dict(BODY)
    assert service.get(f"{LIST}/{made['id']}").json == made


def test_m4_20_post_to_a_navigation_property(service: Service) -> None:
    made = service.ask("POST", LIST, {**BODY, "id": NOBODY})
    assert made.status == 201
    assert made.json["id"] in service.get(LIST).values("id")
    assert service.ask("POST", LIST, {**BODY, "id": NOBODY}).status == 409


def test_m4_23_patch_on_every_edit_url(service: Service, key: str) -> None:
    for number, url in enumerate(edit_urls(service, key)):
        assert service.ask("PATCH", url, {"version": str(number)}).status == 200, url
        assert service.get(f"{LIST}/{key}").json["version"] == str(number)


def test_m4_24_delete_on_every_edit_url(service: Service) -> None:
    for at in range(len(edit_urls(service, service.create()))):
        key = service.create()
        assert service.ask("DELETE", edit_urls(service, key)[at]).status == 204
        assert service.get(f"{LIST}/{key}").status == 404


@pytest.mark.parametrize(
    ("method", "below", "body"),
    [
        ("PATCH", "", {"version": "9"}),
        ("DELETE", "", None),
        ("PUT", "/version", {"value": "9"}),
        ("PATCH", "/version", {"value": "9"}),
        ("DELETE", "/displayName", None),
    ],
)
def test_m4_26_if_match(service: Service, key: str, method: str, below: str, body: object) -> None:
    url = f"{LIST}/{key}"
    before = service.get(url)
    old = before.headers["etag"]
    assert service.ask(method, url + below, body, {"If-Match": 'W/"1"'}).status == 412
    assert service.ask(method, url + below, body, {"If-None-Match": old}).status == 412
    assert service.get(url).body == before.body
    assert service.ask(method, url + below, body, {"If-Match": f'W/"1", {old}'}).status in (200, 204)


def test_m4_26_an_etag_changes_with_the_entity(service: Service, key: str) -> None:
    url = f"{LIST}/{key}"
    old = service.get(url).headers["etag"]
    new = service.ask("PATCH", url, {"version": "9"}).headers["etag"]
    assert new != old
    assert service.get(url).headers["etag"] == new
    assert service.ask("PATCH", url, {"version": "10"}, {"If-Match": old}).status == 412


def test_m4_26_any_version_is_one_that_is_there(service: Service, key: str) -> None:
    assert service.ask("PATCH", f"{LIST}/{key}", {}, {"If-Match": "*"}).status == 200
    assert service.ask("DELETE", f"{LIST}/{NOBODY}", None, {"If-Match": "*"}).status in (404, 412)


def test_m4_27_location(service: Service) -> None:
    made = service.ask("POST", LIST, dict(BODY))
    location = made.headers["location"]
    assert location == f"http://graph.test{LIST}/{made.json['id']}"
    assert service.get(location.removeprefix("http://graph.test")).status == 200


def test_m4_28_entity_id(service: Service) -> None:
    made = service.ask("POST", LIST, dict(BODY), {"Prefer": "return=minimal"})
    assert (made.status, made.body) == (204, b"")
    assert made.headers["odata-entityid"] == made.headers["location"]
    assert made.headers["preference-applied"] == "return=minimal"


@pytest.mark.parametrize("headers", [{}, {"If-Match": "*"}, {"If-None-Match": "*"}])
def test_m4_29_an_upsert_fails_altogether(service: Service, headers: dict[str, str]) -> None:
    body = {name: value for name, value in BODY.items() if name != "@odata.type"}
    assert service.ask("PATCH", f"{LIST}/{NOBODY}", body, headers).status in (404, 412)
    assert service.get(f"{LIST}/{NOBODY}").status == 404


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("displayName", "x"),
        ("displayName", None),
        ("state", "active"),
        ("lastConnectionDateTime", "2024-02-29T01:02:03Z"),
    ],
)
def test_m4_30_a_single_property(service: Service, key: str, method: str, name: str, value: str | None) -> None:
    url = f"{LIST}/{key}"
    answer = service.ask(method, f"{url}/{name}", {"@odata.context": "x", "value": value})
    assert answer.status == 204
    assert service.get(url).json[name] == value
    assert service.get(url).headers["etag"] == answer.headers["etag"]


@pytest.mark.parametrize("body", [{}, {"value": 1}, {"value": None}, {"value": "a", "other": 1}, "a"])
def test_m4_30_what_is_no_value_is_refused(service: Service, key: str, body: object) -> None:
    assert service.ask("PUT", f"{LIST}/{key}/version", body).status == 400


def test_m4_31_delete_sets_to_null(service: Service, key: str) -> None:
    assert service.ask("DELETE", f"{LIST}/{key}/displayName").status == 204
    assert service.get(f"{LIST}/{key}").json["displayName"] is None
    assert service.get(f"{LIST}/{key}/displayName").status == 204


@pytest.mark.parametrize("name", ["id", "state", "version", "lastConnectionDateTime"])
def test_m4_31_what_cannot_be_null_stays(service: Service, key: str, name: str) -> None:
    before = service.get(f"{LIST}/{key}").json
    assert service.ask("DELETE", f"{LIST}/{key}/{name}").status == 400
    assert service.get(f"{LIST}/{key}").json == before


def test_m4_33_no_change_of_a_whole_collection(service: Service) -> None:
    for method in ("PATCH", "PUT", "DELETE"):
        assert service.ask(method, LIST, {}).status == 400
    assert len(service.get(LIST).json["value"]) == 5
