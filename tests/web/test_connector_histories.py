"""Random histories of check-ins, administrators' writes, a policy of versions and time: all that is said agrees.

A model of a few lines says what is to be seen after each step (DESIGN section 4); what is shown, found, ordered and
counted, what delta queries tell from each earlier step on, and what a subscription is notified of are held to it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import count
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tests.conftest import Opens
from tests.hooks import SUBSCRIPTIONS, Hooks, asked, deliver, opened
from tests.server import LIST, NOW, ORIGIN, PUBLISHED, Answer, Server
from tests.web.machine import Machine, enrolled

from adjoin.odata.values import TICKS_PER_SECOND
from adjoin.store import tenants
from adjoin.store.changes import KEPT
from adjoin.store.tenants import Tenant

HOUR: Final = 3_600
DAY: Final = 24 * HOUR
TURNS: Final = (HOUR, 5 * DAY, 30 * DAY)
SLACK: Final = 30
"""What delta queries may tell anew: check-ins and turns of so many seconds before the link."""
LINKS: Final = 6
STATES: Final = ("active", "error", "inactive")
VERSIONS: Final = st.sampled_from(["1.0.0.0", "2.0.0.0"])
WHICH: Final = st.integers(0, 3)
SPANS: Final = st.sampled_from([1, 300, HOUR - 1, HOUR, DAY, 4 * DAY, 5 * DAY, 25 * DAY, 30 * DAY]) | st.integers(
    1, 10 * DAY
)

STEPS: Final = st.lists(
    st.one_of(
        st.tuples(st.just("wait"), SPANS),
        st.tuples(st.just("check in"), WHICH, st.booleans(), VERSIONS),
        st.tuples(st.just("repeat"), WHICH),
        st.tuples(st.just("write"), WHICH, st.sampled_from(STATES)),
        st.tuples(st.just("rename"), WHICH),
        st.tuples(st.just("delete"), WHICH),
        st.tuples(st.just("create"), WHICH),
        st.tuples(st.just("policy"), st.none() | VERSIONS),
        st.tuples(st.just("subscribe")),
        st.tuples(st.just("unsubscribe")),
    ),
    min_size=3,
    max_size=14,
)
NUMBERS: Final = count()


@dataclass
class Seen:
    """What the model knows of an entry: the last word, when it was spoken (None: by an administrator), its version."""

    word: str
    heard: float | None
    version: str
    gone: bool = False
    machine: Machine | None = field(default=None, repr=False)
    happened: float = 0
    """When something was last done to it."""

    def state(self, now: float) -> str | None:
        """What is to be shown; None: nothing."""
        if self.gone:
            return None
        if self.heard is None:
            return self.word
        silent = now - self.heard
        if silent >= 30 * DAY:
            return None
        return "inactive" if silent >= 5 * DAY else "error" if silent >= HOUR else self.word

    def another_since(self, then: float, now: float) -> bool:
        """Whether anything was done to it since then, by anybody or by the clock."""
        turns = [] if self.heard is None else [self.heard + each for each in TURNS]
        return self.happened >= then or any(then <= each <= now for each in turns)


@dataclass
class Link:
    """A deltaLink, when it was taken, and what was listed then."""

    url: str
    taken: float
    listed: dict[str, Any]


class History:
    """A tenant of its own, a client that keeps deltaLinks, a subscriber, and the model beside them."""

    def __init__(self, server: Server, hooks: Hooks, *, subscribed: bool) -> None:
        server.clock.time = NOW
        self.server, self.hooks = server, hooks
        self.tenant: Tenant = server.add_tenant(f"tenant {next(NUMBERS)}")
        machines = [enrolled(server, self.tenant) for _ in range(3)]
        self.entries = {each.id: Seen("active", NOW, "1.2.3.4", machine=each, happened=NOW) for each in machines}
        made = self.call("POST", LIST, {**PUBLISHED, "version": "written"}).json
        self.entries[made["id"]] = Seen("error", None, "written", happened=NOW)
        self.least: str | None = None
        self.subscription = self.subscribe() if subscribed else None
        self.always_followed = subscribed
        self.known = self.listed()
        self.links: list[Link] = []
        self.take_link()

    @property
    def now(self) -> float:
        return self.server.clock()

    def call(self, method: str, target: str, body: object = None, **more: Any) -> Answer:
        return self.server.call(method, target, body, token=self.server.token(tenant=self.tenant), **more)

    def listed(self) -> dict[str, Any]:
        return {each["id"]: each for each in self.call("GET", LIST).json["value"]}

    def subscribe(self) -> str:
        made = self.call("POST", SUBSCRIPTIONS, asked(self.server, 4_000))
        assert made.status == 201, made.body
        return str(made.json["id"])

    # --- steps, on both sides

    def play(self, step: tuple[Any, ...]) -> None:
        """Take a step, and hold what the service answers to what the model knows."""
        if step[0] == "wait":
            return self.wait(step[1])
        if step[0] == "policy":
            return self.set_policy(step[1])
        if step[0] == "subscribe":
            self.subscription = self.subscription or self.subscribe()
            self.known = self.listed()
            return None
        if step[0] == "unsubscribe":
            return self.end()
        key, seen = list(self.entries.items())[step[1]]
        there = seen.state(self.now) is not None
        if step[0] in ("check in", "repeat"):
            self.check_in(seen, step, there)
        elif step[0] == "write":
            assert self.call("PATCH", f"{LIST}/{key}", {"state": step[2]}).status == (200 if there else 404)
            if there:
                seen.word, seen.heard, seen.happened = step[2], None, self.now
        elif step[0] == "rename":
            body = {"displayName": f"name {next(NUMBERS)}"}
            assert self.call("PATCH", f"{LIST}/{key}", body).status == (200 if there else 404)
            seen.happened = self.now if there else seen.happened
        elif step[0] == "delete":
            assert self.call("DELETE", f"{LIST}/{key}").status == (204 if there else 404)
            seen.gone, seen.happened = True, self.now if there else seen.happened
        else:
            body = {**PUBLISHED, "id": key, "version": "written"}
            assert self.call("POST", LIST, body).status == (409 if there else 201)
            if not there:
                # Nobody stands behind it any more.
                self.entries[key] = Seen("error", None, "written", happened=self.now)
        return None

    def wait(self, seconds: float) -> None:
        """In steps of two days where there is a subscription: it has to be renewed."""
        if self.subscription is None:
            self.server.clock.time += seconds
            return
        while seconds > 0:
            self.server.clock.time += min(seconds, 2 * DAY)
            seconds -= 2 * DAY
            body = {"expirationDateTime": asked(self.server, 4_000)["expirationDateTime"]}
            assert self.call("PATCH", f"{SUBSCRIPTIONS}/{self.subscription}", body).status == 200
            self.hold_notifications()

    def set_policy(self, least: str | None) -> None:
        """It counts from the next check-in on."""
        self.least = least
        write = self.server.application.installation.database.write
        self.server.run(write(lambda session: tenants.set_least_connector_version(session, self.tenant.number, least)))

    def check_in(self, seen: Seen, step: tuple[Any, ...], there: bool) -> None:
        machine, again = seen.machine, step[0] == "repeat"
        if machine is None or (again and machine.sequence == 0):
            return
        audience = "api://adjoin/connector"
        machine.bearer = self.server.token("Connector.Act", tenant=self.tenant, audience=audience, client_id=machine.id)
        well, version = (True, "1.0.0.0") if again else step[2:]
        health = [{"name": "own", "ok": well}]
        answer = machine.check_in(again=again, health=health, version=version)
        assert answer.status == (200 if there else 410)
        if there and not again:
            well = well and (self.least is None or version >= self.least)
            seen.word, seen.heard, seen.version = "active" if well else "error", self.now, version
            seen.happened = self.now

    # --- what is said

    def hold(self) -> None:
        self.hold_lists()
        self.hold_delta()
        self.hold_notifications()

    def hold_lists(self) -> None:
        """Everything that shows, finds, orders or counts says what the model says."""
        entries = self.entries
        shown = {key: state for key, seen in entries.items() if (state := seen.state(self.now)) is not None}
        listed = self.listed()
        assert {key: each["state"] for key, each in listed.items()} == shown
        assert {key: each["version"] for key, each in listed.items()} == {key: entries[key].version for key in shown}
        for state in STATES:
            wanted = sorted(key for key, each in shown.items() if each == state)
            found = self.call("GET", f"{LIST}?$filter=state%20eq%20'{state}'&$count=true").json
            assert ([each["id"] for each in found["value"]], found["@odata.count"]) == (wanted, len(wanted))
            counted = self.call("GET", f"{LIST}/$count?$filter=not(state%20eq%20'{state}')")
            assert int(counted.body) == len(shown) - len(wanted)
        for direction in ("", "%20desc"):
            pages, target = [], f"{LIST}?$orderby=state{direction}"
            while target:
                page = self.call("GET", target, headers={"prefer": "odata.maxpagesize=1"}).json
                pages += page["value"]
                target = page.get("@odata.nextLink", "").partition("8365")[2]
            ordered = sorted(shown, key=lambda key: (STATES.index(shown[key]), key), reverse=bool(direction))
            assert [each["id"] for each in pages] == ordered
        for key, seen in entries.items():
            one = self.call("GET", f"{LIST}/{key}")
            assert (one.json["state"] if one.status == 200 else None) == seen.state(self.now)

    def take_link(self) -> None:
        url = self.call("GET", f"{LIST}/delta?$deltatoken=latest").json["@odata.deltaLink"]
        self.links = [*self.links[-LINKS:], Link(url.removeprefix(ORIGIN), self.now, self.listed())]

    def hold_delta(self) -> None:
        """What each link tells makes of what was listed then what is listed now, and tells of nothing else.

        Where nobody has to be told of it as it happens, a removal by the clock may be told once more.
        """
        listed = self.listed()
        for link in self.links:
            answer = self.call("GET", link.url)
            if self.now - link.taken > KEPT / TICKS_PER_SECOND:
                assert answer.status == 410
                continue
            copy, told = dict(link.listed), answer.json["value"]
            for each in told:
                copy.pop(each["id"], None)
                if "@removed" not in each:
                    copy[each["id"]] = each
            assert copy == listed
            untouched = {
                key for key, seen in self.entries.items() if not seen.another_since(link.taken - SLACK, self.now)
            }
            if not self.always_followed:
                untouched &= link.listed.keys()
            assert not untouched & {each["id"] for each in told}
        self.take_link()

    def hold_notifications(self) -> None:
        """Who follows what is notified knows which entities there are, and of each that it is another."""
        if self.subscription is None:
            return
        deliver(self.server)
        before, self.known = self.known, self.listed()
        there, heard = set(before), set[str]()
        for _, each in self.hooks.take():
            if each["subscriptionId"] != self.subscription:
                continue
            kind, key = each["changeType"], each["resourceData"]["id"]
            assert (key in there) is (kind != "created"), (kind, key)
            there = there - {key} if kind == "deleted" else there | {key}
            heard.add(key)
        assert there == set(self.known)
        for key in before.keys() & self.known.keys():
            was, now = ({**each[key], "lastConnectionDateTime": None} for each in (before, self.known))
            assert was == now or key in heard

    def end(self) -> None:
        """Leave nothing that a history whose clock begins anew would hear of."""
        if self.subscription is not None:
            assert self.call("DELETE", f"{SUBSCRIPTIONS}/{self.subscription}").status == 204
        self.subscription, self.always_followed = None, False


@pytest.fixture
def hooks() -> Hooks:
    return Hooks()


@pytest.fixture
def server(opens: Opens, hooks: Hooks) -> Server:
    return opened(opens, hooks)


@settings(
    max_examples=12,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(steps=STEPS, subscribed=st.booleans())
@example(steps=[("wait", 30 * DAY), ("rename", 3)], subscribed=True)  # dropped after its removal was told
@example(steps=[("wait", 29 * DAY), ("check in", 0, True, "1.0.0.0"), ("wait", DAY), ("create", 1)], subscribed=False)
@example(steps=[("policy", "2.0.0.0"), ("check in", 0, True, "1.0.0.0"), ("wait", HOUR)], subscribed=False)
@example(steps=[("wait", 29 * DAY), ("wait", DAY), ("subscribe",), ("rename", 3)], subscribed=False)
@example(steps=[("wait", each) for each in (300, HOUR, 5 * DAY, 23 * DAY, 2 * DAY)], subscribed=False)
def test_all_that_is_said_agrees(server: Server, hooks: Hooks, steps: list[tuple[Any, ...]], subscribed: bool) -> None:
    history = History(server, hooks, subscribed=subscribed)
    for step in steps:
        history.play(step)
        history.hold()
    history.end()
