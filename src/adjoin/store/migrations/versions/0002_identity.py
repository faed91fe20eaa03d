"""People, keys of applications, grants, revocation, and licences that end"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_TICKS = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.add_column("tenants", sa.Column("licence_ends", _TICKS, nullable=True))
    # SQLite cannot loosen a column in place, so the table is made anew.
    op.rename_table("applications", "applications_0001")
    op.create_table(
        "applications",
        sa.Column("tenant", sa.Integer(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("object_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("permissions", sa.Text(), nullable=False),
        sa.Column("secret_digest", sa.LargeBinary(), nullable=True),
        sa.Column("created", sa.Text(), nullable=False),
        sa.Column("redirect_uris", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("public_client", sa.Integer(), server_default="0", nullable=False),
        sa.Column("revoked_before", _TICKS, server_default="0", nullable=False),
        sa.ForeignKeyConstraint(["tenant"], ["tenants.number"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("tenant", "id"),
        sa.UniqueConstraint("tenant", "name"),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    kept = "tenant, id, object_id, name, permissions, secret_digest, created"
    op.execute(f"INSERT INTO applications ({kept}) SELECT {kept} FROM applications_0001")
    op.drop_table("applications_0001")
    op.create_table(
        "application_keys",
        sa.Column("tenant", sa.Integer(), nullable=False),
        sa.Column("application", sa.Text(), nullable=False),
        sa.Column("thumbprint", sa.Text(), nullable=False),
        sa.Column("public_key", sa.LargeBinary(), nullable=False),
        sa.Column("expires", _TICKS, nullable=True),
        sa.Column("created", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant", "application"], ["applications.tenant", "applications.id"], ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("tenant", "application", "thumbprint"),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    op.create_table(
        "users",
        sa.Column("tenant", sa.Integer(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("display_name", sa.Text(), nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=False),
        sa.Column("permissions", sa.Text(), nullable=False),
        sa.Column("enabled", sa.Integer(), server_default="1", nullable=False),
        sa.Column("revoked_before", _TICKS, server_default="0", nullable=False),
        sa.Column("created", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["tenant"], ["tenants.number"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("tenant", "id"),
        sa.UniqueConstraint("tenant", "name"),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    op.create_table(
        "grants",
        sa.Column("tenant", sa.Integer(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("client", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=True),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("created", _TICKS, nullable=False),
        sa.Column("expires", _TICKS, nullable=False),
        sa.ForeignKeyConstraint(["tenant"], ["tenants.number"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("tenant", "digest"),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    op.create_index("grants_by_expiry", "grants", ["expires"])
    op.create_index("grants_by_subject", "grants", ["tenant", "subject"])
    op.create_table(
        "audit_events",
        sa.Column("tenant", sa.Integer(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        *(
            sa.Column(f"{name}{folded}", sa.Text(), nullable=True)
            for name in ("display_name", "component_name")
            for folded in ("", "_folded")
        ),
        sa.Column("actor", sa.Text(), nullable=True),
        sa.Column("activity", sa.Text(), nullable=True),
        sa.Column("activity_folded", sa.Text(), nullable=True),
        sa.Column("activity_date_time", sa.Text(), nullable=False),
        sa.Column("activity_date_time_ticks", _TICKS, nullable=False),
        *(
            sa.Column(f"{name}{folded}", sa.Text(), nullable=True)
            for name in ("activity_type", "activity_operation_type", "activity_result")
            for folded in ("", "_folded")
        ),
        sa.Column("correlation_id", sa.Text(), nullable=False),
        sa.Column("resources", sa.Text(), nullable=False),
        sa.Column("category", sa.Text(), nullable=True),
        sa.Column("category_folded", sa.Text(), nullable=True),
        sa.Column("row_version", _TICKS, server_default="1", nullable=False),
        sa.ForeignKeyConstraint(["tenant"], ["tenants.number"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("tenant", "id"),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
