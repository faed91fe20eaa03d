"""The entity types that have rows: one table for each collection of the model."""

from __future__ import annotations

from typing import Final

from adjoin import model
from adjoin.odata.edm import EntityType
from adjoin.store import silence
from adjoin.store.columns import Own, Table, snake

CONNECTORS: Final = Table(
    "domain_join_connectors",
    model.CONNECTOR,
    silence.CONNECTORS,
    (
        Own("silent_since", "ticks", silence.NEVER, reset=True),
        Own("instance", "text"),
        Own("sequence", "ticks", 0),
        Own("doubled", "integer", 0, reset=True),
        Own("report", "text", reset=True),
        Own("domain", "text"),
        Own("enrolled", "text"),
    ),
    "connector_counts",
)
"""Connectors: beside what is shown of them, what their check-ins leave (`connectors.py`)."""

_RULES: Final = {CONNECTORS.type.qualified: CONNECTORS}

ENTITY_TABLES: Final = tuple(
    _RULES.get(each.target.qualified) or Table(snake(each.name), each.target) for each in model.BETA.collections
)

_BY_TYPE: Final = {each.type: each for each in ENTITY_TABLES}


def table_of(entity: EntityType) -> Table:
    """The table that holds an entity type's rows."""
    return _BY_TYPE[entity]
