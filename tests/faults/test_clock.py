"""A clock that is set back: what was made before stays right, what is made after is right, and waits end."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from tests.conftest import Opens
from tests.server import LIST, NOW, PUBLISHED, Server

from adjoin.identity.keys import add_key

DAY: Final = 86_400
AUDIT: Final = "/beta/deviceManagement/auditEvents"


def listed(server: Server) -> list[str]:
    return [row["displayName"] for row in server.call("GET", LIST).json["value"]]


def test_ids_stay_unique_and_every_row_is_listed_once(server: Server) -> None:
    made = [server.create(displayName=f"before {number}")["id"] for number in range(20)]
    server.clock.time -= DAY
    made += [server.create(displayName=f"after {number}")["id"] for number in range(20)]
    assert len(set(made)) == 40
    assert sorted(listed(server)) == sorted(f"{when} {n}" for when in ("before", "after") for n in range(20))


def test_paging_goes_on_without_a_row_twice_or_lost(server: Server) -> None:
    before = sorted(server.create(displayName=f"{number}")["id"] for number in range(6))
    page = server.call("GET", f"{LIST}?$top=6", headers={"Prefer": "odata.maxpagesize=2"}).json
    server.clock.time -= DAY
    server.create(displayName="new")
    found = [row["id"] for row in page["value"]]
    while "@odata.nextLink" in page:
        page = server.follow(page["@odata.nextLink"]).json
        found += [row["id"] for row in page["value"]]
    assert found == before


def test_what_was_made_before_can_be_changed_and_its_tag_changes(server: Server) -> None:
    key = server.create()["id"]
    tag = server.call("GET", f"{LIST}/{key}").headers["etag"]
    server.clock.time -= DAY
    changed = server.call("PATCH", f"{LIST}/{key}", {"version": "2"}, {"If-Match": tag})
    assert changed.status == 200
    assert changed.headers["etag"] != tag


def test_a_token_of_later_is_not_good_yet_and_a_new_one_is(server: Server) -> None:
    later = server.token()
    assert server.call("GET", LIST, token=later).status == 200
    server.clock.time -= DAY
    refused = server.call("GET", LIST, token=later)
    assert (refused.status, refused.error["code"]) == (401, "InvalidAuthenticationToken")
    assert server.call("GET", LIST).status == 200
    server.clock.time += DAY
    assert server.call("GET", LIST, token=later).status == 200


def test_a_token_lives_no_longer_than_the_clock_says(server: Server) -> None:
    token = server.token(expires_in=60)
    for later, status in ((59, 200), (61, 401), (31, 200), (61, 401)):
        server.clock.time = NOW + later
        assert server.call("GET", LIST, token=token).status == status


def test_nobody_is_throttled_for_longer_than_a_window(opens: Opens) -> None:
    server = opens(throttle="1,1,1,1/20")
    assert server.call("GET", LIST).status == 200
    assert server.call("GET", LIST).status == 429
    server.clock.time -= DAY
    assert server.call("GET", LIST).status == 200
    refused = server.call("GET", LIST)
    assert refused.status == 429
    assert 1 <= int(refused.headers["retry-after"]) <= 20


def test_audit_events_are_kept_and_tell_the_time_that_the_clock_told(server: Server) -> None:
    server.create()
    server.clock.time -= DAY
    server.create()
    token = server.token("DeviceManagementApps.Read.All")
    events = server.call("GET", f"{AUDIT}?$orderby=activityDateTime", token=token).json["value"]
    times = [each["activityDateTime"] for each in events]
    assert times == ["2027-01-14T08:00:00Z", "2027-01-15T08:00:00Z"]


def test_a_repeated_request_is_known_again(server: Server) -> None:
    headers = {
        "Repeatability-Request-ID": "00000000-0000-4000-8000-000000000001",
        "Repeatability-First-Sent": "Fri, 15 Jan 2027 08:00:00 GMT",
    }
    first = server.call("POST", LIST, PUBLISHED, headers)
    server.clock.time -= 60
    again = server.call("POST", LIST, PUBLISHED, headers)
    assert (first.status, again.status) == (201, 201)
    assert first.json["id"] == again.json["id"]
    assert len(listed(server)) == 1


def test_a_rotation_is_noticed(server: Server, tmp_path: Path) -> None:
    server.clock.time -= DAY
    new = add_key(tmp_path / "data" / "keys", server.clock.time)
    assert server.call("GET", LIST).status == 200
    assert server.application.installation.ring.signing.kid == new.signing.kid
