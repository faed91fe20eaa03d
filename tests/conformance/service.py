"""The service as the checklist's tests ask it: URLs go in raw, so that no client mends one first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, quote, urlsplit

from tests.server import PUBLISHED, READ, WRITE, Answer, Clock, Server, chunks, config_of, exchange, scope_of

from adjoin.odata.values import Instant
from adjoin.service import courier

__all__ = ["READ", "WRITE", "Answer", "Service"]

HOST: Final = "graph.test"
ROOT: Final = f"http://{HOST}/beta"
MANAGEMENT: Final = "/beta/deviceManagement"
LIST: Final = f"{MANAGEMENT}/domainJoinConnectors"
EVENTS: Final = f"{MANAGEMENT}/auditEvents"
TYPE: Final = "microsoft.graph.deviceManagementDomainJoinConnector"
READ_EVENTS: Final = "DeviceManagementApps.Read.All"
NOW: Final = 1_795_000_000

BODY: Final = PUBLISHED
SUBSCRIPTIONS: Final = "/beta/subscriptions"
SUBSCRIPTION: Final[Mapping[str, Any]] = {
    "changeType": "created,updated,deleted",
    "notificationUrl": "https://hooks.example/",
    "resource": "deviceManagement/domainJoinConnectors",
    "expirationDateTime": str(Instant.from_unix(NOW + 3_600)),
}


async def _consent(url: str, _body: bytes, _content_type: str) -> courier.Answer:
    """What a receiver answers that takes everything."""
    token = parse_qs(urlsplit(url).query).get("validationToken", [""])[0]
    return courier.Answer(200, "text/plain", token.encode())


@dataclass(slots=True)
class Ticking(Clock):
    """A clock that goes on by a millisecond whenever it is looked at, so that ids are in order."""

    def __call__(self) -> float:
        self.time += 0.001
        return self.time


class Service:
    """A service for the checklist; requests carry a token that may do everything."""

    def __init__(self, data_dir: Path, database: str | None = None) -> None:
        config = config_of(data_dir, database=database, webhook_allow=("hooks.example",))
        self._server = Server(config, carry=_consent, clock=Ticking(NOW))
        self._token = ""
        self.touched = True
        """Whether something may have been changed since this was last set to False."""

    def __enter__(self) -> Service:
        self._server.__enter__()
        self._token = self.token_with(WRITE, READ_EVENTS)
        return self

    def __exit__(self, *_: object) -> None:
        self._server.__exit__()

    def token_with(self, *permissions: str) -> str:
        """A token of a program of the first tenant."""
        return self._server.token(*permissions)

    def ask(
        self, method: str, target: str, body: object = None, headers: Mapping[str, str] | None = None, /, **options: str
    ) -> Answer:
        """Send a request. `target` goes as it is; `options` become its query, `$` before and percent-encoded.

        A body that is not bytes goes as JSON. A header whose value is empty is left out.
        """
        self.touched |= method != "GET"
        usual = {"host": HOST, "authorization": f"Bearer {self._token}", "accept": "application/json"}
        if body is not None:
            usual["content-type"] = "application/json"
        given = usual | {name.lower(): value for name, value in (headers or {}).items()}
        if options:
            target += "?" + "&".join(f"${name}={quote(value)}" for name, value in options.items())
        scope = scope_of(method, target, [(name, value) for name, value in given.items() if value])
        return self._server.run(exchange(self._server.application, scope, chunks(body)))

    def get(self, target: str, headers: Mapping[str, str] | None = None, /, **options: str) -> Answer:
        """Send a GET."""
        return self.ask("GET", target, None, headers, **options)

    def create(self, **changes: object) -> str:
        """A new connector as the published body has it, with changes; its id."""
        made = self.ask("POST", LIST, {**BODY, **changes})
        assert made.status == 201, made.text
        return str(made.json["id"])

    def subscribe(self) -> str:
        """A new subscription; its id."""
        made = self.ask("POST", SUBSCRIPTIONS, dict(SUBSCRIPTION))
        assert made.status == 201, made.text
        return str(made.json["id"])
