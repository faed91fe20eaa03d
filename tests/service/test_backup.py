"""A backup: one private file that holds all that an installation is, or no file."""

from __future__ import annotations

import contextlib
import errno
import os
import sqlite3
import stat
import tarfile
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import IO, Any

import pytest
from tests.service.installed import STAMP, named, new, parts

from adjoin.identity.folder import FileUnsafe
from adjoin.identity.keys import add_key
from adjoin.service import archive
from adjoin.service import restore as restoring
from adjoin.service.backup import CannotBackUp, Parts, back_up
from adjoin.service.claim import Claim, InUse
from adjoin.store.database import Unusable


@pytest.fixture
def folder(tmp_path: Path, keys: Path) -> Path:
    made = new(tmp_path, keys, "first")
    (made / "tls").mkdir(mode=0o700)
    (made / "tls" / "ca.pem").write_text("an authority")
    (made / "tls" / "ca.pem").chmod(0o644)
    (made / "tls" / "authority.pem").touch(0o600)
    return made


def test_holds_database_keys_and_certificates(folder: Path, tmp_path: Path) -> None:
    add_key(folder / "keys")
    manifest = back_up(parts(folder), tmp_path / "b.tar", STAMP)
    names = ["adjoin.db", "keys/key-000001.pem", "keys/key-000002.pem", "tls/authority.pem", "tls/ca.pem"]
    assert [each.name for each in manifest.files] == names
    with tarfile.open(tmp_path / "b.tar") as packed:
        assert packed.getnames() == ["manifest.json", *names]


def test_is_private_and_leaves_nothing_beside_it(folder: Path, tmp_path: Path) -> None:
    back_up(parts(folder), tmp_path / "b.tar", STAMP)
    assert stat.S_IMODE((tmp_path / "b.tar").stat().st_mode) == 0o600
    assert sorted(each.name for each in tmp_path.iterdir()) == ["b.tar", "first"]


def test_keeps_when_a_key_was_made(folder: Path, tmp_path: Path) -> None:
    os.utime(folder / "keys" / "key-000001.pem", (1_000_000.5, 1_000_000.5))
    manifest = back_up(parts(folder), tmp_path / "b.tar", STAMP)
    assert manifest.files[1].modified == 1_000_000.5


def test_replaces_a_file_only_when_told(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "b.tar").write_bytes(b"precious")
    with pytest.raises(CannotBackUp, match="--force replaces it"):
        back_up(parts(folder), tmp_path / "b.tar", STAMP)
    assert (tmp_path / "b.tar").read_bytes() == b"precious"
    back_up(parts(folder), tmp_path / "b.tar", STAMP, replace=True)
    assert tarfile.is_tarfile(tmp_path / "b.tar")


def test_of_a_damaged_database_is_refused(folder: Path, tmp_path: Path) -> None:
    data = (folder / "adjoin.db").read_bytes()
    (folder / "adjoin.db").write_bytes(data[:8192] + bytes(4096) + data[12288:])
    with pytest.raises(Unusable, match="damaged"):
        back_up(parts(folder), tmp_path / "b.tar", STAMP)
    assert not (tmp_path / "b.tar").exists()


def test_of_a_newer_versions_database_is_refused_by_its_own_name(folder: Path, tmp_path: Path) -> None:
    """What is examined is a copy, of which the operator knows nothing."""
    with contextlib.closing(sqlite3.connect(folder / "adjoin.db")) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(Unusable, match=rf"^The database {folder}/adjoin\.db is of a version"):
        back_up(parts(folder), tmp_path / "b.tar", STAMP)


def test_without_signing_keys_is_refused_as_it_could_not_be_restored(folder: Path, tmp_path: Path) -> None:
    where = Parts(folder, folder / "adjoin.db", tmp_path / "nowhere", folder / "tls")
    with pytest.raises(CannotBackUp, match=r"no signing keys in .*nowhere.*--data-dir"):
        back_up(where, tmp_path / "b.tar", STAMP)
    (tmp_path / "nowhere").mkdir(mode=0o700)
    with pytest.raises(CannotBackUp, match="no signing keys"):
        back_up(where, tmp_path / "b.tar", STAMP)
    assert not list(tmp_path.glob("*b.tar*"))


def test_while_a_restore_is_under_way_is_refused(folder: Path, tmp_path: Path) -> None:
    """It would have the database of one installation and the keys of another."""
    with Claim(folder, alone=True), pytest.raises(InUse, match="wait until it is done"):
        back_up(parts(folder), tmp_path / "b.tar", STAMP)


def test_of_a_restore_that_was_interrupted_is_of_what_is_then_in_place(
    folder: Path, keys: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    back_up(parts(folder), tmp_path / "first.tar", STAMP)
    other = new(tmp_path, keys, "second")
    monkeypatch.setattr(restoring, "finish", _interrupted(restoring.finish))
    with pytest.raises(KeyboardInterrupt):
        restoring.restore(parts(other), tmp_path / "first.tar", STAMP, replace=True)
    monkeypatch.undo()
    manifest = back_up(parts(other), tmp_path / "b.tar", STAMP)
    assert [each.name for each in manifest.files] == [
        *("adjoin.db", "keys/key-000001.pem", "tls/authority.pem", "tls/ca.pem"),
    ]
    assert named(other) == "first"


def _interrupted(finish: Callable[[Path], bool]) -> Callable[[Path], bool]:
    """What ends with the plan unfinished, the second time that it is called."""
    calls = count(1)

    def act(folder: Path) -> bool:
        if next(calls) == 2:
            raise KeyboardInterrupt
        return finish(folder)

    return act


def test_of_keys_that_others_may_read_is_refused(folder: Path, tmp_path: Path) -> None:
    (folder / "keys" / "key-000001.pem").chmod(0o644)
    with pytest.raises(FileUnsafe):
        back_up(parts(folder), tmp_path / "b.tar", STAMP)


def test_into_a_folder_that_is_not_there_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(CannotBackUp, match="No such file or directory"):
        back_up(parts(folder), tmp_path / "nowhere" / "b.tar", STAMP)


def test_on_a_full_disk_leaves_the_older_backup_and_nothing_else(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(file: IO[bytes], *_: Any) -> None:
        file.write(b"the first half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    (tmp_path / "b.tar").write_bytes(b"yesterday's")
    monkeypatch.setattr(archive, "write", full)
    with pytest.raises(CannotBackUp, match="No space left on device"):
        back_up(parts(folder), tmp_path / "b.tar", STAMP, replace=True)
    assert (tmp_path / "b.tar").read_bytes() == b"yesterday's"
    assert sorted(each.name for each in tmp_path.iterdir()) == ["b.tar", "first"]
