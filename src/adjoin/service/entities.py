"""What can be done with the entities of a contained collection: list, get, count, create, change, remove.

These are the rules that hold for every entity type; what a type has of its own stands in a module of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from adjoin.odata.edm import EntityType
from adjoin.odata.paging import Continuation
from adjoin.odata.values import BadValue, parse_guid
from adjoin.service.errors import NotFound, Taken
from adjoin.store import rows
from adjoin.store.columns import Row, Value
from adjoin.store.database import Database
from adjoin.store.tables import table_of
from adjoin.store.tenants import Tenant

PAGE_SIZE: Final = 1_000


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which part of a list is asked for. `top` and `skip` count from the start of the list."""

    top: int | None = None
    skip: int = 0
    count: bool = False
    page_size: int = PAGE_SIZE
    continuation: Continuation | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a list, where the list goes on if it does, and how many there are in all if that was asked."""

    rows: Sequence[Row]
    continuation: Continuation | None
    count: int | None


async def page(database: Database, tenant: Tenant, entity: EntityType, wanted: Wanted) -> Page:
    """The part of a tenant's list that is wanted, in order of the keys."""
    table = table_of(entity)
    goes_on = wanted.continuation
    remaining = goes_on.remaining if goes_on else wanted.top
    size = min(goes_on.page_size if goes_on else wanted.page_size, PAGE_SIZE)
    limit = size if remaining is None else min(size, remaining)
    skip = 0 if goes_on else wanted.skip
    # One row more than is shown tells whether the list goes on, without a count.
    found = await rows.page(database.reader, table, tenant.number, goes_on.after if goes_on else None, limit + 1, skip)
    shown = found[:limit]
    left = None if remaining is None else remaining - len(shown)
    more = len(found) > limit and shown and left != 0
    continuation = Continuation(str(shown[-1][table.key_at]), left, size) if more else None
    count = await rows.count(database.reader, table, tenant.number) if wanted.count else None
    return Page(shown, continuation, count)


async def count(database: Database, tenant: Tenant, entity: EntityType) -> int:
    """How many entities the tenant has."""
    return await rows.count(database.reader, table_of(entity), tenant.number)


async def get(database: Database, tenant: Tenant, entity: EntityType, key: str) -> Row:
    """One entity. Raises NotFound."""
    row = await rows.get(database.reader, table_of(entity), tenant.number, _known(key))
    if row is None:
        raise NotFound
    return row


async def create(
    database: Database, tenant: Tenant, entity: EntityType, values: Mapping[str, Value], new_key: str
) -> Row:
    """A new entity, under the key among `values` or else under `new_key`. Raises Taken."""
    table = table_of(entity)
    whole = {entity.key.name: new_key, **values}
    row = await database.write(lambda session: rows.insert(session, table, tenant.number, whole))
    if row is None:
        raise Taken(str(whole[entity.key.name]))
    return row


async def change(database: Database, tenant: Tenant, entity: EntityType, key: str, values: Mapping[str, Value]) -> Row:
    """Change some properties of an entity, and give it whole. Raises NotFound."""
    if not values:
        return await get(database, tenant, entity, key)
    table, known = table_of(entity), _known(key)
    row = await database.write(lambda session: rows.update(session, table, tenant.number, known, values))
    if row is None:
        raise NotFound
    return row


async def remove(database: Database, tenant: Tenant, entity: EntityType, key: str) -> None:
    """Delete an entity. Raises NotFound."""
    table, known = table_of(entity), _known(key)
    if not await database.write(lambda session: rows.delete(session, table, tenant.number, known)):
        raise NotFound


def _known(key: str) -> str:
    """A key in the spelling that is stored. Raises NotFound for what no entity can have."""
    try:
        return parse_guid(key)
    except BadValue:
        raise NotFound from None
