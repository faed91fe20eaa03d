"""Every system query option of the list through the Python SDK, one by one and together."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from tests.clients.session import Session, State, asking, unique

pytestmark = pytest.mark.anyio


@pytest.fixture
async def name(session: Session) -> str:
    """What the names of four connectors begin with: `… alpha`, `… beta`, `… gamma`, `… delta`."""
    name = unique("q")
    states = {"alpha": State.Active, "beta": State.Error, "gamma": State.Inactive, "delta": State.Active}
    for at, (word, state) in enumerate(states.items()):
        when = datetime(2026, 1, 1 + at, 12, tzinfo=UTC)
        await session.create(f"{name} {word}", state=state, last_connection_date_time=when, version=f"6.{at}")
    return name


def words(names: list[str]) -> list[str]:
    return [each.rpartition(" ")[2] for each in names]


async def test_without_options_everything_comes(session: Session, name: str) -> None:
    page = await session.connectors.get()
    assert len([each for each in page.value if (each.display_name or "").startswith(name)]) == 4
    assert page.odata_count is None


async def test_select_leaves_out_the_rest(session: Session, name: str) -> None:
    page = await session.connectors.get(
        asking(filter=f"startswith(displayName,'{name}')", select=["id", "displayName"])
    )
    assert len(page.value) == 4
    assert all(each.id and each.display_name and each.version is each.state is None for each in page.value)


@pytest.mark.parametrize(
    ("condition", "found"),
    [
        ("displayName eq '{} beta'", {"beta"}),
        ("displayName ne '{} beta'", {"alpha", "gamma", "delta"}),
        ("endswith(displayName,'ta')", {"beta", "delta"}),
        ("contains(displayName,'{} g')", {"gamma"}),
        ("state eq 'active'", {"alpha", "delta"}),
        ("state in ('error','inactive')", {"beta", "gamma"}),
        ("not (state eq 'active')", {"beta", "gamma"}),
        ("lastConnectionDateTime ge 2026-01-03T12:00:00Z", {"gamma", "delta"}),
        ("lastConnectionDateTime lt 2026-01-02T14:00:00+02:00", {"alpha"}),
        ("version eq '6.1' or version eq '6.3'", {"beta", "delta"}),
        ("state eq 'active' and lastConnectionDateTime gt 2026-01-02T00:00:00Z", {"delta"}),
        ("tolower(displayName) eq '{} alpha'", {"alpha"}),
    ],
)
async def test_filter(session: Session, name: str, condition: str, found: set[str]) -> None:
    mine = f"startswith(displayName,'{name}')"
    names = await session.names(filter=f"{mine} and ({condition.replace('{}', name)})")
    assert set(words(names)) == found


async def test_filter_takes_every_character(session: Session) -> None:
    name = unique('O\'Brien & Söhne +100%/#?="x" 東京 🐧')
    made = await session.create(name)
    quoted = name.replace("'", "''")
    (found,) = (await session.connectors.get(asking(filter=f"displayName eq '{quoted}'"))).value
    assert (found.id, found.display_name) == (made.id, name)


@pytest.mark.parametrize(
    ("order", "found"),
    [
        (["displayName"], ["alpha", "beta", "delta", "gamma"]),
        (["displayName desc"], ["gamma", "delta", "beta", "alpha"]),
        (["lastConnectionDateTime desc"], ["delta", "gamma", "beta", "alpha"]),
        (["state", "displayName desc"], ["delta", "alpha", "beta", "gamma"]),
        (["version asc"], ["alpha", "beta", "gamma", "delta"]),
    ],
)
async def test_orderby(session: Session, name: str, order: list[str], found: list[str]) -> None:
    assert words(await session.names(filter=f"startswith(displayName,'{name}')", orderby=order)) == found


async def test_top_and_skip_cut_a_piece_out(session: Session, name: str) -> None:
    mine = f"startswith(displayName,'{name}')"
    assert words(await session.names(filter=mine, orderby=["displayName"], top=2)) == ["alpha", "beta"]
    assert words(await session.names(filter=mine, orderby=["displayName"], skip=3)) == ["gamma"]
    assert words(await session.names(filter=mine, orderby=["displayName"], skip=1, top=2)) == ["beta", "delta"]
    assert await session.names(filter=mine, skip=4) == []


async def test_count_tells_of_all_that_match(session: Session, name: str) -> None:
    page = await session.connectors.get(asking(filter=f"startswith(displayName,'{name}')", count=True, top=1))
    assert (page.odata_count, len(page.value)) == (4, 1)


async def test_search_finds_words(session: Session, name: str) -> None:
    assert words(await session.names(search=f'"{name}" AND "gamma"')) == ["gamma"]
    assert len(await session.names(search=f'"{name}"')) == 4


async def test_all_options_together(session: Session, name: str) -> None:
    options = asking(
        count=True,
        filter=f"startswith(displayName,'{name}')",
        orderby=["displayName desc"],
        select=["id", "displayName"],
        skip=1,
        top=1,
    )
    page = await session.connectors.get(options)
    assert words([each.display_name for each in page.value]) == ["delta"]
    assert page.odata_count == 4
    assert page.value[0].version is None


async def test_headers_that_graph_callers_send_are_taken(session: Session, name: str) -> None:
    headers = {"ConsistencyLevel": "eventual", "OData-Version": "4.0", "OData-MaxVersion": "4.01", "Prefer": "x-none"}
    page = await session.connectors.get(asking(headers, filter=f"startswith(displayName,'{name}')", count=True))
    assert page.odata_count == 4
