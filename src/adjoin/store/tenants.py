"""Tenants: who they are and whether their licence is active."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from adjoin.store.database import Session
from adjoin.store.statements import Everywhere

ACTIVE: Final = "active"
WARNING: Final = "warning"
SUSPENDED: Final = "suspended"
NO_LICENCE: Final = "none"
LICENCES: Final = (ACTIVE, WARNING, SUSPENDED, NO_LICENCE)

COLUMNS: Final = ("number", "id", "name", "licence", "created", "licence_ends", "least_connector_version")
"""What a Tenant is made of, in this order."""

_COLUMNS: Final = ", ".join(COLUMNS)


@dataclass(frozen=True, slots=True)
class Tenant:
    """A tenant. `number` is its short name inside the database; `id` is the GUID that tokens carry as `tid`."""

    number: int
    id: str
    name: str
    licence: str
    created: str
    licence_ends: int | None = None
    """Unix seconds; from then on the tenant has no licence."""
    least_connector_version: str | None = None
    """Four dotted integers; connectors of older versions are in error."""

    def licensed(self, now: float) -> bool:
        """Whether requests are served at this Unix time: with a licence, or one that is about to end."""
        return self.licence_at(now) in (ACTIVE, WARNING)

    def licence_at(self, now: float) -> str:
        return NO_LICENCE if self.licence_ends is not None and now >= self.licence_ends else self.licence


async def find(session: Session, tenant_id: str) -> Tenant | None:
    """The tenant with this GUID, or None."""
    return _first(await session.fetch(Everywhere(f"SELECT {_COLUMNS} FROM tenants WHERE id = ?1"), (tenant_id,)))


async def find_by_number(session: Session, number: int) -> Tenant | None:
    """The tenant with this number, or None."""
    return _first(await session.fetch(Everywhere(f"SELECT {_COLUMNS} FROM tenants WHERE number = ?1"), (number,)))


async def find_by_id_or_name(session: Session, text: str) -> Tenant | None:
    """The tenant that a person means by its GUID or by its name."""
    sql = f"SELECT {_COLUMNS} FROM tenants WHERE id = ?1 OR name = ?2"
    return _first(await session.fetch(Everywhere(sql), (text.lower(), text)))


async def every(session: Session) -> list[Tenant]:
    """All tenants, oldest first."""
    return [
        Tenant(*each) for each in await session.fetch(Everywhere(f"SELECT {_COLUMNS} FROM tenants ORDER BY number"))
    ]


async def add(session: Session, tenant_id: str, name: str, licence: str, created: str) -> Tenant | None:
    """Add a tenant; None when its name or GUID is taken."""
    sql = (
        "INSERT INTO tenants (id, name, licence, created) VALUES (?1, ?2, ?3, ?4) "
        f"ON CONFLICT DO NOTHING RETURNING {_COLUMNS}"
    )
    return _first(await session.fetch(Everywhere(sql), (tenant_id, name, licence, created)))


async def set_licence(session: Session, number: int, licence: str, ends: int | None = None) -> None:
    """Set a tenant's licence; `ends` is in Unix seconds."""
    sql = "UPDATE tenants SET licence = ?2, licence_ends = ?3 WHERE number = ?1"
    await session.fetch(Everywhere(sql), (number, licence, ends))


async def set_least_connector_version(session: Session, number: int, version: str | None) -> None:
    """Set the least version that a tenant's connectors may have; None: any."""
    await session.fetch("UPDATE tenants SET least_connector_version = ?2 WHERE number = ?1", (number, version))


async def remove(session: Session, number: int) -> None:
    """Remove a tenant and, with it, everything that is its own."""
    # First what who creates an entity takes first: else the two would wait for each other.
    await session.fetch("UPDATE change_counters SET last = last WHERE tenant = ?1", (number,))
    await session.fetch(Everywhere("DELETE FROM tenants WHERE number = ?1"), (number,))


def _first(found: list[tuple[Any, ...]]) -> Tenant | None:
    return Tenant(*found[0]) if found else None
