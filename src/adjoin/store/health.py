"""How a PostgreSQL database is, as seen from inside: whether it keeps what it acknowledges, and its walls."""

from __future__ import annotations

from dataclasses import dataclass

from adjoin.store.database import Session
from adjoin.store.statements import Everywhere

_SERVER = Everywhere(
    "SELECT current_setting('server_version'), current_setting('server_version_num')::integer, "
    "current_setting('fsync'), current_setting('full_page_writes'), pg_is_in_recovery(), "
    "(SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user), current_user::text"
)
_UNWALLED = Everywhere(
    "SELECT tables.relname FROM pg_class AS tables JOIN pg_attribute AS columns ON columns.attrelid = tables.oid "
    "WHERE tables.relnamespace = current_schema()::regnamespace AND tables.relkind = 'r' "
    "AND columns.attname = 'tenant' AND NOT columns.attisdropped AND NOT (tables.relrowsecurity "
    "AND tables.relforcerowsecurity AND EXISTS (SELECT FROM pg_policy WHERE polrelid = tables.oid)) ORDER BY 1"
)
_OLDEST = 140_000


@dataclass(frozen=True, slots=True)
class Sign:
    """One thing that was looked at."""

    what: str
    healthy: bool
    says: str


async def signs(session: Session) -> list[Sign]:
    """What the database says of itself."""
    ((version, number, fsync, pages, replica, unheld, role),) = await session.fetch(_SERVER)
    open_tables = [str(name) for (name,) in await session.fetch(_UNWALLED)]
    return [
        Sign("database", number >= _OLDEST, f"PostgreSQL {version}" + ("" if number >= _OLDEST else "; 14 is needed")),
        Sign("database role", not replica, "it reads only: this is a standby" if replica else "it takes writes"),
        Sign(
            "durability",
            fsync == "on" and pages == "on",
            f"fsync {fsync}, full_page_writes {pages}"
            + ("" if fsync == pages == "on" else ": a power cut can lose what was acknowledged"),
        ),
        Sign("row-level security", not unheld and not open_tables, _wall(bool(unheld), str(role), open_tables)),
    ]


def _wall(unheld: bool, role: str, open_tables: list[str]) -> str:
    if unheld:
        return f"it does not hold the role {role}, which is a superuser or has BYPASSRLS; give adjoin a plain role"
    if open_tables:
        return f"not on {', '.join(open_tables)}"
    return f"on every table of tenants, for the role {role} as well"
