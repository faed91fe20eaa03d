"""What the Python SDK makes of a refusal: ODataError with all its fields."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from kiota_abstractions.base_request_configuration import RequestConfiguration
from msgraph_beta.generated.models.o_data_errors.o_data_error import ODataError
from tests.clients.service import Service
from tests.clients.session import Connector, Session, StaticToken, asking, connector, signed_in, unique

pytestmark = pytest.mark.anyio

NOBODY = "00000000-0000-0000-0000-000000000009"
GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def checked(error: ODataError, status: int, code: str) -> str:
    """Check every field of an error, and give its message."""
    assert error.response_status_code == status
    main: Any = error.error
    assert (main.code, error.primary_message) == (code, main.message)
    assert main.message
    inner = main.inner_error
    assert GUID.fullmatch(inner.request_id)
    assert inner.client_request_id
    when = inner.date if inner.date.tzinfo else inner.date.replace(tzinfo=UTC)
    assert abs(datetime.now(UTC) - when) < timedelta(minutes=1)
    headers: Any = error.response_headers
    assert headers["request-id"] == inner.request_id
    assert headers["client-request-id"] == inner.client_request_id
    return str(main.message)


async def test_what_is_not_there(session: Session) -> None:
    asked: RequestConfiguration[object] = RequestConfiguration()
    name = str(uuid4())
    asked.headers.add("client-request-id", name)
    with pytest.raises(ODataError) as refusal:
        await session.connector(NOBODY).get(asked)
    assert NOBODY in checked(refusal.value, 404, "ResourceNotFound")
    assert refusal.value.error.inner_error.client_request_id == name


async def test_a_change_of_what_is_not_there(session: Session) -> None:
    with pytest.raises(ODataError) as refusal:
        await session.connector(NOBODY).patch(Connector(version="1"))
    checked(refusal.value, 404, "ResourceNotFound")


async def test_a_connector_that_lacks_something(session: Session) -> None:
    with pytest.raises(ODataError) as refusal:
        await session.connectors.post(Connector(display_name=unique()))
    checked(refusal.value, 400, "ModelValidationFailure")


async def test_a_time_without_an_offset(session: Session) -> None:
    naive = datetime(2026, 1, 2, 3, 4, 5)  # noqa: DTZ001 - what a caller forgets
    with pytest.raises(ODataError) as refusal:
        await session.create(unique(), last_connection_date_time=naive)
    assert "Edm.DateTimeOffset" in checked(refusal.value, 400, "ModelValidationFailure")


async def test_a_property_that_there_is_not(session: Session) -> None:
    with pytest.raises(ODataError) as refusal:
        await session.create(unique(), additional_data={"colour": "blue"})
    assert "colour" in checked(refusal.value, 400, "BadRequest")


async def test_an_id_that_is_taken(session: Session) -> None:
    made = await session.create(unique())
    with pytest.raises(ODataError) as refusal:
        await session.create(unique(), id=made.id)
    checked(refusal.value, 409, "Conflict")


@pytest.mark.parametrize(
    "options",
    [
        {"filter": "displayName eq"},
        {"filter": "colour eq 'blue'"},
        {"filter": "state eq 'broken'"},
        {"select": ["colour"]},
        {"orderby": ["colour"]},
        {"expand": ["colour"]},
        {"top": -1},
        {"skip": -1},
    ],
)
async def test_an_option_that_cannot_be_meant(session: Session, options: dict[str, Any]) -> None:
    with pytest.raises(ODataError) as refusal:
        await session.connectors.get(asking(**options))
    checked(refusal.value, 400, "BadRequest")


@pytest.mark.parametrize("token", ["", "nonsense", "a.b.c"])
async def test_a_token_that_is_none(plain: Service, token: str) -> None:
    async with signed_in(plain.url, StaticToken(token)) as session:
        with pytest.raises(ODataError) as refusal:
            await session.connectors.get()
    checked(refusal.value, 401, "InvalidAuthenticationToken")
    headers: Any = refusal.value.response_headers
    assert headers["www-authenticate"].startswith("Bearer")


async def test_a_token_that_is_over(plain: Service) -> None:
    async with signed_in(plain.url, StaticToken(plain.token("--expires-in", "-60"))) as session:
        with pytest.raises(ODataError) as refusal:
            await session.connectors.get()
    checked(refusal.value, 401, "InvalidAuthenticationToken")


async def test_a_token_that_may_read_only(plain: Service) -> None:
    name = unique()
    async with signed_in(plain.url, StaticToken(plain.reader)) as session:
        assert await session.names(filter=f"displayName eq '{name}'") == []
        with pytest.raises(ODataError) as refusal:
            await session.connectors.post(connector(name))
        checked(refusal.value, 403, "Forbidden")
        assert await session.names(filter=f"displayName eq '{name}'") == []


async def test_a_token_that_may_nothing(plain: Service) -> None:
    async with signed_in(plain.url, StaticToken(plain.token("--no-permission"))) as session:
        with pytest.raises(ODataError) as refusal:
            await session.connectors.get()
    checked(refusal.value, 403, "Forbidden")


async def test_a_personal_account(plain: Service) -> None:
    async with signed_in(plain.url, StaticToken(plain.token("--delegated", "--personal"))) as session:
        with pytest.raises(ODataError) as refusal:
            await session.connectors.get()
    checked(refusal.value, 400, "BadRequest")
