"""What administrators change by these commands, told in the audit trail of the tenant it is about, with the change."""

from __future__ import annotations

import getpass
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

from adjoin.cli.options import load, run, tenant_meant
from adjoin.identity.issuer import CLI_CLIENT
from adjoin.service.audit import Recorder
from adjoin.service.installation import Installation
from adjoin.service.world import World
from adjoin.store.database import Session
from adjoin.store.tenants import Tenant

Changed = Mapping[str, tuple[object, object]]
"""What was before and what is after, by name; secrets are not among it."""


class Named(Protocol):
    """What is changed: something of a tenant's that has a name and an id."""

    @property
    def name(self) -> str: ...

    @property
    def id(self) -> str: ...


Act = Callable[[Session, Tenant, World], Awaitable[Named | None]]
"""Changes something, and gives it as it was; None where there is no such thing."""


def change(operation: str, kind: str, tenant: str | None, act: Act, **sources: object) -> bool:
    """Open the installation, run `act` for the tenant that is meant and record it, in one transaction.

    `sources` are the options that say where the installation is. False where there is no such thing.
    """

    async def changed(installation: Installation, world: World) -> bool:
        meant = await tenant_meant(installation, tenant)

        async def told(session: Session) -> bool:
            found = await act(session, meant, world)
            if found is not None:
                await tell(session, installation, world, meant.number, operation, (kind, found.name, found.id))
            return found is not None

        return await installation.database.write(told)

    return run(load(sources.pop("config"), **sources), changed)  # type: ignore[arg-type]


async def tell(
    session: Session,
    installation: Installation,
    world: World,
    tenant: int,
    operation: str,
    of: tuple[str, str, str],
    changed: Changed | None = None,
) -> None:
    """Record that the person at this machine did something to `of`: its kind, its name and its id."""
    actor: dict[str, object] = {
        "auditActorType": "ItPro",
        "userPermissions": [],
        "applicationId": CLI_CLIENT,
        "applicationDisplayName": "adjoin command line",
        "userPrincipalName": _person(),
        "servicePrincipalName": None,
        "ipAddress": None,
        "userId": None,
    }
    recorder = Recorder(actor, "", world.new_id, world.now(), installation.audit_days, installation.turns)
    await recorder.administration(session, tenant, operation, of, changed or {})


def _person() -> str | None:
    """The account on this machine that the command runs under."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return None
