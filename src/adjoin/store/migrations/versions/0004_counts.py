"""How many connectors of each state a tenant has, kept by the database itself"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_TICKS = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_LESS = "UPDATE connector_counts SET number = number - 1 WHERE tenant = OLD.tenant AND state = OLD.state"
_MORE = "INSERT INTO connector_counts VALUES (NEW.tenant, NEW.state, 1) ON CONFLICT DO UPDATE SET number = number + 1"


def upgrade() -> None:
    op.create_table(
        "connector_counts",
        sa.Column("tenant", sa.Integer(), nullable=False),
        sa.Column("state", sa.Integer(), nullable=False),
        sa.Column("number", _TICKS, nullable=False),
        sa.ForeignKeyConstraint(["tenant"], ["tenants.number"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("tenant", "state"),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    # Elsewhere writers of one tenant would wait for each other at its counts, and rows are counted when asked.
    if op.get_bind().dialect.name == "sqlite":
        on = "ON domain_join_connectors BEGIN"
        op.execute(f"CREATE TRIGGER connectors_count_insert AFTER INSERT {on} {_MORE}; END")
        op.execute(f"CREATE TRIGGER connectors_count_delete AFTER DELETE {on} {_LESS}; END")
        of_state = on.replace("BEGIN", "WHEN NEW.state <> OLD.state BEGIN")
        op.execute(f"CREATE TRIGGER connectors_count_update AFTER UPDATE OF state {of_state} {_LESS}; {_MORE}; END")
        op.execute(
            "INSERT INTO connector_counts SELECT tenant, state, count(*) FROM domain_join_connectors "
            "GROUP BY tenant, state"
        )
