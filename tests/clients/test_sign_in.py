"""Signing in at the service's own token endpoint with azure-identity and MSAL; clients made as their makers show."""

from __future__ import annotations

import ssl
from typing import Any

import httpx
import msal
import pytest
from azure.core.credentials import TokenCredential
from azure.core.exceptions import ClientAuthenticationError
from azure.identity import ClientSecretCredential
from azure.identity.aio import ClientSecretCredential as AsyncClientSecretCredential
from msgraph_beta import GraphServiceClient
from tests.clients.certificates import Certificates
from tests.clients.service import Service, serving
from tests.clients.session import SCOPE, StaticToken, signed_in, unique

pytestmark = pytest.mark.anyio


def options(secure: Service, certs: Certificates) -> dict[str, Any]:
    return {
        "authority": secure.origin,
        "disable_instance_discovery": True,
        "connection_verify": str(certs.authority),
    }


async def worked(secure: Service, certs: Certificates, credential: Any, *scopes: str) -> None:
    """Make, find and remove a connector."""
    async with signed_in(secure.url, credential, certs.authority, scopes) as session:
        made = await session.create(unique())
        assert await session.names(filter=f"id eq '{made.id}'") == [made.display_name]
        await session.connector(made.id).delete()


@pytest.mark.parametrize("scopes", [(SCOPE,), ()], ids=["graph's scope", "the SDK's own scope"])
async def test_a_client_secret(secure: Service, certs: Certificates, scopes: tuple[str, ...]) -> None:
    who = secure.application
    with ClientSecretCredential(
        who.tenant_id, who.client_id, who.client_secret, **options(secure, certs)
    ) as credential:
        await worked(secure, certs, credential, *scopes)


@pytest.mark.parametrize("scopes", [(SCOPE,), ()], ids=["graph's scope", "the SDK's own scope"])
async def test_a_client_secret_without_waiting(secure: Service, certs: Certificates, scopes: tuple[str, ...]) -> None:
    who = secure.application
    async with AsyncClientSecretCredential(
        who.tenant_id, who.client_id, who.client_secret, **options(secure, certs)
    ) as credential:
        await worked(secure, certs, credential, *scopes)


async def test_a_wrong_secret(secure: Service, certs: Certificates) -> None:
    who = secure.application
    with (
        ClientSecretCredential(who.tenant_id, who.client_id, "wrong", **options(secure, certs)) as credential,
        pytest.raises(ClientAuthenticationError, match="AADSTS7000215"),
    ):
        credential.get_token(SCOPE)


async def test_a_wrong_secret_without_waiting(secure: Service, certs: Certificates) -> None:
    who = secure.application
    async with AsyncClientSecretCredential(
        who.tenant_id, who.client_id, "wrong", **options(secure, certs)
    ) as credential:
        with pytest.raises(ClientAuthenticationError, match="AADSTS7000215"):
            await credential.get_token(SCOPE)


async def test_a_client_that_is_not_known(secure: Service, certs: Certificates) -> None:
    who = secure.application
    nobody = "00000000-0000-0000-0000-000000000009"
    with (
        ClientSecretCredential(who.tenant_id, nobody, who.client_secret, **options(secure, certs)) as credential,
        pytest.raises(ClientAuthenticationError, match="AADSTS700016"),
    ):
        credential.get_token(SCOPE)


@pytest.mark.parametrize("form", ["authority", "oidc_authority"])
async def test_msal(secure: Service, certs: Certificates, form: str) -> None:
    who = secure.application
    places: dict[str, dict[str, Any]] = {
        "authority": {"authority": f"{secure.origin}/{who.tenant_id}", "instance_discovery": False},
        "oidc_authority": {"oidc_authority": f"{secure.origin}/{who.tenant_id}/v2.0"},
    }
    application = msal.ConfidentialClientApplication(
        who.client_id, client_credential=who.client_secret, verify=str(certs.authority), **places[form]
    )
    answer = application.acquire_token_for_client([SCOPE])
    assert (answer["token_type"], answer.get("error")) == ("Bearer", None)
    again = application.acquire_token_for_client([SCOPE])
    assert (again["access_token"], again["token_source"]) == (answer["access_token"], "cache")
    await worked(secure, certs, StaticToken(answer["access_token"]), SCOPE)


async def test_msal_is_told_what_is_wrong(secure: Service, certs: Certificates) -> None:
    who = secure.application
    application = msal.ConfidentialClientApplication(
        who.client_id,
        client_credential="wrong",
        authority=f"{secure.origin}/{who.tenant_id}",
        instance_discovery=False,
        verify=str(certs.authority),
    )
    answer = application.acquire_token_for_client([SCOPE])
    assert answer["error"] == "invalid_client"
    assert answer["error_codes"] == [7000215]


async def test_the_client_as_the_sdk_makes_it(plain: Service) -> None:
    assert await _made_by_the_sdk(StaticToken(plain.writer), plain.url) == 0


async def test_the_client_as_the_sdk_makes_it_over_https(
    secure: Service, certs: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certs.authority))
    who = secure.application
    with ClientSecretCredential(
        who.tenant_id, who.client_id, who.client_secret, **options(secure, certs)
    ) as credential:
        assert await _made_by_the_sdk(credential, secure.url) == 0


async def _made_by_the_sdk(credential: TokenCredential, url: str) -> int:
    """What a client counts that is made with nothing but a credential and an address."""
    client = GraphServiceClient(credential)
    client.request_adapter.base_url = url
    condition = f"displayName eq '{unique()}'"
    request = client.device_management.domain_join_connectors.count.with_url(
        f"{url}/deviceManagement/domainJoinConnectors/$count?$filter={condition}"
    )
    counted = await request.get()
    # The SDK's transport doesn't close the one inside it.
    await client.request_adapter._http_client._transport.transport.aclose()
    return int(counted)


async def test_an_idle_client_does_not_keep_the_service_from_stopping(
    certs: Certificates, tmp_path_factory: pytest.TempPathFactory
) -> None:
    context = ssl.create_default_context(cafile=str(certs.authority))
    # HTTP/2, as the SDK's own client speaks it.
    async with httpx.AsyncClient(http2=True, verify=context) as client:
        with serving(tmp_path_factory.mktemp("idle") / "data", certs) as running:
            answer = await client.get(f"{running.origin}/readyz")
            assert (answer.status_code, answer.http_version) == (200, "HTTP/2")
