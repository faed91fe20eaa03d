"""What became of requests that may be sent again, kept in the transaction of the change itself."""

from __future__ import annotations

from dataclasses import dataclass

from adjoin.store.database import Session
from adjoin.store.statements import Everywhere


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


async def forget(session: Session, before: int) -> None:
    """Forget what was kept before this time."""
    await session.fetch(Everywhere("DELETE FROM repeated_requests WHERE created < ?1"), (before,))
