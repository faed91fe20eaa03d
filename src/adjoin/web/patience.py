"""An end to waiting for what clients send: one look a while at all who wait, in place of a timer for each.

Nearly every body is there at once, and `asyncio.timeout` would cost it as much as to read and verify it does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from time import monotonic
from types import TracebackType, coroutine
from typing import Final

_LOOK_SECONDS: Final = 0.25
"""How often those are looked for who have waited too long: so much longer they may wait at most."""


@coroutine
def next_turn() -> Generator[None, None, None]:
    """Wait for the next turn of the event loop: all who do so in one turn go on in a row, in the next."""
    yield


class Watch:
    """Those who wait on one event loop."""

    def __init__(self) -> None:
        self._waiting: set[Waiting] = set()
        self._looks = False

    def until(self, seconds: float) -> Waiting:
        """Waiting that is to end within so many seconds: as a context, it raises TimeoutError past them."""
        return Waiting(self, seconds)

    def add(self, waiting: Waiting) -> None:
        self._waiting.add(waiting)
        if not self._looks:
            self._looks = True
            loop = asyncio.get_running_loop()
            loop.call_later(_LOOK_SECONDS, self._look, loop)

    def remove(self, waiting: Waiting) -> None:
        self._waiting.discard(waiting)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        now = monotonic()
        for waiting in [each for each in self._waiting if each.end < now]:
            waiting.give_up()
        self._looks = bool(self._waiting)
        if self._looks:
            loop.call_later(_LOOK_SECONDS, self._look, loop)


class Waiting:
    """One who waits: a task within this context."""

    __slots__ = ("_began", "_cancelled", "_given_up", "_task", "_watch", "end")

    def __init__(self, watch: Watch, seconds: float) -> None:
        self._watch = watch
        self._given_up = False
        self._cancelled = 0
        self._task: asyncio.Task[object] | None = None
        self._began = monotonic()
        self.end = self._began + seconds

    def __enter__(self) -> Waiting:
        self._task = asyncio.current_task()
        self._cancelled = self._task.cancelling() if self._task is not None else 0
        self._watch.add(self)
        return self

    def extend(self, seconds: float) -> None:
        """End so many seconds after the beginning, and no sooner."""
        self.end = self._began + seconds

    def give_up(self) -> None:
        """Wake the task, which then has waited too long."""
        self._watch.remove(self)
        if self._task is not None:
            self._given_up = True
            self._task.cancel()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._watch.remove(self)
        if not self._given_up or self._task is None:
            return
        # As asyncio's own timeout: whoever else cancelled the task is still heard.
        if self._task.uncancel() <= self._cancelled and kind is asyncio.CancelledError:
            raise TimeoutError from error
