"""Bringing a PostgreSQL database to the schema that this version needs, in one transaction, by one node at a time.

Nodes of the version before may be at work meanwhile, so migrations only add (docs/development.md). Alembic is imported
only when there is something to do.
"""

from __future__ import annotations

from adjoin.store.address import shown
from adjoin.store.counts import TAKE_OVER
from adjoin.store.database import Unavailable, Unusable
from adjoin.store.link import Lacking, Link, connect
from adjoin.store.migrate import HEAD, KNOWN
from adjoin.store.statements import Everywhere

_TABLES = Everywhere("SELECT tablename FROM pg_tables WHERE schemaname = current_schema()")
# Text is compared, cut and counted by its characters, and any may come.
_ENCODING = Everywhere("SELECT current_setting('server_encoding')")
_VERSION = Everywhere("SELECT version_num FROM alembic_version")
_OURS = frozenset({"settings", "tenants"})


async def migrate(url: str) -> bool:
    """Bring the database up to date; True if anything was done.

    Raises Unavailable if it cannot be reached, and Unusable for one of another program, of a newer version, or in which
    the role lacks a right.
    """
    link = await connect(url)
    try:
        current = await _current(link, shown(url))
        if current == HEAD:
            await _take_over(link)
    except Lacking as refusal:
        raise Unusable(f"The database {shown(url)} cannot be used. {refusal.message}") from None
    finally:
        await link.close()
    if current == HEAD:
        return False
    from adjoin.store.upgrade_postgres import upgrade  # noqa: PLC0415 - most of what a start would wait for

    await upgrade(url)
    return True


async def _take_over(link: Link) -> None:
    """Each start leaves rows behind; a server that only reads takes no change, and is read all the same."""
    try:
        await link.fetch(TAKE_OVER)
    except Lacking:
        raise
    except Unavailable:
        pass


async def _current(link: Link, name: str) -> str | None:
    """The version of the schema, None for a database that is empty."""
    if await link.fetch(Everywhere("SELECT 1 WHERE current_schema() IS NULL")):
        raise Unusable(f"The database {name} has no schema that this role may use; see docs/operations.md.")
    ((encoding,),) = await link.fetch(_ENCODING)
    if encoding != "UTF8":
        raise Unusable(f"The database {name} has the encoding {encoding}; give adjoin one with ENCODING UTF8.")
    tables = {str(table) for (table,) in await link.fetch(_TABLES)}
    if not tables:
        return None
    if "alembic_version" not in tables or not tables >= _OURS:
        raise Unusable(f"The database {name} holds tables of another program; give adjoin one of its own.")
    found = await link.fetch(_VERSION)
    if not found:
        raise Unusable(f"The database {name} is damaged: it does not say which schema it has.")
    if found[0][0] not in KNOWN:
        raise Unusable(
            f"The database {name} was written by a newer adjoin (its schema is {found[0][0]}); update adjoin."
        )
    return str(found[0][0])
