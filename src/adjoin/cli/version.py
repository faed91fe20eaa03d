"""`adjoin version`."""

from __future__ import annotations

import platform

import apsw

from adjoin import __version__
from adjoin.cli.options import Json
from adjoin.cli.output import print_json, print_line


def version(json: Json = False) -> None:
    """Print the version."""
    if json:
        print_json({"adjoin": __version__, "python": platform.python_version(), "sqlite": apsw.sqlite_lib_version()})
    else:
        print_line(f"adjoin {__version__}")
