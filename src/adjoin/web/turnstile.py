"""A turnstile for work that comes in crowds: few go through in each turn of the event loop, the first to come first.

What else is ready in that turn comes between: check-ins that arrive at once, or are answered at once since they shared
a commit, hold a GET up for the time of one or a few of them. Of a crowd that grows more go through at a time, so that
others, however many, cannot keep it out.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from functools import cached_property, partial
from typing import Final

_PART: Final = 16
"""In a turn goes one, or this part of all who wait."""


class Turnstile:
    """Use it on one event loop."""

    def __init__(self) -> None:
        self._waiting: deque[Callable[[], None]] = deque()
        self._turning = False

    async def go_through(self) -> None:
        """Wait for one's turn; there is no waiting where nobody went through in this turn of the loop."""
        if self._turning:
            turn = self._loop.create_future()
            self._waiting.append(partial(_let_go, turn))
            await turn
        else:
            self._turning = True
            self._loop.call_soon(self._turn)

    def put(self, act: Callable[[], None]) -> None:
        """Have something done at its turn, behind those who wait."""
        self._waiting.append(act)
        if not self._turning:
            self._turning = True
            self._loop.call_soon(self._turn)

    @cached_property
    def _loop(self) -> asyncio.AbstractEventLoop:
        return asyncio.get_running_loop()

    def _turn(self) -> None:
        waiting = self._waiting
        # Whoever comes in the same turn as one who goes through waits.
        self._turning = bool(waiting)
        for _ in range(min(len(waiting), max(1, len(waiting) // _PART))):
            waiting.popleft()()
        if self._turning:
            self._loop.call_soon(self._turn)


def _let_go(turn: asyncio.Future[None]) -> None:
    # Some may have given up.
    if not turn.done():
        turn.set_result(None)
