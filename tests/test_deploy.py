"""The units for systemd: they run commands that there are, with options that those have."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Final

import pytest
from typer.testing import CliRunner

from adjoin.cli.main import command_line
from adjoin.connector.settings import DEFAULT

UNITS: Final = sorted((Path(__file__).parents[1] / "deploy").glob("*.service"))


def test_there_is_one_for_the_service_and_one_for_a_connector() -> None:
    assert [each.name for each in UNITS] == ["adjoin-connector.service", "adjoin.service"]


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_each_runs_a_command_with_options_of_its_own(unit: Path) -> None:
    (line,) = re.findall(r"^ExecStart=(.+)$", unit.read_text("utf-8"), re.MULTILINE)
    program, *arguments = shlex.split(line)
    assert program == "/opt/adjoin/.venv/bin/adjoin"
    command = [each for each in arguments[:2] if not each.startswith("--")]
    said = CliRunner().invoke(command_line(command), [*command, "--help"], env={"COLUMNS": "200", "TERM": "dumb"})
    assert said.exit_code == 0
    for option in (each for each in arguments if each.startswith("--")):
        assert option in said.stdout


def test_the_service_has_a_home_that_it_may_read() -> None:
    """PostgreSQL's driver fails at a home that is closed, and not at one in which there is nothing for it."""
    unit = (Path(__file__).parents[1] / "deploy" / "adjoin.service").read_text("utf-8")
    settings = dict(re.findall(r"^(\w+)=(.+)$", unit, re.MULTILINE))
    assert settings["ProtectHome"] == "yes"
    assert settings["Environment"] == f"HOME=/var/lib/{settings['StateDirectory']}"


def test_the_service_reads_the_environment_of_the_docs() -> None:
    root = Path(__file__).parents[1]
    read = re.search(r"^EnvironmentFile=-(.+)$", (root / "deploy" / "adjoin.service").read_text("utf-8"), re.MULTILINE)
    assert read is not None
    assert f"`{read[1]}`" in (root / "docs" / "operations.md").read_text("utf-8")


def test_the_connectors_account_owns_nothing_of_the_services() -> None:
    """Whoever owns a folder can put another file in place of one that is root's."""
    root = Path(__file__).parents[1]
    service, connector = (
        (root / "deploy" / f"{name}.service").read_text("utf-8") for name in ("adjoin", UNITS[0].stem)
    )
    (given,) = re.findall(r"^#   install -d -o adjoin-connector .* (/\S+)$", connector, re.MULTILINE)
    assert given == str(DEFAULT.parent)
    assert f"ReadWritePaths={given}\n" in connector
    assert f"--config {DEFAULT}\n" in connector
    assert given not in service


def test_the_service_finds_its_settings_file_beside_its_environment() -> None:
    unit = (Path(__file__).parents[1] / "deploy" / "adjoin.service").read_text("utf-8")
    assert "WorkingDirectory=-/etc/adjoin\n" in unit
    assert "`/etc/adjoin/adjoin.toml`" in (Path(__file__).parents[1] / "docs" / "operations.md").read_text("utf-8")
