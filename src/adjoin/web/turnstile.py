"""A turnstile for work that comes in crowds: few go through in each turn of the event loop, the first to come first.

What else is ready in that turn comes between: check-ins that arrive at once, or are answered at once since they shared
a commit, hold a GET up for the time of one or a few of them. Of a crowd that grows more go through at a time, so that
others, however many, cannot keep it out.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final

_PART: Final = 16
"""In a turn goes one, or this part of all who wait."""


class Turnstile:
    """Use it on one event loop."""

    def __init__(self) -> None:
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._turning = False

    async def go_through(self) -> None:
        """Wait for one's turn; there is no waiting where nobody went through in this turn of the loop."""
        loop = asyncio.get_running_loop()
        if not self._turning:
            self._turning = True
            loop.call_soon(self._turn, loop)
            return
        turn = loop.create_future()
        self._waiting.append(turn)
        await turn

    def _turn(self, loop: asyncio.AbstractEventLoop) -> None:
        left = max(1, len(self._waiting) // _PART)
        while self._waiting and left:
            turn = self._waiting.popleft()
            # Some may have given up.
            if not turn.done():
                turn.set_result(None)
                left -= 1
        self._turning = left == 0
        if self._turning:
            loop.call_soon(self._turn, loop)
