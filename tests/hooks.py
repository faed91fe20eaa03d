"""Receivers of notifications in this process: they consent, keep what they are sent, and fail when they are told to."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from tests.server import Server

from adjoin.odata.values import Instant
from adjoin.service.courier import Answer, Unreachable

URL: Final = "https://hooks.example/connectors"
LIFECYCLE: Final = "https://hooks.example/lifecycle"
SUBSCRIPTIONS: Final = "/beta/subscriptions"
RESOURCE: Final = "deviceManagement/domainJoinConnectors"


class Hooks:
    """All receivers. `sent` holds what each was sent and took, in the order of its arrival."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, dict[str, Any]]] = []
        self.refused = 0
        self.questions: list[str] = []
        self.fails: Callable[[str], bool] = lambda _: False
        self.consent: Callable[[str], Answer] = lambda token: Answer(200, "text/plain", token.encode())

    async def __call__(self, url: str, body: bytes, content_type: str) -> Answer:
        split = urlsplit(url)
        plain = split._replace(query="").geturl()
        if "validationToken" in split.query:
            assert (body, content_type) == (b"", "text/plain; charset=utf-8")
            self.questions.append(plain)
            return self.consent(parse_qs(split.query)["validationToken"][0])
        assert content_type == "application/json; charset=utf-8"
        if self.fails(url):
            self.refused += 1
            raise Unreachable("as the test has it")
        self.sent += [(plain, each) for each in json.loads(body)["value"]]
        return Answer(202, "", b"")

    def take(self) -> list[tuple[str, dict[str, Any]]]:
        """What was sent since this was last asked."""
        sent, self.sent = self.sent, []
        return sent

    def told(self) -> list[tuple[str, str]]:
        """As `take`: the kinds of the changes, and the keys of what changed."""
        return [(each["changeType"], each["resourceData"]["id"]) for _, each in self.take()]


class Quiet(Server):
    """A service that delivers when it is told to, and not by itself."""

    def __enter__(self) -> Server:
        super().__enter__()
        self.run(self.application.deliveries.stop())
        return self


def opened(opens: Callable[..., Server], hooks: Hooks, **changes: Any) -> Server:
    """A service that may notify these receivers, and does so when `deliver` says so."""
    return opens(kind=Quiet, carry=hooks, **{"webhook_allow": ("hooks.example",), **changes})


def asked(server: Server, minutes: float = 60, **changes: object) -> dict[str, object]:
    """The body of a subscription that ends in so many minutes."""
    return {
        "changeType": "created,updated,deleted",
        "notificationUrl": URL,
        "resource": RESOURCE,
        "expirationDateTime": str(Instant.from_unix(server.clock.time + minutes * 60)),
        "clientState": "secret of the client",
        **changes,
    }


def subscribe(server: Server, minutes: float = 60, token: str = "", **changes: object) -> str:
    """A new subscription's key."""
    made = server.call("POST", SUBSCRIPTIONS, asked(server, minutes, **changes), token=token)
    assert made.status == 201, made.body
    key: str = made.json["id"]
    return key


def deliver(server: Server) -> None:
    """Let everything be delivered that is due now."""
    server.run(server.application.deliveries.settled())


def die(server: Server) -> None:
    """End a service as `kill -9` does: its deliveries let go of nothing, and note nothing."""
    server.application.deliveries._holder = "nobody"
    server.close()
