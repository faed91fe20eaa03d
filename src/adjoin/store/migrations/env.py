"""How Alembic runs the migrations: on the connection, and in the transaction, that `store/` hands it.

SQLite compares text by its bytes. So that PostgreSQL does, every column of text made there has the collation "C".
"""

from typing import Any

from alembic import context
from sqlalchemy import Text
from sqlalchemy.ext.compiler import compiles

from adjoin.store.schema import METADATA


@compiles(Text, "postgresql")
def _(*_: Any, **__: Any) -> str:
    return 'TEXT COLLATE "C"'


context.configure(connection=context.config.attributes["connection"], target_metadata=METADATA)
with context.begin_transaction():
    context.run_migrations()
