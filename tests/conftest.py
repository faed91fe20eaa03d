"""Fixtures that every layer's tests may use: services in this process, each on data of its own."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from tests import postgresql as postgresql_
from tests.server import Server, config_of

from adjoin.identity.keys import open_ring

Opens = Callable[..., Server]


@pytest.fixture(scope="session")
def postgresql() -> Iterator[postgresql_.Databases]:
    """Databases on a PostgreSQL server that is started for the first test that wants one."""
    server = postgresql_.Server()
    yield postgresql_.Databases(server)
    server.remove()


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a signing key. Making one takes longer than most tests, so installations begin with a copy."""
    folder = tmp_path_factory.mktemp("keys") / "keys"
    open_ring(folder)
    return folder


def data_dir(folder: Path, keys: Path) -> Path:
    """A data directory with signing keys and nothing else."""
    folder.mkdir(mode=0o700)
    shutil.copytree(keys, folder / "keys")
    return folder


@pytest.fixture
def opens(tmp_path: Path, keys: Path) -> Iterator[Opens]:
    """Opens services with settings of a test's own; they are closed at its end."""
    with ExitStack() as stack:

        def open_one(**changes: Any) -> Server:
            folder = tmp_path / "data"
            if not folder.exists():
                data_dir(folder, keys)
            return stack.enter_context(Server(config_of(folder, **changes)))

        yield open_one


@pytest.fixture
def server(opens: Opens) -> Server:
    """A service that is a test's own."""
    return opens()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, keys: Path) -> Iterator[Server]:
    """A service for the tests of a module that change nothing in it, or only rows of their own."""
    folder = data_dir(tmp_path_factory.mktemp("shared") / "data", keys)
    with Server(config_of(folder), seed=18) as opened:
        yield opened
