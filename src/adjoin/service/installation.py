"""An installation: its data directory, database, signing keys and first tenant, made at the first start.

The server and every command open it the same way, and may do so at the same time.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeVar

from adjoin.identity.keys import KeyRing
from adjoin.identity.rotation import LiveRing
from adjoin.odata.paging import TokenKey
from adjoin.service.claim import Claim, beside_others
from adjoin.service.key_sharing import KeySharing
from adjoin.service.turns import Turns
from adjoin.service.world import World
from adjoin.store import settings, tenants
from adjoin.store.commits import Commits
from adjoin.store.database import Database, Session, Unusable
from adjoin.store.memory import Memory
from adjoin.store.opening import opened
from adjoin.store.tenants import ACTIVE, Tenant

T = TypeVar("T")

FIRST_TENANT: Final = "default"
AUDIT_DAYS: Final = 365
_PAGING_KEY: Final = "paging-key"


@dataclass(frozen=True, slots=True)
class Installation:
    """An opened installation. Whoever opened it closes it."""

    database: Database
    keys: LiveRing
    paging_key: TokenKey
    claim: Claim
    commits: Commits
    memory: Memory = field(default_factory=Memory)
    turns: Turns = field(default_factory=Turns)
    sharing: KeySharing | None = None
    """Where the keys are shared by the nodes of one database."""
    audit_days: int = AUDIT_DAYS
    """How many days audit events are kept."""

    async def change_keys(self, act: Callable[[Path], T]) -> T:
        """Run `act`, which changes the signing keys in the folder that it is given, for every node."""
        return act(self.keys.folder) if self.sharing is None else await self.sharing.change(act)

    @property
    def ring(self) -> KeyRing:
        """The signing keys as they are now: a rotation shows here while the service runs."""
        return self.keys.ring

    async def close(self) -> None:
        """Finish what is queued, and let go of the database and the data directory."""
        await self.database.close()
        self.claim.release()


async def open_installation(
    data_dir: Path, place: Path | str, keys_dir: Path, world: World, audit_days: int = AUDIT_DAYS
) -> Installation:
    """Open an installation, making what is missing; `place` is the database's file, or its URL.

    Raises Unusable, Unavailable or a KeyRefusal.
    """
    _make_private(data_dir)
    if isinstance(place, Path):
        _make_private(place.parent)
    claim, commits = beside_others(data_dir), Commits()
    try:
        database = await opened(place, commits)
        try:
            sharing = None if isinstance(place, Path) else KeySharing(database, keys_dir)
            if sharing is not None:
                await sharing.begin(world.now())
            keys = LiveRing(keys_dir, world.now())
            paging_key = await settings.find(database.reader, _PAGING_KEY)
            if paging_key is None or await settings.find(database.reader, settings.HISTORY) is None:
                paging_key = await _begin(database, world)
        except BaseException:
            await database.close()
            raise
    except BaseException:
        claim.release()
        raise
    return Installation(database, keys, TokenKey(paging_key), claim, commits, sharing=sharing, audit_days=audit_days)


async def _begin(database: Database, world: World) -> bytes:
    """What a first start leaves behind: one licensed tenant, the secret that signs paging links, a history's name."""
    new_id, new_secret, created, history = world.new_id(), world.random(32), world.timestamp(), world.random(8)

    async def act(session: Session) -> bytes:
        if not await tenants.every(session):
            await tenants.add(session, new_id, FIRST_TENANT, ACTIVE, created)
        await settings.keep_first(session, settings.HISTORY, history)
        return await settings.keep_first(session, _PAGING_KEY, new_secret)

    return await database.write(act)


async def tenant_named(session: Session, name: str | None) -> Tenant | None:
    """The tenant that a command means: by GUID or name, or the oldest when it names none."""
    if name is not None:
        return await tenants.find_by_id_or_name(session, name)
    every = await tenants.every(session)
    return every[0] if every else None


def _make_private(folder: Path) -> None:
    try:
        os.makedirs(folder, mode=0o700, exist_ok=True)
    except OSError as error:
        raise Unusable(f"The directory {folder} cannot be made: {error.strerror}.") from error
