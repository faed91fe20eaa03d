"""The command line: one module for each command or group, of which only the one that is called is loaded."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Final

import typer

from adjoin.odata.errors import Refusal

_COMMANDS: Final = {
    "serve": "serve.serve",
    "token": "token.token",
    "app": "app.group",
    "tenant": "tenant.group",
    "user": "user.group",
    "key": "key.group",
    "connector": "connector.group",
    "text-index": "text_index.group",
    "backup": "backup.backup",
    "restore": "backup.restore",
    "check": "check.check",
    "version": "version.version",
}
"""Each command, as help lists them: its module here, and what it is called in there."""


def command_line(arguments: Sequence[str]) -> typer.Typer:
    """The commands that these arguments may mean: the one they begin with, or all."""
    cli = typer.Typer(
        name="adjoin",
        help="A self-hosted control plane for Active Directory domain join connectors, as Microsoft Graph has them.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    cli.callback()(_together)
    meant = arguments[0] if arguments else ""
    for name in [meant] if meant in _COMMANDS else _COMMANDS:
        module, _, member = _COMMANDS[name].partition(".")
        found = getattr(import_module(f"adjoin.cli.{module}"), member)
        if isinstance(found, typer.Typer):
            cli.add_typer(found, name=name)
        else:
            cli.command(name)(found)
    return cli


def _together() -> None:
    # Without a callback, Typer would make a command that stands alone the whole program.
    pass


def main() -> None:
    """The entry point."""
    # Nothing here prints with rich, but structlog and httpx load it where they find it: a tenth of a second each start.
    sys.modules.setdefault("rich", None)  # type: ignore[arg-type]
    run(sys.argv[1:])


def run(arguments: Sequence[str]) -> None:
    """Run a command. A refusal is one line on stderr and exit code 1; wrong usage is exit code 2."""
    try:
        command_line(arguments)(arguments)
    except Refusal as refusal:
        sys.stderr.write(f"adjoin: {refusal.message}\n")
        sys.exit(1)
    except UnicodeEncodeError:
        sys.stderr.write("adjoin: an argument is not valid UTF-8.\n")
        sys.exit(1)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(1)
