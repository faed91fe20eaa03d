"""Revocation: from when on tokens of an application or a person count, and the changes to that.

Read for every request of a caller whom the built-in issuer vouches for, so a revocation holds from the next request on,
whatever process made it. By key in both tables; measured in docs/security.md.
"""

from __future__ import annotations

from typing import Final

from adjoin.store.database import Session
from adjoin.store.statements import Everywhere

_PROGRAM: Final = Everywhere(
    "SELECT applications.revoked_before FROM tenants "
    "JOIN applications ON applications.tenant = tenants.number AND applications.id = ?2 WHERE tenants.id = ?1"
)
_PERSON: Final = Everywhere(
    "SELECT applications.revoked_before, users.revoked_before FROM tenants "
    "JOIN applications ON applications.tenant = tenants.number AND applications.id = ?2 "
    "JOIN users ON users.tenant = tenants.number AND users.id = ?3 AND users.enabled = 1 WHERE tenants.id = ?1"
)


async def program_counts_from(session: Session, tenant_id: str, client_id: str) -> int | None:
    """The time from which an application's tokens have to be; None: there is no such application (any more)."""
    found = await session.fetch(_PROGRAM, (tenant_id, client_id))
    return int(found[0][0]) if found else None


async def person_counts_from(session: Session, tenant_id: str, client_id: str, person_id: str) -> int | None:
    """As above, for a person who uses an application; None: one of both is gone, or the person is disabled."""
    found = await session.fetch(_PERSON, (tenant_id, client_id, person_id))
    return max(found[0]) if found else None


async def revoke_application(session: Session, tenant: int, client_id: str, now: float) -> bool:
    """Revoke what an application holds; False: there is none. It may get new tokens at once."""
    sql = "UPDATE applications SET revoked_before = ?3 WHERE tenant = ?1 AND id = ?2 RETURNING id"
    return bool(await session.fetch(sql, (tenant, client_id, _from(now))))


async def revoke_person(session: Session, tenant: int, person_id: str, now: float) -> bool:
    """Revoke what clients hold for a person, as Graph's `revokeSignInSessions` does; False: there is none."""
    sql = "UPDATE users SET revoked_before = ?3 WHERE tenant = ?1 AND id = ?2 RETURNING id"
    return bool(await session.fetch(sql, (tenant, person_id, _from(now))))


def _from(now: float) -> int:
    """The second after this one: tokens tell whole seconds, so of this second's none can be told from one before.

    The token service dates what it issues within the rest of this second to the next (`Grant.counts_from`).
    """
    return int(now) + 1
