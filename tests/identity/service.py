"""The service in this process, for tests of who is let in: its clock is set, its issuers are in memory."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from tests.identity.provider import WRITE, key_folder
from tests.server import HOST, LIST, SUBJECT, Answer, Clock, chunks, exchange, scope_of

from adjoin.config import Config
from adjoin.identity import issuer
from adjoin.identity.discovery import Fetch
from adjoin.identity.issuer import CLI_CLIENT, Grant
from adjoin.service.world import World
from adjoin.store import tenants
from adjoin.store.database import Session
from adjoin.web.app import Application, create

T = TypeVar("T")


@dataclass
class Service:
    """An application that is open, and ways to call it."""

    application: Application
    clock: Clock
    tenant: str
    keys_dir: Path
    _count: list[None] = field(default_factory=list)

    def mint(self, **changes: Any) -> str:
        """A token of the built-in issuer; by default one as `adjoin token` makes it."""
        given: dict[str, Any] = {
            "tenant_id": self.tenant,
            "subject": SUBJECT,
            "client_id": CLI_CLIENT,
            "permissions": frozenset({WRITE}),
            **changes,
        }
        self._count.append(None)
        key = self.application.installation.ring.signing
        return issuer.mint(key, Grant(**given), int(self.clock.time), f"uti-{len(self._count)}")

    async def call(self, token: str | None, method: str = "GET", path: str = LIST, body: object = None) -> Answer:
        headers = [("host", HOST), ("content-type", "application/json")]
        scope = scope_of(method, path, headers, client=("127.0.0.1", 50_000))
        if token is not None:
            # As it is: some of the tests' tokens are no text that a header could hold.
            scope["headers"].append((b"authorization", f"Bearer {token}".encode("utf-8", "surrogatepass")))
        return await exchange(self.application, scope, chunks(body))

    async def status(self, token: str) -> int:
        return (await self.call(token)).status

    async def write(self, act: Callable[[Session], Awaitable[T]]) -> T:
        return await self.application.installation.database.write(act)


@asynccontextmanager
async def opened(folder: Path, fetch: Fetch | None = None, **settings: Any) -> AsyncIterator[Service]:
    """A service on data of its own in `folder`."""
    data = folder / "data"
    if not data.exists():
        data.mkdir(mode=0o700)
        shutil.copytree(key_folder(), data / "keys")
    clock = Clock()
    application = create(Config(data_dir=data, **settings), World(now=clock), fetch)
    await application.open()
    try:
        found = await tenants.every(application.installation.database.reader)
        yield Service(application, clock, found[0].id, data / "keys")
    finally:
        await application.close()


def run(act: Awaitable[T]) -> T:
    async def whole() -> T:
        return await act

    return asyncio.run(whole())
