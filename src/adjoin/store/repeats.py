"""What became of requests that may be sent again, kept in the transaction of the change itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from adjoin.store.database import Session
from adjoin.store.statements import Everywhere

FORGOTTEN_AT_ONCE: Final = 256
"""So that no change waits for a large clean-up."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A request that was carried out: what it was (`digest`), and what came of it (`outcome`)."""

    digest: bytes
    outcome: bytes


async def find(session: Session, tenant: int, client: str, request_id: str) -> Kept | None:
    sql = "SELECT digest, outcome FROM repeated_requests WHERE tenant = ?1 AND client = ?2 AND request_id = ?3"
    found = await session.fetch(sql, (tenant, client, request_id))
    return Kept(bytes(found[0][0]), bytes(found[0][1])) if found else None


async def keep(session: Session, tenant: int, client: str, request_id: str, kept: Kept, now: int) -> None:
    """Keep what came of a request; `now` is in Unix seconds."""
    sql = (
        "INSERT INTO repeated_requests (tenant, client, request_id, digest, outcome, created) "
        "VALUES (?1, ?2, ?3, ?4, ?5, ?6)"
    )
    await session.fetch(sql, (tenant, client, request_id, kept.digest, kept.outcome, now))


async def any_before(session: Session, before: int) -> bool:
    """Whether something is kept from before this time."""
    sql = Everywhere("SELECT 1 FROM repeated_requests WHERE created < ?1 LIMIT 1")
    return bool(await session.fetch(sql, (before,)))


async def forget(session: Session, before: int) -> None:
    """Forget some of what was kept before this time; more at once than comes from one request to the next."""
    sql = Everywhere(
        "DELETE FROM repeated_requests WHERE (tenant, client, request_id) IN "
        "(SELECT tenant, client, request_id FROM repeated_requests WHERE created < ?1 ORDER BY created LIMIT ?2)"
    )
    await session.fetch(sql, (before, FORGOTTEN_AT_ONCE))
