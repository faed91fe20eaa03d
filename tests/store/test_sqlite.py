"""The embedded database: what gathers in a group, its queue, other processes beside it, and which files it opens."""

from __future__ import annotations

import asyncio
import contextlib
import stat
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import apsw
import pytest
from tests.store.jobs import COUNT, INSERT, SETTING, Wrong, count_and_put, gather, held, in_one_group, names, put
from tests.store.opened import locked_by_another_process, on, opened, rows_of

from adjoin.store import settings, sqlite
from adjoin.store.commits import Commits
from adjoin.store.database import Database, Overloaded, Session, Unavailable, Unusable
from adjoin.store.migrate import migrate
from adjoin.store.sqlite import APPLICATION_ID, SQLite, connect
from adjoin.store.statements import ByKey, Everywhere


def put_past(path: Path, number: int) -> None:
    """A change from beside: over a connection that is none of the database's."""
    with contextlib.closing(connect(path)) as other:
        other.execute(INSERT, (f"other {number}", b""))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    migrate(tmp_path / "adjoin.db")
    return tmp_path / "adjoin.db"


class TestGroupCommit:
    @pytest.mark.parametrize("count", [1, 2, 63, 64, 65, 200])
    def test_puts_in_what_has_gathered(self, path: Path, count: int) -> None:
        async def act(database: Database) -> None:
            jobs = [gather(f"{number:03}") for number in range(count)]
            assert await in_one_group(database, jobs) == await names(database) == [f"{n:03}" for n in range(count)]

        on(path, act)

    def test_a_job_finds_what_has_gathered_before_it(self, path: Path) -> None:
        async def act(database: Database) -> None:
            jobs = [gather("a"), count_and_put("b"), gather("c"), count_and_put("d")]
            assert await in_one_group(database, jobs) == ["a", 1, "c", 3]

        on(path, act)

    def test_what_has_gathered_goes_on_gathering_beside_a_statement_apart(self, path: Path) -> None:
        async def apart(session: Session) -> int:
            session.insert(SETTING, ("a", b""))
            ((unseen,),) = await session.fetch_apart("SELECT count(*) FROM settings")
            ((seen,),) = await session.fetch("SELECT count(*) FROM settings")
            return int(seen - unseen)

        async def act(database: Database) -> None:
            assert await database.write(apart) == 1

        on(path, act)

    @pytest.mark.parametrize("at", [0, 1, 2])
    def test_a_row_that_cannot_be_put_in_hurts_no_neighbour(self, path: Path, at: int) -> None:
        async def act(database: Database) -> None:
            await database.write(put("taken"))
            jobs = [gather("a"), gather("b")]
            jobs.insert(at, gather("taken"))
            results = await in_one_group(database, jobs)
            assert isinstance(results.pop(at), Unavailable)
            assert results == ["a", "b"]
            assert await names(database) == ["a", "b", "taken"]

        on(path, act)

    def test_a_job_that_cannot_even_begin_does_not_stop_the_writer(self, path: Path) -> None:
        def broken(_: Session) -> Awaitable[None]:
            raise Wrong("before there was anything to await")

        async def act(database: Database) -> None:
            with pytest.raises(Wrong):
                await asyncio.wait_for(database.write(broken), 2)
            assert await asyncio.wait_for(database.write(put("a")), 2) == "a"

        asyncio.run(_closing_or_not(path, act))

    def test_is_on_disk_before_a_result_is_given(self, path: Path) -> None:
        async def act(database: Database) -> None:
            await database.write(put("a"))
            assert rows_of(path, "SELECT name FROM settings") == [("a",)]

        on(path, act)

    @pytest.mark.parametrize(
        ("pragma", "value"), [("journal_mode", "wal"), ("synchronous", 2), ("foreign_keys", 1), ("trusted_schema", 0)]
    )
    def test_is_as_durable_and_as_strict_as_sqlite_can_be(self, path: Path, pragma: str, value: object) -> None:
        async def act(database: Database) -> None:
            assert await database.write(lambda session: session.fetch(f"PRAGMA {pragma}")) == [(value,)]

        on(path, act)


async def _closing_or_not(path: Path, act: Callable[[Database], Awaitable[None]]) -> None:
    """Run `act` on a database that may be beyond closing by then."""
    database = SQLite(path)
    await act(database)
    await database.close()


class TestQueue:
    def test_refuses_more_than_it_may_hold_and_takes_on_again_after(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sqlite, "_QUEUE_LIMIT", 4)

        async def act(database: Database) -> None:
            async with held(database):  # this one counts, too
                taken = [asyncio.ensure_future(database.write(put(str(number)))) for number in range(3)]
                await asyncio.sleep(0)
                with pytest.raises(Overloaded):
                    await database.write(put("beyond"))
            assert await asyncio.gather(*taken) == ["0", "1", "2"]
            assert await database.write(put("again")) == "again"
            assert await names(database) == ["0", "1", "2", "again"]

        on(path, act)

    @pytest.mark.parametrize("count", [1, 40, 600])
    def test_what_came_in_one_turn_of_the_event_loop_shares_a_commit(self, path: Path, count: int) -> None:
        commits = Commits()

        async def run() -> None:
            database = SQLite(path, commits=commits)
            writes = [database.write(put(f"{number:03}")) for number in range(count)]
            assert len(await asyncio.gather(*writes)) == count
            await database.close()

        asyncio.run(run())
        # As many as may be in one.
        assert sum(commits.sizes.counts) == -(-count // sqlite._GROUP_LIMIT)

    def test_finishes_what_is_queued_when_it_closes_and_takes_nothing_after(self, path: Path) -> None:
        async def run() -> None:
            database = SQLite(path)
            jobs = [asyncio.ensure_future(database.write(put(f"{number:04}"))) for number in range(1_500)]
            await asyncio.sleep(0)
            await database.close()
            with pytest.raises(Unavailable):
                await database.write(put("late"))
            assert await asyncio.gather(*jobs) == [f"{number:04}" for number in range(1_500)]
            await database.close()

        asyncio.run(run())
        assert rows_of(path, "SELECT count(*) FROM settings") == [(1_500,)]

    def test_leaves_one_file_when_it_is_closed(self, path: Path) -> None:
        on(path, lambda database: database.write(put("a")))
        assert [each.name for each in path.parent.iterdir()] == ["adjoin.db"]


class TestBesideAnotherProcess:
    def test_reads_do_not_wait_for_an_open_write_transaction(self, path: Path) -> None:
        async def act(database: Database) -> None:
            await database.write(put("a"))
            with locked_by_another_process(path):
                started = time.monotonic()
                assert await names(database) == ["a"]
                assert time.monotonic() - started < 0.5

        on(path, act)

    def test_a_write_waits_for_its_turn(self, path: Path) -> None:
        async def act(database: Database) -> None:
            with locked_by_another_process(path):
                write = asyncio.ensure_future(database.write(put("a")))
                await asyncio.sleep(0.1)
                assert not write.done()
            assert await write == "a"

        on(path, act)

    def test_a_write_that_does_not_get_its_turn_is_refused_and_the_next_is_taken(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sqlite, "BUSY_SECONDS", 0.05)

        async def act(database: Database) -> None:
            with locked_by_another_process(path):
                results = await asyncio.gather(*(database.write(put(n)) for n in "ab"), return_exceptions=True)
                assert all(isinstance(each, Unavailable) for each in results)
            assert await database.write(put("c")) == "c"
            assert await names(database) == ["c"]

        on(path, act)

    def test_the_log_stays_when_another_process_comes_and_goes(self, path: Path) -> None:
        # To close any descriptor of a file gives up all of the process's locks on it (fcntl(2)). A process that then
        # takes itself for the last user removes the log from under this one: all that is written later goes nowhere.
        program = (
            "import sys; from pathlib import Path; from adjoin.store.sqlite import connect; "
            "c = connect(Path(sys.argv[1])); c.execute('SELECT count(*) FROM settings'); c.close()"
        )

        async def act(database: Database) -> None:
            await database.write(put("before"))
            log = path.with_name("adjoin.db-wal").stat().st_ino
            other = await asyncio.create_subprocess_exec(sys.executable, "-c", program, path)
            assert await other.wait() == 0
            await database.write(put("after"))
            assert path.with_name("adjoin.db-wal").stat().st_ino == log
            assert rows_of(path, "SELECT name FROM settings ORDER BY name") == [("after",), ("before",)]

        on(path, act)

    def test_what_it_committed_is_seen_at_once(self, path: Path) -> None:
        async def act(database: Database) -> None:
            with contextlib.closing(connect(path)) as other:
                other.execute(INSERT, ("theirs", b""))
            assert await settings.find(database.reader, "theirs") == b""

        on(path, act)


class TestTurns:
    """What is ready in one turn of the event loop is read in one transaction."""

    def test_all_reads_of_a_turn_are_of_one_state(self, path: Path) -> None:
        async def act(database: Database) -> None:
            before = await database.reader.fetch(COUNT), database.generation()
            put_past(path, 1)
            assert (await database.reader.fetch(COUNT), database.generation()) == before
            await asyncio.sleep(0)
            assert await database.reader.fetch(COUNT) == [(before[0][0][0] + 1,)]
            assert database.generation() != before[1]

        on(path, act)

    def test_what_comes_after_another_programs_change_is_told_of_it(self, path: Path) -> None:
        async def act(database: Database) -> None:
            for number in range(20):
                # Begun in this turn, before the change; what is asked behind it comes in another.
                await database.reader.fetch(COUNT)
                asyncio.get_running_loop().call_soon(put_past, path, number)
                for _ in range(2):
                    await asyncio.sleep(0)
                assert await database.reader.fetch(COUNT) == [(number + 1,)]

        on(path, act)

    def test_a_writer_finds_what_it_wrote(self, path: Path) -> None:
        async def act(database: Database) -> None:
            async def one(number: int) -> None:
                await database.reader.fetch(COUNT)
                await database.write(put(f"name {number}"))
                assert await settings.find(database.reader, f"name {number}") is not None

            for beside in (1, 7, 64):
                await asyncio.gather(*(one(beside * 1_000 + number) for number in range(beside)))

        on(path, act)

    def test_a_statement_that_fails_ends_nobody_elses_reads(self, path: Path) -> None:
        async def act(database: Database) -> None:
            await database.reader.fetch(COUNT)
            with pytest.raises(Unavailable):
                await database.reader.fetch("SELECT nothing FROM nowhere")
            assert await database.reader.fetch(COUNT) == [(0,)]
            await asyncio.sleep(0)
            assert await database.reader.fetch(COUNT) == [(0,)]

        on(path, act)

    def test_one_that_sqlite_has_ended_is_not_ended_again(self, path: Path) -> None:
        async def act(database: Database) -> None:
            heard: list[object] = []
            asyncio.get_running_loop().set_exception_handler(lambda _, context: heard.append(context))
            for _ in range(2):
                await database.reader.fetch(COUNT)
                # As SQLite does after a fault of the disk.
                await database.reader.fetch("ROLLBACK")
                for _ in range(2):
                    await asyncio.sleep(0)
            assert await database.reader.fetch(COUNT) == [(0,)]
            assert heard == []

        on(path, act)


class TestByKey:
    """Rows that are sought by key in one turn are read at its end, but for the first, by one statement."""

    NAMED = ByKey("name, length(value)", "tenant_settings", "name")

    async def _fill(self, database: Database) -> None:
        async def act(session: Session) -> None:
            await session.fetch(Everywhere("CREATE TABLE tenant_settings (tenant, name TEXT, value)"))
            for tenant in (1, 2):
                for number in range(20):
                    values = (tenant, f"{number}", bytes(number + 100 * tenant))
                    await session.fetch("INSERT INTO tenant_settings VALUES (?1, ?2, ?3)", values)

        await database.write(act)

    def test_each_is_given_its_own(self, path: Path) -> None:
        async def act(database: Database) -> None:
            await self._fill(database)
            sought = [(tenant, f"{number}") for number in (3, 19, 20, 3) for tenant in (1, 2, 3)]
            found = await asyncio.gather(*(database.reader.fetch(self.NAMED, each) for each in sought))
            assert found == [
                [] if tenant == 3 or name == "20" else [(name, int(name) + 100 * tenant)] for tenant, name in sought
            ]

        on(path, act)

    def test_a_crowd_is_answered_though_not_all_of_it_waits(self, path: Path) -> None:
        async def act(database: Database) -> None:
            await self._fill(database)
            ended: list[int] = []

            async def one(number: int) -> list[tuple[object, ...]]:
                found = await database.reader.fetch(self.NAMED, (1, f"{number % 20}"))
                ended.append(number)
                return found

            tasks = [asyncio.ensure_future(one(number)) for number in range(400)]
            await asyncio.sleep(0)
            # The first, and those beyond the 256 that wait.
            assert ended == [0, *range(257, 400)]
            found = await asyncio.gather(*tasks)
            assert found == [[(f"{number % 20}", number % 20 + 100)] for number in range(400)]

        on(path, act)

    def test_they_are_of_the_state_that_the_turn_began_with(self, path: Path) -> None:
        async def act(database: Database) -> None:
            await self._fill(database)
            await asyncio.sleep(0)
            seeking = [asyncio.ensure_future(database.reader.fetch(self.NAMED, (1, "7"))) for _ in range(3)]
            asyncio.get_running_loop().call_soon(self._change_past, path)
            assert await asyncio.gather(*seeking) == [[("7", 107)]] * 3
            assert await database.reader.fetch(self.NAMED, (1, "7")) == [("7", 0)]

        on(path, act)

    @staticmethod
    def _change_past(path: Path) -> None:
        with contextlib.closing(connect(path)) as other:
            other.execute("UPDATE tenant_settings SET value = x''")

    def test_who_gives_up_takes_nothing_from_the_others(self, path: Path) -> None:
        async def act(database: Database) -> None:
            await self._fill(database)
            seeking = [asyncio.ensure_future(database.reader.fetch(self.NAMED, (1, "7"))) for _ in range(4)]
            asyncio.get_running_loop().call_soon(seeking[2].cancel)
            found = await asyncio.gather(*seeking, return_exceptions=True)
            assert [isinstance(each, asyncio.CancelledError) for each in found] == [False, False, True, False]
            assert [each for at, each in enumerate(found) if at != 2] == [[("7", 107)]] * 3

        on(path, act)

    @pytest.mark.parametrize("count", [2, 3])
    def test_all_who_wait_hear_of_a_fault(self, path: Path, count: int) -> None:
        async def act(database: Database) -> None:
            nowhere = ByKey("name", "nowhere", "name")
            seeking = (database.reader.fetch(nowhere, (1, f"{number}")) for number in range(count))
            found = await asyncio.gather(*seeking, return_exceptions=True)
            assert [type(each) for each in found] == [Unavailable] * count
            assert await database.reader.fetch(COUNT) == [(0,)]

        on(path, act)

    def test_those_who_wait_when_the_database_is_closed_are_answered(self, path: Path) -> None:
        async def act(database: Database) -> None:
            await self._fill(database)
            seeking = [asyncio.ensure_future(database.reader.fetch(self.NAMED, (1, "7"))) for _ in range(3)]
            await asyncio.sleep(0)
            await database.close()
            assert await asyncio.gather(*seeking) == [[("7", 107)]] * 3

        on(path, act)


class TestFiles:
    def test_are_readable_by_their_owner_alone(self, path: Path) -> None:
        async def act(database: Database) -> None:
            await database.write(put("a"))
            modes = {each.name: stat.S_IMODE(each.stat().st_mode) for each in path.parent.iterdir()}
            assert modes == {"adjoin.db": 0o600, "adjoin.db-wal": 0o600, "adjoin.db-shm": 0o600}

        on(path, act)

    def test_bear_this_programs_mark(self, path: Path) -> None:
        assert rows_of(path, "PRAGMA application_id") == [(APPLICATION_ID,)]

    @pytest.mark.parametrize("mark", [0, 0x12345678])
    def test_of_another_program_are_refused_and_not_touched(self, tmp_path: Path, mark: int) -> None:
        foreign = tmp_path / "foreign.db"
        with contextlib.closing(apsw.Connection(str(foreign))) as connection:
            connection.execute(f"PRAGMA application_id={mark}")
            connection.execute("CREATE TABLE theirs (x)")
        before = foreign.read_bytes()
        with pytest.raises(Unusable, match="another program"):
            migrate(foreign)
        assert foreign.read_bytes() == before
        assert [each.name for each in tmp_path.iterdir()] == ["foreign.db"]

    @pytest.mark.parametrize(
        "content", [b"This is text, and rather long text at that.\n" * 50, b"x"], ids=["long", "short"]
    )
    def test_that_are_no_databases_are_refused_and_not_touched(self, tmp_path: Path, content: bytes) -> None:
        file = tmp_path / "notes.txt"
        file.write_bytes(content)
        with pytest.raises(Unusable):
            migrate(file)
        assert file.read_bytes() == content

    def test_that_are_damaged_are_refused(self, path: Path) -> None:
        content = bytearray(path.read_bytes())
        content[100:4_096] = b"\xff" * 3_996
        path.write_bytes(content)
        with pytest.raises(Unusable):
            migrate(path)

    def test_where_there_is_a_directory_are_refused(self, tmp_path: Path) -> None:
        with pytest.raises(Unusable, match="cannot be opened"):
            migrate(tmp_path)

    def test_in_a_directory_that_is_not_there_are_refused(self, tmp_path: Path) -> None:
        with pytest.raises(Unusable, match="cannot be opened"):
            migrate(tmp_path / "nowhere" / "adjoin.db")

    def test_with_odd_names_are_opened(self, tmp_path: Path) -> None:
        path = tmp_path / "a b?c#d%41é.db"
        on(path, lambda database: database.write(put("a")))
        assert path.exists()

    def test_may_be_opened_twice(self, path: Path) -> None:
        async def run() -> None:
            async with opened(path) as one, opened(path) as other:
                await asyncio.gather(*(each.write(put(f"{at}")) for at, each in enumerate((one, other) * 20)))
                assert len(await names(one)) == len(await names(other)) == 40

        asyncio.run(run())
