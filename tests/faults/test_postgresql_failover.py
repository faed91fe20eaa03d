"""A PostgreSQL server that is lost while it is written to, and its standby that takes over; both are named in the URL.

Nothing that was acknowledged is lost or there twice, as long as each commit waits for the standby.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from tests.faults.service import Service, every_row, serving
from tests.faults.test_postgresql import SECONDS, WRITERS, Log, check_rows, create_on
from tests.postgresql import Databases, Server, name_of


class Standby(Server):
    """A server that follows another, which waits for it with each commit."""

    def __init__(self, primary: Server) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="adjoin-standby-"))
        self.data = self.folder / "data"
        self._programs, self._options, self._account = primary._programs, primary._options, primary._account
        self._process = None
        if self._account is not None:
            os.chown(self.folder, self._account["user"], self._account["group"])
        self._run("pg_basebackup", "-R", "-h", str(primary.folder), "-U", "postgres", "-D", str(self.data))
        self.start()
        primary.execute("ALTER SYSTEM SET synchronous_standby_names = 'ANY 1 (*)'")
        primary.execute("SELECT pg_reload_conf()")
        while primary.execute("SELECT sync_state FROM pg_stat_replication") != [("quorum",)]:
            pass


@pytest.fixture
def pair() -> Iterator[tuple[Server, Standby]]:
    primary = Server()
    standby = Standby(primary)
    yield primary, standby
    standby.remove()
    primary.remove()


def test_a_standby_takes_over_and_nothing_acknowledged_is_lost(pair: tuple[Server, Standby], tmp_path: Path) -> None:
    primary, standby = pair
    log = Log()

    async def run(service: Service, token: str) -> None:
        done = asyncio.Event()
        writers = [
            asyncio.ensure_future(create_on(service, token, log, done, random.Random(n))) for n in range(WRITERS)
        ]
        await grown(log, WRITERS)
        await asyncio.sleep(SECONDS)
        await asyncio.to_thread(primary.stop, signal.SIGQUIT)
        refused = len(log.refused)
        while len(log.refused) < refused + WRITERS:  # noqa: ASYNC110 - by writers that know of nobody who waits
            await asyncio.sleep(0.01)
        before = len(log.acknowledged)
        await asyncio.to_thread(standby.execute, "SELECT pg_promote()")
        await grown(log, before + 10 * WRITERS)
        done.set()
        await asyncio.wait_for(asyncio.gather(*writers), 60)

    name = name_of(Databases(primary).new())
    hosts = f"{quote(str(primary.folder))},{quote(str(standby.folder))}"
    url = f"postgresql://adjoin@/{name}?host={hosts}&target_session_attrs=read-write"
    with serving(tmp_path / "data", url) as service:
        token = service.token()
        asyncio.run(run(service, token))
        rows = asyncio.run(every_row(service.port, token))
        assert service.stop() == 0
    check_rows(log, rows)
    assert {status for status, _ in log.refused} <= {503, 504}


async def grown(log: Log, number: int) -> None:
    """Wait until so many rows were acknowledged."""
    while len(log.acknowledged) < number:  # noqa: ASYNC110 - by writers that know of nobody who waits
        await asyncio.sleep(0.01)
