"""Copies of a database in use, and which files pass for a database of this program."""

from __future__ import annotations

import contextlib
import stat
from pathlib import Path

import apsw
import pytest
from tests.store.opened import locked_by_another_process, rows_of

from adjoin.store import snapshot
from adjoin.store.database import Unusable
from adjoin.store.migrate import HEAD, migrate
from adjoin.store.sqlite import connect


@pytest.fixture
def path(tmp_path: Path) -> Path:
    migrate(tmp_path / "adjoin.db")
    with contextlib.closing(connect(tmp_path / "adjoin.db")) as connection:
        connection.execute("INSERT INTO settings VALUES ('kept', x'01')")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return tmp_path / "adjoin.db"


class TestTake:
    def test_holds_what_only_the_log_holds_yet(self, path: Path) -> None:
        with contextlib.closing(connect(path)) as connection:
            connection.execute("INSERT INTO settings VALUES ('new', x'02')")
            snapshot.take(path, path.with_name("copy.db"))
        assert rows_of(path.with_name("copy.db"), "SELECT name FROM settings") == [("kept",), ("new",)]

    def test_needs_no_other_file_and_is_private(self, path: Path) -> None:
        copy = path.with_name("copy.db")
        snapshot.take(path, copy)
        assert [each.name for each in path.parent.glob("copy.db*")] == ["copy.db"]
        assert stat.S_IMODE(copy.stat().st_mode) == 0o600
        assert rows_of(copy, "PRAGMA journal_mode") == [("delete",)]

    def test_waits_for_no_writer_and_holds_nothing_of_its_open_transaction(self, path: Path) -> None:
        with locked_by_another_process(path):
            snapshot.take(path, path.with_name("copy.db"))
        assert rows_of(path.with_name("copy.db"), "SELECT name FROM settings") == [("kept",)]

    def test_changes_nothing_in_the_source(self, path: Path) -> None:
        before = path.read_bytes()
        snapshot.take(path, path.with_name("copy.db"))
        assert path.read_bytes() == before

    def test_refuses_to_write_over_a_file(self, path: Path) -> None:
        path.with_name("copy.db").write_bytes(b"precious")
        with pytest.raises(Unusable, match="could not be copied"):
            snapshot.take(path, path.with_name("copy.db"))
        assert path.with_name("copy.db").read_bytes() == b"precious"

    def test_makes_no_database_where_there_is_none(self, tmp_path: Path) -> None:
        with pytest.raises(Unusable, match="There is no database"):
            snapshot.take(tmp_path / "nothing.db", tmp_path / "copy.db")
        assert list(tmp_path.iterdir()) == []


class TestExamine:
    def test_says_the_schema_and_leaves_nothing_behind(self, path: Path) -> None:
        before = sorted(path.parent.iterdir())
        assert snapshot.examine(path) == HEAD
        assert sorted(path.parent.iterdir()) == before

    def test_refuses_another_programs_database(self, tmp_path: Path) -> None:
        with contextlib.closing(apsw.Connection(str(tmp_path / "other.db"))) as connection:
            connection.execute("CREATE TABLE t (x)")
        with pytest.raises(Unusable, match="another program"):
            snapshot.examine(tmp_path / "other.db")

    @pytest.mark.parametrize("content", [b"", b"x" * 50, b"no database at all" * 100])
    def test_refuses_what_is_no_database(self, tmp_path: Path, content: bytes) -> None:
        (tmp_path / "torn.db").write_bytes(content)
        with pytest.raises(Unusable):
            snapshot.examine(tmp_path / "torn.db")

    def test_refuses_a_torn_file(self, path: Path) -> None:
        data = path.read_bytes()
        path.write_bytes(data[: len(data) // 2])
        with pytest.raises(Unusable, match="damaged"):
            snapshot.examine(path)

    def test_refuses_an_index_that_lacks_a_row(self, path: Path) -> None:
        with contextlib.closing(connect(path)) as connection:
            connection.execute("CREATE TABLE pairs (a, b)")
            connection.execute("INSERT INTO pairs VALUES (1, 2)")
            connection.execute("CREATE INDEX by_a ON pairs (a)")
            connection.execute("PRAGMA writable_schema=ON")
            connection.execute("UPDATE sqlite_schema SET sql = 'CREATE INDEX by_a ON pairs (b)' WHERE name = 'by_a'")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        with pytest.raises(Unusable, match="damaged"):
            snapshot.examine(path)

    def test_refuses_a_row_whose_parent_is_gone(self, path: Path) -> None:
        with contextlib.closing(apsw.Connection(str(path))) as connection:
            connection.execute("INSERT INTO grants VALUES (7, x'00', 'k', 's', 'c', NULL, x'00', 1, 1)")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        with pytest.raises(Unusable, match="a row of grants refers to no row of tenants"):
            snapshot.examine(path)

    def test_refuses_a_schema_of_a_newer_version(self, path: Path) -> None:
        with contextlib.closing(connect(path)) as connection:
            connection.execute("UPDATE alembic_version SET version_num = '9999'")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        with pytest.raises(Unusable, match="update adjoin"):
            snapshot.examine(path)
