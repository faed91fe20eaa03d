"""Two tenants on one service: nothing of the one can be seen, changed or guessed by the other (DESIGN section 8)."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any, Final

import pytest
from tests.server import LIST, NOWHERE, ORIGIN, PUBLISHED, Answer, Server

from adjoin.store import tenants
from adjoin.store.statements import Everywhere

ONE_A_PAGE: Final = {"Prefer": "odata.maxpagesize=1"}


@dataclass(frozen=True, slots=True)
class Neighbours:
    """A tenant with connectors, and another that wants them."""

    server: Server
    owner: str
    other: str
    made: list[dict[str, Any]]

    @property
    def key(self) -> str:
        key: str = self.made[0]["id"]
        return key

    def snapshot(self) -> bytes:
        """All that the owner has."""
        return self.server.call("GET", f"{LIST}?$orderby=id", token=self.owner).body


@pytest.fixture
def two(server: Server) -> Neighbours:
    owner = server.token(tenant=server.add_tenant("owner"))
    other = server.token(tenant=server.add_tenant("other"))
    return Neighbours(server, owner, other, [server.create(owner, version=str(number)) for number in range(3)])


@pytest.mark.parametrize(
    "query",
    [
        "",
        "?$filter=state%20eq%20'error'",
        "?$filter=state%20eq%20'error'%20or%20true",
        "?$filter=not%20false",
        "?$search=value",
        "?$orderby=version%20desc",
        "?$select=id",
        "?$top=5&$skip=0",
    ],
)
def test_list_shows_nothing_of_the_other(two: Neighbours, query: str) -> None:
    listed = two.server.call("GET", LIST + query, token=two.other)
    assert (listed.status, listed.json["value"]) == (200, [])
    mine = two.server.create(two.other)["id"]
    assert [each["id"] for each in two.server.call("GET", LIST + query, token=two.other).json["value"]] == [mine]


def test_filter_for_the_id_of_the_other_finds_nothing(two: Neighbours) -> None:
    query = f"?$filter=id%20eq%20'{two.key}'"
    assert two.server.call("GET", LIST + query, token=two.owner).json["value"] != []
    assert two.server.call("GET", LIST + query, token=two.other).json["value"] == []


def test_counts_are_of_the_own_tenant(two: Neighbours) -> None:
    assert two.server.call("GET", f"{LIST}/$count", token=two.other).body == b"0"
    assert two.server.call("GET", f"{LIST}?$count=true", token=two.other).json["@odata.count"] == 0
    expanded = two.server.call(
        "GET", "/beta/deviceManagement?$expand=domainJoinConnectors($count=true)", token=two.other
    )
    assert expanded.json["domainJoinConnectors@odata.count"] == 0
    assert expanded.json["domainJoinConnectors"] == []


OPERATIONS: Final = pytest.mark.parametrize(
    ("method", "below", "body"),
    [
        ("GET", "", None),
        ("GET", "?$select=id", None),
        ("GET", "/displayName", None),
        ("GET", "/displayName/$value", None),
        ("PATCH", "", {"version": "stolen"}),
        ("PATCH", "", {}),
        ("PUT", "/displayName", {"value": "stolen"}),
        ("DELETE", "/displayName", None),
        ("DELETE", "", None),
    ],
)


def without_ids(answer: Answer, key: str) -> tuple[int, list[tuple[str, str]], str]:
    """An answer but for its ids."""
    own = answer.headers["request-id"]
    pairs = [(name, value.replace(own, "…").replace(key, "…")) for name, value in answer.pairs]
    return answer.status, pairs, answer.body.decode().replace(own, "…").replace(key, "…")


@OPERATIONS
@pytest.mark.parametrize("form", ["/{}", "('{}')"])
def test_what_is_another_tenants_is_as_what_is_nowhere(
    two: Neighbours, method: str, below: str, body: object, form: str
) -> None:
    before = two.snapshot()
    there, nowhere = (
        two.server.call(method, LIST + form.format(key) + below, body, token=two.other) for key in (two.key, NOWHERE)
    )
    assert there.status == 404
    assert without_ids(there, two.key) == without_ids(nowhere, NOWHERE)
    assert two.snapshot() == before


def test_create_with_the_id_of_another_tenant_makes_an_own(two: Neighbours) -> None:
    before = two.snapshot()
    made = two.server.call("POST", LIST, {**PUBLISHED, "id": two.key, "version": "mine"}, token=two.other)
    assert (made.status, made.json["id"]) == (201, two.key)
    assert two.server.call("GET", f"{LIST}/{two.key}", token=two.other).json["version"] == "mine"
    assert two.snapshot() == before
    assert two.server.call("DELETE", f"{LIST}/{two.key}", token=two.other).status == 204
    assert two.snapshot() == before


def link_of(two: Neighbours, query: str = "") -> str:
    page = two.server.call("GET", LIST + query, headers=ONE_A_PAGE, token=two.owner)
    link: str = page.json["@odata.nextLink"]
    return link.removeprefix(ORIGIN)


@pytest.mark.parametrize("query", ["", "?$orderby=version"])
def test_link_of_another_tenant_leads_nowhere(two: Neighbours, query: str) -> None:
    target = link_of(two, query)
    assert two.server.call("GET", target, token=two.owner).status == 200
    two.server.create(two.other)
    refused = two.server.call("GET", target, token=two.other)
    assert (refused.status, refused.said) == (400, "The $skiptoken is not one that this service gave for this list.")


def test_link_is_good_for_its_own_query_alone(two: Neighbours) -> None:
    token = link_of(two, "?$orderby=version").partition("$skiptoken=")[2]
    for query in ("?", "?$orderby=state&", "?$filter=state%20eq%20'error'&$orderby=version&"):
        assert two.server.call("GET", f"{LIST}{query}$skiptoken={token}", token=two.owner).status == 400


def test_link_cannot_be_forged(two: Neighbours) -> None:
    head, _, token = link_of(two).partition("$skiptoken=")
    data = bytearray(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    for at in range(len(data)):
        changed = bytes(data[:at]) + bytes([data[at] ^ 1]) + bytes(data[at + 1 :])
        forged = base64.urlsafe_b64encode(changed).decode().rstrip("=")
        assert two.server.call("GET", f"{head}$skiptoken={forged}", token=two.owner).status == 400
    for cut in (token[:-4], token + "AAAA", token[4:], token[:20]):
        assert two.server.call("GET", f"{head}$skiptoken={cut}", token=two.owner).status == 400


def test_link_of_another_installation_leads_nowhere(two: Neighbours, shared: Server) -> None:
    shared.fill(shared.tenant(), 2)
    link = shared.call("GET", LIST, headers=ONE_A_PAGE).json["@odata.nextLink"].removeprefix(ORIGIN)
    assert two.server.call("GET", link).status == 400


def test_repeat_of_another_tenants_request_is_a_request_of_its_own(two: Neighbours) -> None:
    """The same id and the same body from another tenant: not the other's answer, and no conflict with it."""
    named = {"Repeatability-Request-ID": NOWHERE, "Repeatability-First-Sent": "Fri, 15 Jan 2027 08:00:00 GMT"}
    mine, theirs = (two.server.call("POST", LIST, PUBLISHED, named, token=token) for token in (two.owner, two.other))
    again = two.server.call("POST", LIST, PUBLISHED, named, token=two.owner)
    assert [each.status for each in (mine, theirs, again)] == [201, 201, 201]
    assert mine.json["id"] == again.json["id"] != theirs.json["id"]


def test_batch_reaches_nothing_of_the_other(two: Neighbours) -> None:
    requests = [
        {"id": "1", "method": "GET", "url": f"/deviceManagement/domainJoinConnectors/{two.key}"},
        {"id": "2", "method": "DELETE", "url": f"/deviceManagement/domainJoinConnectors/{two.key}"},
        {
            "id": "3",
            "method": "GET",
            "url": f"/deviceManagement/domainJoinConnectors/{two.key}",
            "headers": {"Authorization": f"Bearer {two.owner}"},
        },
    ]
    answer = two.server.call("POST", "/beta/$batch", {"requests": requests}, token=two.other)
    assert [each["status"] for each in answer.json["responses"]] == [404, 404, 404]


def test_removed_tenant_is_gone_with_all_that_was_its_own(two: Neighbours) -> None:
    write = two.server.application.installation.database.write
    reader = two.server.application.installation.database.reader
    found = two.server.run(tenants.find_by_id_or_name(reader, "owner"))
    assert found is not None
    two.server.run(write(lambda session: tenants.remove(session, found.number)))
    assert two.server.call("GET", LIST, token=two.owner).status == 401
    ((left,),) = two.server.run(reader.fetch(Everywhere("SELECT count(*) FROM domain_join_connectors")))
    assert left == 0
    assert two.server.call("GET", LIST, token=two.other).status == 200
