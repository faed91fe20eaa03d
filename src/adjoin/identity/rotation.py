"""The built-in issuer's keys in a service that runs: a rotation on disk is noticed, without a restart."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final, TypeAlias

import structlog

from adjoin.identity.keys import KeyRefusal, open_ring

_INTERVAL: Final = 1.0
_Stamp: TypeAlias = tuple[int, tuple[str, ...]]


class LiveRing:
    """The keys in a folder, read again when the folder changes.

    A change that can't be used is logged and leaves the keys as they were until it can: a service that runs is not
    brought down by a file that is dropped into its folder.
    """

    def __init__(self, folder: Path, now: float) -> None:
        """Open the folder as `open_ring` does. Raises a KeyRefusal."""
        self.folder = folder
        self._seen = _stamp(folder)
        self._loaded = open_ring(folder, now)
        self._refused: str | None = None
        self.ring = self._loaded.at(now)
        """The keys that sign and verify now."""
        self._looked = now

    @property
    def looks_again(self) -> float:
        """From when on `changed` looks at the folder again."""
        return self._looked + _INTERVAL

    def changed(self, now: float, at_once: bool = False) -> bool:
        """Look at the folder, once a second or `at_once`; True when the keys in use are others than before."""
        # A clock that was set back must not end the looking until it is where it was.
        if 0 <= now - self._looked < _INTERVAL and not at_once:
            return False
        self._looked = now
        stamp = _stamp(self.folder)
        if stamp == self._seen:
            self._refused = None
        elif self._read(now):
            # The stamp is from before the reading, so that what changes meanwhile is read the next time. One of a
            # reading that failed is not kept: what puts that right need not show in it, such as another mode.
            self._seen = stamp
        before, self.ring = self.ring, self._loaded.at(now)
        return list(before.verification) != list(self.ring.verification)

    def _read(self, now: float) -> bool:
        log = structlog.get_logger("adjoin.keys")
        try:
            self._loaded = open_ring(self.folder, now)
        except (KeyRefusal, OSError) as error:
            # It is tried again every second, and at tokens with an unknown key: the log need not hear of each.
            if str(error) != self._refused:
                self._refused = str(error)
                log.error("keys not read again", reason=self._refused)
            return False
        self._refused = None
        log.info("keys read again", signing=self._loaded.signing.kid, keys=len(self._loaded.verification))
        return True


def _stamp(folder: Path) -> _Stamp | None:
    """What tells that the folder changed: its time, and the names in it, as two changes can fall on one time."""
    try:
        return os.stat(folder).st_mtime_ns, tuple(sorted(os.listdir(folder)))
    except OSError:
        return None
