"""Where the tests of the store have their database: each test that asks for a `place` runs on both kinds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.store.opened import Place


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """A database without rows: the file of one, or the URL of one."""
    if request.param == "sqlite":
        yield Place(tmp_path / "adjoin.db")
        return
    databases = request.getfixturevalue("postgresql")
    with databases.lent() as url:
        yield Place(url, databases)
