"""A restore: the whole backup in the place of what was there, or what was there, whatever happens in the middle."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import apsw
import pytest
from tests.conftest import data_dir
from tests.service.installed import STAMP, named, new, parts
from tests.store.opened import rows_of

from adjoin.identity.keys import open_ring
from adjoin.service import archive
from adjoin.service.archive import BadArchive
from adjoin.service.backup import Parts, back_up
from adjoin.service.claim import PLAN, Claim, InUse
from adjoin.service.restore import CannotRestore, restore
from adjoin.store import snapshot
from adjoin.store.database import Unusable

CRASHES = range(12)
"""At which rename: more than a restore has, so that the last ones are whole restores."""


@pytest.fixture
def backup(tmp_path: Path, keys: Path) -> Path:
    """A backup of an installation with the tenant `saved`, which has certificates."""
    folder = new(tmp_path, keys, "saved")
    (folder / "tls").mkdir(mode=0o700)
    (folder / "tls" / "ca.pem").write_text("saved")
    back_up(parts(folder), tmp_path / "b.tar", STAMP)
    return tmp_path / "b.tar"


@pytest.fixture
def present(tmp_path: Path, keys: Path) -> Path:
    """An installation with the tenant `present`, and what a crash leaves beside its database."""
    folder = new(tmp_path, keys, "present")
    (folder / "tls").mkdir(mode=0o700)
    (folder / "tls" / "ca.pem").write_text("present")
    return folder


def test_brings_an_installation_to_where_there_is_none(backup: Path, tmp_path: Path) -> None:
    restored = restore(parts(tmp_path / "new"), backup, STAMP)
    assert named(tmp_path / "new") == "saved"
    assert list(open_ring(tmp_path / "new" / "keys").verification) == list(
        open_ring(tmp_path / "saved" / "keys").verification
    )
    assert restored.aside == ()
    assert sorted(each.name for each in (tmp_path / "new").iterdir()) == ["adjoin.db", "keys", "tls"]


def test_makes_everything_private_but_the_authoritys_certificate(backup: Path, tmp_path: Path) -> None:
    restore(parts(tmp_path / "new"), backup, STAMP)
    modes = {
        path.relative_to(tmp_path / "new").as_posix(): stat.S_IMODE(path.stat().st_mode)
        for path in (tmp_path / "new").rglob("*")
    }
    assert modes.pop("tls/ca.pem") == 0o644
    assert {mode for name, mode in modes.items() if name in ("keys", "tls")} == {0o700}
    assert {mode for name, mode in modes.items() if name not in ("keys", "tls")} == {0o600}


def test_begins_a_history_of_its_own(backup: Path, tmp_path: Path) -> None:
    """So that links to changes from before are not taken for links to its own."""
    restore(parts(tmp_path / "new"), backup, STAMP)
    restore(parts(tmp_path / "other"), backup, "20270115T080001Z")
    sql = "SELECT value FROM settings WHERE name = 'history'"
    names = [rows_of(tmp_path / each / "adjoin.db", sql) for each in ("saved", "new", "other")]
    assert len({name for ((name,),) in names}) == 3


def test_replaces_an_installation_only_when_told(backup: Path, present: Path) -> None:
    with pytest.raises(CannotRestore, match="--force replaces it and keeps it aside"):
        restore(parts(present), backup, STAMP)
    assert named(present) == "present"


def test_keeps_what_was_there_aside_and_usable(backup: Path, present: Path, tmp_path: Path) -> None:
    (present / "adjoin.db-wal").write_bytes(b"")
    restored = restore(parts(present), backup, STAMP, replace=True)
    assert {each.name for each in restored.aside} == {
        f"adjoin.db.replaced-{STAMP}",
        f"adjoin.db.replaced-{STAMP}-wal",
        f"keys.replaced-{STAMP}",
        f"tls.replaced-{STAMP}",
    }
    assert named(present) == "saved"
    assert (present / "tls" / "ca.pem").read_text() == "saved"
    older = tmp_path / "older"
    older.mkdir(mode=0o700)
    for each in restored.aside:
        each.rename(older / each.name.replace(f".replaced-{STAMP}", ""))
    assert named(older) == "present"


def test_leaves_certificates_that_the_backup_has_none_for(present: Path, keys: Path, tmp_path: Path) -> None:
    back_up(parts(new(tmp_path, keys, "plain")), tmp_path / "plain.tar", STAMP)
    restore(parts(present), tmp_path / "plain.tar", STAMP, replace=True)
    assert named(present) == "plain"
    assert (present / "tls" / "ca.pem").read_text() == "present"


def test_puts_a_database_elsewhere_where_it_was(backup: Path, tmp_path: Path, keys: Path) -> None:
    folder, elsewhere = data_dir(tmp_path / "new", keys), tmp_path / "disk" / "service.db"
    restore(Parts(folder, elsewhere, folder / "keys", folder / "tls"), backup, STAMP, replace=True)
    assert elsewhere.is_file()
    assert sorted(each.name for each in folder.iterdir()) == ["keys", f"keys.replaced-{STAMP}", "shared-keys", "tls"]


def test_follows_a_link_to_the_database(backup: Path, present: Path, tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (present / "adjoin.db").rename(tmp_path / "disk" / "adjoin.db")
    (present / "adjoin.db").symlink_to(tmp_path / "disk" / "adjoin.db")
    restore(parts(present), backup, STAMP, replace=True)
    assert (present / "adjoin.db").is_symlink()
    assert named(present) == "saved"


def test_is_refused_while_anyone_uses_the_data_directory(backup: Path, present: Path) -> None:
    with Claim(present, alone=False), pytest.raises(InUse, match="stop the service"):
        restore(parts(present), backup, STAMP, replace=True)


@pytest.mark.parametrize("damage", ["torn", "other", "missing"])
def test_of_a_backup_that_is_not_whole_changes_nothing(backup: Path, present: Path, damage: str) -> None:
    before = _tree(present)
    if damage == "torn":
        backup.write_bytes(backup.read_bytes()[:-20_000])
    elif damage == "other":
        backup.write_text("a letter")
    else:
        backup.unlink()
    with pytest.raises(BadArchive):
        restore(parts(present), backup, STAMP, replace=True)
    assert _tree(present) == before


def test_of_a_database_that_is_not_good_changes_nothing(present: Path, keys: Path, tmp_path: Path) -> None:
    """It was no database when it was packed, so that all digests are right."""
    sources = {"adjoin.db": tmp_path / "text", "keys/key-000001.pem": keys / "key-000001.pem"}
    sources["adjoin.db"].write_text("no database")
    entries = tuple(archive.entry_of(name, path) for name, path in sources.items())
    with (tmp_path / "b.tar").open("wb") as file:
        archive.write(file, archive.Manifest(1, "1", "now", "0002", entries), sources)
    before = _tree(present)
    with pytest.raises(Unusable, match=rf"^The database in the backup {tmp_path}/b\.tar is damaged"):
        restore(parts(present), tmp_path / "b.tar", STAMP, replace=True)
    assert _tree(present) == before


def test_on_a_full_disk_changes_nothing(backup: Path, present: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    before = _tree(present)
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(CannotRestore, match="No space left on device"):
        restore(parts(present), backup, STAMP, replace=True)
    monkeypatch.undo()
    assert _tree(present) == before


def test_a_second_restore_in_the_same_second_is_refused(backup: Path, present: Path) -> None:
    restore(parts(present), backup, STAMP, replace=True)
    with pytest.raises(CannotRestore, match="try again in a second"):
        restore(parts(present), backup, STAMP, replace=True)
    assert named(present) == "saved"


PROGRAM = """
import os, sys
from pathlib import Path
from adjoin.service import restore
from adjoin.service.backup import Parts
folder, backup, crash = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
rename, done = Path.rename, 0
def renamed(self, target):
    global done
    if done == crash:
        os._exit(9)
    done += 1
    return rename(self, target)
Path.rename = renamed
parts = Parts(folder, folder / "adjoin.db", folder / "keys", folder / "tls")
restore.restore(parts, backup, "20270115T080000Z", replace=True)
"""


@pytest.mark.parametrize("crash", CRASHES)
def test_a_crash_at_any_rename_leaves_one_of_the_two_whole(backup: Path, present: Path, crash: int) -> None:
    (present / "adjoin.db-wal").write_bytes(b"")
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(present), str(backup), str(crash)], check=False, capture_output=True
    )
    assert done.returncode in (0, 9), done.stderr
    planned = (present / PLAN).exists() or done.returncode == 0
    expected = "saved" if planned else "present"
    assert named(present) == expected
    assert (present / "tls" / "ca.pem").read_text() == expected
    assert not (present / PLAN).exists()


def test_a_crash_before_the_plan_is_cleaned_up_by_the_next_restore(backup: Path, present: Path) -> None:
    subprocess.run([sys.executable, "-c", PROGRAM, str(present), str(backup), "0"], check=False)
    assert (present / "adjoin.db.restoring").exists()
    restore(parts(present), backup, STAMP, replace=True)
    assert not list(present.glob("*.restoring"))
    assert named(present) == "saved"


def test_a_journal_that_a_killed_one_left_is_not_rolled_back_into_the_next(backup: Path, present: Path) -> None:
    """It has the pages of another database, and SQLite would take them for this one's."""
    draft = present / "adjoin.db.restoring"
    draft.write_bytes((present / "adjoin.db").read_bytes())
    with contextlib.closing(apsw.Connection(str(draft))) as connection:
        connection.execute("PRAGMA journal_mode=DELETE")
        connection.execute("PRAGMA cache_size=1")
        connection.execute("BEGIN; UPDATE tenants SET name = name || randomblob(100000)")
        hot = (present / f"{draft.name}-journal").read_bytes()
    (present / f"{draft.name}-journal").write_bytes(hot)
    restore(parts(present), backup, STAMP, replace=True)
    assert not list(present.glob("*.restoring*"))
    assert snapshot.examine(present / "adjoin.db")
    assert named(present) == "saved"


def test_a_plan_that_cannot_be_read_keeps_the_installation_shut(present: Path) -> None:
    (present / PLAN).write_text("{")
    with pytest.raises(Unusable, match="was begun and cannot be finished"):
        named(present)


def _tree(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
