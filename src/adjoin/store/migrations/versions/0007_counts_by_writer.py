"""Counts of connectors on PostgreSQL too, where each connection that writes keeps its own, so that none waits for another

Whoever writes would otherwise hold a tenant's count until its commit, and two that change rows in different orders would
wait for each other.
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_TICKS = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_KEY = ("tenant", "state", "writer")

_LESS = "UPDATE connector_counts SET number = number - 1 WHERE tenant = OLD.tenant AND state = OLD.state AND writer = 0"
_MORE = (
    "INSERT INTO connector_counts VALUES (NEW.tenant, NEW.state, 0, 1) ON CONFLICT DO UPDATE SET number = number + 1"
)

_ADD = "INSERT INTO connector_counts (tenant, state, writer, number)"
_ADDED = "ON CONFLICT (tenant, state, writer) DO UPDATE SET number = connector_counts.number + excluded.number"
# With a tenant go all of its counts; none may be added then.
_THERE = "EXISTS (SELECT FROM tenants WHERE tenants.number = removed.tenant)"
_FUNCTIONS = {
    "insert": f"{_ADD} SELECT tenant, state, pg_backend_pid(), count(*) FROM added GROUP BY tenant, state {_ADDED}",
    "update": (
        f"{_ADD} VALUES (OLD.tenant, OLD.state, pg_backend_pid(), -1), (NEW.tenant, NEW.state, pg_backend_pid(), 1) "
        f"{_ADDED}"
    ),
    "delete": (
        f"{_ADD} SELECT tenant, state, pg_backend_pid(), -count(*) FROM removed WHERE {_THERE} "
        f"GROUP BY tenant, state {_ADDED}"
    ),
}
_TRIGGERS = {
    "insert": "AFTER INSERT ON domain_join_connectors REFERENCING NEW TABLE AS added FOR EACH STATEMENT",
    # A trigger for some columns is told no tables, and a state changes seldom.
    "update": "AFTER UPDATE OF state ON domain_join_connectors FOR EACH ROW WHEN (OLD.state <> NEW.state)",
    "delete": "AFTER DELETE ON domain_join_connectors REFERENCING OLD TABLE AS removed FOR EACH STATEMENT",
}


def upgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        _on_sqlite()
    else:
        _on_postgresql()


def _on_sqlite() -> None:
    for each in ("insert", "delete", "update"):
        op.execute(f"DROP TRIGGER connectors_count_{each}")
    op.rename_table("connector_counts", "connector_counts_0006")
    op.create_table(
        "connector_counts",
        sa.Column("tenant", sa.Integer(), nullable=False),
        sa.Column("state", sa.Integer(), nullable=False),
        sa.Column("writer", sa.Integer(), server_default="0", nullable=False),
        sa.Column("number", _TICKS, nullable=False),
        sa.ForeignKeyConstraint(["tenant"], ["tenants.number"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint(*_KEY),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    op.execute("INSERT INTO connector_counts SELECT tenant, state, 0, number FROM connector_counts_0006")
    op.drop_table("connector_counts_0006")
    on = "ON domain_join_connectors BEGIN"
    op.execute(f"CREATE TRIGGER connectors_count_insert AFTER INSERT {on} {_MORE}; END")
    op.execute(f"CREATE TRIGGER connectors_count_delete AFTER DELETE {on} {_LESS}; END")
    of_state = on.replace("BEGIN", "WHEN NEW.state <> OLD.state BEGIN")
    op.execute(f"CREATE TRIGGER connectors_count_update AFTER UPDATE OF state {of_state} {_LESS}; {_MORE}; END")


def _on_postgresql() -> None:
    op.add_column("connector_counts", sa.Column("writer", sa.Integer(), server_default="0", nullable=False))
    op.drop_constraint("connector_counts_pkey", "connector_counts")
    op.create_primary_key("connector_counts_pkey", "connector_counts", list(_KEY))
    for each, body in _FUNCTIONS.items():
        op.execute(
            f"CREATE FUNCTION connectors_count_{each}() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT "
            f"AS $$ BEGIN {body}; RETURN NULL; END $$"
        )
        # From here on nobody else writes, until all of this is kept.
        op.execute(
            f"CREATE TRIGGER connectors_count_{each} {_TRIGGERS[each]} EXECUTE FUNCTION connectors_count_{each}()"
        )
    # The wall between tenants holds the owner as well, and shows nothing to who names no tenant.
    op.execute("SELECT set_config('adjoin.tenant', '0', true)")
    op.execute(f"{_ADD} SELECT tenant, state, 0, count(*) FROM domain_join_connectors GROUP BY tenant, state")
