"""Backing up an installation while it runs: database, signing keys and certificates, in one file.

All three, since a database alone would make every token and every client's trust void. So the file is worth as much as
the installation: whoever has it can sign tokens.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from adjoin import __version__
from adjoin.identity.folder import opened
from adjoin.service import archive
from adjoin.service.archive import DATABASE, FORMAT, BackupRefusal, Manifest
from adjoin.service.claim import beside_others, there
from adjoin.store import snapshot


class CannotBackUp(BackupRefusal):
    """The backup could not be written. What was there before is there still."""


@dataclass(frozen=True, slots=True)
class Parts:
    """Where the parts of an installation are."""

    data_dir: Path
    database: Path
    keys: Path
    tls: Path

    @property
    def folders(self) -> dict[str, Path]:
        return {"keys": self.keys, "tls": self.tls}


PUBLIC: Final = "tls/ca.pem"
"""The one file that others may read."""


def back_up(parts: Parts, file: Path, created: str, *, replace: bool = False) -> Manifest:
    """Write a backup to `file` (0600), which appears there whole or not at all.

    A restore that was interrupted is finished first, and none begins meanwhile. Raises CannotBackUp, also where there
    is such a file and it is not to be replaced; InUse while a restore is under way; Unusable for a database that is not
    whole; FolderRefusal.
    """
    if there(file) and file.is_dir():
        raise CannotBackUp(f"{file} is a directory; name a file to write.")
    if there(file) and not replace:
        raise CannotBackUp(f"There is a file {file} already; --force replaces it.")
    if not there(parts.data_dir):
        raise CannotBackUp(f"There is no data directory {parts.data_dir}.")
    with beside_others(parts.data_dir):
        return _drafted(parts, file, created)


def _drafted(parts: Parts, file: Path, created: str) -> Manifest:
    try:
        # Beside the file, so that there is room for both or for none, and the last step is a rename.
        work = Path(tempfile.mkdtemp(prefix=f".{file.name}.", dir=file.parent))
    except OSError as error:
        raise CannotBackUp(f"The backup {file} cannot be written: {error.strerror}.") from None
    try:
        return _written(parts, file, work, created)
    except OSError as error:
        raise CannotBackUp(f"The backup {file} cannot be written: {error.strerror}.") from None
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _written(parts: Parts, file: Path, work: Path, created: str) -> Manifest:
    sources = {DATABASE: work / DATABASE}
    for name, folder in parts.folders.items():
        if there(folder):
            sources.update(_copied(name, folder, work))
    if not any(name.startswith("keys/") for name in sources):
        raise CannotBackUp(
            f"There are no signing keys in {parts.keys}, and a backup without them cannot be restored; "
            "name the data directory of the installation with --data-dir."
        )
    snapshot.take(parts.database, work / DATABASE)
    # Of the copy, not of the database in use: nobody waits for it, and it is the copy that has to be good.
    schema = snapshot.examine(work / DATABASE, f"database {parts.database}")
    entries = tuple(archive.entry_of(name, path) for name, path in sources.items())
    manifest = Manifest(FORMAT, __version__, created, schema, entries)
    draft = work / "backup"
    with os.fdopen(os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600), "wb") as output:
        archive.write(output, manifest, sources)
        output.flush()
        os.fsync(output.fileno())
    os.replace(draft, file)
    sync(file.parent)
    return manifest


def _copied(name: str, folder: Path, work: Path) -> Iterator[tuple[str, Path]]:
    """The files of a folder, copied while nobody changes it. A key's age is its file's."""
    (work / name).mkdir(mode=0o700)
    with opened(folder) as source:
        for each in sorted(os.listdir(source.handle)):
            data = None if each.startswith(".") else source.read(each, public=f"{name}/{each}" == PUBLIC)
            if data is None:
                continue
            copy = work / name / each
            copy.write_bytes(data)
            modified = os.stat(each, dir_fd=source.handle).st_mtime_ns
            os.utime(copy, ns=(modified, modified))
            yield f"{name}/{each}", copy


def sync(folder: Path) -> None:
    """Have on disk what was made and renamed in a folder."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
