"""Check-ins: a connector says that it lives and how it is, and hears what there is for it to do.

Each changes one row, and nothing where it is a repeat. Only a change of state or version goes into the audit trail.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

import msgspec

from adjoin.model import CONNECTOR
from adjoin.odata.errors import InvalidValue
from adjoin.odata.values import Instant
from adjoin.service import connectors as rules
from adjoin.service import removal
from adjoin.service.audit import Recorder
from adjoin.service.connectors import Finding, Report, Turn
from adjoin.service.errors import ConnectorRemoved, UsedElsewhere
from adjoin.store import connectors
from adjoin.store.connectors import Connector, Heard
from adjoin.store.database import Database, Session
from adjoin.store.tables import CONNECTORS
from adjoin.store.tenants import Tenant

INTERVAL: Final = 300
"""Seconds from one check-in to the next: twelve may fail before the state says so."""


@dataclass(frozen=True, slots=True)
class CheckIn:
    """What a connector says: which run of its program it is, the how-manieth check-in of it, and how it is."""

    connector: str
    instance: str
    sequence: int
    version: str
    health: tuple[Finding, ...] = ()
    load: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Standing:
    """How a connector stands after a check-in; `reasons` say why it is in error."""

    state: str
    reasons: tuple[str, ...]
    too_old: bool


Admit = Callable[[Session], Awaitable[Tenant]]


async def check_in(
    database: Database, admit: Admit, said: CheckIn, recorder: Recorder, now: float
) -> tuple[Tenant, Standing]:
    """Take a check-in of a connector of the tenant that `admit` gives.

    All that it reads it reads in the transaction that it writes in: at some thousands a second, to go from one
    connection to the other is what costs most. Raises InvalidValue, ConnectorRemoved, or UsedElsewhere, after which
    the entry says so; and what `admit` raises.
    """
    rules.read_version(said.version)
    at = Instant.from_unix(now)

    async def act(session: Session) -> tuple[Tenant, Standing] | None:
        tenant = await admit(session)
        before = await _enrolled(session, tenant, said.connector, at.ticks)
        turn = rules.turn(before, said.instance, said.sequence)
        if turn is Turn.REPEATED:
            return tenant, _standing(before, tenant)
        if turn is Turn.DOUBLED:
            await _mark_doubled(session, tenant, before, recorder, at.ticks)
            return None
        return tenant, await _hear(session, tenant, said, before, recorder, at)

    taken = await database.write(act)
    if taken is None:
        raise UsedElsewhere
    return taken


async def still_there(session: Session, tenant: Tenant, connector: str, now: float) -> None:
    """Refuse a connector that was removed meanwhile. Raises ConnectorRemoved."""
    await _enrolled(session, tenant, connector, Instant.from_unix(now).ticks)


async def _enrolled(session: Session, tenant: Tenant, connector: str, ticks: int) -> Connector:
    found = await connectors.find(session, tenant.number, connector, ticks)
    if found is None or found.enrolled is None:
        raise ConnectorRemoved
    return found


async def _hear(
    session: Session, tenant: Tenant, said: CheckIn, before: Connector, recorder: Recorder, at: Instant
) -> Standing:
    least = tenant.least_connector_version
    reasons = rules.reasons(said.version, least, said.health, before.doubled)
    state = "error" if reasons else "active"
    report = msgspec.json.encode(Report(reasons, said.health, said.load)).decode()
    heard = Heard(at, rules.state_number(state), said.version, said.instance, said.sequence, report)
    await connectors.hear(session, tenant.number, before, heard)
    if (before["state"], before["version"]) != (state, said.version):
        after = await _enrolled(session, tenant, said.connector, at.ticks)
        await recorder.change(session, tenant.number, CONNECTOR, "Patch", before.shown.row, after.shown.row, reasons)
        await removal.drop(session, CONNECTORS, tenant.number, at.ticks, recorder)
    return Standing(state, reasons, rules.too_old(said.version, least))


async def _mark_doubled(session: Session, tenant: Tenant, before: Connector, recorder: Recorder, ticks: int) -> None:
    """Once: what goes on being doubled is no news."""
    if before.doubled:
        return
    last = rules.report_of(before)
    report = msgspec.json.encode(Report((rules.DOUBLED, *last.reasons), last.health, last.load)).decode()
    key = rules.text(before["id"])
    await connectors.mark_doubled(session, tenant.number, key, rules.state_number("error"), report)
    after = await _enrolled(session, tenant, key, ticks)
    row = after.shown.row
    await recorder.change(session, tenant.number, CONNECTOR, "Patch", before.shown.row, row, (rules.DOUBLED,))


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
