"""People of a tenant: local accounts with a password, kept as its hash alone, and what each may do.

Names are stored as `service/sign_in_people.py` folds them; nothing here compares them in any other way.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from adjoin.store.database import Session

_COLUMNS: Final = "id, name, display_name, password_hash, permissions, enabled, revoked_before, created"


@dataclass(frozen=True, slots=True)
class User:
    """A person. `id` is the `oid` of the person's tokens; `revoked_before` is in Unix seconds."""

    id: str
    name: str
    display_name: str
    password_hash: str
    permissions: tuple[str, ...]
    created: str
    enabled: bool = True
    revoked_before: int = 0


async def find(session: Session, tenant: int, user_id: str) -> User | None:
    sql = f"SELECT {_COLUMNS} FROM users WHERE tenant = ?1 AND id = ?2"
    return _first(await session.fetch(sql, (tenant, user_id)))


async def find_by_name(session: Session, tenant: int, name: str) -> User | None:
    sql = f"SELECT {_COLUMNS} FROM users WHERE tenant = ?1 AND name = ?2"
    return _first(await session.fetch(sql, (tenant, name)))


async def every(session: Session, tenant: int) -> list[User]:
    """The tenant's people by name."""
    sql = f"SELECT {_COLUMNS} FROM users WHERE tenant = ?1 ORDER BY name"
    return [_user(each) for each in await session.fetch(sql, (tenant,))]


async def add(session: Session, tenant: int, new: User) -> User | None:
    """Add a person; None when the tenant has one of this name or id."""
    sql = (
        f"INSERT INTO users (tenant, {_COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) "
        f"ON CONFLICT DO NOTHING RETURNING {_COLUMNS}"
    )
    permissions = " ".join(new.permissions)
    values = (new.id, new.name, new.display_name, new.password_hash, permissions, int(new.enabled))
    return _first(await session.fetch(sql, (tenant, *values, new.revoked_before, new.created)))


async def remove(session: Session, tenant: int, user_id: str) -> None:
    await session.fetch("DELETE FROM users WHERE tenant = ?1 AND id = ?2", (tenant, user_id))


async def set_enabled(session: Session, tenant: int, user_id: str, enabled: bool) -> None:
    sql = "UPDATE users SET enabled = ?3 WHERE tenant = ?1 AND id = ?2"
    await session.fetch(sql, (tenant, user_id, int(enabled)))


async def set_password(session: Session, tenant: int, user_id: str, password_hash: str) -> None:
    sql = "UPDATE users SET password_hash = ?3 WHERE tenant = ?1 AND id = ?2"
    await session.fetch(sql, (tenant, user_id, password_hash))


def _first(found: list[tuple[Any, ...]]) -> User | None:
    return _user(found[0]) if found else None


def _user(fetched: tuple[Any, ...]) -> User:
    user_id, name, display_name, password_hash, permissions, enabled, revoked_before, created = fetched
    return User(
        user_id, name, display_name, password_hash, tuple(permissions.split()), created, bool(enabled), revoked_before
    )
