"""A service that throttles, and official clients that make 1,000 connectors in Python and 1,000 in JavaScript.

None is lost, and none is there twice: the clients wait as long as they are told, and try again.
"""

from __future__ import annotations

import asyncio
import ssl
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import httpx
import pytest
from tests.clients.certificates import Certificates
from tests.clients.node import installed
from tests.clients.service import Service, environment, serving
from tests.clients.session import Session, StaticToken, asking, signed_in

NUMBER: Final = 1_000
AT_ONCE: Final = 8
# Windows of two seconds, and not of twenty as Graph's, so that nobody waits for long.
LIMITS: Final = "200,200,5000,5000/2"
JS: Final = Path(__file__).parent / "js"

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def limited(tmp_path_factory: pytest.TempPathFactory, certs: Certificates) -> Iterator[Service]:
    """A service over https with limits of its own."""
    folder = tmp_path_factory.mktemp("limited") / "data"
    with serving(folder, certs, "--throttle", LIMITS) as running:
        yield running


async def names(session: Session, prefix: str) -> list[str]:
    """The display names that begin so, of all pages."""
    found: list[str] = []
    page = await session.connectors.get(asking(filter=f"startswith(displayName,'{prefix}')", select=["displayName"]))
    while True:
        found += [each.display_name for each in page.value]
        if not page.odata_next_link:
            return found
        page = await session.connectors.with_url(page.odata_next_link).get()


async def check(session: Session, prefix: str, number: int) -> None:
    assert Counter(await names(session, prefix)) == Counter(f"{prefix} {at:04}" for at in range(number))


async def use_up(limited: Service, certs: Certificates, session: Session) -> None:
    """Make changes to nothing until the client is refused one, however slow the machine is that it runs on."""
    nothing = "/deviceManagement/domainJoinConnectors/00000000-0000-0000-0000-000000000009"
    requests = [{"id": str(at), "method": "DELETE", "url": nothing} for at in range(20)]
    headers = {"Authorization": f"Bearer {limited.writer}"}
    verify = ssl.create_default_context(cafile=str(certs.authority))
    async with httpx.AsyncClient(headers=headers, verify=verify, timeout=60) as client:
        while 429 not in session.statuses:
            (await client.post(f"{limited.url}/$batch", json={"requests": requests})).raise_for_status()


async def test_the_python_sdk(limited: Service, certs: Certificates) -> None:
    waiting = iter(range(NUMBER))
    async with signed_in(limited.url, StaticToken(limited.writer), certs.authority) as session:

        async def work() -> None:
            for at in waiting:
                await session.create(f"python {at:04}")

        await asyncio.gather(use_up(limited, certs, session), *(work() for _ in range(AT_ONCE)))
        counts = Counter(session.statuses)
        assert counts[201] == NUMBER
        assert counts[429] > 0
        assert set(counts) == {201, 429}
        await check(session, "python", NUMBER)


@pytest.mark.parametrize("client", ["graph-client", "kiota"])
async def test_the_javascript_clients(client: str, limited: Service, certs: Certificates) -> None:
    node = installed(JS)
    told = environment(
        NODE_EXTRA_CA_CERTS=str(certs.authority),
        CLIENTS_ORIGIN=limited.origin,
        CLIENTS_WRITER=limited.writer,
        CLIENTS_NUMBER=str(NUMBER // 2),
        CLIENTS_AT_ONCE=str(AT_ONCE),
    )
    command = [node, "creates.js", client]
    done = await asyncio.to_thread(
        subprocess.run, command, cwd=JS, env=told, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"
    refused = int(done.stdout)
    assert refused > 0
    async with signed_in(limited.url, StaticToken(limited.writer), certs.authority) as session:
        await check(session, client, NUMBER // 2)
