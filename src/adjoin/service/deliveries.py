"""Tells subscriptions of changes: in order, at least once, beside the requests that are served.

The database says what is to be delivered and how far it has come, so that nothing is lost with this process. What the
clock alone changes is put into the log at the moment it happens: the earliest such moment is known, and waited for.
Tenants take turns (`slots.py`), and so do the subscriptions of one: who was told longest ago comes first.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Sequence
from enum import Enum
from functools import partial
from typing import Final, NamedTuple

import structlog

from adjoin import model
from adjoin.odata.values import TICKS_PER_SECOND, Instant
from adjoin.service import notices, repeats
from adjoin.service.courier import SECONDS, Carry, Unreachable
from adjoin.service.receivers import host_of
from adjoin.service.removal import SKEW
from adjoin.service.slots import Slots
from adjoin.service.world import World
from adjoin.store import changes, deliveries, revocations
from adjoin.store.changes import Change
from adjoin.store.database import Database, Session, StoreRefusal
from adjoin.store.deliveries import NEVER, Clock, Delivery, Lease, Outcome
from adjoin.store.tables import table_of
from adjoin.store.tenants import find_by_number

BATCH: Final = 100
"""How many changes one notification tells of at most."""

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

_LONGEST_WAIT: Final = 600.0
_LOOK_AGAIN: Final = 1.0
_PAUSE: Final = 0.05
_TURNS_AT_ONCE: Final = 1_000
_DROPPED_AT_ONCE: Final = 256
_CHORES: Final = TICKS_PER_SECOND
_GONE: Final = 30 * TICKS_PER_SECOND
"""How often those are looked for whose application or person is no more."""
_GONE_AT_ONCE: Final = 256
_TABLE: Final = table_of(model.CONNECTOR)
_BEHIND_ALL_KEYS: Final = "~"


class Standing(Enum):
    """Whether a subscription may be told now."""

    GOOD = "good"
    WAITS = "its tenant has no licence"
    ENDED = "its application, or the person who made it by that, is no more"


class _Happened(NamedTuple):
    """What a subscription has still to hear of itself, whether it was warned of its end, and when it is told more."""

    owed: str | None
    warned: bool
    due: int
    attempts: int


class Deliveries:
    """The deliveries of one process. Make, use and stop it on one event loop."""

    def __init__(self, database: Database, world: World, carry: Carry) -> None:
        self._database = database
        self._world = world
        self._carry = carry
        self._holder = world.new_request_id()
        self._running: dict[tuple[int, str], asyncio.Task[None]] = {}
        self._slots = Slots()
        self._next_turns: dict[int, int] = {}
        self._done = 0
        """When the chores were done last."""
        self._asked = 0
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
        waits = False
        while True:
            self._wake.clear()
            try:
                await self.look()
                waits = False
            except StoreRefusal as refusal:
                if not waits:  # once for as long as it is so
                    self._log.warning("deliveries wait for the database", why=refusal.message)
                waits = True
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
            idle = not self._running
            await self.look()
            # What ends during a look may have kept others from being begun by it.
            if idle and not self._running:
                return
            await asyncio.gather(*self._running.values(), return_exceptions=True)

    async def look(self) -> None:
        """See what there is to do, and begin with it."""
        async with self._looking:
            reader, now = self._database.reader, self._now()
            await self._stop_where_ended()
            # A look is taken with each change, and all of this waits for the clock alone.
            if not 0 <= now - self._done < _CHORES:
                await self._do_chores(now)
            lines: list[deque[Delivery]] = []
            last = dict(await deliveries.ready(reader, _clock(now)))
            for number in self._slots.in_turn(last):
                if len(lines) == AT_ONCE:
                    break
                if self._slots.free(number):
                    lines += await self._line(number, last[number], now)
            await self._begin(self._chosen(lines), now)

    async def _line(self, number: int, last: int, now: int) -> list[deque[Delivery]]:
        """The line of a tenant's subscriptions that can be told something now, if there are any."""
        tenant = await find_by_number(self._database.reader, number)
        if tenant is None or not tenant.licensed(self._world.now()):
            return []
        full = self._slots.full(number)
        found = await deliveries.due(self._database.reader, tenant, last, _clock(now), AT_ONCE, full)
        return [deque(found)] if found else []

    # --- what waits for the clock alone

    async def _do_chores(self, now: int) -> None:
        reader, set_back = self._database.reader, now < self._done
        if set_back or not self._done:
            await self._hasten(now)
        subscribed = await deliveries.tenants(reader, now)
        for tenant, ended in subscribed:
            if ended:
                await self._drop_ended(tenant, now)
            await self._note_turns(tenant, now, set_back=set_back)
        self._slots.forget(tenant for tenant, _ in subscribed)
        if subscribed and not 0 <= now - self._asked < _GONE:
            self._asked = now
            await self._find_gone()
        # Every node looks once a second, which is what that needs.
        await repeats.tidy(self._database, self._world.now())
        self._done = now

    async def _hasten(self, now: int) -> None:
        if await deliveries.put_off(self._database.reader, _clock(now)):
            await self._database.write(lambda session: deliveries.hasten(session, _clock(now)))

    async def _drop_ended(self, tenant: int, now: int) -> None:
        async def act(session: Session) -> int:
            return await deliveries.drop_ended(session, tenant, now, _DROPPED_AT_ONCE)

        while await self._database.write(act) == _DROPPED_AT_ONCE:
            pass

    async def _find_gone(self) -> None:
        """Have those told of their end whose application or person is no more, though nothing else is to be told."""
        try:
            gone = await deliveries.gone(self._database.scanner, notices.REMOVED, _GONE_AT_ONCE)
        except StoreRefusal as refusal:
            self._log.warning("not looked for applications that are gone", why=refusal.message)
            return

        async def act(session: Session) -> None:
            for tenant, subscription in gone:
                await deliveries.owe(session, tenant, subscription, notices.REMOVED)

        if gone:
            await self._database.write(act)

    async def _stop_where_ended(self) -> None:
        """Stop telling subscriptions that another node has deleted, or has taken over."""
        if self._running:
            held = await deliveries.leased(self._database.reader, self._holder)
            for key in self._running.keys() - held:
                self._running[key].cancel()

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

    def _chosen(self, lines: Sequence[deque[Delivery]]) -> list[Delivery]:
        """Those that can begin now, one of each line after another: none that runs already, and each with a slot."""
        chosen: list[Delivery] = []
        waiting = deque(lines)
        while waiting and len(chosen) < AT_ONCE:
            line = waiting.popleft()
            each = line.popleft()
            if (each.tenant, each.subscription) not in self._running and self._slots.take(each.tenant, _at(each)):
                chosen.append(each)
            if line:
                waiting.append(line)
        return chosen

    async def _begin(self, chosen: Sequence[Delivery], now: int) -> None:
        if not chosen:
            return
        claimed: set[tuple[int, str]] = set()
        try:
            claimed = await self._database.write(
                lambda session: deliveries.claim(session, chosen, self._holder, _clock(now), now + LEASE)
            )
        finally:
            for each in chosen:
                if (each.tenant, each.subscription) not in claimed:
                    self._slots.give_back(each.tenant, _at(each))
        for each in chosen:
            if (each.tenant, each.subscription) in claimed:
                task = asyncio.get_running_loop().create_task(self._deliver(each))
                self._running[each.tenant, each.subscription] = task
                # Not within the task: one that is cancelled before its first step runs nothing of its own.
                task.add_done_callback(partial(self._ended, each))

    def _ended(self, delivery: Delivery, _: asyncio.Task[None]) -> None:
        self._slots.give_back(delivery.tenant, _at(delivery))
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
        """One attempt to tell a subscription what is next; None: it is to be removed.

        Changes come first: a receiver of lifecycle events that does not answer is tried again at times of its own.
        """
        now = self._now()
        standing = await self._standing(delivery)
        if standing is Standing.ENDED and (
            delivery.lifecycle_url is None or await self._tell(delivery, notices.REMOVED) is not None
        ):
            return None
        happened = _Happened(delivery.owed, delivery.warned, delivery.event_due, delivery.event_attempts)
        if standing is not Standing.GOOD:
            return Outcome(delivery.position, delivery.attempts, now, *happened)
        position, attempts, due = delivery.position, delivery.attempts, now
        if delivery.behind:
            found = await changes.after(self._database.reader, delivery.tenant, position, delivery.last, BATCH)
            sent = await self._sent(delivery, found)
            if sent:
                position, attempts = found[-1].sequence if found else delivery.last, 0
            elif sent is False:
                attempts += 1
                due = now + self._wait(attempts)
                if lost := [each.sequence for each in found if each.ticks <= now - GIVE_UP]:
                    position = max(lost)
                    if delivery.lifecycle_url is not None:
                        happened = happened._replace(owed=notices.MISSED, due=now, attempts=0)
        if delivery.event:
            happened = await self._lifecycle(delivery, happened)
        return Outcome(position, attempts, due, *happened)

    async def _standing(self, delivery: Delivery) -> Standing:
        reader = self._database.reader
        tenant = await find_by_number(reader, delivery.tenant)
        if tenant is None or not tenant.licensed(self._world.now()):
            return Standing.WAITS
        if not delivery.registered:
            return Standing.GOOD
        maker = delivery.tenant_id, delivery.application
        if delivery.person:
            known = await revocations.of_person(reader, *maker, delivery.creator)
        else:
            known = await revocations.of_program(reader, *maker)
        return Standing.ENDED if known is None else Standing.GOOD

    async def _lifecycle(self, delivery: Delivery, before: _Happened) -> _Happened:
        """Tell of one thing that happens to the subscription itself."""
        warns = delivery.ends_ticks - WARN
        after = before._replace(due=NEVER if before.warned else warns, attempts=0)
        if delivery.lifecycle_url is None:
            return _Happened(None, before.warned, NEVER, 0)
        if before.owed == notices.REMOVED:
            # Somebody has come back who was no more.
            return after._replace(owed=None)
        if before.owed is not None:
            event, after = before.owed, after._replace(owed=None)
        elif not before.warned and (delivery.event_due or warns <= self._now()):
            event, after = notices.REAUTHORIZE, after._replace(warned=True, due=NEVER)
        else:
            return after
        told = await self._tell(delivery, event)
        if told:
            return after
        if told is None:
            return before._replace(due=self._now())
        attempts = before.attempts + 1
        return before._replace(due=self._now() + self._wait(attempts), attempts=attempts)

    async def _sent(self, delivery: Delivery, found: Sequence[Change]) -> bool | None:
        wanted = notices.wanted(delivery, found)
        if not wanted:
            return True
        return await self._post(delivery, delivery.url, notices.of_changes(delivery, wanted))

    async def _tell(self, delivery: Delivery, event: str) -> bool | None:
        if delivery.lifecycle_url is None:
            return False
        return await self._post(delivery, delivery.lifecycle_url, notices.of_lifecycle(delivery, event))

    async def _post(self, delivery: Delivery, url: str, body: bytes) -> bool | None:
        """Whether a receiver has taken it; None: it was not sent, for the time of the lease does not reach."""
        # Looked at last of all: what is deleted is not told of anything any more, nor by two at a time.
        lease = await deliveries.lease(self._database.reader, delivery.tenant, delivery.subscription)
        if lease is None or lease.holder != self._holder or lease.until < self._now() + SECONDS * TICKS_PER_SECOND:
            return None
        try:
            answer = await self._carry(url, body, notices.JSON)
        except Unreachable as error:
            self._log.info("not delivered", subscription=delivery.subscription, host=host_of(url), why=str(error))
            return False
        if 200 <= answer.status < 300:
            return True
        self._log.info("not delivered", subscription=delivery.subscription, host=host_of(url), status=answer.status)
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


def _at(delivery: Delivery) -> str:
    """The host that is told first."""
    return host_of(delivery.url if delivery.behind else delivery.lifecycle_url or delivery.url)
