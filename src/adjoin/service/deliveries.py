"""Tells subscriptions of changes: in order, at least once, beside the requests that are served.

The database says what is to be delivered and how far it has come, so that nothing is lost with this process. What the
clock alone changes is put into the log at the moment it happens: the earliest such moment is known, and waited for.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Sequence
from enum import Enum
from functools import lru_cache, partial
from typing import Final
from urllib.parse import urlsplit

import structlog

from adjoin import model
from adjoin.odata.values import TICKS_PER_SECOND, Instant
from adjoin.service import notices
from adjoin.service.courier import CONNECTIONS, SECONDS, Carry, Unreachable
from adjoin.service.removal import SKEW
from adjoin.service.world import World
from adjoin.store import changes, deliveries, revocations
from adjoin.store.changes import Change
from adjoin.store.database import Database, Session, StoreRefusal
from adjoin.store.deliveries import Clock, Delivery, Lease, Outcome
from adjoin.store.tables import table_of
from adjoin.store.tenants import find_by_number

BATCH: Final = 100
"""How many changes one notification tells of at most."""

PER_HOST: Final = 16
"""How many receivers of one host are told at a time."""

AT_ONCE: Final = 16
"""How many are begun with at one look, so that the requests that are served meanwhile come between."""

GIVE_UP: Final = 4 * 3_600 * TICKS_PER_SECOND
"""A change that could not be delivered for so long is given up, and its subscription told that it missed some."""

WARN: Final = 900 * TICKS_PER_SECOND
"""How long before its end a subscription is told that it has to be renewed."""

LEASE: Final = 30 * TICKS_PER_SECOND
"""How long nobody else delivers to a subscription that a node has begun with, should that node be no more."""

NOTICED: Final = 2.0
"""Seconds in which every node that lives has noticed that a subscription is no more, and stopped telling it."""

_LATER: Final = 60 * TICKS_PER_SECOND
_LONGEST_WAIT: Final = 600.0
_LOOK_AGAIN: Final = 1.0
_PAUSE: Final = 0.05
_TURNS_AT_ONCE: Final = 1_000
_DUE_AT_ONCE: Final = (64, 1_000)
_TABLE: Final = table_of(model.CONNECTOR)
_BEHIND_ALL_KEYS: Final = "~"


class Standing(Enum):
    """Whether a subscription may be told now."""

    GOOD = "good"
    WAITS = "its tenant has no licence"
    ENDED = "its application is no more"


class Deliveries:
    """The deliveries of one process. Make, use and stop it on one event loop."""

    def __init__(self, database: Database, world: World, carry: Carry) -> None:
        self._database = database
        self._world = world
        self._carry = carry
        self._holder = world.new_request_id()
        self._running: dict[tuple[int, str], asyncio.Task[None]] = {}
        self._hosts: Counter[str] = Counter()
        self._next_turns: dict[int, int] = {}
        self._looked: int = 0
        self._wake = asyncio.Event()
        self._looking = asyncio.Lock()
        self._loop: asyncio.Task[None] | None = None
        self._log = structlog.get_logger("adjoin.deliveries")

    def start(self) -> None:
        """Begin to deliver by itself."""
        self._loop = asyncio.get_running_loop().create_task(self._go_on())

    async def stop(self) -> None:
        """Let go of everything; what is under way is delivered again by whoever comes next."""
        tasks = [*self._running.values(), *([self._loop] if self._loop else [])]
        for each in tasks:
            each.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._loop = None
        with contextlib.suppress(StoreRefusal):
            if await deliveries.leased(self._database.reader, self._holder):
                await self._database.write(lambda session: deliveries.release(session, self._holder))

    def wake(self) -> None:
        """There may be something to deliver: look now."""
        self._wake.set()

    async def forget(self, tenant: int, subscription: str, lease: Lease | None) -> None:
        """Nothing is sent to a subscription any more when this has returned.

        Call it once it is deleted, with the lease that there was on it.
        """
        task = self._running.get((tenant, subscription))
        if task is not None:
            task.cancel()
            await asyncio.wait([task])
        if lease is not None and lease.holder not in (None, self._holder) and lease.until > self._now():
            await asyncio.sleep(NOTICED)

    async def _go_on(self) -> None:
        while True:
            self._wake.clear()
            try:
                await self.look()
            except StoreRefusal as refusal:
                self._log.warning("deliveries wait for the database", why=refusal.message)
            except Exception as error:  # noqa: BLE001 - it must go on, whatever one round meets
                self._log.error("fault", exc_info=error)
            # Many changes in a row are looked at together, so that telling of them costs the requests little.
            await asyncio.sleep(_PAUSE)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_AGAIN):
                    await self._wake.wait()

    async def settled(self) -> None:
        """Deliver until nothing is due any more at the time that it is now."""
        while True:
            await self.look()
            if not self._running:
                return
            await asyncio.gather(*self._running.values(), return_exceptions=True)

    async def look(self) -> None:
        """See what there is to do, and begin with it."""
        async with self._looking:
            reader, now = self._database.reader, self._now()
            await self._stop_where_ended()
            subscribed = await deliveries.tenants(reader)
            if not subscribed:
                return
            if await deliveries.any_ended(reader, now):
                await self._database.write(lambda session: deliveries.drop_ended(session, now))
            set_back = now < self._looked
            for tenant in subscribed:
                await self._note_turns(tenant, now, set_back=set_back)
            self._looked = now
            for most in _DUE_AT_ONCE:
                due = await deliveries.due(reader, _clock(now), now + WARN, most)
                chosen = self._chosen(due)
                # What is first in line may be of hosts that are told as much as they can be; others are behind it.
                if len(due) < most or len(chosen) == self._room():
                    break
            await self._begin(chosen, now)

    async def _stop_where_ended(self) -> None:
        """Stop telling subscriptions that another node has deleted, or has taken over."""
        if self._running:
            held = await deliveries.leased(self._database.reader, self._holder)
            for key in self._running.keys() - held:
                self._running[key].cancel()

    # --- what the clock does

    async def _note_turns(self, tenant: int, now: int, *, set_back: bool) -> None:
        """Put into the log what the clock has done; nothing is looked up before something can have happened."""
        if not set_back and now < self._next_turns.get(tenant, 0):
            return

        async def act(session: Session) -> int:
            return await _note_some_turns(session, tenant, now, set_back=set_back)

        while await self._database.write(act) == _TURNS_AT_ONCE:
            pass
        self._next_turns[tenant] = await changes.next_turn(self._database.reader, _TABLE, tenant, now)

    # --- deliveries

    def _chosen(self, due: Sequence[Delivery]) -> list[Delivery]:
        """Those that can begin now: none that runs already, and so many at a time, of all and of one host."""
        chosen: list[Delivery] = []
        hosts = self._hosts.copy()
        for each in due:
            if len(chosen) == self._room():
                break
            host = _host(each.url)
            if (each.tenant, each.subscription) not in self._running and hosts[host] < PER_HOST:
                hosts[host] += 1
                chosen.append(each)
        return chosen

    def _room(self) -> int:
        return min(AT_ONCE, CONNECTIONS - len(self._running))

    async def _begin(self, chosen: Sequence[Delivery], now: int) -> None:
        if not chosen:
            return
        claimed = await self._database.write(
            lambda session: deliveries.claim(session, chosen, self._holder, _clock(now), now + LEASE)
        )
        for each in chosen:
            if (each.tenant, each.subscription) in claimed:
                self._hosts[_host(each.url)] += 1
                task = asyncio.get_running_loop().create_task(self._deliver(each))
                self._running[each.tenant, each.subscription] = task
                # Not within the task: one that is cancelled before its first step runs nothing of its own.
                task.add_done_callback(partial(self._ended, each))

    def _ended(self, delivery: Delivery, _: asyncio.Task[None]) -> None:
        host = _host(delivery.url)
        self._hosts[host] -= 1
        if not self._hosts[host]:
            del self._hosts[host]
        del self._running[delivery.tenant, delivery.subscription]
        self._wake.set()

    async def _deliver(self, delivery: Delivery) -> None:
        try:
            outcome = await self._attempt(delivery)
            if outcome is None:
                act = deliveries.drop
                await self._database.write(lambda session: act(session, delivery.tenant, delivery.subscription))
                return
            await self._database.write(lambda session: deliveries.settle(session, delivery, self._holder, outcome))
        except StoreRefusal as refusal:
            self._log.warning("delivery not noted", subscription=delivery.subscription, why=refusal.message)
        except Exception as error:  # noqa: BLE001 - one subscription must not keep the others waiting
            self._log.error("fault", subscription=delivery.subscription, exc_info=error)

    async def _attempt(self, delivery: Delivery) -> Outcome | None:
        """One attempt to tell a subscription what is next; None: it is to be removed."""
        now = self._now()
        standing = await self._standing(delivery)
        if standing is Standing.ENDED:
            await self._tell(delivery, notices.REMOVED)
            return None
        if standing is Standing.WAITS:
            later = now + _LATER
            return Outcome(delivery.position, delivery.attempts, later, delivery.owed, delivery.warned)
        owed, warned = await self._lifecycle(delivery, now)
        behind = now + _LATER if (owed or warned is None) and delivery.lifecycle_url else 0
        found = await changes.after(self._database.reader, delivery.tenant, delivery.position, delivery.last, BATCH)
        if await self._sent(delivery, found):
            position = found[-1].sequence if found else delivery.last
            return Outcome(position, 0, behind, owed, bool(warned))
        attempts = delivery.attempts + 1
        lost = [each.sequence for each in found if each.ticks <= now - GIVE_UP]
        if lost and delivery.lifecycle_url is not None:
            owed = notices.MISSED
        position = max(lost, default=delivery.position)
        return Outcome(position, attempts, now + self._wait(attempts), owed, bool(warned))

    async def _standing(self, delivery: Delivery) -> Standing:
        reader = self._database.reader
        tenant = await find_by_number(reader, delivery.tenant)
        if tenant is None or not tenant.licensed(self._world.now()):
            return Standing.WAITS
        if not delivery.registered:
            return Standing.GOOD
        known = await revocations.of_program(reader, delivery.tenant_id, delivery.application)
        return Standing.ENDED if known is None else Standing.GOOD

    async def _lifecycle(self, delivery: Delivery, now: int) -> tuple[str | None, bool | None]:
        """Tell of what happens to the subscription itself: what is owed after that, and whether it has been warned.

        None in place of the last: it should have been, and could not.
        """
        owed = delivery.owed
        if owed is not None and await self._tell(delivery, owed):
            owed = None
        if delivery.warned or delivery.ends_ticks > now + WARN:
            return owed, delivery.warned
        return owed, await self._tell(delivery, notices.REAUTHORIZE) or None

    async def _sent(self, delivery: Delivery, found: Sequence[Change]) -> bool:
        wanted = notices.wanted(delivery, found)
        if not wanted:
            return True
        return await self._post(delivery, delivery.url, notices.of_changes(delivery, wanted))

    async def _tell(self, delivery: Delivery, event: str) -> bool:
        if delivery.lifecycle_url is None:
            return False
        return await self._post(delivery, delivery.lifecycle_url, notices.of_lifecycle(delivery, event))

    async def _post(self, delivery: Delivery, url: str, body: bytes) -> bool:
        # Looked at last of all: what is deleted is not told of anything any more, nor by two at a time.
        lease = await deliveries.lease(self._database.reader, delivery.tenant, delivery.subscription)
        if lease is None or lease.holder != self._holder or lease.until < self._now() + SECONDS * TICKS_PER_SECOND:
            return False
        try:
            answer = await self._carry(url, body, notices.JSON)
        except Unreachable as error:
            self._log.info("not delivered", subscription=delivery.subscription, host=_host(url), why=str(error))
            return False
        if 200 <= answer.status < 300:
            return True
        self._log.info("not delivered", subscription=delivery.subscription, host=_host(url), status=answer.status)
        return False

    def _wait(self, attempts: int) -> int:
        """How long to wait after so many attempts, in ticks: twice as long each time, and never as long as others."""
        seconds = min(2.0 ** min(attempts, 20), _LONGEST_WAIT)
        part = int.from_bytes(self._world.random(2)) / 65_536
        return int(seconds * (0.5 + part / 2) * TICKS_PER_SECOND)

    def _now(self) -> int:
        return Instant.from_unix(self._world.now()).ticks


def _clock(now: int) -> Clock:
    return Clock(now, now + int(_LONGEST_WAIT) * TICKS_PER_SECOND + SKEW, now + LEASE + SKEW)


async def _note_some_turns(session: Session, tenant: int, now: int, *, set_back: bool) -> int:
    # Where nothing says what the log has, it may have nothing.
    told = await changes.told_until(session, tenant) or (0, "")
    if set_back or told[0] > now + SKEW:
        # A clock that was ahead was set back: what happens until then would be told by nobody. Another node's may be
        # ahead a little, and would have each turn told twice.
        told = min(told, (now, _BEHIND_ALL_KEYS))
    found = await changes.turns(session, _TABLE, tenant, told, now, _TURNS_AT_ONCE)
    for each in found:
        changes.append(session, tenant, each.key, each.kind, now)
    place = (found[-1].ticks, found[-1].key) if len(found) == _TURNS_AT_ONCE else (now, _BEHIND_ALL_KEYS)
    await changes.tell_until(session, tenant, *max(place, told))
    return len(found)


@lru_cache(maxsize=8_192)
def _host(url: str) -> str:
    return urlsplit(url).hostname or ""
