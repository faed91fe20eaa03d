"""Check-ins: a connector says that it lives and how it is, and hears what there is for it to do.

Each changes one row, and nothing where it is a repeat. Only a change of state or version goes into the audit trail.
Those that come while others are being kept wait, and are then kept together: for what nearly all of them change, the
time alone, two statements are enough for them all.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property, partial
from typing import Final, NamedTuple, TypeAlias

import msgspec

from adjoin.identity.caller import Caller
from adjoin.model import CONNECTOR
from adjoin.odata.errors import InvalidValue
from adjoin.odata.values import Instant
from adjoin.service import access, removal
from adjoin.service import connectors as rules
from adjoin.service.audit import Recorder
from adjoin.service.connectors import Finding, Report, Turn
from adjoin.service.errors import ConnectorRemoved, NotLicensed, PersonalAccount, UnknownTenant, UsedElsewhere
from adjoin.store import connectors
from adjoin.store.connectors import Connector, Heard
from adjoin.store.database import Database, Overloaded, Session, Uncertain
from adjoin.store.memory import Memory
from adjoin.store.tables import CONNECTORS
from adjoin.store.tenants import Tenant
from adjoin.store.within import Within

INTERVAL: Final = 300
"""Seconds from one check-in to the next: twelve may fail before the state says so."""

TOGETHER: Final = 64
"""So many are kept together at most: whoever else writes waits for no more of them."""
ENOUGH: Final = 32
"""So many wait for no more to come."""
PAUSE: Final = 0.01
"""So many seconds lie between the beginnings of two transactions with fewer: each costs as much as many check-ins."""
WAITING: Final = 4_096
"""So many wait at most."""

_JSON: Final = msgspec.json.Encoder()


class CheckIn(msgspec.Struct, frozen=True):
    """What a connector says: which run of its program it is, the how-manieth check-in of it, and how it is."""

    connector: str
    instance: str
    sequence: int
    version: str
    health: tuple[Finding, ...] = ()
    load: Mapping[str, float] = {}


class Standing(NamedTuple):
    """How a connector stands after a check-in; `reasons` say why it is in error."""

    state: str
    reasons: tuple[str, ...]
    too_old: bool


class Taken(NamedTuple):
    """What came of a check-in, and the tenant that the connector belongs to."""

    tenant: Tenant
    standing: Standing


class Asked(msgspec.Struct, frozen=True, eq=False):
    """A check-in that waits to be kept, who makes it, and who records what it changes beside the time."""

    said: CheckIn
    caller: Caller
    recorder: Callable[[], Recorder]
    future: asyncio.Future[Taken]


Outcome: TypeAlias = Taken | Exception
Later: TypeAlias = Callable[[Callable[[], None]], None]
"""Has something done soon, but not at once where much of its kind is to be done."""


class Intake:
    """Takes check-ins, on one event loop. Those who wait for what comes of theirs are told through `later`."""

    def __init__(self, database: Database, memory: Memory, now: Callable[[], float], later: Later) -> None:
        self._database = database
        self._memory = memory
        self._now = now
        self._later = later
        self._waiting: deque[Asked] = deque()
        self._keeping: asyncio.Task[None] | None = None
        self._pause: asyncio.Future[None] | None = None

    async def take(self, said: CheckIn, caller: Caller, recorder: Callable[[], Recorder]) -> Taken:
        """Take a check-in of the caller, and give what came of it once that is on disk.

        Raises InvalidValue, ConnectorRemoved, or UsedElsewhere, after which the entry says so; PersonalAccount,
        UnknownTenant or NotLicensed; and what a Database raises.
        """
        rules.read_version(said.version)
        if len(self._waiting) >= WAITING:
            raise Overloaded("More check-ins are waiting than the service takes on.")
        asked = Asked(said, caller, recorder, self._loop.create_future())
        self._waiting.append(asked)
        if self._keeping is None:
            self._keeping = self._loop.create_task(self._keep())
        elif self._pause is not None and len(self._waiting) >= ENOUGH:
            _end(self._pause)
        return await asked.future

    @cached_property
    def _loop(self) -> asyncio.AbstractEventLoop:
        return asyncio.get_running_loop()

    async def _keep(self) -> None:
        """Keep those who wait, until none does."""
        try:
            while self._waiting:
                began = self._loop.time()
                some = [self._waiting.popleft() for _ in range(min(len(self._waiting), TOGETHER))]
                # Some may have given up.
                if some := [each for each in some if not each.future.done()]:
                    for asked, outcome in zip(some, await self._kept(some), strict=True):
                        self._later(partial(_tell, asked.future, outcome))
                    await self._gather(began + PAUSE)
        finally:
            self._keeping = None

    async def _gather(self, until: float) -> None:
        """Wait for others to come: until this time of the loop, or for enough of them."""
        if len(self._waiting) >= ENOUGH or self._loop.time() >= until:
            return
        self._pause = self._loop.create_future()
        timer = self._loop.call_at(until, _end, self._pause)
        await self._pause
        timer.cancel()
        self._pause = None

    async def _kept(self, some: Sequence[Asked]) -> Sequence[Outcome]:
        try:
            return await self._database.write(lambda session: _take(session, self._memory, some, self._now))
        except (Overloaded, Uncertain) as refusal:
            return [refusal] * len(some)
        except Exception as error:  # noqa: BLE001 - whatever it is, those who wait have to hear of it
            if len(some) == 1:
                return [error]
        # One of them may be at fault, and its neighbours have nothing to do with it.
        alone = await asyncio.gather(*(self._kept([each]) for each in some))
        return [outcome for (outcome,) in alone]


def _end(pause: asyncio.Future[None]) -> None:
    if not pause.done():
        pause.set_result(None)


def _tell(future: asyncio.Future[Taken], outcome: Outcome) -> None:
    if future.done():
        return
    if isinstance(outcome, Exception):
        future.set_exception(outcome)
    else:
        future.set_result(outcome)


async def _take(session: Session, memory: Memory, some: Sequence[Asked], now: Callable[[], float]) -> list[Outcome]:
    """What came of each. All that is read is read in the transaction that is written in.

    They are dated there, once it has the lock: whoever asked for changes before would not hear of an earlier date.
    """
    outcomes: dict[int, Outcome] = {}
    for group in _by_tenant(some):
        try:
            tenant = await access.admit(Within(session), memory, group[0].caller, now())
        except (PersonalAccount, UnknownTenant, NotLicensed) as refusal:
            outcomes |= {id(each): refusal for each in group}
        else:
            outcomes |= await _take_of(session, tenant, group, Instant.from_unix(now()))
    return [outcomes[id(each)] for each in some]


def _by_tenant(some: Sequence[Asked]) -> Iterator[list[Asked]]:
    groups: dict[str, list[Asked]] = {}
    for each in some:
        groups.setdefault(each.caller.tenant_id, []).append(each)
    return iter(groups.values())


async def _take_of(session: Session, tenant: Tenant, some: Sequence[Asked], at: Instant) -> dict[int, Outcome]:
    """Take those of one tenant: the first of each connector with the others', if all it changes is the time."""
    outcomes: dict[int, Outcome] = {}
    firsts: dict[str, tuple[Asked, Heard, Standing]] = {}
    for each in some:
        if each.said.connector not in firsts:
            firsts[each.said.connector] = (each, *_heard(each.said, tenant, doubled=False))
    irregular = await connectors.irregular(session, tenant.number, at.ticks, [heard for _, heard, _ in firsts.values()])
    regular = {key: first for key, first in firsts.items() if key not in irregular} if irregular else firsts
    if regular:
        await connectors.hear_all(session, tenant.number, at, [heard for _, heard, _ in regular.values()])
    for asked, _, standing in regular.values():
        outcomes[id(asked)] = Taken(tenant, standing)
    for each in some:
        if id(each) not in outcomes:
            outcomes[id(each)] = await _take_alone(session, tenant, each, at)
    return outcomes


async def _take_alone(session: Session, tenant: Tenant, asked: Asked, at: Instant) -> Outcome:
    """Take one of any kind."""
    said = asked.said
    try:
        before = await _enrolled(session, tenant, said.connector, at.ticks)
    except ConnectorRemoved as refusal:
        return refusal
    turn = rules.turn(before, said.instance, said.sequence)
    if turn is Turn.REPEATED:
        return Taken(tenant, _standing(before, tenant))
    if turn is Turn.DOUBLED:
        await _mark_doubled(session, tenant, before, asked.recorder, at.ticks)
        return UsedElsewhere()
    return Taken(tenant, await _hear(session, tenant, said, before, asked.recorder, at))


async def still_there(session: Session, tenant: Tenant, connector: str, now: float) -> None:
    """Refuse a connector that was removed meanwhile. Raises ConnectorRemoved."""
    await _enrolled(session, tenant, connector, Instant.from_unix(now).ticks)


async def _enrolled(session: Session, tenant: Tenant, connector: str, ticks: int) -> Connector:
    found = await connectors.find(session, tenant.number, connector, ticks)
    if found is None or found.enrolled is None:
        raise ConnectorRemoved
    return found


def _heard(said: CheckIn, tenant: Tenant, *, doubled: bool) -> tuple[Heard, Standing]:
    """What a check-in leaves, and how the connector then stands."""
    least = tenant.least_connector_version
    reasons = rules.reasons(said.version, least, said.health, doubled)
    state = "error" if reasons else "active"
    report = _JSON.encode(Report(reasons, said.health, said.load)).decode()
    heard = Heard(said.connector, rules.state_number(state), said.version, said.instance, said.sequence, report)
    return heard, Standing(state, reasons, rules.too_old(said.version, least))


async def _hear(
    session: Session, tenant: Tenant, said: CheckIn, before: Connector, recorder: Callable[[], Recorder], at: Instant
) -> Standing:
    heard, standing = _heard(said, tenant, doubled=before.doubled)
    await connectors.hear(session, tenant.number, at, before, heard)
    if (before["state"], before["version"]) != (standing.state, said.version):
        after = await _enrolled(session, tenant, said.connector, at.ticks)
        rows, record = (before.shown.row, after.shown.row), recorder()
        await record.change(session, tenant.number, CONNECTOR, "Patch", *rows, standing.reasons)
        await removal.drop(session, CONNECTORS, tenant.number, at.ticks, record)
    return standing


async def _mark_doubled(
    session: Session, tenant: Tenant, before: Connector, recorder: Callable[[], Recorder], ticks: int
) -> None:
    """Once: what goes on being doubled is no news."""
    if before.doubled:
        return
    last = rules.report_of(before)
    report = _JSON.encode(Report((rules.DOUBLED, *last.reasons), last.health, last.load)).decode()
    key = rules.text(before["id"])
    await connectors.mark_doubled(session, tenant.number, key, rules.state_number("error"), report)
    after = await _enrolled(session, tenant, key, ticks)
    row = after.shown.row
    await recorder().change(session, tenant.number, CONNECTOR, "Patch", before.shown.row, row, (rules.DOUBLED,))


def _standing(held: Connector, tenant: Tenant) -> Standing:
    version = rules.text(held["version"])
    reasons = rules.report_of(held).reasons
    return Standing(rules.text(held["state"]), reasons, _is_too_old(version, tenant))


def _is_too_old(version: str, tenant: Tenant) -> bool:
    """An administrator may have written a version that is none."""
    try:
        return rules.too_old(version, tenant.least_connector_version)
    except InvalidValue:
        return False
