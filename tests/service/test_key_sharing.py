"""Signing keys that the nodes of one database share."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
import structlog
from structlog.testing import capture_logs
from tests.postgresql import Databases
from tests.store.opened import on

from adjoin.identity import keys
from adjoin.service import key_sharing
from adjoin.service.key_sharing import KeySharing
from adjoin.store.database import Database, Unavailable

NOW: Final = 1_800_000_000
PATIENCE: Final = 20.0


@pytest.fixture
def url(postgresql: Databases) -> Iterator[str]:
    with postgresql.lent() as lent:
        yield lent


def kids(folder: Path) -> list[str]:
    return list(keys.open_ring(folder).verification)


def test_all_nodes_have_the_keys_of_the_first(url: str, tmp_path: Path) -> None:
    async def act(database: Database) -> None:
        nodes = [KeySharing(database, tmp_path / name) for name in "abc"]
        await asyncio.gather(*(each.begin(NOW) for each in nodes))

    on(url, act)
    assert len(kids(tmp_path / "a")) == 1
    assert kids(tmp_path / "a") == kids(tmp_path / "b") == kids(tmp_path / "c")
    assert {each.made for each in keys.files(tmp_path / "b")} == {NOW}
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "b").iterdir()} == {0o600}


def test_a_key_that_is_added_or_removed_on_one_is_so_on_all(url: str, tmp_path: Path) -> None:
    a, b = tmp_path / "a", tmp_path / "b"

    async def act(database: Database) -> None:
        one, two = KeySharing(database, a), KeySharing(database, b)
        await one.begin(NOW)
        await two.begin(NOW)
        (old,) = kids(a)
        ring = await one.change(lambda: keys.add_key(a, NOW))
        await two.look()
        assert kids(b) == kids(a) == [ring.signing.kid, old]
        assert await two.change(lambda: keys.remove_key(b, old, NOW, at_once=True))
        await one.look()
        assert kids(a) == kids(b) == [ring.signing.kid]

    on(url, act)


def test_of_two_that_change_at_once_neither_is_lost(url: str, tmp_path: Path) -> None:
    a, b = tmp_path / "a", tmp_path / "b"

    async def act(database: Database) -> None:
        one, two = KeySharing(database, a), KeySharing(database, b)
        await one.begin(NOW)
        await two.begin(NOW)
        added = await asyncio.gather(one.change(lambda: keys.add_key(a, NOW)), two.change(lambda: keys.add_key(b, NOW)))
        await one.look()
        await two.look()
        assert kids(a) == kids(b)
        assert {each.signing.kid for each in added} <= set(kids(a))
        assert len(kids(a)) == 3

    on(url, act)


@pytest.mark.parametrize(
    "met", [Unavailable("The database is gone."), RuntimeError("can't start new thread"), OSError("no more files")]
)
def test_a_node_notices_by_itself_whatever_one_look_meets(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, met: Exception
) -> None:
    monkeypatch.setattr(key_sharing, "LOOK_SECONDS", 0.01)
    a, b = tmp_path / "a", tmp_path / "b"
    looked = asyncio.Event()
    look = KeySharing.look

    async def fails_once(sharing: KeySharing) -> bool:
        if not looked.is_set():
            looked.set()
            raise met
        return await look(sharing)

    async def act(database: Database) -> None:
        one, two = KeySharing(database, a), KeySharing(database, b)
        await one.begin(NOW)
        await two.begin(NOW)
        monkeypatch.setattr(KeySharing, "look", fails_once)
        two.start()
        await looked.wait()
        await one.change(lambda: keys.add_key(a, NOW))
        async with asyncio.timeout(PATIENCE):
            while kids(b) != kids(a):  # noqa: ASYNC110 - what is waited for is on disk
                await asyncio.sleep(0.01)
        await two.stop()

    with capture_logs() as logs:
        on(url, act)
    expected = ("warning", "shared keys not read") if isinstance(met, Unavailable) else ("error", "fault")
    assert [(line["log_level"], line["event"]) for line in logs] == [expected]


def test_stopping_does_not_raise_what_the_looking_ended_with(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A log that cannot be written to ends even what goes on after everything else."""
    monkeypatch.setattr(key_sharing, "LOOK_SECONDS", 0.0)
    ended = asyncio.Event()

    async def fails(_: KeySharing) -> bool:
        raise RuntimeError("can't start new thread")

    class Unwritable:
        def error(self, *_: object, **__: object) -> None:
            ended.set()
            raise BrokenPipeError

    async def act(database: Database) -> None:
        sharing = KeySharing(database, tmp_path / "a")
        sharing.start()
        async with asyncio.timeout(PATIENCE):
            await ended.wait()
        await sharing.stop()

    monkeypatch.setattr(KeySharing, "look", fails)
    monkeypatch.setattr(structlog, "get_logger", lambda _: Unwritable())
    on(url, act)
