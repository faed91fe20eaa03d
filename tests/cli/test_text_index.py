"""`adjoin text-index`: what it says, and that a running service takes the change up at once."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import httpx
import pytest
from tests.cli.program import adjoin, serving
from tests.cli.test_commands import Commands
from tests.conftest import data_dir

__all__ = ["Commands"]


@pytest.fixture
def commands(tmp_path: Path, keys: Path, monkeypatch: pytest.MonkeyPatch) -> Commands:
    monkeypatch.chdir(tmp_path)
    return Commands(data_dir(tmp_path / "data", keys))


def test_says_what_is(commands: Commands) -> None:
    assert commands.out("text-index", "status") == "The text index is off.\n"
    assert commands.json("text-index", "status") == {"state": "off", "rows": 0, "waiting": 0}
    assert commands.out("text-index", "on") == "The text index is on: 0 connectors in it, 0 wait to be put in.\n"
    assert commands.json("text-index", "status") == {"state": "on", "rows": 0, "waiting": 0}
    assert "ok     text index: whole" in commands.out("check", "--full")
    assert commands.out("text-index", "off") == "The text index is off.\n"
    assert "text index" not in commands.out("check", "--full")


def test_says_how_to_go_on_with_one_that_was_interrupted(commands: Commands) -> None:
    commands.out("text-index", "on")
    with sqlite3.connect(commands.folder / "adjoin.db") as connection:
        connection.execute("UPDATE settings SET value = x'6275696c64696e67' WHERE name = 'text-index'")
    connection.close()
    assert "is being made; `adjoin text-index on` goes on with it" in commands.out("text-index", "status")
    assert "The text index is on" in commands.out("text-index", "on")


def test_is_of_sqlite_alone(commands: Commands) -> None:
    said = commands.refusal("text-index", "on", "--database", "postgresql://nobody@127.0.0.1:1/nothing")
    assert said.startswith("Only the embedded database (SQLite) has a text index")


def test_a_backup_has_it_and_gives_it_back(commands: Commands) -> None:
    commands.out("text-index", "on")
    commands.out("backup", "b.tar")
    commands.out("text-index", "off")
    commands.out("restore", "b.tar", "--force")
    assert commands.json("text-index", "status")["state"] == "on"


def test_a_running_service_takes_it_up_and_lets_it_go(tmp_path: Path, keys: Path) -> None:
    folder = data_dir(tmp_path / "data", keys)
    body = {"lastConnectionDateTime": "2016-12-31T23:58:36Z", "state": "error", "version": "1.0"}
    with serving(folder) as running:
        token = adjoin("token", folder=tmp_path, ADJOIN_DATA_DIR=str(folder)).stdout.strip()
        root = f"http://127.0.0.1:{running.port}/beta/deviceManagement"
        with httpx.Client(headers={"Authorization": f"Bearer {token}"}, base_url=root) as client:
            made: list[str] = []
            for switch in ("on", "off", "on"):
                for _ in range(70):
                    made.append(f"{switch} berlin {len(made)}")
                    created = client.post("/domainJoinConnectors", json={**body, "displayName": made[-1]})
                    assert created.status_code == 201
                done = adjoin("text-index", switch, folder=tmp_path, ADJOIN_DATA_DIR=str(folder))
                assert done.returncode == 0, done.stderr
                wanted = {"$filter": "contains(displayName,'LIN 1')", "$count": "true"}
                found = client.get("/domainJoinConnectors", params=wanted).json()
                assert {each["displayName"] for each in found["value"]} == {name for name in made if "lin 1" in name}
                assert found["@odata.count"] == len(found["value"])
