"""`adjoin backup`, `adjoin restore` and what `adjoin check` says of the database: words, JSON and ends."""

from __future__ import annotations

import contextlib
import json
import re
from pathlib import Path
from typing import Any

import apsw
import pytest
from tests.cli.program import installed
from tests.conftest import data_dir
from tests.postgresql import Databases, name_of
from typer.testing import CliRunner, Result

from adjoin.cli.main import command_line
from adjoin.odata.errors import Refusal


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, keys: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installation in `var`, where commands look for it."""
    monkeypatch.chdir(tmp_path)
    return installed(data_dir(tmp_path / "var", keys))


def run(*arguments: str) -> Result:
    return CliRunner().invoke(command_line(arguments), arguments)


def out(*arguments: str) -> str:
    result = run(*arguments)
    assert result.exit_code == 0, (result.output, result.exception)
    return result.stdout


def refusal(*arguments: str) -> str:
    result = run(*arguments)
    assert isinstance(result.exception, Refusal), (result.output, result.exception)
    return result.exception.message


def tenants(*arguments: str) -> list[str]:
    found: list[Any] = json.loads(out("tenant", "list", "--json", *arguments))
    return [each["name"] for each in found]


def test_what_is_backed_up_comes_back(tmp_path: Path) -> None:
    out("tenant", "add", "saved")
    assert re.fullmatch(
        r"b\.tar: \d+\.\d MiB, 2 files, verified\. It holds secrets; keep it safe\.\n", out("backup", "b.tar")
    )
    out("tenant", "remove", "saved", "--yes")
    said = out("restore", "b.tar", "--force").splitlines()
    assert re.fullmatch(r"The backup of [-0-9T:]+Z is in place in var\.", said[0])
    assert len(said) == 3
    assert all(line.startswith(f"What was there before is kept as {tmp_path}/var/") for line in said[1:])
    assert tenants() == ["default", "saved"]


def test_both_print_json(tmp_path: Path) -> None:
    out("tenant", "list")
    made = json.loads(out("backup", "b.tar", "--json"))
    assert made["bytes"] == (tmp_path / "b.tar").stat().st_size
    assert made["files"] == ["adjoin.db", "keys/key-000001.pem"]
    restored = json.loads(out("restore", "b.tar", "--json", "--data-dir", "other"))
    assert restored == {
        "data_dir": "other",
        "database": "other/adjoin.db",
        "created": made["created"],
        "schema": made["schema"],
        "kept": [],
    }


def test_a_restored_installation_is_healthy() -> None:
    out("tenant", "list")
    out("backup", "b.tar")
    out("restore", "b.tar", "--data-dir", "other")
    assert "FAULT" not in out("check", "--full", "--data-dir", "other")


def test_nothing_is_replaced_unless_told() -> None:
    out("tenant", "list")
    out("backup", "b.tar")
    assert "--force replaces it" in refusal("backup", "b.tar")
    assert "--force replaces it and keeps it aside" in refusal("restore", "b.tar")


def test_there_is_nothing_to_back_up_where_nothing_is(tmp_path: Path) -> None:
    assert refusal("backup", "b.tar", "--data-dir", "nowhere") == "There is no data directory nowhere."
    assert not (tmp_path / "nowhere").exists()


def test_help_says_that_it_holds_secrets() -> None:
    assert "The file holds secrets" in out("backup", "--help")


@pytest.mark.parametrize("option", [(), ("--full",)])
def test_check_finds_rows_that_refer_to_nothing(folder: Path, option: tuple[str, ...]) -> None:
    out("tenant", "list")
    with contextlib.closing(apsw.Connection(str(folder / "adjoin.db"))) as connection:
        connection.execute("INSERT INTO grants VALUES (7, x'00', 'k', 's', 'c', NULL, x'00', 1, 1)")
    result = run("check", *option)
    assert result.exit_code == 1
    assert "FAULT  database: 1 rows refer to what is not there, the first in grants" in result.stdout


def test_only_the_full_check_finds_an_index_that_lacks_a_row(folder: Path) -> None:
    out("tenant", "list")
    with contextlib.closing(apsw.Connection(str(folder / "adjoin.db"))) as connection:
        connection.execute("CREATE TABLE pairs (a, b)")
        connection.execute("INSERT INTO pairs VALUES (1, 2)")
        connection.execute("CREATE INDEX by_a ON pairs (a)")
        connection.execute("PRAGMA writable_schema=ON")
        connection.execute("UPDATE sqlite_schema SET sql = 'CREATE INDEX by_a ON pairs (b)' WHERE name = 'by_a'")
    assert "FAULT" not in out("check")
    assert "FAULT  database: " in run("check", "--full").stdout


def test_the_check_names_a_file_beside_the_database_that_cannot_be_written(folder: Path) -> None:
    out("tenant", "list")
    beside = folder / "adjoin.db-shm"
    beside.touch(0o400)
    result = run("check")
    assert result.exit_code == 1
    assert "FAULT  adjoin.db-shm: " in result.stdout
    assert "chmod u+w" in result.stdout


def test_a_backup_that_is_not_there_is_what_is_told(folder: Path) -> None:
    out("tenant", "list")
    said = refusal("restore", "nofile.tar")
    assert "nofile.tar" in said
    assert "--force" not in said


def test_the_check_finds_that_no_changes_are_taken(postgresql: Databases) -> None:
    with postgresql.lent() as url:
        out("tenant", "list", "--database", url)
        assert "ok     writing: the database takes changes" in run("check", "--database", url).stdout
        postgresql.server.execute(f"ALTER DATABASE {name_of(url)} SET default_transaction_read_only = on")
        result = run("check", "--database", url)
        postgresql.server.execute(f"ALTER DATABASE {name_of(url)} RESET default_transaction_read_only")
        assert result.exit_code == 1
        assert "FAULT  writing: " in result.stdout
        assert "read-only" in result.stdout


def test_only_the_full_check_finds_counts_that_are_wrong_and_a_recount_mends_them(folder: Path) -> None:
    out("tenant", "list")
    with contextlib.closing(apsw.Connection(str(folder / "adjoin.db"))) as connection:
        connection.execute("INSERT INTO connector_counts SELECT number, 1, 0, 5 FROM tenants")
    assert "counts" not in out("check")
    result = run("check", "--full")
    assert result.exit_code == 1
    assert "FAULT  counts: 1 are not those of the rows; put them right: adjoin check --recount" in result.stdout
    assert "ok     counts: those of the rows" in out("check", "--recount")
    assert "ok     counts: those of the rows" in out("check", "--full")
