"""The text index on PostgreSQL: it keeps to the wall of tenants, is kept by triggers, and made while others write."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from typing import Any, Final

import asyncpg
import pytest
from tests.postgresql import Databases, asks, name_of
from tests.store.opened import guid, new_tenant, on
from tests.store.test_texts import AROUND, HOUR, NOW, fill, fill_and_switch, found, where_of

from adjoin.odata.binding import bind_order
from adjoin.store import rows, text_index, texts, texts_postgres
from adjoin.store.database import Database, Session, TooSlow, Unavailable, Unusable
from adjoin.store.postgres import PostgreSQL
from adjoin.store.rows import Part
from adjoin.store.statements import Everywhere
from adjoin.store.tables import CONNECTORS
from adjoin.store.texts_postgres import SAMPLED

TABLE: Final = CONNECTORS
TEXTS: Final = "connector_texts"


@pytest.fixture
def url(postgresql: Databases) -> Iterator[str]:
    """A database with the tenants 1 and 2."""
    with postgresql.lent() as lent:

        async def act(database: Database) -> None:
            for number in (1, 2):
                await new_tenant(database, number)

        on(lent, act)
        yield lent
        on(lent, texts.switch_off)


@pytest.fixture
def every_row_sampled(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that of few rows it can be told how many hold what is sought."""
    monkeypatch.setattr(texts_postgres, "SAMPLED", 1)
    monkeypatch.setattr(texts_postgres, "_COUNTED", 1)
    small = [each.replace(f"& {SAMPLED - 1} ", "& 0 ").replace("& 16383 ", "& 0 ") for each in texts_postgres._MAKING]
    assert small != texts_postgres._MAKING
    monkeypatch.setattr(texts_postgres, "_MAKING", small)


async def ids_of(database: Database, tenant: int, seed: int, *sought: str) -> list[str]:
    """What the index leads a session of a tenant to, whoever's hashes it seeks."""
    sql = f"SELECT unnest({TEXTS}_holding(?2, ?3, 100)) WHERE ?1 > 0"
    return [each for (each,) in await database.reader.fetch(sql, (tenant, seed, sought))]


class TestWall:
    def test_a_session_is_led_to_its_own_tenants_rows_alone(self, url: str) -> None:
        async def act(database: Database) -> None:
            await fill(database, 2, tenant=1)
            await fill(database, 3, tenant=2, at=10)
            await texts.switch_on(database)
            assert await ids_of(database, 1, 1, "con") == [guid(0), guid(1)]
            assert await ids_of(database, 2, 2, "con") == [guid(10), guid(11), guid(12)]
            assert await ids_of(database, 1, 2, "con") == []
            bare = f"SELECT tenant, id FROM {TEXTS} WHERE ?1 > 0"
            assert await database.reader.fetch(bare, (1,)) == [(1, guid(0)), (1, guid(1))]

        on(url, act)

    def test_one_that_names_no_tenant_to_none(self, url: str) -> None:
        async def seen() -> tuple[Any, Any]:
            connection = await asyncpg.connect(url)
            held = await connection.fetchval(f"SELECT count(*) FROM {TEXTS}")
            led = await connection.fetchval(f"SELECT {TEXTS}_holding(1, ARRAY['con'], 100)")
            await connection.close()
            return held, led

        async def act(database: Database) -> tuple[Any, Any]:
            await fill_and_switch(database, 2)
            return await seen()

        assert on(url, act) == (0, [])

    def test_stands_around_its_table_too(self, url: str, postgresql: Databases) -> None:
        on(url, texts.switch_on)
        sql = f"SELECT relrowsecurity AND relforcerowsecurity FROM pg_class WHERE relname = '{TEXTS}'"
        assert postgresql.rows_of(url, sql) == [(True,)]

    def test_what_one_statement_sought_holds_for_no_other(self, url: str) -> None:
        async def act(database: Database) -> None:
            await fill_and_switch(database, 3)

            async def both(session: Session) -> tuple[Any, Any]:
                led = await session.fetch(f"SELECT {TEXTS}_holding(?1, ?2, 100)", (1, ("r 2",)))
                return led, await session.fetch(f"SELECT id FROM {TEXTS} WHERE tenant = ?1", (1,))

            assert await database.write(both) == ([([guid(2)],)], [(guid(0),), (guid(1),), (guid(2),)])

        on(url, act)

    def test_a_role_that_it_does_not_hold_finds_the_same(self, url: str, postgresql: Databases) -> None:
        async def act(database: Database) -> None:
            await fill(database, 3, tenant=1)
            await fill(database, 3, tenant=2)
            await texts.switch_on(database)

        async def as_administrator(database: Database) -> None:
            assert await found(database, 1, "contains(displayName,'tor 2')") == [guid(2)]
            assert await ids_of(database, 1, 1, "con") == [guid(0), guid(1), guid(2)]

        on(url, act)
        on(postgresql.server.url(name_of(url), "postgres"), as_administrator)


class TestKeepingUp:
    def test_each_change_is_in_it_with_its_commit(self, url: str) -> None:
        async def act(database: Database) -> None:
            await texts.switch_on(database)
            await fill(database, 3)
            assert await found(database, 1, "contains(displayName,'tor 2')") == [guid(2)]
            await database.write(lambda session: rows.update(session, TABLE, 1, guid(2), {"displayName": "other"}))
            assert await found(database, 1, "contains(displayName,'tor 2')") == []
            assert await found(database, 1, "contains(displayName,'THE')") == [guid(2)]
            await database.write(lambda session: rows.delete(session, TABLE, 1, guid(2)))
            assert await ids_of(database, 1, 1, "oth") == []
            assert await texts.status(database.reader) == text_index.Status(text_index.ON, 2, 0)
            assert await texts.sound(database.reader)

        on(url, act)

    def test_a_change_of_something_else_does_not_touch_it(self, url: str) -> None:
        at = Everywhere(f"SELECT ctid::text FROM {TEXTS}")

        async def act(database: Database) -> None:
            await fill_and_switch(database, 1)
            before = await database.reader.fetch(at)
            for change in ({"state": "active"}, {"displayName": "connector 0"}):
                await database.write(lambda session, change=change: rows.update(session, TABLE, 1, guid(0), change))  # type: ignore[misc]
            assert await database.reader.fetch(at) == before

        on(url, act)

    def test_a_tenant_that_goes_takes_its_texts_along(self, url: str) -> None:
        async def act(database: Database) -> None:
            await texts.switch_on(database)
            await fill(database, 10, tenant=1)
            await fill(database, 10, tenant=2)
            await database.write(lambda session: session.fetch("DELETE FROM tenants WHERE number = ?1", (1,)))
            assert await texts.status(database.reader) == text_index.Status(text_index.ON, 10, 0)

        on(url, act)

    def test_one_that_was_left_behind_is_found_out(self, url: str, postgresql: Databases) -> None:
        on(url, lambda database: fill_and_switch(database, 500))
        postgresql.server.run(
            f"ALTER TABLE {TABLE.name} DISABLE TRIGGER {TEXTS}_delete; DELETE FROM {TEXTS} WHERE id > '{guid(3)}'",
            name_of(url),
        )

        async def act(database: Database) -> None:
            assert (await texts.status(database.reader)).waiting == 496
            assert not await texts.sound(database.reader)
            await texts.switch_off(database)
            await texts.switch_on(database)
            assert await texts.sound(database.reader)

        on(url, act)


class TestSwitch:
    def test_others_write_while_it_is_made(self, url: str) -> None:
        async def act(database: Database) -> None:
            await fill(database, 4_500)
            changes: list[asyncio.Task[None]] = []
            other = PostgreSQL(url)

            def change(_: int) -> None:
                changes.append(asyncio.ensure_future(self._change(other, 10_000 + len(changes))))

            await texts.switch_on(database, change)
            await asyncio.gather(*changes)
            await other.close()
            assert await texts.status(database.reader) == text_index.Status(text_index.ON, 4_500, 0)
            assert len(changes) == 3
            made = map(guid, range(10_000, 10_003))
            assert await found(database, 1, "contains(displayName,'tor 1000')") == [guid(1_000), *made]
            assert await found(database, 1, "contains(displayName,'tor 0')") == []
            assert await texts.sound(database.reader)

        on(url, act)

    async def _change(self, other: Database, number: int) -> None:
        await fill(other, 1, at=number)
        await other.write(lambda session: rows.delete(session, TABLE, 1, guid(number - 10_000)))

    def test_one_command_at_a_time(self, url: str) -> None:
        async def act(database: Database) -> None:
            connection = await asyncpg.connect(url)
            await connection.execute(f"SELECT pg_advisory_lock({texts_postgres._SWITCH_LOCK})")
            for switch in (texts.switch_on, texts.switch_off):
                with pytest.raises(Unusable, match="by another command"):
                    await switch(database)
            await connection.close()

        on(url, act)

    def test_waits_for_who_uses_the_table_and_lets_others_pass(self, url: str) -> None:
        async def act(database: Database) -> None:
            await texts.switch_on(database)
            connection = await asyncpg.connect(url)
            await connection.execute(f"BEGIN; LOCK TABLE {TABLE.name} IN ACCESS SHARE MODE")
            switching = asyncio.ensure_future(texts.switch_off(database))
            # Whoever comes behind the one that waits is held up no longer than that one waits at a time.
            for number in range(3):
                await fill(database, 1, at=number)
            assert not switching.done()
            await connection.execute("COMMIT")
            await connection.close()
            await switching
            assert (await texts.status(database.reader)).state == text_index.OFF

        on(url, act)

    def test_is_given_up_where_the_table_is_never_free(self, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(texts_postgres, "_PATIENCE", (1, 1))

        async def act(database: Database) -> None:
            connection = await asyncpg.connect(url)
            await connection.execute(f"BEGIN; LOCK TABLE {TABLE.name} IN SHARE MODE")
            with pytest.raises(Unusable, match="in use all the time"):
                await texts.switch_on(database)
            await connection.close()
            assert (await texts.status(database.reader)).state == text_index.OFF

        on(url, act)

    @pytest.mark.parametrize("role", ["another", "postgres"])
    def test_is_refused_to_a_role_that_has_not_the_tables(self, url: str, postgresql: Databases, role: str) -> None:
        name = name_of(url)
        postgresql.server.run("CREATE ROLE another LOGIN")
        postgresql.server.run("GRANT ALL ON ALL TABLES IN SCHEMA public TO another", name)

        async def act(database: Database) -> None:
            for switch in (texts.switch_on, texts.switch_off):
                with pytest.raises(Unusable, match="Only the role adjoin, which has adjoin's tables"):
                    await switch(database)

        on(postgresql.server.url(name, role), act)
        postgresql.server.run("DROP OWNED BY another; DROP ROLE another", name)

    def test_and_to_one_that_may_make_none(self, url: str, postgresql: Databases) -> None:
        name = name_of(url)
        postgresql.server.run(f"ALTER DATABASE {name} OWNER TO postgres", name)

        async def act(database: Database) -> None:
            with pytest.raises(Unusable, match=r"may not switch the text index: permission denied for schema public\."):
                await texts.switch_on(database)
            assert (await texts.status(database.reader)).state == text_index.OFF

        on(url, act)
        postgresql.server.run(f"ALTER DATABASE {name} OWNER TO adjoin", name)

    def test_an_index_that_was_left_half_made_is_made_anew(self, url: str, postgresql: Databases) -> None:
        on(url, lambda database: fill_and_switch(database, 10))
        spoil = f"UPDATE pg_index SET indisvalid = false WHERE indexrelid = '{TEXTS}_by_grams'::regclass"
        postgresql.server.run(
            f"{spoil}; UPDATE settings SET value = '{text_index.BUILDING.decode()}' WHERE name = 'text-index'",
            name_of(url),
        )

        async def act(database: Database) -> None:
            assert not await texts.sound(database.reader)
            await texts.switch_on(database)
            assert await texts.sound(database.reader)

        on(url, act)

    def test_whether_it_is_on_is_asked_once_and_not_while_it_answers(
        self, url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def act(database: Database) -> None:
            text = "contains(displayName,'tor 2')"
            await fill_and_switch(database, 10)
            asked = asks(monkeypatch)
            for switched_off in (False, False, True, True):
                if switched_off:
                    await texts.switch_off(database)
                asked.clear()
                assert await found(database, 1, text, led=not switched_off) == [guid(2)]
            assert not [each for each in asked if "_holding" in each]
            await texts.switch_on(database)
            assert await found(database, 1, text) == [guid(2)]
            asked.clear()
            assert await found(database, 1, text) == [guid(2)]
            assert not [each for each in asked if "settings" in each]

        on(url, act)

    def test_who_asks_while_it_is_dropped_is_told_to_ask_again(self, url: str) -> None:
        async def act(database: Database) -> None:
            await fill_and_switch(database, 10)
            where = where_of("contains(displayName,'tor 2')")
            among = await texts.among(database, TABLE, 1, where, 100)
            await texts.switch_off(database)
            with pytest.raises(Unavailable, match="does not exist"):
                await rows.page(database.scanner, TABLE, 1, Part(100, where, among=among), NOW)

        on(url, act)


@pytest.mark.usefixtures("every_row_sampled")
class TestChoice:
    def test_what_many_rows_have_is_found_by_reading_on(self, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(text_index, "MOST_FOUND", 50)

        async def act(database: Database) -> None:
            await fill_and_switch(database, 100)
            assert await texts.among(database, TABLE, 1, where_of("contains(displayName,'connector')"), None) is None
            assert await texts.among(database, TABLE, 1, where_of("contains(displayName,'tor 9')"), None) is not None

        on(url, act)

    def test_many_are_fewer_where_few_are_wanted(self, url: str) -> None:
        async def act(database: Database) -> None:
            await fill_and_switch(database, 1_000)
            assert await texts.among(database, TABLE, 1, where_of("contains(displayName,'connector')"), 100) is None
            assert (
                await texts.among(database, TABLE, 1, where_of("contains(displayName,'connector')"), None) is not None
            )

        on(url, act)

    def test_another_tenants_rows_do_not_count(self, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(text_index, "MOST_FOUND", 50)

        async def act(database: Database) -> None:
            await fill(database, 100, tenant=1)
            await fill(database, 1, tenant=2, at=500)
            await texts.switch_on(database)
            assert await found(database, 2, "contains(displayName,'connector')") == [guid(500)]

        on(url, act)

    def test_a_sample_that_misled_ends_the_query(self, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(text_index, "ROWS_FOR_ONE", 1e-6)
        monkeypatch.setattr(texts_postgres, "_MOST_LED_TO", 100)
        monkeypatch.setattr(texts_postgres, "_HOLDING", texts_postgres._HOLDING.replace("100000", "100"))

        async def act(database: Database) -> None:
            await fill_and_switch(database, 100)
            with pytest.raises(TooSlow):
                await found(database, 1, "contains(displayName,'connector')")

        on(url, act)


@pytest.mark.parametrize("order", ["id", "id desc", "displayName", "lastConnectionDateTime desc"])
@pytest.mark.parametrize("also", ["", " and state eq 'error'", " and version eq '1.0'", " and displayName ge 'c'"])
def test_the_index_leads_the_way(url: str, order: str, also: str) -> None:
    """Whatever else is asked, the index finds the texts, and rows are looked up by the keys that it gives."""
    plans: list[str] = []

    async def act(database: Database) -> None:
        await fill(database, 3_000)
        await database.write(lambda session: session.fetch(Everywhere("ANALYZE")))
        await texts.switch_on(database)
        where = where_of(f"contains(displayName,'tor 2999'){also}")
        among = await texts.among(database, TABLE, 1, where, 100)

        class Told:
            embedded = False

            async def fetch(self, sql: str, parameters: Any = ()) -> list[tuple[Any, ...]]:
                if " ORDER BY " in sql:
                    plans.extend(each for (each,) in await database.scanner.fetch(f"EXPLAIN {sql}", parameters))
                return await database.scanner.fetch(sql, parameters)

        part = Part(100, where, bind_order(order, AROUND), among=among)
        await rows.page(Told(), TABLE, 1, part, NOW + HOUR)  # type: ignore[arg-type]

    on(url, act)
    text = "\n".join(plans)
    assert re.search("Index Cond: .*id = ANY", text), text
    assert "Seq Scan" not in text


def test_its_own_plan_looks_at_the_index_alone(url: str) -> None:
    async def plan() -> str:
        connection = await asyncpg.connect(url)
        await connection.execute("SET adjoin.tenant = '1'; SET adjoin.sought = '{1,2}'")
        await connection.execute("SET enable_seqscan = off; SET enable_indexscan = off")
        lines = await connection.fetch(f"EXPLAIN SELECT id FROM {TEXTS} LIMIT 100")
        await connection.close()
        return "\n".join(each[0] for each in lines)

    async def act(database: Database) -> str:
        await fill_and_switch(database, 10)
        return await plan()

    assert f"Bitmap Index Scan on {TEXTS}_by_grams" in on(url, act)
