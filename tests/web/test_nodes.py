"""Two nodes on one PostgreSQL: what is acknowledged at one holds at the other from the next request on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import structlog
from structlog.testing import capture_logs
from tests.conftest import Opens
from tests.hooks import Quiet
from tests.postgresql import Databases, asks, name_of
from tests.server import LIST, PUBLISHED, Server

from adjoin.store import applications, revocations, tenants
from adjoin.store.database import Session
from adjoin.store.tenants import NO_LICENCE
from adjoin.web import failures

Nodes = tuple[Server, Server]


@pytest.fixture(scope="module")
def database_kind() -> str:
    return "postgresql"


@pytest.fixture
def nodes(opens: Opens) -> Nodes:
    # What is asked is counted, and deliveries look by themselves.
    return opens("one", kind=Quiet), opens("two", kind=Quiet)


def token_of(node: Server, client: str) -> str:
    return node.token(client_id=client, subject=client)


@pytest.mark.parametrize(
    ("change", "status"),
    [
        (lambda session, number, app: revocations.revoke_application(session, number, app.id, 1_800_000_000), 401),
        (lambda session, number, app: applications.remove(session, number, app.id), 401),
        (lambda session, number, _: tenants.set_licence(session, number, NO_LICENCE), 403),
        (lambda session, number, _: tenants.remove(session, number), 401),
    ],
)
def test_a_caller_is_let_in_nowhere_once_it_is_said_at_one(
    nodes: Nodes, change: Callable[[Session, int, Any], Any], status: int
) -> None:
    one, other = nodes
    tenant = one.add_tenant("theirs")
    app, _ = one.add_app("tool", tenant=tenant)
    token = one.token(client_id=app.id, subject=app.id, tenant=tenant)
    for _ in range(2):
        assert [each.call("GET", LIST, token=token).status for each in nodes] == [200, 200]
    one.write(lambda session: change(session, tenant.number, app))
    assert [each.call("GET", LIST, token=token).status for each in (other, one)] == [status, status]


def test_that_takes_one_question_beside_the_requests_own(nodes: Nodes, monkeypatch: pytest.MonkeyPatch) -> None:
    app, _ = nodes[0].add_app("tool")
    token, path = token_of(nodes[0], app.id), f"{LIST}/{nodes[0].create()['id']}"
    asked = asks(monkeypatch)
    assert nodes[1].call("GET", path, token=token).status == 200
    # What waits for the clock is looked for at times of its own.
    beside = ("deliveries", "repeated_requests")
    assert len([each for each in asked if not any(table in each for table in beside)]) == 2


def test_a_role_that_may_not_read_a_table_is_no_fault(
    opens: Opens, postgresql: Databases, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = opens("one")
    node.token()
    name = name_of(str(node.config.database))
    monkeypatch.setattr(failures, "_LOG", structlog.get_logger())
    monkeypatch.setattr(failures, "_REASONS", failures._Reasons())
    postgresql.server.run("REVOKE ALL ON domain_join_connectors FROM adjoin", name)
    try:
        with capture_logs() as lines:
            answers = [node.call("GET", LIST), node.call("POST", LIST, PUBLISHED)]
    finally:
        postgresql.server.run("GRANT ALL ON domain_join_connectors TO adjoin", name)
    assert [(each.status, each.headers["retry-after"]) for each in answers] == [(503, "2")] * 2
    said = "The role that adjoin has lacks a right: permission denied for table domain_join_connectors."
    assert [each["reason"] for each in lines if each["event"] == "database not available"] == [said]
    assert node.call("GET", LIST).status == 200
