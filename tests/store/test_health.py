"""What `adjoin check` is told of a PostgreSQL database."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.postgresql import Databases, name_of
from tests.store.opened import on

from adjoin.store.database import Database
from adjoin.store.health import Sign, signs


@pytest.fixture
def url(postgresql: Databases) -> Iterator[str]:
    with postgresql.lent() as lent:
        yield lent


def looked(url: str) -> dict[str, Sign]:
    async def act(database: Database) -> dict[str, Sign]:
        return {each.what: each for each in await signs(database.reader)}

    return on(url, act)


def test_a_server_that_does_not_wait_for_its_disk_is_a_fault(url: str) -> None:
    # As that of the tests does not.
    found = looked(url)
    assert not found["durability"].healthy
    assert "can lose what was acknowledged" in found["durability"].says
    assert all(each.healthy for what, each in found.items() if what != "durability")


def test_a_role_that_no_wall_holds_is_a_fault(url: str, postgresql: Databases) -> None:
    found = looked(postgresql.server.url(name_of(url), "postgres"))
    assert not found["row-level security"].healthy
    assert "superuser" in found["row-level security"].says


def test_a_table_without_its_wall_is_a_fault(url: str, postgresql: Databases) -> None:
    postgresql.server.run("ALTER TABLE grants NO FORCE ROW LEVEL SECURITY", name_of(url))
    try:
        sign = looked(url)["row-level security"]
        assert (sign.healthy, sign.says) == (False, "not on grants")
    finally:
        postgresql.server.run("ALTER TABLE grants FORCE ROW LEVEL SECURITY", name_of(url))
