"""The service in this process, for tests: requests go in as ASGI messages, raw, so that no client mends a URL first."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Final
from urllib.parse import parse_qs, quote, urlsplit

from adjoin.config import Config
from adjoin.identity import issuer
from adjoin.identity.issuer import Grant
from adjoin.odata.values import Instant
from adjoin.service import courier
from adjoin.service.installation import tenant_named
from adjoin.service.world import World
from adjoin.web.app import Application, create

HOST: Final = "graph.test"
ROOT: Final = f"http://{HOST}/beta"
MANAGEMENT: Final = "/beta/deviceManagement"
LIST: Final = f"{MANAGEMENT}/domainJoinConnectors"
EVENTS: Final = f"{MANAGEMENT}/auditEvents"
TYPE: Final = "microsoft.graph.deviceManagementDomainJoinConnector"
READ: Final = "DeviceManagementConfiguration.Read.All"
WRITE: Final = "DeviceManagementConfiguration.ReadWrite.All"
READ_EVENTS: Final = "DeviceManagementApps.Read.All"
NOW: Final = 1_795_000_000

BODY: Final[Mapping[str, Any]] = {
    "@odata.type": f"#{TYPE}",
    "displayName": "Display Name value",
    "lastConnectionDateTime": "2016-12-31T23:58:36.6670033-08:00",
    "state": "error",
    "version": "Version value",
}


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


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back; header names are in small letters."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def text(self) -> str:
        return self.body.decode()

    def values(self, name: str) -> list[Any]:
        """One property of each entity of a collection."""
        return [each[name] for each in self.json()["value"]]


@dataclass(slots=True)
class Service:
    """An application on its own data directory and event loop; requests carry a token that may do everything."""

    data_dir: Path
    database: str | None = None
    ticks: Iterator[int] = field(default_factory=itertools.count)
    runner: asyncio.Runner = field(default_factory=asyncio.Runner)
    application: Application = field(init=False)
    token: str = field(init=False, default="")
    touched: bool = True
    """Whether something may have been changed since this was last set to False."""

    def _now(self) -> float:
        """A clock that goes on by a millisecond whenever it is looked at, so that ids are in order."""
        return NOW + next(self.ticks) / 1_000

    def __enter__(self) -> Service:
        config = Config(
            data_dir=self.data_dir, database=self.database, log_requests=False, webhook_allow=("hooks.example",)
        )
        self.application = create(config, World(now=self._now), carry=_consent)
        self.runner.__enter__()
        self.runner.run(self.application.open())
        self.token = self.token_with(WRITE, READ_EVENTS)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.runner.run(self.application.close())
        self.runner.__exit__(kind, error, at)

    def token_with(self, *permissions: str) -> str:
        """A token of a program of the first tenant."""
        installation = self.application.installation
        tenant = self.runner.run(tenant_named(installation.database.reader, None))
        assert tenant is not None
        grant = Grant(
            tenant_id=tenant.id,
            subject="0c9dd1d1-31a4-4a2a-9d2c-5e2a6f3f0a11",
            client_id=issuer.CLI_CLIENT,
            permissions=frozenset(permissions),
        )
        return issuer.mint(installation.ring.signing, grant, NOW, "token")

    def ask(
        self, method: str, target: str, body: object = None, headers: Mapping[str, str] | None = None, /, **options: str
    ) -> Answer:
        """Send a request. `target` goes as it is; `options` become its query, `$` before and percent-encoded.

        A body that is not bytes goes as JSON. A header whose value is empty is left out.
        """
        self.touched |= method != "GET"
        content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        all_headers = {"host": HOST, "authorization": f"Bearer {self.token}", "accept": "application/json"}
        if body is not None:
            all_headers["content-type"] = "application/json"
        all_headers |= {name.lower(): value for name, value in (headers or {}).items()}
        if options:
            target += "?" + "&".join(f"${name}={quote(value)}" for name, value in options.items())
        return self.runner.run(self._sent(method, target, content, all_headers))

    def get(self, target: str, headers: Mapping[str, str] | None = None, /, **options: str) -> Answer:
        """Send a GET."""
        return self.ask("GET", target, None, headers, **options)

    def create(self, **changes: object) -> str:
        """A new connector as the published body has it, with changes; its id."""
        made = self.ask("POST", LIST, {**BODY, **changes})
        assert made.status == 201, made.text
        return str(made.json()["id"])

    def subscribe(self) -> str:
        """A new subscription; its id."""
        made = self.ask("POST", SUBSCRIPTIONS, dict(SUBSCRIPTION))
        assert made.status == 201, made.text
        return str(made.json()["id"])

    async def _sent(self, method: str, target: str, content: bytes, headers: Mapping[str, str]) -> Answer:
        path, _, query = target.encode("utf-8").partition(b"?")
        scope = {
            "type": "http",
            "method": method,
            "scheme": "http",
            "path": path.decode("utf-8"),
            "raw_path": path,
            "query_string": query,
            "headers": [(name.encode(), value.encode("latin-1")) for name, value in headers.items() if value],
        }
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": content, "more_body": False}

        async def send(message: Any) -> None:
            sent.append(message)

        await self.application(scope, receive, send)
        start, rest = sent
        found = {name.decode("latin-1"): value.decode("latin-1") for name, value in start["headers"]}
        return Answer(start["status"], found, rest["body"])
