"""What an installation keeps for itself under a name: secrets that every node on one database must share."""

from __future__ import annotations

from adjoin.store.database import Session


async def find(session: Session, name: str) -> bytes | None:
    found = await session.fetch("SELECT value FROM settings WHERE name = ?1", (name,))
    return bytes(found[0][0]) if found else None


async def keep_first(session: Session, name: str, value: bytes) -> bytes:
    """The value under a name; `value` becomes it if there is none yet."""
    await session.fetch("INSERT INTO settings (name, value) VALUES (?1, ?2) ON CONFLICT DO NOTHING", (name, value))
    kept = await find(session, name)
    return value if kept is None else kept
