"""What was granted and not yet used up: codes, refresh tokens, device codes, invitations, and spent assertions.

Rows are known by a SHA-256 digest alone, so that the database holds nothing that could be redeemed. Each change is one
conditional statement: of two that come at once, one finds the row as it expects it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from adjoin.store.database import Session
from adjoin.store.statements import Everywhere

CODE: Final = "code"
REFRESH: Final = "refresh"
DEVICE: Final = "device"
USER_CODE: Final = "user-code"
ASSERTION: Final = "assertion"
INVITATION: Final = "invitation"

READY: Final = "ready"
PENDING: Final = "pending"
DECLINED: Final = "declined"
SPENT: Final = "spent"

_COLUMNS: Final = "digest, kind, state, client, subject, content, created, expires"
# What is over is kept this long in seconds: who comes late is told so, and a code used twice is known for one.
_KEPT_AFTER: Final = 3_600
# How many are swept with one that is added, so that no sign-in waits for a large clean-up.
_SWEPT_AT_ONCE: Final = 100


@dataclass(frozen=True, slots=True)
class Kept:
    """A row. `client` is an application's id, `subject` a person's; times are Unix seconds."""

    digest: bytes
    kind: str
    state: str
    client: str
    subject: str | None
    content: bytes
    created: int
    expires: int


async def add(session: Session, tenant: int, new: Kept) -> bool:
    """Add a row and sweep some that are long over; False when there is one of this digest."""
    sweep = Everywhere(
        "DELETE FROM grants WHERE (tenant, digest) IN "
        "(SELECT tenant, digest FROM grants WHERE expires < ?1 ORDER BY expires LIMIT ?2)"
    )
    await session.fetch(sweep, (new.created - _KEPT_AFTER, _SWEPT_AT_ONCE))
    sql = (
        f"INSERT INTO grants (tenant, {_COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) "
        "ON CONFLICT DO NOTHING RETURNING tenant"
    )
    values = (new.digest, new.kind, new.state, new.client, new.subject, new.content, new.created, new.expires)
    return bool(await session.fetch(sql, (tenant, *values)))


async def find(session: Session, tenant: int, kind: str, digest: bytes) -> Kept | None:
    """The row, whether its time is over or not."""
    sql = f"SELECT {_COLUMNS} FROM grants WHERE tenant = ?1 AND digest = ?2 AND kind = ?3"
    return _first(await session.fetch(sql, (tenant, digest, kind)))


async def settle(session: Session, tenant: int, before: Kept, state: str, subject: str | None = None) -> bool:
    """Give a row its next state, and its subject if there is one now; False unless it is in the state it was in."""
    sql = (
        "UPDATE grants SET state = ?5, subject = COALESCE(?6, subject) "
        "WHERE tenant = ?1 AND digest = ?2 AND kind = ?3 AND state = ?4 RETURNING tenant"
    )
    return bool(await session.fetch(sql, (tenant, before.digest, before.kind, before.state, state, subject)))


async def replace(session: Session, tenant: int, before: Kept, content: bytes, expires: int) -> bool:
    """Give a row new content and a new end; False unless it has the content that it had."""
    sql = (
        "UPDATE grants SET content = ?5, expires = ?6 "
        "WHERE tenant = ?1 AND digest = ?2 AND kind = ?3 AND content = ?4 RETURNING tenant"
    )
    return bool(await session.fetch(sql, (tenant, before.digest, before.kind, before.content, content, expires)))


async def drop(session: Session, tenant: int, digest: bytes) -> None:
    await session.fetch("DELETE FROM grants WHERE tenant = ?1 AND digest = ?2", (tenant, digest))


async def drop_of_subject(session: Session, tenant: int, subject: str) -> None:
    """Drop all that a person has granted."""
    await session.fetch("DELETE FROM grants WHERE tenant = ?1 AND subject = ?2", (tenant, subject))


async def drop_of_client(session: Session, tenant: int, client: str) -> None:
    """Drop all that an application was granted; which of its assertions were used stays known."""
    sql = "DELETE FROM grants WHERE tenant = ?1 AND client = ?2 AND kind <> ?3"
    await session.fetch(sql, (tenant, client, ASSERTION))


async def tenant_of_user_code(session: Session, digest: bytes) -> int | None:
    """The one tenant with a device sign-in under this user code; people type it where no tenant is named."""
    return await _tenant_of(session, USER_CODE, digest)


async def tenant_of_invitation(session: Session, digest: bytes) -> int | None:
    """The tenant that an invitation is of."""
    return await _tenant_of(session, INVITATION, digest)


async def _tenant_of(session: Session, kind: str, digest: bytes) -> int | None:
    # By way of the tenants, so that the primary key is used: `digest` alone is no key.
    sql = "SELECT tenant FROM grants WHERE tenant IN (SELECT number FROM tenants) AND digest = ?1 AND kind = ?2"
    found = await session.fetch(Everywhere(sql), (digest, kind))
    return int(found[0][0]) if len(found) == 1 else None


def _first(found: list[tuple[Any, ...]]) -> Kept | None:
    if not found:
        return None
    digest, kind, state, client, subject, content, created, expires = found[0]
    return Kept(bytes(digest), kind, state, client, subject, bytes(content), created, expires)
