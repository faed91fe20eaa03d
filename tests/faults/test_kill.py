"""A 2xx answer is on disk: whatever ends the process, nothing acknowledged is lost and nothing is half done.

The kill is of the process, not of the machine: what only a power cut could lose does not show here.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import signal
import sqlite3
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest
from tests.faults.service import LIST, Client, NoAnswer, Service, every_row, serving
from tests.full import FULL

ROUNDS, SECONDS = (20, 10.0) if FULL else (3, 1.5)
WRITERS: Final = 64
NEW: Final = {"lastConnectionDateTime": "2016-12-31T23:58:36.6670033-08:00", "state": "error", "version": "0"}


@dataclass(slots=True)
class Ledger:
    """What one writer knows: its rows (id to version), those it deleted, and the change it has no answer to."""

    rows: dict[str, str] = field(default_factory=dict)
    deleted: set[str] = field(default_factory=set)
    open: tuple[str, str, str] | None = None
    refused: int | None = None
    cut: bytes = b""
    answered: int = 0


async def write_until_it_ends(service: Service, token: str, number: int, ledger: Ledger) -> Ledger:
    """Create, change and delete rows, one request after the other, until one is not answered with success."""
    rng, client = random.Random(number), Client(service.port, token)
    try:
        while ledger.refused is None:
            await _write_once(ledger, rng, client)
    except NoAnswer as error:
        ledger.cut = error.partial
    finally:
        await client.close()
    return ledger


async def _write_once(ledger: Ledger, rng: random.Random, client: Client) -> None:
    choice = rng.random()
    if ledger.rows and choice < 0.25:
        key = rng.choice(list(ledger.rows)[-20:])
        version = str(int(ledger.rows[key]) + 1)
        ledger.open = ("change", key, version)
        answer = await client.call("PATCH", f"{LIST}/{key}", {"version": version})
    elif ledger.rows and choice < 0.35:
        key, version = rng.choice(list(ledger.rows)[-20:]), ""
        ledger.open = ("delete", key, "")
        answer = await client.call("DELETE", f"{LIST}/{key}")
    else:
        key, version = str(uuid.UUID(int=rng.getrandbits(128), version=4)), "0"
        ledger.open = ("create", key, version)
        answer = await client.call("POST", LIST, {**NEW, "id": key, "displayName": key})
    if answer.status >= 300:
        ledger.refused = answer.status
        ledger.open = None
        return
    ledger.answered += 1
    ledger.open = None
    if version:
        ledger.rows[key] = version
    else:
        del ledger.rows[key]
        ledger.deleted.add(key)


async def load_until(service: Service, seconds: float, end: Callable[[], object], first: int = 0) -> list[Ledger]:
    """The ledgers of all writers, who write until `end` was called after some seconds; each has written by then.

    `first` is the number of the first writer: those of the same number write the same rows.
    """
    token = await asyncio.to_thread(service.token)
    ledgers = [Ledger() for _ in range(WRITERS)]
    writers = [
        asyncio.ensure_future(write_until_it_ends(service, token, first + at, ledger))
        for at, ledger in enumerate(ledgers)
    ]
    while sum(each.answered for each in ledgers) <= WRITERS and not all(each.done() for each in writers):  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    await asyncio.sleep(seconds)
    await asyncio.to_thread(end)
    return await asyncio.wait_for(asyncio.gather(*writers), 60)


def check(ledgers: list[Ledger], rows: list[dict[str, Any]]) -> None:
    """Hold the rows against what each writer knows."""
    found = {row["id"]: row["version"] for row in rows}
    assert len(found) == len(rows), "a row is there twice"
    assert all(row["displayName"] == row["id"] for row in rows), "a row is half of another"
    known: set[str] = set()
    for ledger in ledgers:
        _, at, version = ledger.open or ("", "", "")
        may_be = {at: {ledger.rows.get(at), version or None}} if ledger.open else {}
        for key, last in ledger.rows.items():
            assert found.get(key) in may_be.get(key, {last}), f"{key} was acknowledged as {last}"
        assert not ledger.deleted & found.keys(), "a deleted row came back"
        known |= ledger.rows.keys() | {at}
    assert found.keys() <= known, "a row is there that nobody wrote"


def check_file(data_dir: Path) -> None:
    with contextlib.closing(sqlite3.connect(data_dir / "adjoin.db")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest) -> Iterator[str | None]:
    """The URL of a database; None: the one in the data directory."""
    if request.param == "sqlite":
        yield None
        return
    with request.getfixturevalue("postgresql").lent() as url:
        yield url


@pytest.mark.parametrize("number", range(ROUNDS))
def test_kill_9_under_load_loses_nothing_acknowledged(
    number: int, database: str | None, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    seconds = SECONDS * random.Random(number).uniform(0.5, 1.5)
    with serving(tmp_path / "data", database) as service:
        ledgers = asyncio.run(load_until(service, seconds, service.kill))
    with serving(tmp_path / "data", database) as again:
        rows = asyncio.run(every_row(again.port, again.token()))
    if database is None:
        check_file(tmp_path / "data")
    check(ledgers, rows)
    answered = sum(ledger.answered for ledger in ledgers)
    assert answered > WRITERS, "there was no load"
    assert not any(ledger.refused for ledger in ledgers)
    record_property("answered", answered)
    record_property("rows", len(rows))
    print(f"round {number}: {seconds:.1f} s, {answered} writes answered, {len(rows)} rows after the restart")  # noqa: T201


@pytest.mark.parametrize("number", range(3))
def test_a_create_that_was_answered_survives_an_immediate_kill_9(
    number: int, database: str | None, tmp_path: Path
) -> None:
    async def create(service: Service) -> dict[str, Any]:
        client = Client(service.port, service.token())
        answer = await client.call("POST", LIST, {**NEW, "displayName": "last words"})
        service.kill()
        await client.close()
        created: dict[str, Any] = answer.json()
        assert answer.status == 201
        return created

    with serving(tmp_path / "data", database) as service:
        created = asyncio.run(create(service))
    with serving(tmp_path / "data", database) as again:
        (row,) = asyncio.run(every_row(again.port, again.token()))
    assert row == {name: value for name, value in created.items() if name != "@odata.context"}


@dataclass(frozen=True, slots=True)
class Stopped:
    """What was left after a SIGTERM under load."""

    exit_code: int
    ledgers: list[Ledger]
    rows: list[dict[str, Any]]
    data_dir: Path


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Stopped:
    data_dir = tmp_path_factory.mktemp("stopped") / "data"
    with serving(data_dir) as service:
        ledgers = asyncio.run(load_until(service, SECONDS, lambda: service.process.send_signal(signal.SIGTERM)))
        exit_code = service.process.wait(30)
    with serving(data_dir) as again:
        rows = asyncio.run(every_row(again.port, again.token()))
    return Stopped(exit_code, ledgers, rows, data_dir)


class TestSigtermUnderLoad:
    def test_ends_with_success(self, stopped: Stopped) -> None:
        assert stopped.exit_code == 0

    def test_loses_nothing_acknowledged(self, stopped: Stopped) -> None:
        check_file(stopped.data_dir)
        check(stopped.ledgers, stopped.rows)

    def test_refuses_what_it_does_not_carry_out(self, stopped: Stopped) -> None:
        assert {ledger.refused for ledger in stopped.ledgers} <= {None, 503}

    def test_cuts_no_answer_short(self, stopped: Stopped) -> None:
        assert [ledger.cut for ledger in stopped.ledgers if ledger.cut] == []

    def test_answers_every_write_that_it_carries_out(self, stopped: Stopped) -> None:
        found = {row["id"]: row["version"] for row in stopped.rows}
        for ledger in stopped.ledgers:
            if ledger.open is not None:
                _, key, _ = ledger.open
                assert found.get(key) == ledger.rows.get(key), f"{ledger.open} was done and not answered"
