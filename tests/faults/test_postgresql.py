"""PostgreSQL under the service: it goes and comes back, a node of two is killed, a migration is interrupted.

Nothing that was acknowledged is lost or there twice, and meanwhile the answers say what is the matter.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import signal
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest
from tests.faults.service import LIST, Client, NoAnswer, Service, every_row, serving
from tests.faults.test_kill import NEW, check, load_until
from tests.full import FULL
from tests.postgresql import Databases, Server

from adjoin.store import upgrade_postgres
from adjoin.store.database import Unusable
from adjoin.store.migrate_postgres import migrate

WRITERS: Final = 16
SECONDS: Final = 5.0 if FULL else 1.0


@pytest.fixture(scope="module")
def own() -> Iterator[Databases]:
    """A server that tests may stop."""
    server = Server()
    yield Databases(server)
    server.remove()


@dataclass(slots=True)
class Log:
    """What the writers of a test were told: rows that were acknowledged, and those of which nothing is known."""

    acknowledged: set[str] = field(default_factory=set)
    unknown: set[str] = field(default_factory=set)
    refused: list[tuple[int, str | None]] = field(default_factory=list)
    since: list[int] = field(default_factory=list)


async def create_on(service: Service, token: str, log: Log, until: asyncio.Event, rng: random.Random) -> None:
    """Create rows one after the other; a refusal is noted and does not end it."""
    client = Client(service.port, token)
    while not until.is_set():
        key = str(uuid.UUID(int=rng.getrandbits(128), version=4))
        try:
            answer = await client.call("POST", LIST, {**NEW, "id": key, "displayName": key})
        except NoAnswer:
            log.unknown.add(key)
            return
        if answer.status == 201:
            log.acknowledged.add(key)
        elif answer.status == 504:
            log.unknown.add(key)
        if answer.status != 201:
            log.refused.append((answer.status, answer.headers.get("retry-after")))
            await asyncio.sleep(0.01)
    await client.close()


def check_rows(log: Log, rows: list[dict[str, Any]]) -> None:
    found = [row["id"] for row in rows]
    assert len(found) == len(set(found)), "a row is there twice"
    assert log.acknowledged <= set(found), "a row that was acknowledged is lost"
    assert set(found) <= log.acknowledged | log.unknown, "a row is there that was refused"


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT], ids=["in order", "at once"])
def test_a_server_that_stops_and_comes_back_is_said_and_found_again(
    own: Databases, how: signal.Signals, tmp_path: Path
) -> None:
    log, before = Log(), 0

    async def run(service: Service, token: str) -> int:
        done = asyncio.Event()
        writers = [
            asyncio.ensure_future(create_on(service, token, log, done, random.Random(n))) for n in range(WRITERS)
        ]
        await asyncio.sleep(SECONDS)
        before = len(log.acknowledged)
        await asyncio.to_thread(own.server.stop, how)
        client = Client(service.port, token)
        refused = await client.call("GET", LIST)
        assert (refused.status, refused.json()["error"]["code"]) == (503, "ServiceUnavailable")
        assert int(refused.headers["retry-after"]) > 0
        assert str(own.server.folder) not in refused.body.decode(), "where the database is, is for the log"
        assert (await client.call("GET", "/readyz")).status == 503
        assert (await client.call("GET", "/healthz")).status == 200
        await client.close()
        stopped = len(log.acknowledged)
        await asyncio.to_thread(own.server.start)
        while len(log.acknowledged) < stopped + WRITERS:  # noqa: ASYNC110 - by writers that know of nobody who waits
            await asyncio.sleep(0.01)
        done.set()
        await asyncio.wait_for(asyncio.gather(*writers), 60)
        return before

    with own.lent() as url, serving(tmp_path / "data", url) as service:
        token = service.token()
        before = asyncio.run(run(service, token))
        rows = asyncio.run(every_row(service.port, token))
        assert service.stop() == 0
    assert before > WRITERS
    check_rows(log, rows)
    assert {status for status, _ in log.refused} <= {503, 504}
    assert all(wait is not None for status, wait in log.refused if status == 503)


class TestTwoNodes:
    def test_accept_each_others_tokens_and_see_each_others_rows(self, postgresql: Databases, tmp_path: Path) -> None:
        async def run(first: Service, second: Service) -> None:
            ours, theirs = Client(first.port, second.token()), Client(second.port, first.token())
            made = (await ours.call("POST", LIST, {**NEW, "displayName": "x"})).json()
            assert (await theirs.call("GET", f"{LIST}/{made['id']}")).json()["displayName"] == "x"
            for name in ("y", "z"):
                await ours.call("POST", LIST, {**NEW, "displayName": name})
            path = f"{LIST}?$top=3&$orderby=displayName"
            page = (await ours.call("GET", path, headers={"prefer": "odata.maxpagesize=2"})).json()
            link = page["@odata.nextLink"].removeprefix(f"http://127.0.0.1:{first.port}")
            assert [row["displayName"] for row in (await theirs.call("GET", link)).json()["value"]] == ["z"]
            await ours.close()
            await theirs.close()

        with (
            postgresql.lent() as url,
            serving(tmp_path / "one", url) as first,
            serving(tmp_path / "two", url) as second,
        ):
            asyncio.run(run(first, second))

    def test_one_is_killed_and_the_other_goes_on(self, postgresql: Databases, tmp_path: Path) -> None:
        async def run(first: Service, second: Service) -> list[Any]:
            ends = load_until(first, SECONDS, first.kill)
            goes_on = load_until(second, 2 * SECONDS, second.kill, first=1_000)
            one, two = await asyncio.gather(ends, goes_on)
            return [*one, *two]

        with postgresql.lent() as url:
            with serving(tmp_path / "one", url) as first, serving(tmp_path / "two", url) as second:
                ledgers = asyncio.run(run(first, second))
            with serving(tmp_path / "one", url) as again:
                check(ledgers, asyncio.run(every_row(again.port, again.token())))
        assert not any(ledger.refused for ledger in ledgers)


class TestMigration:
    def test_that_is_interrupted_leaves_nothing_and_is_made_the_next_time(
        self, own: Databases, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        url = own.new()

        def cut(*_: object) -> None:
            own.server.stop(signal.SIGQUIT)

        with monkeypatch.context() as patched:
            patched.setattr(upgrade_postgres, "_wall", cut)
            with contextlib.suppress(OSError), pytest.raises(Unusable):
                asyncio.run(migrate(url))
        own.server.start()
        assert own.rows_of(url, "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == [(0,)]
        assert asyncio.run(migrate(url)) is True
        assert asyncio.run(migrate(url)) is False

    def test_of_several_nodes_at_once_is_made_once(self, postgresql: Databases) -> None:
        url = postgresql.new()

        async def run() -> list[bool]:
            return await asyncio.gather(*(migrate(url) for _ in range(4)))

        assert any(asyncio.run(run()))
        assert postgresql.rows_of(url, "SELECT count(*) FROM alembic_version") == [(1,)]
