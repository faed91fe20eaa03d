"""`adjoin text-index`: what it says, and that a running service takes the change up at once."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from tests.cli.program import adjoin, installed, serving
from tests.cli.test_commands import Commands
from tests.conftest import data_dir
from tests.postgresql import Databases

__all__ = ["Commands"]


@pytest.fixture
def commands(tmp_path: Path, keys: Path, monkeypatch: pytest.MonkeyPatch) -> Commands:
    monkeypatch.chdir(tmp_path)
    return Commands(installed(data_dir(tmp_path / "data", keys)))


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, commands: Commands) -> Iterator[str]:
    """Which database `commands` have."""
    if request.param == "sqlite":
        yield request.param
        return
    databases: Databases = request.getfixturevalue("postgresql")
    with databases.lent() as url:
        monkeypatch.setenv("ADJOIN_DATABASE", url)
        yield request.param
        commands.out("text-index", "off")


@pytest.mark.usefixtures("database")
def test_says_what_is(commands: Commands) -> None:
    assert commands.out("text-index", "status") == "The text index is off.\n"
    assert commands.json("text-index", "status") == {"state": "off", "rows": 0, "waiting": 0}
    assert commands.out("text-index", "on") == "The text index is on: 0 connectors in it, 0 wait to be put in.\n"
    assert commands.json("text-index", "status") == {"state": "on", "rows": 0, "waiting": 0}
    assert "ok     text index: whole" in commands.run("check", "--full").stdout
    assert commands.out("text-index", "off") == "The text index is off.\n"
    assert "text index" not in commands.run("check", "--full").stdout


def test_says_how_to_go_on_with_one_that_was_interrupted(commands: Commands) -> None:
    commands.out("text-index", "on")
    with sqlite3.connect(commands.folder / "adjoin.db") as connection:
        connection.execute("UPDATE settings SET value = x'6275696c64696e67' WHERE name = 'text-index'")
    connection.close()
    assert "is being made; `adjoin text-index on` goes on with it" in commands.out("text-index", "status")
    assert "The text index is on" in commands.out("text-index", "on")


def test_a_backup_has_it_and_gives_it_back(commands: Commands) -> None:
    commands.out("text-index", "on")
    commands.out("backup", "b.tar")
    commands.out("text-index", "off")
    commands.out("restore", "b.tar", "--force")
    assert commands.json("text-index", "status")["state"] == "on"


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_running_service_takes_it_up_and_lets_it_go(
    tmp_path: Path, keys: Path, kind: str, request: pytest.FixtureRequest
) -> None:
    folder = data_dir(tmp_path / "data", keys)
    if kind == "sqlite":
        _takes_it_up_and_lets_it_go(folder, {})
        return
    with request.getfixturevalue("postgresql").lent() as url:
        _takes_it_up_and_lets_it_go(folder, {"ADJOIN_DATABASE": url})


def _takes_it_up_and_lets_it_go(folder: Path, settings: dict[str, str]) -> None:
    body = {"lastConnectionDateTime": "2016-12-31T23:58:36Z", "state": "error", "version": "1.0"}
    with serving(folder, settings=settings) as running:
        settings = {"ADJOIN_DATA_DIR": str(folder), **settings}
        token = adjoin("token", folder=folder.parent, **settings).stdout.strip()
        root = f"http://127.0.0.1:{running.port}/beta/deviceManagement"
        with httpx.Client(headers={"Authorization": f"Bearer {token}"}, base_url=root) as client:
            made: list[str] = []
            for switch in ("on", "off", "on", "off"):
                for _ in range(70):
                    made.append(f"{switch} berlin {len(made)}")
                    created = client.post("/domainJoinConnectors", json={**body, "displayName": made[-1]})
                    assert created.status_code == 201
                done = adjoin("text-index", switch, folder=folder.parent, **settings)
                assert done.returncode == 0, done.stderr
                wanted = {"$filter": "contains(displayName,'LIN 1')", "$count": "true"}
                found = client.get("/domainJoinConnectors", params=wanted).json()
                assert {each["displayName"] for each in found["value"]} == {name for name in made if "lin 1" in name}
                assert found["@odata.count"] == len(found["value"])
