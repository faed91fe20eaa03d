"""Who uses a data directory: many at once as a rule, one alone while it is being replaced.

The lock is the kernel's, on the directory itself: it leaves no file, and ends with the process however that ends.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import Final

from adjoin.store.database import Unusable

PLAN: Final = "restore.json"
"""What a restore leaves in a data directory until all of it is in place."""


class InUse(Unusable):
    """A data directory that others use, while it is wanted for one alone; or the other way round."""


class Claim:
    """A claim on a data directory, until it is let go of."""

    def __init__(self, data_dir: Path, *, alone: bool) -> None:
        """Claim it, beside others or `alone`. Raises InUse, or Unusable for a directory that cannot be locked."""
        try:
            self._handle: int | None = os.open(data_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise Unusable(f"The directory {data_dir} cannot be opened: {error.strerror}.") from error
        try:
            fcntl.flock(self._handle, (fcntl.LOCK_EX if alone else fcntl.LOCK_SH) | fcntl.LOCK_NB)
        except OSError as error:
            self.release()
            if isinstance(error, BlockingIOError):
                raise InUse(_taken(data_dir, alone)) from None
            raise Unusable(f"The directory {data_dir} cannot be locked: {error.strerror}.") from error

    def release(self) -> None:
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    def __enter__(self) -> Claim:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


def there(path: Path) -> bool:
    """Whether there is a file or folder. Raises Unusable where that cannot be told."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise Unusable(f"{path} cannot be looked at: {error.strerror}.") from error
    return True


def beside_others(data_dir: Path) -> Claim:
    """A claim beside others, once a restore that was interrupted is finished. Raises InUse or Unusable."""
    if there(data_dir / PLAN):
        from adjoin.service.restore import finish  # noqa: PLC0415 - not needed at most starts

        with Claim(data_dir, alone=True):
            finish(data_dir)
    claim = Claim(data_dir, alone=False)
    if there(data_dir / PLAN):
        # It was interrupted just now, between the look and the claim.
        claim.release()
        raise Unusable(f"A restore into {data_dir} was interrupted; try again, which finishes it.")
    return claim


def _taken(data_dir: Path, alone: bool) -> str:
    if alone:
        return f"The data directory {data_dir} is in use; stop the service and whatever else works on it first."
    return f"A restore into the data directory {data_dir} is under way; wait until it is done."
