"""`$batch` through the Python SDK's own batch classes.

The SDK drops a body that is a JSON object, as Graph's are (clients.md item 26), so bodies are read from the raw answer.
"""

from __future__ import annotations

from typing import Any

import pytest
from msgraph_beta.generated.models.o_data_errors.o_data_error import ODataError
from msgraph_core.requests.batch_request_builder import BatchRequestBuilder
from msgraph_core.requests.batch_request_content import BatchRequestContent
from msgraph_core.requests.batch_request_content_collection import BatchRequestContentCollection
from msgraph_core.requests.batch_request_item import BatchRequestItem
from tests.clients.session import Connector, Session, State, asking, connector, unique

pytestmark = pytest.mark.anyio


async def sent(session: Session, *items: BatchRequestItem) -> tuple[dict[str, int], dict[str, Any]]:
    """Send a batch: the statuses as the SDK read them, and the raw items by their ids."""
    content = BatchRequestContent()
    for each in items:
        content.add_request(each.id, each)
    answer = await builder(session).post(content)
    raw = {each["id"]: each for each in session.answers[-1].json()["responses"]}
    return answer.get_response_status_codes(), raw


def builder(session: Session) -> BatchRequestBuilder:
    # Kiota's key for whatever status of failure has no error of its own.
    return BatchRequestBuilder(session.client.request_adapter, {"XXX": ODataError})


def item(name: str, request: Any, *depends_on: str) -> BatchRequestItem:
    return BatchRequestItem(request, name, list(depends_on))


async def test_every_operation_in_one_batch(session: Session) -> None:
    made = [await session.create(unique()) for _ in range(3)]
    name = unique("batched")
    statuses, raw = await sent(
        session,
        item("get", session.connector(made[0].id).to_get_request_information()),
        item("post", session.connectors.to_post_request_information(connector(name, state=State.Error))),
        item("patch", session.connector(made[1].id).to_patch_request_information(Connector(version="8"))),
        item("delete", session.connector(made[2].id).to_delete_request_information()),
        item("list", session.connectors.to_get_request_information(asking(filter=f"id eq '{made[0].id}'", top=5))),
        item("count", session.connectors.count.to_get_request_information()),
        item("none", session.connector("00000000-0000-0000-0000-000000000009").to_get_request_information()),
    )
    assert statuses == {"get": 200, "post": 201, "patch": 200, "delete": 204, "list": 200, "count": 200, "none": 404}
    assert raw["get"]["body"]["id"] == made[0].id
    assert (raw["post"]["body"]["displayName"], raw["post"]["body"]["state"]) == (name, "error")
    assert raw["patch"]["body"]["version"] == "8"
    assert "body" not in raw["delete"]
    assert [each["id"] for each in raw["list"]["body"]["value"]] == [made[0].id]
    assert raw["none"]["body"]["error"]["code"] == "ResourceNotFound"
    with_body = [each for each in raw.values() if "body" in each]
    assert all(each["headers"]["Content-Type"] for each in with_body)
    assert all("headers" in each for each in raw.values())
    assert (await session.connector(made[1].id).get()).version == "8"
    assert await session.names(filter=f"displayName eq '{name}'") == [name]


async def test_a_request_can_wait_for_another(session: Session) -> None:
    name = unique("first")
    statuses, _ = await sent(
        session,
        item("a", session.connectors.to_post_request_information(connector(name))),
        item("b", session.connectors.to_get_request_information(asking(filter=f"displayName eq '{name}'")), "a"),
    )
    assert statuses == {"a": 201, "b": 200}


async def test_the_texts_of_a_batch_are_those_of_a_request(session: Session) -> None:
    name = unique('O\'Brien & Söhne +100%/#?="x" 東京')
    statuses, raw = await sent(session, item("a", session.connectors.to_post_request_information(connector(name))))
    assert (statuses["a"], raw["a"]["body"]["displayName"]) == (201, name)
    quoted = name.replace("'", "''")
    request = session.connectors.to_get_request_information(asking(filter=f"displayName eq '{quoted}'"))
    _, raw = await sent(session, item("b", request))
    assert [each["displayName"] for each in raw["b"]["body"]["value"]] == [name]


async def test_a_batch_carries_twenty_and_a_collection_splits_more(session: Session) -> None:
    name = unique("many")
    collection = BatchRequestContentCollection()
    for at in range(45):
        request = session.connectors.to_post_request_information(connector(f"{name} {at}"))
        collection.add_batch_request_item(item(str(at), request))
    await builder(session).post(collection)
    sizes = [len(each.json()["responses"]) for each in session.answers]
    assert max(sizes) <= 20
    assert sum(sizes) == 45
    assert await session.connectors.count.get(asking(filter=f"startswith(displayName,'{name}')")) == 45


async def test_a_refused_request_leaves_the_others_alone(session: Session) -> None:
    name = unique()
    wrong = session.connectors.to_post_request_information(Connector(display_name=name))
    right = session.connectors.to_post_request_information(connector(name))
    statuses, raw = await sent(session, item("wrong", wrong), item("right", right))
    assert statuses == {"wrong": 400, "right": 201}
    assert raw["wrong"]["body"]["error"]["code"] == "ModelValidationFailure"
