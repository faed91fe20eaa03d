"""A service for each module of tests, with a list that is known."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from tests.conformance.service import LIST, Service
from tests.conftest import place

# displayName, lastConnectionDateTime, state, version
ROWS = (
    ("Alpha East", "2024-01-01T00:00:00Z", "active", "6.2501.2000.1"),
    ("Beta East", "2024-02-01T12:30:45.5Z", "error", "6.2501.2000.2"),
    ("Gamma West", "2024-03-01T00:00:00-08:00", "inactive", "6.2501.2000.3"),
    ("O'Neil", "2024-04-01T00:00:00Z", "active", "7.0"),
    (None, "2024-05-01T00:00:00Z", "error", "7.0"),
)


@pytest.fixture(scope="module")
def running(
    tmp_path_factory: pytest.TempPathFactory, database_kind: str, request: pytest.FixtureRequest
) -> Iterator[Service]:
    """The service; what is in its list is for the fixture below to say."""
    with ExitStack() as stack:
        where = place(database_kind, request, stack).get("database")
        yield stack.enter_context(Service(tmp_path_factory.mktemp("conformance") / "var", where))


@pytest.fixture
def service(running: Service) -> Service:
    """The service with the rows above, no more and no less."""
    if running.touched:
        for key in running.get(LIST, select="id").values("id"):
            assert running.ask("DELETE", f"{LIST}/{key}").status == 204
        for name, moment, state, version in ROWS:
            running.create(displayName=name, lastConnectionDateTime=moment, state=state, version=version)
        running.touched = False
    return running
