"""A connector's silence as callers of Graph see it: shown, filtered, ordered, counted and tagged alike at each time."""

from __future__ import annotations

from typing import Final
from urllib.parse import quote

import pytest
from tests.server import LIST, NOW, PUBLISHED, Server

from adjoin.odata.values import Instant
from adjoin.store.database import Session
from adjoin.store.statements import Everywhere

HOUR: Final = 3_600
DAY: Final = 24 * HOUR
AUDIT: Final = "/beta/deviceManagement/auditEvents"
STATES: Final = ("active", "error", "inactive")


def heard(server: Server, key: str, at: float = NOW) -> None:
    """The connector was last heard at this time."""

    async def act(session: Session) -> None:
        sql = "UPDATE domain_join_connectors SET silent_since = ?1, row_version = row_version + 1 WHERE id = ?2"
        await session.fetch(Everywhere(sql), (Instant.from_unix(at).ticks, key))

    server.run(server.application.installation.database.write(act))


def shown(server: Server, query: str = "") -> list[tuple[str, str]]:
    value = server.call("GET", f"{LIST}?{quote(query, safe='$=&,')}").json["value"]
    return [(each["displayName"], each["state"]) for each in value]


@pytest.fixture
def key(server: Server) -> str:
    """A connector that was heard now, and two that an administrator wrote."""
    made: str = server.create(displayName="heard", state="active")["id"]
    heard(server, made)
    server.create(displayName="written", state="active")
    server.create(displayName="written", state="inactive")
    return made


@pytest.mark.parametrize(
    ("later", "state"),
    [(0, "active"), (HOUR - 1, "active"), (HOUR, "error"), (5 * DAY - 1, "error"), (5 * DAY, "inactive")],
)
def test_the_clock_moves_what_is_shown_found_ordered_and_counted(
    server: Server, key: str, later: int, state: str
) -> None:
    server.clock.time = NOW + later
    assert server.call("GET", f"{LIST}/{key}").json["state"] == state
    assert server.call("GET", f"{LIST}/{key}/state/$value").body.decode() == state
    everything = sorted([("heard", state), ("written", "active"), ("written", "inactive")])
    assert sorted(shown(server)) == everything
    for member in STATES:
        wanted = [each for each in everything if each[1] == member]
        assert sorted(shown(server, f"$filter=state eq '{member}'")) == wanted
        assert sorted(shown(server, f"$filter=state ne '{member}'")) == [
            each for each in everything if each not in wanted
        ]
        counted = server.call("GET", f"{LIST}/$count?$filter=state%20eq%20'{member}'")
        assert counted.body == str(len(wanted)).encode()
    ordered = [each[1] for each in shown(server, "$orderby=state")]
    assert ordered == sorted(ordered, key=STATES.index)
    assert [each[1] for each in shown(server, "$orderby=state desc,id")] == ordered[::-1]


def test_an_entity_tag_is_of_what_is_shown(server: Server, key: str) -> None:
    tag = server.call("GET", f"{LIST}/{key}").headers["etag"]
    server.clock.time = NOW + HOUR - 1
    assert server.call("GET", f"{LIST}/{key}", headers={"if-none-match": tag}).status == 304
    server.clock.time = NOW + HOUR
    fresh = server.call("GET", f"{LIST}/{key}", headers={"if-none-match": tag})
    assert (fresh.status, fresh.json["state"]) == (200, "error")
    assert server.call("PATCH", f"{LIST}/{key}", {"displayName": "x"}, {"if-match": tag}).status == 412
    assert (
        server.call("PATCH", f"{LIST}/{key}", {"displayName": "x"}, {"if-match": fresh.headers["etag"]}).status == 200
    )


def test_an_administrators_state_stands_until_the_next_check_in(server: Server, key: str) -> None:
    assert server.call("PATCH", f"{LIST}/{key}", {"state": "active"}).status == 200
    server.clock.time = NOW + 40 * DAY
    assert server.call("GET", f"{LIST}/{key}").json["state"] == "active"
    heard(server, key, NOW + 40 * DAY)
    server.clock.time = NOW + 40 * DAY + HOUR
    assert server.call("GET", f"{LIST}/{key}").json["state"] == "error"


def test_an_administrators_other_words_leave_the_clock_running(server: Server, key: str) -> None:
    server.clock.time = NOW + HOUR
    patched = server.call("PATCH", f"{LIST}/{key}", {"displayName": "heard", "version": "9"})
    assert patched.json["state"] == "error"
    server.clock.time = NOW + 5 * DAY
    assert server.call("GET", f"{LIST}/{key}").json["state"] == "inactive"


@pytest.mark.parametrize(
    ("method", "below", "body"),
    [("GET", "", None), ("GET", "/state", None), ("PATCH", "", {"version": "1"}), ("DELETE", "", None)],
)
def test_after_thirty_days_it_is_not_there(server: Server, key: str, method: str, below: str, body: object) -> None:
    server.clock.time = NOW + 30 * DAY
    assert server.call(method, f"{LIST}/{key}{below}", body).status == 404
    assert "heard" not in dict(shown(server))
    assert server.call("GET", f"{LIST}/$count").body == b"2"


def test_an_inactive_one_can_be_deleted(server: Server, key: str) -> None:
    server.clock.time = NOW + 6 * DAY
    assert server.call("DELETE", f"{LIST}/{key}").status == 204
    assert server.call("GET", f"{LIST}/{key}").status == 404


def test_its_id_can_be_taken_once_it_is_removed(server: Server, key: str) -> None:
    assert server.call("POST", LIST, {**PUBLISHED, "id": key}).status == 409
    server.clock.time = NOW + 30 * DAY
    assert server.call("POST", LIST, {**PUBLISHED, "id": key, "displayName": "new"}).status == 201
    assert server.call("GET", f"{LIST}/{key}").json["displayName"] == "new"


@pytest.mark.parametrize("write", ["POST", "PATCH", "DELETE"])
def test_the_next_change_drops_it_and_the_audit_trail_says_so(server: Server, key: str, write: str) -> None:
    other = server.create(displayName="other")["id"]
    server.clock.time = NOW + 30 * DAY
    target = LIST if write == "POST" else f"{LIST}/{other}"
    body = {"POST": PUBLISHED, "PATCH": {"version": "2"}, "DELETE": None}[write]
    assert server.call(write, target, body).status in (200, 201, 204)
    trail = server.call("GET", AUDIT, token=server.token("DeviceManagementApps.Read.All")).json["value"]
    found = [
        each
        for each in trail
        if each["resources"][0]["resourceId"] == key and each["activityOperationType"] == "Delete"
    ]
    assert [(each["actor"]["applicationDisplayName"], each["resources"][0]["displayName"]) for each in found] == [
        ("adjoin", "heard")
    ]


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ("'a' in ('b','a')", True),
        ("'a' in ('b','c')", False),
        ("'a' in ()", False),
        ("null in ('a','b')", False),
        ("5 in (1,2)", False),
        ("true in (true,false)", True),
    ],
)
def test_a_literal_may_stand_before_in(server: Server, condition: str, holds: bool) -> None:
    """It is no comparison of the state, which the clock changes, though it looks like one the other way round."""
    heard(server, server.create(displayName="heard", state="active")["id"])
    assert bool(shown(server, f"$filter={condition}")) is holds
    assert server.call("GET", f"{LIST}/$count?$filter={quote(condition)}").body == (b"1" if holds else b"0")


@pytest.mark.parametrize("order", ["version in ()", "state in ()", "state in () desc,displayName", "not(state in ())"])
def test_an_order_that_tells_nothing_apart_is_the_keys(server: Server, order: str) -> None:
    keys = sorted(server.create(displayName="same")["id"] for _ in range(3))
    listed = server.call("GET", f"{LIST}?$orderby={quote(order)}")
    assert [each["id"] for each in listed.json["value"]] in (keys, keys[::-1])
