"""Who may do what: from a verified caller to the tenant it acts in, and the permission check of each operation.

The order is fixed (DESIGN section 4): revocation (part of the token), personal account, tenant, licence, permission;
objects are looked up only after.
"""

from __future__ import annotations

from adjoin.identity.caller import Caller, Kind
from adjoin.identity.errors import RevokedToken
from adjoin.identity.issuer import CLI_CLIENT
from adjoin.service.errors import NotLicensed, NotPermitted, PersonalAccount, UnknownTenant
from adjoin.store import revocations, tenants
from adjoin.store.database import Database
from adjoin.store.memory import Memory
from adjoin.store.revocations import Standing
from adjoin.store.tenants import Tenant


async def let_in(database: Database, memory: Memory, caller: Caller, now: float) -> Tenant:
    """The tenant in which the caller acts at this Unix time: as `check_standing`, and then `admit`, in one question."""
    standing = await check_standing(database, memory, caller, now)
    return await admit(database, memory, caller, now) if standing is None else _licensed(standing.tenant, now)


async def check_standing(database: Database, memory: Memory, caller: Caller, now: float) -> Standing | None:
    """Refuse a token whose application or person no longer is as it was when the token was made. Raises RevokedToken.

    What is kept here says nothing about the callers of external issuers: they are revoked where they come from.
    """
    if caller.issuer is not None or caller.client_id == CLI_CLIENT or caller.personal:
        return None
    tenant, client, person = caller.tenant_id, caller.client_id, caller.subject
    if caller.kind is Kind.APPLICATION:
        standing = await memory.recall(
            database, (tenant, client), lambda session: revocations.of_program(session, tenant, client)
        )
    else:
        standing = await memory.recall(
            database,
            (tenant, client, person),
            lambda session: revocations.of_person(session, tenant, client, person),
        )
    if standing is None:
        raise RevokedToken(int(now), caller.can_take_challenge)
    if (caller.issued or 0) < standing.counts_from:
        raise RevokedToken(standing.counts_from, caller.can_take_challenge)
    return standing


async def admit(database: Database, memory: Memory, caller: Caller, now: float) -> Tenant:
    """The tenant in which the caller acts at this Unix time. Raises PersonalAccount, UnknownTenant or NotLicensed."""
    if caller.personal:
        raise PersonalAccount
    tenant_id = caller.tenant_id
    tenant = await memory.recall(database, tenant_id, lambda session: tenants.find(session, tenant_id))
    if tenant is None:
        raise UnknownTenant
    return _licensed(tenant, now)


def _licensed(tenant: Tenant, now: float) -> Tenant:
    if not tenant.licensed(now):
        raise NotLicensed
    return tenant


def check(caller: Caller, accepted: tuple[str, ...]) -> None:
    """Refuse a caller that holds none of the accepted permissions. An empty list accepts nobody."""
    if caller.permissions.isdisjoint(accepted):
        raise NotPermitted(accepted)
