"""Options that several commands share, and how a command opens the installation that they name.

An installation's own modules are loaded when it is opened: not each command has one.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar

import typer

from adjoin import config
from adjoin.config import BadConfig, Config
from adjoin.identity.clouds import CloudName
from adjoin.odata.errors import Refusal
from adjoin.odata.values import BadValue, parse_guid

if TYPE_CHECKING:
    from adjoin.service.installation import Installation
    from adjoin.service.world import World
    from adjoin.store.tenants import Tenant

T = TypeVar("T")


def _folder(text: str) -> Path:
    # A path of no characters means the working directory, which nobody means by an unset variable.
    if not text:
        raise typer.BadParameter("it is empty.")
    return Path(text)


DataDir = Annotated[
    Path | None,
    typer.Option(
        "--data-dir",
        metavar="DIR",
        parser=_folder,
        help="Where the service keeps its data. [default: var]",
        show_default=False,
    ),
]
Database = Annotated[
    str | None,
    typer.Option(
        "--database", metavar="FILE|URL", help="A file, or postgresql://… [default: adjoin.db in the data directory]"
    ),
]
Settings = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", help="Settings file. [default: adjoin.toml, if it is there]"),
]
Cloud = Annotated[
    CloudName | None,
    typer.Option("--cloud", help="The national cloud to stand for. [default: global]", show_default=False),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
TenantName = Annotated[
    str | None,
    typer.Option("--tenant", metavar="TENANT", help="A tenant's GUID or name. [default: the first tenant]"),
]


class NoSuchTenant(Refusal):
    """A command names a tenant that is not there."""

    def __init__(self, name: str | None) -> None:
        super().__init__(
            f"There is no tenant '{name}'; `adjoin tenant list` shows those there are."
            if name is not None
            else "There is no tenant yet; add one with `adjoin tenant add NAME`."
        )


class NoInstallation(Refusal):
    """A command is to work on an installation, and there is none."""


class BadName(Refusal):
    """A name that cannot be one."""


_LONGEST_NAME: Final = 128


def checked_name(name: str) -> str:
    """A name that people give to something. Raises BadName for one that nobody could read or type."""
    if not name.strip() or name != name.strip() or not name.isprintable() or len(name) > _LONGEST_NAME:
        raise BadName(f"A name has 1 to {_LONGEST_NAME} printable characters, and no blanks around it.")
    with contextlib.suppress(BadValue):
        parse_guid(name)
        raise BadName("A name is not a GUID: it could be taken for the id of another.")
    return name


def load(settings: Path | None, **flags: Any) -> Config:
    """The configuration from flags, environment and file. Raises BadConfig."""
    try:
        return config.load(flags, os.environ, settings)
    except OSError as error:
        raise BadConfig(f"{error.filename} cannot be looked at: {error.strerror}.") from None


def run(loaded: Config, act: Callable[[Installation, World], Awaitable[T]], *, making: bool = False) -> T:
    """Open the installation, run `act` on it, close it, and give what `act` gave.

    Where there is none it is made only if that is meant by `making`: else a command that is run in another folder would
    hand out what no server knows. Raises NoInstallation.
    """
    import asyncio  # noqa: PLC0415

    from adjoin.service.installation import open_installation  # noqa: PLC0415 - see the module
    from adjoin.service.world import World  # noqa: PLC0415

    if not making:
        _find(loaded)

    async def opened() -> T:
        world = World()
        installation = await open_installation(
            loaded.data_dir, loaded.database_place, loaded.keys_dir, world, loaded.audit_days
        )
        try:
            return await act(installation, world)
        finally:
            await installation.close()

    return asyncio.run(opened())


def _find(loaded: Config) -> None:
    """Raises NoInstallation. On a PostgreSQL server the database is the installation, and was named by its URL."""
    if loaded.database_url is not None:
        return
    from adjoin.service.claim import there  # noqa: PLC0415 - see the module

    place = next((each for each in (loaded.data_dir, loaded.database_file) if not there(each)), None)
    if place is not None:
        where = loaded.data_dir if place == loaded.data_dir or loaded.database is None else place
        raise NoInstallation(
            f"There is no installation in {where}; name its directory with --data-dir. `adjoin serve` makes a new one."
        )


async def tenant_meant(installation: Installation, name: str | None) -> Tenant:
    """The tenant that a command means. Raises NoSuchTenant."""
    from adjoin.service.installation import tenant_named  # noqa: PLC0415 - see the module

    found = await tenant_named(installation.database.reader, name)
    if found is None:
        raise NoSuchTenant(name)
    return found
