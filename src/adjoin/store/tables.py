"""The entity types that have rows: one table for each contained collection of the model."""

from __future__ import annotations

from typing import Final

from adjoin import model
from adjoin.odata.edm import EntityType
from adjoin.store.columns import Table, snake

_COLLECTIONS: Final = tuple(each for root in model.BETA.singletons for each in root.type.navigations)

ENTITY_TABLES: Final = tuple(Table(snake(each.name), each.target) for each in _COLLECTIONS)

_BY_TYPE: Final = {each.type: each for each in ENTITY_TABLES}


def table_of(entity: EntityType) -> Table:
    """The table that holds an entity type's rows."""
    return _BY_TYPE[entity]
