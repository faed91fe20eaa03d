"""The text index: whatever it leads to is what looking at every row finds, after any history, for each tenant alone.

What is said here of files alone is of the parts that only SQLite's has; those of PostgreSQL's are in
`test_texts_postgres.py`.
"""

from __future__ import annotations

import contextlib
import random
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from tests.full import FULL
from tests.odata import evaluator
from tests.store.opened import Place, connector, guid, new_tenant, on, rows_of

from adjoin.model import BETA, CONNECTOR
from adjoin.odata.binding import Surroundings, bind_filter, bind_order
from adjoin.odata.bound import Bound, Order
from adjoin.odata.search import bind_search
from adjoin.odata.values import Instant
from adjoin.store import rows, snapshot, text_index, texts, texts_sqlite
from adjoin.store.database import Database, Session, Unavailable, Unusable
from adjoin.store.rows import Part
from adjoin.store.silence import NEVER
from adjoin.store.tables import CONNECTORS as TABLE

SEEDS, ROUNDS = (16, 15) if FULL else (2, 8)
NOW: Final = Instant.parse("2026-11-24T02:53:07Z").ticks
HOUR: Final = 36_000_000_000
AROUND: Final = Surroundings(BETA, CONNECTOR, Instant(NOW))
WORDS: Final = (
    *("berlin", "BERLIN", "osl", "ab", "a", "%", "_", "100%", "a_c", '"', '""', "'", "O'Neil", '"and"', "NEAR(", "*"),
    *("^", "-", ":", "\\", "ß", "SS", "Straße", "ΣΊΣΥΦΟΣ", "ς", "İstanbul", "ı", "É", "e\u0301", "😀😀😀", "\ud7ff"),
    *("\ue000", "\ufffe\uffff\ufffd", "\U0010ffff", "\x1f", "\x1f1.0", " ", "\t", "日本語", "1.0", "AND", "OR", "NOT"),
)
VERSIONS: Final = ("1.0", "6.2504.1", "6.2504.12", "abc", "")

Row = dict[str, Any]


def where_of(text: str) -> Bound:
    bound = bind_filter(text, AROUND)
    assert bound is not None
    return bound


class World:
    """Two tenants' connectors in a database and, beside it, in plain Python."""

    def __init__(self, database: Database, seed: int) -> None:
        self.database, self.random = database, random.Random(seed)
        self.kept: dict[int, dict[str, Row]] = {1: {}, 2: {}}
        self.silent: dict[str, int] = {}

    def text(self, most: int = 5) -> str:
        joined = self.random.choice(("", "", " "))
        return joined.join(self.random.choice(WORDS) for _ in range(self.random.randint(0, most)))

    async def happen(self) -> None:
        """A few changes, in one transaction or several."""
        for _ in range(self.random.randint(1, 4)):
            await self.database.write(self._some_changes)

    async def _some_changes(self, session: Session) -> None:
        for _ in range(self.random.choice((1, 1, 5, 40, 100))):
            tenant, number = self.random.choice((1, 1, 2)), self.random.randrange(200)
            kept, key = self.kept[tenant], guid(number)
            name = None if self.random.random() < 0.05 else self.text()
            values: Row = {"displayName": name, "version": self.random.choice(VERSIONS)}
            if key not in kept:
                values = connector(number, state=self.random.choice(("active", "error", "inactive")), **values)
                kept[key] = values
                await rows.insert(session, TABLE, tenant, values, 1)
                if tenant == 1 and self.random.random() < 0.3:
                    since = NOW - self.random.choice((0, 2, 200)) * HOUR
                    await session.fetch(
                        "UPDATE domain_join_connectors SET silent_since = ?3 WHERE tenant = ?1 AND id = ?2",
                        (tenant, key, since),
                    )
                    self.silent[key] = since
            elif self.random.random() < 0.4:
                await rows.delete(session, TABLE, tenant, key)
                del kept[key]
                if tenant == 1:
                    self.silent.pop(key, None)
            else:
                changes = {each: values[each] for each in self.random.sample(sorted(values), 1)}
                await rows.update(session, TABLE, tenant, key, changes)
                kept[key].update(changes)

    def shown(self, tenant: int) -> list[Row]:
        found = []
        for key, row in sorted(self.kept[tenant].items()):
            state = CONNECTOR.properties[3]
            assert TABLE.silence is not None
            members = state.type.members  # type: ignore[union-attr]
            since = self.silent.get(key, NEVER) if tenant == 1 else NEVER
            value = TABLE.silence.value_at(members[row["state"]], since, NOW)
            found.append({**row, "state": state.type.by_value[value]})  # type: ignore[union-attr]
        return found

    # --- what is asked

    def filter(self, depth: int = 3) -> str:
        chosen = self.random.random()
        if depth and chosen < 0.45:
            joined = self.random.choice((" and ", " or ")).join(
                f"({self.filter(depth - 1)})" for _ in range(self.random.randint(2, 3))
            )
            return f"not ({joined})" if self.random.random() < 0.15 else joined
        if chosen < 0.55:
            return self.random.choice(("state eq 'error'", "state ne 'active'", "state in ('active','inactive')"))
        if chosen < 0.6:
            return f"length(displayName) gt {self.random.randint(0, 12)}"
        sought = self._sought()
        field = self.random.choice(("displayName", "displayName", "version", "tolower(displayName)"))
        name = self.random.choice(("contains", "contains", "contains", "startswith", "endswith", "eq"))
        return f"{field} eq '{sought}'" if name == "eq" else f"{name}({field},'{sought}')"

    def _sought(self) -> str:
        named = [each["displayName"] for each in self.kept[1].values() if each["displayName"]]
        if named and self.random.random() < 0.5:
            name = self.random.choice(named)
            at = self.random.randrange(len(name))
            return str(name[at : at + self.random.randint(1, 6)]).replace("'", "''")
        return self.text(2).replace("'", "''")

    def bound(self) -> Bound:
        if self.random.random() < 0.1:
            words = [
                each for each in WORDS if each.strip() and '"' not in each and "\\" not in each and "(" not in each
            ]
            return bind_search(" ".join(f'"{self.random.choice(words)}"' for _ in range(2)), CONNECTOR)
        return where_of(self.filter())


ORDERS: Final = (
    "id",
    "id desc",
    "displayName",
    "displayName desc,version",
    "state",
    "state desc,displayName",
    "version",
)


async def agree(world: World) -> bool:
    """Holds one query, page by page, against looking at each row; True if the index was asked."""
    tenant, where = world.random.choice((1, 1, 2)), world.bound()
    order: tuple[Order, ...] = bind_order(world.random.choice(ORDERS), AROUND)
    wanted = [each for each in evaluator.ordered(world.shown(tenant), order, "id") if evaluator.holds(where, each)]
    scanner, limit = world.database.scanner, world.random.choice((1, 7, 50))
    among = await texts.among(world.database, TABLE, tenant, where, limit)
    for led in (among, None):
        part, found = Part(limit, where, order, among=led), []
        while True:
            some, mark_of = await rows.page(scanner, TABLE, tenant, part, NOW)
            found += [each[0] for each in some]
            if len(some) < limit:
                break
            part = Part(limit, where, order, after=mark_of(len(some) - 1), among=led)
        assert found == [each["id"] for each in wanted]
        assert await rows.count(scanner, TABLE, tenant, where, NOW, led) == len(wanted)
    return among is not None


@pytest.fixture
def tenants(place: Place) -> Iterator[Place]:
    """A database with the tenants 1 and 2, of either kind."""

    async def act(database: Database) -> None:
        for number in (1, 2):
            await new_tenant(database, number)

    on(place, act)
    yield place
    on(place, texts.switch_off)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file with the tenants 1 and 2."""

    async def act(database: Database) -> None:
        for number in (1, 2):
            await new_tenant(database, number)

    on(tmp_path / "adjoin.db", act)
    return tmp_path / "adjoin.db"


@pytest.fixture
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few rows are enough for the index to be asked."""
    monkeypatch.setattr(text_index, "ROWS_FOR_ONE", 1e-6)


@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize("seed", range(SEEDS))
def test_the_index_finds_what_looking_at_every_row_finds(tenants: Place, seed: int) -> None:
    async def act(database: Database) -> None:
        world = World(database, seed)
        await world.happen()
        await texts.switch_on(database)
        asked = 0
        for _ in range(ROUNDS):
            await world.happen()
            for _ in range(10):
                asked += await agree(world)
        assert asked > ROUNDS

    on(tenants, act)


_IN_A_FILE: Final = "SELECT name, sql FROM sqlite_schema ORDER BY 1"
_ON_A_SERVER: Final = (
    "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace UNION ALL SELECT tgname FROM pg_trigger "
    "UNION ALL SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace ORDER BY 1"
)
"""What all there is in a database is called."""


class TestSwitch:
    def test_is_off_at_first(self, tenants: Place) -> None:
        async def act(database: Database) -> None:
            assert await texts.status(database.reader) == text_index.Status(text_index.OFF, 0, 0)
            assert await texts.sound(database.reader)
            assert await texts.among(database, TABLE, 1, where_of("contains(displayName,'berlin')"), 100) is None

        on(tenants, act)

    def test_takes_up_what_is_there_and_leaves_nothing(self, tenants: Place) -> None:
        all_there_is = _IN_A_FILE if tenants.databases is None else _ON_A_SERVER
        before = tenants.rows(all_there_is)

        async def act(database: Database) -> None:
            await fill(database, 5_000)
            told: list[int] = []
            await texts.switch_on(database, told.append)
            assert told == [2_000, 4_000, 5_000]
            status = await texts.status(database.reader)
            assert status.state == text_index.ON
            assert status.rows + status.waiting == 5_000
            await texts.switch_on(database)
            assert await texts.status(database.reader) == status
            assert await texts.sound(database.reader)
            await texts.switch_off(database)
            await texts.switch_off(database)
            assert (await texts.status(database.reader)).state == text_index.OFF

        on(tenants, act)
        assert tenants.rows(all_there_is) == before
        assert tenants.rows("SELECT * FROM settings WHERE name = 'text-index'") == []

    def test_goes_on_where_it_was_interrupted(self, tenants: Place) -> None:
        async def act(database: Database) -> None:
            await fill(database, 5_000)

            def stop(done: int) -> None:
                if done >= 4_000:
                    raise KeyboardInterrupt

            with pytest.raises(KeyboardInterrupt):
                await texts.switch_on(database, stop)
            assert (await texts.status(database.reader)).state == text_index.BUILDING
            assert await texts.among(database, TABLE, 1, where_of("contains(displayName,'4999')"), 100) is None
            await texts.switch_on(database)
            assert sum((await texts.status(database.reader))[1:]) == 5_000
            assert await found(database, 1, "contains(displayName,'4999')") == [guid(4_999)]

        on(tenants, act)

    def test_is_refused_where_sqlite_cannot(self, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(
            texts_sqlite, "_MAKING", [each.replace("trigram", "bigram") for each in texts_sqlite._MAKING]
        )

        async def act(database: Database) -> None:
            with pytest.raises(Unusable, match=r"3\.34 or newer, with FTS5.*bigram"):
                await texts.switch_on(database)
            assert (await texts.status(database.reader)).state == text_index.OFF

        on(file, act)


async def fill(database: Database, number: int, tenant: int = 1, at: int = 0) -> None:
    async def act(session: Session) -> None:
        for each in range(at, at + number):
            await rows.insert(session, TABLE, tenant, connector(each), 1)

    await database.write(act)


async def found(database: Database, tenant: int, text: str, led: bool = True) -> list[object]:
    where = where_of(text)
    among = await texts.among(database, TABLE, tenant, where, 100)
    assert (among is not None) is led
    some, _ = await rows.page(database.scanner, TABLE, tenant, Part(100, where, among=among), NOW)
    return [each[0] for each in some]


def indexed(file: Path, text: str) -> list[tuple[int, int]]:
    """The tenants and numbers of the rows that the index itself has under a text."""
    sql = f"SELECT rowid >> 40, rowid & 0xffffffffff FROM connector_grams WHERE connector_grams MATCH '{text}'"
    return rows_of(file, sql)


class TestKeepingUp:
    def test_a_change_shows_before_it_is_put_in(self, file: Path) -> None:
        async def act(database: Database) -> None:
            await texts.switch_on(database)
            await fill(database, 3)
            assert (await texts.status(database.reader)).waiting == 3
            assert await found(database, 1, "contains(displayName,'tor 2')") == [guid(2)]

        on(file, act)
        assert indexed(file, "con") == []

    def test_many_are_put_in_with_the_commit_that_made_them_many(self, file: Path) -> None:
        async def act(database: Database) -> None:
            await texts.switch_on(database)
            await fill(database, 70, tenant=2)
            assert await texts.status(database.reader) == text_index.Status(text_index.ON, 70, 0)

        on(file, act)
        assert indexed(file, "con") == [(2, number) for number in range(1, 71)]

    def test_what_is_gone_is_taken_out(self, file: Path) -> None:
        async def act(database: Database) -> None:
            await texts.switch_on(database)
            await fill(database, 100)

            async def drop(session: Session) -> None:
                for number in range(70):
                    await rows.delete(session, TABLE, 1, guid(number))

            await database.write(drop)
            assert await texts.status(database.reader) == text_index.Status(text_index.ON, 30, 0)

        on(file, act)
        assert len(indexed(file, "con")) == 30

    def test_a_tenant_that_goes_takes_its_texts_along(self, file: Path) -> None:
        async def act(database: Database) -> None:
            await texts.switch_on(database)
            await fill(database, 100, tenant=1)
            await fill(database, 100, tenant=2)
            await database.write(lambda session: session.fetch("DELETE FROM tenants WHERE number = ?1", (1,)))
            await fill(database, 1, tenant=2, at=100)
            assert await texts.status(database.reader) == text_index.Status(text_index.ON, 100, 1)

        on(file, act)
        assert {tenant for tenant, _ in indexed(file, "con")} == {2}

    def test_an_older_program_that_writes_only_lets_more_wait(self, file: Path) -> None:
        on(file, lambda database: fill_and_switch(database, 70))
        with sqlite3.connect(file) as other:
            other.execute("UPDATE domain_join_connectors SET display_name_folded = 'other'")
        other.close()

        async def act(database: Database) -> None:
            assert (await texts.status(database.reader)).waiting == 140
            assert len(await found(database, 1, "contains(displayName,'other')")) == 70
            assert await found(database, 1, "contains(displayName,'connector')", led=False) == []
            await fill(database, 1, at=70)
            assert await texts.status(database.reader) == text_index.Status(text_index.ON, 71, 0)

        on(file, act)

    def test_a_damaged_index_keeps_nobody_from_writing_or_reading(self, file: Path) -> None:
        on(file, lambda database: fill_and_switch(database, 70))
        with sqlite3.connect(file) as other:
            other.execute("UPDATE connector_grams_data SET block = x'00'")
        other.close()

        async def act(database: Database) -> None:
            # One commit may be refused; then it is left alone for a time.
            for _ in range(2):
                with contextlib.suppress(Unavailable):
                    await fill(database, 100, at=70)
            assert await found(database, 1, "contains(displayName,'tor 169')") == [guid(169)]
            assert not await texts.sound(database.reader)
            await texts.switch_off(database)
            await texts.switch_on(database)
            assert await found(database, 1, "contains(displayName,'tor 169')") == [guid(169)]
            assert await texts.sound(database.reader)

        on(file, act)

    def test_a_copy_is_whole(self, file: Path, tmp_path: Path) -> None:
        on(file, lambda database: fill_and_switch(database, 150))
        snapshot.take(file, tmp_path / "copy.db")
        snapshot.examine(tmp_path / "copy.db")
        on(tmp_path / "copy.db", lambda database: found(database, 1, "contains(displayName,'tor 14')"))


async def fill_and_switch(database: Database, number: int) -> None:
    await fill(database, number)
    await texts.switch_on(database)


class TestChoice:
    @pytest.mark.parametrize(
        "text",
        [
            "contains(displayName,'ab')",
            "not contains(displayName,'abc')",
            "contains(displayName,'abc') or state eq 'error'",
            "contains(displayName,displayName)",
            "contains(id,'0000')",
        ],
    )
    def test_what_no_gram_narrows_is_looked_for_in_every_row(self, tenants: Place, text: str) -> None:
        async def act(database: Database) -> None:
            await fill_and_switch(database, 100)
            assert await texts.among(database, TABLE, 1, where_of(text), 100) is None

        on(tenants, act)

    def test_so_is_what_most_rows_have(self, file: Path) -> None:
        async def act(database: Database) -> None:
            await fill_and_switch(database, 3_000)
            assert await texts.among(database, TABLE, 1, where_of("contains(displayName,'connector')"), 100) is None
            assert await texts.among(database, TABLE, 1, where_of("contains(displayName,'299')"), 100) is not None
            # Who counts cannot stop early.
            assert (
                await texts.among(database, TABLE, 1, where_of("contains(displayName,'connector')"), None) is not None
            )

        on(file, act)

    def test_and_what_more_have_than_are_ever_looked_up(self, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(text_index, "MOST_FOUND", 50)

        async def act(database: Database) -> None:
            await fill_and_switch(database, 100)
            assert await texts.among(database, TABLE, 1, where_of("contains(displayName,'connector')"), None) is None

        on(file, act)

    def test_and_where_more_wait_than_are_ever_looked_up(self, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(text_index, "MOST_FOUND", 50)

        async def act(database: Database) -> None:
            await texts.switch_on(database)
            await fill(database, 50)
            assert await found(database, 1, "contains(displayName,'tor 49')") == [guid(49)]
            await fill(database, 1, at=50)
            assert await found(database, 1, "contains(displayName,'tor 49')", led=False) == [guid(49)]

        on(file, act)

    def test_another_tenants_rows_do_not_count(self, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(text_index, "MOST_FOUND", 50)

        async def act(database: Database) -> None:
            await fill(database, 100, tenant=1)
            await fill(database, 1, tenant=2, at=500)
            await texts.switch_on(database)
            assert await found(database, 2, "contains(displayName,'connector')") == [guid(500)]
            assert (
                await texts.among(database, TABLE, 2, where_of("contains(displayName,'connector')"), None) is not None
            )

        on(file, act)


@pytest.mark.parametrize("order", ["id", "id desc", "displayName", "lastConnectionDateTime desc"])
@pytest.mark.parametrize("also", ["", " and state eq 'error'", " and version eq '1.0'", " and displayName ge 'c'"])
@pytest.mark.parametrize("silent", [False, True])
def test_the_index_leads_the_way(file: Path, order: str, also: str, silent: bool) -> None:
    """Whatever else is asked, rows are looked up by the keys that the index gives."""
    plans: list[str] = []

    async def act(database: Database) -> None:
        await fill_and_switch(database, 1)
        if silent:
            sql = "UPDATE domain_join_connectors SET silent_since = 5 WHERE tenant = ?1"
            await database.write(lambda session: session.fetch(sql, (1,)))
        where = where_of(f"contains(displayName,'nector'){also}")
        among = await texts.among(database, TABLE, 1, where, None)

        class Told:
            embedded = True

            async def fetch(self, sql: str, parameters: Any = ()) -> list[tuple[Any, ...]]:
                if " ORDER BY " in sql:
                    plans.extend(
                        each[3] for each in await database.reader.fetch(f"EXPLAIN QUERY PLAN {sql}", parameters)
                    )
                return await database.reader.fetch(sql, parameters)

        part = Part(100, where, bind_order(order, AROUND), among=among)
        await rows.page(Told(), TABLE, 1, part, 5 + 2 * HOUR if silent else 0)  # type: ignore[arg-type]

    on(file, act)
    assert plans[0] == "SEARCH domain_join_connectors USING PRIMARY KEY (tenant=? AND id=?)"
    assert any(each.startswith("SCAN connector_grams VIRTUAL TABLE INDEX") for each in plans)


def test_a_very_long_question_is_cut_short(tenants: Place) -> None:
    async def act(database: Database) -> None:
        await fill_and_switch(database, 1)
        long = "".join(map(chr, range(0x4E00, 0x4E00 + 500)))
        assert await found(database, 1, f"contains(displayName,'{long}')") == []
        many = " or ".join(f"contains(displayName,'{long[at : at + 15]}')" for at in range(40))
        assert await found(database, 1, many, led=False) == []

    on(tenants, act)
