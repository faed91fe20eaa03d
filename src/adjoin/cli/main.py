"""The command line: one Typer application, put together from one module for each command group."""

from __future__ import annotations

import sys

import typer

from adjoin.cli import app, backup, check, connector, key, serve, tenant, text_index, token, user, version
from adjoin.odata.errors import Refusal

cli = typer.Typer(
    name="adjoin",
    help="A self-hosted control plane for Active Directory domain join connectors, as Microsoft Graph has them.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
cli.command("serve")(serve.serve)
cli.command("token")(token.token)
cli.add_typer(app.group, name="app")
cli.add_typer(tenant.group, name="tenant")
cli.add_typer(user.group, name="user")
cli.add_typer(key.group, name="key")
cli.add_typer(connector.group, name="connector")
cli.add_typer(text_index.group, name="text-index")
cli.command("backup")(backup.backup)
cli.command("restore")(backup.restore)
cli.command("check")(check.check)
cli.command("version")(version.version)


def main() -> None:
    """The entry point. A refusal is one line on stderr and exit code 1; wrong usage is exit code 2."""
    try:
        cli()
    except Refusal as refusal:
        sys.stderr.write(f"adjoin: {refusal.message}\n")
        sys.exit(1)
    except UnicodeEncodeError:
        sys.stderr.write("adjoin: an argument is not valid UTF-8.\n")
        sys.exit(1)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(1)
