"""The signing keys that all nodes of one database share: kept in it, and copied into a folder of each node.

A node reads its folder as it would read one of its own, and this keeps the folder the same as the database. So what one
node signs every node accepts, and a key that was rotated or retired on one is so on all within seconds.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final, TypeVar

import msgspec
import structlog

from adjoin.identity import keys
from adjoin.identity.keys import KeyFile, KeyRefusal
from adjoin.store import settings
from adjoin.store.database import Database, StoreRefusal, Unavailable

T = TypeVar("T")

LOOK_SECONDS: Final = 2.0
"""How often a node looks for keys that others have changed."""

_NAME: Final = "signing-keys"
_DECODER: Final = msgspec.msgpack.Decoder(tuple[KeyFile, ...])
_ATTEMPTS: Final = 5


class KeySharing:
    """Keeps one folder the same as the database while it runs."""

    def __init__(self, database: Database, folder: Path) -> None:
        self._database = database
        self._folder = folder
        self._task: asyncio.Task[None] | None = None

    async def begin(self, now: float) -> None:
        """Take the database's keys, or give it the first ones. Raises a KeyRefusal or a StoreRefusal."""
        if not await self.look():
            await asyncio.to_thread(keys.open_ring, self._folder, now)
            first = msgspec.msgpack.encode(await asyncio.to_thread(keys.files, self._folder))
            await self._database.write(lambda session: settings.keep_first(session, _NAME, first))
            await self.look()

    async def look(self) -> bool:
        """Bring the folder up to date, whoever changed it or the database; False if the database has no keys yet.

        Raises a KeyRefusal or a StoreRefusal.
        """
        return await self._followed() is not None

    async def change(self, act: Callable[[Path], T]) -> T:
        """Run `act`, which changes the keys in the folder that it is given, for all nodes.

        It runs again when another node was first. No node uses what it did, this one neither, before the database has
        it. Raises a KeyRefusal or a StoreRefusal.
        """
        for _ in range(_ATTEMPTS):
            before = await self._followed()
            if before is None:
                break
            result, left = await asyncio.to_thread(keys.tried, self._folder, _DECODER.decode(before), act)
            after = msgspec.msgpack.encode(left)
            if await self._database.write(
                lambda session, before=before, after=after: settings.replace(session, _NAME, before, after)  # type: ignore[misc]
            ):
                # It is done: a folder that cannot follow now does so at a later look, which says why it does not.
                with contextlib.suppress(KeyRefusal, OSError):
                    await asyncio.to_thread(keys.mirror, self._folder, left)
                return result
        raise Unavailable("The signing keys are being changed by others; try again.")

    def start(self) -> None:
        """Look again and again, until stopped."""
        self._task = asyncio.get_running_loop().create_task(self._look_on(), name="key-sharing")

    async def stop(self) -> None:
        """Look no more. What the looking ended with is not raised: whoever stops has more to let go of."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _look_on(self) -> None:
        log = structlog.get_logger("adjoin.keys")
        said: str | None = None
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                await self.look()
                said = None
            except (KeyRefusal, StoreRefusal) as refusal:
                # What is wrong with a folder may be so for days.
                if refusal.message != said:
                    log.warning("shared keys not read", reason=refusal.message)
                said = refusal.message
            except Exception as error:
                # It must go on, whatever one look meets: without it the node never hears of a rotation again.
                log.error("fault", exc_info=error)

    async def _followed(self) -> bytes | None:
        """What the database holds, once the folder holds the same."""
        # The folder is read first. A command that changes both changes the database first: what it puts into the
        # folder meanwhile is never taken for what differs from the database, and taken back.
        there = await asyncio.to_thread(self._there)
        held = await settings.find(self._database.reader, _NAME)
        if held is not None:
            wanted = _DECODER.decode(held)
            if there != _contents(wanted):
                await asyncio.to_thread(keys.mirror, self._folder, wanted)
        return held

    def _there(self) -> dict[str, bytes] | None:
        try:
            return _contents(keys.files(self._folder))
        except KeyRefusal:
            # Where the keys have to be put in place, that puts it right or says what is wrong.
            return None


def _contents(files: Iterable[KeyFile]) -> dict[str, bytes]:
    return {each.name: each.pem for each in files}
