"""Two nodes on one PostgreSQL deliver notifications: each event by one of them, in order, and by the other if it dies.

Each node has an event loop of its own, in a thread where both are to work at the same time.
"""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import pytest
from tests.conftest import Opens
from tests.hooks import SUBSCRIPTIONS, Hooks, deliver, die, opened, subscribe
from tests.server import LIST, Server
from tests.service.test_delta import hear

from adjoin.odata.values import TICKS_PER_SECOND
from adjoin.service import deliveries
from adjoin.service.courier import Answer
from adjoin.service.deliveries import LEASE
from adjoin.store.deliveries import Delivery

Nodes = tuple[Server, Server]

KINDS: Final = {"POST": "created", "PATCH": "updated", "DELETE": "deleted"}
WEBHOOKS: Final = 12


@pytest.fixture(scope="module")
def database_kind() -> str:
    return "postgresql"


@pytest.fixture
def hooks() -> Hooks:
    return Hooks()


@pytest.fixture
def nodes(opens: Opens, hooks: Hooks) -> Nodes:
    return opened(opens, hooks, name="one"), opened(opens, hooks, name="two")


def later(nodes: Nodes, seconds: float) -> None:
    for each in nodes:
        each.clock.time += seconds


def deliver_at_once(nodes: Nodes) -> None:
    """Let both deliver at the same time until nothing is due."""
    with ThreadPoolExecutor(len(nodes)) as threads:
        list(threads.map(deliver, nodes))
    for each in nodes:
        # What the other held when this one looked last.
        deliver(each)


def holding(node: Server) -> tuple[asyncio.Event, asyncio.Event]:
    """From now on what a node sends is held up for ever: the events say that something is, and that it was given up."""
    begun, ended = asyncio.Event(), asyncio.Event()

    async def carry(*_: object) -> Answer:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        raise AssertionError

    node.application.deliveries._carry = carry
    return begun, ended


def begin(node: Server) -> tuple[asyncio.Event, asyncio.Event]:
    """Let a node begin with a delivery, which is then held up."""
    begun, ended = holding(node)

    async def act() -> None:
        await node.application.deliveries.look()
        await begun.wait()

    node.run(act())
    return begun, ended


def test_every_event_is_told_once_and_in_order_while_both_deliver(nodes: Nodes, hooks: Hooks) -> None:
    rng = random.Random(6)
    urls = [f"https://hooks.example/{number}" for number in range(WEBHOOKS)]
    for url in urls:
        subscribe(rng.choice(nodes), notificationUrl=url)
    keys, events = ["", "", ""], list[tuple[str, str]]()
    for _ in range(8):
        for _ in range(6):
            at, node = rng.randrange(3), rng.choice(nodes)
            if not keys[at]:
                keys[at], method = node.create()["id"], "POST"
            else:
                method = rng.choice(["PATCH", "PATCH", "DELETE"])
                body = {"version": str(len(events))} if method == "PATCH" else None
                assert node.call(method, f"{LIST}/{keys[at]}", body).status in (200, 204)
            events.append((KINDS[method], keys[at]))
            keys[at] = "" if method == "DELETE" else keys[at]
        deliver_at_once(nodes)
    told: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for url, each in hooks.sent:
        told[url].append((each["changeType"], each["resourceData"]["id"]))
    assert told == dict.fromkeys(urls, events)


def test_what_the_other_told_since_it_was_found_is_not_told_again(
    nodes: Nodes, hooks: Hooks, monkeypatch: pytest.MonkeyPatch
) -> None:
    subscribe(nodes[0])
    key = nodes[0].create()["id"]
    late = nodes[0].application.deliveries
    begin_with, found = late._begin, list[Sequence[Delivery]]()

    async def begin_late(chosen: Sequence[Delivery], now: int) -> None:
        found.append(chosen)
        await asyncio.to_thread(deliver, nodes[1])
        await begin_with(chosen, now)

    monkeypatch.setattr(late, "_begin", begin_late)
    deliver(nodes[0])
    assert [len(each) for each in found] == [1]
    assert hooks.told() == [("created", key)]


def test_what_the_clock_does_is_told_once(nodes: Nodes, hooks: Hooks) -> None:
    keys = [nodes[0].create(state="active")["id"] for _ in range(20)]
    for key in keys:
        hear(nodes[1], key)
    subscribe(nodes[0], minutes=120)
    later(nodes, 3_600)
    deliver_at_once(nodes)
    assert sorted(hooks.told()) == sorted(("updated", key) for key in keys)


def test_a_node_that_dies_in_the_middle_is_taken_over(nodes: Nodes, hooks: Hooks) -> None:
    subscribe(nodes[0])
    key = nodes[0].create()["id"]
    begin(nodes[0])
    deliver(nodes[1])
    assert hooks.take() == []
    die(nodes[0])
    later(nodes, LEASE / TICKS_PER_SECOND - 1)
    deliver(nodes[1])
    assert hooks.take() == []
    later(nodes, 1)
    nodes[1].call("PATCH", f"{LIST}/{key}", {"version": "2"})
    deliver(nodes[1])
    assert hooks.told() == [("created", key), ("updated", key)]


def test_a_node_that_stops_in_order_is_taken_over_at_once(nodes: Nodes, hooks: Hooks) -> None:
    subscribe(nodes[0])
    key = nodes[0].create()["id"]
    begin(nodes[0])
    nodes[0].close()
    deliver(nodes[1])
    assert hooks.told() == [("created", key)]


def test_a_node_that_slept_through_its_lease_sends_and_notes_nothing_more(nodes: Nodes, hooks: Hooks) -> None:
    """Its own attempt is as good as none: what the other node has noted stays."""
    subscribe(nodes[0])
    key = nodes[0].create()["id"]
    asleep, awake = asyncio.Event(), asyncio.Event()
    standing = nodes[0].application.deliveries._standing

    async def slow(delivery: Delivery) -> deliveries.Standing:
        asleep.set()
        await awake.wait()
        return await standing(delivery)

    async def fall_asleep() -> None:
        nodes[0].application.deliveries._standing = slow  # type: ignore[method-assign]
        await nodes[0].application.deliveries.look()
        await asleep.wait()

    async def wake_up() -> None:
        awake.set()
        await asyncio.gather(*nodes[0].application.deliveries._running.values())

    nodes[0].run(fall_asleep())
    later(nodes, LEASE / TICKS_PER_SECOND)
    deliver(nodes[1])
    assert hooks.told() == [("created", key)]
    nodes[0].run(wake_up())
    assert hooks.take() == []
    nodes[1].call("DELETE", f"{LIST}/{key}")
    deliver_at_once(nodes)
    assert hooks.told() == [("deleted", key)]


class TestDeletion:
    def test_at_one_node_ends_what_the_other_is_sending_before_it_is_answered(
        self, nodes: Nodes, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        key = subscribe(nodes[0])
        nodes[0].create()
        _, ended = begin(nodes[0])

        async def wait(seconds: float) -> None:
            assert seconds == deliveries.NOTICED
            with ThreadPoolExecutor(1) as thread:
                thread.submit(nodes[0].run, nodes[0].application.deliveries.look()).result()
            assert ended.is_set()
            waited.append(key)

        waited: list[str] = []
        monkeypatch.setattr(asyncio, "sleep", wait)
        assert nodes[1].call("DELETE", f"{SUBSCRIPTIONS}/{key}").status == 204
        assert waited == [key]

    def test_waits_for_nobody_where_nobody_sends(self, nodes: Nodes, monkeypatch: pytest.MonkeyPatch) -> None:
        async def wait(_: float) -> None:
            raise AssertionError

        key = subscribe(nodes[0])
        monkeypatch.setattr(asyncio, "sleep", wait)
        assert nodes[1].call("DELETE", f"{SUBSCRIPTIONS}/{key}").status == 204

    def test_ends_everything_that_is_still_to_be_told(self, nodes: Nodes, hooks: Hooks) -> None:
        key, kept = subscribe(nodes[0]), subscribe(nodes[1])
        nodes[0].create()
        assert nodes[1].call("DELETE", f"{SUBSCRIPTIONS}/{key}").status == 204
        deliver_at_once(nodes)
        assert [told["subscriptionId"] for _, told in hooks.take()] == [kept]
