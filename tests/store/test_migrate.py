"""From any database to the schema that this version needs: three ways to write the schema down, all equal."""

from __future__ import annotations

import contextlib
import re
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from tests.store.opened import rows_of

from adjoin.store import migrate as migrating
from adjoin.store.database import Unusable
from adjoin.store.migrate import HEAD, SCHEMA, migrate
from adjoin.store.schema import METADATA
from adjoin.store.sqlite import APPLICATION_ID, connect
from adjoin.store.upgrade import configuration, engine_of, upgrade

REVISIONS: Final = ScriptDirectory.from_config(configuration())


def schema(path: Path) -> dict[str, str]:
    """The statements that make a database's tables and indexes, without regard to blanks."""
    found = rows_of(path, "SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite%'")
    return {
        str(name): re.sub(r"\s+", " ", str(sql)).replace("( ", "(").replace(" )", ")").strip() for name, sql in found
    }


@pytest.fixture
def path(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    name: str = getattr(request, "param", "adjoin.db")
    return tmp_path / name


@pytest.fixture
def migrated(tmp_path: Path) -> Path:
    """What the migrations make of an empty database."""
    connect(tmp_path / "migrated.db").close()
    upgrade(tmp_path / "migrated.db")
    return tmp_path / "migrated.db"


class TestOneSchema:
    def test_the_head_is_alembics(self) -> None:
        assert REVISIONS.get_current_head() == HEAD

    def test_the_known_revisions_are_alembics(self) -> None:
        assert sorted(migrating.KNOWN) == sorted(each.revision for each in REVISIONS.walk_revisions())

    def test_the_migrations_make_what_is_declared(self, migrated: Path) -> None:
        engine = engine_of(migrated)
        with engine.connect() as connection:
            differences = compare_metadata(
                MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True}),
                METADATA,
            )
        engine.dispose()
        assert differences == []

    def test_the_schema_file_is_what_the_migrations_make(self, path: Path, migrated: Path) -> None:
        migrate(path)
        assert schema(path) == schema(migrated)
        statistics = "SELECT * FROM sqlite_stat1 ORDER BY idx"
        for sql in ("SELECT version_num FROM alembic_version", "PRAGMA application_id", statistics):
            assert rows_of(path, sql) == rows_of(migrated, sql)

    def test_every_table_is_strict(self, path: Path) -> None:
        migrate(path)
        loose = rows_of(
            path, "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'table' AND NOT strict"
        )
        assert {str(name) for (name,) in loose} <= {
            "alembic_version",
            "sqlite_schema",
            "sqlite_sequence",
            "sqlite_stat1",
            "sqlite_stat4",
        }

    def test_the_schema_file_has_one_statement_a_paragraph(self) -> None:
        # `migrate` splits it at semicolons that end a line.
        statements = [each for each in SCHEMA.read_text("utf-8").split(";\n") if each.strip()]
        assert all(sqlite3.complete_statement(f"{each};") for each in statements)


class TestMigrate:
    def test_makes_a_new_database_once(self, path: Path) -> None:
        assert migrate(path) is True
        assert migrate(path) is False

    def test_makes_a_database_of_an_empty_file(self, path: Path) -> None:
        path.touch(0o600)
        assert migrate(path) is True
        assert "domain_join_connectors" in schema(path)

    @pytest.mark.parametrize("revision", [each.revision for each in REVISIONS.walk_revisions()])
    def test_brings_every_older_database_to_the_head(self, path: Path, migrated: Path, revision: str) -> None:
        connect(path).close()
        upgrade_to(path, revision)
        assert migrate(path) is (revision != HEAD)
        assert schema(path) == schema(migrated)

    def test_keeps_the_counts_and_goes_on_counting(self, path: Path) -> None:
        connect(path).close()
        upgrade_to(path, "0006")
        add = (
            "INSERT INTO domain_join_connectors (tenant, id, state, last_connection_date_time, "
            "last_connection_date_time_ticks, version, version_folded) VALUES (1, ?1, ?2, '', 0, '', '')"
        )
        with contextlib.closing(connect(path)) as connection:
            connection.execute(
                "INSERT INTO tenants (number, id, name, licence, created) VALUES (1, 'x', 'x', 'x', 'x')"
            )
            connection.executemany(add, [("a", 0), ("b", 1), ("c", 1)])
        migrate(path)
        with contextlib.closing(connect(path)) as connection:
            connection.execute(add, ("d", 2))
            connection.execute("UPDATE domain_join_connectors SET state = 2 WHERE id = 'b'")
            connection.execute("DELETE FROM domain_join_connectors WHERE id = 'a'")
        kept = rows_of(path, "SELECT tenant, state, writer, number FROM connector_counts ORDER BY state")
        assert kept == [(1, 0, 0, 0), (1, 1, 0, 1), (1, 2, 0, 2)]

    def test_keeps_the_audit_trail_in_order_and_whole(self, path: Path) -> None:
        connect(path).close()
        upgrade_to(path, "0005")
        names = [str(name) for _, name, *_ in rows_of(path, "PRAGMA table_info(audit_events)")]
        held = {"tenant": "1", "activity_date_time_ticks": "7", "row_version": "1"}
        values = ", ".join(held.get(each, "?1 || ' " + each + "'") for each in names)
        with contextlib.closing(connect(path)) as connection:
            connection.execute(
                "INSERT INTO tenants (number, id, name, licence, created) VALUES (1, 'x', 'x', 'x', 'x')"
            )
            connection.executemany(f"INSERT INTO audit_events VALUES ({values})", [("c",), ("a",), ("b",)])
        before = rows_of(path, "SELECT * FROM audit_events ORDER BY id")
        migrate(path)
        assert rows_of(path, "SELECT * FROM audit_events ORDER BY rowid") == before
        assert len(before) == 3

    def test_an_event_of_the_audit_trail_takes_no_page_of_its_own(self, path: Path) -> None:
        migrate(path)
        ((before,),) = rows_of(path, "PRAGMA page_count")
        with contextlib.closing(connect(path)) as connection:
            connection.execute(
                "INSERT INTO tenants (number, id, name, licence, created) VALUES (1, 'x', 'x', 'x', 'x')"
            )
            connection.executemany(
                "INSERT INTO audit_events (tenant, id, activity_date_time, activity_date_time_ticks, correlation_id,"
                " resources) VALUES (1, ?1, 'now', 0, ?1, ?2)",
                [(f"{number:036}", "r" * 1_200) for number in range(300)],
            )
        ((after,),) = rows_of(path, "PRAGMA page_count")
        assert after - before < 120

    @pytest.mark.parametrize("version", ["9999", "", "0001x"])
    def test_refuses_a_database_of_a_newer_version_and_leaves_it(self, path: Path, version: str) -> None:
        migrate(path)
        with contextlib.closing(connect(path)) as connection:
            connection.execute("UPDATE alembic_version SET version_num = ?", (version,))
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        before = path.read_bytes()
        with pytest.raises(Unusable, match="newer"):
            migrate(path)
        assert path.read_bytes() == before

    def test_refuses_a_database_that_does_not_say_its_version(self, path: Path) -> None:
        migrate(path)
        with contextlib.closing(connect(path)) as connection:
            connection.execute("DELETE FROM alembic_version")
        with pytest.raises(Unusable):
            migrate(path)

    def test_leaves_nothing_of_a_schema_that_fails_half_way(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        broken = path.with_suffix(".sql")
        broken.write_text("CREATE TABLE one (x);\nCREATE TABLE one (x);\n", "utf-8")
        monkeypatch.setattr(migrating, "SCHEMA", broken)
        with pytest.raises(Unusable, match="could not be brought up to date"):
            migrate(path)
        assert schema(path) == {}

    def test_does_not_import_alembic_for_a_new_database_or_an_up_to_date_one(self, path: Path) -> None:
        program = (
            "import sys; from pathlib import Path; from adjoin.store.migrate import migrate; "
            "path = Path(sys.argv[1]); print(migrate(path), migrate(path), 'sqlalchemy' in sys.modules)"
        )
        done = subprocess.run([sys.executable, "-c", program, path], capture_output=True, text=True, check=True)
        assert done.stdout == "True False False\n"


class TestSeveralProcessesAtOnce:
    PROGRAM: Final = (
        "import sys; from pathlib import Path; from adjoin.store.migrate import migrate; "
        "sys.tracebacklimit = 0; print('ready', flush=True); sys.stdin.readline(); migrate(Path(sys.argv[1]))"
    )

    @pytest.mark.parametrize("path", [f"attempt-{number}.db" for number in range(5)], indirect=True)
    def test_all_end_up_with_the_schema(self, path: Path, migrated: Path) -> None:
        line = [sys.executable, "-c", self.PROGRAM, str(path)]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        processes = [subprocess.Popen(line, text=True, **pipes) for _ in range(4)]  # type: ignore[call-overload]
        for each in processes:
            assert each.stdout.readline() == "ready\n"
        for each in processes:
            each.stdin.write("\n")
            each.stdin.flush()
        errors = [each.communicate()[1] for each in processes]
        assert errors == [""] * 4
        assert schema(path) == schema(migrated)
        assert rows_of(path, "PRAGMA application_id") == [(APPLICATION_ID,)]
        assert rows_of(path, "SELECT version_num FROM alembic_version") == [(HEAD,)]


def upgrade_to(path: Path, revision: str) -> None:
    """Migrate to an older revision, as an older version of this program did."""
    engine = engine_of(path)
    with engine.begin() as connection:
        settings = configuration()
        settings.attributes["connection"] = connection
        command.upgrade(settings, revision)
    engine.dispose()
