"""The reference of the commands is whole: each command and option that there is stands in it or in the settings."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import typer

from adjoin.cli.main import command_line

_DOCS: Final = Path(__file__).parents[2] / "docs"
_COMMANDS: Final = (_DOCS / "commands.md").read_text("utf-8")
_SETTINGS: Final = (_DOCS / "operations.md").read_text("utf-8").partition("## Settings")[2].partition("\n## ")[0]
_HELP: Final = {"--help", "-h"}


def _leaves(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    below = getattr(command, "commands", None)
    if below is None:
        yield " ".join(path), command
    for name, each in (below or {}).items():
        yield from _leaves(each, (*path, name))


ALL: Final = dict(_leaves(typer.main.get_command(command_line([]))))


def _options(command: Any) -> set[str]:
    return {word for each in command.params for word in (*each.opts, *each.secondary_opts) if word.startswith("-")}


def _words(text: str) -> set[str]:
    """The options that a text names in code."""
    return {word for code in re.findall(r"`([^`]*)`", text) for word in re.findall(r"(?<![\w-])--?[a-z][\w-]*", code)}


def test_each_command_is_in_the_reference() -> None:
    assert [name for name in ALL if not re.search(rf"`adjoin {name}[` ]", _COMMANDS)] == []


def test_no_command_in_the_reference_is_none() -> None:
    found = re.findall(r"`adjoin ([a-z-]+(?: [a-z-]+)?)", _COMMANDS)
    assert {name for name in found if name not in ALL and name.split()[0] not in ALL} == set()


@pytest.mark.parametrize("name", ALL)
def test_each_option_is_in_it(name: str) -> None:
    text = _COMMANDS + _SETTINGS if name == "serve" else _COMMANDS
    assert _options(ALL[name]) - _words(text) == set()


def test_it_names_no_option_that_there_is_not() -> None:
    known = {word for each in ALL.values() for word in _options(each)} | _HELP
    assert _words(_COMMANDS) | _words(_SETTINGS) <= known
