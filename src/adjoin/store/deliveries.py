"""How far each subscription has been told of changes, and who is telling it: one row beside each subscription.

A place in the log of changes is all that is kept of what is still to be delivered. Whoever delivers holds a lease for
a while, so that of several servers on one database only one does. Times are ticks.

Looks come many times a second. What they ask first costs as much as there are tenants with subscriptions; what there is
to do is asked of one tenant at a time, by indexes that have what it depends on.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Final, NamedTuple

from adjoin.store.database import Session
from adjoin.store.statements import Everywhere
from adjoin.store.tenants import Tenant

FULL_HOSTS: Final = 6
"""So many hosts can be left out of what there is to do."""

NEVER: Final = 2**62
"""When nothing will happen to a subscription any more: no time comes later."""

_NO_HOST: Final = " "


def _open(now: int) -> str:
    """Does not wait to be tried again, but for what a clock wrote that is set back; a clock begins with this parameter.

    `due` of those that did not fail is when they were told.
    """
    return f"(d.attempts = 0 OR d.due <= ?{now} OR d.due > ?{now + 1})"


def _free(now: int) -> str:
    return f"(d.leased_until <= ?{now} OR d.leased_until > ?{now + 2})"


_PLACE: Final = "CASE WHEN d.due > ?3 THEN 0 ELSE d.due END, d.subscription"
# An index has all tenants' rows; this goes from one tenant to the next, and by no row between.
_SUBSCRIBED: Final = (
    "WITH RECURSIVE subscribed (tenant) AS (SELECT min(tenant) FROM deliveries UNION ALL SELECT (SELECT min(d.tenant) "
    "FROM deliveries d WHERE d.tenant > subscribed.tenant) FROM subscribed WHERE subscribed.tenant IS NOT NULL) "
)
_READY: Final = Everywhere(
    f"{_SUBSCRIBED} SELECT u.tenant, coalesce(c.last, 0) FROM subscribed u "
    "LEFT JOIN change_counters c ON c.tenant = u.tenant WHERE u.tenant IS NOT NULL AND ("
    "EXISTS (SELECT 1 FROM deliveries d WHERE d.tenant = u.tenant AND d.position < c.last "
    f"AND {_open(1)} AND {_free(1)}) OR "
    f"EXISTS (SELECT 1 FROM deliveries d WHERE d.tenant = u.tenant AND d.event_due <= ?1 AND {_free(1)}))"
)
_DUE: Final = (
    "SELECT s.id, s.application_id, s.creator_id, s.change_type, s.client_state, s.notification_url, "
    "s.lifecycle_notification_url, s.expiration_date_time, s.expiration_date_time_ticks, d.position, d.attempts, "
    "d.owed, d.event_due, d.event_attempts, d.registered, d.person, d.warned, "
    f"d.position < ?2 AND {_open(3)}, d.event_due <= ?3 FROM ("
    "SELECT subscription FROM (SELECT d.subscription FROM deliveries d WHERE d.tenant = ?1 AND d.position < ?2 "
    f"AND {_open(3)} AND {_free(3)} AND d.host NOT IN ({', '.join(f'?{7 + at}' for at in range(FULL_HOSTS))}) "
    f"ORDER BY {_PLACE} LIMIT ?6) a UNION SELECT subscription FROM (SELECT d.subscription FROM deliveries d "
    f"WHERE d.tenant = ?1 AND d.event_due <= ?3 AND {_free(3)} ORDER BY d.event_due, d.subscription LIMIT ?6) b) c "
    # SQLite keeps to this order of the tables: few are chosen.
    "CROSS JOIN deliveries d CROSS JOIN subscriptions s WHERE d.tenant = ?1 AND d.subscription = c.subscription "
    f"AND s.tenant = ?1 AND s.id = c.subscription AND s.expiration_date_time_ticks > ?3 ORDER BY {_PLACE}"
)
_CLAIM: Final = (
    "UPDATE deliveries SET leased_by = ?3, leased_until = ?4 "
    "WHERE tenant = ?1 AND subscription = ?2 AND (leased_until <= ?5 OR leased_until > ?10) "
    "AND position = ?6 AND attempts = ?7 AND warned = ?8 AND owed IS NOT DISTINCT FROM ?9 RETURNING subscription"
)
_GONE: Final = Everywhere(
    "SELECT d.tenant, d.subscription FROM deliveries d "
    "JOIN subscriptions s ON s.tenant = d.tenant AND s.id = d.subscription WHERE d.registered <> 0 "
    "AND d.owed IS DISTINCT FROM ?1 AND (NOT EXISTS (SELECT 1 FROM applications a WHERE a.tenant = d.tenant "
    "AND a.id = s.application_id) OR (d.person <> 0 AND NOT EXISTS (SELECT 1 FROM users u WHERE u.tenant = d.tenant "
    "AND u.id = s.creator_id AND u.enabled = 1))) LIMIT ?2"
)


class Delivery(NamedTuple):
    """What there is to do for one subscription.

    `position` is the last change that it was told of, `last` the last one that there is; `owed` is a lifecycle event
    that it has still to hear of. `registered` says that its application is one of the built-in token service's,
    `person` that a person made it by that. `behind` are changes that can be told now, `event` what happens to it.
    """

    tenant: int
    tenant_id: str
    last: int
    subscription: str
    application: str
    creator: str
    change_type: str
    client_state: str | None
    url: str
    lifecycle_url: str | None
    ends: str
    ends_ticks: int
    position: int
    attempts: int
    owed: str | None
    event_due: int
    event_attempts: int
    registered: bool
    person: bool
    warned: bool
    behind: bool
    event: bool


class Maker(NamedTuple):
    """Who made a subscription: an application that is registered here or not, and whether for a person."""

    registered: bool
    person: bool


async def add(
    session: Session, tenant: int, subscription: str, position: int, *, maker: Maker, host: str, event_due: int
) -> None:
    """Begin to tell a new subscription, with a receiver on this host, of what comes behind this change."""
    sql = (
        "INSERT INTO deliveries (tenant, subscription, position, registered, person, host, event_due) "
        "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)"
    )
    await session.fetch(
        sql, (tenant, subscription, position, int(maker.registered), int(maker.person), host, event_due)
    )


class Clock(NamedTuple):
    """The time it is. What is `due` later than that, or leased until later, was written by a clock that is set back."""

    now: int
    due: int
    leased: int


async def ready(session: Session, clock: Clock) -> list[tuple[int, int]]:
    """The tenants where there is something to do that nobody does, each with the number of its last change."""
    return [(int(tenant), int(last)) for tenant, last in await session.fetch(_READY, clock)]


async def due(
    session: Session, tenant: Tenant, last: int, clock: Clock, limit: int, full: Collection[str] = ()
) -> list[Delivery]:
    """What there is to do in a tenant and nobody does, who has waited longest first; not for hosts that are full."""
    hosts = [*full][:FULL_HOSTS]
    hosts += [_NO_HOST] * (FULL_HOSTS - len(hosts))
    found = await session.fetch(_DUE, (tenant.number, last, *clock, limit, *hosts))
    return [Delivery._make((tenant.number, tenant.id, last, *each[:14], *map(bool, each[14:]))) for each in found]


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
    """Where a subscription stands after an attempt, and when the next may be; that without failures is when it was."""

    position: int
    attempts: int
    due: int
    owed: str | None
    warned: bool
    event_due: int
    event_attempts: int


async def settle(session: Session, of: Delivery, holder: str, outcome: Outcome) -> None:
    """Keep what came of an attempt, and let go of the lease if it is held still.

    Who was warned of an end may have renewed the subscription before answering: of its new end nobody was warned.
    """
    same = "(SELECT expiration_date_time_ticks FROM subscriptions WHERE tenant = ?1 AND id = ?2) = ?11"
    # What happened to it meanwhile is owed still.
    other = "owed IS DISTINCT FROM ?12"
    sql = (
        "UPDATE deliveries SET position = ?4, attempts = ?5, due = ?6, "
        f"owed = CASE WHEN {other} THEN owed ELSE ?7 END, "
        f"warned = CASE WHEN {same} THEN ?8 ELSE 0 END, event_due = CASE WHEN {other} THEN 0 "
        f"WHEN {same} OR ?7 IS NOT NULL THEN ?9 ELSE event_due END, event_attempts = ?10, leased_by = NULL, "
        "leased_until = 0 WHERE tenant = ?1 AND subscription = ?2 AND leased_by = ?3"
    )
    cells = (*outcome[:4], int(outcome.warned), *outcome[5:])
    await session.fetch(sql, (of.tenant, of.subscription, holder, *cells, of.ends_ticks, of.owed))


async def renewed(session: Session, tenant: int, subscription: str, host: str, event_due: int) -> None:
    """A subscription goes on: it can be warned of its end anew, at that time."""
    sql = (
        "UPDATE deliveries SET warned = 0, host = ?3, event_due = CASE WHEN owed IS NULL THEN ?4 ELSE event_due END "
        "WHERE tenant = ?1 AND subscription = ?2"
    )
    await session.fetch(sql, (tenant, subscription, host, event_due))


async def gone(session: Session, word: str, limit: int) -> list[tuple[int, str]]:
    """Subscriptions whose application or person is no more, and which do not owe this word yet."""
    return [(int(tenant), str(each)) for tenant, each in await session.fetch(_GONE, (word, limit))]


async def owe(session: Session, tenant: int, subscription: str, word: str) -> None:
    """Have a subscription told of something that happened to it."""
    sql = "UPDATE deliveries SET owed = ?3, event_due = 0, event_attempts = 0 WHERE tenant = ?1 AND subscription = ?2"
    await session.fetch(sql, (tenant, subscription, word))


async def put_off(session: Session, clock: Clock) -> bool:
    """Whether a clock that is set back has put off that a subscription is told of what happened to it."""
    sql = Everywhere("SELECT 1 FROM deliveries WHERE event_attempts > 0 AND event_due > ?1 LIMIT 1")
    return bool(await session.fetch(sql, (clock.due,)))


async def hasten(session: Session, clock: Clock) -> None:
    """Let be tried now what a clock that is set back has put off."""
    sql = Everywhere("UPDATE deliveries SET event_due = ?1 WHERE event_attempts > 0 AND event_due > ?2")
    await session.fetch(sql, (clock.now, clock.due))


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


async def tenants(session: Session, now: int) -> list[tuple[int, bool]]:
    """The tenants that have subscriptions, by their numbers, and whether one has ended and is there still."""
    sql = Everywhere(
        f"{_SUBSCRIBED} SELECT u.tenant, EXISTS (SELECT 1 FROM subscriptions s WHERE s.tenant = u.tenant "
        "AND s.expiration_date_time_ticks <= ?1) FROM subscribed u WHERE u.tenant IS NOT NULL"
    )
    return [(int(tenant), bool(ended)) for tenant, ended in await session.fetch(sql, (now,))]


async def drop_ended(session: Session, tenant: int, now: int, limit: int) -> int:
    """Drop some subscriptions of a tenant that have ended, and say how many."""
    sql = (
        "DELETE FROM subscriptions WHERE tenant = ?1 AND id IN (SELECT id FROM subscriptions "
        "WHERE tenant = ?1 AND expiration_date_time_ticks <= ?2 LIMIT ?3) RETURNING id"
    )
    return len(await session.fetch(sql, (tenant, now, limit)))


async def drop(session: Session, tenant: int, subscription: str) -> None:
    """Drop a subscription."""
    await session.fetch("DELETE FROM subscriptions WHERE tenant = ?1 AND id = ?2", (tenant, subscription))
