"""Check-ins that come together: kept in one transaction, and what comes of each is as if it had come alone."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

import pytest
from tests.store.opened import CREATED, connector, guid, new_tenant, opened

from adjoin.identity.caller import Caller, Kind
from adjoin.odata.errors import InvalidValue
from adjoin.odata.values import Instant
from adjoin.service import check_ins
from adjoin.service.audit import Recorder
from adjoin.service.check_ins import CheckIn, Intake, Taken
from adjoin.service.connectors import DOUBLED, Finding
from adjoin.service.errors import ConnectorRemoved, NotLicensed, UsedElsewhere
from adjoin.service.turns import Turns
from adjoin.service.world import World
from adjoin.store import connectors, rows, tenants
from adjoin.store.database import Database, Overloaded, Session, Unavailable
from adjoin.store.memory import Memory
from adjoin.store.tables import CONNECTORS
from adjoin.store.tenants import Tenant

T = TypeVar("T")

NOW: Final = 1_800_000_000.0
ONE: Final = "11111111-1111-4111-8111-111111111111"
OTHER: Final = "22222222-2222-4222-8222-222222222222"
VERSION: Final = "1.0.0.0"


class Wrong(Exception):
    """What a recorder raises that fails."""


@pytest.fixture(params=["sqlite", "postgresql"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path | str]:
    if request.param == "sqlite":
        yield tmp_path / "adjoin.db"
        return
    with request.getfixturevalue("postgresql").lent() as url:
        yield url


@dataclass
class Counted:
    """A database that counts its transactions; the next may be refused."""

    database: Database
    writes: int = 0
    refusal: Exception | None = None
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    held: asyncio.Event | None = None

    async def write(self, act: Callable[[Session], Awaitable[T]]) -> T:
        self.writes += 1
        self.begun.set()
        if self.held is not None:
            await self.held.wait()
        if self.refusal is not None:
            raise self.refusal
        return await self.database.write(act)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.database, name)


@dataclass
class Desk:
    """An intake, the tenant that its connectors belong to, and what it has been asked."""

    database: Counted
    tenant: Tenant
    intake: Intake = field(init=False)
    now: float = NOW

    def __post_init__(self) -> None:
        self.intake = Intake(self.database, Memory(), lambda: self.now, lambda act: act())

    async def add(self, count: int, tenant: Tenant | None = None, first: int = 0) -> None:
        """Connectors that were enrolled just now."""
        number, at = (tenant or self.tenant).number, Instant.from_unix(NOW - 1)

        async def act(session: Session) -> None:
            for each in range(first, first + count):
                values = connector(each, state="active", version=VERSION, lastConnectionDateTime=at)
                await rows.insert(session, CONNECTORS, number, values, 1)
                await connectors.enrol(session, number, guid(each), None, at, CREATED)

        await self.database.database.write(act)

    def take(self, number: int, sequence: int = 1, instance: str = ONE, **changes: Any) -> Awaitable[Taken]:
        """A check-in of a connector, of this tenant unless it is said otherwise."""
        tenant: Tenant = changes.pop("tenant", self.tenant)
        recorder = changes.pop("recorder", recorder_of)
        said = CheckIn(guid(number), instance, sequence, changes.pop("version", VERSION), **changes)
        return self.intake.take(said, caller(tenant, number), recorder)

    async def together(self, *asked: Awaitable[Taken]) -> list[Any]:
        """What came of each, a refusal's class where it was refused, of check-ins that come at the same time."""
        outcomes = await asyncio.gather(*asked, return_exceptions=True)
        return [type(each) if isinstance(each, BaseException) else each.standing.state for each in outcomes]

    async def kept(self, number: int) -> tuple[str | None, int, bool]:
        """The instance and the sequence last heard, and whether the key is used twice."""
        found = await connectors.find(
            self.database.reader, self.tenant.number, guid(number), Instant.from_unix(NOW).ticks
        )
        assert found is not None
        return found.instance, found.sequence, found.doubled


def caller(tenant: Tenant, number: int) -> Caller:
    return Caller(
        tenant_id=tenant.id,
        subject=guid(number),
        client_id=guid(number),
        kind=Kind.APPLICATION,
        permissions=frozenset({"Connector.Act"}),
        personal=False,
        not_before=0,
        expires=2**31,
        issued=0,
        issuer=None,
        can_take_challenge=False,
        name=None,
    )


def recorder_of() -> Recorder:
    return Recorder({}, ONE, World().new_id, NOW, 365, Turns())


def failing() -> Recorder:
    raise Wrong


def run(where: Path | str, act: Callable[[Desk], Awaitable[None]]) -> None:
    async def opened_there() -> None:
        async with opened(where) as database:
            await act(Desk(Counted(database), await new_tenant(database, 900)))

    asyncio.run(opened_there())


def test_one_is_dated_when_it_is_kept_however_long_it_waited(where: Path | str) -> None:
    async def act(desk: Desk) -> None:
        await desk.add(1)
        desk.database.held = asyncio.Event()
        waiting = asyncio.ensure_future(desk.take(0))
        await desk.database.begun.wait()
        desk.now += 40
        desk.database.held.set()
        await waiting
        ticks = Instant.from_unix(desk.now).ticks
        found = await connectors.find(desk.database.reader, desk.tenant.number, guid(0), ticks)
        assert found is not None
        assert found["lastConnectionDateTime"] == str(Instant.from_unix(desk.now))

    run(where, act)


def test_those_that_come_together_share_a_transaction(where: Path | str) -> None:
    async def act(desk: Desk) -> None:
        await desk.add(20)
        assert await desk.together(*(desk.take(number) for number in range(20))) == ["active"] * 20
        assert desk.database.writes == 1
        assert [await desk.kept(number) for number in range(20)] == [(ONE, 1, False)] * 20

    run(where, act)


def test_what_comes_meanwhile_goes_with_the_next(where: Path | str) -> None:
    async def act(desk: Desk) -> None:
        await desk.add(10)
        desk.database.held = asyncio.Event()
        first = asyncio.ensure_future(desk.take(0))
        await desk.database.begun.wait()
        later = [asyncio.ensure_future(desk.take(number)) for number in range(1, 10)]
        await asyncio.sleep(0)
        desk.database.held.set()
        assert await desk.together(first, *later) == ["active"] * 10
        assert desk.database.writes == 2

    run(where, act)


def test_few_wait_for_others_to_come_until_there_are_enough(where: Path | str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check_ins, "PAUSE", 3_600.0)
    monkeypatch.setattr(check_ins, "ENOUGH", 4)

    async def act(desk: Desk) -> None:
        await desk.add(5)
        assert await desk.together(desk.take(0)) == ["active"]
        waiting = [asyncio.ensure_future(desk.take(number)) for number in range(1, 4)]
        for _ in range(20):
            await asyncio.sleep(0)
        assert (desk.database.writes, [each.done() for each in waiting]) == (1, [False] * 3)
        assert await desk.together(*waiting, desk.take(4)) == ["active"] * 4
        assert desk.database.writes == 2

    run(where, act)


def test_few_wait_for_others_to_come_but_not_for_long(where: Path | str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check_ins, "PAUSE", 0.001)

    async def act(desk: Desk) -> None:
        await desk.add(3)
        for number in range(3):
            assert await desk.together(desk.take(number)) == ["active"]
        assert desk.database.writes == 3

    run(where, act)


def test_of_a_crowd_so_many_go_at_a_time(where: Path | str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check_ins, "TOGETHER", 4)

    async def act(desk: Desk) -> None:
        await desk.add(10)
        assert await desk.together(*(desk.take(number) for number in range(10))) == ["active"] * 10
        assert desk.database.writes == 3

    run(where, act)


def test_each_hears_what_it_would_have_heard_alone(where: Path | str) -> None:
    """A new version, a finding, a restart, one that is removed, one of another tenant's, and many of the usual kind."""

    async def act(desk: Desk) -> None:
        other = await new_tenant(desk.database, 901)
        await desk.add(6)
        await desk.add(1, other, first=50)
        assert await desk.together(*(desk.take(number) for number in range(6))) == ["active"] * 6
        outcomes = await desk.together(
            desk.take(0, 2),
            desk.take(1, 2, version="2.0.0.0"),
            desk.take(2, 2, health=(Finding("clock", ok=False),)),
            desk.take(3, 1, OTHER),
            desk.take(99, 2),
            desk.take(50, tenant=other),
            desk.take(50),
            desk.take(4, 1),
            desk.take(5, 2, OTHER),
        )
        removed = ConnectorRemoved
        assert outcomes == ["active", "active", "error", "active", removed, "active", removed, "active", UsedElsewhere]
        assert [await desk.kept(number) for number in range(6)] == [
            (ONE, 2, False),
            (ONE, 2, False),
            (ONE, 2, False),
            (OTHER, 1, False),
            (ONE, 1, False),
            (ONE, 1, True),
        ]

    run(where, act)


def test_of_one_connector_they_are_taken_one_after_the_other(where: Path | str) -> None:
    async def act(desk: Desk) -> None:
        await desk.add(1)
        failed = (Finding("clock", ok=False),)
        outcomes = await desk.together(
            desk.take(0, 1),
            desk.take(0, 1, health=failed),
            desk.take(0, 2),
            desk.take(0, 3, health=failed),
            desk.take(0, 2),
            desk.take(0, 1),
        )
        assert outcomes == ["active", "active", "active", "error", "error", UsedElsewhere]
        assert await desk.kept(0) == (ONE, 3, True)
        said = await desk.take(0, 4)
        assert said.standing.reasons == (DOUBLED,)

    run(where, act)


def test_a_policy_of_versions_counts_for_all_of_a_tenant(where: Path | str) -> None:
    async def act(desk: Desk) -> None:
        other = await new_tenant(desk.database, 901)
        await desk.add(2)
        await desk.add(2, other, first=50)
        number = desk.tenant.number
        await desk.database.write(lambda session: tenants.set_least_connector_version(session, number, "2.0.0.0"))
        asked = [
            desk.take(0),
            desk.take(50, tenant=other),
            desk.take(1, version="2.0.0.0"),
            desk.take(51, tenant=other),
        ]
        assert await desk.together(*asked) == ["error", "active", "active", "active"]

    run(where, act)


def test_a_tenant_without_a_licence_is_refused_and_its_neighbours_are_not(where: Path | str) -> None:
    async def act(desk: Desk) -> None:
        other = await new_tenant(desk.database, 901)
        await desk.add(1)
        await desk.add(1, other, first=50)
        await desk.database.write(lambda session: tenants.set_licence(session, other.number, "none"))
        assert await desk.together(desk.take(0), desk.take(50, tenant=other)) == ["active", NotLicensed]

    run(where, act)


def test_one_that_fails_undoes_nothing_of_its_neighbours(where: Path | str) -> None:
    async def act(desk: Desk) -> None:
        await desk.add(4)
        outcomes = await desk.together(
            desk.take(0),
            desk.take(1, version="2.0.0.0", recorder=failing),
            desk.take(2, version="2.0.0.0"),
            desk.take(3),
        )
        assert outcomes == ["active", Wrong, "active", "active"]
        assert [await desk.kept(number) for number in range(4)] == [
            (ONE, 1, False),
            (None, 0, False),
            (ONE, 1, False),
            (ONE, 1, False),
        ]

    run(where, act)


def test_one_whose_row_is_not_taken_undoes_nothing_of_its_neighbours(where: Path | str) -> None:
    """Rows that gather are put in at the end, where the database says of all of them that one is wrong."""
    taken = World().new_id()

    def the_same_again() -> Recorder:
        return Recorder({}, ONE, lambda: taken, NOW, 365, Turns())

    async def act(desk: Desk) -> None:
        await desk.add(4)
        await desk.take(3, version="2.0.0.0", recorder=the_same_again)
        outcomes = await desk.together(
            desk.take(0), desk.take(1, version="2.0.0.0", recorder=the_same_again), desk.take(2)
        )
        assert outcomes[0] == outcomes[2] == "active"
        assert outcomes[1] != "active"
        assert [(await desk.kept(number))[1] for number in range(3)] == [1, 0, 1]

    run(where, act)


def test_what_the_database_refuses_all_hear_of(where: Path | str) -> None:
    async def act(desk: Desk) -> None:
        await desk.add(3)
        desk.database.refusal = Unavailable("It is full.")
        assert await desk.together(*(desk.take(number) for number in range(3))) == [Unavailable] * 3
        desk.database.refusal = None
        assert await desk.together(*(desk.take(number) for number in range(3))) == ["active"] * 3

    run(where, act)


def test_who_gives_up_holds_up_nobody(where: Path | str) -> None:
    async def act(desk: Desk) -> None:
        await desk.add(3)
        tasks = [asyncio.ensure_future(desk.take(number)) for number in range(3)]
        await asyncio.sleep(0)
        tasks[1].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert [await desk.kept(number) for number in (0, 2)] == [(ONE, 1, False)] * 2
        assert await desk.together(desk.take(1)) == ["active"]

    run(where, act)


def test_no_more_wait_than_so_many(where: Path | str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check_ins, "WAITING", 3)

    async def act(desk: Desk) -> None:
        await desk.add(5)
        outcomes = await desk.together(*(desk.take(number) for number in range(5)))
        assert outcomes == ["active"] * 3 + [Overloaded] * 2

    run(where, act)


def test_a_version_that_is_none_is_refused_at_once(where: Path | str) -> None:
    async def act(desk: Desk) -> None:
        await desk.add(1)
        assert await desk.together(desk.take(0, version="1.0")) == [InvalidValue]
        assert desk.database.writes == 0

    run(where, act)
