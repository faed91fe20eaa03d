"""Print where a run of the tests has its temporary files: in memory where there is room, or where the system has them.

A disk that is waited for at each commit takes a tenth of a run. What a disk does is the business of `tests/faults`.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import Final

MEMORY: Final = Path("/dev/shm")
ROOM: Final = 2 << 30
"""Bytes that have to be free; a run takes a third of it."""


def _free() -> int:
    """The bytes of memory that may be taken."""
    for line in Path("/proc/meminfo").read_text("ascii").splitlines():
        name, _, value = line.partition(":")
        if name == "MemAvailable":
            return int(value.split()[0]) << 10
    return 0


def folder() -> str:
    """The folder."""
    try:
        at = os.statvfs(MEMORY)
        # Some tests run programs that they have put there.
        fits = not at.f_flag & os.ST_NOEXEC and min(at.f_bavail * at.f_frsize, _free()) > ROOM
    except OSError:
        fits = False
    return str(MEMORY) if fits and os.access(MEMORY, os.W_OK) else tempfile.gettempdir()


if __name__ == "__main__":
    sys.stdout.write(folder())
