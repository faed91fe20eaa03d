"""The Python SDK, signed in and pointed at a service, with every answer that it got kept as it came."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
from azure.core.credentials import AccessToken, TokenCredential
from azure.core.credentials_async import AsyncTokenCredential
from kiota_abstractions.base_request_configuration import RequestConfiguration
from kiota_authentication_azure.azure_identity_authentication_provider import AzureIdentityAuthenticationProvider
from msgraph_beta import GraphRequestAdapter, GraphServiceClient
from msgraph_beta.generated.device_management.domain_join_connectors.domain_join_connectors_request_builder import (
    DomainJoinConnectorsRequestBuilder,
)
from msgraph_beta.generated.models.device_management_domain_join_connector import DeviceManagementDomainJoinConnector
from msgraph_beta.generated.models.device_management_domain_join_connector_state import (
    DeviceManagementDomainJoinConnectorState,
)
from msgraph_core import GraphClientFactory

Connector = DeviceManagementDomainJoinConnector
State = DeviceManagementDomainJoinConnectorState

SCOPE = "https://graph.microsoft.com/.default"
WHEN = datetime(2026, 1, 2, 3, 4, 5, 678901, UTC)


@dataclass(frozen=True, slots=True)
class StaticToken:
    """A credential that has its token already."""

    token: str

    def get_token(self, *_scopes: str, **_options: Any) -> AccessToken:
        return AccessToken(self.token, 2**31)


@dataclass(frozen=True, slots=True)
class Session:
    """A client, and the answers that it got, the last one last; `statuses` are those of tries before them, too."""

    client: GraphServiceClient
    answers: list[httpx.Response] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)

    @property
    def connectors(self) -> Any:
        return self.client.device_management.domain_join_connectors

    def connector(self, connector_id: str) -> Any:
        return self.connectors.by_device_management_domain_join_connector_id(connector_id)

    async def create(self, display_name: str, **more: Any) -> Any:
        """A new connector, as the SDK gives it back."""
        return await self.connectors.post(connector(display_name, **more))

    async def names(self, **options: Any) -> list[str]:
        """The display names of a list with these options."""
        return [each.display_name for each in (await self.connectors.get(asking(**options))).value]


def connector(display_name: str, **more: Any) -> Any:
    """A connector with everything that the service asks for."""
    return Connector(
        **{
            "display_name": display_name,
            "last_connection_date_time": WHEN,
            "state": State.Active,
            "version": "6.2204.1.0",
            **more,
        }
    )


def asking(headers: dict[str, str] | None = None, **options: Any) -> Any:
    """A request's configuration with system query options, named as in the SDK."""
    parameters = DomainJoinConnectorsRequestBuilder.DomainJoinConnectorsRequestBuilderGetQueryParameters(**options)
    configuration = RequestConfiguration(query_parameters=parameters)
    for name, text in (headers or {}).items():
        configuration.headers.add(name, text)
    return configuration


def unique(prefix: str = "c") -> str:
    """A display name that no other test has."""
    return f"{prefix}-{uuid4().hex[:12]}"


class _Transport(httpx.AsyncHTTPTransport):
    """What stands below the SDK's own retries, and so sees each of them."""

    def __init__(self, verify: ssl.SSLContext | bool) -> None:
        super().__init__(verify=verify, http2=True)
        self.statuses: list[int] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await super().handle_async_request(request)
        self.statuses.append(response.status_code)
        return response


@contextlib.asynccontextmanager
async def signed_in(
    url: str,
    credential: TokenCredential | AsyncTokenCredential,
    authority: Path | None = None,
    scopes: tuple[str, ...] = (SCOPE,),
) -> AsyncIterator[Session]:
    """A client for the service at `url`; `authority` is the CA to trust."""
    answers: list[httpx.Response] = []

    async def keep(response: httpx.Response) -> None:
        answers.append(response)

    verify: ssl.SSLContext | bool = ssl.create_default_context(cafile=str(authority)) if authority else True
    # As the SDK's own client is made, but for the CA and the hook. The SDK's transport doesn't close the one inside it.
    inner = _Transport(verify)
    bare = httpx.AsyncClient(transport=inner, timeout=60, event_hooks={"response": [keep]})
    provider = AzureIdentityAuthenticationProvider(credential, scopes=list(scopes))
    adapter = GraphRequestAdapter(provider, GraphClientFactory.create_with_default_middleware(client=bare))
    adapter.base_url = url
    async with bare, inner:
        yield Session(GraphServiceClient(request_adapter=adapter), answers, inner.statuses)
