"""`adjoin app`: applications that get tokens from the built-in token service by their secret."""

from __future__ import annotations

from typing import Annotated

import typer

from adjoin.cli.options import Database, DataDir, Json, Settings, TenantName, checked_name, load, run, tenant_meant
from adjoin.cli.output import print_json, print_line, print_table
from adjoin.identity import issuer
from adjoin.odata.errors import Refusal
from adjoin.service.installation import Installation
from adjoin.service.world import World
from adjoin.store import applications
from adjoin.store.applications import Application

group = typer.Typer(help="Applications: client ids with a secret and permissions.", no_args_is_help=True)


class AppTaken(Refusal):
    """The tenant has an application of this name."""


class NoSuchApp(Refusal):
    """The tenant has no such application."""


class BadPermission(Refusal):
    """A permission that no token can carry."""


@group.command("add")
def add(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What people call it; unique in its tenant.")],
    permission: Annotated[
        list[str], typer.Option("--permission", "-p", metavar="PERMISSION", help="What it may do. May be repeated.")
    ],
    tenant: TenantName = None,
    json: Json = False,
    data_dir: DataDir = None,
    database: Database = None,
    config: Settings = None,
) -> None:
    """Register an application and print its secret, which is shown this once and stored nowhere."""
    checked_name(name)
    for each in permission:
        if not each or each.split() != [each]:
            raise BadPermission(f"'{each}' is no permission: a permission is one word.")

    async def act(installation: Installation, world: World) -> dict[str, object]:
        meant = await tenant_meant(installation, tenant)
        secret = issuer.new_secret(world.random(32))
        new = Application(
            id=world.new_request_id(),
            object_id=world.new_request_id(),
            name=name,
            permissions=tuple(permission),
            secret_digest=issuer.digest(secret),
            created=world.timestamp(),
        )
        added = await installation.database.write(lambda session: applications.add(session, meant.number, new))
        if added is None:
            raise AppTaken(f"The tenant '{meant.name}' has an application '{name}' already.")
        return {"tenant_id": meant.id, "client_id": added.id, "client_secret": secret}

    made = run(load(config, data_dir=data_dir, database=database), act)
    if json:
        print_json(made)
        return
    for member, value in made.items():
        print_line(f"{member:<14} {value}")


@group.command("list")
def list_(
    tenant: TenantName = None,
    json: Json = False,
    data_dir: DataDir = None,
    database: Database = None,
    config: Settings = None,
) -> None:
    """Print a tenant's applications."""

    async def act(installation: Installation, _: World) -> list[Application]:
        meant = await tenant_meant(installation, tenant)
        return await applications.every(installation.database.reader, meant.number)

    found = run(load(config, data_dir=data_dir, database=database), act)
    values: list[dict[str, object]] = [
        {"client_id": each.id, "name": each.name, "permissions": each.permissions, "created": each.created}
        for each in found
    ]
    if json:
        print_json(values)
    else:
        print_table(("client_id", "name", "permissions", "created"), values)


@group.command("remove")
def remove(
    app: Annotated[str, typer.Argument(metavar="APP", help="A client id or name.")],
    tenant: TenantName = None,
    data_dir: DataDir = None,
    database: Database = None,
    config: Settings = None,
) -> None:
    """Remove an application: it gets no token any more. Tokens that it has stay good until they end."""

    async def act(installation: Installation, _: World) -> Application | None:
        meant = await tenant_meant(installation, tenant)
        return await installation.database.write(lambda session: applications.remove(session, meant.number, app))

    if run(load(config, data_dir=data_dir, database=database), act) is None:
        raise NoSuchApp(f"There is no application '{app}'; `adjoin app list` shows those there are.")
