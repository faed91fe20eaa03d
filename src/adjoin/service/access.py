"""Who may do what: from a verified caller to the tenant it acts in, and the permission check of each operation.

The order is fixed (DESIGN section 4): personal account, tenant, licence, permission; objects are looked up only after.
"""

from __future__ import annotations

from adjoin.identity.caller import Caller
from adjoin.service.errors import NotLicensed, NotPermitted, PersonalAccount, UnknownTenant
from adjoin.store import tenants
from adjoin.store.database import Session
from adjoin.store.tenants import Tenant


async def admit(session: Session, caller: Caller, now: float) -> Tenant:
    """The tenant in which the caller acts at this Unix time. Raises PersonalAccount, UnknownTenant or NotLicensed."""
    if caller.personal:
        raise PersonalAccount
    tenant = await tenants.find(session, caller.tenant_id)
    if tenant is None:
        raise UnknownTenant
    if not tenant.licensed(now):
        raise NotLicensed
    return tenant


def check(caller: Caller, accepted: tuple[str, ...]) -> None:
    """Refuse a caller that holds none of the accepted permissions. An empty list accepts nobody."""
    if caller.permissions.isdisjoint(accepted):
        raise NotPermitted(accepted)
