"""Every subscription hears of every change, in order, through failures and restarts, and of none after its end."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import Any, Final

import pytest
from tests.conftest import Opens
from tests.hooks import LIFECYCLE, SUBSCRIPTIONS, URL, Hooks, deliver, die, opened, subscribe
from tests.server import LIST, PUBLISHED, WRITE, Server
from tests.service.test_delta import hear

from adjoin.identity.caller import Kind
from adjoin.odata.values import TICKS_PER_SECOND, Instant
from adjoin.service.courier import CONNECTIONS, Answer, Carry
from adjoin.service.deliveries import AT_ONCE, BATCH, GIVE_UP
from adjoin.service.slots import SHARED, SHARED_OF_HOST
from adjoin.store import applications, users
from adjoin.store.tenants import ACTIVE, NO_LICENCE

DAY: Final = 86_400


@pytest.fixture
def hooks() -> Hooks:
    return Hooks()


@pytest.fixture
def server(opens: Opens, hooks: Hooks) -> Server:
    return opened(opens, hooks)


def pass_time(server: Server, seconds: float, step: float = 5) -> None:
    """Let time pass, and everything be delivered as it comes due."""
    end = server.clock.time + seconds
    while server.clock.time < end:
        server.clock.time = min(server.clock.time + step, end)
        deliver(server)


def test_a_notification_has_graphs_form(server: Server, hooks: Hooks) -> None:
    key = subscribe(server)
    connector = server.create()["id"]
    deliver(server)
    url = f"deviceManagement/domainJoinConnectors/{connector}"
    assert hooks.take() == [
        (
            URL,
            {
                "subscriptionId": key,
                "subscriptionExpirationDateTime": "2027-01-15T09:00:00Z",
                "changeType": "created",
                "resource": url,
                "resourceData": {
                    "@odata.type": "#microsoft.graph.deviceManagementDomainJoinConnector",
                    "@odata.id": url,
                    "id": connector,
                },
                "clientState": "secret of the client",
                "tenantId": server.tenant().id,
            },
        )
    ]


def test_what_was_before_the_subscription_is_not_told(server: Server, hooks: Hooks) -> None:
    server.create()
    subscribe(server)
    deliver(server)
    assert hooks.take() == []


def test_changes_come_in_their_order(server: Server, hooks: Hooks) -> None:
    subscribe(server)
    key = server.create()["id"]
    server.call("PATCH", f"{LIST}/{key}", {"state": "active"})
    server.call("DELETE", f"{LIST}/{key}")
    server.create(id=key)
    deliver(server)
    assert hooks.told() == [("created", key), ("updated", key), ("deleted", key), ("created", key)]


def test_a_subscription_hears_of_what_it_is_for(server: Server, hooks: Hooks) -> None:
    subscribe(server, changeType="deleted")
    key = server.create()["id"]
    server.call("DELETE", f"{LIST}/{key}")
    deliver(server)
    assert hooks.told() == [("deleted", key)]


def test_many_changes_come_in_several_notifications(server: Server, hooks: Hooks) -> None:
    subscribe(server)
    keys = [server.create()["id"] for _ in range(BATCH + 5)]
    deliver(server)
    assert [key for _, key in hooks.told()] == keys


def test_tenants_hear_of_their_own_alone(server: Server, hooks: Hooks) -> None:
    other = server.add_tenant("other")
    subscribe(server)
    server.create(token=server.token(tenant=other))
    deliver(server)
    assert hooks.take() == []


class TestTheClock:
    def test_what_it_does_alone_is_told_when_it_happens(self, server: Server, hooks: Hooks) -> None:
        key = server.create(state="active")["id"]
        hear(server, key)
        subscribe(server, minutes=4_230)
        told = []
        for seconds in (3_599, 1, DAY, DAY):
            server.clock.time += seconds
            deliver(server)
            told.append(hooks.told())
        assert told == [[], [("updated", key)], [], []]

    def test_the_last_two_steps(self, server: Server, hooks: Hooks) -> None:
        key = server.create(state="active")["id"]
        hear(server, key)
        server.clock.time += 5 * DAY - 1
        subscribe(server)
        server.clock.time += 1
        deliver(server)
        assert hooks.told() == [("updated", key)]
        server.clock.time += 25 * DAY - 10
        subscribe(server)
        server.clock.time += 10
        deliver(server)
        assert hooks.told() == [("deleted", key)]

    def test_many_at_one_moment_are_each_told_once(self, server: Server, hooks: Hooks) -> None:
        keys = [server.create(state="active")["id"] for _ in range(20)]
        for key in keys:
            hear(server, key)
        subscribe(server)
        server.clock.time += 3_599
        deliver(server)
        assert hooks.take() == []
        subscribe(server)
        server.clock.time += 1
        deliver(server)
        assert sorted(key for _, key in hooks.told()) == sorted(keys)

    def test_what_happened_while_the_service_was_down_is_told(self, opens: Opens, hooks: Hooks) -> None:
        server = opened(opens, hooks)
        key = server.create(state="active")["id"]
        hear(server, key)
        subscribe(server, minutes=4_000)
        server.close()
        again = opened(opens, hooks)
        again.clock.time = server.clock.time + 2 * DAY
        deliver(again)
        assert hooks.told() == [("updated", key)]

    def test_what_happened_before_the_first_subscription_is_not(self, server: Server, hooks: Hooks) -> None:
        hear(server, server.create(state="active")["id"])
        first = subscribe(server)
        server.call("DELETE", f"{SUBSCRIPTIONS}/{first}")
        server.clock.time += 2 * 3_600
        subscribe(server)
        deliver(server)
        assert hooks.take() == []


class TestFailures:
    def test_an_attempt_is_repeated_after_longer_and_longer_waits(self, server: Server, hooks: Hooks) -> None:
        subscribe(server, minutes=600)
        key = server.create()["id"]
        hooks.fails = lambda _: True
        pass_time(server, 3_600, step=30)
        # Twice as long each time, up to ten minutes; with jitter between half of it and all.
        assert 10 <= hooks.refused <= 30
        hooks.fails = lambda _: False
        pass_time(server, 600, step=30)
        assert hooks.told() == [("created", key)]

    @pytest.mark.parametrize("status", [301, 400, 404, 429, 500])
    def test_no_answer_but_success_counts(self, server: Server, status: int) -> None:
        subscribe(server)
        server.create()
        answers = [status, 202]

        async def carry(url: str, body: bytes, content_type: str) -> Answer:
            return Answer(answers.pop(0), "", b"")

        server.application.deliveries._carry = carry
        deliver(server)
        assert answers == [202]
        pass_time(server, 5)
        assert answers == []

    def test_after_hours_a_change_is_given_up_and_its_subscription_told(self, server: Server, hooks: Hooks) -> None:
        key = subscribe(server, minutes=4_000, lifecycleNotificationUrl=LIFECYCLE)
        server.create()
        hooks.fails = lambda url: url == URL
        pass_time(server, GIVE_UP / TICKS_PER_SECOND + 1_400, step=60)
        ((url, told),) = hooks.take()
        assert (url, told["lifecycleEvent"], told["subscriptionId"]) == (LIFECYCLE, "missed", key)
        hooks.fails = lambda _: False
        later = server.create()["id"]
        pass_time(server, 700, step=60)
        assert hooks.told() == [("created", later)]

    def test_what_was_sent_and_not_noted_is_sent_again(self, opens: Opens, hooks: Hooks) -> None:
        """As after `kill -9` between the answer of the receiver and the note of it."""
        server = opened(opens, hooks)
        subscribe(server)
        key = server.create()["id"]

        async def lost(*_: object) -> Any:
            raise asyncio.CancelledError

        server.application.deliveries._attempt = lost  # type: ignore[assignment]
        deliver(server)
        assert hooks.take() == []
        die(server)
        again = opened(opens, hooks)
        again.clock.time = server.clock.time
        deliver(again)
        # The lease of the dead process has to end first.
        assert hooks.take() == []
        again.clock.time += 30
        deliver(again)
        assert hooks.told() == [("created", key)]

    def test_a_thousand_webhooks_of_which_a_third_fail_for_a_minute(
        self, server: Server, hooks: Hooks, database_kind: str
    ) -> None:
        number_of_them = 1_000 if database_kind == "sqlite" else 200
        urls = [f"https://hooks.example/{number}" for number in range(number_of_them)]
        keys = {subscribe(server, notificationUrl=url): url for url in urls}
        begin = server.clock.time
        hooks.fails = lambda url: int(url.rpartition("/")[2]) % 3 == 0 and server.clock.time < begin + 60
        connectors = [server.create()["id"] for _ in range(3)]
        deliver(server)
        removed = list(keys)[:20]
        for key in removed:
            assert server.call("DELETE", f"{SUBSCRIPTIONS}/{key}").status == 204
        before = len(hooks.sent)
        for number in range(12):
            key = connectors[number % 3]
            server.call("PATCH", f"{LIST}/{key}", {"version": str(number)})
            pass_time(server, 10, step=10)
        pass_time(server, 700, step=20)
        heard: dict[str, list[str]] = defaultdict(list)
        for url, told in hooks.sent:
            heard[url].append(told["resourceData"]["id"] + told["changeType"])
        expected = [f"{key}created" for key in connectors] + [f"{connectors[at % 3]}updated" for at in range(12)]
        for url in urls[20:]:
            assert heard[url] == expected
        assert hooks.refused > number_of_them * 0.3
        assert not {keys[key] for key in removed} & {url for url, _ in hooks.sent[before:]}


class TestTheEnd:
    def test_nothing_is_sent_after_a_deletion(self, server: Server, hooks: Hooks) -> None:
        key = subscribe(server)
        server.create()
        assert server.call("DELETE", f"{SUBSCRIPTIONS}/{key}").status == 204
        pass_time(server, 60)
        assert hooks.take() == []

    def test_a_delivery_under_way_ends_with_its_subscription(self, server: Server) -> None:
        key, token = subscribe(server), server.token()
        server.create()
        begun, ended = asyncio.Event(), asyncio.Event()

        async def carry(*_: object) -> Answer:
            begun.set()
            try:
                await asyncio.Event().wait()
            finally:
                ended.set()
            raise AssertionError

        async def act() -> int:
            server.application.deliveries._carry = carry
            await server.application.deliveries.look()
            await begun.wait()
            answer = await server.answer("DELETE", f"{SUBSCRIPTIONS}/{key}", token=token)
            assert ended.is_set()
            return answer.status

        assert server.run(act()) == 204

    def test_nothing_is_sent_once_it_has_expired(self, server: Server, hooks: Hooks) -> None:
        key = subscribe(server, minutes=1)
        server.clock.time += 60
        server.create()
        deliver(server)
        assert hooks.take() == []
        assert server.call("GET", f"{SUBSCRIPTIONS}/{key}").status == 404

    def test_a_renewed_one_goes_on(self, server: Server, hooks: Hooks) -> None:
        key = subscribe(server, minutes=1)
        body = {"expirationDateTime": "2027-01-15T09:00:00Z"}
        assert server.call("PATCH", f"{SUBSCRIPTIONS}/{key}", body).status == 200
        server.clock.time += 120
        connector = server.create()["id"]
        deliver(server)
        assert hooks.told() == [("created", connector)]

    def test_its_receiver_is_reminded_once_before(self, server: Server, hooks: Hooks) -> None:
        key = subscribe(server, minutes=60, lifecycleNotificationUrl=LIFECYCLE)
        pass_time(server, 44 * 60, step=60)
        assert hooks.take() == []
        pass_time(server, 10 * 60, step=60)
        ((url, told),) = hooks.take()
        assert (url, told["lifecycleEvent"]) == (LIFECYCLE, "reauthorizationRequired")
        assert told["subscriptionId"] == key
        assert set(told) == {
            *("subscriptionId", "subscriptionExpirationDateTime", "tenantId", "clientState", "lifecycleEvent"),
        }

    def test_one_that_is_renewed_while_it_is_reminded_is_reminded_of_its_new_end(
        self, server: Server, hooks: Hooks
    ) -> None:
        key = subscribe(server, minutes=60, lifecycleNotificationUrl=LIFECYCLE)

        async def carry(url: str, body: bytes, content_type: str) -> Answer:
            ends = {"expirationDateTime": str(Instant.from_unix(server.clock.time + 3_600))}
            renewed = await server.answer("PATCH", f"{SUBSCRIPTIONS}/{key}", ends, token=server.token())
            assert renewed.status == 200
            return await hooks(url, body, content_type)

        server.application.deliveries._carry = carry
        for _ in range(3):
            pass_time(server, 44 * 60, step=60)
            assert hooks.take() == []
            pass_time(server, 60, step=60)
            assert [url for url, _ in hooks.take()] == [LIFECYCLE]

    def test_it_goes_with_the_application_that_made_it(self, server: Server, hooks: Hooks) -> None:
        app, _ = server.add_app("listener")
        token = server.token(client_id=app.id, subject=app.object_id)
        key = subscribe(server, token=token, lifecycleNotificationUrl=LIFECYCLE)
        number = server.tenant().number
        server.run(
            server.application.installation.database.write(lambda session: applications.remove(session, number, app.id))
        )
        server.create()
        deliver(server)
        ((url, told),) = hooks.take()
        assert (url, told["lifecycleEvent"], told["subscriptionId"]) == (LIFECYCLE, "subscriptionRemoved", key)
        pass_time(server, 60)
        assert hooks.take() == []

    def test_it_waits_while_its_tenant_has_no_licence(self, server: Server, hooks: Hooks) -> None:
        subscribe(server)
        key = server.create()["id"]
        server.set_licence(server.tenant(), NO_LICENCE)
        pass_time(server, 120)
        assert hooks.take() == []
        server.set_licence(server.tenant(), ACTIVE)
        pass_time(server, 120)
        assert hooks.told() == [("created", key)]


def where_some_are_silent(hooks: Hooks) -> tuple[asyncio.Event, Carry]:
    """Receivers that never answer, by the name of their host, among others; and when one of the others was told."""
    heard = asyncio.Event()

    async def carry(url: str, body: bytes, content_type: str) -> Answer:
        if "silent" in url:
            await asyncio.Event().wait()
        heard.set()
        return await hooks(url, body, content_type)

    return heard, carry


class TestTurns:
    """Who was told longest ago comes first, and tenants take turns."""

    def test_everyone_is_told_while_changes_go_on(self, server: Server, hooks: Hooks) -> None:
        urls = [f"https://hooks.example/{number}" for number in range(3 * AT_ONCE)]
        for url in urls:
            subscribe(server, notificationUrl=url)
        for _ in range(4):
            server.create()
            server.run(server.application.deliveries.look())
            server.run(ended(server))
            server.clock.time += 1
        assert {url for url, _ in hooks.sent} == set(urls)

    def test_a_tenant_whose_receivers_do_not_answer_holds_up_no_other(self, opens: Opens, hooks: Hooks) -> None:
        server = opened(opens, hooks, webhook_allow=("*.example",))
        other = server.add_tenant("other")
        for number in range(2 * CONNECTIONS):
            subscribe(server, notificationUrl=f"https://silent{number % 8}.example/{number}")
        subscribe(server, token=server.token(tenant=other))
        heard, carry = where_some_are_silent(hooks)

        async def act() -> None:
            deliveries = server.application.deliveries
            deliveries._carry = carry
            for _ in range(2 * CONNECTIONS // AT_ONCE):
                await deliveries.look()
            assert len(deliveries._running) == SHARED
            key = await server.answer("POST", LIST, PUBLISHED, token=server.token(tenant=other))
            await deliveries.look()
            await heard.wait()
            assert hooks.told() == [("created", key.json["id"])]
            await deliveries.stop()

        server.create()
        server.run(act())

    def test_a_host_that_does_not_answer_hides_no_other(self, opens: Opens, hooks: Hooks) -> None:
        server = opened(opens, hooks, webhook_allow=("*.example",))
        for number in range(4 * AT_ONCE):
            subscribe(server, notificationUrl=f"https://silent.example/{number}")
        subscribe(server)
        heard, carry = where_some_are_silent(hooks)

        async def act() -> None:
            deliveries = server.application.deliveries
            deliveries._carry = carry
            await deliveries.look()
            await deliveries.look()
            await heard.wait()
            await deliveries.stop()

        server.create()
        server.run(act())


class TestLifecycle:
    def test_a_receiver_of_it_that_is_down_holds_up_no_changes(self, server: Server, hooks: Hooks) -> None:
        subscribe(server, minutes=10, lifecycleNotificationUrl=LIFECYCLE)
        hooks.fails = lambda url: url == LIFECYCLE
        server.clock.time += 5 * 60
        for _ in range(3):
            server.clock.time += 10
            key = server.create()["id"]
            deliver(server)
            assert hooks.told() == [("created", key)]
        assert hooks.refused
        hooks.fails = lambda _: False
        pass_time(server, 120)
        assert [each["lifecycleEvent"] for _, each in hooks.take()] == ["reauthorizationRequired"]

    def test_a_short_subscription_is_reminded_at_half_its_time(self, server: Server, hooks: Hooks) -> None:
        subscribe(server, minutes=10, lifecycleNotificationUrl=LIFECYCLE)
        pass_time(server, 5 * 60 - 5)
        assert hooks.take() == []
        pass_time(server, 5)
        assert [each["lifecycleEvent"] for _, each in hooks.take()] == ["reauthorizationRequired"]

    def test_it_hears_of_its_end_though_nothing_changes(self, server: Server, hooks: Hooks) -> None:
        app, _ = server.add_app("listener")
        token = server.token(client_id=app.id, subject=app.object_id)
        subscribe(server, token=token, lifecycleNotificationUrl=LIFECYCLE)
        number = server.tenant().number
        deliver(server)
        server.write(lambda session: applications.remove(session, number, app.id))
        pass_time(server, 31)
        assert [each["lifecycleEvent"] for _, each in hooks.take()] == ["subscriptionRemoved"]

    @pytest.mark.parametrize(
        "away",
        [
            "DELETE FROM users WHERE tenant = ?1 AND id = ?2",
            "UPDATE users SET enabled = 0 WHERE tenant = ?1 AND id = ?2",
        ],
    )
    def test_it_goes_with_the_person_who_made_it(self, server: Server, hooks: Hooks, away: str) -> None:
        app, _ = server.add_app("listener")
        number, key = server.tenant().number, server.world.new_request_id()
        maria = users.User(key, "maria", "Maria", "x", (WRITE,), "2027-01-01T00:00:00Z")
        server.write(lambda session: users.add(session, number, maria))
        token = server.token(client_id=app.id, subject=key, kind=Kind.DELEGATED)
        subscribe(server, token=token, lifecycleNotificationUrl=LIFECYCLE)
        connector = server.create()["id"]
        deliver(server)
        assert hooks.told() == [("created", connector)]
        server.write(lambda session: session.fetch(away, (number, key)))
        server.create()
        deliver(server)
        assert [each["lifecycleEvent"] for _, each in hooks.take()] == ["subscriptionRemoved"]


async def ended(server: Server) -> None:
    """Wait until what is under way is over, and begin with nothing new."""
    await asyncio.gather(*server.application.deliveries._running.values(), return_exceptions=True)


class TestAClockThatIsSetBack:
    """What was written ahead of it holds nothing up until that time comes again."""

    def test_what_waited_to_be_tried_again(self, server: Server, hooks: Hooks) -> None:
        subscribe(server, minutes=2 * 24 * 60)
        hooks.fails = lambda _: True
        key = server.create()["id"]
        deliver(server)
        assert hooks.refused
        hooks.fails = lambda _: False
        server.clock.time -= DAY
        deliver(server)
        assert hooks.told() == [("created", key)]

    def test_what_a_server_held_that_is_no_more(self, opens: Opens, server: Server, hooks: Hooks) -> None:
        subscribe(server, minutes=2 * 24 * 60)
        key = server.create()["id"]
        begun = asyncio.Event()

        async def carry(*_: object) -> Answer:
            begun.set()
            await asyncio.Event().wait()
            raise AssertionError

        async def begin() -> None:
            server.application.deliveries._carry = carry
            await server.application.deliveries.look()
            await begun.wait()

        server.run(begin())
        die(server)
        again = opened(opens, hooks)
        again.clock.time -= DAY
        deliver(again)
        assert hooks.told() == [("created", key)]

    def test_what_the_clock_does(self, server: Server, hooks: Hooks) -> None:
        key = server.create(state="active")["id"]
        hear(server, key)
        subscribe(server, minutes=2 * 24 * 60)
        deliver(server)
        server.clock.time -= DAY
        deliver(server)
        hear(server, key)
        deliver(server)
        hooks.take()
        pass_time(server, 3_600, step=600)
        assert hooks.told() == [("updated", key)]

    def test_what_the_clock_does_in_each_tenant(self, server: Server, hooks: Hooks) -> None:
        tenants = [server.tenant(), server.add_tenant("other")]
        tokens = [server.token(tenant=each) for each in tenants]
        keys = [server.create(token, state="active")["id"] for token in tokens]
        for token in tokens:
            subscribe(server, minutes=2 * 24 * 60, token=token)
        deliver(server)
        server.clock.time -= DAY
        deliver(server)
        for key, tenant in zip(keys, tenants, strict=True):
            hear(server, key, tenant)
        hooks.take()
        pass_time(server, 3_600, step=600)
        assert sorted(hooks.told()) == sorted(("updated", key) for key in keys)


def test_nothing_is_lost_where_nothing_says_what_was_told(server: Server, hooks: Hooks) -> None:
    key = server.create(state="active")["id"]
    hear(server, key)
    server.clock.time += 30 * DAY - 1
    subscribe(server)
    never = "UPDATE change_counters SET clock = NULL WHERE tenant = ?1"
    server.write(lambda session: session.fetch(never, (server.tenant().number,)))
    server.clock.time += 1
    deliver(server)
    assert hooks.told()[-1] == ("deleted", key)


def test_a_service_delivers_by_itself(opens: Opens, hooks: Hooks) -> None:
    heard = asyncio.Event()

    async def carry(url: str, body: bytes, content_type: str) -> Answer:
        if body:
            heard.set()
        return await hooks(url, body, content_type)

    server = opens(carry=carry, webhook_allow=("hooks.example",))
    subscribe(server)
    key = server.create()["id"]
    server.run(heard.wait())
    assert hooks.told() == [("created", key)]


@pytest.mark.parametrize(("hosts", "most"), [(1, SHARED_OF_HOST), (6, SHARED)])
def test_few_run_at_a_time_of_one_host_and_of_all(opens: Opens, hooks: Hooks, hosts: int, most: int) -> None:
    server = opened(opens, hooks, webhook_allow=("*.example",))
    for number in range(120):
        subscribe(server, notificationUrl=f"https://host{number % hosts}.example/{number}")
    server.create()
    deliveries, running, enough, go_on = server.application.deliveries, 0, asyncio.Event(), asyncio.Event()

    async def carry(url: str, body: bytes, content_type: str) -> Answer:
        nonlocal running
        running += 1
        if running == most:
            enough.set()
        await go_on.wait()
        return await hooks(url, body, content_type)

    async def act() -> None:
        deliveries._carry = carry
        for _ in range(SHARED // AT_ONCE):
            await deliveries.look()
        await enough.wait()
        await deliveries.look()
        assert len(deliveries._running) == running == most
        go_on.set()
        await deliveries.settled()

    server.run(act())
    assert len(hooks.told()) == 120
