"""Rows of any declared entity type, always within one tenant: page, get, count, insert, update, delete.

Statements are made from the model once per table and run as text on the driver. No function works without a tenant,
and the tenant stands in every WHERE: rows of another tenant cannot be reached from here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from adjoin.odata.bound import Bound, Order
from adjoin.store.columns import Row, Stored, Table, Value, columns, stored
from adjoin.store.database import Insertion, Session
from adjoin.store.where import Parameters, condition, following, order, value


async def get(session: Session, table: Table, tenant: int, key: str) -> Stored | None:
    """The row with this key, or None."""
    found = await session.fetch(table.by_key, (tenant, key))
    return table.stored(found[0]) if found else None


@dataclass(frozen=True, slots=True)
class Part:
    """Which rows are wanted: those that `where` holds for, in `order`, from behind `after` and `skip` more."""

    limit: int
    where: Bound | None = None
    order: tuple[Order, ...] = ()
    skip: int = 0
    after: Mark | None = None


class Mark(NamedTuple):
    """Where a row stands in an order: its key, and its values of the sort keys."""

    key: str
    values: tuple[str | int | None, ...]


async def page(session: Session, table: Table, tenant: int, part: Part) -> tuple[list[Row], Callable[[int], Mark]]:
    """The wanted rows, and what tells where the one of a number stands."""
    parameters = Parameters(tenant)
    marks = "".join(f", {value(each.by, parameters)}" for each in part.order)
    sql = f"SELECT {table.selected}{marks} FROM {table.name} WHERE tenant = ?1"
    if part.where is not None:
        sql += f" AND {condition(part.where, parameters)}"
    if part.after is not None:
        sql += f" AND {following(part.order, part.after.values, table.key, part.after.key, parameters)}"
    sql += f" ORDER BY {order(part.order, table.key, parameters)} LIMIT {parameters.add(part.limit)}"
    if part.skip:
        sql += f" OFFSET {parameters.add(part.skip)}"
    width, key_at = len(table.type.properties), table.key_at
    fetched = await session.fetch(sql, parameters.values)
    return table.rows(fetched), lambda number: Mark(fetched[number][key_at], fetched[number][width:])


async def count(session: Session, table: Table, tenant: int, where: Bound | None = None) -> int:
    """How many rows the tenant has for which `where` holds."""
    parameters = Parameters(tenant)
    sql = f"SELECT count(*) FROM {table.name} WHERE tenant = ?1"
    if where is not None:
        sql += f" AND {condition(where, parameters)}"
    ((number,),) = await session.fetch(sql, parameters.values)
    return int(number)


async def insert(session: Session, table: Table, tenant: int, values: Mapping[str, Value], version: int) -> Stored:
    """Insert a row from a value for each property, and give it as stored. Its key has to be free."""
    cells: list[object] = [tenant, version]
    shown: list[object] = []
    for name, hold in table.holders:
        held = hold(values[name])
        cells += held
        shown.append(held[0])
    await session.insert(_insertion(table), cells)
    return Stored(table.row(shown), version)


async def update(session: Session, table: Table, tenant: int, key: str, values: Mapping[str, Value]) -> Stored | None:
    """Change the named properties, and give the whole row as it is then; None when there is no such row."""
    parameters: list[object] = [tenant, key]
    for each in table.type.properties:
        if each.name in values:
            parameters.extend(stored(each, values[each.name]))
    sql = _update_sql(table, tuple(each.name for each in table.type.properties if each.name in values))
    updated = await session.fetch(sql, parameters)
    return table.stored(updated[0]) if updated else None


async def delete(session: Session, table: Table, tenant: int, key: str) -> bool:
    """Delete a row; False when there was none."""
    sql = f"DELETE FROM {table.name} WHERE tenant = ?1 AND {table.key} = ?2 RETURNING 1"
    return bool(await session.fetch(sql, (tenant, key)))


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


@lru_cache(maxsize=256)
def _update_sql(table: Table, changed: tuple[str, ...]) -> str:
    names = [column.name for each in table.type.properties if each.name in changed for column in columns(each)]
    assignments = [f"{name} = ?{number}" for number, name in enumerate(names, start=3)]
    assignments.append("row_version = row_version + 1")
    return (
        f"UPDATE {table.name} SET {', '.join(assignments)} WHERE tenant = ?1 AND {table.key} = ?2 "
        f"RETURNING {table.selected}, row_version"
    )
