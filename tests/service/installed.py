"""Installations for tests of backup and restore, told from each other by the name of a tenant."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.conftest import data_dir

from adjoin.service.backup import Parts
from adjoin.service.installation import Installation, open_installation
from adjoin.service.world import World
from adjoin.store import tenants

STAMP = "20270115T080000Z"


def parts(folder: Path) -> Parts:
    return Parts(folder, folder / "adjoin.db", folder / "keys", folder / "tls")


async def opened(folder: Path) -> Installation:
    return await open_installation(folder, folder / "adjoin.db", folder / "keys", World())


def installed(folder: Path, keys: Path, name: str) -> Path:
    """An installation in a new folder, with a tenant of this name."""

    async def make() -> None:
        installation = await opened(folder)
        await installation.database.write(
            lambda session: tenants.add(session, World().new_request_id(), name, tenants.ACTIVE, "2027-01-01T00:00:00Z")
        )
        await installation.close()

    asyncio.run(make())
    return folder


def named(folder: Path) -> str:
    """The name of the tenant that was added, by opening the installation."""

    async def look() -> str:
        installation = await opened(folder)
        try:
            return (await tenants.every(installation.database.reader))[-1].name
        finally:
            await installation.close()

    return asyncio.run(look())


def new(tmp_path: Path, keys: Path, name: str) -> Path:
    return installed(data_dir(tmp_path / name, keys), keys, name)
