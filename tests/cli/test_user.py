"""`adjoin user` and the sign-in options of `adjoin app`, as they are typed."""

from __future__ import annotations

import asyncio
import datetime
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID
from tests.cli.program import installed
from typer.testing import CliRunner

from adjoin.cli.main import command_line
from adjoin.identity import passwords
from adjoin.identity.keys import open_ring
from adjoin.odata.errors import Refusal
from adjoin.store import grants
from adjoin.store.database import Session
from adjoin.store.grants import Kept
from adjoin.store.sqlite import SQLite

WRITE = "DeviceManagementConfiguration.ReadWrite.All"
Run = Callable[..., Any]


@pytest.fixture(scope="module")
def signing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("signing") / "keys"
    open_ring(folder)
    return folder


@pytest.fixture
def folder(tmp_path: Path, signing: Path) -> Path:
    made = tmp_path / "data"
    made.mkdir(mode=0o700)
    shutil.copytree(signing, made / "keys")
    return installed(made)


@pytest.fixture
def run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command; gives its JSON if it printed some, else its text. Raises the refusal that it ended with."""
    monkeypatch.setattr(passwords, "hashed", lambda password: f"hash of {password}")

    def act(*arguments: str, given: str | None = None) -> Any:
        result = CliRunner().invoke(command_line(arguments), [*arguments, "--data-dir", str(folder)], input=given)
        if isinstance(result.exception, Refusal):
            raise result.exception
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout) if "--json" in arguments else result.stdout

    return act


def rows(folder: Path, sql: str) -> list[tuple[Any, ...]]:
    async def fetch() -> list[tuple[Any, ...]]:
        database = SQLite(folder / "adjoin.db")
        try:
            return await database.reader.fetch(sql)
        finally:
            await database.close()

    return asyncio.run(fetch())


def grant(folder: Path, client: str, subject: str) -> None:
    """A refresh token, as far as the commands look at it."""

    async def act(session: Session) -> None:
        new = Kept(bytes(32), grants.REFRESH, grants.READY, client, subject, b"", 1_800_000_000, 1_900_000_000)
        await grants.add(session, 1, new)

    async def whole() -> None:
        database = SQLite(folder / "adjoin.db")
        try:
            await database.write(act)
        finally:
            await database.close()

    asyncio.run(whole())


def test_people_are_added_and_listed(run: Run, folder: Path) -> None:
    made = run("user", "add", "Alice", "-p", WRITE, "--password-stdin", "--json", given="correct horse\n")
    assert set(made) == {"tenant_id", "user_id", "name"}
    assert made["name"] == "alice"
    (listed,) = run("user", "list", "--json")
    assert listed["user_id"] == made["user_id"]
    assert (listed["display_name"], listed["permissions"], listed["enabled"]) == ("Alice", [WRITE], True)
    assert rows(folder, "SELECT password_hash FROM users") == [("hash of correct horse",)]
    assert "alice" in run("user", "list")


def test_a_password_is_asked_for_twice(run: Run, folder: Path) -> None:
    shown = run("user", "add", "bob", given="correct horse\ncorrect horse\n")
    assert "correct horse" not in shown
    assert rows(folder, "SELECT password_hash FROM users") == [("hash of correct horse",)]


@pytest.mark.parametrize(
    ("arguments", "given", "said"),
    [
        (("user", "add", "Alice", "--password-stdin"), "correct horse\n", "has a person 'alice' already"),
        (("user", "add", "bob", "--password-stdin"), "short\n", "8 to 256 characters"),
        (("user", "add", "bob", "--password-stdin"), "x" * 257 + "\n", "8 to 256 characters"),
        (("user", "add", "bob", "--password-stdin"), "", "8 to 256 characters"),
        (("user", "add", "b ob", "--password-stdin"), "correct horse\n", "one word"),
        (("user", "add", "", "--password-stdin"), "correct horse\n", "one word"),
        (("user", "add", "bob", "-p", "a b", "--password-stdin"), "correct horse\n", "is no permission"),
        (("user", "remove", "bob"), None, "no person 'bob'"),
        (("user", "disable", "bob"), None, "no person 'bob'"),
        (("user", "enable", "bob"), None, "no person 'bob'"),
        (("user", "password", "bob", "--password-stdin"), "correct horse\n", "no person 'bob'"),
        (("user", "list", "--tenant", "nowhere"), None, "no tenant 'nowhere'"),
    ],
)
def test_refusals(run: Run, arguments: tuple[str, ...], given: str | None, said: str) -> None:
    run("user", "add", "alice", "--password-stdin", given="correct horse\n")
    with pytest.raises(Refusal, match=said):
        run(*arguments, given=given)


@pytest.mark.parametrize("command", ["remove", "disable", "password"])
def test_what_ends_a_person_ends_what_clients_hold(run: Run, folder: Path, command: str) -> None:
    made = run("user", "add", "alice", "--password-stdin", "--json", given="correct horse\n")
    grant(folder, "client", made["user_id"])
    more = ["--password-stdin"] if command == "password" else []
    run("user", command, "ALICE", *more, given="another horse\n")
    assert rows(folder, "SELECT * FROM grants") == []
    left = rows(folder, "SELECT enabled, revoked_before > 0, password_hash FROM users")
    assert (
        left
        == {
            "remove": [],
            "disable": [(0, 1, "hash of correct horse")],
            "password": [(1, 1, "hash of another horse")],
        }[command]
    )


def test_a_person_is_enabled_again(run: Run) -> None:
    made = run("user", "add", "alice", "--password-stdin", "--json", given="correct horse\n")
    run("user", "disable", made["user_id"])
    assert run("user", "list", "--json")[0]["enabled"] is False
    run("user", "enable", "alice@default")
    assert run("user", "list", "--json")[0]["enabled"] is True


# --- applications


def test_a_plain_application_has_a_secret(run: Run) -> None:
    assert set(run("app", "add", "a", "-p", WRITE, "--json")) == {"tenant_id", "client_id", "client_secret"}


def test_a_public_application_has_none(run: Run) -> None:
    made = run("app", "add", "a", "-p", WRITE, "--public", "--redirect-uri", "http://localhost", "--json")
    assert set(made) == {"tenant_id", "client_id"}
    (listed,) = run("app", "list", "--json")
    assert (listed["public"], listed["redirect_uris"]) == (True, ["http://localhost"])


def test_an_application_with_a_certificate_has_none(run: Run, folder: Path, tmp_path: Path) -> None:
    key = rsa.generate_private_key(65537, 2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "app")])
    start = datetime.datetime(2027, 1, 1, tzinfo=datetime.UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(7).not_valid_before(start).not_valid_after(start + datetime.timedelta(days=9))
    file = tmp_path / "app.pem"
    file.write_bytes(builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    made = run("app", "add", "a", "-p", WRITE, "--certificate", str(file), "--json")
    assert set(made) == {"tenant_id", "client_id"}
    ends = {each[0] for each in rows(folder, "SELECT expires FROM application_keys")}
    assert ends == {int((start + datetime.timedelta(days=9)).timestamp())}
    with pytest.raises(Refusal, match="not both"):
        run("app", "add", "b", "-p", WRITE, "--certificate", str(file), "--public")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--redirect-uri", "http://app.example"), "plain http is for loopback alone"),
        (("--redirect-uri", "javascript:alert(1)"), "cannot be used"),
        (("--certificate", "/nowhere.pem"), "cannot be read"),
        (("--certificate", "/dev/null"), "no certificate or public key"),
    ],
)
def test_applications_that_cannot_be(run: Run, arguments: tuple[str, ...], said: str) -> None:
    with pytest.raises(Refusal, match=said):
        run("app", "add", "a", "-p", WRITE, *arguments)


def test_a_removed_application_takes_its_grants_along(run: Run, folder: Path) -> None:
    made = run("app", "add", "a", "-p", WRITE, "--public", "--json")
    grant(folder, made["client_id"], "person")
    run("app", "remove", "a")
    assert rows(folder, "SELECT * FROM grants") == []
    with pytest.raises(Refusal, match="no application 'a'"):
        run("app", "remove", "a")
