"""`adjoin token`: a bearer token of the built-in issuer."""

from __future__ import annotations

import uuid
from typing import Annotated, Final

import typer

from adjoin.cli.options import Cloud, Database, DataDir, Settings, TenantName, load, run, tenant_meant
from adjoin.cli.output import print_line
from adjoin.cli.words import BadPermission, check_permissions
from adjoin.identity import issuer
from adjoin.identity.caller import Kind
from adjoin.identity.issuer import Grant
from adjoin.service.installation import Installation
from adjoin.service.world import World

_DEFAULT: Final = "DeviceManagementConfiguration.ReadWrite.All"


def token(
    permission: Annotated[
        list[str] | None,
        typer.Option("--permission", "-p", metavar="PERMISSION", help=f"May be repeated. [default: {_DEFAULT}]"),
    ] = None,
    delegated: Annotated[bool, typer.Option("--delegated", help="For a person (scp), not a program (roles).")] = False,
    personal: Annotated[bool, typer.Option("--personal", help="For a personal account, which is refused.")] = False,
    no_permission: Annotated[bool, typer.Option("--no-permission", help="With no permission at all.")] = False,
    v2: Annotated[bool, typer.Option("--v2", help="In the v2 form; Graph's own tokens have the v1 form.")] = False,
    audience: Annotated[
        str | None, typer.Option("--audience", metavar="AUD", help="Another audience, which may be refused.")
    ] = None,
    tenant: TenantName = None,
    expires_in: Annotated[
        int, typer.Option("--expires-in", metavar="SECONDS", min=-(10**9), max=10**9, help="Negative: expired already.")
    ] = 3_600,
    cloud: Cloud = None,
    data_dir: DataDir = None,
    database: Database = None,
    config: Settings = None,
) -> None:
    """Print a bearer token, and nothing else. Works while the server runs, and before its first start."""
    loaded = load(config, data_dir=data_dir, database=database, cloud=cloud)
    if no_permission and permission:
        raise BadPermission("A token has --no-permission or a --permission, not both.")
    permissions = frozenset() if no_permission else frozenset(check_permissions(permission or [_DEFAULT]))

    async def act(installation: Installation, world: World) -> str:
        meant = await tenant_meant(installation, tenant)
        grant = Grant(
            tenant_id=meant.id,
            subject=str(uuid.uuid5(uuid.UUID(meant.id), "person" if delegated or personal else "program")),
            client_id=issuer.CLI_CLIENT,
            permissions=permissions,
            kind=Kind.DELEGATED if delegated or personal else Kind.APPLICATION,
            audience=audience,
            version="2.0" if v2 else "1.0",
            expires_in=expires_in,
            personal=personal,
            app_display_name="adjoin token",
            cloud=loaded.national_cloud,
        )
        return issuer.mint(installation.ring.signing, grant, int(world.now()), world.new_request_id())

    print_line(run(loaded, act, making=True))
