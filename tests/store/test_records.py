"""Tenants, applications and settings: what is found, by whom, and what is taken already."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import pytest
from tests.store.opened import CREATED, Place, connector, guid, new_tenant, on

from adjoin.model import CONNECTOR
from adjoin.store import applications, rows, settings, tenants
from adjoin.store.applications import Application
from adjoin.store.database import Database
from adjoin.store.tables import table_of
from adjoin.store.tenants import Tenant

PROBE: Final = Application(guid(10), guid(11), "probe", ("A.Read.All", "B.ReadWrite.All"), b"\x00" * 32, CREATED)

NOW: Final = 1_800_000_000
# Which licences let requests in.
LICENSED: Final = {tenants.ACTIVE: True, tenants.WARNING: True, tenants.SUSPENDED: False, tenants.NO_LICENCE: False}


class TestTenants:
    def test_are_found_by_id_or_name(self, place: Place) -> None:
        async def act(database: Database) -> None:
            first, _ = [await new_tenant(database, number) for number in (0xA, 0xB)]
            assert first == Tenant(1, guid(0xA), "tenant 10", "active", CREATED)
            assert await tenants.find(database.reader, guid(0xA)) == first
            for text in (guid(0xA), guid(0xA).upper(), "tenant 10"):
                assert await tenants.find_by_id_or_name(database.reader, text) == first
            for text in ("", "tenant", "TENANT 10", guid(0xC)):
                assert await tenants.find_by_id_or_name(database.reader, text) is None
            assert await tenants.find(database.reader, "tenant 10") is None

        on(place, act)

    def test_are_listed_oldest_first(self, place: Place) -> None:
        async def act(database: Database) -> None:
            added = [await new_tenant(database, number) for number in (3, 1, 2)]
            assert await tenants.every(database.reader) == added

        on(place, act)

    @pytest.mark.parametrize(("number", "name"), [(1, "other"), (2, "tenant 1")])
    def test_are_not_added_under_a_taken_id_or_name(self, place: Place, number: int, name: str) -> None:
        async def act(database: Database) -> None:
            first = await new_tenant(database, 1)
            taken = await database.write(lambda session: tenants.add(session, guid(number), name, "active", CREATED))
            assert taken is None
            assert await tenants.every(database.reader) == [first]

        on(place, act)

    def test_have_a_licence_that_can_be_taken_and_given(self, place: Place) -> None:
        async def act(database: Database) -> None:
            first, second = await new_tenant(database, 1), await new_tenant(database, 2)
            for licence, licensed in LICENSED.items():
                await database.write(
                    lambda session, licence=licence: tenants.set_licence(session, first.number, licence)  # type: ignore[misc]
                )
                found = await tenants.find(database.reader, first.id)
                assert found == replace(first, licence=licence)
                assert [found.licensed(now) for now in (0, NOW, 1e12)] == [licensed] * 3
                assert await tenants.find(database.reader, second.id) == second

        on(place, act)

    @pytest.mark.parametrize("licence", tenants.LICENCES)
    def test_have_a_licence_that_ends(self, place: Place, licence: str) -> None:
        async def act(database: Database) -> None:
            first, second = await new_tenant(database, 1), await new_tenant(database, 2)
            await database.write(lambda session: tenants.set_licence(session, first.number, licence, NOW))
            found = await tenants.find(database.reader, first.id)
            assert found == replace(first, licence=licence, licence_ends=NOW)
            assert [found.licensed(now) for now in (NOW - 0.5, NOW, NOW + 1)] == [LICENSED[licence], False, False]
            assert [found.licence_at(now) for now in (NOW - 0.5, NOW)] == [licence, tenants.NO_LICENCE]
            assert await tenants.find(database.reader, second.id) == second
            # An end is not kept by a licence that is set without one.
            await database.write(lambda session: tenants.set_licence(session, first.number, licence))
            assert await tenants.find(database.reader, first.id) == replace(first, licence=licence)

        on(place, act)

    def test_take_with_them_all_that_is_theirs_and_nothing_else(self, place: Place) -> None:
        table = table_of(CONNECTOR)

        async def act(database: Database) -> None:
            for number in (1, 2):
                tenant = await new_tenant(database, number)
                await database.write(lambda session, n=tenant.number: rows.insert(session, table, n, connector(1), 1))  # type: ignore[misc]
                await database.write(lambda session, n=tenant.number: applications.add(session, n, PROBE))  # type: ignore[misc]
            await database.write(lambda session: tenants.remove(session, 1))
            assert [each.number for each in await tenants.every(database.reader)] == [2]
            assert [await rows.count(database.reader, table, number) for number in (1, 2)] == [0, 1]
            assert [len(await applications.every(database.reader, number)) for number in (1, 2)] == [0, 1]

        on(place, act)

    def test_never_get_the_number_of_one_that_was_removed(self, place: Place) -> None:
        # A number that came back would let what still holds the old tenant (a request under way) reach the new one.
        async def act(database: Database) -> None:
            removed = await new_tenant(database, 1)
            await database.write(lambda session: tenants.remove(session, removed.number))
            assert (await new_tenant(database, 2)).number != removed.number

        on(place, act)


class TestApplications:
    def test_are_found_in_their_own_tenant(self, place: Place) -> None:
        async def act(database: Database) -> None:
            for number in (1, 2):
                await new_tenant(database, number)
            assert await database.write(lambda session: applications.add(session, 1, PROBE)) == PROBE
            assert await applications.find(database.reader, 1, PROBE.id) == PROBE
            assert await applications.find(database.reader, 2, PROBE.id) is None
            assert await applications.find(database.reader, 1, PROBE.name) is None
            assert await applications.every(database.reader, 2) == []

        on(place, act)

    def test_are_listed_by_name(self, place: Place) -> None:
        async def act(database: Database) -> None:
            await new_tenant(database, 1)
            for at, name in enumerate(("c", "a", "b")):
                new = replace(PROBE, id=guid(20 + at), name=name)
                await database.write(lambda session, new=new: applications.add(session, 1, new))  # type: ignore[misc]
            assert [each.name for each in await applications.every(database.reader, 1)] == ["a", "b", "c"]

        on(place, act)

    @pytest.mark.parametrize("other", [replace(PROBE, name="other"), replace(PROBE, id=guid(12))], ids=["id", "name"])
    def test_are_not_added_under_a_taken_id_or_name(self, place: Place, other: Application) -> None:
        async def act(database: Database) -> None:
            await new_tenant(database, 1)
            await database.write(lambda session: applications.add(session, 1, PROBE))
            assert await database.write(lambda session: applications.add(session, 1, other)) is None
            assert await applications.every(database.reader, 1) == [PROBE]

        on(place, act)

    @pytest.mark.parametrize("named", [PROBE.id, PROBE.id.upper(), PROBE.name])
    def test_are_removed_by_id_or_name_from_their_own_tenant(self, place: Place, named: str) -> None:
        async def act(database: Database) -> None:
            for number in (1, 2):
                await new_tenant(database, number)
                await database.write(lambda session, number=number: applications.add(session, number, PROBE))  # type: ignore[misc]
            assert await database.write(lambda session: applications.remove(session, 1, named)) == PROBE
            assert await database.write(lambda session: applications.remove(session, 1, named)) is None
            assert await applications.every(database.reader, 2) == [PROBE]

        on(place, act)


class TestSettings:
    def test_are_kept_as_they_were_first(self, place: Place) -> None:
        async def act(database: Database) -> None:
            assert await settings.find(database.reader, "a") is None
            for value in (b"first", b"second"):
                kept = await database.write(lambda session, value=value: settings.keep_first(session, "a", value))  # type: ignore[misc]
                assert kept == b"first"
            assert await settings.find(database.reader, "a") == b"first"
            assert await settings.find(database.reader, "b") is None

        on(place, act)

    def test_outlive_a_restart(self, place: Place) -> None:
        on(place, lambda database: database.write(lambda session: settings.keep_first(session, "a", b"\x00\xff")))
        assert on(place, lambda database: settings.find(database.reader, "a")) == b"\x00\xff"
