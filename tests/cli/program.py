"""`adjoin` as people and scripts run it: as a program of its own, or in this process, which is faster."""

from __future__ import annotations

import contextlib
import io
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from queue import Queue
from typing import Final
from unittest.mock import patch

from adjoin.cli import main

ADJOIN: Final = str(Path(sys.executable).parent / "adjoin")
_SECONDS: Final = 60.0
"""Longer than anything here takes: reached only where something hangs."""


def environment(**changes: str) -> dict[str, str]:
    """The environment without settings of ours, but for these."""
    usual = {name: value for name, value in os.environ.items() if not name.startswith("ADJOIN_")}
    return {**usual, **changes}


def adjoin(*arguments: str, folder: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run a command in a folder, to its end."""
    return subprocess.run(
        [ADJOIN, *arguments],
        check=False,
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        cwd=folder,
        env=environment(**settings),
    )


def here(*arguments: str, folder: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    """As `adjoin`, in this process: for all that needs none of its own."""
    out, err, code = io.StringIO(), io.StringIO(), 0
    with (
        contextlib.chdir(folder),
        patch.dict(os.environ, environment(**settings), clear=True),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            main.run(arguments)
        except SystemExit as end:
            code = int(end.code or 0)
    return subprocess.CompletedProcess(arguments, code, out.getvalue(), err.getvalue())


def installed(folder: Path) -> Path:
    """Have an installation in a data directory: commands work on one, and only a few make it."""
    made = here("token", "--data-dir", str(folder), folder=folder.parent)
    assert made.returncode == 0, made.stderr
    return folder


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(slots=True)
class Serving:
    """A running `adjoin serve`, and what it has said so far."""

    process: subprocess.Popen[str]
    port: int
    lines: Queue[str | None] = field(default_factory=Queue)
    log: list[str] = field(default_factory=list)

    def read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.log.append(line)
            self.lines.put(line)
        self.lines.put(None)

    def says(self, event: str) -> None:
        """Wait until the log says this."""
        while True:
            line = self.lines.get(timeout=_SECONDS)
            assert line is not None, f"it ended without '{event}': {''.join(self.log)}"
            if f'"event":"{event}"' in line:
                return

    def stop(self, number: int) -> int:
        """Send a signal and give the exit code."""
        self.process.send_signal(number)
        return self.process.wait(_SECONDS)


@contextlib.contextmanager
def serving(
    folder: Path, *arguments: str, program: tuple[str, ...] = (ADJOIN,), settings: Mapping[str, str] | None = None
) -> Iterator[Serving]:
    """A service with its data in `folder`, from when it listens; it is killed at the end if it still runs."""
    port = free_port()
    command = [*program, "serve", "--data-dir", str(folder), "--port", str(port), *arguments]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=folder.parent,
        env=environment(**(settings or {})),
    ) as process:
        running = Serving(process, port)
        reader = threading.Thread(target=running.read)
        reader.start()
        try:
            running.says("listening")
            yield running
        finally:
            process.kill()
            reader.join()
