"""What a command loads: no start waits for what few requests, or only other commands, need."""

from __future__ import annotations

import http.client
import json
import signal
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from tests.cli.program import environment, here, serving
from tests.conftest import data_dir
from tests.server import LIST, PUBLISHED

_PYTHON: Final = (sys.executable, "-X", "importtime", "-m", "adjoin")

# Each takes 10 to 500 ms to load.
_SELDOM: Final = {
    "adjoin.identity.certificates": "a certificate is made",
    "adjoin.odata.openapi": "somebody asks for the document",
    "adjoin.service.connections": "somebody is notified",
    "adjoin.service.restore": "a restore was interrupted",
    "alembic": "a database is older than this version",
    "argon2": "somebody signs in with a password",
    "asyncpg": "the database is PostgreSQL's",
    "httpcore": "somebody is notified",
    "httpx": "an issuer outside is asked for its keys",
    "jinja2": "somebody sees a page",
    "opentelemetry": "traces are asked for",
    "prometheus_client": "somebody reads the counts",
    "rich.console": "never: it is structlog that would load it",
    "sqlalchemy": "a database is older than this version",
}
"""What a service that answers has no use for, until what is said happens."""

_INSTALLATION: Final = {"adjoin.service.installation", "adjoin.web", "cryptography", "granian", "joserfc", "structlog"}
"""What a command that opens no installation has no use for."""


def loaded(said: Iterable[str]) -> set[str]:
    """The modules in what Python says of its imports, and the packages that they are in."""
    names = [line.rpartition("|")[2].strip() for line in said if line.startswith("import time:")]
    assert "adjoin.cli.main" in names
    return {".".join(parts[: at + 1]) for parts in (name.split(".") for name in names) for at in range(len(parts))}


def test_version_opens_nothing(tmp_path: Path) -> None:
    done = subprocess.run(
        [*_PYTHON, "version"], check=True, capture_output=True, text=True, cwd=tmp_path, env=environment()
    )
    assert sorted(loaded(done.stderr.splitlines()) & {*_SELDOM, *_INSTALLATION}) == []


def test_a_service_that_answers_has_loaded_what_that_takes(tmp_path: Path, keys: Path) -> None:
    folder = data_dir(tmp_path / "data", keys)
    token = here("token", "--data-dir", str(folder), folder=tmp_path).stdout.strip()
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    with serving(folder, program=_PYTHON) as running:
        caller = http.client.HTTPConnection("127.0.0.1", running.port, timeout=60)
        for method, target, body, status in (
            ("GET", "/readyz", None, 200),
            ("POST", LIST, json.dumps(dict(PUBLISHED)), 201),
            ("GET", f"{LIST}?$filter=state%20eq%20'error'", None, 200),
        ):
            caller.request(method, target, body, headers)
            answer = caller.getresponse()
            assert (answer.status, bool(answer.read())) == (status, True)
        caller.close()
        assert running.stop(signal.SIGTERM) == 0
    assert sorted(loaded(running.log) & _SELDOM.keys()) == []
