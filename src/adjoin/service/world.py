"""What the service takes from outside itself: the time and random bytes. Tests hand in their own."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from adjoin.odata.values import GUID_VARIANT

_BLOCK: Final = 4_096
_PIECE: Final = 16
# Twelve bits stand behind those of the milliseconds, and hold as many parts of one.
_PARTS_PER_SECOND: Final = 1_000 * 2**12


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
        time, rest = f"{int(self.now() * _PARTS_PER_SECOND):015x}", self.random(8).hex()
        return f"{time[:8]}-{time[8:12]}-7{time[12:]}-{GUID_VARIANT[rest[0]]}{rest[1:4]}-{rest[4:]}"

    def new_request_id(self) -> str:
        """A new GUID that tells nothing (RFC 9562 version 4)."""
        text = self.random(16).hex()
        return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-{GUID_VARIANT[text[16]]}{text[17:20]}-{text[20:]}"

    def timestamp(self) -> str:
        """The time in UTC to the second, as records carry it."""
        return datetime.fromtimestamp(int(self.now()), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
