"""A folder that is the service's alone: opened and checked, locked, its files read with care and written whole.

What could be someone else's is refused by name, with what to do about it. Everything works through the opened folder,
so that nobody can swap it underneath.
"""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from adjoin.odata.errors import Refusal

_MAX_BYTES: Final = 256 * 1024
_OPEN: Final = os.O_NOFOLLOW | os.O_CLOEXEC
_WRITABLE_BY_OTHERS: Final = 0o022
_OPEN_TO_OTHERS: Final = 0o077


class FolderRefusal(Refusal):
    """The folder or a file in it can't be used as it is. An operator has to look; no request ever meets this."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path


class FileUnsafe(FolderRefusal):
    """Someone other than the service may read it, or have made it."""


class FileBroken(FolderRefusal):
    """It is torn, missing, foreign, or can't be read or written."""


@dataclass(frozen=True, slots=True)
class Folder:
    """An open folder. No other process that opens it so is in it at the same time."""

    path: Path
    handle: int

    def read(self, name: str, *, public: bool = False) -> bytes | None:
        """A file's content, None if there is none. Nobody else may read it, or only read it where it is `public`."""
        path = self.path / name
        try:
            # O_NONBLOCK: a pipe by this name must not hold the start up.
            descriptor = os.open(name, os.O_RDONLY | os.O_NONBLOCK | _OPEN, dir_fd=self.handle)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise FileBroken(path, f"it cannot be read ({error.strerror})") from error
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise FileBroken(path, "it is not a plain file")
            _check(path, status, _WRITABLE_BY_OTHERS if public else _OPEN_TO_OTHERS)
            with open(descriptor, "rb", closefd=False) as file:
                data = file.read(_MAX_BYTES + 1)
        finally:
            os.close(descriptor)
        if len(data) > _MAX_BYTES:
            raise FileBroken(path, "it is too large to be what belongs here")
        return data

    def write(self, name: str, data: bytes, *, public: bool = False) -> None:
        """Put a file in place: all of it and on disk, or, after a crash, what was there before."""
        draft = f".{name}"
        try:
            with suppress(FileNotFoundError):
                os.unlink(draft, dir_fd=self.handle)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _OPEN
            with os.fdopen(os.open(draft, flags, 0o600, dir_fd=self.handle), "wb") as file:
                if os.geteuid() == 0:
                    # Root may be first; the service must still be able to read its own files.
                    owner = os.fstat(self.handle)
                    os.fchown(file.fileno(), owner.st_uid, owner.st_gid)
                os.fchmod(file.fileno(), 0o644 if public else 0o600)
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(draft, name, src_dir_fd=self.handle, dst_dir_fd=self.handle)
            os.fsync(self.handle)
        except OSError as error:
            raise FileBroken(self.path / name, f"it cannot be written ({error.strerror})") from error


@contextmanager
def opened(path: Path) -> Iterator[Folder]:
    """The folder, made if need be, for one process at a time. Raises a FolderRefusal."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | _OPEN)
    except OSError as error:
        raise FileBroken(path, f"the folder cannot be opened ({error.strerror})") from error
    try:
        _check(path, os.fstat(handle), _OPEN_TO_OTHERS)
        # Let go of with the handle, however this ends.
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield Folder(path, handle)
    finally:
        os.close(handle)


def _check(path: Path, status: os.stat_result, forbidden: int) -> None:
    """Root is trusted by everyone and trusts everyone's: `sudo adjoin …` may look at the service account's files."""
    mode = stat.S_IMODE(status.st_mode)
    if mode & forbidden:
        verb, cure = ("change", "go-w") if forbidden == _WRITABLE_BY_OTHERS else ("read", "go=")
        raise FileUnsafe(path, f"others may {verb} it (its mode is {mode:04o}); run chmod {cure} {path}")
    if os.geteuid() not in (status.st_uid, 0) and status.st_uid != 0:
        raise FileUnsafe(path, f"it belongs to another account (user id {status.st_uid})")
