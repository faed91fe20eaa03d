"""Subscriptions over the wire: what may be asked for, whose they are, and the question that receivers answer first."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any, Final

import pytest
from tests.conftest import Opens
from tests.hooks import LIFECYCLE, SUBSCRIPTIONS, URL, Hooks, asked, deliver, opened, subscribe
from tests.server import LIST, NOWHERE, ORIGIN, READ, SUBJECT, Answer, Server

from adjoin.service import courier, subscriptions
from adjoin.service.courier import TooSlow, Unreachable

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


def test_a_tenant_asks_few_receivers_at_a_time_and_holds_up_no_other(opens: Opens, hooks: Hooks) -> None:
    asking, most, silent = 0, 0, asyncio.Event()

    async def carry(url: str, body: bytes, content_type: str) -> courier.Answer:
        nonlocal asking, most
        if "silent" in url:
            asking += 1
            most = max(most, asking)
            await silent.wait()
            asking -= 1
        return await hooks(url, body, content_type)

    server = opens(carry=carry, webhook_allow=("*.example",))
    other = server.add_tenant("other")
    tokens = [server.token(tenant=each) for each in (None, other)]

    async def act() -> list[int]:
        bodies = [asked(server, notificationUrl=f"https://silent.example/{number}") for number in range(30)]
        waiting = [
            asyncio.ensure_future(server.answer("POST", SUBSCRIPTIONS, each, token=tokens[0])) for each in bodies
        ]
        made = await server.answer("POST", SUBSCRIPTIONS, asked(server), token=tokens[1])
        silent.set()
        return [made.status, *(each.status for each in await asyncio.gather(*waiting))]

    assert server.run(act()) == [201] * 31
    assert most == subscriptions.QUESTIONS_OF_TENANT


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
