"""Rows of people: one name in a tenant, and the changes to an account."""

from __future__ import annotations

from dataclasses import replace

from tests.store.opened import Place, on

from adjoin.store import tenants, users
from adjoin.store.database import Session
from adjoin.store.users import User

ALICE = User("id-a", "alice", "Alice", "hash", ("P", "Q"), "2027")


def test_people_are_kept_by_tenant(place: Place) -> None:
    async def act(session: Session) -> None:
        for number in (1, 2):
            await tenants.add(session, f"tenant {number}", f"name {number}", "active", "2027")
        assert await users.add(session, 1, ALICE) == ALICE
        assert await users.add(session, 1, replace(ALICE, id="id-b")) is None
        assert await users.add(session, 1, replace(ALICE, name="bob")) is None
        assert await users.add(session, 2, ALICE) == ALICE
        assert await users.find(session, 1, "id-a") == ALICE
        assert await users.find_by_name(session, 1, "alice") == ALICE
        assert await users.find_by_name(session, 1, "Alice") is None
        await users.set_enabled(session, 1, "id-a", enabled=False)
        await users.set_password(session, 1, "id-a", "new")
        assert await users.every(session, 1) == [replace(ALICE, enabled=False, password_hash="new")]
        await users.remove(session, 1, "id-a")
        assert await users.every(session, 1) == []
        assert await users.every(session, 2) == [ALICE]

    on(place, lambda database: database.write(act))
