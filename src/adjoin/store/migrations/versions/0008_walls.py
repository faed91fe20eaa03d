"""On PostgreSQL the wall between tenants stands around the tenants themselves, too, and around what belongs to none

A session that works for a tenant has no more to do with another's entry than with its rows, and none with the secrets
that all nodes share.
"""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_SHOWN = "(SELECT NULLIF(current_setting('adjoin.tenant', true), '')::integer)"
_MAY_SEE = {"tenants": f"number = {_SHOWN} OR {_SHOWN} = 0", "settings": f"{_SHOWN} = 0"}


def upgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        return
    for table, rows in _MAY_SEE.items():
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY")
        op.execute(f"CREATE POLICY one_tenant ON {table} USING ({rows})")
