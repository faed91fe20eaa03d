"""Flame graphs of a list and of a create under load, by py-spy, as SVG files in `.bench`."""

from __future__ import annotations

import argparse
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from benchmarks import load, scenarios

_HOME: Final = Path(__file__).parent.parent / ".bench"
_WANTED: Final = {"list of 100": "list.svg", "get": "get.svg", "create": "create.svg"}


def run(folder: Path, options: argparse.Namespace, stack: ExitStack) -> None:
    spy = _installed()
    for each in scenarios.prepare(folder, options.rows, options.seconds, stack, peers=False):
        if each.of != "adjoin" or each.kind not in _WANTED:
            continue
        file = _HOME / _WANTED[each.kind]
        command = [str(spy), "record", "--native", "--rate", "500", "--duration", str(max(1, round(options.seconds)))]
        command += ["--output", str(file), "--pid", str(each.server.process.pid)]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL):
            load.run(each.work)
        print(file)


def _installed() -> Path:
    folder = _HOME / "tools"
    if not (folder / "bin/py-spy").exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        subprocess.run([folder / "bin/python", "-m", "pip", "install", "--quiet", "py-spy"], check=True)
    return folder / "bin/py-spy"
