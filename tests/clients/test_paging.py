"""2,500 connectors through the Python SDK's own page iterator."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from msgraph_core.tasks.page_iterator import PageIterator
from tests.clients.certificates import Certificates
from tests.clients.filling import row_name
from tests.clients.service import Service
from tests.clients.session import Session, StaticToken, asking, signed_in

pytestmark = pytest.mark.anyio

EVERY = [row_name(at) for at in range(2_500)]
# The SDK takes ten to twenty milliseconds to read a connector, so all of them are walked through once only.
FEW = "displayName lt 'row 0100'"
SHORT_PAGES = {"Prefer": "odata.maxpagesize=30"}


@pytest.fixture(params=["http", "https"])
async def crowd(request: pytest.FixtureRequest, certs: Certificates) -> AsyncIterator[Session]:
    kind = {"http": "plain", "https": "secure"}[request.param]
    running: Service = request.getfixturevalue(kind)
    credential = StaticToken(request.getfixturevalue(f"{kind}_crowd"))
    async with signed_in(running.url, credential, certs.authority if request.param == "https" else None) as found:
        yield found


class Names(list[str]):
    """The names of what an iterator passes."""

    def take(self, each: Any) -> bool:
        """Note a connector's name; the iterator goes on."""
        self.append(each.display_name)
        return True


async def walked(session: Session, headers: dict[str, str] | None = None, **options: object) -> list[str]:
    """The names that the iterator passes, in order."""
    names = Names()
    page = await session.connectors.get(asking(headers, **options))
    iterator = PageIterator(page, session.client.request_adapter)
    # None of the iterator's own methods sets a header (clients.md section 1).
    for name, text in (headers or {}).items():
        iterator.headers.add(name, text)
    await iterator.iterate(names.take)
    return names


@pytest.mark.parametrize("crowd", ["http"], indirect=True)
async def test_every_row_comes_once(crowd: Session) -> None:
    names = await walked(crowd)
    assert len(crowd.answers) == 3
    assert sorted(names) == EVERY


async def test_order_and_filter_hold_across_pages(crowd: Session) -> None:
    names = await walked(crowd, SHORT_PAGES, filter=f"{FEW} and state ne 'error'", orderby=["displayName desc"])
    assert names == [name for at, name in enumerate(EVERY[:100]) if at % 3 != 1][::-1]
    assert len(crowd.answers) == 3


async def test_the_page_is_as_long_as_was_preferred(crowd: Session) -> None:
    names = await walked(crowd, SHORT_PAGES, filter=FEW, orderby=["lastConnectionDateTime"])
    assert names == EVERY[:100]
    assert len(crowd.answers) == 4
    assert crowd.answers[-1].headers["preference-applied"] == "odata.maxpagesize=30"


async def test_the_preference_for_a_page_size_stays_with_the_link(crowd: Session) -> None:
    page = await crowd.connectors.get(asking(SHORT_PAGES, filter=FEW))
    names = Names()
    iterator = PageIterator(page, crowd.client.request_adapter)
    await iterator.iterate(names.take)
    assert sorted(names) == EVERY[:100]
    assert len(crowd.answers) == 4


async def test_top_ends_the_iteration(crowd: Session) -> None:
    names = await walked(crowd, SHORT_PAGES, orderby=["displayName"], top=70)
    assert names == EVERY[:70]


async def test_select_holds_across_pages(crowd: Session) -> None:
    page = await crowd.connectors.get(asking(SHORT_PAGES, select=["displayName"]))
    following = await crowd.connectors.with_url(page.odata_next_link).get()
    assert len(page.value) == len(following.value) == 30
    assert all(each.display_name and each.version is None for each in following.value)


async def test_a_link_leads_to_where_the_client_is(crowd: Session) -> None:
    page = await crowd.connectors.get(asking(SHORT_PAGES))
    assert page.odata_next_link.startswith(f"{crowd.client.request_adapter.base_url}/deviceManagement/")


async def test_an_iteration_can_stop_and_go_on(crowd: Session) -> None:
    names = Names()
    page = await crowd.connectors.get(asking(SHORT_PAGES, filter=FEW))
    iterator = PageIterator(page, crowd.client.request_adapter)
    await iterator.iterate(lambda each: names.take(each) and len(names) != 45)
    assert len(names) == 45
    iterator.headers.add("Prefer", SHORT_PAGES["Prefer"])
    await iterator.iterate(names.take)
    assert sorted(names) == EVERY[:100]


async def test_the_count_is_of_all_pages(crowd: Session) -> None:
    page = await crowd.connectors.get(asking(SHORT_PAGES, count=True))
    assert (page.odata_count, len(page.value)) == (2_500, 30)
    assert await crowd.connectors.count.get() == 2_500
