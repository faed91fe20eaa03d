"""Rows of what was granted: conditional changes, tenants apart, and the sweep."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
from tests.store.opened import Place, on

from adjoin.store import grants, tenants
from adjoin.store.database import Session
from adjoin.store.grants import Kept
from adjoin.store.statements import Everywhere

NOW = 1_800_000_000


def kept(name: str, *, kind: str = grants.CODE, expires: int = NOW + 60, created: int = NOW) -> Kept:
    return Kept(name.encode().ljust(32), kind, grants.READY, "client", "person", b"content", created, expires)


@pytest.fixture
def act(place: Place) -> Callable[[Callable[[Session], Awaitable[None]]], None]:
    """Runs a test in a transaction of a new database with two tenants, numbers 1 and 2."""

    def run(test: Callable[[Session], Awaitable[None]]) -> None:
        async def within(session: Session) -> None:
            for number in (1, 2):
                await tenants.add(session, f"tenant {number}", f"name {number}", "active", "2027")
            await test(session)

        on(place, lambda database: database.write(within))

    return run


Act = Callable[[Callable[[Session], Awaitable[None]]], None]


def test_a_row_is_found_by_tenant_kind_and_digest(act: Act) -> None:
    async def test(session: Session) -> None:
        new = kept("a")
        assert await grants.add(session, 1, new)
        assert not await grants.add(session, 1, new)
        assert await grants.find(session, 1, grants.CODE, new.digest) == new
        assert await grants.find(session, 2, grants.CODE, new.digest) is None
        assert await grants.find(session, 1, grants.REFRESH, new.digest) is None

    act(test)


def test_a_row_changes_from_the_state_it_was_seen_in(act: Act) -> None:
    async def test(session: Session) -> None:
        new = kept("a")
        await grants.add(session, 1, new)
        assert not await grants.settle(session, 2, new, grants.SPENT)
        assert await grants.settle(session, 1, new, grants.SPENT)
        assert not await grants.settle(session, 1, new, grants.SPENT)
        found = await grants.find(session, 1, grants.CODE, new.digest)
        assert found is not None
        assert (found.state, found.subject) == (grants.SPENT, "person")
        assert await grants.settle(session, 1, found, grants.READY, "another")

    act(test)


def test_content_is_replaced_where_it_is_what_it_was(act: Act) -> None:
    async def test(session: Session) -> None:
        new = kept("a")
        await grants.add(session, 1, new)
        assert await grants.replace(session, 1, new, b"next", NOW + 99)
        assert not await grants.replace(session, 1, new, b"other", NOW + 99)
        found = await grants.find(session, 1, grants.CODE, new.digest)
        assert found is not None
        assert (found.content, found.expires) == (b"next", NOW + 99)

    act(test)


def test_rows_of_a_person_and_of_an_application_are_dropped(act: Act) -> None:
    async def test(session: Session) -> None:
        for tenant in (1, 2):
            await grants.add(session, tenant, kept("a"))
        await grants.drop_of_subject(session, 1, "person")
        assert await grants.find(session, 1, grants.CODE, kept("a").digest) is None
        assert await grants.find(session, 2, grants.CODE, kept("a").digest) is not None
        await grants.drop_of_client(session, 2, "client")
        assert await grants.find(session, 2, grants.CODE, kept("a").digest) is None

    act(test)


def test_used_assertions_stay_known_when_an_application_loses_what_it_has(act: Act) -> None:
    async def test(session: Session) -> None:
        used = kept("a", kind=grants.ASSERTION)
        await grants.add(session, 1, used)
        await grants.drop_of_client(session, 1, "client")
        assert await grants.find(session, 1, grants.ASSERTION, used.digest) is not None

    act(test)


def test_what_is_long_over_is_swept_a_hundred_at_a_time(act: Act) -> None:
    async def test(session: Session) -> None:
        for number in range(150):
            await grants.add(session, 1 + number % 2, kept(str(number), expires=NOW + 60))
        await grants.add(session, 1, kept("just over", expires=NOW + 3_700))
        await grants.add(session, 1, kept("x", created=NOW + 3_661, expires=NOW + 9_000))
        assert await session.fetch(Everywhere("SELECT count(*) FROM grants")) == [(52,)]
        await grants.add(session, 1, kept("y", created=NOW + 3_661, expires=NOW + 9_000))
        assert await session.fetch(Everywhere("SELECT count(*) FROM grants")) == [(3,)]

    act(test)


def test_a_user_code_leads_to_its_one_tenant(act: Act) -> None:
    async def test(session: Session) -> None:
        await grants.add(session, 2, kept("a", kind=grants.USER_CODE))
        await grants.add(session, 1, kept("b", kind=grants.CODE))
        assert await grants.tenant_of_user_code(session, kept("a").digest) == 2
        assert await grants.tenant_of_user_code(session, kept("b").digest) is None
        await grants.add(session, 1, kept("a", kind=grants.USER_CODE))
        assert await grants.tenant_of_user_code(session, kept("a").digest) is None

    act(test)


def test_a_removed_tenant_takes_its_rows_along(act: Act) -> None:
    async def test(session: Session) -> None:
        await grants.add(session, 1, kept("a"))
        await tenants.remove(session, 1)
        assert await session.fetch(Everywhere("SELECT count(*) FROM grants")) == [(0,)]

    act(test)
