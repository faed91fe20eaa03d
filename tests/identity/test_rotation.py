"""Rotation of the built-in issuer's keys: by command, and in a service that runs meanwhile."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
from pathlib import Path
from typing import Any, Final

import pytest
from structlog.testing import capture_logs
from tests.identity.provider import key_folder, rsa_key
from typer.testing import CliRunner

from adjoin.cli.main import command_line
from adjoin.identity import keys
from adjoin.identity.keys import KEPT, KeyInUse, KeyRefusal, add_key, open_ring, remove_key
from adjoin.identity.rotation import LiveRing
from adjoin.service.world import World
from adjoin.store.migrate import migrate

NOW: Final = 1_800_000_000.0


@pytest.fixture(autouse=True)
def _keys_at_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys from a stock: to make one takes longer than a test."""
    key_folder()
    stock = iter(range(20, 30))
    monkeypatch.setattr(keys, "generate_private_key", lambda **_: rsa_key(next(stock)).private_key)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copytree(key_folder(), tmp_path / "keys")
    return tmp_path / "keys"


@pytest.fixture
def rotated(folder: Path) -> tuple[Path, str, str]:
    """A folder that was rotated at NOW, the old key and the new one."""
    old = open_ring(folder).signing.kid
    return folder, old, add_key(folder, NOW).signing.kid


def test_a_key_is_needed_until_its_last_token_ends(rotated: tuple[Path, str, str]) -> None:
    folder, old, new = rotated
    ring = open_ring(folder)
    assert ring.ends() == {old: NOW + KEPT}
    assert KEPT > 28 * 3600
    assert list(ring.at(NOW + KEPT - 1).verification) == [new, old]
    assert list(ring.at(NOW + KEPT).verification) == [new]
    assert [key["kid"] for key in ring.at(NOW + KEPT).jwks()["keys"]] == [new]


def test_the_signing_key_has_no_end(rotated: tuple[Path, str, str]) -> None:
    folder, _, new = rotated
    assert open_ring(folder).at(NOW + 10**9).signing.kid == new


def test_retiring(rotated: tuple[Path, str, str]) -> None:
    folder, old, new = rotated
    with pytest.raises(KeyInUse, match="signs"):
        remove_key(folder, new, NOW + KEPT, at_once=True)
    with pytest.raises(KeyInUse, match="may still be in date"):
        remove_key(folder, old, NOW + KEPT - 1)
    assert not remove_key(folder, "nothing", NOW)
    assert remove_key(folder, old, NOW + KEPT)
    assert list(open_ring(folder).verification) == [new]
    assert os.listdir(folder) == ["key-000002.pem"]


def test_retiring_at_once(rotated: tuple[Path, str, str]) -> None:
    folder, old, _ = rotated
    assert remove_key(folder, old, NOW, at_once=True)
    assert not remove_key(folder, old, NOW, at_once=True)


def test_a_key_in_the_middle_can_go(rotated: tuple[Path, str, str]) -> None:
    folder, old, new = rotated
    newest = add_key(folder, NOW + 10).signing.kid
    assert remove_key(folder, new, NOW + 20, at_once=True)
    ring = open_ring(folder)
    assert list(ring.verification) == [newest, old]


def test_a_disk_that_lets_nothing_go(rotated: tuple[Path, str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    folder, old, _ = rotated

    def refuse(*_: object, **__: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(os, "unlink", refuse)
    with pytest.raises(KeyRefusal, match="cannot be removed"):
        remove_key(folder, old, NOW, at_once=True)


# --- a service that runs


def test_a_rotation_is_noticed_within_a_second(folder: Path) -> None:
    live = LiveRing(folder, NOW)
    old = live.ring.signing.kid
    new = add_key(folder, NOW).signing.kid
    assert not live.changed(NOW + 0.9)
    assert live.ring.signing.kid == old
    assert live.changed(NOW + 1)
    assert (live.ring.signing.kid, list(live.ring.verification)) == (new, [new, old])
    assert not live.changed(NOW + 2)


def test_at_once_where_a_token_asks_for_it(folder: Path) -> None:
    live = LiveRing(folder, NOW)
    add_key(folder, NOW)
    assert live.changed(NOW, at_once=True)


def test_a_key_that_is_retired_is_dropped(rotated: tuple[Path, str, str]) -> None:
    folder, old, new = rotated
    live = LiveRing(folder, NOW)
    remove_key(folder, old, NOW, at_once=True)
    assert live.changed(NOW + 1)
    assert list(live.ring.verification) == [new]


def test_a_key_is_dropped_when_its_time_is_over(rotated: tuple[Path, str, str]) -> None:
    folder, _, new = rotated
    live = LiveRing(folder, NOW)
    assert not live.changed(NOW + KEPT - 1)
    assert live.changed(NOW + KEPT)
    assert list(live.ring.verification) == [new]


def test_two_changes_at_one_time_are_both_seen(folder: Path) -> None:
    """The folder's time goes by the kernel's tick; its names tell what the time doesn't."""
    live = LiveRing(folder, NOW)
    before = os.stat(folder)
    add_key(folder, NOW)
    os.utime(folder, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert live.changed(NOW + 1)


def test_a_file_that_does_not_belong_is_logged_and_changes_nothing(folder: Path) -> None:
    live = LiveRing(folder, NOW)
    kid = live.ring.signing.kid
    (folder / "notes.txt").write_text("x")
    with capture_logs() as logs:
        assert not live.changed(NOW + 1)
        assert not live.changed(NOW + 2)
    assert [line["log_level"] for line in logs] == ["error"], "once for each change"
    assert live.ring.signing.kid == kid
    (folder / "notes.txt").unlink()
    add_key(folder, NOW)
    assert live.changed(NOW + 3)


def test_a_mode_that_is_put_right_is_noticed(folder: Path) -> None:
    """It is what the refusal advises, and shows neither in the folder's time nor in its names."""
    live = LiveRing(folder, NOW)
    new = add_key(folder, NOW).signing.kid
    (folder / "key-000002.pem").chmod(0o644)
    with capture_logs():
        assert not live.changed(NOW + 1)
    (folder / "key-000002.pem").chmod(0o600)
    assert live.changed(NOW + 2)
    assert live.ring.signing.kid == new


def test_a_system_that_is_short_of_files_for_a_moment_delays_a_change(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    live = LiveRing(folder, NOW)
    add_key(folder, NOW)
    listdir = os.listdir

    def refuse(path: Any) -> list[str]:
        # By its handle, which takes another one; the names that are looked at first are still to be had.
        if isinstance(path, int):
            raise OSError(errno.EMFILE, "Too many open files")
        return listdir(path)

    with monkeypatch.context() as short, capture_logs() as logs:
        short.setattr(os, "listdir", refuse)
        assert not live.changed(NOW + 1)
    assert ["Too many open files" in line["reason"] for line in logs] == [True]
    assert live.changed(NOW + 2)


def test_a_reason_why_the_keys_are_not_read_is_logged_when_it_comes_up(folder: Path) -> None:
    live = LiveRing(folder, NOW)
    add_key(folder, NOW)
    with capture_logs() as logs:
        for second, mode in enumerate((0o750, 0o750, 0o755, 0o755, 0o700), 1):
            folder.chmod(mode)
            live.changed(NOW + second)
    found = [re.findall(r"mode is (\d+)", line.get("reason", "")) for line in logs]
    assert found == [["0750"], ["0755"], []]
    add_key(folder, NOW)
    folder.chmod(0o755)
    with capture_logs() as again:
        live.changed(NOW + 6)
    assert [line["event"] for line in again] == ["keys not read again"]


def test_a_folder_that_goes_away_changes_nothing(folder: Path, tmp_path: Path) -> None:
    live = LiveRing(folder, NOW)
    kid = live.ring.signing.kid
    folder.rename(tmp_path / "away")
    folder.write_text("a file")
    with capture_logs():
        assert not live.changed(NOW + 1)
    assert live.ring.signing.kid == kid


# --- the command


def command(folder: Path, *words: str) -> Any:
    """What a command does on the installation that the folder is of. A key's id comes after `--`, as it may begin with
    a dash.
    """
    migrate(folder.parent / "adjoin.db")
    return CliRunner().invoke(command_line(["key"]), ["key", words[0], "--data-dir", str(folder.parent), *words[1:]])


def test_the_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = tmp_path / "data"
    data.mkdir(mode=0o700)
    shutil.copytree(key_folder(), data / "keys")
    folder = data / "keys"
    monkeypatch.setattr("adjoin.service.world.World", lambda: World(now=lambda: NOW))
    old = open_ring(folder).signing.kid
    new = json.loads(command(folder, "rotate", "--json").stdout)["kid"]
    listed = json.loads(command(folder, "list", "--json").stdout)
    assert [(key["kid"], key["use"]) for key in listed] == [(new, "signs"), (old, "verifies")]
    assert listed[0]["verifies_until"] is None
    assert "VERIFIES UNTIL" in command(folder, "list").stdout
    refused = command(folder, "retire", "--", old)
    assert isinstance(refused.exception, KeyInUse)
    assert command(folder, "retire", "--now", "--", old).exit_code == 0
    assert "There is no key" in str(command(folder, "retire", "--", old).exception)
    assert command(folder, "rotate").stdout.strip() == open_ring(folder).signing.kid


def test_a_rotation_is_noticed_after_the_clock_was_set_back(folder: Path) -> None:
    ring = LiveRing(folder, NOW)
    new = add_key(folder, NOW - 3600).signing.kid
    assert ring.changed(NOW - 3600)
    assert ring.ring.signing.kid == new


@pytest.mark.parametrize("kid", ["-abc", "-h", "-khq_3-", "--", "-"])
def test_a_key_id_that_looks_like_an_option_is_taken_for_a_key_id(rotated: tuple[Path, str, str], kid: str) -> None:
    words = ("--", kid) if kid == "--" else (kid,)
    refused = command(rotated[0], "retire", *words)
    assert f"There is no key '{kid}'" in str(refused.exception)
