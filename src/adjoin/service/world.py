"""What the service takes from outside itself: the time and random bytes. Tests hand in their own."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

_BLOCK: Final = 64
_ID: Final = 16
# Twelve bits stand behind those of the milliseconds, and hold as many parts of one.
_PARTS_PER_SECOND: Final = 1_000 * 2**12
# RFC 9562, 4.1 and 4.2: the variant and version 4, in each id of a block.
_FREE: Final = int.from_bytes(bytes.fromhex("ffffffffffff0fff3fffffffffffffff") * _BLOCK)
_FIXED: Final = int.from_bytes(bytes.fromhex("00000000000040008000000000000000") * _BLOCK)
_GROUPS: Final = re.compile("(.{8})(.{4})(.{4})(.{4})(.{12})")


@dataclass(frozen=True, slots=True)
class World:
    """The clock (Unix seconds) and the source of random bytes."""

    now: Callable[[], float] = time.time
    random: Callable[[int], bytes] = os.urandom
    _ready: list[tuple[str, ...]] = field(default_factory=list, init=False, repr=False, compare=False)
    """Ids that nobody has been given yet. Change sets take some on the writing thread; each is popped by one alone."""

    def new_id(self) -> str:
        """A new GUID, greater than those made before, as far as the clock tells: RFC 9562, 6.2, method 3.

        Rows that come in the order of their keys cost the database least.
        """
        time = f"{int(self.now() * _PARTS_PER_SECOND):015x}"
        return f"{time[:8]}-{time[8:12]}-7{time[12:]}{self.new_request_id()[18:]}"

    def new_request_id(self) -> str:
        """A new GUID that tells nothing (RFC 9562 version 4)."""
        try:
            groups = self._ready.pop()
        except IndexError:
            # A block at a time: a system call for each would cost more than the id.
            made = _ids(self.random(_BLOCK * _ID))
            groups = made.pop()
            self._ready.extend(made)
        return "-".join(groups)

    def timestamp(self) -> str:
        """The time in UTC to the second, as records carry it."""
        return datetime.fromtimestamp(int(self.now()), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _ids(block: bytes) -> list[tuple[str, ...]]:
    """A GUID of version 4, by its groups, for every sixteen bytes of a block."""
    numbers = int.from_bytes(block) & _FREE | _FIXED
    return _GROUPS.findall(numbers.to_bytes(_BLOCK * _ID).hex())
