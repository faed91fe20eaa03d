"""What connectors' check-ins leave, their keys, and the least version that a tenant takes"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_TICKS = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_NEVER = str(2**62)
# How many rows share what each index begins with: rows of the table, of a tenant, of a tenant with the same value, …
# Without it SQLite takes tenants for small, and reads all of one where an index would find the few that are wanted.
_CROWDS = {
    "domain_join_connectors": "100000 50000 1",
    "domain_join_connectors_by_display_name": "100000 50000 2 1",
    "domain_join_connectors_by_last_connection_date_time": "100000 50000 2 1",
    "domain_join_connectors_by_silent_since": "100000 50000 2 1",
    "domain_join_connectors_by_state": "100000 50000 20000 1",
    "domain_join_connectors_by_version": "100000 50000 1000 1",
}


def upgrade() -> None:
    op.add_column("tenants", sa.Column("least_connector_version", sa.Text(), nullable=True))
    for column in (
        sa.Column("silent_since", _TICKS, server_default=_NEVER, nullable=False),
        sa.Column("instance", sa.Text(), nullable=True),
        sa.Column("sequence", _TICKS, server_default="0", nullable=False),
        sa.Column("doubled", sa.Integer(), server_default="0", nullable=False),
        sa.Column("report", sa.Text(), nullable=True),
        sa.Column("domain", sa.Text(), nullable=True),
        sa.Column("enrolled", sa.Text(), nullable=True),
    ):
        op.add_column("domain_join_connectors", column)
    op.create_index(
        "domain_join_connectors_by_silent_since", "domain_join_connectors", ["tenant", "silent_since", "id"]
    )
    op.create_table(
        "connector_keys",
        sa.Column("tenant", sa.Integer(), nullable=False),
        sa.Column("connector", sa.Text(), nullable=False),
        sa.Column("thumbprint", sa.Text(), nullable=False),
        sa.Column("public_key", sa.LargeBinary(), nullable=False),
        sa.Column("confirmed", sa.Integer(), nullable=False),
        sa.Column("expires", _TICKS, nullable=False),
        sa.Column("created", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant", "connector"],
            ["domain_join_connectors.tenant", "domain_join_connectors.id"],
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("tenant", "connector", "thumbprint"),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    if op.get_bind().dialect.name == "sqlite":
        op.execute("ANALYZE")
        op.execute("DELETE FROM sqlite_stat1")
        for name, crowd in _CROWDS.items():
            op.execute(f"INSERT INTO sqlite_stat1 VALUES ('domain_join_connectors', '{name}', '{crowd}')")
