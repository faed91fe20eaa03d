"""Putting a backup in place of an installation, or where there is none: all of it, or nothing.

Everything is unpacked and verified beside what is there. Then a plan of renames is written, and from that moment on the
backup is what counts: a crash in the middle is finished by whoever opens the installation next.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from adjoin.identity.keys import open_ring
from adjoin.service import archive
from adjoin.service.archive import DATABASE, BackupRefusal, Manifest
from adjoin.service.backup import PUBLIC, Parts, sync
from adjoin.service.claim import PLAN, Claim
from adjoin.store import snapshot
from adjoin.store.database import Unusable

_DRAFT: Final = ".restoring"
_LOGS: Final = ("-wal", "-shm", "-journal")


class CannotRestore(BackupRefusal):
    """The backup was not put in place; what was there before is there still."""


class _Plan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Renames in their order; from names within the data directory, or whole paths, to such."""

    renames: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Restored:
    """What was put in place, and where that is which was there before."""

    manifest: Manifest
    aside: tuple[Path, ...]


def restore(parts: Parts, file: Path, stamp: str, *, replace: bool = False) -> Restored:
    """Put the backup `file` in place; `stamp` names what is kept of what was there.

    Raises InUse while anything else uses the data directory, CannotRestore where there is an installation that is not
    to be replaced, BadArchive, Unusable or KeyRefusal for a backup that is not good.
    """
    made: list[Path] = []
    try:
        try:
            for folder in (parts.data_dir, parts.database.parent):
                made += _made(folder)
            with Claim(parts.data_dir, alone=True):
                finish(parts.data_dir)
                return _replaced(_resolved(parts), file, stamp, replace)
        except BaseException:
            for folder in reversed(made):
                # Whatever was put there meanwhile stays.
                with suppress(OSError):
                    folder.rmdir()
            raise
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        raise CannotRestore(f"The backup could not be put in place: {where}{error.strerror}.") from None


def _made(folder: Path) -> list[Path]:
    """Make a folder with those above it; gives the new ones, the topmost first."""
    new = [each for each in (*reversed(folder.parents), folder) if not each.exists()]
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return new


def _resolved(parts: Parts) -> Parts:
    """The parts where they really are: a rename of a link would leave the file that it leads to."""
    data_dir, database, keys, tls = (each.resolve() for each in (parts.data_dir, parts.database, parts.keys, parts.tls))
    return Parts(data_dir, database, keys, tls)


def _replaced(parts: Parts, file: Path, stamp: str, replace: bool) -> Restored:
    targets = {DATABASE: parts.database, **parts.folders}
    there = [each for each in targets.values() if each.exists()]
    if there and not replace and file.exists():
        raise CannotRestore(f"There is an installation already ({there[0]}); --force replaces it and keeps it aside.")
    mounted = next((each for each in there if os.path.ismount(each)), None)
    if mounted is not None:
        raise CannotRestore(f"{mounted} is a mount point, which cannot be replaced; restore to where it is mounted.")
    drafts = {name: draft_of(path) for name, path in targets.items()}
    try:
        manifest = _unpacked(file, drafts, parts.data_dir, stamp)
        filled = {name for name, draft in drafts.items() if draft.exists()}
        kept = [(old, _aside(old, parts.database, stamp)) for old in _there_before(targets, filled)]
        placed = [(drafts[name], targets[name]) for name in sorted(filled)]
        _commit(parts.data_dir, [*kept, *placed])
    except BaseException:
        # Once there is a plan, the drafts are what counts.
        if not (parts.data_dir / PLAN).exists():
            _clear(_all_of(drafts))
        raise
    finish(parts.data_dir)
    return Restored(manifest, tuple(new for _, new in kept))


def draft_of(path: Path) -> Path:
    """Where a restore unpacks what is to be at `path`."""
    return _beside(path, _DRAFT)


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def _all_of(drafts: dict[str, Path]) -> list[Path]:
    """The drafts, and what lies beside that of the database: a log of an older draft would be rolled back into it."""
    return [*drafts.values(), *(_beside(drafts[DATABASE], suffix) for suffix in _LOGS)]


def _unpacked(file: Path, drafts: dict[str, Path], data_dir: Path, stamp: str) -> Manifest:
    """Unpack into the drafts, and verify each as if it were to be used now."""
    _clear(_all_of(drafts))
    folders = [draft for name, draft in drafts.items() if name != DATABASE]
    for each in folders:
        each.mkdir(mode=0o700)
    manifest = archive.read(file, drafts)
    for entry in manifest.files:
        if entry.name == PUBLIC:
            (drafts["tls"] / Path(PUBLIC).name).chmod(0o644)
    snapshot.examine(drafts[DATABASE], f"database in the backup {file}")
    snapshot.begin_history(drafts[DATABASE], f"restored {stamp}".encode())
    open_ring(drafts["keys"])
    if not any(drafts["tls"].iterdir()):
        # Made for plain http: whatever certificates are there stay.
        drafts["tls"].rmdir()
        folders.remove(drafts["tls"])
    _hand_over([drafts[DATABASE], *folders, *(path for folder in folders for path in folder.iterdir())], data_dir)
    for each in {*folders, *(draft.parent for draft in drafts.values())}:
        sync(each)
    return manifest


def _hand_over(paths: Iterable[Path], data_dir: Path) -> None:
    """Root may restore; the service must still be able to read its own files."""
    if os.geteuid() == 0:
        owner = data_dir.stat()
        for each in paths:
            os.chown(each, owner.st_uid, owner.st_gid)


def _there_before(targets: dict[str, Path], filled: set[str]) -> list[Path]:
    """What has to go out of the way. A log left beside another database would be taken for that one's, and first."""
    logs = [_beside(targets[DATABASE], suffix) for suffix in _LOGS]
    return [each for each in (*logs, *(targets[name] for name in sorted(filled))) if each.exists()]


def _aside(path: Path, database: Path, stamp: str) -> Path:
    """Where something is kept; the log of a database goes by the database's name there, too, and is found again."""
    suffix = path.name.removeprefix(database.name) if path.name.startswith(f"{database.name}-") else ""
    return path.with_name(f"{path.name.removesuffix(suffix)}.replaced-{stamp}{suffix}")


def _commit(data_dir: Path, renames: list[tuple[Path, Path]]) -> None:
    taken = next((new for _, new in renames if new.name.find(".replaced-") > 0 and new.exists()), None)
    if taken is not None:
        raise CannotRestore(f"There is a {taken} already; try again in a second.")
    named = tuple((_named(old, data_dir), _named(new, data_dir)) for old, new in renames)
    draft = data_dir / f".{PLAN}"
    with draft.open("wb") as file:
        file.write(msgspec.json.encode(_Plan(named)))
        file.flush()
        os.fsync(file.fileno())
    draft.rename(data_dir / PLAN)
    sync(data_dir)


def _named(path: Path, data_dir: Path) -> str:
    return str(path.relative_to(data_dir) if path.is_relative_to(data_dir) else path)


def finish(data_dir: Path) -> bool:
    """Carry out the plan that a restore left behind, if there is one; the caller has the data directory alone.

    Raises Unusable where it cannot be: the installation is between two states then, and must not be opened.
    """
    plan = data_dir / PLAN
    try:
        text = plan.read_bytes()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise Unusable(f"The plan of a restore, {plan}, cannot be read: {error.strerror}.") from error
    try:
        renames = [(data_dir / old, data_dir / new) for old, new in msgspec.json.decode(text, type=_Plan).renames]
        for old, new in renames:
            # What is not there any more, or is where it belongs, was renamed before the crash.
            if old.exists() and not new.exists():
                old.rename(new)
        for folder in {new.parent for _, new in renames}:
            sync(folder)
        plan.unlink()
        sync(data_dir)
    except (OSError, msgspec.DecodeError) as error:
        raise Unusable(f"A restore into {data_dir} was begun and cannot be finished: {error}.") from error
    return True


def _clear(paths: Iterable[Path]) -> None:
    for each in paths:
        if each.is_dir():
            shutil.rmtree(each)
        else:
            each.unlink(missing_ok=True)
