"""The commands that look after tenants, applications and tokens: what they print, and how they end."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import pytest
from tests.cli.program import adjoin, here, installed
from tests.conftest import data_dir
from tests.server import GUID, NOWHERE, READ, WRITE
from typer.testing import CliRunner, Result

from adjoin import __version__
from adjoin.cli.main import command_line
from adjoin.identity import issuer
from adjoin.identity.keys import open_ring
from adjoin.identity.tokens import verify
from adjoin.odata.errors import Refusal

PERSONAL: Final = "9188040d-6c67-4c5b-b112-36a304b66dad"


class Commands:
    """The command line in this process, on one data directory."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.runner = CliRunner()

    def run(self, *arguments: str, settings: Mapping[str, str] | None = None, answer: str | None = None) -> Result:
        env = {"ADJOIN_DATA_DIR": str(self.folder), **(settings or {})}
        return self.runner.invoke(command_line(arguments), arguments, env=env, input=answer)

    def out(self, *arguments: str) -> str:
        """What a command that ends well prints on stdout."""
        result = self.run(*arguments)
        assert result.exit_code == 0, (result.output, result.exception)
        assert result.stderr == ""
        return result.stdout

    def json(self, *arguments: str) -> Any:
        return json.loads(self.out(*arguments, "--json"))

    def refusal(self, *arguments: str) -> str:
        """What a command is refused with; `main` makes one line on stderr and exit code 1 of it."""
        result = self.run(*arguments)
        assert isinstance(result.exception, Refusal), (result.output, result.exception)
        assert result.stdout == ""
        assert "\n" not in result.exception.message
        return result.exception.message


@pytest.fixture
def commands(tmp_path: Path, keys: Path, monkeypatch: pytest.MonkeyPatch) -> Commands:
    monkeypatch.chdir(tmp_path)
    return Commands(installed(data_dir(tmp_path / "data", keys)))


def claims(token: str) -> Any:
    return json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))


# --- how commands end


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["token", "--tenant", "nobody"], 1, "adjoin: There is no tenant 'nobody'; `adjoin tenant list` shows "),
        (["tenant", "license", "nobody", "none"], 1, "adjoin: There is no tenant 'nobody'"),
        (["app", "remove", "nobody"], 1, "adjoin: There is no application 'nobody'"),
        (["token", "--colour"], 2, "Usage: "),
        (["nothing"], 2, "Usage: "),
        (["app", "add"], 2, "Usage: "),
        (["app", "add", "tool"], 2, "Usage: "),
        (["tenant", "license", "default", "maybe"], 2, "Usage: "),
        (["token", "--expires-in", "soon"], 2, "Usage: "),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_refusal_is_one_line_and_wrong_usage_is_2(
    commands: Commands, arguments: list[str], code: int, said: str
) -> None:
    ended = here(*arguments, folder=commands.folder.parent, ADJOIN_DATA_DIR=str(commands.folder))
    assert (ended.returncode, ended.stdout) == (code, "")
    assert ended.stderr.startswith(said)
    assert code == 2 or ended.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [(["app", "remove", "nobody"], 1, "adjoin: There is no application 'nobody'"), (["nothing"], 2, "Usage: ")],
    ids=["refusal", "wrong usage"],
)
def test_a_program_ends_as_its_command_does(commands: Commands, arguments: list[str], code: int, said: str) -> None:
    ended = adjoin(*arguments, folder=commands.folder.parent, ADJOIN_DATA_DIR=str(commands.folder))
    assert (ended.returncode, ended.stdout) == (code, "")
    assert ended.stderr.startswith(said)


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], ["serve", "--help"], ["app", "-h"], ["tenant", "add", "-h"]])
def test_help(commands: Commands, arguments: list[str]) -> None:
    assert "Usage: " in commands.out(*arguments)


def test_version(commands: Commands) -> None:
    assert commands.out("version") == f"adjoin {__version__}\n"
    assert commands.json("version")["adjoin"] == __version__


def test_name_that_is_no_text_is_refused_in_one_line(commands: Commands) -> None:
    """A byte that is not UTF-8 reaches a program as half a surrogate pair."""
    for run, arguments in (
        (adjoin, ("tenant", "add", "\udcff")),
        (here, ("tenant", "add", "\udcff")),
        (here, ("app", "add", "\udcff", "-p", READ)),
        (here, ("token", "--tenant", "\udcff")),
    ):
        ended = run(*arguments, folder=commands.folder.parent, ADJOIN_DATA_DIR=str(commands.folder))
        assert ended.returncode in (1, 2)
        assert "Traceback" not in ended.stderr


# --- token


def test_token_is_all_that_is_printed(tmp_path: Path) -> None:
    """Also at the very first start, which makes the installation."""
    ended = adjoin("token", "--data-dir", "new", folder=tmp_path)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert re.fullmatch(r"[\w-]+\.[\w-]+\.[\w-]+\n", ended.stdout)
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o700
    assert all(path.stat().st_mode & 0o077 == 0 for path in (tmp_path / "new").rglob("*"))


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([], {"roles": [WRITE], "idtyp": "app", "aud": "https://graph.microsoft.com", "ver": "1.0"}),
        (["--permission", READ], {"roles": [READ]}),
        (["-p", READ, "-p", WRITE], {"roles": [READ, WRITE]}),
        (["--no-permission"], {"roles": []}),
        (["--delegated"], {"scp": WRITE, "idtyp": "user"}),
        (["--delegated", "--no-permission"], {"scp": ""}),
        (["--personal"], {"tid": PERSONAL, "idtyp": "user"}),
        (["--v2"], {"ver": "2.0", "aud": "00000003-0000-0000-c000-000000000000"}),
        (["--audience", "https://x"], {"aud": "https://x"}),
    ],
    ids=lambda value: " ".join(value) or "none" if isinstance(value, list) else "",
)
def test_token_says_what_was_asked_for(commands: Commands, options: list[str], expected: dict[str, object]) -> None:
    found = claims(commands.out("token", *options))
    assert {name: found[name] for name in expected} == expected


@pytest.mark.parametrize("seconds", [-1, 0, 60, 86_400])
def test_token_lasts_as_long_as_asked(commands: Commands, seconds: int) -> None:
    found = claims(commands.out("token", "--expires-in", str(seconds)))
    assert found["exp"] - found["nbf"] == 300 + max(seconds, 0)


def test_token_is_of_the_tenant_that_is_named(commands: Commands) -> None:
    tenant = commands.json("tenant", "add", "second")
    ring = open_ring(commands.folder / "keys")
    for name in ("second", tenant["tenant_id"], tenant["tenant_id"].upper()):
        token = commands.out("token", "--tenant", name).strip()
        assert verify(token, issuer.trust(ring), claims(token)["iat"]).tenant_id == tenant["tenant_id"]
    assert claims(commands.out("token"))["tid"] != tenant["tenant_id"]


# --- tenants


def test_first_start_makes_one_licensed_tenant(commands: Commands) -> None:
    (first,) = commands.json("tenant", "list")
    assert list(first) == ["tenant_id", "name", "licence", "licence_ends", "least_connector_version", "created"]
    assert (first["name"], first["licence"], first["licence_ends"]) == ("default", "active", None)
    assert re.fullmatch(GUID, first["tenant_id"])


def test_tenants_are_added_listed_and_removed(commands: Commands) -> None:
    made = commands.json("tenant", "add", "second", "--id", NOWHERE.upper(), "--licence", "none")
    assert (made["tenant_id"], made["name"], made["licence"]) == (NOWHERE, "second", "none")
    assert commands.json("tenant", "list")[1] == made
    table = commands.out("tenant", "list").splitlines()
    assert " ".join(table[0].split()) == "TENANT ID NAME LICENCE LICENCE ENDS LEAST CONNECTOR VERSION CREATED"
    assert table[2].split()[:3] == [NOWHERE, "second", "none"]
    assert commands.out("tenant", "remove", "second", "--yes") == ""
    assert len(commands.json("tenant", "list")) == 1


@pytest.mark.parametrize(("answer", "left"), [("y\n", 0), ("n\n", 1), ("", 1)])
def test_tenant_is_removed_only_when_that_is_meant(commands: Commands, answer: str, left: int) -> None:
    result = commands.run("tenant", "remove", "default", answer=answer)
    assert result.exit_code == left
    listed = commands.run("tenant", "list", "--json")
    assert len(json.loads(listed.stdout)) == left


def test_last_tenant_does_not_come_back_by_itself(commands: Commands) -> None:
    commands.out("tenant", "list")
    commands.out("tenant", "remove", "default", "-y")
    assert commands.json("tenant", "list") == []
    assert "There is no tenant yet" in commands.refusal("token")


@pytest.mark.parametrize("taken", [["default"], ["another", "--id", "{id}"]])
def test_tenant_that_is_there_already(commands: Commands, taken: list[str]) -> None:
    (first,) = commands.json("tenant", "list")
    assert "already" in commands.refusal("tenant", "add", *(each.format(id=first["tenant_id"]) for each in taken))


def test_name_of_a_tenant_cannot_be_anothers_id(commands: Commands) -> None:
    """Else a path or a command that names the one by its id could mean the other."""
    (first,) = commands.json("tenant", "list")
    commands.refusal("tenant", "add", first["tenant_id"])


@pytest.mark.parametrize("name", ["", " "])
def test_name_that_is_none(commands: Commands, name: str) -> None:
    assert commands.run("tenant", "add", name).exit_code != 0
    assert commands.run("app", "add", name, "-p", READ).exit_code != 0


def test_licence_is_set(commands: Commands) -> None:
    assert commands.out("tenant", "license", "default", "none") == "default: licence none\n"
    assert commands.json("tenant", "list")[0]["licence"] == "none"
    commands.out("tenant", "license", "default", "active")
    assert commands.json("tenant", "list")[0]["licence"] == "active"


# --- applications


def test_application_gets_a_secret_that_is_shown_once(commands: Commands) -> None:
    made = commands.json("app", "add", "tool", "--permission", READ, "-p", WRITE)
    assert list(made) == ["tenant_id", "client_id", "client_secret"]
    assert made["tenant_id"] == commands.json("tenant", "list")[0]["tenant_id"]
    listed = commands.json("app", "list")
    assert [(each["client_id"], each["name"], each["permissions"]) for each in listed] == [
        (made["client_id"], "tool", [READ, WRITE])
    ]
    assert made["client_secret"] not in commands.out("app", "list")
    assert not any(made["client_secret"].encode() in path.read_bytes() for path in commands.folder.glob("*.db*"))


def test_applications_are_of_a_tenant(commands: Commands) -> None:
    commands.out("tenant", "add", "second")
    for tenant in ("default", "second"):
        commands.out("app", "add", "tool", "-p", READ, "--tenant", tenant)
    commands.out("app", "remove", "tool", "--tenant", "second")
    assert commands.json("app", "list", "--tenant", "second") == []
    assert len(commands.json("app", "list")) == 1


def test_application_is_removed_by_name_or_client_id(commands: Commands) -> None:
    for by in ("name", "client_id"):
        commands.out("app", "add", "tool", "-p", READ)
        (listed,) = commands.json("app", "list")
        assert commands.out("app", "remove", listed[by]) == ""
        assert "no application" in commands.refusal("app", "remove", listed[by])


def test_application_that_is_there_already(commands: Commands) -> None:
    commands.out("app", "add", "tool", "-p", READ)
    assert "already" in commands.refusal("app", "add", "tool", "-p", READ)


@pytest.mark.parametrize("permission", ["", " ", "two words", "a\tb"])
def test_permission_is_one_word(commands: Commands, permission: str) -> None:
    assert "permission" in commands.refusal("app", "add", "tool", "-p", permission)


# --- settings

_TOML: Final = "data-dir = 'from-file'\n"


@pytest.mark.parametrize(
    ("arguments", "settings", "chosen"),
    [
        ([], {}, "from-file"),
        ([], {"ADJOIN_DATA_DIR": "from-environment"}, "from-environment"),
        (["--data-dir", "from-flag"], {"ADJOIN_DATA_DIR": "from-environment"}, "from-flag"),
        (["--data-dir", "from-flag"], {}, "from-flag"),
        (["--config", "other.toml"], {}, "from-other"),
        (["--config", "other.toml"], {"ADJOIN_DATA_DIR": "from-environment"}, "from-environment"),
    ],
    ids=["file", "environment", "flag over environment", "flag", "named file", "environment over named file"],
)
def test_flags_go_over_environment_over_file(
    tmp_path: Path, keys: Path, arguments: Sequence[str], settings: dict[str, str], chosen: str
) -> None:
    installed(data_dir(tmp_path / chosen, keys))
    (tmp_path / "adjoin.toml").write_text(_TOML)
    (tmp_path / "other.toml").write_text(_TOML.replace("file", "other"))
    assert here("tenant", "list", *arguments, folder=tmp_path, **settings).returncode == 0
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == [chosen]
    assert (tmp_path / chosen / "adjoin.db").exists()


def test_database_may_be_elsewhere(commands: Commands, tmp_path: Path) -> None:
    for given in (str(tmp_path / "one" / "my.db"), f"sqlite:///{tmp_path}/two/my.db"):
        assert "There is no installation in " in commands.refusal("tenant", "list", "--database", given)
        commands.out("token", "--database", given)
        commands.out("tenant", "add", "there", "--database", given)
        assert len(commands.json("tenant", "list", "--database", given)) == 2
    assert len(commands.json("tenant", "list")) == 1


# --- check


def test_check_of_a_healthy_installation(commands: Commands) -> None:
    commands.out("tenant", "list")
    assert all(line.startswith("ok ") for line in commands.out("check").splitlines())
    found = commands.json("check")
    assert found["healthy"] is True
    assert all(each["healthy"] for each in found["findings"])


@pytest.mark.parametrize(
    ("path", "mode"),
    [(".", 0o755), ("adjoin.db", 0o644), ("keys", 0o750), ("keys/key-000001.pem", 0o604)],
)
def test_check_finds_what_others_may_read(commands: Commands, path: str, mode: int) -> None:
    commands.out("tenant", "list")
    spoilt = commands.folder / path
    spoilt.chmod(mode)
    result = commands.run("check")
    assert result.exit_code == 1
    assert [line for line in result.stdout.splitlines() if line.startswith("FAULT") and str(spoilt.resolve()) in line]
    found = json.loads(commands.run("check", "--json").stdout)
    assert found["healthy"] is False


def test_check_makes_nothing(commands: Commands, tmp_path: Path) -> None:
    result = commands.run("check", "--data-dir", str(tmp_path / "nowhere"))
    assert result.exit_code == 1
    assert "FAULT" in result.stdout
    assert not (tmp_path / "nowhere").exists()


def spoil(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[4096:8192] = b"\xff" * 4096
    path.write_bytes(data)


def test_check_finds_a_damaged_database(commands: Commands) -> None:
    commands.out("tenant", "list")
    spoil(commands.folder / "adjoin.db")
    result = commands.run("check")
    assert result.exit_code == 1
    assert not result.exception or isinstance(result.exception, SystemExit)
    assert "FAULT" in result.stdout


def test_check_names_what_a_killed_restore_left(commands: Commands) -> None:
    commands.out("tenant", "list")
    (commands.folder / "keys.restoring").mkdir(mode=0o700)
    result = commands.run("check")
    assert result.exit_code == 1
    found = f"FAULT  keys.restoring: {commands.folder / 'keys.restoring'} was left by a restore that was killed"
    assert found in result.stdout
    assert result.stdout.count("FAULT") == 1


def test_check_finds_that_nobody_is_licensed(commands: Commands) -> None:
    commands.out("tenant", "license", "default", "none")
    result = commands.run("check")
    assert result.exit_code == 1
    assert "FAULT  tenants: 1, 0 with an active licence" in result.stdout
