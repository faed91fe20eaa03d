"""What `adjoin check` is told of a PostgreSQL database."""

from __future__ import annotations

import time
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


def looked(url: str, off: float = 0.0) -> dict[str, Sign]:
    """What is said where our clock is off by so many seconds."""

    async def act(database: Database) -> dict[str, Sign]:
        return {each.what: each for each in await signs(database.reader, lambda: time.time() + off)}

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


@pytest.mark.parametrize(("off", "side"), [(60.0, "ahead of"), (-60.0, "behind")])
def test_a_clock_that_is_off_is_a_fault(url: str, off: float, side: str) -> None:
    sign = looked(url, off)["clock"]
    assert not sign.healthy
    assert f" s {side} the database server's" in sign.says


@pytest.mark.parametrize("table", ["tenants", "settings"])
def test_tables_that_belong_to_no_tenant_have_a_wall_as_well(url: str, postgresql: Databases, table: str) -> None:
    postgresql.server.run(f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY", name_of(url))
    try:
        assert looked(url)["row-level security"].says == f"not on {table}"
    finally:
        postgresql.server.run(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY", name_of(url))


def test_a_database_that_is_to_be_read_only_is_a_fault(url: str, postgresql: Databases) -> None:
    postgresql.server.run(f"ALTER DATABASE {name_of(url)} SET default_transaction_read_only = on")
    try:
        sign = looked(url)["database role"]
        assert (sign.healthy, sign.says) == (False, "it reads only: default_transaction_read_only is on")
    finally:
        postgresql.server.run(f"ALTER DATABASE {name_of(url)} RESET default_transaction_read_only")
