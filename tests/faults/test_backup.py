"""A backup that is made while 64 writers write holds all that was acknowledged before it began, and nothing half."""

from __future__ import annotations

import asyncio
import subprocess
from pathlib import Path
from typing import Any

from tests.faults.service import ADJOIN, every_row, serving
from tests.faults.test_kill import WRITERS, check_file, load_until


def adjoin(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*ADJOIN, *arguments], check=False, capture_output=True, text=True, timeout=120)


def test_a_backup_under_write_load_is_whole(tmp_path: Path) -> None:
    data, file = tmp_path / "data", tmp_path / "b.tar"
    before: list[dict[str, Any]] = []
    with serving(data) as service:
        token = service.token()

        def back_up_and_end() -> None:
            before.extend(asyncio.run(every_row(service.port, token)))
            done = adjoin("backup", str(file), "--data-dir", str(data))
            assert done.returncode == 0, done.stderr
            service.stop()

        ledgers = asyncio.run(load_until(service, 1.0, back_up_and_end))
    assert sum(each.answered for each in ledgers) > WRITERS, "there was no load"
    done = adjoin("restore", str(file), "--data-dir", str(tmp_path / "restored"))
    assert done.returncode == 0, done.stderr
    check_file(tmp_path / "restored")
    with serving(tmp_path / "restored") as restored:
        # A token from before the backup is good after it: the keys came along.
        rows = {row["id"]: row["version"] for row in asyncio.run(every_row(restored.port, token))}
    deleted = set[str]().union(*(each.deleted for each in ledgers))
    missing = {row["id"] for row in before} - rows.keys() - deleted
    assert not missing, "rows that were shown before the backup began are not in it"
    assert all(int(rows[row["id"]]) >= int(row["version"]) for row in before if row["id"] in rows)
    known = set[str]().union(*(each.rows.keys() for each in ledgers), deleted)
    assert rows.keys() <= known | {each.open[1] for each in ledgers if each.open}


def test_a_restore_is_refused_while_the_service_runs(tmp_path: Path) -> None:
    data, file = tmp_path / "data", tmp_path / "b.tar"
    with serving(data) as service:
        assert adjoin("backup", str(file), "--data-dir", str(data)).returncode == 0
        refused = adjoin("restore", str(file), "--data-dir", str(data), "--force")
        assert service.alive()
    assert refused.returncode == 1
    assert refused.stderr == (
        f"adjoin: The data directory {data} is in use; stop the service and whatever else works on it first.\n"
    )
    assert adjoin("restore", str(file), "--data-dir", str(data), "--force").returncode == 0
