"""What an installation keeps for itself under a name: secrets that every node on one database must share."""

from __future__ import annotations

from typing import Final

from adjoin.store.database import Session
from adjoin.store.statements import Everywhere

HISTORY: Final = "history"
"""Names the history of what is in the database. Who puts an older state in its place gives it another name."""


async def find(session: Session, name: str) -> bytes | None:
    found = await session.fetch(Everywhere("SELECT value FROM settings WHERE name = ?1"), (name,))
    return bytes(found[0][0]) if found else None


async def replace(session: Session, name: str, before: bytes, value: bytes) -> bool:
    """Put another value under a name; False unless it has the one that it had."""
    sql = "UPDATE settings SET value = ?3 WHERE name = ?1 AND value = ?2 RETURNING name"
    return bool(await session.fetch(Everywhere(sql), (name, before, value)))


async def keep_first(session: Session, name: str, value: bytes) -> bytes:
    """The value under a name; `value` becomes it if there is none yet."""
    sql = "INSERT INTO settings (name, value) VALUES (?1, ?2) ON CONFLICT DO NOTHING"
    await session.fetch(Everywhere(sql), (name, value))
    kept = await find(session, name)
    return value if kept is None else kept
