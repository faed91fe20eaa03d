"""`adjoin app`: applications that get tokens from the built-in token service, for themselves or for people."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from adjoin.cli import audited
from adjoin.cli.options import Database, DataDir, Json, Settings, TenantName, checked_name, load, run, tenant_meant
from adjoin.cli.output import print_listed, print_made
from adjoin.cli.words import check_permissions, tell_unknown
from adjoin.identity import client_keys, issuer
from adjoin.identity.client_keys import BadClientKey, ClientKey
from adjoin.odata.errors import Refusal
from adjoin.service import sign_in_redirects
from adjoin.service.installation import Installation
from adjoin.service.world import World
from adjoin.store import applications, grants, revocations
from adjoin.store.applications import Application, Key
from adjoin.store.database import Session
from adjoin.store.tenants import Tenant

_Meant = Annotated[str, typer.Argument(metavar="APP", help="A client id or name.")]

group = typer.Typer(help="Applications: client ids with a secret and permissions.", no_args_is_help=True)


class AppTaken(Refusal):
    """The tenant has an application of this name."""


class NoSuchApp(Refusal):
    """The tenant has no such application."""


class BadApp(Refusal):
    """What was given for a new application contradicts itself, or cannot be used."""


@group.command("add")
def add(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What people call it; unique in its tenant.")],
    permission: Annotated[
        list[str], typer.Option("--permission", "-p", metavar="PERMISSION", help="What it may do. May be repeated.")
    ],
    redirect_uri: Annotated[
        list[str] | None,
        typer.Option("--redirect-uri", metavar="URI", help="Where people return to from signing in. May be repeated."),
    ] = None,
    public: Annotated[
        bool, typer.Option("--public", help="It runs on people's own machines, so it gets no secret.")
    ] = False,
    certificate: Annotated[
        list[Path] | None,
        typer.Option(
            "--certificate", metavar="PEM", help="A certificate or public key in place of a secret. May be repeated."
        ),
    ] = None,
    tenant: TenantName = None,
    json: Json = False,
    data_dir: DataDir = None,
    database: Database = None,
    config: Settings = None,
) -> None:
    """Register an application and print its secret, if it has one: it is shown this once and stored nowhere."""
    checked_name(name)
    permissions, uris = check_permissions(permission), _redirect_uris(redirect_uri or [])
    keys = _keys(certificate or [], public)

    async def act(installation: Installation, world: World) -> dict[str, object]:
        meant = await tenant_meant(installation, tenant)
        secret = None if public or keys else issuer.new_secret(world.random(32))
        new = Application(
            id=world.new_request_id(),
            object_id=world.new_request_id(),
            name=name,
            permissions=permissions,
            secret_digest=None if secret is None else issuer.digest(secret),
            created=world.timestamp(),
            redirect_uris=uris,
            public=public,
        )

        async def add_to(session: Session) -> bool:
            if not await _add(session, meant.number, new, keys):
                return False
            granted = {"permissions": (None, ", ".join(permissions)), "redirectUris": (None, " ".join(uris) or None)}
            of = ("Application", new.name, new.id)
            await audited.tell(session, installation, world, meant.number, "Create", of, granted)
            return True

        if not await installation.database.write(add_to):
            raise AppTaken(f"The tenant '{meant.name}' has an application '{name}' already.")
        made: dict[str, object] = {"tenant_id": meant.id, "client_id": new.id}
        return made if secret is None else made | {"client_secret": secret}

    made = run(load(config, data_dir=data_dir, database=database), act)
    tell_unknown(permissions)
    print_made(made, json)


def _keys(certificates: list[Path], public: bool) -> list[ClientKey]:
    if public and certificates:
        raise BadApp("An application is --public or has a --certificate, not both.")
    return [_key(each) for each in certificates]


async def _add(session: Session, tenant: int, new: Application, keys: list[ClientKey]) -> bool:
    if await applications.add(session, tenant, new) is None:
        return False
    for key in keys:
        for each in key.names:
            await applications.add_key(session, tenant, new.id, Key(each, key.public_key, key.expires, new.created))
    return True


def _redirect_uris(given: list[str]) -> tuple[str, ...]:
    for each in given:
        fault = sign_in_redirects.fault(each)
        if fault is not None:
            raise BadApp(f"The redirect URI '{each}' cannot be used: {fault}.")
    return tuple(dict.fromkeys(given))


def _key(file: Path) -> ClientKey:
    try:
        return client_keys.read(file.read_bytes())
    except OSError as error:
        raise BadApp(f"The file {file} cannot be read: {error.strerror}.") from None
    except BadClientKey as error:
        raise BadApp(f"The file {file} cannot be used. {error}") from None


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
        {
            "client_id": each.id,
            "name": each.name,
            "permissions": each.permissions,
            "public": each.public,
            "redirect_uris": each.redirect_uris,
            "created": each.created,
        }
        for each in found
    ]
    print_listed(("client_id", "name", "permissions", "public", "redirect_uris", "created"), values, json)


@group.command("remove")
def remove(
    app: _Meant,
    tenant: TenantName = None,
    data_dir: DataDir = None,
    database: Database = None,
    config: Settings = None,
) -> None:
    """Remove an application. Tokens that it has, and that it holds for people, end at once."""

    async def removed(session: Session, meant: Tenant, _: World) -> Application | None:
        found = await applications.remove(session, meant.number, app)
        if found is not None:
            await grants.drop_of_client(session, meant.number, found.id)
        return found

    _change("Delete", app, tenant, removed, data_dir=data_dir, database=database, config=config)


@group.command("revoke")
def revoke(
    app: _Meant,
    tenant: TenantName = None,
    data_dir: DataDir = None,
    database: Database = None,
    config: Settings = None,
) -> None:
    """End all tokens that an application has, and those it holds for people, at once. It can get new ones."""

    async def revoked(session: Session, meant: Tenant, world: World) -> Application | None:
        every = await applications.every(session, meant.number)
        found = next((each for each in every if app in (each.id, each.name)), None)
        if found is not None:
            await grants.drop_of_client(session, meant.number, found.id)
            await revocations.revoke_application(session, meant.number, found.id, world.now())
        return found

    _change("Revoke", app, tenant, revoked, data_dir=data_dir, database=database, config=config)


def _change(operation: str, app: str, tenant: str | None, act: audited.Act, **sources: object) -> None:
    """Change the application that is meant. Raises NoSuchApp."""
    if not audited.change(operation, "Application", tenant, act, **sources):
        raise NoSuchApp(f"There is no application '{app}'; `adjoin app list` shows those there are.")
