"""Node, and the packages that a folder's lock file names."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest
from tests.clients.service import GIVEN

_OLDEST: Final = 20


def installed(folder: Path) -> str:
    """Put the packages of `folder`/package-lock.json beside it, unless they are there, and give the path of node."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.fail(f"the official JavaScript clients need node, {_OLDEST} or newer, and npm: install Node.js")
    version = subprocess.run([node, "--version"], check=True, capture_output=True, text=True, timeout=60).stdout
    assert int(version.lstrip("v").split(".")[0]) >= _OLDEST, (
        f"node is {version.strip()}, and has to be {_OLDEST} or newer"
    )
    locked = b"".join((folder / name).read_bytes() for name in ("package.json", "package-lock.json"))
    digest = hashlib.sha256(locked).hexdigest()
    stamp = folder / "node_modules/.of-lock"
    if not stamp.exists() or stamp.read_text("ascii") != digest:
        # The environment as it came: it may say how packages are reached here.
        command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        done = subprocess.run(
            command, cwd=folder, env=dict(GIVEN), capture_output=True, text=True, timeout=600, check=False
        )
        assert done.returncode == 0, f"npm ci: {done.stdout}{done.stderr}"
        stamp.write_text(digest, "ascii")
    return node
