"""A disk under PostgreSQL that is full: that of its tables, or that of its log, which makes it give up altogether.

Meanwhile answers say that nothing can be kept. Nothing acknowledged is lost, and once there is room all goes on.
"""

from __future__ import annotations

import asyncio
import random
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from tests.faults.disks import Disk, disk
from tests.faults.service import LIST, Client, Service, every_row, serving
from tests.faults.test_postgresql import SECONDS, WRITERS, Log, check_rows, create_on
from tests.postgresql import Databases, Server

_LARGEST: Final = 256 * 1_024


class Full:
    """A server on two small disks, of which one can be filled. Where none may be mounted, its files may not grow."""

    def __init__(self, server: Server, disks: dict[str, Disk]) -> None:
        self.server = server
        self._disks = disks

    def fill(self, which: str) -> None:
        if self._disks[which].mounted:
            self._disks[which].fill(0)
        else:
            self.server.limit_files(_LARGEST)

    def free(self, which: str) -> None:
        if self._disks[which].mounted:
            self._disks[which].free(0)
        else:
            self.server.limit_files(None)
        self.server.restart_if_ended()

    @property
    def gave_up(self) -> bool:
        return "PANIC" in (self.server.folder / "log").read_text()


@pytest.fixture
def full() -> Iterator[Full]:
    # Not below the folder of the test, which the server's account may not enter.
    folder = Path(tempfile.mkdtemp(prefix="adjoin-disks-"))
    folder.chmod(0o755)
    with disk(folder / "tables", mount=True, size="128m") as tables, disk(folder / "log", mount=True) as log:
        options = {"min_wal_size": "4MB", "max_wal_size": "8MB", "checkpoint_timeout": "30s"}
        server = Server((tables.folder, log.folder), **options)
        yield Full(server, {"tables": tables, "log": log})
        server.remove()
    shutil.rmtree(folder)


async def more(log: Log, count: int) -> None:
    """Wait until so many more were acknowledged."""
    enough = len(log.acknowledged) + count
    while len(log.acknowledged) < enough:  # noqa: ASYNC110 - by writers that know of nobody who waits
        await asyncio.sleep(0.01)


async def refused(log: Log, count: int) -> None:
    """Wait until so many more were refused."""
    enough = len(log.refused) + count
    while len(log.refused) < enough:  # noqa: ASYNC110 - as above
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("which", ["tables", "log"])
def test_that_is_full_refuses_clearly_and_all_goes_on_once_there_is_room(
    full: Full, which: str, tmp_path: Path
) -> None:
    log = Log()

    async def run(service: Service, token: str) -> None:
        done = asyncio.Event()
        writers = [
            asyncio.ensure_future(create_on(service, token, log, done, random.Random(n))) for n in range(WRITERS)
        ]
        await asyncio.sleep(SECONDS)
        await asyncio.to_thread(full.fill, which)
        await refused(log, 20 * WRITERS)
        client = Client(service.port, token)
        read = await client.call("GET", f"{LIST}?$top=1")
        # A server that gave up cannot be read from either.
        assert read.status == 200 or (read.status, read.json()["error"]["code"]) == (503, "ServiceUnavailable")
        assert (await client.call("GET", "/healthz")).status == 200
        await client.close()
        await asyncio.to_thread(full.free, which)
        await more(log, 2 * WRITERS)
        done.set()
        await asyncio.gather(*writers)

    with Databases(full.server).lent() as url, serving(tmp_path / "data", url) as service:
        token = service.token()
        asyncio.run(asyncio.wait_for(run(service, token), 100))
        rows = asyncio.run(every_row(service.port, token))
        assert service.stop() == 0
    assert full.gave_up or which == "tables"
    check_rows(log, rows)
    assert {status for status, _ in log.refused} <= {503, 504}
    assert all(wait is not None for status, wait in log.refused if status == 503)
