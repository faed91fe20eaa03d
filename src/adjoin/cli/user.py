"""`adjoin user`: the people of a tenant, who sign in with a name and a password."""

from __future__ import annotations

import contextlib
import getpass
import sys
import warnings
from collections.abc import Awaitable, Callable
from typing import Annotated, Final

import typer

from adjoin.cli import audited
from adjoin.cli.options import Database, DataDir, Json, Settings, TenantName, load, run, tenant_meant
from adjoin.cli.output import print_listed, print_made
from adjoin.cli.words import check_permissions, check_text, tell_unknown
from adjoin.identity import passwords
from adjoin.odata.errors import Refusal
from adjoin.odata.values import BadValue, parse_guid
from adjoin.service import sign_in_people
from adjoin.service.installation import Installation
from adjoin.service.world import World
from adjoin.store import users
from adjoin.store.database import Session
from adjoin.store.tenants import Tenant
from adjoin.store.users import User

group = typer.Typer(help="People: who may sign in, and what they may do.", no_args_is_help=True)

_Meant = Annotated[str, typer.Argument(metavar="NAME", help="A person's sign-in name or id.")]
_FromStdin = Annotated[
    bool, typer.Option("--password-stdin", help="Read the password from the first line of standard input.")
]


_LONGEST: Final = 256

_Change = Callable[[Session, Tenant, User, World], Awaitable[None]]


class UserTaken(Refusal):
    """The tenant has a person of this name."""


class NoSuchUser(Refusal):
    """The tenant has no such person."""


class BadUser(Refusal):
    """A name or password that an account cannot have."""


@group.command("add")
def add(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The sign-in name; unique in its tenant.")],
    permission: Annotated[
        list[str] | None,
        typer.Option("--permission", "-p", metavar="PERMISSION", help="What the person may do. May be repeated."),
    ] = None,
    display_name: Annotated[
        str | None, typer.Option("--display-name", metavar="TEXT", help="[default: the sign-in name]")
    ] = None,
    password_stdin: _FromStdin = False,
    tenant: TenantName = None,
    json: Json = False,
    data_dir: DataDir = None,
    database: Database = None,
    config: Settings = None,
) -> None:
    """Add a person. Asks for the password, unless it is on standard input."""
    permissions = check_permissions(permission or [])
    _check_name(name)
    shown = name if display_name is None else check_text(display_name, "--display-name", _LONGEST)
    password_hash = passwords.hashed(_password(password_stdin))

    async def act(installation: Installation, world: World) -> dict[str, object]:
        meant = await tenant_meant(installation, tenant)
        new = User(
            id=world.new_request_id(),
            name=_check_name(sign_in_people.folded(name, meant)),
            display_name=shown,
            password_hash=password_hash,
            permissions=permissions,
            created=world.timestamp(),
        )

        async def add_to(session: Session) -> User | None:
            found = await users.add(session, meant.number, new)
            if found is not None:
                granted = {"permissions": (None, ", ".join(permissions))}
                of = ("User", found.name, found.id)
                await audited.tell(session, installation, world, meant.number, "Create", of, granted)
            return found

        added = await installation.database.write(add_to)
        if added is None:
            raise UserTaken(f"The tenant '{meant.name}' has a person '{new.name}' already.")
        return {"tenant_id": meant.id, "user_id": added.id, "name": added.name}

    made = run(load(config, data_dir=data_dir, database=database), act)
    tell_unknown(permissions)
    print_made(made, json)


@group.command("list")
def list_(
    tenant: TenantName = None,
    json: Json = False,
    data_dir: DataDir = None,
    database: Database = None,
    config: Settings = None,
) -> None:
    """Print a tenant's people."""

    async def act(installation: Installation, _: World) -> list[User]:
        meant = await tenant_meant(installation, tenant)
        return await users.every(installation.database.reader, meant.number)

    columns = ("user_id", "name", "display_name", "permissions", "enabled", "created")
    values: list[dict[str, object]] = [
        dict(
            zip(
                columns,
                (each.id, each.name, each.display_name, each.permissions, each.enabled, each.created),
                strict=True,
            )
        )
        for each in run(load(config, data_dir=data_dir, database=database), act)
    ]
    print_listed(columns, values, json)


@group.command("remove")
def remove(
    name: _Meant,
    tenant: TenantName = None,
    data_dir: DataDir = None,
    database: Database = None,
    config: Settings = None,
) -> None:
    """Remove a person. Tokens that clients hold for the person end at once."""

    async def act(session: Session, meant: Tenant, person: User, world: World) -> None:
        await sign_in_people.end_sign_ins(session, meant.number, person.id, world.now())
        await users.remove(session, meant.number, person.id)

    _change("Delete", name, tenant, act, data_dir=data_dir, database=database, config=config)


@group.command("disable")
def disable(
    name: _Meant,
    tenant: TenantName = None,
    data_dir: DataDir = None,
    database: Database = None,
    config: Settings = None,
) -> None:
    """Disable a person: no sign-in any more, and tokens that clients hold for the person end at once."""

    async def act(session: Session, meant: Tenant, person: User, world: World) -> None:
        await users.set_enabled(session, meant.number, person.id, enabled=False)
        await sign_in_people.end_sign_ins(session, meant.number, person.id, world.now())

    _change("Disable", name, tenant, act, data_dir=data_dir, database=database, config=config)


@group.command("enable")
def enable(
    name: _Meant,
    tenant: TenantName = None,
    data_dir: DataDir = None,
    database: Database = None,
    config: Settings = None,
) -> None:
    """Enable a person who was disabled."""

    async def act(session: Session, meant: Tenant, person: User, _: World) -> None:
        await users.set_enabled(session, meant.number, person.id, enabled=True)

    _change("Enable", name, tenant, act, data_dir=data_dir, database=database, config=config)


@group.command("password")
def password(
    name: _Meant,
    password_stdin: _FromStdin = False,
    tenant: TenantName = None,
    data_dir: DataDir = None,
    database: Database = None,
    config: Settings = None,
) -> None:
    """Set a person's password. Tokens that clients hold for the person end at once."""
    password_hash = passwords.hashed(_password(password_stdin))

    async def act(session: Session, meant: Tenant, person: User, world: World) -> None:
        await users.set_password(session, meant.number, person.id, password_hash)
        await sign_in_people.end_sign_ins(session, meant.number, person.id, world.now())

    _change("SetPassword", name, tenant, act, data_dir=data_dir, database=database, config=config)


@group.command("revoke")
def revoke(
    name: _Meant,
    tenant: TenantName = None,
    data_dir: DataDir = None,
    database: Database = None,
    config: Settings = None,
) -> None:
    """End all tokens that clients hold for a person, at once. The person can sign in anew."""

    async def act(session: Session, meant: Tenant, person: User, world: World) -> None:
        await sign_in_people.end_sign_ins(session, meant.number, person.id, world.now())

    _change("Revoke", name, tenant, act, data_dir=data_dir, database=database, config=config)


def _change(operation: str, name: str, tenant: str | None, act: _Change, **sources: object) -> None:
    """Change the person who is meant. Raises NoSuchUser."""

    async def changed(session: Session, meant: Tenant, world: World) -> User | None:
        person = await sign_in_people.meant(session, meant, name)
        if person is not None:
            await act(session, meant, person, world)
        return person

    if not audited.change(operation, "User", tenant, changed, **sources):
        raise NoSuchUser(f"There is no person '{name}'; `adjoin user list` shows those there are.")


def _password(from_stdin: bool) -> str:
    """The password that is given; never on the command line, where other processes see it. Raises BadUser."""
    given = _line() if from_stdin else _asked()
    if not passwords.SHORTEST <= len(given) <= passwords.LONGEST:
        raise BadUser(f"A password has {passwords.SHORTEST} to {passwords.LONGEST} characters.")
    return given


def _line() -> str:
    try:
        # As bytes: what the terminal's encoding makes of those that are none of it, nobody could type at the sign-in.
        return sys.stdin.buffer.readline(8 * passwords.LONGEST).decode().rstrip("\r\n")
    except UnicodeDecodeError:
        raise BadUser("The password on standard input is not valid UTF-8.") from None


def _asked() -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("error", getpass.GetPassWarning)
        try:
            return str(typer.prompt("Password", hide_input=True, confirmation_prompt=True))
        except getpass.GetPassWarning:
            raise BadUser("There is no terminal to ask for the password on; use --password-stdin.") from None


def _check_name(name: str) -> str:
    # What begins with the mark of a tenant has nothing before it.
    if len(name) > _LONGEST or name.split() != [name] or not name.isprintable() or name.startswith("@"):
        shown = name[:_LONGEST].encode("unicode_escape").decode()
        raise BadUser(f"'{shown}' is no sign-in name: it is one word of at most {_LONGEST} characters.")
    with contextlib.suppress(BadValue):
        parse_guid(name)
        raise BadUser("A sign-in name is not a GUID: it could be taken for the id of another person.")
    return name
