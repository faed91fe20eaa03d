"""`adjoin connector`, on the server: invite machines, and list the connectors with what is wrong with them.

What runs on the connectors' machines is in `machine.py`.
"""

from __future__ import annotations

import re
from typing import Annotated, Final

import typer

from adjoin.cli import audited, machine
from adjoin.cli.options import Database, DataDir, Json, Settings, TenantName, load, run, tenant_meant
from adjoin.cli.output import print_json, print_line, print_listed
from adjoin.cli.words import BadText
from adjoin.odata.values import Instant
from adjoin.service import connectors as rules
from adjoin.service import enrolment
from adjoin.service.installation import Installation
from adjoin.service.world import World
from adjoin.store import connectors
from adjoin.store.connectors import Connector
from adjoin.store.database import Session

group = typer.Typer(
    help="Connectors: invite and list them; enrol, run and remove one on its machine.", no_args_is_help=True
)
group.command("enroll")(machine.enroll)
group.command("run")(machine.run)
group.command("status")(machine.status)
group.command("leave")(machine.leave)

_PAGE: Final = 1_000
_LONGEST_DOMAIN: Final = 255
_DOMAIN: Final = re.compile(r"[\w-]{1,63}(\.[\w-]{1,63})*")


@group.command("invite")
def invite(
    domain: Annotated[
        str | None, typer.Option("--domain", metavar="DOMAIN", help="The Active Directory domain that it is for.")
    ] = None,
    expires_in: Annotated[
        int,
        typer.Option(
            "--expires-in", metavar="SECONDS", min=1, max=enrolment.LONGEST_INVITATION, help="How long the code works."
        ),
    ] = 86_400,
    tenant: TenantName = None,
    json: Json = False,
    data_dir: DataDir = None,
    database: Database = None,
    config: Settings = None,
) -> None:
    """Print a code by which one machine can become a connector. It works once, is shown this once, and kept nowhere."""
    if domain is not None and (len(domain) > _LONGEST_DOMAIN or not _DOMAIN.fullmatch(domain)):
        raise BadText("--domain is the name of a domain, such as corp.example.")

    async def act(installation: Installation, world: World) -> dict[str, object]:
        meant = await tenant_meant(installation, tenant)
        expires = Instant.from_unix(int(world.now()) + expires_in)

        async def tell(session: Session) -> None:
            of, changed = ("Invitation", domain or "any domain", None), {"expires": (None, str(expires))}
            await audited.tell(session, installation, world, meant.number, "Create", of, changed)

        code = await enrolment.invite(installation.database, meant, domain, expires_in, world, tell)
        return {"tenant_id": meant.id, "code": code, "expires": str(expires), "domain": domain}

    made = run(load(config, data_dir=data_dir, database=database), act)
    if json:
        print_json(made)
        return
    print_line(str(made["code"]))


@group.command("list")
def list_(
    tenant: TenantName = None,
    json: Json = False,
    data_dir: DataDir = None,
    database: Database = None,
    config: Settings = None,
) -> None:
    """Print a tenant's connectors, with the reasons of those in error."""

    async def act(installation: Installation, world: World) -> list[dict[str, object]]:
        meant = await tenant_meant(installation, tenant)
        found: list[Connector] = []
        now = Instant.from_unix(world.now()).ticks
        while True:
            after = rules.text(found[-1]["id"]) if found else ""
            page = await connectors.every(installation.database.reader, meant.number, now, after, _PAGE)
            found += page
            if len(page) < _PAGE:
                return [_shown(each) for each in found]

    values = run(load(config, data_dir=data_dir, database=database), act)
    print_listed(("id", "name", "state", "version", "last_connection", "domain", "reasons"), values, json)


def _shown(connector: Connector) -> dict[str, object]:
    reasons = rules.report_of(connector).reasons if connector["state"] != "active" else ()
    return {
        "id": connector["id"],
        "name": connector["displayName"],
        "state": connector["state"],
        "version": connector["version"],
        "last_connection": connector["lastConnectionDateTime"],
        "domain": connector.domain,
        "enrolled": connector.enrolled,
        "reasons": reasons or None,
    }
