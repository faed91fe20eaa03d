"""Rows of any declared entity type, always within one tenant: page, get, count, insert, update, delete.

Statements are made from the model and run as text on the driver. No function works without a tenant, and the tenant
stands in every WHERE: rows of another tenant cannot be reached from here. Where the clock changes what rows show, they
are as at `now` (ticks); those that it removed are as if they were not there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from operator import itemgetter
from typing import Any, Final, NamedTuple, TypeAlias, cast

import msgspec

from adjoin.odata.bound import Bound, Constant, Field, Operation, Order, Sort
from adjoin.odata.written import Written
from adjoin.store.columns import Row, Stored, Table, Value, columns, stored
from adjoin.store.counts import by_counts
from adjoin.store.database import Alike, Insertion, Session
from adjoin.store.reach import FEW_SILENT, joined, shows_one
from adjoin.store.silence import Silence
from adjoin.store.where import Parameters, condition, following, order, value
from adjoin.store.writing import written

# What a parameter of a statement that is made once stands for.
_TENANT: Final = "tenant"
_AFTER: Final = "after"
_LIMIT: Final = "limit"


async def get(session: Session, table: Table, tenant: int, key: str, now: int = 0) -> Stored | None:
    """The row with this key, or None."""
    found = await session.fetch(table.by_key, (tenant, key))
    return table.stored_there(found[0], now) if found else None


class Part(msgspec.Struct, frozen=True):
    """Which rows are wanted: those that `where` holds for, in `order`, from behind `after` and `skip` more.

    `among` is set where an index leads to the few that `where` can hold for (`texts.py`), and `silent` is what `silent`
    tells, if it was asked. With `written` they may come as JSON, from a database that writes it.
    """

    limit: int
    where: Bound | None = None
    order: tuple[Order, ...] = ()
    skip: int = 0
    after: Mark | None = None
    among: Among | None = None
    silent: int | None = None
    written: bool = False


Found: TypeAlias = tuple[list[Row] | Written, Callable[[int], "Mark"]]
"""Rows, and what tells where the one of a number stands; of those that are written, where the last of some does."""

Among = Callable[[Parameters], str]
"""Writes the condition of a row that is among some."""


class Mark(NamedTuple):
    """Where a row stands in an order: its key, and its values of the sort keys."""

    key: str
    values: tuple[str | int | None, ...]


async def page(
    session: Session, table: Table, tenant: int, part: Part, now: int = 0
) -> tuple[list[Row], Callable[[int], Mark]]:
    """The wanted rows, and what tells where the one of a number stands."""
    found, mark_of = await find(session, table, tenant, part, now)
    if isinstance(found, Written):
        raise TypeError("Rows were asked for as they are written.")
    return found, mark_of


async def find(session: Session, table: Table, tenant: int, part: Part, now: int = 0) -> Found:
    """The wanted rows, written if that was asked for and the database does it."""
    if part.written and part.where is None and not (part.order or part.skip or part.among) and session.embedded:
        sql, times, chosen = _all_written(table, part.after is not None)
        given = (tenant, part.limit, part.after and part.after.key, *map(now.__add__, times))
        return await _written(session, table, sql, chosen(given))
    parameters = Parameters(tenant, table=table, now=now)
    if table.silence is not None and _asks_clock(table.silence, part):
        number = await silent(session, table, tenant, part, now) if part.silent is None else part.silent
        if not number:
            return await _read(session, table, part, now, Parameters(tenant), "tenant = ?1")
        if not part.order and not part.skip and part.among is None and shows_one(table, part.where, number):
            return await _one_shown(session, table, part, now, parameters)
        first = part.order[0].by if part.order and not part.skip else None
        if isinstance(first, Field) and first.declared.name == table.silence.property and first.enum is not None:
            return await _value_by_value(session, table, tenant, part, now)
        parameters.dense = part.among is not None or await _is_dense(session, table, tenant, part, now)
    return await _read(session, table, part, now, parameters, _there(table, parameters))


async def _one_shown(session: Session, table: Table, part: Part, now: int, parameters: Parameters) -> Found:
    """A page of one value of what the clock changes, in the order of keys, where it changed few."""

    def cut() -> str:
        behind = f" AND {table.key} > {parameters.add(part.after.key)}" if part.after is not None else ""
        return f"{behind} ORDER BY {table.key} LIMIT {parameters.add(part.limit)}"

    parameters.cut = cut
    return await _read(session, table, part, now, parameters, _there(table, parameters))


@lru_cache(maxsize=64)
def _all_written(
    table: Table, goes_on: bool
) -> tuple[str, tuple[int, ...], Callable[[Sequence[object]], list[object]]]:
    """The statement of the page that is asked for most, all in the order of keys.

    Beside it the times that it goes by, in ticks from now, and what chooses its parameters from tenant, limit, the key
    that the page stands behind, and those times.
    """
    parameters = Parameters(_TENANT, table=table)
    part = Part(cast("int", _LIMIT), after=Mark(_AFTER, ()) if goes_on else None, written=True)
    sql = _writing(table, part, 0, parameters, _there(table, parameters))
    given = (_TENANT, _LIMIT, _AFTER)
    times = tuple(each for each in parameters.values if isinstance(each, int))
    places = iter(range(len(given), len(given) + len(times)))
    at = [next(places) if isinstance(each, int) else given.index(str(each)) for each in parameters.values]
    return sql, times, itemgetter(*at)


def _writing(table: Table, part: Part, now: int, parameters: Parameters, there: str) -> str:
    """The statement of a page whose entities are written."""
    entities = f"SELECT {written(table, parameters, now)} AS entity {_rows(table, part, parameters, there)}"
    return f"SELECT count(*), CAST(group_concat(entity, ',') AS BLOB) FROM ({entities})"


async def _written(session: Session, table: Table, sql: str, values: Sequence[object]) -> Found:
    ((number, text),) = await session.fetch(sql, values)
    found = Written(table.type, number, text or b"")
    return found, lambda number: Mark(found.first(number + 1).last_key, ())


async def _read(session: Session, table: Table, part: Part, now: int, parameters: Parameters, there: str) -> Found:
    """A page by one statement; `there` is the condition of a row that may be in it."""
    if part.written and not part.order and session.embedded:
        return await _written(session, table, _writing(table, part, now, parameters, there), parameters.values)
    marks = "".join(f", {value(each.by, parameters)}" for each in part.order)
    sql = f"SELECT {table.selected}{marks} {_rows(table, part, parameters, there)}"
    width, key_at = table.width, table.key_at
    fetched = await session.fetch(sql, parameters.values)
    return table.rows(fetched, now), lambda number: Mark(fetched[number][key_at], fetched[number][width:])


def _rows(table: Table, part: Part, parameters: Parameters, there: str) -> str:
    """Which rows a page has, and in which order, from FROM on."""
    sql = f"FROM {table.name} WHERE "
    if part.among is not None:
        sql += f"{part.among(parameters)} AND "
    if part.where is not None:
        # First, for few rows pass it, and what is asked of every row stands further back in it.
        sql += f"{condition(part.where, parameters)} AND "
    sql += there
    if part.after is not None:
        sql += f" AND {following(part.order, part.after.values, table.key, part.after.key, parameters)}"
    sql += f" ORDER BY {order(part.order, table.key, parameters)} LIMIT {parameters.add(part.limit)}"
    return f"{sql} OFFSET {parameters.add(part.skip)}" if part.skip else sql


def _asks_clock(silence: Silence, part: Part) -> bool:
    """Whether a page depends on what the clock changes."""
    if part.where is None and not part.order:
        return False
    waiting = [each.by for each in part.order]
    if part.where is not None:
        waiting.append(part.where)
    while waiting:
        each = waiting.pop()
        if isinstance(each, Field) and each.declared.name == silence.property:
            return True
        if isinstance(each, Operation):
            waiting += each.operands
    return False


async def silent(session: Session, table: Table, tenant: int, part: Part, now: int) -> int | None:
    """How many rows the clock changes, of which none are counted but the first few; None where that does not matter.

    Where it changes none, what is kept is shown, and has an index.
    """
    if table.silence is None or not _asks_clock(table.silence, part):
        return None
    return await silent_rows(session, table, table.silence, tenant, now)


async def silent_rows(session: Session, table: Table, silence: Silence, tenant: int, now: int) -> int:
    """How many rows the clock changes, of which none are counted but the first few."""
    some = f"SELECT 1 FROM {table.name} WHERE tenant = ?1 AND {silence.column} <= ?2 LIMIT ?3"
    ((number,),) = await session.fetch(
        f"SELECT count(*) FROM ({some}) AS silent", (tenant, now - silence.steps[0][0], FEW_SILENT + 1)
    )
    return int(number)


async def _is_dense(session: Session, table: Table, tenant: int, part: Part, now: int) -> bool:
    """Whether so many rows show what is sought that reading on in the order of keys is cheaper than finding them all.

    That reads as many rows for one that fits as there are for each that does; the other way, all that fit.
    """
    if table.counts is None or not session.embedded:
        return False
    for each in joined(part.where):
        if by_counts(table, tenant, each, now) is not None:
            fit, every = [await count(session, table, tenant, where, now) for where in (each, None)]
            return fit * fit > part.limit * every
    return False


async def _value_by_value(session: Session, table: Table, tenant: int, part: Part, now: int) -> Found:
    """A page in the order of what the clock changes: one value's rows after the other's, each found by index."""
    first, *rest = part.order
    enum = first.by.enum
    values = sorted(enum.by_value if enum else (), reverse=first.descending)
    after = part.after
    if after is not None:
        values = values[values.index(int(str(after.values[0]))) :]
    # The key breaks ties in the direction of the last sort key, which is this one where it is the only one.
    order = tuple(rest) or (Order(Field(table.type.key), first.descending),)
    rows: list[Row] = []
    marks: list[Mark] = []
    for shown in values:
        goes_on = None
        if after is not None and shown == after.values[0]:
            goes_on = Mark(after.key, after.values[1:] if rest else (after.key,))
        shows = Operation("eq", Sort.BOOLEAN, (first.by, Constant(Sort.ENUM, shown, enum)))
        where = shows if part.where is None else Operation("and", Sort.BOOLEAN, (shows, part.where))
        within = Part(part.limit - len(rows), where, order, after=goes_on, among=part.among)
        found, mark_of = await page(session, table, tenant, within, now)
        rows += found
        places = [mark_of(number) for number in range(len(found))]
        marks += [Mark(each.key, (shown, *(each.values if rest else ()))) for each in places]
        if len(rows) == part.limit:
            break
    return rows, marks.__getitem__


async def among(session: Session, table: Table, tenant: int, keys: Sequence[str], now: int = 0) -> list[Row]:
    """The rows with these keys, as far as they are there."""
    if not keys:
        return []
    parameters = Parameters(tenant, table=table, now=now)
    places = ", ".join([parameters.add(each) for each in keys])
    sql = f"SELECT {table.selected} FROM {table.name} WHERE {_there(table, parameters)} AND {table.key} IN ({places})"
    return [table.row(each, now) for each in await session.fetch(sql, parameters.values)]


async def counts_soon(session: Session, table: Table, tenant: int, where: Bound | None, now: int) -> bool:
    """Whether a count is kept, and the clock changed few rows of it, so that it looks at few."""
    if table.silence is None or by_counts(table, tenant, where, now) is None:
        return False
    return await silent_rows(session, table, table.silence, tenant, now) <= FEW_SILENT


async def count(
    session: Session,
    table: Table,
    tenant: int,
    where: Bound | None = None,
    now: int = 0,
    among: Among | None = None,
) -> int:
    """How many rows the tenant has for which `where` holds; `among` as in Part."""
    if (counted := by_counts(table, tenant, where, now)) is not None:
        sql, values = counted
        ((number,),) = await session.fetch(sql, values)
        return int(number)
    parameters = Parameters(tenant, table=table, now=now)
    parameters.dense = among is not None
    wanted = f" AND {among(parameters)}" if among is not None else ""
    wanted += f" AND {condition(where, parameters)}" if where is not None else ""
    sql = f"SELECT (SELECT count(*) FROM {table.name} WHERE tenant = ?1{wanted})"
    if table.silence is not None:
        # Taken off afterwards: whether a row is there stands in no index but one, and would be looked up for each.
        removed = table.silence.removed(now, parameters.add)
        gone = f"SELECT {table.key} FROM {table.name} WHERE tenant = ?1 AND {removed}"
        sql += f" - (SELECT count(*) FROM {table.name} WHERE tenant = ?1 AND {table.key} IN ({gone}){wanted})"
    ((number,),) = await session.fetch(sql, parameters.values)
    return int(number)


async def insert(session: Session, table: Table, tenant: int, values: Mapping[str, Value], version: int) -> Stored:
    """Insert a row from a value for each property, and give it as stored. Its key has to be free."""
    cells: list[object] = [tenant, version]
    row: list[Any] = []
    for name, hold, show in table.holders:
        given = values[name]
        held = (given,) if hold is None else hold(given)
        cells += held
        row.append(given if show is None else show(held[0]))
    session.insert(_insertion(table), cells)
    return Stored(tuple(row), version)


def alike(table: Table, version: int, values: Mapping[str, Value], own: Sequence[str]) -> Alike:
    """The insertion of rows that have these values, and of their own a tenant and what the columns of `own` hold.

    Their keys have to be free.
    """
    cells: list[object] = [None, version]
    places = [0]
    for each in table.type.properties:
        held = stored(each, values.get(each.name))
        if each.name in own:
            places += range(len(cells), len(cells) + len(held))
        cells += held
    whole = _insertion(table)
    return Alike(whole.into, whole.width, of=whole, cells=tuple(cells), own=tuple(places))


async def update(
    session: Session, table: Table, tenant: int, key: str, values: Mapping[str, Value], now: int = 0
) -> Stored | None:
    """Change the named properties, and give the whole row as it is then; None when there is no such row."""
    parameters = Parameters(tenant, key, table=table, now=now)
    there = _this(table, parameters)
    changed = tuple(each for each in table.type.properties if each.name in values)
    names = [column.name for each in changed for column in columns(each)]
    held = [cell for each in changed for cell in stored(each, values[each.name])]
    assignments = "".join(f"{name} = {parameters.add(cell)}, " for name, cell in zip(names, held, strict=True))
    if table.silence is not None and table.silence.property in values:
        assignments += table.resets
    sql = (
        f"UPDATE {table.name} SET {assignments}row_version = row_version + 1 WHERE {there} "
        f"RETURNING {table.selected}, row_version"
    )
    updated = await session.fetch(sql, parameters.values)
    return table.stored(updated[0], now) if updated else None


async def delete(session: Session, table: Table, tenant: int, key: str, now: int = 0) -> bool:
    """Delete a row; False when there was none."""
    parameters = Parameters(tenant, key, table=table, now=now)
    sql = f"DELETE FROM {table.name} WHERE {_this(table, parameters)} RETURNING 1"
    return bool(await session.fetch(sql, parameters.values))


async def drop_removed(
    session: Session, table: Table, tenant: int, now: int, most: int, key: str | None = None
) -> list[tuple[Stored, int]]:
    """Drop at most `most` rows that the clock removed, the longest silent first, or that one.

    Gives what is dropped, and when the clock removed it (ticks).
    """
    if table.silence is None:
        return []
    parameters = Parameters(tenant, table=table, now=now)
    removed = table.silence.removed(now, parameters.add)
    one = f" AND {table.key} = {parameters.add(key)}" if key is not None else ""
    sql = (
        f"DELETE FROM {table.name} WHERE tenant = ?1 AND {table.key} IN (SELECT {table.key} FROM {table.name} WHERE "
        f"tenant = ?1 AND {removed}{one} ORDER BY {table.silence.column} LIMIT {parameters.add(most)}) "
        f"RETURNING {table.selected}, row_version, {table.silence.column}"
    )
    after = table.silence.removed_after
    return [(table.stored(each[:-1], now), each[-1] + after) for each in await session.fetch(sql, parameters.values)]


def _there(table: Table, parameters: Parameters) -> str:
    """The condition of a tenant's rows, the first parameter being the tenant."""
    if table.silence is None:
        return "tenant = ?1"
    return f"tenant = ?1 AND {table.silence.there(parameters.now, parameters.add)}"


def _this(table: Table, parameters: Parameters) -> str:
    """The condition of the row with a key, the second parameter being the key."""
    return f"{_there(table, parameters)} AND {table.key} = ?2"


async def drop_before(session: Session, table: Table, tenant: int, key: str, most: int) -> None:
    """Drop at most `most` rows whose keys are less than `key`, the least first: for tables that grow in their order."""
    sql = (
        f"DELETE FROM {table.name} WHERE tenant = ?1 AND {table.key} IN (SELECT {table.key} FROM {table.name} "
        f"WHERE tenant = ?1 AND {table.key} < ?2 ORDER BY {table.key} LIMIT ?3)"
    )
    await session.fetch(sql, (tenant, key, most))


@lru_cache(maxsize=64)
def _insertion(table: Table) -> Insertion:
    names = ["tenant", "row_version", *(column.name for _, column in table.columns)]
    return Insertion(f"INSERT INTO {table.name} ({', '.join(names)})", len(names))
