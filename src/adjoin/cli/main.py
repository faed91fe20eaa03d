"""The command line: one module for each command or group, of which only the one that is called is loaded."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Final, NoReturn

if TYPE_CHECKING:
    import typer

# What loads anything is within `main`, where an interrupt is caught: it ends without a trace, as the commands do.
_INTERRUPTED: Final = 130

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
    import typer  # noqa: PLC0415 - see _INTERRUPTED

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
    try:
        _open_streams()
        # Nothing here prints with rich, but structlog and httpx load it where they find it: a tenth of a second each
        # start.
        sys.modules.setdefault("rich", None)  # type: ignore[arg-type]
        run(sys.argv[1:])
    except KeyboardInterrupt:
        sys.stderr.write("Aborted!\n")
        sys.exit(_INTERRUPTED)


def _open_streams() -> None:
    """Have all three streams, whatever the caller closed: else the next file that is opened would take the place."""
    for name, flags, mode in (("stdin", os.O_RDONLY, "r"), ("stdout", os.O_RDONLY, "w"), ("stderr", os.O_WRONLY, "w")):
        if getattr(sys, name) is None:
            # Nobody reads stdout, and what is printed may be a secret that is shown once: to write it has to fail.
            setattr(sys, name, open(os.open(os.devnull, flags), mode, encoding="utf-8"))  # noqa: SIM115 - until the end
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def run(arguments: Sequence[str]) -> None:
    """Run a command. A refusal is one line on stderr and exit code 1; wrong usage is exit code 2."""
    from adjoin.cli.output import let_go  # noqa: PLC0415 - see _INTERRUPTED
    from adjoin.odata.errors import Refusal  # noqa: PLC0415 - see _INTERRUPTED

    try:
        _check_arguments(arguments)
        try:
            command_line(arguments)(arguments)
        finally:
            let_go()
    except Refusal as refusal:
        _end(refusal.message)
    except UnicodeEncodeError:
        _end("What was given is not valid UTF-8.")
    except BrokenPipeError:
        sys.exit(1)
    except OSError as error:
        _end(f"{error.filename or 'The system'}: {error.strerror or error}.")


def _check_arguments(arguments: Sequence[str]) -> None:
    for each in arguments:
        try:
            each.encode()
        except UnicodeEncodeError:
            _end(f"The argument '{each.encode(errors='backslashreplace').decode()}' is not valid UTF-8.")


def _end(message: str) -> NoReturn:
    sys.stderr.write(f"adjoin: {message}\n")
    sys.exit(1)
