"""How much is worked on at a time, what a slow client is told, and who may see the counts."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest
from tests.conftest import Opens
from tests.server import LIST, PUBLISHED, Server

from adjoin.web import exchange
from adjoin.web.errors import BodyTooSlow
from adjoin.web.exchange import Request
from adjoin.web.meter import Meter, Readers, may_read


class TestLimit:
    def test_one_more_than_the_limit_is_refused(self) -> None:
        meter = Meter(2)
        meter.under_way = 2
        assert not meter.crowded
        meter.under_way = 3
        assert meter.crowded

    def test_those_that_wait_do_not_count(self) -> None:
        meter = Meter(2)
        meter.under_way, meter.waiting = 100, 98
        assert not meter.crowded

    def test_those_whose_body_has_not_been_asked_for_do_not_count(self, opens: Opens) -> None:
        server = opens(max_requests=2)
        token = server.token()

        async def all_at_once() -> list[int]:
            calls = (server.answer("POST", LIST, dict(PUBLISHED), token=token) for _ in range(6))
            return [each.status for each in await asyncio.gather(*calls)]

        assert server.run(all_at_once()) == [201] * 6

    def test_the_refusal_comes_before_any_work_and_says_when_to_try_again(self, opens: Opens) -> None:
        server = opens(max_requests=1)
        server.application._meter.under_way = 1
        answer = server.call("POST", LIST, b"not even JSON", token="not even a token")
        server.application._meter.under_way = 0
        assert (answer.status, answer.headers["retry-after"]) == (503, "2")
        assert answer.error["message"] == "More requests are under way than the service takes on."
        assert answer.error["code"] == "ServiceUnavailable"

    @pytest.mark.parametrize("path", ["/healthz", "/metrics"])
    def test_health_and_metrics_are_answered_all_the_same(self, opens: Opens, path: str) -> None:
        server = opens(max_requests=1, metrics="public")
        server.application._meter.under_way = 1
        answer = server.call("GET", path, token=None)
        server.application._meter.under_way = 0
        assert answer.status == 200

    def test_a_request_that_ends_makes_room(self, opens: Opens) -> None:
        server = opens(max_requests=1)
        assert [server.call("GET", LIST).status for _ in range(3)] == [200, 200, 200]
        server.call("POST", LIST, b"{")
        server.call("GET", "/nowhere")
        assert (server.application._meter.under_way, server.application._meter.waiting) == (0, 0)


async def _body(chunks: list[bytes], pause: float) -> bytes:
    async def receive() -> dict[str, Any]:
        await asyncio.sleep(pause)
        return {"type": "http.request", "body": chunks.pop(0), "more_body": bool(chunks)}

    return await Request("POST", "/", "", {}, "", receive, "", "").body()


class TestSlowBody:
    @pytest.fixture(autouse=True)
    def _in_a_hurry(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(exchange, "_PATIENCE", 0.05)

    def test_a_byte_now_and_then_is_not_waited_for(self) -> None:
        with pytest.raises(BodyTooSlow):
            asyncio.run(_body([b"x"] * 10_000, 0.01))

    def test_nothing_at_all_is_not_waited_for(self) -> None:
        with pytest.raises(BodyTooSlow):
            asyncio.run(_body([b"x"], 60))

    def test_what_comes_in_earns_more_time(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(exchange, "_BYTES_PER_SECOND", 1)
        assert asyncio.run(_body([b"x" * 100] * 10, 0.01)) == b"x" * 1000

    def test_but_not_for_ever(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(exchange, "_BYTES_PER_SECOND", 1)
        monkeypatch.setattr(exchange, "_BODY_SECONDS", 0.1)
        with pytest.raises(BodyTooSlow):
            asyncio.run(_body([b"x" * 100] * 1_000, 0.01))


@pytest.mark.parametrize(
    ("readers", "headers", "peer", "may"),
    [
        ("local", {}, "127.0.0.1", True),
        ("local", {}, "::1", True),
        ("local", {}, None, True),
        ("local", {}, "10.0.0.1", False),
        ("local", {}, "no address", False),
        ("local", {"x-forwarded-for": "127.0.0.1"}, "127.0.0.1", False),
        ("local", {"forwarded": "for=127.0.0.1"}, "127.0.0.1", False),
        ("local", {"origin": "http://page.example"}, "127.0.0.1", False),
        ("local", {"host": "localhost"}, "127.0.0.1", True),
        ("local", {"host": "192.0.2.1:8365"}, "127.0.0.1", True),
        ("local", {"host": "[::1]:8365"}, "::1", True),
        ("local", {"host": "evil.example:8365"}, "127.0.0.1", False),
        ("local", {"host": "localhost.evil.example"}, None, False),
        ("local", {"host": ""}, "127.0.0.1", False),
        ("local", {"sec-fetch-site": "cross-site"}, "127.0.0.1", False),
        ("local", {"sec-fetch-site": "same-site"}, "127.0.0.1", False),
        ("local", {"sec-fetch-site": "none"}, "127.0.0.1", True),
        ("public", {"host": "evil.example"}, "10.0.0.1", True),
        ("off", {}, "127.0.0.1", False),
    ],
)
def test_who_may_see_the_counts(readers: Readers, headers: Mapping[str, str], peer: str | None, may: bool) -> None:
    assert may_read(readers, {"host": "127.0.0.1:8365", **headers}, peer) is may


def test_who_may_not_see_them_is_told_of_nothing(opens: Opens) -> None:
    server = opens(metrics="off")
    answer = server.call("GET", "/metrics", token=None)
    assert (answer.status, answer.error["message"]) == (404, "Invalid version: metrics")


def test_operations_are_counted_by_names_of_ours(server: Server) -> None:
    for path in (LIST, f"{LIST}/$count", "/beta/$metadata", "/beta/nothing", "/openapi.json", "/some/secret/path", "/"):
        server.call("GET", path)
    server.create()
    server.call("POST", "/default/oauth2/v2.0/token", b"")
    server.call("GET", "/connector/v1", token=None)
    server.call("POST", "/connector/v1/check-in", {}, token=None)
    assert set(server.application._meter.answers) == {
        ("domainJoinConnectors.list_entities", 200),
        ("domainJoinConnectors.count_entities", 200),
        ("domainJoinConnectors.create_entity", 201),
        ("metadata", 200),
        ("openapi.json", 200),
        ("root", 200),
        ("connector", 200),
        ("connector/check-in", 401),
        ("login/oauth2/v2.0/token", 400),
        ("unknown", 400),
        ("unknown", 404),
    }


def test_refused_callers_are_counted_under_what_they_asked_for(server: Server) -> None:
    server.call("GET", LIST, token=None)
    assert server.application._meter.answers == {("domainJoinConnectors.list_entities", 401): 1}
