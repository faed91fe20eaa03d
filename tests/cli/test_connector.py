"""`adjoin connector` on both sides, as people use it: invite, enrol, run, look, leave; and what it says otherwise."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.cli.program import ADJOIN, Serving, adjoin, environment, here, serving
from tests.conftest import data_dir


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, keys: Path) -> Iterator[tuple[Path, Serving]]:
    folder = tmp_path_factory.mktemp("service")
    with serving(data_dir(folder / "data", keys)) as running:
        yield folder, running


class Machine:
    """A connector's machine, and the server's command line."""

    def __init__(self, service: tuple[Path, Serving], folder: Path) -> None:
        self.server_folder, self.serving = service
        self.folder = folder
        self.file = folder / "c.toml"
        self.settings = {"ADJOIN_CONNECTOR_CONFIG": str(self.file)}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.serving.port}"

    def on_server(self, *arguments: str) -> Any:
        done = here(*arguments, "--json", folder=self.server_folder, ADJOIN_DATA_DIR="data")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def connector(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return here("connector", *arguments, folder=self.folder, **self.settings)

    def enroll(self, *arguments: str, code: str | None = None) -> subprocess.CompletedProcess[str]:
        code = code or self.on_server("connector", "invite")["code"]
        return self.connector("enroll", "--server", self.url, "--code", code, *arguments)

    def listed(self) -> dict[str, Any]:
        """The connectors by their names."""
        return {each["name"]: each for each in self.on_server("connector", "list")}

    def running(self) -> subprocess.Popen[str]:
        """The program, from when it is active."""
        process = subprocess.Popen(
            [ADJOIN, "connector", "run"],
            stderr=subprocess.PIPE,
            text=True,
            cwd=self.folder,
            env=environment(**self.settings),
        )
        assert process.stderr is not None
        for line in process.stderr:
            if "shows this connector" in line:
                return process
        raise AssertionError("it ended")


@pytest.fixture
def machine(service: tuple[Path, Serving], tmp_path: Path) -> Machine:
    return Machine(service, tmp_path)


def test_three_commands_make_a_connector(machine: Machine) -> None:
    code = machine.on_server("connector", "invite", "--domain", "corp.example", "--expires-in", "60")["code"]
    enrolled = machine.enroll("--name", "three", code=code)
    assert (enrolled.returncode, enrolled.stderr) == (0, "")
    assert machine.file.stat().st_mode & 0o777 == 0o600
    with machine.running() as process:
        try:
            found = machine.listed()["three"]
            assert (found["state"], found["domain"], found["reasons"]) == ("active", "corp.example", None)
            assert len(found["version"].split(".")) == 4
            assert machine.connector("status").returncode == 0
            second = machine.connector("run")
            assert (second.returncode, "already" in second.stderr) == (78, True)
        finally:
            process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    stopped = machine.connector("status", "--json")
    assert (stopped.returncode, json.loads(stopped.stdout)["runs"]) == (1, False)


def test_once_checks_in_once(machine: Machine) -> None:
    machine.enroll("--name", "once")
    done = adjoin("connector", "run", "--once", folder=machine.folder, **machine.settings)
    assert (done.returncode, done.stdout) == (0, "once: active\n")


def test_leaving_removes_it_on_both_sides(machine: Machine) -> None:
    machine.enroll("--name", "leaving")
    assert "leaving" in machine.listed()
    assert machine.connector("leave").returncode == 0
    assert "leaving" not in machine.listed()
    assert "enroll" in machine.connector("leave").stderr
    assert not list(machine.folder.iterdir())


def test_an_enrolled_machine_is_not_enrolled_over(machine: Machine) -> None:
    machine.enroll("--name", "kept")
    before = machine.file.read_text()
    again = machine.enroll("--name", "other")
    assert (again.returncode, "adjoin connector leave" in again.stderr) == (1, True)
    assert machine.file.read_text() == before
    assert "other" not in machine.listed()


@pytest.mark.parametrize("code", ["x", "AAAA-AAAA-AAAA-AAAA-AAAA-AAAA-AAAA-AAAA"])
def test_a_wrong_code_is_refused_in_words(machine: Machine, code: str) -> None:
    refused = machine.enroll(code=code)
    assert (refused.returncode, "invit" in refused.stderr) == (1, True)
    assert not machine.file.exists()


def test_a_server_that_is_not_there_is_named(machine: Machine) -> None:
    code = machine.on_server("connector", "invite")["code"]
    refused = machine.connector("enroll", "--server", "http://127.0.0.1:9", "--code", code)
    assert (refused.returncode, "http://127.0.0.1:9" in refused.stderr) == (1, True)
    plain = machine.connector("enroll", "--server", "http://adjoin.example", "--code", code)
    assert (plain.returncode, "not https" in plain.stderr) == (1, True)
    # The code was used by none of them.
    assert machine.enroll(code=code).returncode == 0


def test_what_nobody_enrolled_does_not_run(machine: Machine) -> None:
    done = machine.connector("run")
    assert (done.returncode, "adjoin connector enroll" in done.stderr) == (78, True)
    assert machine.connector("status").returncode == 1


def test_the_least_version_shows_in_the_list(machine: Machine) -> None:
    tenant = machine.on_server("tenant", "add", "strict")["tenant_id"]
    set_least = here(
        "tenant", "connector-version", tenant, "99.0.0.0", folder=machine.server_folder, ADJOIN_DATA_DIR="data"
    )
    assert set_least.stdout == "strict: connectors of version 99.0.0.0 or newer\n"
    code = machine.on_server("connector", "invite", "--tenant", tenant)["code"]
    machine.enroll("--name", "old", code=code)
    done = machine.connector("run", "--once")
    assert "is older than 99.0.0.0" in done.stdout
    (found,) = machine.on_server("connector", "list", "--tenant", tenant)
    assert (found["state"], len(found["reasons"])) == ("error", 1)
    wrong = here("tenant", "connector-version", tenant, "new", folder=machine.server_folder, ADJOIN_DATA_DIR="data")
    assert (wrong.returncode, "four whole numbers" in wrong.stderr) == (1, True)
