"""`adjoin tenant`: add, list and remove tenants, and set their licence."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from enum import Enum
from typing import Annotated

import typer

from adjoin.cli import audited
from adjoin.cli.options import Database, DataDir, Json, Settings, checked_name, load, run, tenant_meant
from adjoin.cli.output import print_json, print_line, print_table
from adjoin.odata.errors import Refusal
from adjoin.odata.values import Instant
from adjoin.service import connectors
from adjoin.service.installation import Installation
from adjoin.service.world import World
from adjoin.store import tenants
from adjoin.store.database import Session
from adjoin.store.tenants import ACTIVE, NO_LICENCE, SUSPENDED, WARNING, Tenant

group = typer.Typer(help="Tenants and their licences.", no_args_is_help=True)

_Meant = Annotated[str, typer.Argument(metavar="TENANT", help="A tenant's GUID or name.")]


class Licence(Enum):
    """What a tenant's licence can be set to."""

    ACTIVE = ACTIVE
    WARNING = WARNING
    SUSPENDED = SUSPENDED
    NONE = NO_LICENCE


class TenantTaken(Refusal):
    """The name or GUID of a new tenant is another's."""


def shown(tenant: Tenant) -> dict[str, object]:
    """A tenant as commands print it."""
    ends = None if tenant.licence_ends is None else str(Instant.from_unix(tenant.licence_ends))
    return {
        "tenant_id": tenant.id,
        "name": tenant.name,
        "licence": tenant.licence,
        "licence_ends": ends,
        "least_connector_version": tenant.least_connector_version,
        "created": tenant.created,
    }


@group.command("add")
def add(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What people call it; unique.")],
    tenant_id: Annotated[
        uuid.UUID | None, typer.Option("--id", metavar="GUID", help="[default: a new one]", show_default=False)
    ] = None,
    licence: Annotated[Licence, typer.Option("--licence", help="Its licence.")] = Licence.ACTIVE,
    json: Json = False,
    data_dir: DataDir = None,
    database: Database = None,
    config: Settings = None,
) -> None:
    """Add a tenant and print it."""
    checked_name(name)

    async def act(installation: Installation, world: World) -> Tenant:
        given, created = str(tenant_id or world.new_request_id()), world.timestamp()

        async def add_tenant(session: Session) -> Tenant | None:
            new = await tenants.add(session, given, name, licence.value, created)
            if new is not None:
                changed = {"licence": (None, licence.value)}
                await audited.tell(session, installation, world, new.number, "Create", ("Tenant", name, given), changed)
            return new

        added = await installation.database.write(add_tenant)
        if added is None:
            raise TenantTaken(f"There is a tenant with the name '{name}' or the id {given} already.")
        return added

    _print([run(load(config, data_dir=data_dir, database=database), act)], json, one=True)


@group.command("list")
def list_(json: Json = False, data_dir: DataDir = None, database: Database = None, config: Settings = None) -> None:
    """Print all tenants."""

    async def act(installation: Installation, _: World) -> list[Tenant]:
        return await tenants.every(installation.database.reader)

    _print(run(load(config, data_dir=data_dir, database=database), act), json)


@group.command("remove")
def remove(
    tenant: _Meant,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    data_dir: DataDir = None,
    database: Database = None,
    config: Settings = None,
) -> None:
    """Remove a tenant with all that is its own: connectors, applications, and its audit trail."""
    loaded = load(config, data_dir=data_dir, database=database)

    async def meant(installation: Installation, _: World) -> Tenant:
        return await tenant_meant(installation, tenant)

    async def act(installation: Installation, _: World) -> None:
        number = (await tenant_meant(installation, found.id)).number
        await installation.database.write(lambda session: tenants.remove(session, number))

    # Nothing is held open while somebody thinks: a restore, for one, would have to wait for the answer.
    found = run(loaded, meant)
    if not yes:
        typer.confirm(f"Remove tenant '{found.name}' with its connectors and applications?", abort=True)
    run(loaded, act)


@group.command("license")
def license_(
    tenant: _Meant,
    licence: Annotated[Licence, typer.Argument(help="What it is from now on.")],
    until: Annotated[
        datetime | None,
        typer.Option(
            "--until", formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M:%SZ"], help="When it ends, in UTC. [default: never]"
        ),
    ] = None,
    data_dir: DataDir = None,
    database: Database = None,
    config: Settings = None,
) -> None:
    """Set a tenant's licence; it counts from the next request on."""

    async def act(installation: Installation, world: World) -> Tenant:
        meant = await tenant_meant(installation, tenant)
        before = shown(meant)
        ends_text = None if ends is None else str(Instant.from_unix(ends))
        changed = {"licence": (before["licence"], licence.value), "licenceEnds": (before["licence_ends"], ends_text)}

        async def set_licence(session: Session) -> None:
            await tenants.set_licence(session, meant.number, licence.value, ends)
            of = ("Tenant", meant.name, meant.id)
            await audited.tell(session, installation, world, meant.number, "Patch", of, changed)

        await installation.database.write(set_licence)
        return meant

    ends = int(until.replace(tzinfo=UTC).timestamp()) if until else None

    changed = run(load(config, data_dir=data_dir, database=database), act)
    until_text = f" until {Instant.from_unix(ends)}" if ends is not None else ""
    print_line(f"{changed.name}: licence {licence.value}{until_text}")


@group.command("connector-version")
def connector_version(
    tenant: _Meant,
    version: Annotated[str, typer.Argument(metavar="VERSION", help="Four numbers with dots between, or `any`.")],
    data_dir: DataDir = None,
    database: Database = None,
    config: Settings = None,
) -> None:
    """Set the least version that connectors may have; older ones show as in error from their next check-in on."""
    least = None if version == "any" else version
    if least is not None:
        connectors.read_version(least)

    async def act(installation: Installation, world: World) -> Tenant:
        meant = await tenant_meant(installation, tenant)
        changed = {"leastConnectorVersion": (meant.least_connector_version, least)}

        async def set_least(session: Session) -> None:
            await tenants.set_least_connector_version(session, meant.number, least)
            of = ("Tenant", meant.name, meant.id)
            await audited.tell(session, installation, world, meant.number, "Patch", of, changed)

        await installation.database.write(set_least)
        return meant

    changed = run(load(config, data_dir=data_dir, database=database), act)
    print_line(f"{changed.name}: connectors of version {version}{' or newer' if least else ''}")


def _print(found: list[Tenant], json: bool, one: bool = False) -> None:
    values = [shown(each) for each in found]
    if json:
        print_json(values[0] if one else values)
    else:
        print_table(("tenant_id", "name", "licence", "licence_ends", "least_connector_version", "created"), values)
