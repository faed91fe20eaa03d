"""What administrators change by commands stands in the audit trail: who, what, and of what kind; never a secret."""

from __future__ import annotations

import contextlib
import getpass
import json
from pathlib import Path
from typing import Any

import apsw
import pytest
from tests.cli.test_user import Run, folder, grant, rows, run, signing

from adjoin.odata.errors import Refusal

WRITE = "DeviceManagementConfiguration.ReadWrite.All"
__all__ = ["folder", "run", "signing"]


def events(folder: Path) -> list[dict[str, Any]]:
    """The events, the first one first."""
    sql = "SELECT activity, actor, resources, component_name, activity_result FROM audit_events ORDER BY id"
    return [
        {"activity": row[0], "actor": json.loads(row[1]), "resource": json.loads(row[2])[0], "rest": row[3:]}
        for row in rows(folder, sql)
    ]


@pytest.mark.parametrize(
    ("words", "activity"),
    [
        (("disable", "ann"), "Disable User"),
        (("enable", "ann"), "Enable User"),
        (("password", "ann", "--password-stdin"), "SetPassword User"),
        (("revoke", "ann"), "Revoke User"),
        (("remove", "ann"), "Delete User"),
    ],
)
def test_changes_of_people(run: Run, folder: Path, words: tuple[str, ...], activity: str) -> None:
    made = run("user", "add", "ann", "-p", WRITE, "--password-stdin", "--json", given="first secret word\n")
    run("user", *words, given="second secret word\n")
    first, second = events(folder)
    assert (first["activity"], second["activity"]) == ("Create User", activity)
    assert first["resource"]["modifiedProperties"] == [
        {"displayName": "permissions", "oldValue": None, "newValue": WRITE}
    ]
    for each in (first, second):
        assert each["resource"]["resourceId"] == made["user_id"]
        assert each["actor"]["userPrincipalName"] == getpass.getuser()
        assert each["rest"] == ("Administration", "Success")
    assert "secret word" not in str(rows(folder, "SELECT * FROM audit_events"))


@pytest.mark.parametrize(("words", "activity"), [("revoke", "Revoke Application"), ("remove", "Delete Application")])
def test_changes_of_applications(run: Run, folder: Path, words: str, activity: str) -> None:
    made = run("app", "add", "a", "-p", WRITE, "--json")
    run("app", words, "a")
    first, second = events(folder)
    assert (first["activity"], second["activity"]) == ("Create Application", activity)
    assert second["resource"]["resourceId"] == made["client_id"]
    assert made["client_secret"] not in str(rows(folder, "SELECT * FROM audit_events"))


def test_changes_of_licences(run: Run, folder: Path) -> None:
    run("tenant", "license", "default", "warning", "--until", "2030-01-02")
    (event,) = events(folder)
    assert event["activity"] == "Patch Tenant"
    assert event["resource"]["modifiedProperties"] == [
        {"displayName": "licence", "oldValue": "active", "newValue": "warning"},
        {"displayName": "licenceEnds", "oldValue": None, "newValue": "2030-01-02T00:00:00Z"},
    ]


def test_changes_of_the_least_version_of_connectors(run: Run, folder: Path) -> None:
    run("tenant", "connector-version", "default", "6.1.0.0")
    run("tenant", "connector-version", "default", "any")
    assert [each["activity"] for each in events(folder)] == ["Patch Tenant"] * 2
    assert [each["resource"]["modifiedProperties"] for each in events(folder)] == [
        [{"displayName": "leastConnectorVersion", "oldValue": None, "newValue": "6.1.0.0"}],
        [{"displayName": "leastConnectorVersion", "oldValue": "6.1.0.0", "newValue": None}],
    ]


def test_a_new_tenant_begins_its_own_trail(run: Run, folder: Path) -> None:
    made = run("tenant", "add", "second", "--json")
    (event,) = events(folder)
    assert (event["activity"], event["resource"]["resourceId"]) == ("Create Tenant", made["tenant_id"])
    assert rows(folder, "SELECT tenant FROM audit_events") == [(2,)]
    run("tenant", "remove", "second", "--yes")
    assert events(folder) == []


def test_invitations(run: Run, folder: Path) -> None:
    made = run("connector", "invite", "--domain", "corp.example", "--json")
    (event,) = events(folder)
    assert (event["activity"], event["resource"]["displayName"]) == ("Create Invitation", "corp.example")
    assert event["resource"]["modifiedProperties"] == [
        {"displayName": "expires", "oldValue": None, "newValue": made["expires"]}
    ]
    assert made["code"] not in str(rows(folder, "SELECT * FROM audit_events"))


def test_what_is_refused_is_no_change(run: Run, folder: Path) -> None:
    run("app", "add", "a", "-p", WRITE)
    for words in (("app", "add", "a", "-p", WRITE), ("app", "revoke", "b"), ("user", "revoke", "b")):
        with pytest.raises(Refusal):
            run(*words)
    assert [each["activity"] for each in events(folder)] == ["Create Application"]


def test_what_is_revoked_counts_from_now_on(run: Run, folder: Path) -> None:
    made = run("app", "add", "a", "-p", WRITE, "--json")
    grant(folder, made["client_id"], "person")
    run("app", "revoke", made["client_id"])
    assert rows(folder, "SELECT * FROM grants") == []
    assert rows(folder, "SELECT revoked_before > 0 FROM applications") == [(1,)]


@pytest.mark.parametrize(("days", "left"), [("1", 1), ("36500", 2)])
def test_old_events_are_kept_as_long_as_is_set(
    run: Run, folder: Path, days: str, left: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("app", "add", "a", "-p", WRITE)
    # A key in the order of time, of the year 2001.
    old = "00e3c2a7-6c00-7000-8000-000000000000"
    execute(folder, f"UPDATE audit_events SET id = '{old}'")
    monkeypatch.setenv("ADJOIN_AUDIT_DAYS", days)
    run("app", "add", "b", "-p", WRITE)
    assert len(events(folder)) == left


def execute(folder: Path, sql: str) -> None:
    with contextlib.closing(apsw.Connection(str(folder / "adjoin.db"))) as connection:
        connection.execute(sql)
