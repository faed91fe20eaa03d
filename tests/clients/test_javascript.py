"""The official JavaScript clients, over https: `js/*.test.js`, run by node's own test runner."""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import asdict
from pathlib import Path
from typing import Final

import pytest
from tests.clients.certificates import Certificates
from tests.clients.node import installed
from tests.clients.person import Person
from tests.clients.service import REDIRECT, Service, environment
from tests.clients.throttle import Throttle

JS: Final = Path(__file__).parent / "js"
FILES: Final = sorted(each.name for each in JS.glob("*.test.js"))


@pytest.fixture(scope="session")
def node() -> str:
    return installed(JS)


def test_there_are_files_to_run() -> None:
    assert FILES == ["graph-client.test.js", "kiota.test.js", "sign-in.test.js"]


@pytest.mark.parametrize("file", FILES)
def test_javascript(
    file: str,
    node: str,
    secure: Service,
    secure_throttle: Throttle,
    secure_crowd: str,
    certs: Certificates,
    person: Person,
) -> None:
    told = environment(
        NODE_EXTRA_CA_CERTS=str(certs.authority),
        CLIENTS_ORIGIN=secure.origin,
        CLIENTS_THROTTLED_ORIGIN=secure_throttle.origin,
        CLIENTS_WRITER=secure.writer,
        CLIENTS_READER=secure.reader,
        CLIENTS_CROWD=secure_crowd,
        CLIENTS_APPLICATION=json.dumps(asdict(secure.application)),
        CLIENTS_CERTIFIED=json.dumps(asdict(secure.certified)),
        CLIENTS_PUBLIC=json.dumps(asdict(secure.public) | {"redirect_uri": REDIRECT}),
        CLIENTS_PERSON=json.dumps({"name": person.name, "password": person.password}),
    )
    command = [node, "--test", "--test-reporter=tap", file]
    done = subprocess.run(command, cwd=JS, env=told, capture_output=True, text=True, timeout=300, check=False)
    print(done.stdout)  # noqa: T201 - pytest shows it where a test failed
    counts = {name: int(number) for name, number in re.findall(r"^# (\w+) (\d+)$", done.stdout, re.MULTILINE)}
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"
    assert counts["pass"] == counts["tests"] > 0, f"not every test ran: {counts}"
