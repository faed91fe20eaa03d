"""Which pages are short: told from their shape, and held against what SQLite says it would do."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import apsw
import pytest

from adjoin.model import AUDIT_EVENT, BETA, CONNECTOR
from adjoin.odata import query
from adjoin.odata.edm import EntityType
from adjoin.odata.path import Kind
from adjoin.odata.query import Query
from adjoin.odata.values import Instant
from adjoin.store import rows
from adjoin.store.columns import Row
from adjoin.store.database import Session
from adjoin.store.migrate import migrate
from adjoin.store.reach import FEW_SILENT, short_page
from adjoin.store.rows import Mark, Part
from adjoin.store.tables import table_of
from adjoin.store.where import Parameters, condition, following, order

NOW: Final = Instant.parse("2026-11-24T02:53:07Z")
ID: Final = "00000000-0000-4000-8000-000000000001"

SHORT: Final = (
    "",
    "$top=5",
    "$skip=1000",
    f"$filter=id eq '{ID}'",
    f"$filter='{ID}' eq id and contains(displayName,'a')&$orderby=version,state",
    f"$filter=id in ('{ID}','{ID}')",
    "$filter=version eq '1'",
    "$filter='1' eq version",
    "$filter=displayName eq null",
    "$filter=lastConnectionDateTime eq 2026-11-24T02:53:07Z&$orderby=lastConnectionDateTime desc",
    "$orderby=displayName",
    "$orderby=displayName desc",
    "$filter=tolower(displayName) eq 'a'",
    "$orderby=lastConnectionDateTime desc&$filter=lastConnectionDateTime gt 2026-11-24T02:53:07Z",
    "$orderby=version&$filter=version ge '1' and version lt '2'",
    "$orderby=displayName&$filter=startswith(displayName,'a')",
)
LONG: Final = (
    "$skip=1001",
    "$filter=contains(displayName,'a')",
    "$search=a",
    "$filter=state eq 'error'",
    "$orderby=state",
    "$filter=not (version eq '1')",
    "$filter=version ne '1'",
    "$filter=version eq '1' or version eq '2'",
    "$filter=version in ('1','2')",
    "$filter=displayName eq 'a' and version eq '1'",
    "$filter=version eq '1' and contains(displayName,'a')",
    "$orderby=id desc,state",
    "$filter=length(version) eq 3",
    "$filter=version eq displayName",
    "$filter=version gt '1'",
    "$filter=startswith(displayName,'a')",
    "$filter=startswith(displayName,'')&$orderby=displayName",
    "$filter=startswith(displayName,version)&$orderby=displayName",
    "$filter=displayName eq 'a'&$orderby=version",
    "$orderby=displayName,version",
    "$orderby=length(displayName)",
    "$orderby=version&$filter=version gt '1' and displayName lt 'b'",
)


def asked(raw: str, entity: EntityType = CONNECTOR) -> Query:
    return query.parse(raw, Kind.COLLECTION, BETA, entity, lambda: NOW)


def is_short(raw: str, entity: EntityType = CONNECTOR) -> bool:
    of = asked(raw, entity)
    return short_page(table_of(entity), of.where, of.order, of.skip)


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("reach") / "adjoin.db"
    migrate(path)
    return path


def plan(database: Path, of: Query, goes_on: bool) -> str:
    """How SQLite would find a page, the first one or one further on."""
    table = table_of(CONNECTOR)
    parameters = Parameters(1, table=table)
    sql = f"EXPLAIN QUERY PLAN SELECT {table.selected} FROM {table.name} WHERE tenant = ?1"
    if of.where is not None:
        sql += f" AND {condition(of.where, parameters)}"
    if goes_on:
        sql += f" AND {following(of.order, [1] * len(of.order), table.key, ID, parameters)}"
    sql += f" ORDER BY {order(of.order, table.key, parameters)} LIMIT 100"
    with contextlib.closing(apsw.Connection(str(database))) as connection:
        return "; ".join(row[3] for row in connection.execute(sql, parameters.values))


@pytest.mark.parametrize("raw", SHORT)
def test_short_pages(raw: str) -> None:
    assert is_short(raw)


@pytest.mark.parametrize("raw", LONG)
def test_pages_that_may_take_long(raw: str) -> None:
    assert not is_short(raw)


@pytest.mark.parametrize("goes_on", [False, True])
@pytest.mark.parametrize("raw", SHORT)
def test_a_short_page_is_sought_in_an_index_and_not_sorted(database: Path, raw: str, goes_on: bool) -> None:
    found = plan(database, asked(raw), goes_on)
    assert found.startswith("SEARCH"), found
    # Rows that are named by their keys are few, and may be sorted.
    assert "TEMP B-TREE" not in found or "id=?" in found, found


@pytest.mark.parametrize(
    ("raw", "short"),
    [("", True), ("$orderby=id desc", True), ("$orderby=activityDateTime", False), ("$filter=activity eq 'a'", False)],
)
def test_rows_that_are_only_added_have_the_index_of_their_keys_alone(raw: str, short: bool) -> None:
    assert is_short(raw, AUDIT_EVENT) is short


STATE_SHORT: Final = (
    "$filter=state eq 'error'",
    "$filter='active' eq state",
)
STATE_SHORT_IF_KEPT: Final = (
    "$filter=state eq 'error'&$orderby=id desc",
    "$filter=state eq 'error'&$orderby=state",
    "$orderby=state",
    "$orderby=state desc",
    "$filter=state gt 'active'&$orderby=state",
    "$filter=state eq 'error'&$skip=1000",
)
STATE_LONG: Final = (
    "$filter=state ne 'error'",
    "$filter=state in ('error','active')",
    "$filter=state eq 'error' and version eq '1'",
    "$filter=state eq 'error'&$orderby=version",
    "$filter=not (state eq 'error')",
    "$orderby=state,version",
)


class TestByTheClock:
    """What the clock changes is read at once where it changed nothing, or little."""

    @pytest.mark.parametrize(
        ("raw", "kept", "few", "many"),
        [
            *((raw, True, True, False) for raw in STATE_SHORT),
            *((raw, True, False, False) for raw in STATE_SHORT_IF_KEPT),
            *((raw, False, False, False) for raw in STATE_LONG),
        ],
    )
    def test_a_page_is_short_by_how_many_are_silent(self, raw: str, kept: bool, few: bool, many: bool) -> None:
        of, table = asked(raw), table_of(CONNECTOR)
        found = [
            short_page(table, of.where, of.order, of.skip, silent)
            for silent in (0, 1, FEW_SILENT, FEW_SILENT + 1, None)
        ]
        assert found == [kept, few, few, many, False]

    @pytest.mark.parametrize("raw", [*STATE_SHORT, *STATE_SHORT_IF_KEPT])
    @pytest.mark.parametrize("silent", [0, 1])
    def test_and_then_sought_in_an_index(self, database: Path, raw: str, silent: int) -> None:
        of, table = asked(raw), table_of(CONNECTOR)
        if not short_page(table, of.where, of.order, of.skip, silent):
            return
        told: list[str] = []

        class Told:
            """A session that tells how a page would be found, and finds nothing."""

            embedded = True

            async def fetch(self, sql: str, parameters: Sequence[object] = ()) -> list[Row]:
                with contextlib.closing(apsw.Connection(str(database))) as connection:
                    told.extend(row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}", parameters))
                return []

        for after in (None, Mark(ID, (1,) * len(of.order))):
            told.clear()
            part = Part(100, of.where, of.order, of.skip, after, silent=silent)
            asyncio.run(_read(Told(), part))  # type: ignore[arg-type]
            found = "\n".join(
                each for each in told if each not in ("SCAN others", "USE TEMP B-TREE FOR LAST TERM OF ORDER BY")
            )
            assert "SCAN" not in found
            assert "PRIMARY KEY (tenant=?)" not in found
            assert "(tenant=?)" not in found.replace("by_state (tenant=?)", "") or of.order, found
            assert "TEMP B-TREE" not in found, found
            if silent:
                assert "by_state (tenant=? AND state=?" in found


async def _read(session: Session, part: Part) -> None:
    await rows.page(session, table_of(CONNECTOR), 1, part, 10**18)
