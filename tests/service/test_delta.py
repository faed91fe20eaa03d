"""A client that applies every page of its delta rounds has the list, whatever happens meanwhile."""

from __future__ import annotations

from itertools import count
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test
from tests.conftest import Opens
from tests.hooks import SUBSCRIPTIONS, Hooks, asked, deliver, opened, subscribe
from tests.server import LIST, ORIGIN, PUBLISHED, Answer, Server

from adjoin.odata.values import TICKS_PER_SECOND, Instant
from adjoin.store import changes, rows
from adjoin.store import settings as store_settings
from adjoin.store.database import Session
from adjoin.store.tables import CONNECTORS
from adjoin.store.tenants import Tenant

DAY: Final = 86_400
IDS: Final = [f"{number:08x}-0000-4000-8000-000000000000" for number in range(3)]
STEPS: Final = [1, 20, 40, 3_599, 3_600, 3_601, DAY, 5 * DAY - 3_600, 5 * DAY, 7 * DAY]


def hear(server: Server, key: str, tenant: Tenant | None = None) -> None:
    """What a check-in leaves of a connector: it was heard now, and is active."""
    now, tenant = server.clock.time, tenant or server.tenant()
    at = Instant.from_unix(now)

    async def act(session: Session) -> None:
        before = await rows.get(session, CONNECTORS, tenant.number, key, at.ticks)
        if before is None:
            return
        sql = (
            "UPDATE domain_join_connectors SET last_connection_date_time = ?3, last_connection_date_time_ticks = ?4, "
            "silent_since = ?4, state = 0, row_version = row_version + 1 WHERE tenant = ?1 AND id = ?2"
        )
        await session.fetch(sql, (tenant.number, key, str(at), at.ticks))
        after = await rows.get(session, CONNECTORS, tenant.number, key, at.ticks)
        if after is not None and before.row[3] != after.row[3]:
            changes.append(session, tenant.number, key, changes.Kind.UPDATED, at.ticks)

    server.run(server.application.installation.database.write(act))


class Client:
    """Keeps a copy of the list by delta queries, as the links lead it."""

    def __init__(self, server: Server, tenant: Tenant, size: int) -> None:
        self.server = server
        self.tenant = tenant
        self.copy: dict[str, Any] = {}
        self.size = size
        self.link = self._first
        self.ended = False

    @property
    def _first(self) -> str:
        return f"{LIST}/delta?$top={self.size}"

    def page(self) -> None:
        answer = self.server.call("GET", self.link, token=self.server.token(tenant=self.tenant))
        if answer.status == 410:
            assert answer.error["code"] == "SyncStateNotFound"
            assert answer.headers["location"] == f"{ORIGIN}{LIST}/delta"
            self.copy, self.link, self.ended = {}, self._first, False
            return
        assert answer.status == 200, answer.body
        assert len(answer.json["value"]) <= self.size
        for each in answer.json["value"]:
            if "@removed" in each:
                assert each == {"id": each["id"], "@removed": {"reason": "deleted"}}
                self.copy.pop(each["id"], None)
            else:
                self.copy[each["id"]] = each
        self.ended = "@odata.deltaLink" in answer.json
        assert self.ended is not ("@odata.nextLink" in answer.json)
        self.link = answer.json["@odata.deltaLink" if self.ended else "@odata.nextLink"].removeprefix(ORIGIN)

    def catch_up(self) -> None:
        """To the end of a round, and through one that begins now."""
        for _ in range(2):
            self.page()
            while not self.ended:
                self.page()


class Replay(RuleBasedStateMachine):
    """A tenant of its own in a service that all share, for starting one takes longer than all the rest."""

    def __init__(self, server: Server, number: int) -> None:
        super().__init__()
        self.server = server
        self.tenant = server.add_tenant(f"tenant {number}")
        self.clients = [Client(server, self.tenant, size) for size in (1, 2, 1_000)]
        for key in IDS:
            self.create(key, "active")

    def call(self, method: str, target: str, body: object = None) -> Answer:
        return self.server.call(method, target, body, token=self.server.token(tenant=self.tenant))

    @rule(key=st.sampled_from(IDS), state=st.sampled_from(["active", "error", "inactive"]))
    def create(self, key: str, state: str) -> None:
        answer = self.call("POST", LIST, {**PUBLISHED, "id": key, "state": state})
        assert answer.status in (201, 409)

    @rule(key=st.sampled_from(IDS), version=st.sampled_from(["1", "2"]))
    def change(self, key: str, version: str) -> None:
        assert self.call("PATCH", f"{LIST}/{key}", {"version": version}).status in (200, 404)

    @rule(key=st.sampled_from(IDS))
    def set_state(self, key: str) -> None:
        assert self.call("PATCH", f"{LIST}/{key}", {"state": "error"}).status in (200, 404)

    @rule(key=st.sampled_from(IDS))
    def delete(self, key: str) -> None:
        assert self.call("DELETE", f"{LIST}/{key}").status in (204, 404)

    @rule(key=st.sampled_from(IDS))
    def hear(self, key: str) -> None:
        hear(self.server, key, self.tenant)

    @rule(seconds=st.sampled_from(STEPS))
    def wait(self, seconds: int) -> None:
        self.server.clock.time += seconds

    @rule()
    def clock_goes_back_a_little(self) -> None:
        self.server.clock.time -= 10
        # A service looks every second.
        deliver(self.server)

    @rule()
    def subscribe(self) -> None:
        assert self.call("POST", SUBSCRIPTIONS, asked(self.server, 4_000)).status == 201

    @rule()
    def unsubscribe(self) -> None:
        for each in self.call("GET", SUBSCRIPTIONS).json["value"]:
            assert self.call("DELETE", f"{SUBSCRIPTIONS}/{each['id']}").status == 204

    @rule()
    def deliver(self) -> None:
        deliver(self.server)

    @rule(which=st.integers(0, 2))
    def page(self, which: int) -> None:
        self.clients[which].page()

    @rule()
    def catch_up(self) -> None:
        listed = {each["id"]: each for each in self.call("GET", LIST).json["value"]}
        for client in self.clients:
            client.catch_up()
            assert client.copy == listed

    def teardown(self) -> None:
        self.unsubscribe()


def test_every_page_applied_gives_the_list(opens: Opens) -> None:
    server, numbers = opened(opens, Hooks()), count()
    checked = settings(max_examples=15, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck))
    run_state_machine_as_test(lambda: Replay(server, next(numbers)), settings=checked)  # type: ignore[arg-type]


def latest(server: Server) -> str:
    link: str = server.call("GET", f"{LIST}/delta?$deltatoken=latest").json["@odata.deltaLink"]
    return link


def test_what_the_clock_does_is_told_at_each_step(server: Server) -> None:
    key = server.create(state="active")["id"]
    hear(server, key)
    server.clock.time += 60
    link = latest(server)
    shown: list[object] = []
    for seconds in (3_600, 4 * DAY + 23 * 3_600, 6 * DAY, 6 * DAY, 6 * DAY, 6 * DAY, DAY):
        server.clock.time += seconds
        answer = server.follow(link)
        link = answer.json["@odata.deltaLink"]
        shown.append([each.get("state", each.get("@removed")) for each in answer.json["value"]])
    assert shown == [["error"], ["inactive"], [], [], [], [], [{"reason": "deleted"}]]
    assert server.follow(link).json["value"] == []


def test_what_the_clock_removed_and_a_create_swept_away_is_told(server: Server) -> None:
    key = server.create(state="active")["id"]
    hear(server, key)
    server.clock.time += 29 * DAY
    link = latest(server)
    server.clock.time += 2 * DAY
    other = server.create()["id"]
    told = server.follow(link).json["value"]
    assert {each["id"]: "@removed" in each for each in told} == {key: True, other: False}


class TestWhereSomebodyFollows:
    """What the clock removes is told of by delta queries whatever subscriptions come and go meanwhile."""

    @pytest.fixture
    def hooks(self) -> Hooks:
        return Hooks()

    @pytest.fixture
    def server(self, opens: Opens, hooks: Hooks) -> Server:
        return opened(opens, hooks)

    @pytest.mark.parametrize("number", [1, 130])
    def test_what_was_removed_before_the_first_subscription(self, server: Server, hooks: Hooks, number: int) -> None:
        other, keys = server.create()["id"], {server.create(state="active")["id"] for _ in range(number)}
        for key in keys:
            hear(server, key)
        server.clock.time += 30 * DAY - 60
        link = latest(server)
        server.clock.time += 120
        subscribe(server)
        server.clock.time += 60
        assert server.call("PATCH", f"{LIST}/{other}", {"version": "2"}).status == 200
        assert removed(server, link) == keys
        deliver(server)
        # Nor is the subscription told of what was before it.
        assert hooks.told() == [("updated", other)]

    @pytest.mark.parametrize(("back", "goes_on"), [(20, True), (3_600, True), (3_600, False)])
    def test_what_a_clock_removed_that_was_ahead(self, server: Server, back: int, goes_on: bool) -> None:
        """It is in the log since then; it is there again in the time before, and removed once more."""
        key, other = server.create(state="active")["id"], server.create()["id"]
        hear(server, key)
        server.clock.time += 30 * DAY - 10
        subscription = subscribe(server, minutes=1_000)
        server.clock.time += 15
        deliver(server)
        server.clock.time -= back
        if goes_on:
            deliver(server)
        else:
            server.call("DELETE", f"{SUBSCRIPTIONS}/{subscription}")
        link = latest(server)
        server.clock.time += back + 60
        assert server.call("PATCH", f"{LIST}/{other}", {"version": "2"}).status == 200
        assert removed(server, link) == {key}


def removed(server: Server, link: str) -> set[str]:
    """What a link tells is no more."""
    return {each["id"] for each in server.follow(link).json["value"] if "@removed" in each}


def test_links_are_good_for_seven_days_and_then_gone(server: Server) -> None:
    link = latest(server)
    server.clock.time += 7 * DAY
    assert server.follow(link).status == 200
    server.clock.time += DAY + 1
    assert server.follow(link).status == 410


def test_an_entity_that_changed_often_comes_once_a_page_and_none_is_left_out(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changes, "LOOKED_AT", 4)
    busy, other = server.create()["id"], server.create()["id"]
    link = latest(server)
    for number in range(10):
        server.call("PATCH", f"{LIST}/{busy}", {"version": str(number)})
    server.call("PATCH", f"{LIST}/{other}", {"version": "2"})
    pages = []
    while True:
        answer = server.follow(link).json
        pages.append([each["id"] for each in answer["value"]])
        if "@odata.nextLink" not in answer:
            break
        link = answer["@odata.nextLink"]
    assert pages == [[busy], [busy], [busy, other]]


def test_a_link_from_a_future_that_was_taken_back_is_gone(server: Server) -> None:
    """The database was restored from a copy, or the clock set back by an hour."""
    link = latest(server)
    server.clock.time -= 3_600
    assert server.follow(link).status == 410


class TestAfterARestore:
    """An older state is put in place of the database, and goes on until its log is as long again."""

    def test_a_link_of_changes_that_were_undone_is_gone(self, server: Server) -> None:
        server.create()
        link = latest(server)
        server.clock.time += 60
        tenant = server.tenant().number

        async def undo(session: Session) -> None:
            for table in ("changes", "change_counters", "domain_join_connectors"):
                await session.fetch(f"DELETE FROM {table} WHERE tenant = ?1", (tenant,))

        server.run(server.application.installation.database.write(undo))
        for _ in range(3):
            server.create()
            assert server.follow(link).status == 410
        assert server.follow(latest(server)).status == 200

    def test_a_link_that_was_taken_later_than_the_copy_is_gone(self, server: Server) -> None:
        """Check-ins alone came between the copy and the link, so that the log tells nothing of it."""
        link = latest(server)

        async def restore(session: Session) -> None:
            before = await store_settings.find(session, store_settings.HISTORY)
            assert before is not None
            assert await store_settings.replace(session, store_settings.HISTORY, before, b"restored")

        server.run(server.application.installation.database.write(restore))
        assert server.follow(link).status == 410
        assert server.follow(latest(server)).status == 200


def test_the_log_is_bounded_in_time(server: Server) -> None:
    tenant, database = server.tenant().number, server.application.installation.database
    for _ in range(3):
        server.create()
    server.clock.time += changes.KEPT / TICKS_PER_SECOND + 1
    server.create()
    kept = server.run(changes.after(database.reader, tenant, 0, 1_000, 1_000))
    assert [each.sequence for each in kept] == [4]
    assert server.run(changes.counter(database.reader, tenant)) == (4, 3)


def test_changes_are_numbered_apart_for_each_tenant(server: Server) -> None:
    other = server.add_tenant("other")
    link = latest(server)
    server.create(token=server.token(tenant=other))
    assert server.follow(link).json["value"] == []
    answer = server.call("GET", link.removeprefix(ORIGIN), token=server.token(tenant=other))
    assert (answer.status, answer.error["code"]) == (400, "BadRequest")


def test_what_a_clock_that_is_set_back_takes_back_is_told(server: Server) -> None:
    key = server.create(state="active")["id"]
    hear(server, key)
    server.clock.time += 3_600
    link = latest(server)
    server.clock.time -= 10
    assert [(each["id"], each["state"]) for each in server.follow(link).json["value"]] == [(key, "active")]


def test_a_check_in_that_changes_no_state_is_told(server: Server) -> None:
    key = server.create(state="active")["id"]
    server.clock.time += 60
    link = latest(server)
    server.clock.time += 60
    hear(server, key)
    (told,) = server.follow(link).json["value"]
    assert (told["id"], told["lastConnectionDateTime"]) == (key, str(Instant.from_unix(server.clock.time)))


def test_a_check_in_at_a_time_that_was_taken_back_is_told(server: Server) -> None:
    key = server.create(state="active")["id"]
    link = latest(server)
    hear(server, key)
    server.clock.time -= 10
    assert [each["id"] for each in server.follow(link).json["value"]] == [key]
