"""A connector's life through the Python SDK: made, read, changed, removed, and counted."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from kiota_abstractions.base_request_configuration import RequestConfiguration
from msgraph_beta.generated.models.o_data_errors.o_data_error import ODataError
from tests.clients.session import WHEN, Connector, Session, State, asking, unique

pytestmark = pytest.mark.anyio


async def test_a_created_connector_comes_back_as_it_was_sent(session: Session) -> None:
    name = unique('O\'Brien & Söhne +100%/#?="x"')
    when = datetime(2026, 1, 2, 3, 4, 5, 678901, timezone(timedelta(hours=2)))
    made = await session.create(name, last_connection_date_time=when, state=State.Error, version="9.8")
    assert made.id
    assert (made.display_name, made.state, made.version) == (name, State.Error, "9.8")
    assert made.last_connection_date_time == when
    assert made.last_connection_date_time.utcoffset() == timedelta(hours=2)
    assert made.odata_type == "#microsoft.graph.deviceManagementDomainJoinConnector"
    assert session.answers[-1].status_code == 201
    assert session.answers[-1].headers["location"].endswith(f"/beta/deviceManagement/domainJoinConnectors/{made.id}")


async def test_the_protocol_is_the_best_that_both_speak(session: Session) -> None:
    await session.connectors.count.get()
    (answer,) = session.answers
    assert answer.http_version == {"http": "HTTP/1.1", "https": "HTTP/2"}[answer.url.scheme]


@pytest.mark.parametrize("state", list(State))
async def test_every_state_of_the_enum_passes_both_ways(session: Session, state: State) -> None:
    made = await session.create(unique(), state=state)
    assert (await session.connector(made.id).get()).state is state


async def test_the_type_may_be_named(session: Session) -> None:
    made = await session.create(unique(), odata_type="#microsoft.graph.deviceManagementDomainJoinConnector")
    assert (await session.connector(made.id).get()).id == made.id


async def test_an_id_may_be_given(session: Session) -> None:
    made = await session.create(unique(), id="77296cf7-6cf7-7729-f76c-2977f76c2977")
    assert made.id == "77296cf7-6cf7-7729-f76c-2977f76c2977"
    await session.connector(made.id).delete()


async def test_a_connector_is_read_by_its_id(session: Session) -> None:
    made = await session.create(unique())
    found = await session.connector(made.id).get()
    assert (found.id, found.display_name, found.last_connection_date_time) == (made.id, made.display_name, WHEN)


async def test_a_connector_is_read_in_part(session: Session) -> None:
    made = await session.create(unique())
    options = asking(select=["id", "version"])
    found = await session.connector(made.id).get(options)
    assert (found.id, found.version, found.display_name, found.state) == (made.id, made.version, None, None)


async def test_an_update_is_partial(session: Session) -> None:
    made = await session.create(unique())
    renamed = unique("renamed")
    changed = await session.connector(made.id).patch(Connector(display_name=renamed, state=State.Inactive))
    assert (changed.id, changed.display_name, changed.state) == (made.id, renamed, State.Inactive)
    found = await session.connector(made.id).get()
    assert (found.display_name, found.state) == (renamed, State.Inactive)
    assert (found.version, found.last_connection_date_time) == (made.version, WHEN)


async def test_an_object_that_was_read_can_be_changed_and_sent_back(session: Session) -> None:
    made = await session.create(unique())
    found = await session.connector(made.id).get()
    assert "@odata.context" in found.additional_data
    found.version = "7"
    found.last_connection_date_time = datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC)
    await session.connector(made.id).patch(found)
    again = await session.connector(made.id).get()
    assert (again.version, again.display_name) == ("7", made.display_name)
    assert again.last_connection_date_time == datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC)


async def test_an_object_out_of_a_list_can_be_changed_and_sent_back(session: Session) -> None:
    made = await session.create(unique())
    (found,) = (await session.connectors.get(asking(filter=f"id eq '{made.id}'"))).value
    found.display_name = unique("renamed")
    assert (await session.connector(made.id).patch(found)).display_name == found.display_name


async def test_an_update_that_wants_nothing_back_gets_nothing(session: Session) -> None:
    made = await session.create(unique())
    quiet: RequestConfiguration[object] = RequestConfiguration()
    quiet.headers.add("Prefer", "return=minimal")
    assert await session.connector(made.id).patch(Connector(version="8"), quiet) is None
    assert session.answers[-1].headers["preference-applied"] == "return=minimal"
    assert (await session.connector(made.id).get()).version == "8"


async def test_null_is_sent_as_additional_data(session: Session) -> None:
    made = await session.create(unique())
    changed = await session.connector(made.id).patch(Connector(additional_data={"displayName": None}))
    assert changed.display_name is None
    assert (await session.connector(made.id).get()).display_name is None


async def test_a_removed_connector_is_gone(session: Session) -> None:
    made = await session.create(unique())
    assert await session.connector(made.id).delete() is None
    with pytest.raises(ODataError) as refusal:
        await session.connector(made.id).get()
    assert refusal.value.response_status_code == 404
    with pytest.raises(ODataError) as refusal:
        await session.connector(made.id).delete()
    assert refusal.value.response_status_code == 404


async def test_a_change_needs_the_etag_it_names(session: Session) -> None:
    made = await session.create(unique())
    tag = session.answers[-1].headers["etag"]
    guarded: RequestConfiguration[object] = RequestConfiguration()
    guarded.headers.add("If-Match", tag)
    await session.connector(made.id).patch(Connector(version="8"), guarded)
    with pytest.raises(ODataError) as refusal:
        await session.connector(made.id).patch(Connector(version="9"), guarded)
    assert refusal.value.response_status_code == 412


async def test_a_count_is_a_number(session: Session) -> None:
    name = unique()
    for at in range(3):
        await session.create(f"{name}-{at}")
    assert await session.connectors.count.get() >= 3
    assert await session.connectors.count.get(asking(filter=f"startswith(displayName,'{name}')")) == 3
    assert await session.connectors.count.get(asking(filter=f"displayName eq '{name}'")) == 0
    assert session.answers[-1].headers["content-type"].startswith("text/plain")


async def test_device_management_is_there_as_a_whole(session: Session) -> None:
    assert await session.client.device_management.get() is not None


@pytest.mark.parametrize("key", ["/{}", "('{}')"])
async def test_keys_have_two_forms(session: Session, key: str) -> None:
    made = await session.create(unique())
    base = session.client.request_adapter.base_url
    url = f"{base}/deviceManagement/domainJoinConnectors{key.format(made.id)}"
    assert (await session.connector(made.id).with_url(url).get()).id == made.id


async def test_a_base_with_a_slash_at_its_end_will_do(session: Session) -> None:
    # The SDK's own base has one, and the address then two in the middle (clients.md item 3).
    made = await session.create(unique())
    url = f"{session.client.request_adapter.base_url}//deviceManagement/domainJoinConnectors/{made.id}"
    assert (await session.connector(made.id).with_url(url).get()).id == made.id
    assert "/beta//deviceManagement" in str(session.answers[-1].url)
