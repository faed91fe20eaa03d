"""A disk that is full or read-only: clear answers meanwhile, nothing acknowledged lost, and no help needed after."""

from __future__ import annotations

import asyncio
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.faults.disks import WITHOUT_OVERRIDE, disk
from tests.faults.service import ADJOIN, LIST, Answer, Client, Service, every_row, serving
from tests.faults.test_kill import NEW, WRITERS, check, check_file, load_until
from tests.service.installed import named, new

from adjoin.store.database import Unusable


def create(service: Service, token: str, name: str) -> Answer:
    async def once() -> Answer:
        client = Client(service.port, token)
        try:
            return await client.call("POST", LIST, {**NEW, "displayName": name})
        finally:
            await client.close()

    return asyncio.run(once())


def create_until_refused(service: Service, token: str) -> Answer:
    """What a create is answered once nothing fits any more: a log that begins anew takes some that are small."""
    for _ in range(5_000):
        answer = create(service, token, "x")
        if answer.status != 201:
            return answer
    raise AssertionError("the disk never was full")


def is_refused_clearly(answer: Answer) -> bool:
    error = answer.json()["error"]
    return (
        answer.status == 503
        and answer.headers["retry-after"] == "2"
        and error["code"] == "ServiceUnavailable"
        and error["message"] == "The database is not available now. Try again later."
    )


@pytest.mark.parametrize("mount", [True, False], ids=["a file system that is full", "files that may not grow"])
class TestFullDisk:
    def test_refuses_writes_serves_reads_and_recovers_by_itself(self, tmp_path: Path, mount: bool) -> None:
        with disk(tmp_path / "disk", mount=mount) as small, serving(tmp_path / "disk" / "data") as service:
            process, token = service.process.pid, service.token()
            ledgers = asyncio.run(load_until(service, 1.0, lambda: small.fill(process)))
            assert sum(each.answered for each in ledgers) > WRITERS, "there was no load"
            assert {each.refused for each in ledgers} == {503}
            assert is_refused_clearly(create_until_refused(service, token))
            rows = asyncio.run(every_row(service.port, token))
            check(ledgers, [row for row in rows if row["displayName"] != "x"])
            small.free(process)
            assert create(service, token, "x").status == 201
            assert len(asyncio.run(every_row(service.port, token))) == len(rows) + 1
            assert service.stop() == 0
            check_file(tmp_path / "disk" / "data")

    def test_a_kill_and_a_start_on_it_lose_nothing(self, tmp_path: Path, mount: bool) -> None:
        with disk(tmp_path / "disk", mount=mount) as small:
            with serving(tmp_path / "disk" / "data") as service:
                process = service.process.pid

                def fill_and_kill() -> None:
                    small.fill(process)
                    service.kill()

                ledgers = asyncio.run(load_until(service, 1.0, fill_and_kill))
            with serving(tmp_path / "disk" / "data") as again:
                check(ledgers, asyncio.run(every_row(again.port, again.token())))


def test_a_read_only_file_is_served_and_not_changed(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with serving(data) as service:
        token = service.token()
        assert create(service, token, "kept").status == 201
        assert service.stop() == 0
    (data / "adjoin.db").chmod(0o400)
    with serving(data, within=WITHOUT_OVERRIDE) as service:
        assert [row["displayName"] for row in asyncio.run(every_row(service.port, token))] == ["kept"]
        assert is_refused_clearly(create(service, token, "x"))
    log = data.with_suffix(".log").read_text()
    assert '"database takes no changes"' in log
    assert 'attempt to write a readonly database.","event":"database not available"' in log
    (data / "adjoin.db").chmod(0o600)
    check_file(data)


def test_a_read_only_directory_keeps_the_service_from_starting(tmp_path: Path, keys: Path) -> None:
    """Without its log beside it, SQLite cannot even read."""
    data = new(tmp_path, keys, "data")
    before = (data / "adjoin.db").read_bytes()
    data.chmod(0o500)
    try:
        command = [*WITHOUT_OVERRIDE, *ADJOIN, "serve", "--data-dir", str(data), "--port", "0"]
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    finally:
        data.chmod(0o700)
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"adjoin: The database {data}/adjoin.db cannot be used: ")
    assert (data / "adjoin.db").read_bytes() == before


TORN: dict[str, Callable[[bytes], bytes]] = {
    "cut off": lambda data: data[: len(data) // 2],
    "its first page lost": lambda data: bytes(4096) + data[4096:],
    "text": lambda _: b"Dear administrator,\n" * 500,
    "shorter than a header": lambda _: b"x" * 50,
}


@pytest.mark.parametrize("damage", TORN)
def test_a_torn_or_foreign_database_is_refused_by_name_and_left_as_it_is(
    tmp_path: Path, keys: Path, damage: str
) -> None:
    file = new(tmp_path, keys, "data") / "adjoin.db"
    file.write_bytes(TORN[damage](file.read_bytes()))
    before = file.read_bytes()
    with pytest.raises(Unusable, match=re.escape(str(file))) as refused:
        named(file.parent)
    assert "\n" not in refused.value.message
    assert file.read_bytes() == before


def test_a_service_on_a_torn_database_ends_with_one_line(tmp_path: Path) -> None:
    (tmp_path / "adjoin.db").write_text("Dear administrator,\n" * 500)
    command = [*ADJOIN, "serve", "--data-dir", str(tmp_path), "--port", "0"]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"adjoin: The database {tmp_path}/adjoin.db cannot be used: file is not a database.\n"
