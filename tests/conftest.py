"""Fixtures that every layer's tests may use: services in this process, each on data of its own."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from itertools import count
from pathlib import Path
from typing import Any, Final

import pytest
from tests import postgresql as postgresql_
from tests.server import Server, config_of

from adjoin.identity.keys import open_ring
from adjoin.service.courier import Carry

Opens = Callable[..., Server]

# The official clients' environment has no property tests.
with suppress(ModuleNotFoundError):
    from hypothesis import settings

    # How long an example takes is the machine's affair.
    settings.register_profile("untimed", deadline=None)
    settings.load_profile("untimed")

ON_BOTH: Final = (
    "test_advanced",
    "test_batch",
    "test_connector_api",
    "test_connector_histories",
    "test_deliveries",
    "test_delta",
    "test_failures",
    "test_graph",
    "test_intermediate",
    "test_minimal",
    "test_paging",
    "test_subscriptions.TestRenewal",
    "test_subscriptions.TestWhoseTheyAre",
    "test_tenants",
    "test_updatable",
    "web.test_silence",
)
"""The modules and classes, by a part of their names, whose services run on both databases; the store's tests all do."""


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
    for name in ("keys", "shared-keys"):
        shutil.copytree(keys, folder / name)
    return folder


@pytest.fixture(scope="module")
def database_kind(request: pytest.FixtureRequest) -> str:
    """Which database the services of a module or class have; what is in ON_BOTH runs with each."""
    kind: str = getattr(request, "param", "sqlite")
    return kind


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    name = f"{metafunc.module.__name__}.{metafunc.cls.__name__ if metafunc.cls else ''}"
    if "database_kind" in metafunc.fixturenames and any(part in name for part in ON_BOTH):
        metafunc.parametrize("database_kind", ["sqlite", "postgresql"], indirect=True, scope="module")


def place(kind: str, request: pytest.FixtureRequest, stack: ExitStack) -> dict[str, str]:
    """The setting that says where a service's database is, if it is not in its data directory."""
    if kind == "sqlite":
        return {}
    databases: postgresql_.Databases = request.getfixturevalue("postgresql")
    return {"database": stack.enter_context(databases.lent())}


@pytest.fixture
def opens(tmp_path: Path, keys: Path, database_kind: str, request: pytest.FixtureRequest) -> Iterator[Opens]:
    """Opens services with settings of a test's own; they are closed at its end.

    Those of another name have a data directory of their own; on PostgreSQL they are nodes on one database.
    """
    # Nodes on one database make ids of their own.
    seeds = count(17)
    with ExitStack() as stack:
        where = place(database_kind, request, stack)

        def open_one(
            name: str = "data", kind: type[Server] = Server, carry: Carry | None = None, **changes: Any
        ) -> Server:
            folder = tmp_path / name
            if not folder.exists():
                data_dir(folder, keys)
            return stack.enter_context(kind(config_of(folder, **{**where, **changes}), next(seeds), carry))

        yield open_one


@pytest.fixture
def server(opens: Opens) -> Server:
    """A service that is a test's own."""
    return opens()


@pytest.fixture(scope="module")
def shared(
    tmp_path_factory: pytest.TempPathFactory, keys: Path, database_kind: str, request: pytest.FixtureRequest
) -> Iterator[Server]:
    """A service for the tests of a module that change nothing in it, or only rows of their own."""
    folder = data_dir(tmp_path_factory.mktemp("shared") / "data", keys)
    with ExitStack() as stack:
        where = place(database_kind, request, stack)
        yield stack.enter_context(Server(config_of(folder, **where), seed=18))
