"""A backup as one file: a tar archive that begins with a manifest of what follows, with sizes and digests.

Reading trusts nothing: what is not exactly as the manifest says is refused, and no name leads out of its folder.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Final

import msgspec

from adjoin.odata.errors import Refusal

MANIFEST: Final = "manifest.json"
DATABASE: Final = "adjoin.db"
FORMAT: Final = 1
_MANIFEST_BYTES: Final = 256 * 1024
_BLOCK: Final = 1024 * 1024
_NAME: Final = re.compile(r"adjoin\.db|(?:keys|tls)/[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


class BackupRefusal(Refusal):
    """A backup that is not made or not put in place. An operator has to look; no request ever meets this."""


class BadArchive(BackupRefusal):
    """A file that is no backup, or no longer a whole one."""


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One file of a backup; `modified` is in Unix seconds."""

    name: str
    bytes: int
    sha256: str
    modified: float


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a backup holds, when it was made, and by which version."""

    format: int
    adjoin: str
    created: str
    schema: str
    files: tuple[Entry, ...]


def entry_of(name: str, path: Path) -> Entry:
    """The entry of a file as it is now."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        size = 0
        while block := file.read(_BLOCK):
            digest.update(block)
            size += len(block)
        return Entry(name, size, digest.hexdigest(), os.fstat(file.fileno()).st_mtime)


def write(file: IO[bytes], manifest: Manifest, sources: Mapping[str, Path]) -> None:
    """Write an archive of the manifest's files, each from its path among `sources`."""
    with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as archive:
        text = msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n"
        archive.addfile(_member(MANIFEST, len(text), 0), io.BytesIO(text))
        for each in manifest.files:
            with sources[each.name].open("rb") as source:
                archive.addfile(_member(each.name, each.bytes, each.modified), source)


def _member(name: str, size: int, modified: float) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size, member.mode, member.mtime = size, 0o600, int(modified)
    return member


def read(path: Path, place: Mapping[str, Path]) -> Manifest:
    """Unpack an archive; `place` leads from `adjoin.db`, `keys` and `tls` to where each goes. Raises BadArchive.

    Files are made anew with mode 0600, in folders that are there. An OSError is that of the place, not of the archive.
    """
    try:
        file = path.open("rb")
    except OSError as error:
        raise BadArchive(f"The backup {path} cannot be read: {error.strerror}.") from None
    with file:
        try:
            return _unpacked(file, place)
        except BadArchive as error:
            raise BadArchive(f"The file {path} is no whole backup of adjoin: {error.message}.") from None
        except (tarfile.TarError, EOFError, ValueError, OverflowError):
            raise BadArchive(f"The file {path} is no whole backup of adjoin: it is torn, or no archive.") from None


def _unpacked(file: IO[bytes], place: Mapping[str, Path]) -> Manifest:
    with tarfile.open(fileobj=file, mode="r:") as archive:
        members = _plain(archive)
        manifest = _manifest(archive, next(members, None))
        for entry in manifest.files:
            member = next(members, None)
            source = archive.extractfile(member) if member is not None and member.name == entry.name else None
            if source is None or member is None or member.size != entry.bytes:
                raise BadArchive(f"{entry.name} is missing, or is not as its manifest says")
            _copy(source, entry, _target(entry.name, place))
        if next(members, None) is not None:
            raise BadArchive("it holds more than its manifest says")
    return manifest


def _plain(archive: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    while (member := archive.next()) is not None:
        if not member.isreg() or member.sparse is not None:
            raise BadArchive("it holds what is no plain file")
        yield member


def _manifest(archive: tarfile.TarFile, member: tarfile.TarInfo | None) -> Manifest:
    source = archive.extractfile(member) if member is not None and member.name == MANIFEST else None
    if source is None:
        raise BadArchive("it does not begin with a manifest")
    try:
        manifest = msgspec.json.decode(source.read(_MANIFEST_BYTES), type=Manifest)
    except msgspec.DecodeError:
        raise BadArchive("its manifest cannot be read") from None
    names = [each.name for each in manifest.files]
    if manifest.format != FORMAT:
        raise BadArchive(f"it is of format {manifest.format}, which this version does not know")
    if not all(_NAME.fullmatch(name) for name in names) or len(set(names)) != len(names):
        raise BadArchive("its manifest names files that are none of a backup")
    if DATABASE not in names or not any(name.startswith("keys/") for name in names):
        raise BadArchive("it lacks the database or the signing keys")
    return manifest


def _target(name: str, place: Mapping[str, Path]) -> Path:
    folder, _, file = name.rpartition("/")
    return place[folder] / file if folder else place[name]


def _copy(source: IO[bytes], entry: Entry, target: Path) -> None:
    digest = hashlib.sha256()
    with os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:
        while block := source.read(_BLOCK):
            digest.update(block)
            file.write(block)
        file.flush()
        os.utime(file.fileno(), (entry.modified, entry.modified))
        os.fsync(file.fileno())
    if digest.hexdigest() != entry.sha256:
        raise BadArchive(f"{entry.name} is not what was backed up (its SHA-256 differs)")
