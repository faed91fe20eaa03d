"""What waits for few workers, in a line for each tenant: they go from line to line, and none may fill the place.

So who asks for much waits for itself, and who asks for little comes next. Thread-safe; `put` is told what cannot wait.
"""

from __future__ import annotations

import contextlib
import queue
import threading
from collections import deque
from typing import Final, Generic, TypeVar

from adjoin.store.database import Overloaded

T = TypeVar("T")

WAITING_LIMIT: Final = 64
"""How many may wait; past it, a tenant may have one."""
SHARE: Final = 16
"""How many of one tenant may wait."""
_MOST: Final = 1_024


class Lines(Generic[T]):
    """The lines. What is taken counts as waiting until it is `done`."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tokens: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self._lines: dict[int, deque[T]] = {}
        self._held: dict[int, int] = {}
        self._all = 0

    def put(self, tenant: int, thing: T) -> None:
        """Have it wait. Raises Overloaded."""
        with self._lock:
            held = self._held.get(tenant, 0)
            if held >= SHARE:
                raise Overloaded("More reads of this tenant that take long are waiting than it may have at once.")
            if self._all >= _MOST or (self._all >= WAITING_LIMIT and held):
                raise Overloaded("More reads that take long are waiting than the service takes on.")
            self._held[tenant] = held + 1
            self._all += 1
            self._lines.setdefault(tenant, deque()).append(thing)
        self._tokens.put(True)

    def take(self) -> T | None:
        """What comes next, as soon as there is any; None once it is closed."""
        while self._tokens.get():
            if (thing := self._first()) is not None:
                return thing
        return None

    def next(self) -> T | None:
        """What comes next, if there is any now."""
        with contextlib.suppress(queue.Empty):
            while self._tokens.get_nowait():
                if (thing := self._first()) is not None:
                    return thing
        return None

    def __bool__(self) -> bool:
        """Whether anything waits to be taken."""
        return bool(self._lines)

    def _first(self) -> T | None:
        with self._lock:
            if not self._lines:
                return None
            # Whose line it is stands last from now on.
            tenant, line = next(iter(self._lines.items()))
            del self._lines[tenant]
            thing = line.popleft()
            if line:
                self._lines[tenant] = line
            return thing

    def done(self, tenant: int, thing: T) -> None:
        """It waits no more, whether it was taken or not."""
        with self._lock:
            self._all -= 1
            self._held[tenant] -= 1
            if not self._held[tenant]:
                del self._held[tenant]
            line = self._lines.get(tenant)
            if line is not None and thing in line:
                line.remove(thing)
                if not line:
                    del self._lines[tenant]

    def close(self) -> None:
        """Nothing more is taken once what waits now has been."""
        self._tokens.put(False)
