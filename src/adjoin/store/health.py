"""How a PostgreSQL database is, as seen from inside: whether it keeps what it acknowledges, and its walls."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from adjoin.store.database import Session
from adjoin.store.statements import Everywhere

_SERVER = Everywhere(
    "SELECT current_setting('server_version'), current_setting('server_version_num')::integer, "
    "current_setting('fsync'), current_setting('full_page_writes'), pg_is_in_recovery(), "
    "current_setting('transaction_read_only') = 'on', "
    "(SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user), current_user::text"
)
_CLOCK = Everywhere("SELECT extract(epoch FROM clock_timestamp())::float8")
_UNWALLED = Everywhere(
    "SELECT tables.relname FROM pg_class AS tables JOIN pg_attribute AS columns ON columns.attrelid = tables.oid "
    "WHERE tables.relnamespace = current_schema()::regnamespace AND tables.relkind = 'r' "
    "AND (columns.attname = 'tenant' OR tables.relname || '.' || columns.attname IN ('tenants.id', 'settings.name')) "
    "AND NOT columns.attisdropped AND NOT (tables.relrowsecurity "
    "AND tables.relforcerowsecurity AND EXISTS (SELECT FROM pg_policy WHERE polrelid = tables.oid)) ORDER BY 1"
)
_OLDEST = 140_000

APART: Final = 1.0
"""So many seconds the clocks of two nodes may be apart: a revocation reckons with that much (`revocations.py`)."""


@dataclass(frozen=True, slots=True)
class Sign:
    """One thing that was looked at."""

    what: str
    healthy: bool
    says: str


async def ahead(session: Session, now: Callable[[], float]) -> float:
    """How many seconds our clock is ahead of the server's, as far as that can be told: by the time of one question."""
    before = now()
    ((answer,),) = await session.fetch(_CLOCK)
    theirs, after = float(answer), now()
    return before - theirs if before > theirs else min(after - theirs, 0.0)


def clock_says(seconds: float) -> str:
    """What is to be said of a clock that is ahead by so much."""
    if abs(seconds) <= APART:
        return "it agrees with the database server's"
    side = "ahead of" if seconds > 0 else "behind"
    return (
        f"it is {abs(seconds):.1f} s {side} the database server's: what is revoked may go on to be accepted, and delta "
        "queries can miss changes; keep the clocks of all nodes together, by NTP"
    )


async def signs(session: Session, now: Callable[[], float]) -> list[Sign]:
    """What the database says of itself, and how its clock and ours agree (`now`, in Unix seconds)."""
    ((version, number, fsync, pages, replica, reads_only, unheld, role),) = await session.fetch(_SERVER)
    apart = await ahead(session, now)
    open_tables = [str(name) for (name,) in await session.fetch(_UNWALLED)]
    return [
        Sign("database", number >= _OLDEST, f"PostgreSQL {version}" + ("" if number >= _OLDEST else "; 14 is needed")),
        Sign("database role", not (replica or reads_only), _role(bool(replica), bool(reads_only))),
        Sign("clock", abs(apart) <= APART, clock_says(apart)),
        Sign(
            "durability",
            fsync == "on" and pages == "on",
            f"fsync {fsync}, full_page_writes {pages}"
            + ("" if fsync == pages == "on" else ": a power cut can lose what was acknowledged"),
        ),
        Sign("row-level security", not unheld and not open_tables, _wall(bool(unheld), str(role), open_tables)),
    ]


def _role(replica: bool, reads_only: bool) -> str:
    if replica:
        return "it reads only: this is a standby"
    return "it reads only: default_transaction_read_only is on" if reads_only else "it takes writes"


def _wall(unheld: bool, role: str, open_tables: list[str]) -> str:
    if unheld:
        return f"it does not hold the role {role}, which is a superuser or has BYPASSRLS; give adjoin a plain role"
    if open_tables:
        return f"not on {', '.join(open_tables)}"
    return f"on every table of tenants, for the role {role} as well"
