"""The tables, declared with SQLAlchemy Core for the migrations to be written and checked against.

Columns of entity types come from the model (`columns.py`); only what the service keeps for itself is written out here.
The running service never imports this module: at run time SQL text goes straight to the driver (performance.md 5).
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.types import TypeEngine

from adjoin.odata.edm import Property
from adjoin.store import columns
from adjoin.store.tables import ENTITY_TABLES

METADATA: Final = MetaData()

# SQLite knows one integer, for truth as well, and strict tables insist on its name.
_TYPES: Final[dict[str, TypeEngine[Any]]] = {
    "text": Text(),
    "integer": Integer(),
    "ticks": BigInteger().with_variant(Integer(), "sqlite"),
    "boolean": Boolean(create_constraint=False).with_variant(Integer(), "sqlite"),
}

TENANTS: Final = Table(
    "tenants",
    METADATA,
    Column("number", Integer, primary_key=True),
    Column("id", Text, nullable=False, unique=True),
    Column("name", Text, nullable=False, unique=True),
    Column("licence", Text, nullable=False),
    Column("licence_ends", _TYPES["ticks"]),
    Column("created", Text, nullable=False),
    Column("least_connector_version", Text),
    # A number is never given again: a request under way may still hold that of a tenant just removed.
    sqlite_autoincrement=True,
    sqlite_strict=True,
)

APPLICATIONS: Final = Table(
    "applications",
    METADATA,
    Column("tenant", Integer, ForeignKey("tenants.number", ondelete="CASCADE"), primary_key=True),
    Column("id", Text, primary_key=True),
    Column("object_id", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("permissions", Text, nullable=False),
    Column("secret_digest", LargeBinary),
    Column("created", Text, nullable=False),
    Column("redirect_uris", Text, nullable=False, server_default=text("''")),
    Column("public_client", Integer, nullable=False, server_default="0"),
    Column("revoked_before", _TYPES["ticks"], nullable=False, server_default="0"),
    UniqueConstraint("tenant", "name"),
    sqlite_strict=True,
    sqlite_with_rowid=False,
)

APPLICATION_KEYS: Final = Table(
    "application_keys",
    METADATA,
    Column("tenant", Integer, primary_key=True),
    Column("application", Text, primary_key=True),
    Column("thumbprint", Text, primary_key=True),
    Column("public_key", LargeBinary, nullable=False),
    Column("expires", _TYPES["ticks"]),
    Column("created", Text, nullable=False),
    ForeignKeyConstraint(["tenant", "application"], ["applications.tenant", "applications.id"], ondelete="CASCADE"),
    sqlite_strict=True,
    sqlite_with_rowid=False,
)

USERS: Final = Table(
    "users",
    METADATA,
    Column("tenant", Integer, ForeignKey("tenants.number", ondelete="CASCADE"), primary_key=True),
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("display_name", Text, nullable=False),
    Column("password_hash", Text, nullable=False),
    Column("permissions", Text, nullable=False),
    Column("enabled", Integer, nullable=False, server_default="1"),
    Column("revoked_before", _TYPES["ticks"], nullable=False, server_default="0"),
    Column("created", Text, nullable=False),
    UniqueConstraint("tenant", "name"),
    sqlite_strict=True,
    sqlite_with_rowid=False,
)

# Authorization codes, refresh tokens, device codes and spent assertions, by their digest alone.
GRANTS: Final = Table(
    "grants",
    METADATA,
    Column("tenant", Integer, ForeignKey("tenants.number", ondelete="CASCADE"), primary_key=True),
    Column("digest", LargeBinary, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("client", Text, nullable=False),
    Column("subject", Text),
    Column("content", LargeBinary, nullable=False),
    Column("created", _TYPES["ticks"], nullable=False),
    Column("expires", _TYPES["ticks"], nullable=False),
    Index("grants_by_expiry", "expires"),
    Index("grants_by_subject", "tenant", "subject"),
    sqlite_strict=True,
    sqlite_with_rowid=False,
)

SETTINGS: Final = Table(
    "settings",
    METADATA,
    Column("name", Text, primary_key=True),
    Column("value", LargeBinary, nullable=False),
    sqlite_strict=True,
    sqlite_with_rowid=False,
)


REPEATED_REQUESTS: Final = Table(
    "repeated_requests",
    METADATA,
    Column("tenant", Integer, ForeignKey("tenants.number", ondelete="CASCADE"), primary_key=True),
    Column("client", Text, primary_key=True),
    Column("request_id", Text, primary_key=True),
    Column("digest", LargeBinary, nullable=False),
    Column("outcome", LargeBinary, nullable=False),
    Column("created", _TYPES["ticks"], nullable=False),
    Index("repeated_requests_by_created", "created"),
    sqlite_strict=True,
    sqlite_with_rowid=False,
)


# Keys by which connectors prove themselves. They go with their connector.
CONNECTOR_KEYS: Final = Table(
    "connector_keys",
    METADATA,
    Column("tenant", Integer, primary_key=True),
    Column("connector", Text, primary_key=True),
    Column("thumbprint", Text, primary_key=True),
    Column("public_key", LargeBinary, nullable=False),
    Column("confirmed", Integer, nullable=False),
    Column("expires", _TYPES["ticks"], nullable=False),
    Column("created", Text, nullable=False),
    ForeignKeyConstraint(
        ["tenant", "connector"], ["domain_join_connectors.tenant", "domain_join_connectors.id"], ondelete="CASCADE"
    ),
    sqlite_strict=True,
    sqlite_with_rowid=False,
)


# How many connectors of each state a tenant has: the sum over all writers, each of which keeps a part. SQLite has one.
CONNECTOR_COUNTS: Final = Table(
    "connector_counts",
    METADATA,
    Column("tenant", Integer, ForeignKey("tenants.number", ondelete="CASCADE"), primary_key=True),
    Column("state", Integer, primary_key=True),
    Column("writer", Integer, primary_key=True, server_default="0"),
    Column("number", _TYPES["ticks"], nullable=False),
    sqlite_strict=True,
    sqlite_with_rowid=False,
)

# What happened to connectors, in the order in which it was committed: delta queries and notifications read it.
CHANGES: Final = Table(
    "changes",
    METADATA,
    Column("tenant", Integer, ForeignKey("tenants.number", ondelete="CASCADE"), primary_key=True),
    Column("sequence", _TYPES["ticks"], primary_key=True),
    Column("entity", Text, nullable=False),
    Column("kind", Integer, nullable=False),
    Column("ticks", _TYPES["ticks"], nullable=False),
    sqlite_strict=True,
    sqlite_with_rowid=False,
)

# How far each tenant's log of changes has come, and up to when what the clock did stands in it.
CHANGE_COUNTERS: Final = Table(
    "change_counters",
    METADATA,
    Column("tenant", Integer, ForeignKey("tenants.number", ondelete="CASCADE"), primary_key=True, autoincrement=False),
    Column("last", _TYPES["ticks"], nullable=False, server_default="0"),
    Column("dropped", _TYPES["ticks"], nullable=False, server_default="0"),
    Column("clock", _TYPES["ticks"]),
    Column("clock_key", Text, nullable=False, server_default=text("''")),
    sqlite_strict=True,
    sqlite_with_rowid=False,
)

_HELD: Final = "leased_by IS NOT NULL"

# How far each subscription has been told, and who is telling it.
DELIVERIES: Final = Table(
    "deliveries",
    METADATA,
    Column("tenant", Integer, primary_key=True),
    Column("subscription", Text, primary_key=True),
    Column("position", _TYPES["ticks"], nullable=False),
    Column("registered", Integer, nullable=False),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("due", _TYPES["ticks"], nullable=False, server_default="0"),
    Column("leased_by", Text),
    Column("leased_until", _TYPES["ticks"], nullable=False, server_default="0"),
    Column("owed", Text),
    Column("warned", Integer, nullable=False, server_default="0"),
    Column("host", Text, nullable=False, server_default=text("''")),
    Column("person", Integer, nullable=False, server_default="0"),
    Column("event_due", _TYPES["ticks"], nullable=False, server_default="0"),
    Column("event_attempts", Integer, nullable=False, server_default="0"),
    ForeignKeyConstraint(["tenant", "subscription"], ["subscriptions.tenant", "subscriptions.id"], ondelete="CASCADE"),
    Index("deliveries_by_position", "tenant", "position", "due", "attempts", "leased_until", "host"),
    Index("deliveries_by_event_due", "tenant", "event_due"),
    # Few are held at a time.
    Index("deliveries_by_holder", "leased_by", sqlite_where=text(_HELD), postgresql_where=text(_HELD)),
    sqlite_strict=True,
    sqlite_with_rowid=False,
)


def _declare(table: columns.Table) -> None:
    key = table.type.key.name
    Table(
        table.name,
        METADATA,
        Column("tenant", Integer, ForeignKey("tenants.number", ondelete="CASCADE"), primary_key=True),
        *(
            Column(column.name, _TYPES[column.kind], primary_key=each.name == key, nullable=each.nullable)
            for each, column in table.columns
        ),
        Column("row_version", _TYPES["ticks"], nullable=False, server_default="1"),
        *(
            Column(
                each.name,
                _TYPES[each.kind],
                nullable=each.default is None,
                server_default=None if each.default is None else str(each.default),
            )
            for each in table.own
        ),
        *(
            [Index(f"{table.name}_by_{table.silence.column}", "tenant", table.silence.column, table.key)]
            if table.silence
            else []
        ),
        *(_index(table, each) for each in table.type.properties if _indexed(table, each)),
        sqlite_strict=True,
        # Within a key's tree SQLite gives a row of more than a quarter of a page pages of its own; events are so long.
        sqlite_with_rowid=table.type.append_only,
    )


def _indexed(table: columns.Table, declared: Property) -> bool:
    return declared is not table.type.key and declared.comparable and not table.type.append_only


def _index(table: columns.Table, declared: Property) -> Index:
    """Every property can be filtered and ordered by: the tenant in front, the key behind to break ties."""
    column = columns.sort_column(declared)
    return Index(f"{table.name}_by_{columns.snake(declared.name)}", "tenant", column, table.key)


for _table in ENTITY_TABLES:
    _declare(_table)
