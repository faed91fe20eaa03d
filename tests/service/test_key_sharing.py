"""Signing keys that the nodes of one database share."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias, cast

import pytest
import structlog
from structlog.testing import capture_logs
from tests.postgresql import Databases
from tests.store.opened import on

from adjoin.identity import keys
from adjoin.identity.keys import KeyFileUnsafe
from adjoin.service import key_sharing
from adjoin.service.key_sharing import KeySharing
from adjoin.store.database import Database, Overloaded, Session, StoreRefusal, Unavailable, Uncertain

NOW: Final = 1_800_000_000
PATIENCE: Final = 20.0


@pytest.fixture
def url(postgresql: Databases) -> Iterator[str]:
    with postgresql.lent() as lent:
        yield lent


Act: TypeAlias = Callable[[Session], Awaitable[bool]]


@dataclass
class _Writes:
    reader: Session
    write: Callable[[Act], Awaitable[bool]]


def writing(database: Database, write: Callable[[Act], Awaitable[bool]]) -> Database:
    """The database, read as it is, and written in another way."""
    return cast("Database", _Writes(database.reader, write))


def kids(folder: Path) -> list[str]:
    return list(keys.open_ring(folder).verification)


async def begun(database: Database, *folders: Path) -> list[KeySharing]:
    """What shares the keys of nodes that have these folders, and has begun."""
    sharing = [KeySharing(database, each) for each in folders]
    for each in sharing:
        await each.begin(NOW)
    return sharing


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
        one, two = await begun(database, a, b)
        (old,) = kids(a)
        ring = await one.change(lambda folder: keys.add_key(folder, NOW))
        await two.look()
        assert kids(b) == kids(a) == [ring.signing.kid, old]
        assert await two.change(lambda folder: keys.remove_key(folder, old, NOW, at_once=True))
        await one.look()
        assert kids(a) == kids(b) == [ring.signing.kid]

    on(url, act)


def test_of_two_that_change_at_once_neither_is_lost(url: str, tmp_path: Path) -> None:
    a, b = tmp_path / "a", tmp_path / "b"

    async def act(database: Database) -> None:
        one, two = await begun(database, a, b)
        added = await asyncio.gather(*(each.change(lambda folder: keys.add_key(folder, NOW)) for each in (one, two)))
        await one.look()
        await two.look()
        assert kids(a) == kids(b)
        assert {each.signing.kid for each in added} <= set(kids(a))
        assert len(kids(a)) == 3

    on(url, act)


@pytest.mark.parametrize("met", [Unavailable("It is gone."), Overloaded("It is busy."), Uncertain("Look first.")])
def test_a_change_that_the_database_refused_is_one_for_no_node(url: str, tmp_path: Path, met: StoreRefusal) -> None:
    a = tmp_path / "a"

    async def act(database: Database) -> None:
        await KeySharing(database, a).begin(NOW)
        before, listed = kids(a), os.listdir(a)

        async def fails(_: Act) -> bool:
            assert kids(a) == before, "a key signs only once all nodes can have it"
            raise met

        with pytest.raises(type(met)):
            await KeySharing(writing(database, fails), a).change(lambda folder: keys.add_key(folder, NOW))
        assert os.listdir(a) == listed

    on(url, act)


def test_a_change_that_others_are_always_ahead_of_is_one_for_no_node(url: str, tmp_path: Path) -> None:
    a = tmp_path / "a"

    async def act(database: Database) -> None:
        await KeySharing(database, a).begin(NOW)
        before = kids(a)

        async def is_late(_: Act) -> bool:
            return False

        with pytest.raises(Unavailable, match="by others"):
            await KeySharing(writing(database, is_late), a).change(lambda folder: keys.add_key(folder, NOW))
        assert kids(a) == before

    on(url, act)


def test_a_change_that_was_made_although_it_was_uncertain_is_one_for_all(url: str, tmp_path: Path) -> None:
    a, b = tmp_path / "a", tmp_path / "b"

    async def act(database: Database) -> None:
        one, two = await begun(database, a, b)

        async def is_lost(write: Act) -> bool:
            await database.write(write)
            raise Uncertain("Look first.")

        with pytest.raises(Uncertain):
            await KeySharing(writing(database, is_lost), a).change(lambda folder: keys.add_key(folder, NOW))
        await one.look()
        await two.look()
        assert len(kids(a)) == 2
        assert kids(a) == kids(b)

    on(url, act)


def test_a_change_is_made_though_the_folder_cannot_follow(url: str, tmp_path: Path) -> None:
    a = tmp_path / "a"

    async def act(database: Database) -> None:
        one = KeySharing(database, a)
        await one.begin(NOW)

        async def spoils(write: Act) -> bool:
            a.chmod(0o755)
            return await database.write(write)

        ring = await KeySharing(writing(database, spoils), a).change(lambda folder: keys.add_key(folder, NOW))
        with pytest.raises(KeyFileUnsafe, match="chmod"):
            await one.look()
        a.chmod(0o700)
        await one.look()
        assert kids(a)[0] == ring.signing.kid

    on(url, act)


@pytest.mark.parametrize("name", ["key-000001.pem", "key-000002.pem"], ids=["another", "one more"])
def test_a_folder_with_a_key_that_the_database_has_not_is_put_right(url: str, tmp_path: Path, name: str) -> None:
    a = tmp_path / "a"

    async def act(database: Database) -> None:
        one = KeySharing(database, a)
        await one.begin(NOW)
        before = kids(a)
        keys.open_ring(tmp_path / "stray")
        (tmp_path / "stray" / "key-000001.pem").replace(a / name)
        assert kids(a) != before
        await one.look()
        assert kids(a) == before

    on(url, act)


def test_a_folder_that_is_as_it_should_be_is_not_written(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def act(database: Database) -> None:
        one = KeySharing(database, tmp_path / "a")
        await one.begin(NOW)
        monkeypatch.delattr(keys, "mirror")
        assert await one.look()

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
        one, two = await begun(database, a, b)
        monkeypatch.setattr(KeySharing, "look", fails_once)
        two.start()
        await looked.wait()
        await one.change(lambda folder: keys.add_key(folder, NOW))
        async with asyncio.timeout(PATIENCE):
            while kids(b) != kids(a):  # noqa: ASYNC110 - what is waited for is on disk
                await asyncio.sleep(0.01)
        await two.stop()

    with capture_logs() as logs:
        on(url, act)
    expected = ("warning", "shared keys not read") if isinstance(met, Unavailable) else ("error", "fault")
    assert [(line["log_level"], line["event"]) for line in logs] == [expected]


def test_what_keeps_a_node_from_looking_is_logged_once(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(key_sharing, "LOOK_SECONDS", 0.0)
    reasons = iter(["It is gone.", "It is gone.", "It is busy.", None, "It is busy."])
    done = asyncio.Event()

    async def looks(_: KeySharing) -> bool:
        reason = next(reasons, "")
        if reason == "":
            done.set()
            await asyncio.Event().wait()
        if reason is not None:
            raise Unavailable(reason)
        return True

    async def act(database: Database) -> None:
        sharing = KeySharing(database, tmp_path / "a")
        sharing.start()
        async with asyncio.timeout(PATIENCE):
            await done.wait()
        await sharing.stop()

    monkeypatch.setattr(KeySharing, "look", looks)
    with capture_logs() as logs:
        on(url, act)
    assert [line["reason"] for line in logs] == ["It is gone.", "It is busy.", "It is busy."]


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
