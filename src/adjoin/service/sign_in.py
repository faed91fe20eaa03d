"""The token service as its parts share it: its refusals, its tenants, and what it needs to issue anything.

The refusals carry the numbers and words of Entra's (AADSTS…), which clients show to their users.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from adjoin.identity.clouds import Cloud
from adjoin.odata.errors import Refusal
from adjoin.service.installation import Installation
from adjoin.service.world import World
from adjoin.store import tenants
from adjoin.store.tenants import Tenant

LIFETIME: Final = 3_599
"""Seconds that an access token is good for."""

ANY_TENANT: Final = ("common", "organizations")
PERSONAL: Final = "consumers"


class SignInRefusal(Refusal):
    """A token request that is refused: `error` as OAuth names it (RFC 6749 section 5.2), `number` as Entra does."""

    def __init__(self, error: str, number: int, message: str, retry_after: int | None = None) -> None:
        super().__init__(f"AADSTS{number}: {message}")
        self.error = error
        self.number = number
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True)
class TokenService:
    """What issuing takes: the installation's keys and database, time and randomness, and the cloud it stands for."""

    installation: Installation
    world: World
    cloud: Cloud

    @property
    def now(self) -> int:
        return int(self.world.now())


async def known_tenant(service: TokenService, name: str, application_alone: bool = False) -> Tenant:
    """The tenant in the path of an endpoint: by GUID, by name, or by `common` where there is but one.

    An application that signs in as itself has to name its tenant. Raises SignInRefusal.
    """
    folded = name.lower()
    reader = service.installation.database.reader
    if folded == PERSONAL:
        raise SignInRefusal(
            "invalid_request",
            9002331,
            "Applications of this service are for work accounts only. Do not use the /consumers endpoint.",
        )
    if folded in ANY_TENANT:
        every = [] if application_alone else await tenants.every(reader)
        if len(every) == 1:
            return every[0]
        raise SignInRefusal(
            "invalid_request",
            50059,
            "No tenant-identifying information found in either the request or implied by any provided credentials.",
        )
    tenant = await tenants.find_by_id_or_name(reader, name)
    if tenant is None:
        raise SignInRefusal("invalid_request", 90002, f"Tenant '{name[:64]}' not found.")
    return tenant
