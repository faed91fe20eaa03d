"""What the service takes from outside itself: the time and random bytes. Tests hand in their own."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from adjoin.odata.values import time_ordered_guid

_BLOCK: Final = 4_096
_PIECE: Final = 16
# Of a millisecond: as many as fit in the twelve bits behind it.
_PARTS: Final = 4_096
_PARTS_PER_SECOND: Final = 1_000 * _PARTS
# The two bits that say which kind of GUID it is, put in place of a random digit's upper two (RFC 9562, 4.1).
_VARIANT: Final = {digit: "89ab"[int(digit, 16) & 3] for digit in "0123456789abcdef"}


class RandomBlock:
    """Random bytes from the system, fetched a block at a time: a system call per id would cost more than the id.

    Change sets make ids on the writing thread while the event loop makes its own. So a block is cut into pieces at
    once, and each is popped by one of them alone: none may be given twice.
    """

    def __init__(self, source: Callable[[int], bytes] = os.urandom) -> None:
        self._source = source
        self._pieces: list[bytes] = []

    def __call__(self, count: int) -> bytes:
        if count > _PIECE:
            return self._source(count)
        try:
            return self._pieces.pop()[:count]
        except IndexError:
            block = self._source(_BLOCK)
            self._pieces = [block[at : at + _PIECE] for at in range(0, _BLOCK, _PIECE)]
            # Another may take this block's place meanwhile, or empty it.
            return self._source(count)


@dataclass(frozen=True, slots=True)
class World:
    """The clock (Unix seconds) and the source of random bytes."""

    now: Callable[[], float] = time.time
    random: Callable[[int], bytes] = os.urandom

    def new_id(self) -> str:
        """A new GUID, greater than those made before, as far as the clock tells: RFC 9562, 6.2, method 3.

        Rows that come in the order of their keys cost the database least.
        """
        milliseconds, part = divmod(int(self.now() * _PARTS_PER_SECOND), _PARTS)
        return time_ordered_guid(milliseconds, part.to_bytes(2) + self.random(8))

    def new_request_id(self) -> str:
        """A new GUID that tells nothing (RFC 9562 version 4)."""
        text = self.random(16).hex()
        return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-{_VARIANT[text[16]]}{text[17:20]}-{text[20:]}"

    def timestamp(self) -> str:
        """The time in UTC to the second, as records carry it."""
        return datetime.fromtimestamp(int(self.now()), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
