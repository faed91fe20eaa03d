"""PostgreSQL: what is gathered in a group, what is told when the server goes, and the wall of tenants."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any, Final

import asyncpg
import pytest
from tests.postgresql import Databases, Server, asks, name_of
from tests.store.jobs import COUNT, INSERT, Act, Wrong, count_and_put, gather, in_one_group, names, put
from tests.store.opened import connector, guid, new_tenant, on

from adjoin.model import CONNECTOR
from adjoin.store import link, postgres, rows, tenants
from adjoin.store.database import Database, Overloaded, Session, Unavailable, Uncertain
from adjoin.store.link import Lacking, Link, Lost
from adjoin.store.postgres import WRITE_LOCK, PostgreSQL
from adjoin.store.statements import Everywhere
from adjoin.store.tables import table_of

TABLE: Final = table_of(CONNECTOR)


@pytest.fixture
def url(postgresql: Databases) -> Iterator[str]:
    with postgresql.lent() as lent:
        yield lent


@pytest.fixture(scope="module")
def own() -> Iterator[Databases]:
    """A server that tests may stop."""
    server = Server()
    yield Databases(server)
    server.remove()


class TestGroupCommit:
    def test_a_job_that_carries_on_after_a_refused_statement_is_not_kept(self, url: str) -> None:
        async def act(session: Session) -> str:
            await session.fetch(INSERT, ("a", b""))
            with contextlib.suppress(Unavailable):
                await session.fetch(INSERT, ("a", b""))
            return "done"

        async def write(database: Database) -> None:
            with pytest.raises(Unavailable):
                await database.write(act)
            assert await names(database) == []

        on(url, write)

    def test_a_job_that_cannot_even_begin_does_not_stop_the_writer(self, url: str) -> None:
        def broken(_: Session) -> Awaitable[None]:
            raise Wrong("before there was anything to await")

        async def act(database: Database) -> None:
            with pytest.raises(Wrong):
                await database.write(broken)
            assert await database.write(put("a")) == "a"

        on(url, act)

    def test_keeps_what_it_acknowledges_though_the_server_would_not_by_itself(
        self, url: str, postgresql: Databases
    ) -> None:
        postgresql.server.execute(f"ALTER DATABASE {name_of(url)} SET synchronous_commit = off")

        async def act(database: Database) -> None:
            show = Everywhere("SHOW synchronous_commit")
            assert await database.write(lambda session: session.fetch(show)) == [("on",)]

        on(url, act)
        postgresql.server.execute(f"ALTER DATABASE {name_of(url)} RESET synchronous_commit")


@pytest.fixture(scope="module")
def alone() -> Iterator[Databases]:
    """A server that would wait for a standby, where it is told to; there is none."""
    server = Server(synchronous_standby_names="nobody", synchronous_commit="local")
    yield Databases(server)
    server.remove()


class TestStandbyThatIsNotWaitedFor:
    """The server then says that the change was made, and warns that no standby has it."""

    @pytest.mark.parametrize("kind", [gather, put])
    def test_leaves_it_uncertain(self, alone: Databases, kind: Callable[[str], Act]) -> None:
        waiting = "FROM pg_stat_activity WHERE wait_event = 'SyncRep'"

        async def server(script: str) -> list[tuple[Any, ...]]:
            return await asyncio.to_thread(alone.server.execute, script)

        async def act(database: Database, name: str) -> None:
            await server(f"ALTER DATABASE {name} SET synchronous_commit = on")
            writes = asyncio.ensure_future(in_one_group(database, [kind("a"), kind("b")]))
            while not await server(f"SELECT pg_cancel_backend(pid) {waiting}"):  # noqa: ASYNC110 - the server's business
                await asyncio.sleep(0.01)
            outcomes = await writes
            assert [type(each) for each in outcomes] == [Uncertain, Uncertain]
            assert await names(database) == ["a", "b"]

        with alone.lent() as url:
            on(url, lambda database: act(database, name_of(url)))
            alone.server.execute(f"ALTER DATABASE {name_of(url)} RESET synchronous_commit")


class TestInsertions:
    """They are gathered until something could see them, and go in as one statement; it comes to the same."""

    def test_each_job_has_its_own_row(self, url: str) -> None:
        async def act(database: Database) -> None:
            for number in (1, 2):
                await new_tenant(database, number)
            made = await in_one_group(database, [insertion(at, 1 + at % 2) for at in range(50)])
            for at, each in enumerate(made):
                assert each == await rows.get(database.reader, TABLE, 1 + at % 2, guid(at))
                assert await rows.get(database.reader, TABLE, 2 - at % 2, guid(at)) is None

        on(url, act)

    def test_are_seen_by_the_next_statement_of_any_job(self, url: str) -> None:
        async def counts(session: Session) -> int:
            return await rows.count(session, TABLE, 1)

        async def act(database: Database) -> None:
            await new_tenant(database, 1)
            jobs = [insertion(1), counts, insertion(2), insertion(3), counts]
            assert (await in_one_group(database, jobs))[1::3] == [1, 3]

        on(url, act)

    def test_of_two_with_one_key_the_first_is_kept(self, url: str) -> None:
        async def act(database: Database) -> None:
            await new_tenant(database, 1)
            first, second, third = await in_one_group(database, [insertion(at) for at in (7, 7, 8)])
            assert isinstance(second, Unavailable)
            assert [first, third] == [await rows.get(database.reader, TABLE, 1, guid(at)) for at in (7, 8)]

        on(url, act)

    def test_one_that_fails_hurts_no_other(self, url: str) -> None:
        async def fails(session: Session) -> None:
            await insertion(2)(session)
            raise Wrong

        async def act(database: Database) -> None:
            await new_tenant(database, 1)
            jobs = [insertion(1), fails, insertion(3), insertion(4, tenant=99)]
            one, two, three, four = await in_one_group(database, jobs)
            assert one == await rows.get(database.reader, TABLE, 1, guid(1))
            assert three == await rows.get(database.reader, TABLE, 1, guid(3))
            assert (type(two), type(four)) == (Wrong, Unavailable)
            assert await rows.count(database.reader, TABLE, 1) == 2

        on(url, act)

    def test_go_in_at_once_and_alone(self, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
        added: list[int] = []
        asked = asks(monkeypatch)
        add = Link.add

        async def counted(link: Link, gathered: Any) -> None:
            added.extend(len(rows) for rows in gathered.values())
            await add(link, gathered)

        async def act(database: Database) -> None:
            await new_tenant(database, 1)
            monkeypatch.setattr(Link, "add", counted)
            asked.clear()
            await in_one_group(database, [insertion(at) for at in range(64)])

        on(url, act)
        assert added == [64]
        assert asked == []

    def test_whose_answer_never_comes_are_uncertain_and_not_tried_again(
        self, url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        add = Link.add

        async def lost(link: Link, gathered: Any) -> None:
            await add(link, gathered)
            link.abandon()
            raise Lost("The answer never came.")

        async def act(database: Database) -> None:
            await new_tenant(database, 1)
            with monkeypatch.context() as patched:
                patched.setattr(Link, "add", lost)
                results = await in_one_group(database, [insertion(1), insertion(2)])
            assert [type(each) for each in results] == [Uncertain, Uncertain]
            assert await rows.count(database.reader, TABLE, 1) == 2
            assert await database.write(insertion(3)) is not None

        on(url, act)


def insertion(number: int, tenant: int = 1) -> Act:
    return lambda session: rows.insert(session, TABLE, tenant, connector(number), number)


class TestQueue:
    def test_refuses_more_than_it_may_hold_and_takes_on_again_after(
        self, url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(postgres, "_QUEUE_LIMIT", 3)

        async def act(database: Database) -> None:
            *taken, beyond = await in_one_group(database, [put(str(number)) for number in range(4)])
            assert taken == ["0", "1", "2"]
            assert isinstance(beyond, Overloaded)
            assert await database.write(put("again")) == "again"

        on(url, act)

    def test_finishes_what_is_queued_when_it_closes_and_takes_nothing_after(self, url: str) -> None:
        async def run() -> list[Any]:
            database = PostgreSQL(url)
            jobs = [asyncio.ensure_future(database.write(put(f"{number:04}"))) for number in range(700)]
            await asyncio.sleep(0)
            await database.close()
            for refused in (database.write(put("late")), database.reader.fetch(COUNT)):
                with pytest.raises(Unavailable):
                    await refused
            await database.close()
            return await asyncio.gather(*jobs)

        assert asyncio.run(run()) == [f"{number:04}" for number in range(700)]

    def test_one_transaction_writes_at_a_time_whichever_node_has_it(self, url: str) -> None:
        async def run() -> list[int]:
            nodes = [PostgreSQL(url) for _ in range(3)]
            counted = await asyncio.gather(*(nodes[at % 3].write(count_and_put(str(at))) for at in range(60)))
            for each in nodes:
                await each.close()
            return counted

        assert sorted(asyncio.run(run())) == list(range(60))


class TestReaders:
    def test_share_a_few_connections(self, url: str) -> None:
        sql = f"SELECT count(*) FROM pg_stat_activity WHERE datname = '{name_of(url)}'"

        async def run() -> None:
            database = PostgreSQL(url, readers=3)
            asked = (database.reader.fetch(Everywhere(f"{COUNT} WHERE name = ?1"), (str(at),)) for at in range(50))
            await asyncio.gather(*asked)
            ((open_,),) = await database.reader.fetch(Everywhere(sql))
            assert open_ == 3
            await database.close()

        asyncio.run(run())

    def test_one_that_is_given_up_leaves_its_place_to_others(self, url: str) -> None:
        async def run() -> None:
            database = PostgreSQL(url, readers=1)
            slow = asyncio.ensure_future(database.reader.fetch(Everywhere("SELECT pg_sleep(20)")))
            gone = asyncio.ensure_future(database.reader.fetch(COUNT))
            waits = asyncio.ensure_future(database.reader.fetch(COUNT))
            await asyncio.sleep(0.05)
            gone.cancel()
            slow.cancel()
            assert await asyncio.wait_for(waits, 5) == [(0,)]
            await database.close()

        asyncio.run(run())


class TestOneQuestionOfMany:
    def test_is_put_twice_at_most_and_answered_to_all(self, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
        asked = asks(monkeypatch)

        async def act(database: Database) -> None:
            answers = await asyncio.gather(*(database.reader.fetch(COUNT) for _ in range(50)))
            assert answers == [[(0,)]] * 50

        on(url, act)
        assert asked.count(COUNT) == 2

    def test_shows_each_what_was_kept_when_it_asked(self, url: str) -> None:
        async def write_and_look(database: Database, number: int) -> None:
            await database.write(put(str(number)))
            ((seen,),) = await database.reader.fetch(Everywhere("SELECT string_agg(name, ',') FROM settings"))
            assert str(number) in seen.split(",")

        async def act(database: Database) -> None:
            await asyncio.gather(*(write_and_look(database, number) for number in range(200)))

        on(url, act)

    def test_of_two_tenants_is_two(self, url: str) -> None:
        sql = f"SELECT id FROM {TABLE.name} WHERE ?1 > 0"

        async def act(database: Database) -> None:
            for number in (1, 2):
                await new_tenant(database, number)
                await database.write(insertion(number, tenant=number))
            everyone = Everywhere(sql)
            asked = [database.reader.fetch(each, (tenant,)) for each in (sql, everyone) for tenant in (1, 2, 1, 2)]
            own = [[(guid(1),)], [(guid(2),)]]
            found = await asyncio.gather(*asked)
            assert found[:4] == [*own, *own]
            assert [len(each) for each in found[4:]] == [2] * 4

        on(url, act)

    def test_that_fails_fails_for_all_and_is_put_again_after(self, url: str) -> None:
        async def act(database: Database) -> None:
            wrong = Everywhere("SELECT 1 / (SELECT count(*) FROM settings)")
            answers = await asyncio.gather(*(database.reader.fetch(wrong) for _ in range(5)), return_exceptions=True)
            assert len(answers) == 5
            assert all(isinstance(each, asyncpg.DivisionByZeroError) for each in answers)
            await database.write(put("a"))
            assert await database.reader.fetch(wrong) == [(1,)]

        on(url, act)


class TestWallOfTenants:
    def test_sql_without_a_condition_shows_only_the_tenants_rows(self, url: str) -> None:
        bare = f"SELECT tenant, id FROM {TABLE.name} WHERE ?1 > 0"

        async def act(database: Database) -> None:
            for number in (1, 2):
                await new_tenant(database, number)
                await database.write(insertion(number, tenant=number))
            for tenant in (1, 2, 1, 3):
                expected = [(tenant, guid(tenant))] if tenant < 3 else []
                assert await database.reader.fetch(bare, (tenant,)) == expected
                assert await database.write(lambda session, tenant=tenant: session.fetch(bare, (tenant,))) == expected  # type: ignore[misc]
            assert len(await database.reader.fetch(Everywhere(bare.replace("?1", "1")))) == 2

        on(url, act)

    def test_stands_around_the_tenants_themselves_and_the_shared_secrets_too(self, url: str) -> None:
        async def act(database: Database) -> None:
            for number in (1, 2):
                await new_tenant(database, number)
            await database.write(put("a"))
            seen = await database.reader.fetch("SELECT number FROM tenants WHERE ?1 > 0", (1,))
            others = "DELETE FROM tenants WHERE number <> ?1 RETURNING number"
            removed = await database.write(lambda session: session.fetch(others, (1,)))
            assert (seen, removed) == ([(1,)], [])
            assert await database.reader.fetch("SELECT name FROM settings WHERE ?1 > 0", (1,)) == []
            assert await names(database) == ["a"]

        on(url, act)

    def test_sql_without_a_condition_changes_only_the_tenants_rows(self, url: str) -> None:
        async def act(database: Database) -> None:
            for number in (1, 2):
                await new_tenant(database, number)
                await database.write(insertion(number, tenant=number))
            for sql in (
                f"UPDATE {TABLE.name} SET version = 'x' WHERE ?1 > 0",
                f"DELETE FROM {TABLE.name} WHERE ?1 > 0",
            ):
                await database.write(lambda session, sql=sql: session.fetch(sql, (1,)))  # type: ignore[misc]
            assert await rows.get(database.reader, TABLE, 1, guid(1)) is None
            other = await rows.get(database.reader, TABLE, 2, guid(2))
            assert other is not None
            assert other.row[-1] == "1.0"

        on(url, act)

    def test_a_row_cannot_be_put_into_another_tenant(self, url: str) -> None:
        async def act(database: Database) -> None:
            for number in (1, 2):
                await new_tenant(database, number)
            await database.write(insertion(1))
            sql = f"UPDATE {TABLE.name} SET tenant = 2 WHERE tenant = ?1"
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await database.write(lambda session: session.fetch(sql, (1,)))

        on(url, act)

    @pytest.mark.parametrize("parameters", [(), (0,), ("1",), (True,), (None,)])
    def test_a_statement_that_names_no_tenant_is_not_run(self, url: str, parameters: tuple[object, ...]) -> None:
        async def act(database: Database) -> None:
            with pytest.raises(RuntimeError, match="names its tenant"):
                await database.reader.fetch(f"SELECT 1 FROM {TABLE.name}", parameters)

        on(url, act)

    def test_a_session_that_names_no_tenant_sees_nothing(self, url: str) -> None:
        async def seen() -> int:
            connection = await asyncpg.connect(url)
            found = await connection.fetchval(f"SELECT count(*) FROM {TABLE.name}")
            await connection.close()
            return int(found)

        async def act(database: Database) -> int:
            await new_tenant(database, 1)
            await database.write(insertion(1))
            return await seen()

        assert on(url, act) == 0

    def test_stands_around_every_table_of_tenants(self, url: str, postgresql: Databases) -> None:
        found = postgresql.rows_of(
            url,
            "SELECT relname FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid AND attname = 'tenant' "
            "WHERE relkind = 'r' AND NOT (relrowsecurity AND relforcerowsecurity "
            "AND EXISTS (SELECT FROM pg_policy WHERE polrelid = pg_class.oid))",
        )
        assert found == []


class TestRights:
    @pytest.mark.parametrize("missing", ["ALL", "INSERT"])
    def test_one_that_is_missing_is_said_and_found_again(self, postgresql: Databases, url: str, missing: str) -> None:
        server, name = postgresql.server, name_of(url)

        async def act(database: Database) -> None:
            await new_tenant(database, 1)
            await asyncio.to_thread(server.run, f"REVOKE {missing} ON {TABLE.name} FROM adjoin", name)
            try:
                if missing == "ALL":
                    with pytest.raises(Lacking, match=f"lacks a right: permission denied for table {TABLE.name}"):
                        await rows.get(database.reader, TABLE, 1, guid(1))
                results = await in_one_group(database, [insertion(1), insertion(2), put("beside")])
            finally:
                await asyncio.to_thread(server.run, f"GRANT ALL ON {TABLE.name} TO adjoin", name)
            assert [type(each) for each in results] == [Lacking, Lacking, str]
            assert await database.write(insertion(1)) is not None

        on(url, act)


class TestServerThatGoes:
    @pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT])
    def test_is_said_and_found_again_without_a_restart(self, own: Databases, how: signal.Signals) -> None:
        with own.lent() as url:

            async def act(database: Database) -> None:
                await database.write(put("before"))
                assert await names(database) == ["before"]
                await asyncio.to_thread(own.server.stop, how)
                for _ in range(2):
                    with pytest.raises(Unavailable, match=r"cannot be reached|did not answer"):
                        await database.reader.fetch(COUNT)
                    with pytest.raises(Unavailable, match=r"cannot be reached|did not answer"):
                        await database.write(put("meanwhile"))
                await asyncio.to_thread(own.server.start)
                assert await names(database) == ["before"]
                assert await database.write(put("after")) == "after"

            on(url, act)

    def test_between_two_requests_is_not_noticed(self, own: Databases) -> None:
        with own.lent() as url:

            async def act(database: Database) -> None:
                await asyncio.gather(*(database.reader.fetch(Everywhere(f"SELECT {at}")) for at in range(8)))
                await database.write(put("before"))
                await asyncio.to_thread(own.server.stop)
                await asyncio.to_thread(own.server.start)
                assert await names(database) == ["before"]
                assert await database.write(put("after")) == "after"

            on(url, act)

    def test_while_a_change_is_kept_leaves_it_uncertain_and_is_not_tried_again(
        self, own: Databases, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        run = Link.run

        async def lost(link: Link, script: str) -> None:
            await run(link, script)
            if script == "COMMIT":
                link.abandon()
                raise Lost("The answer to the commit never came.")

        with own.lent() as url:

            async def act(database: Database) -> None:
                monkeypatch.setattr(Link, "run", lost)
                with pytest.raises(Uncertain):
                    await database.write(put("a"))
                monkeypatch.setattr(Link, "run", run)
                assert await names(database) == ["a"]
                assert await database.write(put("b")) == "b"

            on(url, act)

    def test_during_a_job_leaves_nothing_of_it(self, own: Databases) -> None:
        def cut(session: Session) -> Awaitable[Any]:
            return session.fetch(Everywhere("SELECT pg_terminate_backend(pg_backend_pid())"))

        async def puts_and_is_cut(session: Session) -> None:
            await session.fetch(INSERT, ("a", b""))
            await cut(session)

        with own.lent() as url:

            async def act(database: Database) -> None:
                with pytest.raises(Unavailable):
                    await database.write(puts_and_is_cut)
                assert await names(database) == []
                assert await database.write(put("b")) == "b"

            on(url, act)

    def test_that_only_reads_is_said(self, own: Databases) -> None:
        with own.lent() as url:
            own.server.execute(f"ALTER DATABASE {name_of(url)} SET default_transaction_read_only = on")

            async def act(database: Database) -> None:
                with pytest.raises(Unavailable, match="read-only"):
                    await database.write(put("a"))
                await asyncio.to_thread(
                    own.server.execute, f"ALTER DATABASE {name_of(url)} RESET default_transaction_read_only"
                )
                assert await database.write(put("b")) == "b"

            on(url, act)

    def test_that_takes_no_more_connections_is_said(self, own: Databases) -> None:
        with own.lent() as url:
            own.server.execute(f"ALTER DATABASE {name_of(url)} CONNECTION LIMIT 0")

            async def run() -> None:
                database = PostgreSQL(url)
                with pytest.raises(Unavailable, match="too many connections"):
                    await database.reader.fetch(COUNT)
                await asyncio.to_thread(own.server.execute, f"ALTER DATABASE {name_of(url)} CONNECTION LIMIT -1")
                assert await database.reader.fetch(COUNT) == [(0,)]
                await database.close()

            asyncio.run(run())


@contextlib.asynccontextmanager
async def locked(url: str) -> AsyncIterator[None]:
    """While this lasts, another node writes."""
    connection = await asyncpg.connect(url)
    await connection.execute(f"SELECT pg_advisory_lock({WRITE_LOCK})")
    yield
    await connection.close()


@pytest.mark.parametrize("kind", [gather, put])
def test_what_is_locked_is_waited_for_once_by_all_who_write(
    url: str, kind: Callable[[str], Act], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(link._SETTINGS, "lock_timeout", "200ms")
    refused, refusal = list[Exception](), Link._refusal

    def counted(of: Link, error: Exception) -> Exception:
        refused.append(error)
        return refusal(of, error)

    async def act(database: Database) -> None:
        connection = await asyncpg.connect(url)
        await connection.execute("BEGIN; LOCK TABLE settings IN SHARE MODE")
        monkeypatch.setattr(Link, "_refusal", counted)
        try:
            outcomes = await in_one_group(database, [kind(name) for name in "abcdef"])
        finally:
            await connection.close()
        assert [(type(each), "lock timeout" in str(each)) for each in outcomes] == [(link.Busy, True)] * 6
        assert [type(each) for each in refused] == [asyncpg.LockNotAvailableError]
        assert await in_one_group(database, [kind("a"), kind("b")]) == ["a", "b"]

    on(url, act)


def test_reads_do_not_wait_for_who_writes(url: str) -> None:
    async def act(database: Database) -> None:
        async with locked(url):
            write = asyncio.ensure_future(database.write(put("a")))
            assert await asyncio.wait_for(names(database), 5) == []
            assert not write.done()
        assert await write == "a"

    on(url, act)


class TestRemovalOfATenant:
    def test_and_a_create_there_do_not_wait_for_each_other(self, url: str, postgresql: Databases) -> None:
        count = "INSERT INTO change_counters (tenant, last) VALUES (1, 1) ON CONFLICT (tenant) DO UPDATE SET last = 2"
        waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"

        async def act(database: Database) -> None:
            await new_tenant(database, 1)
            other = await asyncpg.connect(url)
            for each in ("SET adjoin.tenant = '1'", count, "BEGIN", count):
                await other.execute(each)
            removal = asyncio.ensure_future(database.write(lambda session: tenants.remove(session, 1)))
            while not await asyncio.to_thread(postgresql.rows_of, url, f"{waits} HAVING count(*) > 0"):
                assert not removal.done()
            # A row of the tenant asks for the tenant's own.
            await other.execute("SELECT number FROM tenants WHERE number = 1 FOR KEY SHARE; COMMIT")
            await removal
            await other.close()
            assert await tenants.every(database.reader) == []

        on(url, act)
