"""Revocation: from when on tokens of an application or a person count, and the changes to that.

Read for every request of a caller whom the built-in issuer vouches for, so a revocation holds from the next request on,
whatever process made it. By key in all tables, and in one question with the tenant, which every request needs as well.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from adjoin.store.database import Session
from adjoin.store.statements import Everywhere
from adjoin.store.tenants import COLUMNS, Tenant

_TENANT: Final = ", ".join(f"tenants.{each}" for each in COLUMNS)
_PROGRAM: Final = Everywhere(
    f"SELECT {_TENANT}, applications.revoked_before FROM tenants "
    "JOIN applications ON applications.tenant = tenants.number AND applications.id = ?2 WHERE tenants.id = ?1"
)
_PERSON: Final = Everywhere(
    f"SELECT {_TENANT}, applications.revoked_before, users.revoked_before FROM tenants "
    "JOIN applications ON applications.tenant = tenants.number AND applications.id = ?2 "
    "JOIN users ON users.tenant = tenants.number AND users.id = ?3 AND users.enabled = 1 WHERE tenants.id = ?1"
)


class Standing(NamedTuple):
    """The tenant of a caller, and the time from which its tokens have to be."""

    tenant: Tenant
    counts_from: int


async def of_program(session: Session, tenant_id: str, client_id: str) -> Standing | None:
    """How an application stands; None: there is no such application (any more)."""
    found = await session.fetch(_PROGRAM, (tenant_id, client_id))
    return Standing(Tenant(*found[0][:-1]), int(found[0][-1])) if found else None


async def of_person(session: Session, tenant_id: str, client_id: str, person_id: str) -> Standing | None:
    """As above, for a person who uses an application; None: one of both is gone, or the person is disabled."""
    found = await session.fetch(_PERSON, (tenant_id, client_id, person_id))
    return Standing(Tenant(*found[0][:-2]), max(found[0][-2:])) if found else None


async def revoke_application(session: Session, tenant: int, client_id: str, now: float) -> bool:
    """Revoke what an application holds; False: there is none. It may get new tokens at once."""
    sql = "UPDATE applications SET revoked_before = ?3 WHERE tenant = ?1 AND id = ?2 RETURNING id"
    return bool(await session.fetch(sql, (tenant, client_id, _from(now))))


async def revoke_person(session: Session, tenant: int, person_id: str, now: float) -> bool:
    """Revoke what clients hold for a person, as Graph's `revokeSignInSessions` does; False: there is none."""
    sql = "UPDATE users SET revoked_before = ?3 WHERE tenant = ?1 AND id = ?2 RETURNING id"
    return bool(await session.fetch(sql, (tenant, person_id, _from(now))))


def _from(now: float) -> int:
    """The second after next: tokens tell whole seconds, so of this second's none can be told from one before; and one
    from a node whose clock is a second ahead may have been issued before, too.

    What the token service issues until then it dates to that second (`Grant.counts_from`).
    """
    return int(now) + 2
