"""How often somebody may fail: after some failures in a row a wait begins, and doubles with each one more.

Kept in memory and bounded: a restart forgives. An attempt counts when it begins, so that many at once are many.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Final

_FORGOTTEN_AFTER: Final = 24 * 3_600
_SIZE: Final = 50_000


@dataclass(frozen=True, slots=True)
class Patience:
    """How many failures are free, and the first and the longest wait after them, in seconds."""

    free: int
    first: int
    longest: int


class Attempts:
    """Failures by what they were counted under: an account, an address, or both."""

    def __init__(self, size: int = _SIZE) -> None:
        self._size = size
        self._failures: OrderedDict[Hashable, tuple[int, float]] = OrderedDict()

    def wait(self, key: Hashable, patience: Patience, now: float) -> int:
        """How many seconds are left until the next attempt is looked at; 0: none."""
        count, last = self._found(key, now)
        if count < patience.free:
            return 0
        pause = min(patience.first * 2 ** min(count - patience.free, 32), patience.longest)
        return max(0, int(last + pause - now + 0.999))

    def count(self, key: Hashable, now: float) -> None:
        """Count an attempt, which has failed until it is forgiven."""
        count, _ = self._found(key, now)
        self._failures[key] = (count + 1, now)
        self._failures.move_to_end(key)
        if len(self._failures) > self._size:
            self._failures.popitem(last=False)

    def forgive(self, key: Hashable, all_of_them: bool = False) -> None:
        """Take one attempt back, or all of a key's."""
        count, last = self._failures.get(key, (0, 0.0))
        if count <= 1 or all_of_them:
            self._failures.pop(key, None)
        else:
            self._failures[key] = (count - 1, last)

    def _found(self, key: Hashable, now: float) -> tuple[int, float]:
        count, last = self._failures.get(key, (0, now))
        if last > now:
            # The clock was set back: the wait begins anew, and is not the longer for it.
            last = now
            self._failures[key] = (count, last)
        return (0, now) if now - last > _FORGOTTEN_AFTER else (count, last)
