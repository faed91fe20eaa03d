"""`adjoin serve --workers`: several processes on one address, watched, and stopped together."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.faults.service import ADJOIN, LIST, Client, every_row, serving
from tests.faults.test_kill import NEW, check, load_until
from tests.postgresql import ROLE, Databases


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


def until(done: Callable[[], bool], seconds: float = 60.0) -> None:
    """Wait for something that comes about in time, however slow the machine is."""
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.02)


WATCHED = """
import functools, os, select, signal, subprocess, sys
from adjoin.cli import logs, workers
from adjoin.odata.errors import Refusal

logs.configure("info", "json")
workers._PAUSE = 0.01

def stay(tie):
    select.select([tie.leash], [], [])

def say(text):
    os.write(1, (text + "\\n").encode())

{script}
sys.exit(workers.Workers(2, work).run())
"""


@contextmanager
def watching(script: str) -> Iterator[subprocess.Popen[str]]:
    """A process that watches two workers, which do what `work` in this script does."""
    command = [sys.executable, "-c", WATCHED.format(script=script)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def heard(process: subprocess.Popen[str], what: str, times: int = 1) -> str:
    """Read what the process and its workers say until this was among it so often; gives all of it."""
    said = ""
    assert process.stdout is not None
    while said.count(what) < times:
        line = process.stdout.readline()
        assert line, f"it ended without '{what}': {said}"
        said += line
    return said


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


def test_one_that_cannot_start_again_takes_none_of_the_others_with_it(postgresql: Databases, tmp_path: Path) -> None:
    log = (tmp_path / "data").with_suffix(".log")
    with postgresql.lent() as url, serving(tmp_path / "data", url, "--workers", "2") as service:
        first, second = children(service.process.pid)
        postgresql.server.execute(f"ALTER ROLE {ROLE} NOLOGIN")
        try:
            begun = time.monotonic()
            os.kill(first, signal.SIGKILL)
            until(lambda: log.read_text().count('"event":"worker ended"') >= 5)
            assert time.monotonic() - begun >= 0.1 + 0.2 + 0.4 + 0.8
            assert "cannot be reached: role" in log.read_text()
        finally:
            postgresql.server.execute(f"ALTER ROLE {ROLE} LOGIN")
        until(lambda: log.read_text().count('"event":"listening"') >= 3)
        assert second in children(service.process.pid)
        assert service.stop() == 0


def test_one_that_ends_again_and_again_is_tried_again_and_again() -> None:
    """However long that has gone on: a pause that only doubled would be past all numbers."""
    script = """
workers._LONGEST_PAUSE = 0.01
workers._Worker = functools.partial(workers._Worker, failed=1_100)
served, serves = os.pipe()

def work(tie):
    if tie.number == 0:
        tie.serves()
        os.write(serves, bytes(100))
        stay(tie)
    else:
        os.read(served, 1)
        sys.exit(5)
"""
    with watching(script) as process:
        heard(process, '{"worker":1,"code":5,"event":"worker ended"', 6)
        process.terminate()
        said, _ = process.communicate(timeout=60)
    assert process.returncode == 0, said


def test_signal_ends_the_pause_before_another_try() -> None:
    script = """
workers._PAUSE = workers._LONGEST_PAUSE = 3_600.0

def work(tie):
    sys.exit(5)
"""
    with watching(script) as process:
        heard(process, "worker ended", 2)
        process.terminate()
        assert process.wait(60) == 0


def test_none_that_ever_served_ends_it_all() -> None:
    with watching("def work(_): raise Refusal('Nothing can be served.')") as process:
        said, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "workers end as soon as they start; giving up" in said


def test_reason_is_logged() -> None:
    script = """
def work(tie):
    if tie.number == 0:
        raise Refusal("Nothing can be served.")
    raise RuntimeError("it broke")
"""
    with watching(script) as process:
        said, _ = process.communicate(timeout=60)
    assert '{"worker":0,"reason":"Nothing can be served.","event":"worker cannot serve","level":"error"' in said
    fault = next(line for line in said.splitlines() if '"event":"fault"' in line)
    assert "Traceback" in fault
    assert "RuntimeError: it broke" in fault


MOMENTS = {
    "reaped": """
def telling(wait):
    def told(*given):
        found = wait(*given)
        if found[0]:
            os.kill(os.getpid(), signal.{number})
        return found
    return told

os.wait, os.waitpid = telling(os.wait), telling(os.waitpid)
""",
    "logged": """
class Log:
    def error(self, event, **_):
        say(event)
        os.kill(os.getpid(), signal.{number})

workers._LOG = Log()
""",
    "forked": """
fork = os.fork

def told():
    pid = fork()
    if pid and first and not os.path.exists(f"/proc/{{first[0]}}"):
        os.kill(os.getpid(), signal.{number})
    first.append(pid)
    return pid

first, os.fork = [], told
""",
}
"""Between the end of a worker and the start of the next: what sends the watching process a signal then."""


@pytest.mark.parametrize("moment", MOMENTS)
def test_told_to_stop_while_a_worker_is_replaced(moment: str) -> None:
    script = MOMENTS[moment].format(number="SIGTERM") + "\ndef work(tie): say('up'); stay(tie)"
    with watching(script) as process:
        heard(process, "up", 2)
        os.kill(children(process.pid)[0], signal.SIGKILL)
        said, _ = process.communicate(timeout=60)
    assert process.returncode == 0, said


@pytest.mark.parametrize("moment", MOMENTS)
def test_told_to_look_again_while_a_worker_is_replaced(moment: str) -> None:
    script = (
        MOMENTS[moment].format(number="SIGHUP")
        + """
def work(tie):
    signal.signal(signal.SIGHUP, lambda *_: say("looks"))
    tie.serves()
    say("up")
    stay(tie)
"""
    )
    with watching(script) as process:
        heard(process, "up", 2)
        os.kill(children(process.pid)[0], signal.SIGKILL)
        heard(process, "looks")
        until(lambda: len(children(process.pid)) == 2)
        process.terminate()
        said, _ = process.communicate(timeout=60)
    assert process.returncode == 0, said


def test_worker_that_does_not_serve_yet_outlives_sighup() -> None:
    script = """
def work(tie):
    os.kill(os.getpid(), signal.SIGHUP)
    started = subprocess.run(["sh", "-c", "kill -HUP $$; echo kept"], capture_output=True)
    say(f"its program: {started.returncode}")
    stay(tie)
"""
    with watching(script) as process:
        assert "its program: -1\n" in heard(process, "its program", 2)
        process.terminate()
        assert process.wait(60) == 0


def test_one_that_cannot_be_forked_is_tried_again() -> None:
    script = """
fork, refused = os.fork, [True, True]

def scarce():
    if refused:
        refused.pop()
        raise BlockingIOError(11, "Resource temporarily unavailable")
    return fork()

os.fork = scarce

def work(tie):
    say("up")
    stay(tie)
"""
    with watching(script) as process:
        said = heard(process, "up", 2)
        assert said.count('"event":"worker not started"') == 2
        process.terminate()
        assert process.wait(60) == 0
