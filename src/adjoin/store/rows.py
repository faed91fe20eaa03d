"""Rows of any declared entity type, always within one tenant: page, get, count, insert, update, delete.

Statements are made from the model once per table and run as text on the driver. No function works without a tenant,
and the tenant stands in every WHERE: rows of another tenant cannot be reached from here.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from adjoin.store.columns import Row, Table, Value, columns, stored
from adjoin.store.database import Session


async def get(session: Session, table: Table, tenant: int, key: str) -> Row | None:
    """The row with this key, or None."""
    sql = f"SELECT {table.selected} FROM {table.name} WHERE tenant = ?1 AND {table.key} = ?2"
    found = await session.fetch(sql, (tenant, key))
    return table.row(found[0]) if found else None


async def page(session: Session, table: Table, tenant: int, after: str | None, limit: int, skip: int = 0) -> list[Row]:
    """At most `limit` rows in order of their keys, behind `after` and then `skip` more."""
    sql = (
        f"SELECT {table.selected} FROM {table.name} WHERE tenant = ?1 AND {table.key} > ?2 "
        f"ORDER BY {table.key} LIMIT ?3 OFFSET ?4"
    )
    return [table.row(each) for each in await session.fetch(sql, (tenant, after or "", limit, skip))]


async def count(session: Session, table: Table, tenant: int) -> int:
    """How many rows the tenant has."""
    ((number,),) = await session.fetch(f"SELECT count(*) FROM {table.name} WHERE tenant = ?1", (tenant,))
    return int(number)


async def insert(session: Session, table: Table, tenant: int, values: Mapping[str, Value]) -> Row | None:
    """Insert a row from a value for each property, and give it as stored; None when its key is taken."""
    parameters: list[object] = [tenant]
    for each in table.type.properties:
        parameters.extend(stored(each, values[each.name]))
    inserted = await session.fetch(_insert_sql(table), parameters)
    return table.row(inserted[0]) if inserted else None


async def update(session: Session, table: Table, tenant: int, key: str, values: Mapping[str, Value]) -> Row | None:
    """Change the named properties, and give the whole row as it is then; None when there is no such row."""
    parameters: list[object] = [tenant, key]
    for each in table.type.properties:
        if each.name in values:
            parameters.extend(stored(each, values[each.name]))
    sql = _update_sql(table, tuple(each.name for each in table.type.properties if each.name in values))
    updated = await session.fetch(sql, parameters)
    return table.row(updated[0]) if updated else None


async def delete(session: Session, table: Table, tenant: int, key: str) -> bool:
    """Delete a row; False when there was none."""
    sql = f"DELETE FROM {table.name} WHERE tenant = ?1 AND {table.key} = ?2 RETURNING 1"
    return bool(await session.fetch(sql, (tenant, key)))


@lru_cache(maxsize=64)
def _insert_sql(table: Table) -> str:
    names = [column.name for _, column in table.columns]
    places = ", ".join(f"?{number}" for number in range(1, len(names) + 2))
    return (
        f"INSERT INTO {table.name} (tenant, {', '.join(names)}) VALUES ({places}) "
        f"ON CONFLICT DO NOTHING RETURNING {table.selected}"
    )


@lru_cache(maxsize=256)
def _update_sql(table: Table, changed: tuple[str, ...]) -> str:
    names = [column.name for each in table.type.properties if each.name in changed for column in columns(each)]
    assignments = [f"{name} = ?{number}" for number, name in enumerate(names, start=3)]
    assignments.append("row_version = row_version + 1")
    return (
        f"UPDATE {table.name} SET {', '.join(assignments)} WHERE tenant = ?1 AND {table.key} = ?2 "
        f"RETURNING {table.selected}"
    )
