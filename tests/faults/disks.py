"""Disks that fill up and are freed again, and processes that may not write: for tests of the whole service."""

from __future__ import annotations

import contextlib
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

# From the bounding set CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH, by which root may write what is read-only. Who is not
# root has none of them, and is refused the call.
_PROGRAM: Final = """
import ctypes, os, sys
for each in (1, 2):
    ctypes.CDLL(None).prctl(24, each, 0, 0, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""
WITHOUT_OVERRIDE: Final = (sys.executable, "-c", _PROGRAM)
"""Begins a command for which permissions count, even if it is root's."""


@dataclass(frozen=True, slots=True)
class Disk:
    """A small file system of its own, or, where none may be mounted, a limit on the size of a process's files."""

    folder: Path
    mounted: bool

    def fill(self, process: int) -> None:
        """Leave no room for any more of the process's data."""
        if not self.mounted:
            size = max(path.stat().st_size for path in self.folder.rglob("*") if path.is_file())
            resource.prlimit(process, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
            return
        with contextlib.suppress(OSError), (self.folder / "filler").open("wb", buffering=0) as file:
            while True:
                file.write(bytes(65_536))
        with contextlib.suppress(OSError), (self.folder / "filler").open("ab", buffering=0) as file:
            while True:
                file.write(bytes(512))

    def free(self, process: int) -> None:
        """Make room again."""
        if self.mounted:
            (self.folder / "filler").unlink()
        else:
            resource.prlimit(process, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


@contextlib.contextmanager
def disk(folder: Path, *, mount: bool, size: str = "48m") -> Iterator[Disk]:
    """A disk at `folder`: a small tmpfs if `mount` and if this process may mount."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    mounted = mount and os.geteuid() == 0 and subprocess.run(command, check=False, capture_output=True).returncode == 0
    try:
        yield Disk(folder, mounted)
    finally:
        if mounted:
            subprocess.run(["umount", "-l", str(folder)], check=True)
