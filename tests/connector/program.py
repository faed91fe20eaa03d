"""The connector's program against a service in this process: a network that can be cut, and clocks to set."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

import httpx
from tests.server import HOST, Server
from tests.web.machine import invited

from adjoin.connector import keys, settings
from adjoin.connector.api import Clocks, Service, seconds_of
from adjoin.connector.loop import Connector
from adjoin.connector.settings import Settings

T = TypeVar("T")
FIRST: Final = f"http://{HOST}"
SECOND: Final = "http://localhost:8365"
VERSION: Final = "1.2.3.4"


@dataclass
class Network(httpx.AsyncBaseTransport):
    """Brings requests to the services behind their URLs. `lose` says what becomes of one: nothing, what is lost,
    `host` for a wrong one, or the number that a proxy answers."""

    servers: dict[str, Server]
    lose: Callable[[str, str], str] = lambda _url, _path: ""
    retry_after: str = "7"
    sent: list[tuple[str, str]] = field(default_factory=list)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        url, path = f"{request.url.scheme}://{request.url.netloc.decode()}", request.url.path
        self.sent.append((url, path))
        lost = self.lose(url, path)
        if lost == "request" or url not in self.servers:
            raise httpx.ConnectError("cut")
        if lost.isdecimal():
            # As a proxy in between answers: with any number, and a page of its own.
            return httpx.Response(int(lost), html="<html>nginx</html>", headers={"retry-after": self.retry_after})
        if lost == "host":
            request.headers["host"] = "no host"
        transport = httpx.ASGITransport(app=self.servers[url].application)
        response = await transport.handle_async_request(request)
        if lost == "answer":
            raise httpx.ReadError("cut")
        return response


class Program:
    """A connector's machine: its file, and its clocks.

    One is `ahead` of the server's, the other stood still while the machine was `suspended`.
    """

    def __init__(self, server: Server, folder: Path, ahead: float = 0.0) -> None:
        self.server = server
        self.file = folder / "connector.toml"
        self.network = Network({FIRST: server})
        self.ahead = ahead
        self.suspended = 0.0
        self.pauses: list[float] = []
        self.said: list[str] = []
        self.connector: Connector | None = None

    @property
    def clocks(self) -> Clocks:
        return Clocks(
            wall=lambda: self.server.clock() + self.ahead,
            steady=lambda: self.server.clock() + 1_000.0 - self.suspended,
        )

    async def sleep(self, seconds: float) -> None:
        """Time passes at once."""
        self.pauses.append(seconds)
        self.server.clock.time += seconds
        await asyncio.sleep(0)

    @property
    def held(self) -> Settings:
        return settings.load(self.file)

    def enrol(self, *servers: str) -> Settings:
        key, code = keys.new_key(), invited(self.server)

        async def act() -> dict[str, Any]:
            async with self.service(FIRST) as service:
                return await service.enrol(code, "odj01", VERSION, key)

        said = self.server.run(act())
        held = Settings(
            servers=servers or (FIRST,),
            tenant=said["tenant"],
            connector=said["connector"],
            name="odj01",
            token_path=said["tokenPath"],
            audience=said["audience"],
            scope=said["scope"],
            key=key,
            key_expires=seconds_of(said["keyExpires"]),
            renew_key_after=seconds_of(said["renewKeyAfter"]),
        )
        settings.save(self.file, held)
        return held

    def service(self, *servers: str) -> Service:
        return Service(servers, transport=self.network, clocks=self.clocks)

    def with_program(self, act: Callable[[Connector], Awaitable[T]]) -> T:
        """What `act` gives with the program started anew."""

        async def run() -> T:
            async with self.started() as connector:
                return await act(connector)

        return self.server.run(run())

    @asynccontextmanager
    async def started(self) -> Any:
        async with self.service(*self.held.servers) as service:
            self.connector = Connector(
                self.file, service, VERSION, lambda _, sentence: self.said.append(sentence), self.clocks, self.sleep
            )
            yield self.connector
