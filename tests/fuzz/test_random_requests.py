"""No input is 5xx: whatever is asked, there is an answer soon, and a refusal has Graph's form."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import AsyncIterator, MutableMapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest
from tests.full import FULL
from tests.fuzz.generator import Asked, Generator

from adjoin.config import Config
from adjoin.identity import issuer
from adjoin.identity.issuer import Grant
from adjoin.odata.errors import Refusal
from adjoin.odata.path import segments
from adjoin.store import tenants
from adjoin.web import app, login
from adjoin.web.app import Application

SEEDS, REQUESTS = (20, 5_000) if FULL else (6, 500)
CPU_SECONDS: Final = 1.0
Message = MutableMapping[str, Any]


@dataclass(slots=True)
class Given:
    """An answer, and the processor time that it took."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    seconds: float = 0.0
    ended: bool = False


@asynccontextmanager
async def opened(data_dir: Path) -> AsyncIterator[tuple[Application, str]]:
    """The application on a new data directory, and a token for it."""
    application = app.create(Config(data_dir=data_dir, log_requests=False))
    await application.open()
    try:
        installation = application.installation
        (tenant,) = await tenants.every(installation.database.reader)
        every = frozenset({"DeviceManagementConfiguration.ReadWrite.All"})
        grant = Grant(
            tenant_id=tenant.id,
            subject=tenant.id,
            client_id=issuer.CLI_CLIENT,
            permissions=every,
            expires_in=36_000,
        )
        yield application, issuer.mint(installation.ring.signing, grant, int(time.time()), "fuzz")
    finally:
        await application.close()


async def ask(application: Application, asked: Asked) -> Given:
    """Hand a request to the application, as a server does, and collect its answer."""
    given = Given()

    async def receive() -> Message:
        return {"type": "http.request", "body": asked.body, "more_body": False}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            given.status = message["status"]
            given.headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in message["headers"]}
        else:
            given.body += message.get("body", b"")
            given.ended = not message.get("more_body", False)

    scope = {
        "type": "http",
        "method": asked.method,
        "scheme": "http",
        "path": asked.path.decode("latin-1"),
        "raw_path": asked.path,
        "query_string": asked.query,
        "headers": asked.headers,
    }
    started = time.process_time()
    await application(scope, receive, send)
    given.seconds = time.process_time() - started
    return given


def fault_of(asked: Asked, given: Given) -> str | None:
    """What is wrong with an answer, whatever was asked."""
    if not given.ended:
        return "it never ended"
    if given.seconds > CPU_SECONDS:
        return f"it took {given.seconds:.1f} s of the processor"
    if given.status >= 500 and given.status != 501:
        return "it is a fault of the service's own"
    if any(mark in value for value in given.headers.values() for mark in "\r\n\x00"):
        return "a header holds the end of a line"
    if given.status in (204, 304):
        return "it has a body" if given.body else None
    if asked.method == "HEAD":
        # The length is that of the body which a GET would have been given.
        return "it has a body" if given.body else None
    if given.headers.get("content-length") != str(len(given.body)):
        return "its length is not what it says"
    if given.status >= 400:
        return _fault_of_error(asked, given)
    return _fault_of_content(given)


def _fault_of_content(given: Given) -> str | None:
    if given.headers.get("content-type", "").startswith("application/json"):
        try:
            json.loads(given.body)
        except ValueError:
            return "it says JSON and is none"
    return None


def _fault_of_error(asked: Asked, given: Given) -> str | None:
    if not given.headers.get("content-type", "").startswith("application/json"):
        return "a refusal is JSON"
    body = json.loads(given.body)
    if "error_description" in body and _is_login(asked):
        return None if {"error", "error_codes", "trace_id"} <= body.keys() else "it is not in Entra's form"
    error = body.get("error")
    if list(body) != ["error"] or not isinstance(error, dict) or not error.get("code") or not error.get("message"):
        return "it is not in Graph's form"
    inner = error.get("innerError", {})
    if inner.get("request-id") != given.headers.get("request-id") or not inner.get("date"):
        return "its innerError does not name the request"
    return None


def _is_login(asked: Asked) -> bool:
    with suppress(Refusal):
        return login.serves(segments(asked.path.decode("latin-1")))
    return False


def remember(generator: Generator, given: Given) -> None:
    """Keep what later requests can use: ids, and tokens that lead on."""
    if given.status >= 300 or b'"id"' not in given.body:
        return
    body = json.loads(given.body)
    rows = body.get("value", [body]) if isinstance(body, dict) else []
    found = (
        [row["id"] for row in rows[:2] if isinstance(row, dict) and isinstance(row.get("id"), str)]
        if isinstance(rows, list)
        else []
    )
    _, mark, token = str(body.get("@odata.nextLink", "")).partition("skiptoken=")
    generator.seen = [*generator.seen[-20:], *found, *([token] if mark else [])]


def shown(asked: Asked, given: Given) -> str:
    """A request and its answer, short enough to be read."""
    headers = [each for each in asked.headers if each[0] != b"authorization"]
    return (
        f"{given.status} {given.body[:300]!r} to {asked.method} {asked.path[:200]!r}?{asked.query[:500]!r} "
        f"{str(headers)[:300]} {asked.body[:200]!r}"
    )


@pytest.mark.parametrize("seed", range(SEEDS))
def test_every_request_is_answered_soon_and_in_form(seed: int, tmp_path: Path) -> None:
    async def run() -> tuple[list[str], dict[int, int]]:
        faults: list[str] = []
        statuses: dict[int, int] = {}
        async with opened(tmp_path / "data") as (application, token):
            generator = Generator(random.Random(seed), token)
            for number in range(REQUESTS):
                asked = generator.next()
                given = await ask(application, asked)
                statuses[given.status] = statuses.get(given.status, 0) + 1
                if fault := fault_of(asked, given):
                    faults.append(f"request {number}: {fault}: {shown(asked, given)}")
                remember(generator, given)
        return faults, statuses

    faults, statuses = asyncio.run(run())
    print(f"seed {seed}: {dict(sorted(statuses.items()))}")  # noqa: T201
    assert not faults, "\n".join([f"{len(faults)} faults", *faults[:5]])
    assert statuses[200] > REQUESTS / 20, "hardly anything got through"
    assert statuses[201] > REQUESTS / 200, "hardly anything was created"
