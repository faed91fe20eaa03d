"""The official JavaScript clients, over https: `js/*.test.js`, run by node's own test runner."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
from dataclasses import asdict
from pathlib import Path
from typing import Final

import pytest
from tests.clients.certificates import Certificates
from tests.clients.service import GIVEN, Service, environment
from tests.clients.throttle import Throttle

JS: Final = Path(__file__).parent / "js"
FILES: Final = sorted(each.name for each in JS.glob("*.test.js"))
_OLDEST: Final = 20


@pytest.fixture(scope="session")
def node() -> str:
    """Node, with the packages of js/package-lock.json beside it."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.fail(f"the official JavaScript clients need node, {_OLDEST} or newer, and npm: install Node.js")
    version = subprocess.run([node, "--version"], check=True, capture_output=True, text=True, timeout=60).stdout
    assert int(version.lstrip("v").split(".")[0]) >= _OLDEST, (
        f"node is {version.strip()}, and has to be {_OLDEST} or newer"
    )
    locked = b"".join((JS / name).read_bytes() for name in ("package.json", "package-lock.json"))
    digest = hashlib.sha256(locked).hexdigest()
    stamp = JS / "node_modules/.of-lock"
    if not stamp.exists() or stamp.read_text("ascii") != digest:
        # The environment as it came: it may say how packages are reached here.
        command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        done = subprocess.run(
            command, cwd=JS, env=dict(GIVEN), capture_output=True, text=True, timeout=600, check=False
        )
        assert done.returncode == 0, f"npm ci: {done.stdout}{done.stderr}"
        stamp.write_text(digest, "ascii")
    return node


def test_there_are_files_to_run() -> None:
    assert FILES == ["graph-client.test.js", "kiota.test.js", "sign-in.test.js"]


@pytest.mark.parametrize("file", FILES)
def test_javascript(
    file: str, node: str, secure: Service, secure_throttle: Throttle, secure_crowd: str, certs: Certificates
) -> None:
    told = environment(
        NODE_EXTRA_CA_CERTS=str(certs.authority),
        CLIENTS_ORIGIN=secure.origin,
        CLIENTS_THROTTLED_ORIGIN=secure_throttle.origin,
        CLIENTS_WRITER=secure.writer,
        CLIENTS_READER=secure.reader,
        CLIENTS_CROWD=secure_crowd,
        CLIENTS_APPLICATION=json.dumps(asdict(secure.application)),
    )
    command = [node, "--test", "--test-reporter=tap", file]
    done = subprocess.run(command, cwd=JS, env=told, capture_output=True, text=True, timeout=300, check=False)
    print(done.stdout)  # noqa: T201 - pytest shows it where a test failed
    counts = {name: int(number) for name, number in re.findall(r"^# (\w+) (\d+)$", done.stdout, re.MULTILINE)}
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"
    assert counts["pass"] == counts["tests"] > 0, f"not every test ran: {counts}"
