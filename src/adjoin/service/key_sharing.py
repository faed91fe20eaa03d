"""The signing keys that all nodes of one database share: kept in it, and copied into a folder of each node.

A node reads its folder as it would read one of its own, and this keeps the folder the same as the database. So what one
node signs every node accepts, and a key that was rotated or retired on one is so on all within seconds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
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
        self._held: bytes | None = None
        self._task: asyncio.Task[None] | None = None

    async def begin(self, now: float) -> None:
        """Take the database's keys, or give it the first ones. Raises a KeyRefusal or a StoreRefusal."""
        if not await self.look():
            await asyncio.to_thread(keys.open_ring, self._folder, now)
            first = await self._written()
            await self._database.write(lambda session: settings.keep_first(session, _NAME, first))
            await self.look()

    async def look(self) -> bool:
        """Bring the folder up to date; False if the database has no keys yet."""
        held = await settings.find(self._database.reader, _NAME)
        if held is not None and held != self._held:
            await asyncio.to_thread(keys.mirror, self._folder, _DECODER.decode(held))
            self._held = held
        return held is not None

    async def change(self, act: Callable[[], T]) -> T:
        """Run `act`, which changes the folder, for all nodes. It runs again when another node was first."""
        for _ in range(_ATTEMPTS):
            await self.look()
            before = self._held or b""
            result = await asyncio.to_thread(act)
            after = await self._written()
            self._held = None
            if await self._database.write(
                lambda session, before=before, after=after: settings.replace(session, _NAME, before, after)  # type: ignore[misc]
            ):
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
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                await self.look()
            except (KeyRefusal, StoreRefusal) as refusal:
                log.warning("shared keys not read", reason=refusal.message)
            except Exception as error:
                # It must go on, whatever one look meets: without it the node never hears of a rotation again.
                log.error("fault", exc_info=error)

    async def _written(self) -> bytes:
        return msgspec.msgpack.encode(await asyncio.to_thread(keys.files, self._folder))
