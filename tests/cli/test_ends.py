"""How commands end where their surroundings are not as usual: no installation, closed streams, odd texts, no access."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest
from tests.cli.program import ADJOIN, adjoin, environment, here, installed
from tests.conftest import data_dir

from adjoin.cli import main, output

CODE: Final = "AAAA-AAAA-AAAA-AAAA-AAAA-AAAA-AAAA-AAAA"


@pytest.fixture
def folder(tmp_path: Path, keys: Path) -> Path:
    """A folder with an installation in `var`."""
    return installed(data_dir(tmp_path / "var", keys)).parent


def started_by(shell: str, folder: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    """What a line for the shell ends with; in it, `adjoin` is the program."""
    return subprocess.run(
        ["/bin/bash", "-c", f'adjoin() {{ "{ADJOIN}" "$@"; }}; {shell}'],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
        cwd=folder,
        env=environment(**settings),
    )


# --- where there is no installation


@pytest.mark.parametrize(
    "command",
    [
        ["tenant", "list"],
        ["tenant", "add", "new"],
        ["app", "add", "tool", "-p", "X"],
        ["connector", "invite"],
        ["key", "rotate"],
        ["text-index", "status"],
    ],
    ids=" ".join,
)
def test_a_command_makes_no_second_installation(tmp_path: Path, command: list[str]) -> None:
    """Run in another folder, it would hand out what no server knows."""
    ended = here(*command, folder=tmp_path)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.startswith("adjoin: There is no installation in var; name its directory with --data-dir.")
    assert not list(tmp_path.iterdir())


def test_a_data_directory_of_no_name_is_wrong_usage(tmp_path: Path) -> None:
    """Such as of a variable that is not set: it would be the working directory."""
    ended = here("token", "--data-dir", "", folder=tmp_path)
    assert (ended.returncode, "--data-dir" in ended.stderr) == (2, True)
    assert not list(tmp_path.iterdir())


def test_a_name_that_is_empty_is_not_the_first_tenant(folder: Path) -> None:
    ended = here("tenant", "license", "", "none", folder=folder)
    assert (ended.returncode, ended.stderr[:28]) == (1, "adjoin: There is no tenant '")


def test_who_is_to_be_removed_is_looked_for_before_anybody_is_asked(folder: Path) -> None:
    ended = here("tenant", "remove", "nosuch", folder=folder)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert "There is no tenant 'nosuch'" in ended.stderr


# --- streams


def test_what_was_made_and_could_not_be_shown_is_said_to_be_there(folder: Path) -> None:
    ended = started_by("adjoin app add full -p DeviceManagementConfiguration.Read.All --json >/dev/full", folder)
    assert ended.returncode == 1
    assert ended.stderr.startswith("adjoin: It was made, but cannot be shown: No space left on device.")
    assert ended.stderr.count("\n") == 1
    assert [each["name"] for each in json.loads(here("app", "list", "--json", folder=folder).stdout)] == ["full"]


@pytest.mark.parametrize(
    ("line", "code", "said"),
    [
        ("adjoin version >&-", 1, "adjoin: What there is to say cannot be written: "),
        ("adjoin version >/dev/full", 1, "adjoin: What there is to say cannot be written: No space left on device.\n"),
        ("adjoin user add ann --password-stdin <&-", 1, "adjoin: A password has 8 to 256 characters.\n"),
        ("adjoin tenant list --tenant nobody 2>&-", 2, ""),
        (
            r"printf '\xff2345678\n' | adjoin user add ann --password-stdin",
            1,
            "adjoin: The password on standard input ",
        ),
        (r"adjoin tenant add $'\xff'", 1, "adjoin: The argument '\\udcff' is not valid UTF-8.\n"),
    ],
)
def test_a_stream_or_text_that_cannot_be_used_is_one_line(folder: Path, line: str, code: int, said: str) -> None:
    ended = started_by(line, folder)
    assert (ended.returncode, ended.stdout) == (code, "")
    assert ended.stderr.startswith(said)
    assert ended.stderr.count("\n") <= 1


def test_a_reader_that_is_gone_is_told_nothing(folder: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        ended = subprocess.run(
            [ADJOIN, "tenant", "list"],
            check=False,
            stdout=writing,
            stderr=subprocess.PIPE,
            timeout=60,
            cwd=folder,
            env=environment(),
        )
    finally:
        os.close(writing)
    assert (ended.returncode, ended.stderr) == (1, b"")


def test_a_name_that_the_output_lacks_letters_for_is_still_json(folder: Path) -> None:
    ended = adjoin("tenant", "add", "名前é", "--json", folder=folder, PYTHONIOENCODING="ascii")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert json.loads(ended.stdout)["name"] == "名前é"
    table = adjoin("tenant", "list", folder=folder, PYTHONIOENCODING="ascii")
    assert (table.returncode, "\\u540d\\u524d\\xe9" in table.stdout) == (0, True)


def test_an_interrupt_while_modules_are_loaded_leaves_no_trace(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(main, "run", interrupted)
    with pytest.raises(SystemExit) as end:
        main.main()
    assert (end.value.code, capsys.readouterr().err) == (130, "Aborted!\n")


def test_the_entry_loads_nothing_that_takes_long() -> None:
    """Before it runs, an interrupt would end it with a trace."""
    told = "import sys, adjoin.cli.main; print('typer' in sys.modules, 'msgspec' in sys.modules)"
    ended = subprocess.run([sys.executable, "-c", told], check=True, capture_output=True, text=True, timeout=60)
    assert ended.stdout == "False False\n"


def test_without_a_terminal_no_password_is_asked_for(folder: Path) -> None:
    ended = subprocess.run(
        [ADJOIN, "user", "add", "ann"],
        check=False,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        cwd=folder,
        env=environment(),
        start_new_session=True,
    )
    assert (ended.returncode, "use --password-stdin" in ended.stderr) == (1, True)
    assert "Warning" not in ended.stderr


# --- names and texts


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["user", "add", "@default", "--password-stdin"], "is no sign-in name"),
        # Before anybody is asked for a password.
        (["user", "add", "@default"], "is no sign-in name"),
        (["user", "add", "77296cf7-6cf7-7729-f76c-2977f76c2977", "--password-stdin"], "not a GUID"),
        (["user", "add", "ann", "--display-name", "\x1b[2J", "--password-stdin"], "--display-name has 1 to 256"),
        (["user", "add", "ann", "--display-name", "x" * 257, "--password-stdin"], "--display-name has 1 to 256"),
        (["app", "add", "tool", "-p", "x" * 5_000], "is no permission"),
        (["token", "-p", ""], "is no permission"),
        (["token", "--no-permission", "-p", "X"], "not both"),
        (["connector", "invite", "--domain", ""], "--domain is the name of a domain"),
        (["connector", "invite", "--domain", "corp\nexample"], "--domain is the name of a domain"),
        (["connector", "invite", "--domain", "x." * 300], "--domain is the name of a domain"),
        (["backup", ""], "is a directory"),
        (["serve", "--webhook-ca", "x" * 300], "File name too long"),
        (["connector", "enroll", "--server", "https://xn--.example", "--code", CODE, "--config", "c"], "is no URL"),
        (["connector", "enroll", "--server", "https://x", "--code", CODE, "--config", ""], "is a directory"),
        (["connector", "enroll", "--server", "https://x", "--code", CODE, "--config", "var"], "is a directory"),
        (["connector", "enroll", "--server", "https://x", "--code", CODE, "--name", "a\nb"], "--name has 1 to 255"),
    ],
    ids=lambda value: " ".join(value)[:60] if isinstance(value, list) else "",
)
def test_a_text_that_could_not_be_used_or_shown_is_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch, command: list[str], said: str
) -> None:
    monkeypatch.setattr("adjoin.cli.user._line", lambda: "correct horse")
    ended = here(*command, folder=folder)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert said in ended.stderr
    assert ended.stderr.count("\n") == 1
    assert "\x1b" not in ended.stderr


def test_a_permission_that_nothing_asks_for_is_taken_and_told(folder: Path) -> None:
    """A client may want it; it may as well be a typo."""
    ended = here("app", "add", "tool", "-p", "User.Read", "--json", folder=folder)
    assert (ended.returncode, set(json.loads(ended.stdout))) == (0, {"tenant_id", "client_id", "client_secret"})
    assert "Nothing here asks for User.Read; known are " in ended.stderr
    assert "DeviceManagementConfiguration.ReadWrite.All" in ended.stderr


# --- places that may not be looked at, or are none


def test_what_may_not_be_looked_at_is_said(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As of another account; to root itself nothing is closed."""
    stat = Path.stat

    def closed(path: Path, *, follow_symlinks: bool = True) -> os.stat_result:
        if "var" in path.parts:
            raise PermissionError(13, "Permission denied", str(path))
        return stat(path, follow_symlinks=follow_symlinks)

    monkeypatch.setattr(Path, "stat", closed)
    for command in (["tenant", "list"], ["token"], ["backup", "b.tar"]):
        ended = here(*command, folder=folder)
        assert (ended.returncode, ended.stdout) == (1, "")
        assert (ended.stderr.count("\n"), "Permission denied" in ended.stderr) == (1, True)
    checked = here("check", folder=folder)
    assert (checked.returncode, checked.stderr) == (1, "")
    assert "FAULT  data directory: var cannot be looked at: Permission denied" in checked.stdout


def test_a_data_directory_that_is_a_file_is_no_directory(tmp_path: Path) -> None:
    (tmp_path / "var").touch()
    assert here("check", folder=tmp_path).stdout == "FAULT  data directory: var is no directory\n"


@pytest.mark.parametrize("spoil", ["chmod", "tear"])
def test_the_check_finds_certificates_that_could_not_be_served_or_backed_up(folder: Path, spoil: str) -> None:
    tls = folder / "var" / "tls"
    tls.mkdir(mode=0o700)
    authority = tls / "authority.pem"
    authority.touch(0o600)
    if spoil == "chmod":
        authority.chmod(0o644)
    ended = here("check", folder=folder)
    assert ended.returncode == 1
    assert "FAULT  certificates: var/tls/authority.pem: " in ended.stdout


def test_a_restore_that_is_refused_leaves_no_directory(tmp_path: Path) -> None:
    ended = here("restore", "nofile", "--data-dir", "new/data", folder=tmp_path)
    assert (ended.returncode, list(tmp_path.iterdir())) == (1, [])


def test_what_could_not_be_written_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python's own last attempt would say so once more, in its words and with its exit code."""
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        monkeypatch.setattr(sys, "stdout", full)
        output.print_line("text")
        with pytest.raises(output.Unprinted):
            output.let_go()
        full.flush()
