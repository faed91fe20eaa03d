"""Subscriptions and delta queries through the Python SDK, with a real receiver of notifications."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Queue
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from msgraph_beta.generated.models.o_data_errors.o_data_error import ODataError
from msgraph_beta.generated.models.subscription import Subscription
from tests.clients import service
from tests.clients.service import Service
from tests.clients.session import Session, State, StaticToken, signed_in, unique

pytestmark = pytest.mark.anyio

RESOURCE = "deviceManagement/domainJoinConnectors"


@dataclass
class Receiver:
    """A webhook on this machine: it consents, and keeps what it is sent."""

    url: str
    bodies: Queue[bytes] = field(default_factory=Queue)

    async def next(self) -> list[Any]:
        """The notifications of the next body. The SDK has no type for them."""
        found: list[Any] = json.loads(await asyncio.to_thread(self.bodies.get, True, 60))["value"]
        return found


@contextmanager
def receiving() -> Iterator[Receiver]:
    class Hook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            asked = parse_qs(urlsplit(self.path).query).get("validationToken")
            if asked is None:
                receiver.bodies.put(body)
            said = asked[0].encode() if asked else b""
            self.send_response(200 if asked else 202)
            self.send_header("Content-Type", "text/plain")
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        def log_message(self, *_: object) -> None:
            """Nothing is logged."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Hook) as server:
        receiver = Receiver(f"http://127.0.0.1:{server.server_address[1]}/hook")
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield receiver
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(scope="module")
def notifying(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service that may notify receivers on this machine."""
    folder: Path = tmp_path_factory.mktemp("notifying")
    with service.serving(folder / "data", None, "--webhook-allow", "http://127.0.0.1") as running:
        yield running


def subscription(receiver: Receiver) -> Any:
    return Subscription(
        change_type="created,updated,deleted",
        notification_url=receiver.url,
        resource=RESOURCE,
        client_state="a secret",
        expiration_date_time=datetime.now(UTC) + timedelta(hours=1),
    )


async def test_a_subscription_is_made_renewed_told_of_changes_and_removed(notifying: Service) -> None:
    with receiving() as receiver:
        async with signed_in(notifying.url, StaticToken(notifying.writer)) as session:
            subscriptions: Any = session.client.subscriptions
            made = await subscriptions.post(subscription(receiver))
            connector = await session.create(unique())
            (told,) = await receiver.next()
            assert (told["changeType"], told["resource"]) == ("created", f"{RESOURCE}/{connector.id}")
            assert (told["subscriptionId"], told["clientState"]) == (made.id, "a secret")
            await session.connector(connector.id).delete()
            (told,) = await receiver.next()
            assert told["changeType"] == "deleted"
            one = subscriptions.by_subscription_id(made.id)
            later = datetime.now(UTC) + timedelta(hours=2)
            renewed = await one.patch(Subscription(expiration_date_time=later))
            assert abs(renewed.expiration_date_time - later) < timedelta(seconds=1)
            await one.reauthorize.post()
            assert [each.id for each in (await subscriptions.get()).value] == [made.id]
            await one.delete()
            with pytest.raises(ODataError):
                await one.get()
            await session.create(unique())
            assert receiver.bodies.empty()


async def changes(session: Session, url: str) -> tuple[list[Any], str]:
    """What a round of a delta query tells, and its deltaLink. The SDK has no builder of it: it is none of Graph's."""
    found: list[Any] = []
    while True:
        page = await session.connectors.with_url(url).get()
        found += page.value
        if page.odata_next_link is None:
            return found, page.additional_data["@odata.deltaLink"]
        url = page.odata_next_link


async def test_a_delta_link_tells_what_is_another_since(notifying: Service) -> None:
    async with signed_in(notifying.url, StaticToken(notifying.writer)) as session:
        first, second = [await session.create(unique()) for _ in range(2)]
        listed, link = await changes(session, f"{notifying.url}/{RESOURCE}/delta?$top=1")
        assert {first.id, second.id} <= {each.id for each in listed}
        await session.connector(first.id).delete()
        third = await session.create(unique(), state=State.Error)
        told, link = await changes(session, link)
        removed = {each.id: each.additional_data.get("@removed") for each in told}
        assert removed == {first.id: {"reason": "deleted"}, third.id: None}
        assert (await changes(session, link))[0] == []
