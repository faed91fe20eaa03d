"""Running the migrations on PostgreSQL with Alembic, and the wall between tenants around every table that has them.

Only `migrate_postgres.py` imports this, and only when there is something to do.
"""

from __future__ import annotations

from typing import Final

import asyncpg
from alembic import command
from sqlalchemy import Connection, NullPool
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from adjoin.store.address import shown
from adjoin.store.database import Unusable
from adjoin.store.hosts import Hosts
from adjoin.store.postgres import WRITE_LOCK
from adjoin.store.upgrade import configuration

# A migration waits for statements under way, and all that come later wait for it: so it gives up soon, for a later try.
_PATIENCE: Final = "SET LOCAL lock_timeout = '10s'"
# The first that takes the lock migrates; the second finds nothing to do. Nobody writes meanwhile.
_LOCK: Final = f"SELECT pg_advisory_xact_lock({WRITE_LOCK})"
_SHOWN: Final = "(SELECT NULLIF(current_setting('adjoin.tenant', true), '')::integer)"
_OPEN: Final = (
    "SELECT tables.relname FROM pg_class AS tables JOIN pg_attribute AS columns ON columns.attrelid = tables.oid "
    "WHERE tables.relnamespace = current_schema()::regnamespace AND tables.relkind = 'r' "
    "AND columns.attname = 'tenant' AND NOT columns.attisdropped "
    "AND NOT EXISTS (SELECT FROM pg_policy WHERE polrelid = tables.oid)"
)


async def upgrade(url: str) -> None:
    """Bring the database to the newest schema, in one transaction. Raises Unusable or Unavailable."""
    engine = engine_of(url)
    try:
        async with engine.begin() as connection:
            await connection.run_sync(_upgrade)
    except (DBAPIError, OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        reason = str(error.orig if isinstance(error, DBAPIError) else error).splitlines()[0]
        raise Unusable(f"The database {shown(url)} could not be brought up to date: {reason}.") from None
    finally:
        await engine.dispose()


def engine_of(url: str) -> AsyncEngine:
    """An engine over our own kind of connections, for migrating and for comparing schemas."""
    hosts = Hosts(url)
    return create_async_engine("postgresql+asyncpg://", async_creator=lambda: hosts.open({}), poolclass=NullPool)


def _upgrade(connection: Connection) -> None:
    connection.exec_driver_sql(_LOCK)
    connection.exec_driver_sql(_PATIENCE)
    settings = configuration()
    settings.attributes["connection"] = connection
    command.upgrade(settings, "head")
    for (table,) in connection.exec_driver_sql(_OPEN).all():
        _wall(connection, table)


def _wall(connection: Connection, table: str) -> None:
    """Show of a table the rows of the tenant that the session names, none if it names none, all if it names 0.

    The table's owner is held to it, too: the service usually is the owner. In a subquery, what the session names is
    looked up once a statement and not once a row.
    """
    connection.exec_driver_sql(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY")
    connection.exec_driver_sql(f"CREATE POLICY one_tenant ON {table} USING (tenant = {_SHOWN} OR {_SHOWN} = 0)")
