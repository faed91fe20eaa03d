"""What administrators change by these commands, told in the audit trail of the tenant it is about, with the change."""

from __future__ import annotations

import getpass
from collections.abc import Mapping

from adjoin.identity.issuer import CLI_CLIENT
from adjoin.service.audit import Recorder
from adjoin.service.installation import Installation
from adjoin.service.world import World
from adjoin.store.database import Session

Changed = Mapping[str, tuple[object, object]]
"""What was before and what is after, by name; secrets are not among it."""


async def tell(
    session: Session,
    installation: Installation,
    world: World,
    tenant: int,
    operation: str,
    of: tuple[str, str, str | None],
    changed: Changed | None = None,
) -> None:
    """Record that the person at this machine did something to `of`: its kind, its name and its id, if it has one."""
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
