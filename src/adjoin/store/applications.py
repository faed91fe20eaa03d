"""Applications of a tenant: client ids with their permissions, and what they prove themselves by.

Of a secret only the digest is kept; of a certificate its public key, under each of the names that a client may call it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from adjoin.store.database import Session

_COLUMNS: Final = (
    "id, object_id, name, permissions, secret_digest, created, redirect_uris, public_client, revoked_before"
)


@dataclass(frozen=True, slots=True)
class Application:
    """A registered application. `object_id` is its service principal, the `oid` of its own tokens."""

    id: str
    object_id: str
    name: str
    permissions: tuple[str, ...]
    secret_digest: bytes | None
    created: str
    redirect_uris: tuple[str, ...] = ()
    public: bool = False
    """It runs where no secret can be kept (RFC 6749 section 2.1), so it has none."""
    revoked_before: int = 0


@dataclass(frozen=True, slots=True)
class Key:
    """A public key of an application, as DER (SubjectPublicKeyInfo), by one of its thumbprints."""

    thumbprint: str
    public_key: bytes
    expires: int | None
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
        f"INSERT INTO applications (tenant, {_COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10) "
        f"ON CONFLICT DO NOTHING RETURNING {_COLUMNS}"
    )
    permissions, uris = " ".join(new.permissions), " ".join(new.redirect_uris)
    values = (new.id, new.object_id, new.name, permissions, new.secret_digest, new.created)
    return _first(await session.fetch(sql, (tenant, *values, uris, int(new.public), new.revoked_before)))


async def remove(session: Session, tenant: int, id_or_name: str) -> Application | None:
    """Remove the application with this client id or name and give it; None when there is none."""
    sql = f"DELETE FROM applications WHERE tenant = ?1 AND (id = ?2 OR name = ?3) RETURNING {_COLUMNS}"
    return _first(await session.fetch(sql, (tenant, id_or_name.lower(), id_or_name)))


async def add_key(session: Session, tenant: int, client_id: str, new: Key) -> None:
    """Add a key; one of the same thumbprint is the same key."""
    sql = (
        "INSERT INTO application_keys (tenant, application, thumbprint, public_key, expires, created) "
        "VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO NOTHING"
    )
    await session.fetch(sql, (tenant, client_id, new.thumbprint, new.public_key, new.expires, new.created))


async def find_key(session: Session, tenant: int, client_id: str, thumbprint: str) -> Key | None:
    sql = (
        "SELECT thumbprint, public_key, expires, created FROM application_keys "
        "WHERE tenant = ?1 AND application = ?2 AND thumbprint = ?3"
    )
    found = await session.fetch(sql, (tenant, client_id, thumbprint))
    if not found:
        return None
    kept, public_key, expires, created = found[0]
    return Key(kept, bytes(public_key), expires, created)


def _first(found: list[tuple[Any, ...]]) -> Application | None:
    return _application(found[0]) if found else None


def _application(fetched: tuple[Any, ...]) -> Application:
    client_id, object_id, name, permissions, digest, created, uris, public, revoked_before = fetched
    return Application(
        client_id,
        object_id,
        name,
        tuple(permissions.split()),
        digest,
        created,
        tuple(uris.split()),
        bool(public),
        revoked_before,
    )
