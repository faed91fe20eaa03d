"""A connector that is enrolled and runs, as the Python SDK sees it."""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.clients.service import ADJOIN, Service, environment
from tests.clients.session import State, StaticToken, asking, signed_in, unique

pytestmark = pytest.mark.anyio


def machine(service: Service, folder: Path, name: str) -> dict[str, str]:
    """Enrol a machine, and give the environment in which its connector's commands run."""
    code = json.loads(service._command("connector", "invite", "--json"))["code"]
    settings = environment(ADJOIN_CONNECTOR_CONFIG=str(folder / "connector.toml"))
    command = [str(ADJOIN), "connector", "enroll", "--server", service.origin, "--code", code, "--name", name]
    done = subprocess.run(command, env=settings, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return settings


@contextlib.contextmanager
def running(settings: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    """The connector's program, from when it is active."""
    command = [str(ADJOIN), "connector", "run"]
    with subprocess.Popen(command, env=settings, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            assert any("shows this connector as active" in line for line in process.stderr)
            yield process
        finally:
            process.kill()


async def test_a_connector_is_listed_as_active_with_its_version(plain: Service, tmp_path: Path) -> None:
    name = unique("alive")
    with running(machine(plain, tmp_path, name)) as process:
        async with signed_in(plain.url, StaticToken(plain.writer)) as session:
            found = (await session.connectors.get(asking(filter=f"displayName eq '{name}'"))).value
            assert [(each.state, each.version.count(".")) for each in found] == [(State.Active, 3)]
            await session.connector(found[0].id).delete()
        # It is told so while it waits for work, and ends.
        assert process.wait(60) == 78
