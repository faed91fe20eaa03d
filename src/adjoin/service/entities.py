"""What can be done with the entities of a contained collection: list, get, count, create, change, remove.

These are the rules that hold for every entity type; what a type has of its own stands in a module of its own.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

import msgspec

from adjoin.odata.bound import Bound
from adjoin.odata.edm import EntityType
from adjoin.odata.paging import Continuation
from adjoin.odata.query import Query
from adjoin.odata.values import BadValue, parse_guid, ticks_of
from adjoin.odata.written import Written
from adjoin.service import removal, repeats
from adjoin.service.audit import Recorder
from adjoin.service.errors import NotFound, Taken
from adjoin.service.repeats import Repeatable
from adjoin.service.world import World
from adjoin.store import rows, texts
from adjoin.store.columns import Row, Stored, Table, Value
from adjoin.store.database import Database, Session
from adjoin.store.reach import short_page
from adjoin.store.rows import Mark, Part
from adjoin.store.tables import table_of
from adjoin.store.tenants import Tenant

PAGE_SIZE: Final = 1_000


class Wanted(msgspec.Struct, frozen=True):
    """Which part of a list is asked for: the query, the size of a page, and where an earlier page ended.

    With `written` its entities may come as JSON, whole and at minimal detail.
    """

    query: Query
    page_size: int = PAGE_SIZE
    continuation: Continuation | None = None
    written: bool = False


class Page(msgspec.Struct, frozen=True):
    """One page of a list, where the list goes on if it does, and how many there are in all if that was asked."""

    rows: Sequence[Row]
    continuation: Continuation | None
    count: int | None
    written: Written | None = None
    """Its entities, if they came as JSON; there are no rows then."""


def _unconditional(_: int) -> None:
    """The check of a change that is carried out whatever is there."""


class Change(msgspec.Struct, frozen=True):
    """The circumstances of a change.

    `check` looks at the version of what is to be changed, in the transaction of the change, and raises what forbids
    it. `repeatable` is set where the client may send the same request again.
    """

    database: Database
    tenant: Tenant
    now: float
    check: Callable[[int], None] = _unconditional
    repeatable: Repeatable | None = None
    recorder: Recorder | None = None

    async def carry_out(self, act: Callable[[Session], Awaitable[Stored | None]]) -> Stored | None:
        """Run `act` in a transaction, or give what came of it when the same request came first."""
        named = self.repeatable
        if named is None:
            return await self.database.write(act)
        return await self.database.write(
            lambda session: repeats.once(session, self.tenant.number, named, self.now, act)
        )

    async def record(
        self, session: Session, entity: EntityType, operation: str, before: Row | None, after: Row | None
    ) -> None:
        """Put the change into the audit trail, in its own transaction."""
        if self.recorder is not None:
            await self.recorder.change(session, self.tenant.number, entity, operation, before, after)

    @property
    def ticks(self) -> int:
        return ticks_of(self.now)

    def drop_removed(self, session: Session, table: Table, key: str | None = None) -> Awaitable[None]:
        """Drop some rows that the clock removed if it is time, or the one with this key."""
        return removal.drop(session, table, self.tenant.number, self.ticks, self.recorder, key)


async def page(database: Database, tenant: Tenant, entity: EntityType, wanted: Wanted, now: float) -> Page:
    """The part of a tenant's list that is wanted."""
    query, table, goes_on = wanted.query, table_of(entity), wanted.continuation
    remaining = goes_on.remaining if goes_on else query.top
    size = min(goes_on.page_size if goes_on else wanted.page_size, PAGE_SIZE)
    limit = size if remaining is None else min(size, remaining)
    part = Part(
        # One row more than is shown tells whether the list goes on, without a count.
        limit=limit if limit == remaining else limit + 1,
        where=query.where,
        order=query.order,
        skip=0 if goes_on else query.skip,
        after=Mark(goes_on.after, goes_on.values) if goes_on else None,
        written=wanted.written,
    )
    ticks, silent = ticks_of(now), None
    if part.where is not None or part.order:
        silent = await rows.silent(database.reader, table, tenant.number, part, ticks)
        if silent is not None:
            part = msgspec.structs.replace(part, silent=silent)
    if short_page(table, part.where, part.order, part.skip, silent):
        session = database.reader
    else:
        session, most = database.scanner, part.limit + part.skip
        part = msgspec.structs.replace(part, among=await texts.among(database, table, tenant.number, part.where, most))
    found, mark_of = await rows.find(session, table, tenant.number, part, ticks)
    shown, continuation = found, None
    if len(found) > limit:
        shown = found.first(limit) if isinstance(found, Written) else found[:limit]
        if limit:
            last = Mark(shown.last_key, ()) if isinstance(shown, Written) else mark_of(limit - 1)
            continuation = Continuation(last.key, last.values, None if remaining is None else remaining - limit, size)
    number = await count(database, tenant, entity, now, query.where) if query.count else None
    return Page((), continuation, number, shown) if isinstance(shown, Written) else Page(shown, continuation, number)


async def count(database: Database, tenant: Tenant, entity: EntityType, now: float, where: Bound | None = None) -> int:
    """How many entities the tenant has for which `where` holds."""
    table, ticks = table_of(entity), ticks_of(now)
    if await rows.counts_soon(database.reader, table, tenant.number, where, ticks):
        return await rows.count(database.reader, table, tenant.number, where, ticks)
    among = await texts.among(database, table, tenant.number, where, None)
    return await rows.count(database.scanner, table, tenant.number, where, ticks, among)


async def get(database: Database, tenant: Tenant, entity: EntityType, key: str, now: float) -> Stored:
    """One entity as it is at this Unix time. Raises NotFound."""
    found = await rows.get(database.reader, table_of(entity), tenant.number, _known(key), ticks_of(now))
    if found is None:
        raise NotFound
    return found


async def create(change: Change, entity: EntityType, values: Mapping[str, Value], world: World) -> Stored:
    """A new entity, under the key among `values` or else under a new one. Raises Taken."""
    table, version = table_of(entity), int(change.now * 1_000)
    given = values.get(entity.key.name)
    key = world.new_id() if given is None else str(given)
    whole = {**values, entity.key.name: key}

    async def act(session: Session) -> Stored:
        if given is not None:
            if await rows.get(session, table, change.tenant.number, key, change.ticks) is not None:
                raise Taken(key)
            await change.drop_removed(session, table, key)
        await change.drop_removed(session, table)
        made = await rows.insert(session, table, change.tenant.number, whole, version)
        await change.record(session, entity, "Create", None, made.row)
        return made

    return _there(await change.carry_out(act))


async def alter(change: Change, entity: EntityType, key: str, values: Mapping[str, Value]) -> Stored:
    """Change some properties of an entity, and give it whole. Raises NotFound, or what the change's check raises."""
    table, tenant, known, now = table_of(entity), change.tenant.number, _known(key), change.ticks

    async def act(session: Session) -> Stored:
        found = _there(await rows.get(session, table, tenant, known, now))
        change.check(found.version)
        if not values:
            return found
        changed = _there(await rows.update(session, table, tenant, known, values, now))
        await change.record(session, entity, "Patch", found.row, changed.row)
        await change.drop_removed(session, table)
        return changed

    return _there(await change.carry_out(act))


async def remove(change: Change, entity: EntityType, key: str) -> None:
    """Delete an entity. Raises NotFound, or what the change's check raises."""
    table, tenant, known, now = table_of(entity), change.tenant.number, _known(key), change.ticks

    async def act(session: Session) -> None:
        found = _there(await rows.get(session, table, tenant, known, now))
        change.check(found.version)
        await rows.delete(session, table, tenant, known, now)
        await change.record(session, entity, "Delete", found.row, None)
        await change.drop_removed(session, table)

    await change.carry_out(act)


def _there(found: Stored | None) -> Stored:
    if found is None:
        raise NotFound
    return found


def _known(key: str) -> str:
    """A key in the spelling that is stored. Raises NotFound for what no entity can have."""
    try:
        return parse_guid(key)
    except BadValue:
        raise NotFound from None
