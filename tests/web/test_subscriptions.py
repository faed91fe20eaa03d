"""Subscriptions over the wire: what may be asked for, whose they are, and the question that receivers answer first."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, MutableMapping
from typing import Any, Final

import pytest
from tests.conftest import Opens
from tests.hooks import LIFECYCLE, SUBSCRIPTIONS, URL, Hooks, asked, deliver, opened, subscribe
from tests.server import LIST, NOWHERE, ORIGIN, READ, SUBJECT, Answer, Server, scope_of

from adjoin.service import courier, subscriptions
from adjoin.service.courier import TooSlow, Unreachable
from adjoin.service.questions import PLACES_OF_TENANT, QUESTIONS_OF_TENANT

FAILED: Final = "Subscription validation request failed."


@pytest.fixture
def hooks() -> Hooks:
    return Hooks()


@pytest.fixture
def server(opens: Opens, hooks: Hooks) -> Server:
    return opened(opens, hooks)


def refused(answer: Answer, said: str, code: str = "ValidationError") -> None:
    assert (answer.status, answer.error["code"]) == (400, code)
    assert said in answer.error["message"]


def test_create_answers_as_graph_does(server: Server, hooks: Hooks) -> None:
    made = server.call("POST", SUBSCRIPTIONS, asked(server, lifecycleNotificationUrl=LIFECYCLE))
    assert made.status == 201
    key = made.json["id"]
    assert made.headers["location"] == f"{ORIGIN}{SUBSCRIPTIONS}/{key}"
    assert made.json == {
        "@odata.context": f"{ORIGIN}/beta/$metadata#subscriptions/$entity",
        "@odata.type": "#microsoft.graph.subscription",
        "id": key,
        "applicationId": "852aabe0-dffc-5434-9d98-fd4b442acb18",
        "changeType": "created,updated,deleted",
        "clientState": "secret of the client",
        "creatorId": SUBJECT,
        "expirationDateTime": "2027-01-15T09:00:00Z",
        "includeResourceData": False,
        "latestSupportedTlsVersion": "v1_2",
        "lifecycleNotificationUrl": LIFECYCLE,
        "notificationUrl": URL,
        "resource": "deviceManagement/domainJoinConnectors",
    }
    assert hooks.questions == [URL, LIFECYCLE]


def test_a_tenant_has_no_more_than_its_number(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subscriptions, "MAX_PER_TENANT", 3)
    subscribe(server)

    async def at_once() -> list[Answer]:
        token = server.token()
        return await asyncio.gather(
            *(server.answer("POST", SUBSCRIPTIONS, asked(server), token=token) for _ in range(4))
        )

    answers = server.run(at_once())
    assert sorted(each.status for each in answers) == [201, 201, 400, 400]
    assert len(server.call("GET", SUBSCRIPTIONS).json["value"]) == 3
    refused(server.call("POST", SUBSCRIPTIONS, asked(server)), "The tenant has 3 subscriptions")


class TestReceiversThatDoNotAnswer:
    @pytest.fixture
    def silent(self) -> asyncio.Event:
        """When they do answer."""
        return asyncio.Event()

    @pytest.fixture
    def asking(self) -> list[int]:
        """How many were being asked, each time one more was."""
        return []

    @pytest.fixture
    def waiting(self, opens: Opens, hooks: Hooks, silent: asyncio.Event, asking: list[int]) -> Server:
        under_way = 0

        async def carry(url: str, body: bytes, content_type: str) -> courier.Answer:
            nonlocal under_way
            if "silent" in url:
                under_way += 1
                asking.append(under_way)
                try:
                    await silent.wait()
                finally:
                    under_way -= 1
            return await hooks(url, body, content_type)

        return opens(carry=carry, webhook_allow=("*.example",))

    def test_a_tenant_asks_few_at_a_time_has_few_wait_and_holds_up_no_other(
        self, waiting: Server, silent: asyncio.Event, asking: list[int]
    ) -> None:
        other = waiting.add_tenant("other")
        tokens = [waiting.token(tenant=each) for each in (None, other)]

        async def act() -> list[int]:
            tasks = asks_silent(waiting, 30, tokens[0])
            made = await waiting.answer("POST", SUBSCRIPTIONS, asked(waiting), token=tokens[1])
            silent.set()
            return [made.status, *(each.status for each in await asyncio.gather(*tasks))]

        made, *others = waiting.run(act())
        assert made == 201
        assert sorted(others) == [201] * PLACES_OF_TENANT + [503] * (30 - PLACES_OF_TENANT)
        assert max(asking) == QUESTIONS_OF_TENANT

    def test_who_waits_does_not_count_as_work(self, waiting: Server, silent: asyncio.Event) -> None:
        token, meter = waiting.token(), waiting.application._meter

        async def act() -> tuple[int, int]:
            tasks = asks_silent(waiting, 3, token)
            await until(lambda: meter.waiting == 3)
            counted = meter.under_way - meter.waiting
            silent.set()
            await asyncio.gather(*tasks)
            return counted, meter.waiting

        assert waiting.run(act()) == (0, 0)

    def test_who_has_left_waits_no_more(self, waiting: Server, asking: list[int]) -> None:
        token, meter = waiting.token(), waiting.application._meter
        body, left = json.dumps(asked(waiting, notificationUrl="https://silent.example/")).encode(), asyncio.Event()
        pairs = [("host", "x"), ("content-type", "application/json"), ("authorization", f"Bearer {token}")]
        messages = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive() -> MutableMapping[str, Any]:
            if messages:
                return messages.pop()
            await left.wait()
            return {"type": "http.disconnect"}

        async def send(_: object) -> None:
            raise AssertionError("nobody is there to be answered")

        async def act() -> int:
            task = asyncio.ensure_future(waiting.application(scope_of("POST", SUBSCRIPTIONS, pairs), receive, send))
            await until(lambda: bool(asking))
            left.set()
            await task
            return meter.under_way

        assert waiting.run(act()) == 0
        assert waiting.call("GET", SUBSCRIPTIONS).json["value"] == []

    def test_nobody_waits_for_them_while_the_service_stops(self, waiting: Server, asking: list[int]) -> None:
        token = waiting.token()

        async def act() -> list[int]:
            tasks = asks_silent(waiting, 6, token)
            await until(lambda: len(asking) == QUESTIONS_OF_TENANT)
            waiting.application._graph.desk.questions.close()  # type: ignore[union-attr]
            tasks += asks_silent(waiting, 1, token)
            return [each.status for each in await asyncio.gather(*tasks)]

        assert waiting.run(act()) == [503] * 7


def asks_silent(server: Server, number: int, token: str) -> list[asyncio.Future[Answer]]:
    """So many requests for subscriptions whose receivers do not answer."""
    bodies = [asked(server, notificationUrl=f"https://silent.example/{each}") for each in range(number)]
    return [asyncio.ensure_future(server.answer("POST", SUBSCRIPTIONS, each, token=token)) for each in bodies]


async def until(met: Callable[[], bool]) -> None:
    """Let the event loop turn until something is so."""
    while not met():  # noqa: ASYNC110 - what is waited for tells nobody
        await asyncio.sleep(0)


def test_the_secret_of_the_client_is_shown_in_no_later_answer(server: Server) -> None:
    key = subscribe(server)
    assert server.call("GET", f"{SUBSCRIPTIONS}/{key}").json["clientState"] is None
    assert server.call("GET", f"{SUBSCRIPTIONS}/{key}/clientState").status == 204
    assert [each["clientState"] for each in server.call("GET", SUBSCRIPTIONS).json["value"]] == [None]
    renewal = {"expirationDateTime": "2027-01-15T10:00:00Z"}
    assert server.call("PATCH", f"{SUBSCRIPTIONS}/{key}", renewal).json["clientState"] is None


def test_records_hold_no_secret_and_no_query_of_a_url(server: Server) -> None:
    subscribe(server, notificationUrl=f"{URL}?code=key-of-a-function")
    token = server.token("DeviceManagementApps.Read.All")
    events = server.call("GET", "/beta/deviceManagement/auditEvents", token=token)
    assert events.status == 200
    assert b"hooks.example" in events.body
    assert b"key-of-a-function" not in events.body
    assert b"secret of the client" not in events.body


@pytest.mark.parametrize(
    "resource", ["/deviceManagement/domainJoinConnectors", "devicemanagement/DOMAINJOINCONNECTORS"]
)
def test_the_resource_may_begin_with_a_slash_and_be_in_any_case(server: Server, resource: str) -> None:
    assert server.call("POST", SUBSCRIPTIONS, asked(server, resource=resource)).json["resource"] == resource


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"changeType": ""}, "changeType is one or more of created, updated, deleted"),
        ({"changeType": "created,created"}, "changeType"),
        ({"changeType": "created;deleted"}, "changeType"),
        ({"resource": "users"}, "has no notifications"),
        ({"resource": "deviceManagement/auditEvents"}, "has no notifications"),
        ({"notificationUrl": "https://evil.example/"}, "--webhook-allow"),
        ({"notificationUrl": "http://hooks.example/"}, "https://"),
        ({"notificationUrl": "x"}, "no URL"),
        ({"lifecycleNotificationUrl": "https://evil.example/"}, "--webhook-allow"),
        ({"expirationDateTime": "2027-01-15T08:00:00Z"}, "must be in the future"),
        ({"expirationDateTime": "2027-02-15T08:00:00Z"}, "can only be 4230 minutes in the future"),
        ({"includeResourceData": True}, "includeResourceData"),
        ({"latestSupportedTlsVersion": "v1_0"}, "latestSupportedTlsVersion"),
    ],
)
def test_what_cannot_be_is_refused(server: Server, hooks: Hooks, changes: dict[str, Any], said: str) -> None:
    refused(server.call("POST", SUBSCRIPTIONS, asked(server, **changes)), said)
    assert hooks.questions == []


def test_no_receiver_is_asked_once_the_service_is_about_to_stop(server: Server) -> None:
    server.application.release()
    answer = server.call("POST", SUBSCRIPTIONS, asked(server))
    assert (answer.status, answer.error["message"]) == (503, "The service is stopping.")


@pytest.mark.parametrize("name", ["changeType", "notificationUrl", "resource", "expirationDateTime"])
def test_what_is_required_is_named(server: Server, name: str) -> None:
    body = {each: value for each, value in asked(server).items() if each != name}
    refused(server.call("POST", SUBSCRIPTIONS, body), f"'{name}'", "ModelValidationFailure")


def test_the_longest_state_of_a_client(server: Server) -> None:
    assert server.call("POST", SUBSCRIPTIONS, asked(server, clientState="x" * 128)).status == 201
    refused(server.call("POST", SUBSCRIPTIONS, asked(server, clientState="x" * 129)), "128", "ModelValidationFailure")


def raising(error: Exception) -> Callable[[str], courier.Answer]:
    def answer(_: str) -> courier.Answer:
        raise error

    return answer


CONSENTS: Final[list[tuple[Callable[[str], courier.Answer], str]]] = [
    (lambda token: courier.Answer(202, "text/plain", token.encode()), "HTTP status code is 202. Notification endpoint"),
    (lambda token: courier.Answer(302, "text/plain", token.encode()), "must respond with 200 OK"),
    (lambda token: courier.Answer(403, "text/plain", token.encode()), "must respond with 200 OK"),
    (lambda token: courier.Answer(200, "text/html", token.encode()), "text/plain"),
    (lambda token: courier.Answer(200, "", token.encode()), "text/plain"),
    (lambda _: courier.Answer(200, "text/plain", b"Validation: other"), "must exactly match validationToken"),
    (lambda _: courier.Answer(200, "text/plain", b""), "must exactly match validationToken"),
    (lambda token: courier.Answer(200, "text/plain", json.dumps(token).encode()), "must exactly match"),
    (raising(Unreachable("as the test has it")), FAILED),
    (raising(TooSlow("as the test has it")), "Subscription validation request timed out."),
]


@pytest.mark.parametrize(("consent", "said"), CONSENTS)
def test_without_consent_there_is_no_subscription(
    server: Server, hooks: Hooks, consent: Callable[[str], courier.Answer], said: str
) -> None:
    hooks.consent = consent
    refused(server.call("POST", SUBSCRIPTIONS, asked(server)), said)
    assert server.call("GET", SUBSCRIPTIONS).json["value"] == []


def test_the_question_goes_behind_a_query_of_the_url(server: Server) -> None:
    urls: list[str] = []

    async def carry(url: str, _body: bytes, _content_type: str) -> courier.Answer:
        urls.append(url)
        raise TooSlow("as the test has it")

    object.__setattr__(server.application._graph.desk, "carry", carry)  # type: ignore[union-attr]
    for url in (URL, f"{URL}?code=1"):
        server.call("POST", SUBSCRIPTIONS, asked(server, notificationUrl=url))
    assert urls[0].startswith(f"{URL}?validationToken=Validation%3A%20")
    assert urls[1].startswith(f"{URL}?code=1&validationToken=Validation%3A%20")


class TestWhoseTheyAre:
    @pytest.fixture
    def other(self, server: Server) -> str:
        app, _ = server.add_app("other", READ)
        return server.token(READ, client_id=app.id, subject=app.object_id)

    def test_an_application_meets_its_own_alone(self, server: Server, other: str) -> None:
        mine, others = subscribe(server), subscribe(server, token=other)
        assert [each["id"] for each in server.call("GET", SUBSCRIPTIONS).json["value"]] == [mine]
        assert [each["id"] for each in server.call("GET", SUBSCRIPTIONS, token=other).json["value"]] == [others]
        assert server.call("GET", f"{SUBSCRIPTIONS}/$count", token=other).body == b"1"
        search = f"{SUBSCRIPTIONS}?$count=true&$filter=id%20eq%20'{mine}'"
        assert server.call("GET", search, token=other).json["@odata.count"] == 0

    @pytest.mark.parametrize(
        ("method", "below", "body"),
        [
            ("GET", "", None),
            ("GET", "/notificationUrl", None),
            ("GET", "/notificationUrl/$value", None),
            ("PATCH", "", {"expirationDateTime": "2027-01-15T10:00:00Z"}),
            ("PUT", "/expirationDateTime", {"value": "2027-01-15T10:00:00Z"}),
            ("DELETE", "", None),
        ],
    )
    def test_anothers_is_not_there(self, server: Server, other: str, method: str, below: str, body: Any) -> None:
        key = subscribe(server)
        assert server.call(method, f"{SUBSCRIPTIONS}/{key}{below}", body, token=other).status == 404
        assert server.call("GET", f"{SUBSCRIPTIONS}/{key}").json["expirationDateTime"] == "2027-01-15T09:00:00Z"

    def test_it_needs_the_permission_to_read_connectors(self, server: Server) -> None:
        token = server.token("DeviceManagementApps.Read.All")
        assert server.call("POST", SUBSCRIPTIONS, asked(server), token=token).status == 403
        assert server.call("GET", SUBSCRIPTIONS, token=token).status == 403

    def test_tenants_do_not_meet(self, server: Server) -> None:
        key = subscribe(server)
        token = server.token(tenant=server.add_tenant("other"))
        assert server.call("GET", f"{SUBSCRIPTIONS}/{key}", token=token).status == 404
        assert server.call("GET", SUBSCRIPTIONS, token=token).json["value"] == []

    def test_who_made_it_is_the_services_word(self, server: Server) -> None:
        made = server.call("POST", SUBSCRIPTIONS, asked(server, applicationId="x", creatorId="y")).json
        assert (made["applicationId"], made["creatorId"]) == ("852aabe0-dffc-5434-9d98-fd4b442acb18", SUBJECT)


class TestRenewal:
    def test_by_the_entity_and_by_its_property(self, server: Server) -> None:
        url = f"{SUBSCRIPTIONS}/{subscribe(server)}"
        later = {"expirationDateTime": "2027-01-15T10:00:00Z"}
        assert server.call("PATCH", url, later).json["expirationDateTime"] == later["expirationDateTime"]
        assert server.call("PUT", f"{url}/expirationDateTime", {"value": "2027-01-15T11:00:00Z"}).status == 204
        assert server.call("GET", url).json["expirationDateTime"] == "2027-01-15T11:00:00Z"

    @pytest.mark.parametrize("end", ["2027-01-15T07:59:59Z", "2027-02-15T10:00:00Z"])
    def test_within_the_same_bounds(self, server: Server, end: str) -> None:
        url = f"{SUBSCRIPTIONS}/{subscribe(server)}"
        refused(server.call("PATCH", url, {"expirationDateTime": end}), "Subscription expiration")
        refused(server.call("PUT", f"{url}/expirationDateTime", {"value": end}), "Subscription expiration")

    @pytest.mark.parametrize(
        "changes", [{"changeType": "deleted"}, {"notificationUrl": URL}, {"clientState": "other"}, {"resource": "x"}]
    )
    def test_nothing_else_changes(self, server: Server, changes: dict[str, object]) -> None:
        url = f"{SUBSCRIPTIONS}/{subscribe(server)}"
        refused(server.call("PATCH", url, changes), "cannot be changed", "ModelValidationFailure")
        ((name, value),) = changes.items()
        refused(server.call("PUT", f"{url}/{name}", {"value": value}), "cannot be changed", "ModelValidationFailure")
        refused(server.call("DELETE", f"{url}/{name}"), "cannot be changed", "ModelValidationFailure")

    def test_if_match_is_honoured(self, server: Server) -> None:
        url = f"{SUBSCRIPTIONS}/{subscribe(server)}"
        body = {"expirationDateTime": "2027-01-15T10:00:00Z"}
        assert server.call("PATCH", url, body, {"If-Match": 'W/"0"'}).status == 412
        assert server.call("DELETE", url, None, {"If-Match": 'W/"0"'}).status == 412
        tag = server.call("GET", url).headers["etag"]
        assert server.call("PATCH", url, body, {"If-Match": tag}).status == 200


class TestReauthorization:
    @pytest.mark.parametrize("name", ["reauthorize", "microsoft.graph.reauthorize", "graph.Reauthorize"])
    def test_is_answered_as_graph_does_and_recorded(self, server: Server, name: str) -> None:
        url = f"{SUBSCRIPTIONS}/{subscribe(server)}"
        before = server.call("GET", url)
        answer = server.call("POST", f"{url}/{name}")
        assert (answer.status, answer.body) == (204, b"")
        assert server.call("GET", url).json == before.json
        token = server.token("DeviceManagementApps.Read.All")
        events = server.call("GET", "/beta/deviceManagement/auditEvents", token=token).json["value"]
        assert {each["activity"] for each in events} == {"Create Subscription", "Reauthorize Subscription"}

    def test_moves_no_end(self, server: Server) -> None:
        url = f"{SUBSCRIPTIONS}/{subscribe(server, minutes=10)}"
        assert server.call("POST", f"{url}/reauthorize").status == 204
        server.clock.time += 600
        deliver(server)
        assert server.call("POST", f"{url}/reauthorize").status == 404

    def test_of_anothers_or_of_none_is_404(self, server: Server) -> None:
        app, _ = server.add_app("other", READ)
        other = server.token(READ, client_id=app.id, subject=app.object_id)
        url = f"{SUBSCRIPTIONS}/{subscribe(server)}/reauthorize"
        assert server.call("POST", url, token=other).status == 404
        assert server.call("POST", f"{SUBSCRIPTIONS}/{NOWHERE}/reauthorize").status == 404

    def test_takes_no_options_no_other_method_and_no_name_behind_it(self, server: Server) -> None:
        url = f"{SUBSCRIPTIONS}/{subscribe(server)}/reauthorize"
        assert server.call("POST", f"{url}?$select=id").status == 400
        assert server.call("GET", url).status == 400
        assert server.call("POST", f"{url}/x").status == 400
        assert server.call("POST", f"{LIST}/{server.create()['id']}/reauthorize").status == 400


def test_deleting_twice(server: Server) -> None:
    url = f"{SUBSCRIPTIONS}/{subscribe(server)}"
    assert [server.call("DELETE", url).status for _ in range(2)] == [204, 404]


def again(name: str) -> dict[str, str]:
    """The headers of a request that is sent more than once."""
    return {"Repeatability-Request-ID": name, "Repeatability-First-Sent": "Fri, 15 Jan 2027 08:00:00 GMT"}


@pytest.mark.parametrize("database_kind", ["sqlite", "postgresql"], indirect=True, scope="module")
class TestSentAgain:
    """The answer is the first one, whatever came after it."""

    def test_a_create_whose_receiver_is_down_by_then(self, server: Server, hooks: Hooks) -> None:
        first = server.call("POST", SUBSCRIPTIONS, body := asked(server), again("a"))
        hooks.consent = raising(Unreachable("as the test has it"))
        second = server.call("POST", SUBSCRIPTIONS, body, again("a"))
        assert (second.status, second.json) == (first.status, first.json)
        assert second.json["clientState"] == body["clientState"]
        assert hooks.questions == [URL]
        assert len(server.call("GET", SUBSCRIPTIONS).json["value"]) == 1
        refused(server.call("POST", SUBSCRIPTIONS, body, again("b")), FAILED)

    def test_a_create_whose_end_is_past_or_that_was_the_last_there_may_be(
        self, server: Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        first = server.call("POST", SUBSCRIPTIONS, body := asked(server), again("a"))
        monkeypatch.setattr(subscriptions, "MAX_PER_TENANT", 1)
        assert server.call("POST", SUBSCRIPTIONS, body, again("a")).json == first.json
        server.clock.time += 4_000
        deliver(server)
        assert server.call("GET", SUBSCRIPTIONS).json["value"] == []
        assert server.call("POST", SUBSCRIPTIONS, body, again("a")).json == first.json
        server.clock.time += 24 * 3_600
        assert server.call("POST", SUBSCRIPTIONS, body, again("a")).status == 412

    def test_a_create_that_was_under_way_still(self, server: Server, hooks: Hooks) -> None:
        body, token, both, made = asked(server), server.token(), asyncio.Event(), asyncio.Event()

        async def carry(url: str, sent: bytes, content_type: str) -> courier.Answer:
            if not hooks.questions:
                answer = await hooks(url, sent, content_type)
                await both.wait()
                return answer
            both.set()
            await made.wait()
            raise TooSlow("as the test has it")

        async def ask() -> Answer:
            answer = await server.answer("POST", SUBSCRIPTIONS, body, again("a"), token=token)
            made.set()
            return answer

        async def act() -> list[Answer]:
            object.__setattr__(server.application._graph.desk, "carry", carry)  # type: ignore[union-attr]
            return list(await asyncio.gather(ask(), ask()))

        first, second = server.run(act())
        assert (first.status, second.status) == (201, 201)
        assert first.json == second.json

    def test_a_deletion_waits_for_the_same_delivery(self, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
        key, number, waited = subscribe(server), server.tenant().number, []
        sql = "UPDATE deliveries SET leased_by = 'other', leased_until = 5 WHERE tenant = ?1"
        server.write(lambda session: session.fetch(sql, (number,)))

        async def forget(*what: object) -> None:
            waited.append(what)

        monkeypatch.setattr(server.application.deliveries, "forget", forget)
        for _ in range(2):
            answer = server.call("DELETE", f"{SUBSCRIPTIONS}/{key.upper()}", None, again("a"))
            assert (answer.status, answer.headers["repeatability-result"]) == (204, "accepted")
        assert waited == [(number, key, ("other", 5))] * 2

    def test_what_was_done_to_one_that_is_no_more(self, server: Server) -> None:
        url = f"{SUBSCRIPTIONS}/{subscribe(server)}"
        later = "2027-01-15T10:00:00Z"
        asks: list[tuple[str, str, object]] = [
            ("PATCH", url, {"expirationDateTime": later}),
            ("PUT", f"{url}/expirationDateTime", {"value": later}),
            ("POST", f"{url}/reauthorize", None),
            ("DELETE", url, None),
        ]
        first = [server.call(method, target, body, again(method)) for method, target, body in asks]
        assert [each.status for each in first] == [200, 204, 204, 204]
        server.clock.time += 3 * 3_600
        second = [server.call(method, target, body, again(method)) for method, target, body in asks]
        assert [each.status for each in second] == [200, 204, 204, 204]
        assert second[0].json == first[0].json
        assert [server.call(method, target, body).status for method, target, body in asks] == [404] * 4

    def test_anothers_is_not_there_whoever_sent_it_first(self, server: Server) -> None:
        app, _ = server.add_app("other", READ)
        other = server.token(READ, client_id=app.id, subject=app.object_id)
        url = f"{SUBSCRIPTIONS}/{subscribe(server)}"
        answers = [server.call("DELETE", url, None, again("a"), token=each) for each in (other, other, "", other)]
        assert [each.status for each in answers] == [404, 404, 204, 404]


def in_a_change_set(server: Server, request: str) -> bytes:
    """What a batch says that has this request in a change set."""
    part = f"Content-Type: application/http\r\nContent-ID: 1\r\n\r\n{request}\r\n"
    inner = f"--c\r\n{part}--c--\r\n"
    whole = f"--b\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n{inner}\r\n--b--\r\n"
    headers = {"Content-Type": "multipart/mixed; boundary=b"}
    return server.call("POST", "/beta/$batch", whole.encode(), headers).body


def test_a_change_set_cannot_wait_for_a_receiver(server: Server) -> None:
    body = json.dumps(asked(server))
    said = in_a_change_set(server, f"POST subscriptions HTTP/1.1\r\nContent-Type: application/json\r\n\r\n{body}")
    assert b"HTTP/1.1 501" in said, said
    assert b"its receiver is asked first" in said


def test_nor_can_it_wait_for_what_is_being_sent(server: Server) -> None:
    key = subscribe(server)
    said = in_a_change_set(server, f"DELETE subscriptions/{key} HTTP/1.1\r\n\r\n")
    assert b"HTTP/1.1 501" in said, said
    assert server.call("GET", f"{SUBSCRIPTIONS}/{key}").status == 200


def test_a_json_batch_may_subscribe(server: Server) -> None:
    item = {"id": "1", "method": "POST", "url": "/subscriptions", "body": asked(server)}
    item["headers"] = {"Content-Type": "application/json"}
    (answer,) = server.call("POST", "/beta/$batch", {"requests": [item]}).json["responses"]
    assert answer["status"] == 201


def test_a_change_made_in_a_batch_is_told(server: Server, hooks: Hooks) -> None:
    subscribe(server)
    key = server.create()["id"]
    item = {"id": "1", "method": "DELETE", "url": f"{LIST.removeprefix('/beta')}/{key}"}
    assert server.call("POST", "/beta/$batch", {"requests": [item]}).json["responses"][0]["status"] == 204
    deliver(server)
    assert hooks.told() == [("created", key), ("deleted", key)]


def test_v1_has_no_subscriptions(server: Server) -> None:
    assert server.call("GET", "/v1.0/subscriptions").status == 400
