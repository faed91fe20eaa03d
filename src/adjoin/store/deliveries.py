"""How far each subscription has been told of changes, and who is telling it: one row beside each subscription.

A place in the log of changes is all that is kept of what is still to be delivered. Whoever delivers holds a lease for
a while, so that of several servers on one database only one does. Times are ticks.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from adjoin.store.database import Session
from adjoin.store.statements import Everywhere

_CLAIM: Final = (
    "UPDATE deliveries SET leased_by = ?3, leased_until = ?4 "
    "WHERE tenant = ?1 AND subscription = ?2 AND (leased_until <= ?5 OR leased_until > ?10) "
    "AND position = ?6 AND attempts = ?7 AND warned = ?8 AND owed IS NOT DISTINCT FROM ?9 RETURNING subscription"
)


class Delivery(NamedTuple):
    """What there is to do for one subscription.

    `position` is the last change that it was told of, `last` the last one that there is; `owed` is a lifecycle event
    that it has still to hear of; `registered` says that its application is one of the built-in token service's.
    """

    tenant: int
    tenant_id: str
    subscription: str
    application: str
    change_type: str
    client_state: str | None
    url: str
    lifecycle_url: str | None
    ends: str
    ends_ticks: int
    position: int
    last: int
    registered: bool
    attempts: int
    owed: str | None
    warned: bool


async def add(session: Session, tenant: int, subscription: str, position: int, *, registered: bool) -> None:
    """Begin to tell a new subscription of what comes behind this change."""
    sql = "INSERT INTO deliveries (tenant, subscription, position, registered) VALUES (?1, ?2, ?3, ?4)"
    await session.fetch(sql, (tenant, subscription, position, int(registered)))


class Clock(NamedTuple):
    """The time it is. What is `due` later than that, or leased until later, was written by a clock that is set back."""

    now: int
    due: int
    leased: int


async def due(session: Session, clock: Clock, warn: int, limit: int) -> list[Delivery]:
    """What there is to do now and nobody does, in order of tenants; subscriptions that end before `warn` are warned."""
    sql = Everywhere(
        "SELECT d.tenant, t.id, s.id, s.application_id, s.change_type, s.client_state, s.notification_url, "
        "s.lifecycle_notification_url, s.expiration_date_time, s.expiration_date_time_ticks, d.position, "
        "coalesce(c.last, 0), d.registered, d.attempts, d.owed, d.warned FROM deliveries d "
        "JOIN subscriptions s ON s.tenant = d.tenant AND s.id = d.subscription "
        "JOIN tenants t ON t.number = d.tenant LEFT JOIN change_counters c ON c.tenant = d.tenant "
        "WHERE (d.due <= ?1 OR d.due > ?4) AND (d.leased_until <= ?1 OR d.leased_until > ?5) "
        "AND s.expiration_date_time_ticks > ?1 AND "
        "(d.position < coalesce(c.last, 0) OR d.owed IS NOT NULL OR (d.warned = 0 AND "
        "s.lifecycle_notification_url IS NOT NULL AND s.expiration_date_time_ticks <= ?2)) "
        "ORDER BY d.due, d.tenant, d.subscription LIMIT ?3"
    )
    found = await session.fetch(sql, (clock.now, warn, limit, clock.due, clock.leased))
    return [Delivery._make((*each[:12], bool(each[12]), *each[13:15], bool(each[15]))) for each in found]


async def claim(
    session: Session, which: Iterable[Delivery], holder: str, clock: Clock, until: int
) -> set[tuple[int, str]]:
    """Lease what nobody else holds, nor held since it was found to be due, and say which that is."""
    claimed: set[tuple[int, str]] = set()
    for each in which:
        as_found = (each.position, each.attempts, int(each.warned), each.owed)
        given = (each.tenant, each.subscription, holder, until, clock.now, *as_found, clock.leased)
        if await session.fetch(_CLAIM, given):
            claimed.add((each.tenant, each.subscription))
    return claimed


class Outcome(NamedTuple):
    """Where a subscription stands after an attempt, and when the next may be."""

    position: int
    attempts: int
    due: int
    owed: str | None
    warned: bool


async def settle(session: Session, of: Delivery, holder: str, outcome: Outcome) -> None:
    """Keep what came of an attempt, and let go of the lease if it is held still.

    Who was warned of an end may have renewed the subscription before answering: of its new end nobody was warned.
    """
    sql = (
        "UPDATE deliveries SET position = ?4, attempts = ?5, due = ?6, owed = ?7, warned = CASE WHEN "
        "(SELECT expiration_date_time_ticks FROM subscriptions WHERE tenant = ?1 AND id = ?2) = ?9 THEN ?8 ELSE 0 END, "
        "leased_by = NULL, leased_until = 0 WHERE tenant = ?1 AND subscription = ?2 AND leased_by = ?3"
    )
    await session.fetch(sql, (of.tenant, of.subscription, holder, *outcome[:4], int(outcome.warned), of.ends_ticks))


async def renewed(session: Session, tenant: int, subscription: str) -> None:
    """A subscription goes on: it can be warned of its end anew."""
    await session.fetch(
        "UPDATE deliveries SET warned = 0 WHERE tenant = ?1 AND subscription = ?2", (tenant, subscription)
    )


class Lease(NamedTuple):
    """Who tells a subscription now, and until when nobody else does."""

    holder: str | None
    until: int


async def lease(session: Session, tenant: int, subscription: str) -> Lease | None:
    """The lease on a subscription; None: there is no such subscription any more."""
    sql = "SELECT leased_by, leased_until FROM deliveries WHERE tenant = ?1 AND subscription = ?2"
    found = await session.fetch(sql, (tenant, subscription))
    return Lease(*found[0]) if found else None


async def leased(session: Session, holder: str) -> set[tuple[int, str]]:
    """What somebody holds leases on."""
    sql = Everywhere("SELECT tenant, subscription FROM deliveries WHERE leased_by = ?1")
    return {(int(tenant), str(subscription)) for tenant, subscription in await session.fetch(sql, (holder,))}


async def release(session: Session, holder: str) -> None:
    """Let go of all leases that somebody holds."""
    sql = Everywhere("UPDATE deliveries SET leased_by = NULL, leased_until = 0 WHERE leased_by = ?1")
    await session.fetch(sql, (holder,))


async def number(session: Session, tenant: int) -> int:
    """How many subscriptions a tenant has."""
    ((count,),) = await session.fetch("SELECT count(*) FROM subscriptions WHERE tenant = ?1", (tenant,))
    return int(count)


async def tenants(session: Session) -> list[int]:
    """The tenants that have subscriptions, by their numbers."""
    return [int(tenant) for (tenant,) in await session.fetch(Everywhere("SELECT DISTINCT tenant FROM subscriptions"))]


async def any_ended(session: Session, now: int) -> bool:
    """Whether a subscription has ended and is there still."""
    sql = Everywhere("SELECT 1 FROM subscriptions WHERE expiration_date_time_ticks <= ?1 LIMIT 1")
    return bool(await session.fetch(sql, (now,)))


async def drop_ended(session: Session, now: int) -> None:
    """Drop the subscriptions that have ended."""
    await session.fetch(Everywhere("DELETE FROM subscriptions WHERE expiration_date_time_ticks <= ?1"), (now,))


async def drop(session: Session, tenant: int, subscription: str) -> None:
    """Drop a subscription."""
    await session.fetch("DELETE FROM subscriptions WHERE tenant = ?1 AND id = ?2", (tenant, subscription))
