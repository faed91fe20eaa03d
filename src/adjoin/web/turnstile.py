"""A turnstile for work that comes in crowds: few go through in each turn of the event loop, the first to come first.

What else is ready in that turn comes between: check-ins that arrive at once, or are answered at once since they shared
a commit, hold a GET up for the time of one or a few of them. Nor do more come in within a second than leave the loop
free for a part of it: what comes from the network waits for the interpreter, which a loop that never rests hands over
late. Of a crowd that grows more go through at a time, so that others, however many, cannot keep it out.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from functools import cached_property
from typing import Final

PACE: Final = 4_000.0
"""So many come in within a second; more only if they would wait for longer than `_LONGEST` by that."""

_LONGEST: Final = 0.05
_AT_ONCE: Final = 16.0
"""So many come in one after the other where for a while none came; the loop's timers are no finer than that."""
_FEW: Final = 4
_PART: Final = 16
"""In a turn go a few, or this part of all who wait: what is done for several in a row costs less for each."""
_TICK: Final = 0.001


class Turnstile:
    """Use it on one event loop."""

    def __init__(self, pace: float = PACE) -> None:
        self._pace = pace
        self._coming: deque[asyncio.Future[None]] = deque()
        self._leaving: deque[Callable[[], None]] = deque()
        self._turning = False
        self._resting = False
        self._left = _AT_ONCE
        self._counted = 0.0

    async def go_through(self) -> None:
        """Wait for one's turn; none waits where nobody went through in this turn of the loop, and few before."""
        if self._turning or self._coming or not self._may_come():
            turn = self._loop.create_future()
            self._coming.append(turn)
            self._go_on()
            await turn
        else:
            self._left -= 1
            self._go_on()

    def put(self, act: Callable[[], None]) -> None:
        """Have something done in its turn: what comes of those who went through, whom nobody keeps in."""
        self._leaving.append(act)
        self._go_on()

    @cached_property
    def _loop(self) -> asyncio.AbstractEventLoop:
        return asyncio.get_running_loop()

    def _may_come(self) -> bool:
        now, pace = self._loop.time(), max(self._pace, len(self._coming) / _LONGEST)
        left = self._left + (now - self._counted) * pace
        if left > _AT_ONCE:
            left = max(_AT_ONCE, min(left, pace * 2 * _TICK))
        self._left, self._counted = left, now
        return left >= 1

    def _go_on(self) -> None:
        if not self._turning:
            self._turning = True
            self._loop.call_soon(self._turn)

    def _turn(self) -> None:
        leaving, coming = self._leaving, self._coming
        count = left = max(_FEW, (len(leaving) + len(coming)) // _PART)
        while left and (leaving or (coming and self._may_come())):
            left -= 1
            if leaving:
                self._do(leaving.popleft())
            else:
                self._let_in(coming.popleft())
        # Who comes in the same turn as one who went through waits for the next.
        self._turning = left < count
        if self._turning:
            self._loop.call_soon(self._turn)
        elif self._coming and not self._resting:
            self._resting = True
            self._loop.call_later(_TICK, self._rested)

    def _do(self, act: Callable[[], None]) -> None:
        """What one of them raises is its own, and ends no turns."""
        try:
            act()
        except Exception as error:  # noqa: BLE001 - whatever it is, the loop hears of it as of a callback's
            self._loop.call_exception_handler({"message": "fault behind a turnstile", "exception": error})

    def _let_in(self, turn: asyncio.Future[None]) -> None:
        # Some may have given up.
        if not turn.done():
            turn.set_result(None)
            self._left -= 1

    def _rested(self) -> None:
        self._resting = False
        self._go_on()
