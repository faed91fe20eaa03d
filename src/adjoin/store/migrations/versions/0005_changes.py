"""The log of connectors' changes, subscriptions to them, and how far each has been told"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_TICKS = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_BOOLEAN = sa.Boolean(create_constraint=False).with_variant(sa.Integer(), "sqlite")
# Texts of a subscription that are compared; each has the text as it was written, and folded.
_TEXTS = {
    "application_id": True,
    "change_type": False,
    "creator_id": True,
    "latest_supported_tls_version": True,
    "lifecycle_notification_url": True,
    "notification_url": False,
    "resource": False,
}


def _text(name: str) -> list[sa.Column[str]]:
    return [sa.Column(f"{name}{folded}", sa.Text(), nullable=_TEXTS[name]) for folded in ("", "_folded")]


def upgrade() -> None:
    op.create_table(
        "changes",
        sa.Column("tenant", sa.Integer(), nullable=False),
        sa.Column("sequence", _TICKS, nullable=False),
        sa.Column("entity", sa.Text(), nullable=False),
        sa.Column("kind", sa.Integer(), nullable=False),
        sa.Column("ticks", _TICKS, nullable=False),
        sa.ForeignKeyConstraint(["tenant"], ["tenants.number"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("tenant", "sequence"),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    op.create_table(
        "change_counters",
        sa.Column("tenant", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("last", _TICKS, server_default="0", nullable=False),
        sa.Column("dropped", _TICKS, server_default="0", nullable=False),
        sa.Column("clock", _TICKS, nullable=True),
        sa.Column("clock_key", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.ForeignKeyConstraint(["tenant"], ["tenants.number"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("tenant"),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    op.create_table(
        "subscriptions",
        sa.Column("tenant", sa.Integer(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        *_text("application_id"),
        *_text("change_type"),
        sa.Column("client_state", sa.Text(), nullable=True),
        *_text("creator_id"),
        sa.Column("expiration_date_time", sa.Text(), nullable=False),
        sa.Column("expiration_date_time_ticks", _TICKS, nullable=False),
        sa.Column("include_resource_data", _BOOLEAN, nullable=True),
        *_text("latest_supported_tls_version"),
        *_text("lifecycle_notification_url"),
        *_text("notification_url"),
        *_text("resource"),
        sa.Column("row_version", _TICKS, server_default="1", nullable=False),
        sa.ForeignKeyConstraint(["tenant"], ["tenants.number"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("tenant", "id"),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    sqlite = op.get_bind().dialect.name == "sqlite"
    for name in sorted([*_TEXTS, "expiration_date_time", "include_resource_data"]):
        column = f"{name}_folded" if name in _TEXTS else f"{name}_ticks" if name.endswith("time") else name
        # SQLite puts what is null first by itself, and keeps such a word in its schema.
        lowest = "" if sqlite or not _TEXTS.get(name, name == "include_resource_data") else " NULLS FIRST"
        op.create_index(f"subscriptions_by_{name}", "subscriptions", ["tenant", sa.text(column + lowest), "id"])
    op.create_table(
        "deliveries",
        sa.Column("tenant", sa.Integer(), nullable=False),
        sa.Column("subscription", sa.Text(), nullable=False),
        sa.Column("position", _TICKS, nullable=False),
        sa.Column("registered", sa.Integer(), nullable=False),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("due", _TICKS, server_default="0", nullable=False),
        sa.Column("leased_by", sa.Text(), nullable=True),
        sa.Column("leased_until", _TICKS, server_default="0", nullable=False),
        sa.Column("owed", sa.Text(), nullable=True),
        sa.Column("warned", sa.Integer(), server_default="0", nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant", "subscription"], ["subscriptions.tenant", "subscriptions.id"], ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("tenant", "subscription"),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
