"""The service in this process, for tests: a client of its ASGI application, a clock to set, and tokens to call with."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import unquote

from adjoin.config import Config
from adjoin.identity import issuer
from adjoin.identity.caller import Kind
from adjoin.identity.issuer import Grant
from adjoin.model import CONNECTOR, CONNECTOR_STATE
from adjoin.odata.values import Instant
from adjoin.service.courier import Carry
from adjoin.service.world import World
from adjoin.store import applications, rows, tenants
from adjoin.store.applications import Application
from adjoin.store.columns import Value
from adjoin.store.database import Session
from adjoin.store.tables import table_of
from adjoin.store.tenants import ACTIVE, Tenant
from adjoin.web import app

T = TypeVar("T")
Headers = Mapping[str, str] | Sequence[tuple[str, str]]

NOW: Final = 1_800_000_000
"""2027-01-15T08:00:00Z."""

HOST: Final = "127.0.0.1:8365"
ORIGIN: Final = f"http://{HOST}"
LIST: Final = "/beta/deviceManagement/domainJoinConnectors"
TYPE: Final = "#microsoft.graph.deviceManagementDomainJoinConnector"
READ: Final = "DeviceManagementConfiguration.Read.All"
WRITE: Final = "DeviceManagementConfiguration.ReadWrite.All"
GUID: Final = r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}"
NOWHERE: Final = "00000000-0000-4000-8000-000000000000"
SUBJECT: Final = "aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa"
CLIENT: Final = issuer.CLI_CLIENT

PUBLISHED: Final[Mapping[str, str]] = {
    "@odata.type": TYPE,
    "displayName": "Display Name value",
    "lastConnectionDateTime": "2016-12-31T23:58:36.6670033-08:00",
    "state": "error",
    "version": "Version value",
}
"""The body of the published create call (DESIGN section 2)."""


@dataclass(slots=True)
class Clock:
    """A clock that stands until it is set."""

    time: float = NOW

    def __call__(self) -> float:
        return self.time


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer as it left the application. `pairs` holds every header as it was sent."""

    status: int
    pairs: Sequence[tuple[str, str]]
    body: bytes

    @property
    def headers(self) -> dict[str, str]:
        return dict(self.pairs)

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    def values(self, name: str) -> list[Any]:
        """One property of each entity of a collection."""
        return [each[name] for each in self.json["value"]]

    @property
    def error(self) -> Any:
        return self.json["error"]

    @property
    def said(self) -> str:
        """The sentence of an error: what Intune's nested message says before the ids, or the message itself."""
        message: str = self.error["message"]
        if message.startswith('{\r\n  "_version"'):
            message = json.loads(message)["Message"].partition(" - Operation ID")[0]
        return message


class Server:
    """An application on data of its own. Open while it is used as a context."""

    def __init__(self, config: Config, seed: int = 17, carry: Carry | None = None, clock: Clock | None = None) -> None:
        self.config = config
        self.clock = clock or Clock()
        self.random = random.Random(seed)
        self.world = World(now=self.clock, random=self.random.randbytes)
        self.application = app.create(config, self.world, carry=carry)
        self._runner = asyncio.Runner()
        self._closed = False
        self._tokens: dict[str, str] = {}
        self._first: Tenant | None = None

    def __enter__(self) -> Server:
        self.run(self.application.open())
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop the service, if it has not been stopped yet."""
        if not self._closed:
            self._closed = True
            self.run(self.application.close())
            self._runner.close()

    def run(self, act: Awaitable[T]) -> T:
        """What `act` gives, on the loop of this application."""

        async def awaited() -> T:
            return await act

        return self._runner.run(awaited())

    # --- calls

    def call(
        self,
        method: str,
        target: str,
        body: object = None,
        headers: Headers = (),
        *,
        token: str | None = "",
        scheme: str = "http",
    ) -> Answer:
        """Send a request and give its answer.

        `body` is JSON unless it is bytes, or the chunks of a body; JSON is declared as such. Without `token` the
        caller may do everything in the first tenant; None sends none. `headers` of the same name replace the usual.
        """
        token = self.token() if token == "" else token
        return self.run(self.answer(method, target, body, headers, token=token, scheme=scheme))

    async def answer(
        self,
        method: str,
        target: str,
        body: object = None,
        headers: Headers = (),
        *,
        token: str | None = None,
        scheme: str = "http",
    ) -> Answer:
        """As `call`, on the loop that runs already, and with no token but the one that is given."""
        given = list(headers.items() if isinstance(headers, Mapping) else headers)
        usual = {"host": HOST}
        if body is not None and not isinstance(body, bytes | list):
            usual["content-type"] = "application/json"
        if token is not None:
            usual["authorization"] = f"Bearer {token}"
        named = {name.lower() for name, _ in given}
        pairs = [(name, value) for name, value in usual.items() if name not in named] + given
        return await exchange(self.application, scope_of(method, target, pairs, scheme), chunks(body))

    def write(self, act: Callable[[Session], Awaitable[T]]) -> T:
        """What `act` gives in a transaction."""
        return self.run(self.application.installation.database.write(act))

    def create(self, token: str = "", **changes: object) -> dict[str, Any]:
        """A new connector, as published but for the changes."""
        made = self.call("POST", LIST, {**PUBLISHED, **changes}, token=token)
        assert made.status == 201, made.body
        answer: dict[str, Any] = made.json
        return answer

    def follow(self, link: str, headers: Headers = ()) -> Answer:
        """GET a link of an answer, which is absolute and on this host."""
        assert link.startswith(f"{ORIGIN}/"), link
        return self.call("GET", link.removeprefix(ORIGIN), headers=headers)

    def fill(self, tenant: Tenant, count: int) -> None:
        """As many connectors in one transaction, whose versions count from 0000 on."""
        table = table_of(CONNECTOR)
        instant = Instant.parse(PUBLISHED["lastConnectionDateTime"])
        states = list(CONNECTOR_STATE.members)

        async def act(session: Session) -> None:
            for number in range(count):
                values: dict[str, Value] = {"displayName": f"Connector {number}", "lastConnectionDateTime": instant}
                values |= {"id": self.world.new_id(), "state": states[number % 3], "version": f"{number:04}"}
                await rows.insert(session, table, tenant.number, values, number)

        self.write(act)

    # --- tenants, applications and tokens

    def token(self, *permissions: str, tenant: Tenant | None = None, **changes: Any) -> str:
        """A token of the installation's own issuer; with no permission named, the one that allows everything."""
        wanted = {
            "tenant_id": (tenant or self.tenant()).id,
            "subject": SUBJECT,
            "client_id": CLIENT,
            "permissions": frozenset(permissions or (WRITE,)),
            "kind": Kind.APPLICATION,
            **changes,
        }
        key = repr((wanted, self.clock.time))
        if key not in self._tokens:
            self._tokens[key] = issuer.mint(
                self.application.installation.ring.signing, Grant(**wanted), int(self.clock()), "token-id"
            )
        return self._tokens[key]

    def tenant(self) -> Tenant:
        """The first tenant."""
        if self._first is None:
            self._first = self.run(tenants.every(self.application.installation.database.reader))[0]
        return self._first

    def add_tenant(self, name: str, licence: str = ACTIVE) -> Tenant:
        new_id = self.world.new_request_id()
        added = self.write(lambda session: tenants.add(session, new_id, name, licence, "2027-01-01T00:00:00Z"))
        assert added is not None
        return added

    def set_licence(self, tenant: Tenant, licence: str) -> None:
        self.write(lambda session: tenants.set_licence(session, tenant.number, licence))

    def add_app(self, name: str, *permissions: str, tenant: Tenant | None = None) -> tuple[Application, str]:
        """A registered application and its secret."""
        secret = issuer.new_secret(self.random.randbytes(32))
        new = Application(
            id=self.world.new_request_id(),
            object_id=self.world.new_request_id(),
            name=name,
            permissions=permissions or (WRITE,),
            secret_digest=issuer.digest(secret),
            created="2027-01-01T00:00:00Z",
        )
        number = (tenant or self.tenant()).number
        assert self.write(lambda session: applications.add(session, number, new)) is not None
        return new, secret


def chunks(body: object) -> list[bytes]:
    """The pieces in which a body arrives."""
    if isinstance(body, list):
        return body
    if isinstance(body, bytes):
        return [body]
    return [b"" if body is None else json.dumps(body).encode()]


def scope_of(
    method: str,
    target: str,
    headers: Iterable[tuple[str, str]],
    scheme: str = "http",
    client: tuple[str, int] | None = None,
) -> dict[str, Any]:
    """A request without its body, as a server hands it on; `target` goes as it is."""
    path, _, query = target.encode("utf-8", "surrogateescape").partition(b"?")
    scope = {
        "type": "http",
        "method": method,
        "scheme": scheme,
        "path": unquote(path.decode("latin-1")),
        "raw_path": path,
        "query_string": query,
        "headers": [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers],
    }
    return scope if client is None else scope | {"client": client}


Application_ = Callable[[Any, Any, Any], Awaitable[None]]


async def exchange(application: Application_, scope: Mapping[str, Any], body: Sequence[bytes]) -> Answer:
    """One request through an ASGI application, and what it sent."""
    waiting = [
        {"type": "http.request", "body": piece, "more_body": at + 1 < len(body)} for at, piece in enumerate(body)
    ]
    sent: list[Mapping[str, Any]] = []

    async def receive() -> Mapping[str, Any]:
        if waiting:
            return waiting.pop(0)
        if body:
            # Who has sent all of it stays for the answer.
            await asyncio.Event().wait()
        return {"type": "http.disconnect"}

    async def send(message: Mapping[str, Any]) -> None:
        sent.append(message)

    await application(dict(scope), receive, send)
    start, *rest = sent
    pairs = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in start["headers"]]
    assert all(name == name.lower() for name, _ in pairs)
    return Answer(start["status"], pairs, b"".join(message["body"] for message in rest))


def config_of(folder: Path, **changes: Any) -> Config:
    """Settings for a service in this folder, which logs no requests."""
    return Config(**{"data_dir": folder, "log_requests": False, **changes})
