"""From any PostgreSQL database to the schema that this version needs."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection
from tests.postgresql import ROLE, Databases, name_of

from adjoin.store.columns import snake
from adjoin.store.database import Unavailable, Unusable
from adjoin.store.migrate import HEAD, KNOWN
from adjoin.store.migrate_postgres import migrate
from adjoin.store.schema import METADATA
from adjoin.store.tables import ENTITY_TABLES
from adjoin.store.upgrade import configuration
from adjoin.store.upgrade_postgres import engine_of


@pytest.fixture
def url(postgresql: Databases) -> Iterator[str]:
    with postgresql.lent() as lent:
        yield lent


@pytest.fixture
def empty(postgresql: Databases) -> str:
    return postgresql.new()


def _is_of_index(difference: Any, names: set[str]) -> bool:
    return difference[0] in ("add_index", "remove_index") and difference[1].name in names


def _differences(connection: Connection) -> list[object]:
    return [*compare_metadata(MigrationContext.configure(connection, opts={"compare_type": True}), METADATA)]


def _columns(url: str, postgresql: Databases) -> set[tuple[object, ...]]:
    """All columns, with what they hold."""
    sql = "SELECT table_name, column_name, data_type, is_nullable FROM information_schema.columns"
    here = "table_schema = 'public' AND table_name <> 'alembic_version'"
    return {*postgresql.rows_of(url, f"{sql} WHERE {here}")}


async def _upgraded(url: str, revision: str) -> None:
    """Migrate to an older revision, as an older version of this program did."""

    def run(connection: Connection) -> None:
        settings = configuration()
        settings.attributes["connection"] = connection
        command.upgrade(settings, revision)

    engine = engine_of(url)
    async with engine.begin() as connection:
        await connection.run_sync(run)
    await engine.dispose()


class TestSchema:
    def test_the_migrations_make_what_is_declared(self, url: str) -> None:
        async def run() -> list[object]:
            engine = engine_of(url)
            async with engine.connect() as connection:
                found = await connection.run_sync(_differences)
            await engine.dispose()
            return found

        # That an index on what may be null is NULLS FIRST is said in the migration alone, as SQLite does not read it.
        nullable = {
            f"{table.name}_by_{snake(each.name)}"
            for table in ENTITY_TABLES
            for each in table.type.properties
            if each.nullable
        }
        differences = [each for each in asyncio.run(run()) if not _is_of_index(each, nullable)]
        assert differences == []

    def test_text_is_compared_by_its_characters_everywhere(self, url: str, postgresql: Databases) -> None:
        found = postgresql.rows_of(
            url,
            "SELECT DISTINCT collation_name FROM information_schema.columns "
            "WHERE table_schema = 'public' AND data_type = 'text'",
        )
        assert found == [("C",)]

    def test_a_migration_only_adds(self, empty: str, postgresql: Databases) -> None:
        """Nodes of the version before are at work meanwhile. The first two are older than PostgreSQL here."""
        revisions = [each for each in KNOWN if each >= "0002"]
        there: set[tuple[object, ...]] = set()
        for each in revisions:
            asyncio.run(_upgraded(empty, each))
            before, there = there, _columns(empty, postgresql)
            assert before <= there, each

    def test_what_is_there_is_counted(self, empty: str, postgresql: Databases) -> None:
        """The wall between tenants holds the role that migrates, too."""
        asyncio.run(_upgraded(empty, "0006"))
        postgresql.server.run(
            "INSERT INTO tenants (number, id, name, licence, created) "
            "SELECT n, n, n, 'active', '' FROM generate_series(1, 2) AS n;"
            "INSERT INTO domain_join_connectors (tenant, id, state, last_connection_date_time, "
            "last_connection_date_time_ticks, version, version_folded) "
            "SELECT 1 + n % 2, n, n % 3, n, n, n, n FROM generate_series(1, 12) AS n",
            name_of(empty),
        )
        asyncio.run(migrate(empty))
        kept = postgresql.rows_of(empty, "SELECT tenant, state, writer, number FROM connector_counts ORDER BY 1, 2")
        assert kept == [(tenant, state, 0, 2) for tenant in (1, 2) for state in (0, 1, 2)]


class TestMigrate:
    def test_makes_a_new_database_once(self, empty: str, postgresql: Databases) -> None:
        assert asyncio.run(migrate(empty)) is True
        assert asyncio.run(migrate(empty)) is False
        assert postgresql.rows_of(empty, "SELECT version_num FROM alembic_version") == [(HEAD,)]

    @pytest.mark.parametrize("version", ["9999", "", "0001x"])
    def test_refuses_a_database_of_a_newer_version(self, empty: str, postgresql: Databases, version: str) -> None:
        asyncio.run(migrate(empty))
        postgresql.server.run(f"UPDATE alembic_version SET version_num = '{version}'", name_of(empty))
        with pytest.raises(Unusable, match="newer"):
            asyncio.run(migrate(empty))

    @pytest.mark.parametrize("script", ["CREATE TABLE theirs (x integer)", "CREATE TABLE alembic_version (x integer)"])
    def test_refuses_a_database_of_another_program_and_leaves_it(
        self, empty: str, postgresql: Databases, script: str
    ) -> None:
        postgresql.server.run(script, name_of(empty))
        with pytest.raises(Unusable, match="another program"):
            asyncio.run(migrate(empty))
        assert postgresql.rows_of(empty, "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == [(1,)]

    def test_refuses_a_database_that_does_not_say_its_version(self, empty: str, postgresql: Databases) -> None:
        asyncio.run(migrate(empty))
        postgresql.server.run("DELETE FROM alembic_version", name_of(empty))
        with pytest.raises(Unusable, match="damaged"):
            asyncio.run(migrate(empty))

    @pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
    def test_refuses_a_database_that_does_not_take_any_text(self, postgresql: Databases, encoding: str) -> None:
        name = f"adjoin_{encoding.lower()}"
        made = f"CREATE DATABASE {name} OWNER {ROLE} TEMPLATE template0 ENCODING {encoding} LOCALE 'C'"
        postgresql.server.execute(made)
        with pytest.raises(Unusable, match=f"has the encoding {encoding}"):
            asyncio.run(migrate(postgresql.server.url(name)))
        postgresql.server.execute(f"DROP DATABASE {name}")

    def test_says_what_a_role_lacks(self, empty: str, postgresql: Databases) -> None:
        script = "ALTER SCHEMA public OWNER TO postgres; REVOKE CREATE ON SCHEMA public FROM PUBLIC"
        postgresql.server.run(script, name_of(empty))
        with pytest.raises(Unusable, match="permission denied for schema public"):
            asyncio.run(migrate(empty))

    @pytest.mark.parametrize(
        ("granted", "lacks"),
        [
            ("", "permission denied for table alembic_version"),
            ("SELECT", "permission denied for table connector_counts"),
        ],
    )
    def test_says_what_a_role_lacks_on_tables_that_are_there(
        self, empty: str, postgresql: Databases, granted: str, lacks: str
    ) -> None:
        asyncio.run(migrate(empty))
        name = name_of(empty)
        role = f"weak_{name}"
        postgresql.server.run(f"CREATE ROLE {role} LOGIN")
        if granted:
            postgresql.server.run(f"GRANT {granted} ON ALL TABLES IN SCHEMA public TO {role}", name)
        with pytest.raises(Unusable, match=rf"{role}@.* cannot be used\. The role .* lacks a right: {lacks}\.") as said:
            asyncio.run(migrate(postgresql.server.url(name, role)))
        assert "\n" not in said.value.message

    def test_says_what_keeps_it_from_a_server_and_no_password(self, tmp_path: Path) -> None:
        with pytest.raises(Unavailable, match="cannot be reached") as refused:
            asyncio.run(migrate(f"postgresql://user:secret@/d?host={tmp_path}"))
        assert "secret" not in refused.value.message
