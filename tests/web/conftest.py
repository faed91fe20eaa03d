"""Fixtures of the web's tests: a visitor of the token service, on data of a test's own."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.web.visitor import Visitor

from adjoin.identity.keys import open_ring


@pytest.fixture(scope="session")
def signing_keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a signing key, which takes longer to make than most tests take."""
    folder = tmp_path_factory.mktemp("signing") / "keys"
    open_ring(folder)
    return folder


@pytest.fixture
def visitor(tmp_path: Path, signing_keys: Path) -> Iterator[Visitor]:
    folder = tmp_path / "token-service"
    folder.mkdir(mode=0o700)
    shutil.copytree(signing_keys, folder / "keys")
    with Visitor(folder) as opened:
        yield opened
