"""The connector's file: for its owner alone, whole or not at all, and refused in words where it cannot be used."""

from __future__ import annotations

import fcntl
import multiprocessing
import os
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest
from hypothesis import given
from hypothesis import settings as settings_of_hypothesis
from hypothesis import strategies as st

from adjoin.connector import settings
from adjoin.connector.faults import Unusable
from adjoin.connector.settings import Settings

HELD: Final = Settings(
    servers=("https://one.example", "https://two.example:8443"),
    tenant="t",
    connector="c",
    name='odj "01"\\ ü',
    token_path="/t/oauth2/v2.0/token",
    audience="a",
    scope="s",
    key="-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
    key_expires=1.5,
    renew_key_after=2.0,
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "adjoin" / "connector.toml"


def test_what_is_saved_is_loaded(file: Path) -> None:
    for each in (HELD, replace(HELD, next_key="n", ca="/x", metrics_port=9)):
        settings.save(file, each)
        assert settings.load(file) == each
    assert file.stat().st_mode & 0o777 == 0o600


@settings_of_hypothesis(deadline=None)
@given(name=st.text(st.characters(codec="utf-8")))
def test_any_name_is_kept(tmp_path_factory: pytest.TempPathFactory, name: str) -> None:
    file = tmp_path_factory.mktemp("name") / "c.toml"
    settings.save(file, replace(HELD, name=name))
    assert settings.load(file).name == name


def test_one_that_others_can_read_is_refused(file: Path) -> None:
    settings.save(file, HELD)
    file.chmod(0o640)
    with pytest.raises(Unusable, match="chmod 600"):
        settings.load(file)


def test_without_one_it_is_said_what_to_do(file: Path) -> None:
    with pytest.raises(Unusable, match="adjoin connector enroll"):
        settings.load(file)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("servers = []", "names no servers"),
        ("servers = 'https://x'", "servers"),
        ("tenant = 7", "tenant"),
        ("key-expires = true", "key-expires"),
        ("colour = 'x'", "colour"),
        ("= x", "cannot be read"),
    ],
)
def test_a_wrong_one_is_refused_by_name(file: Path, line: str, words: str) -> None:
    settings.save(file, HELD)
    name = line.partition(" ")[0]
    kept = [each for each in file.read_text().splitlines() if not each.startswith(f"{name} ")]
    file.write_text("\n".join([*kept, line]))
    with pytest.raises(Unusable, match=words):
        settings.load(file)


def test_one_that_lacks_something_is_refused(file: Path) -> None:
    settings.save(file, HELD)
    file.write_text("servers = ['https://x']")
    with pytest.raises(Unusable, match="not whole: it lacks audience, connector, key,"):
        settings.load(file)


@pytest.mark.parametrize(
    ("url", "good"),
    [
        ("https://adjoin.example", True),
        ("https://adjoin.example:8443/", True),
        ("http://127.0.0.1:8365", True),
        ("http://localhost", True),
        ("http://adjoin.example", False),
        ("adjoin.example", False),
        ("https://", False),
        ("https://x:port", False),
        ("https://user@x", False),
        ("https://x/beta", False),
        ("https://xn--.example", False),
        ("ftp://x", False),
    ],
)
def test_servers_are_urls_that_secrets_may_travel_to(url: str, good: bool) -> None:
    if good:
        settings.check_server(url)
    else:
        with pytest.raises(Unusable):
            settings.check_server(url)


def _claim(file: Path) -> bool:
    try:
        with settings.claimed(file):
            return True
    except Unusable:
        return False


def test_one_process_acts_for_a_connector(file: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        with settings.claimed(file):
            assert not pool.apply(_claim, (file,))
        assert pool.apply(_claim, (file,))


def test_where_it_cannot_be_written_it_is_said(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("a file, not a folder")
    with pytest.raises(Unusable, match="cannot be"):
        settings.save(tmp_path / "x" / "c.toml", HELD)


def test_who_only_looks_keeps_nobody_from_beginning(file: Path) -> None:
    """Else a program that starts while its status is asked for would end, and not be started again."""
    with settings.claimed(file):
        pass
    looks = os.open(settings.beside(file, "lock"), os.O_RDONLY)
    fcntl.flock(looks, fcntl.LOCK_SH)
    with settings.claimed(file, pause=lambda _: os.close(looks)):
        assert settings.acts(file)
    assert not settings.acts(file)


def test_to_look_makes_nothing(file: Path) -> None:
    assert not settings.acts(file)
    assert not file.parent.exists()


def test_a_lock_that_cannot_be_opened_tells_nothing(file: Path) -> None:
    settings.save(file, HELD)
    lock = settings.beside(file, "lock")
    lock.symlink_to(lock)
    with pytest.raises(Unusable, match="cannot be looked at"):
        settings.acts(file)


def test_to_forget_leaves_nothing_of_its_own(file: Path) -> None:
    settings.save(file, HELD)
    for what in ("status", "key", "new"):
        settings.beside(file, what).touch()
    other = file.with_name("other.toml")
    other.touch()
    with settings.claimed(file):
        settings.forget(file)
    assert list(file.parent.iterdir()) == [other]


def test_a_lock_that_was_removed_in_the_moment_of_its_opening_is_not_the_lock(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with settings.claimed(file):
        pass
    lock, flock = settings.beside(file, "lock"), fcntl.flock
    removed: list[bool] = []

    def remove_first(descriptor: int, how: int) -> None:
        flock(descriptor, how)
        if not removed:
            removed.append(True)
            lock.unlink()

    monkeypatch.setattr(fcntl, "flock", remove_first)
    with settings.claimed(file), pytest.raises(Unusable, match="Another process"), settings.claimed(file):
        pass


@pytest.mark.parametrize("named", ["", "."])
def test_a_directory_is_no_file_of_a_connector(named: str) -> None:
    with pytest.raises(Unusable, match="is a directory"), settings.claimed(Path(named)):
        pass
