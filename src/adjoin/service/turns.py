"""Whose turn it is at a chore that each change could do: one change in a second does it, and no other pays for it."""

from __future__ import annotations

from collections.abc import Hashable

_SECONDS = 1.0


class Turns:
    """When each chore was last done. Asked on the writing thread alone."""

    def __init__(self) -> None:
        self._done: dict[Hashable, float] = {}

    def take(self, chore: Hashable, now: float) -> bool:
        """Whether a chore is due at this Unix time; who is told so does it."""
        # A clock that was set back makes it due as well.
        if 0 <= now - self._done.get(chore, now - _SECONDS) < _SECONDS:
            return False
        self._done[chore] = now
        return True
