"""Deliveries stand in a line for each tenant, and what happens to a subscription itself is told at a time of its own

What a look has to know of those that may be told is in an index, so that it costs as much as there is to do, and not as
much as there are subscriptions.
"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_TICKS = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
# Whoever is no application of the built-in token service's, and came by way of one, is a person.
_OF_PERSONS = (
    "UPDATE deliveries SET person = 1 WHERE registered = 1 AND NOT EXISTS (SELECT 1 FROM subscriptions s "
    "JOIN applications a ON a.tenant = s.tenant AND a.id = s.application_id AND a.object_id = s.creator_id "
    "WHERE s.tenant = deliveries.tenant AND s.id = deliveries.subscription)"
)


def upgrade() -> None:
    op.add_column("deliveries", sa.Column("host", sa.Text(), server_default=sa.text("''"), nullable=False))
    op.add_column("deliveries", sa.Column("person", sa.Integer(), server_default="0", nullable=False))
    op.add_column("deliveries", sa.Column("event_due", _TICKS, server_default="0", nullable=False))
    op.add_column("deliveries", sa.Column("event_attempts", sa.Integer(), server_default="0", nullable=False))
    if op.get_bind().dialect.name != "sqlite":
        # The wall between tenants holds the owner as well, and shows nothing to who names no tenant.
        op.execute("SELECT set_config('adjoin.tenant', '0', true)")
    op.execute(_OF_PERSONS)
    columns = ["tenant", "position", "due", "attempts", "leased_until", "host"]
    op.create_index("deliveries_by_position", "deliveries", columns)
    op.create_index("deliveries_by_event_due", "deliveries", ["tenant", "event_due"])
    held = sa.text("leased_by IS NOT NULL")
    op.create_index("deliveries_by_holder", "deliveries", ["leased_by"], sqlite_where=held, postgresql_where=held)
