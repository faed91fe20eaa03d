"""`adjoin serve --workers`: several processes on one address, watched, and stopped together."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import time
from pathlib import Path

from tests.faults.service import ADJOIN, LIST, Client, every_row, serving
from tests.faults.test_kill import NEW, check, load_until
from tests.postgresql import Databases


def children(pid: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii").split()]


def gone(pids: list[int], seconds: float = 30.0) -> bool:
    """Whether all these processes end in time."""
    deadline = time.monotonic() + seconds
    while any(Path(f"/proc/{each}").exists() for each in pids):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def test_sqlite_takes_one_process(tmp_path: Path) -> None:
    command = [*ADJOIN, "serve", "--data-dir", str(tmp_path / "data"), "--workers", "2"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode != 0
    assert "only with --database postgresql://" in done.stderr


def test_serve_one_address_and_lose_nothing_when_they_are_stopped(postgresql: Databases, tmp_path: Path) -> None:
    with postgresql.lent() as url:
        with serving(tmp_path / "data", url, "--workers", "2") as service:
            workers = children(service.process.pid)
            assert len(workers) == 2
            ledgers = asyncio.run(load_until(service, 1.0, service.process.terminate))
            assert service.process.wait(60) == 0
            assert gone(workers)
        with serving(tmp_path / "data", url) as again:
            check(ledgers, asyncio.run(every_row(again.port, again.token())))
    assert {each.refused for each in ledgers} <= {None, 503}


def test_one_that_is_killed_is_replaced(postgresql: Databases, tmp_path: Path) -> None:
    async def answered(port: int, token: str) -> int:
        client = Client(port, token)
        answer = await client.call("POST", LIST, {**NEW, "displayName": "x"})
        await client.close()
        return answer.status

    with postgresql.lent() as url, serving(tmp_path / "data", url, "--workers", "2") as service:
        token = service.token()
        first, second = children(service.process.pid)
        os.kill(first, signal.SIGKILL)
        while first in children(service.process.pid) or len(children(service.process.pid)) < 2:
            time.sleep(0.02)
        assert second in children(service.process.pid)
        assert [asyncio.run(answered(service.port, token)) for _ in range(8)] == [201] * 8
        workers = children(service.process.pid)
        assert service.stop() == 0
        assert gone(workers)


def test_end_when_the_process_that_watches_them_is_gone(postgresql: Databases, tmp_path: Path) -> None:
    with postgresql.lent() as url, serving(tmp_path / "data", url, "--workers", "2") as service:
        workers = children(service.process.pid)
        service.kill()
        assert gone(workers)
