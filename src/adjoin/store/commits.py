"""Plain counts of what the store does, kept at next to no cost, for whoever shows them."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from typing import Final

import structlog

from adjoin.store.database import Unavailable

_SIZES: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
_SECONDS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 10.0)


class Histogram:
    """How many values fell into each bucket: at most its bound, or, in the last, above them all."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def add(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value


class Commits:
    """The commits of a database. One thread adds; others may read at any time."""

    def __init__(self) -> None:
        self.sizes = Histogram(_SIZES)
        self.seconds = Histogram(_SECONDS)
        self.refused = 0
        self.waiting: Callable[[], int] = int
        """How many writes wait or are being done now; the database puts its own in this place."""
        self._log = structlog.get_logger("adjoin.store")
        self._taken = True

    def add(self, seconds: float, errors: Sequence[BaseException | None]) -> None:
        """Count a commit that took so long, by what came of each of its writes: an error, or None."""
        self.sizes.add(len(errors))
        self.seconds.add(seconds)
        if isinstance(errors[0], Unavailable) and all(isinstance(each, Unavailable) for each in errors):
            self.refused += 1
            if self._taken:
                self._log.error("database takes no changes", reason=errors[0].message)
            self._taken = False
        elif not self._taken:
            self._taken = True
            self._log.info("database takes changes again")
