"""Applications of a tenant: client ids with their permissions and the digest of their secret, never the secret."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from adjoin.store.database import Session

_COLUMNS: Final = "id, object_id, name, permissions, secret_digest, created"


@dataclass(frozen=True, slots=True)
class Application:
    """A registered application. `object_id` is its service principal, the `oid` of its tokens."""

    id: str
    object_id: str
    name: str
    permissions: tuple[str, ...]
    secret_digest: bytes
    created: str


async def find(session: Session, tenant: int, client_id: str) -> Application | None:
    sql = f"SELECT {_COLUMNS} FROM applications WHERE tenant = ?1 AND id = ?2"
    return _first(await session.fetch(sql, (tenant, client_id)))


async def every(session: Session, tenant: int) -> list[Application]:
    """The tenant's applications by name."""
    sql = f"SELECT {_COLUMNS} FROM applications WHERE tenant = ?1 ORDER BY name"
    return [_application(each) for each in await session.fetch(sql, (tenant,))]


async def add(session: Session, tenant: int, new: Application) -> Application | None:
    """Add an application; None when the tenant has one of this name or id."""
    sql = (
        f"INSERT INTO applications (tenant, {_COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) "
        f"ON CONFLICT DO NOTHING RETURNING {_COLUMNS}"
    )
    permissions = " ".join(new.permissions)
    values = (tenant, new.id, new.object_id, new.name, permissions, new.secret_digest, new.created)
    return _first(await session.fetch(sql, values))


async def remove(session: Session, tenant: int, id_or_name: str) -> Application | None:
    """Remove the application with this client id or name and give it; None when there is none."""
    sql = f"DELETE FROM applications WHERE tenant = ?1 AND (id = ?2 OR name = ?3) RETURNING {_COLUMNS}"
    return _first(await session.fetch(sql, (tenant, id_or_name.lower(), id_or_name)))


def _first(found: list[tuple[Any, ...]]) -> Application | None:
    return _application(found[0]) if found else None


def _application(fetched: tuple[Any, ...]) -> Application:
    client_id, object_id, name, permissions, digest, created = fetched
    return Application(client_id, object_id, name, tuple(permissions.split()), digest, created)
