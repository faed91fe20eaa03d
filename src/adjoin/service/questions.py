"""Who may ask receivers for their consent, and who waits for that: bounded in all and for each tenant.

Receivers that never answer hold up the subscriptions of their tenant alone, and no deliveries. Whoever cannot have an
answer soon is refused before any work, and who waits for one that nobody hears any more gives up.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final, TypeVar
from weakref import WeakValueDictionary

from adjoin.store.database import Overloaded

T = TypeVar("T")

QUESTIONS: Final = 16
"""How many receivers are asked for their consent at a time."""

QUESTIONS_OF_TENANT: Final = 4

PLACES: Final = 64
"""So many subscriptions may be waiting for their receivers; past it, a tenant may have one."""

PLACES_OF_TENANT: Final = 12
_MOST: Final = 256

Gone = Callable[[], Awaitable[object]]
"""Returns once nobody waits for an answer any more."""


class NobodyWaits(Exception):
    """Who asked has left: there is nobody to answer."""


class Questions:
    """Turns of those who ask receivers for their consent, on one event loop."""

    def __init__(self) -> None:
        self._all = asyncio.Semaphore(QUESTIONS)
        self._of: WeakValueDictionary[int, asyncio.Semaphore] = WeakValueDictionary()
        self._places: Counter[int] = Counter()
        self._stopping = asyncio.Event()

    def close(self) -> None:
        """Let all go who wait, now and from now on: the service is about to stop."""
        self._stopping.set()

    async def ask(self, tenant: int, asking: Callable[[], Awaitable[T]], gone: Gone) -> T:
        """Ask, which takes turns; for no longer than who waits for it and the service stay.

        Raises Overloaded, NobodyWaits, or what `asking` raises.
        """
        self._take_place(tenant)
        try:
            return await self._asked(asking, gone)
        finally:
            self._places[tenant] -= 1
            if not self._places[tenant]:
                del self._places[tenant]

    def _take_place(self, tenant: int) -> None:
        if self._stopping.is_set():
            raise Overloaded("The service is stopping.")
        held, taken = self._places[tenant], self._places.total()
        if held >= PLACES_OF_TENANT:
            raise Overloaded("More subscriptions of this tenant wait for their receivers than may at once.")
        if taken >= _MOST or (taken >= PLACES and held):
            raise Overloaded("More subscriptions wait for their receivers than the service takes on.")
        self._places[tenant] += 1

    async def _asked(self, asking: Callable[[], Awaitable[T]], gone: Gone) -> T:
        answer = asyncio.ensure_future(asking())
        left, stop = asyncio.ensure_future(gone()), asyncio.ensure_future(self._stopping.wait())
        try:
            await asyncio.wait({answer, left, stop}, return_when=asyncio.FIRST_COMPLETED)
            if answer.done():
                return answer.result()
            if left.done():
                raise NobodyWaits
            raise Overloaded("The service is stopping.")
        finally:
            for task in (answer, left, stop):
                task.cancel()
            await asyncio.gather(answer, left, stop, return_exceptions=True)

    @asynccontextmanager
    async def turn(self, tenant: int) -> AsyncIterator[None]:
        """Waits for its turn."""
        own = self._of.setdefault(tenant, asyncio.Semaphore(QUESTIONS_OF_TENANT))
        async with own, self._all:
            yield
