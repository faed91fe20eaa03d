"""A throttled Python SDK waits, tries again, and makes one connector of one request."""

from __future__ import annotations

import json
import time

import pytest
from tests.clients.service import Service
from tests.clients.session import StaticToken, asking, signed_in, unique
from tests.clients.throttle import Throttle

pytestmark = pytest.mark.anyio


async def test_a_throttled_create_makes_one_connector(plain: Service, plain_throttle: Throttle) -> None:
    name = unique("throttled")
    async with signed_in(plain_throttle.url, StaticToken(plain.writer)) as session:
        start = time.monotonic()
        made = await session.create(name)
        assert time.monotonic() - start >= 1
    attempts = [
        passed for _, _, body, passed in plain_throttle.seen if body and json.loads(body)["displayName"] == name
    ]
    assert attempts == [False, True]
    async with signed_in(plain.url, StaticToken(plain.writer)) as session:
        (found,) = (await session.connectors.get(asking(filter=f"displayName eq '{name}'"))).value
        assert found.id == made.id


async def test_a_throttled_change_and_removal_get_through(plain: Service, plain_throttle: Throttle) -> None:
    async with signed_in(plain.url, StaticToken(plain.writer)) as direct:
        made = await direct.create(unique())
        async with signed_in(plain_throttle.url, StaticToken(plain.writer)) as session:
            made.version = "8"
            assert (await session.connector(made.id).patch(made)).version == "8"
            await session.connector(made.id).delete()
        assert await direct.names(filter=f"id eq '{made.id}'") == []


async def test_a_link_got_through_a_proxy_leads_through_it(plain: Service, plain_throttle: Throttle) -> None:
    async with signed_in(plain.url, StaticToken(plain.writer)) as direct:
        for _ in range(2):
            await direct.create(unique())
    async with signed_in(plain_throttle.url, StaticToken(plain.writer)) as session:
        page = await session.connectors.get(asking({"Prefer": "odata.maxpagesize=1"}, select=["id"]))
        assert page.odata_next_link.startswith(plain_throttle.origin)
        assert len((await session.connectors.with_url(page.odata_next_link).get()).value) == 1
