"""Programs that start at once on one empty data directory end up with one installation."""

from __future__ import annotations

import base64
import json
import subprocess
from pathlib import Path

from tests.cli.program import ADJOIN, environment, here

from adjoin.identity import issuer
from adjoin.identity.keys import open_ring
from adjoin.identity.tokens import verify


def test_two_first_starts_make_one_installation(tmp_path: Path) -> None:
    command = [ADJOIN, "token", "--data-dir", "data"]
    running = [
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path, env=environment()
        )
        for _ in range(3)
    ]
    ended = [process.communicate(timeout=60) for process in running]
    assert [process.returncode for process in running] == [0, 0, 0], ended
    assert [said for _, said in ended] == ["", "", ""]
    trust = issuer.trust(open_ring(tmp_path / "data" / "keys"))
    callers = [verify(printed.strip(), trust, _now(printed)) for printed, _ in ended]
    assert len({caller.tenant_id for caller in callers}) == 1
    listed = here("tenant", "list", "--data-dir", "data", folder=tmp_path).stdout
    assert listed.count("default") == 1


def _now(token: str) -> float:
    """A time at which the token is good."""
    return float(json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))["exp"]) - 1
