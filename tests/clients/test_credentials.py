"""Certificates, other devices, and codes with PKCE: azure-identity and MSAL for Python at `adjoin serve --tls`.

azure-identity has no DeviceCodeCredential that runs without waiting: there, people sign in by the waiting one alone.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import msal
import pytest
from azure.core.exceptions import ClientAuthenticationError
from azure.identity import CertificateCredential, DeviceCodeCredential
from azure.identity.aio import CertificateCredential as AsyncCertificateCredential
from tests.clients.certificates import Certificates
from tests.clients.person import Person
from tests.clients.service import REDIRECT, Service
from tests.clients.session import SCOPE, StaticToken
from tests.clients.test_sign_in import options, worked

pytestmark = pytest.mark.anyio


async def test_a_certificate(secure: Service, certs: Certificates) -> None:
    who = secure.certified
    with CertificateCredential(who.tenant_id, who.client_id, who.key, **options(secure, certs)) as credential:
        await worked(secure, certs, credential, SCOPE)


async def test_a_certificate_with_its_chain(secure: Service, certs: Certificates) -> None:
    who = secure.certified
    with CertificateCredential(
        who.tenant_id, who.client_id, who.key, send_certificate_chain=True, **options(secure, certs)
    ) as credential:
        await worked(secure, certs, credential, SCOPE)


async def test_a_certificate_without_waiting(secure: Service, certs: Certificates) -> None:
    who = secure.certified
    async with AsyncCertificateCredential(
        who.tenant_id, who.client_id, who.key, **options(secure, certs)
    ) as credential:
        await worked(secure, certs, credential, SCOPE)


async def test_a_certificate_of_another_application(secure: Service, certs: Certificates) -> None:
    who = secure.certified
    other = secure.application
    with (
        CertificateCredential(who.tenant_id, other.client_id, who.key, **options(secure, certs)) as credential,
        pytest.raises(ClientAuthenticationError, match="AADSTS700027"),
    ):
        credential.get_token(SCOPE)


async def test_another_device(secure: Service, certs: Certificates, person: Person) -> None:
    def prompt(uri: str, user_code: str, _expires: datetime) -> None:
        person.allows_device(uri, user_code)

    with DeviceCodeCredential(
        secure.public.client_id, tenant_id=secure.public.tenant_id, prompt_callback=prompt, **options(secure, certs)
    ) as credential:
        await worked(secure, certs, credential, SCOPE)


async def test_msal_and_a_certificate(secure: Service, certs: Certificates) -> None:
    who = secure.certified
    key, certificate = _parts(Path(who.key))
    application = msal.ConfidentialClientApplication(
        who.client_id,
        client_credential={"private_key": key, "public_certificate": certificate},
        authority=f"{secure.origin}/{who.tenant_id}",
        instance_discovery=False,
        verify=str(certs.authority),
    )
    answer = application.acquire_token_for_client([SCOPE])
    assert answer.get("error") is None, answer
    await worked(secure, certs, StaticToken(answer["access_token"]), SCOPE)


def _parts(file: Path) -> tuple[str, str]:
    text = file.read_text("ascii")
    at = text.index("-----BEGIN CERTIFICATE")
    return text[:at], text[at:]


def on_a_machine(secure: Service, certs: Certificates) -> Any:
    return msal.PublicClientApplication(
        secure.public.client_id,
        authority=f"{secure.origin}/{secure.public.tenant_id}",
        instance_discovery=False,
        verify=str(certs.authority),
    )


async def test_msal_and_another_device(secure: Service, certs: Certificates, person: Person) -> None:
    application = on_a_machine(secure, certs)
    flow = application.initiate_device_flow([SCOPE])
    person.allows_device(flow["verification_uri"], flow["user_code"])
    answer = application.acquire_token_by_device_flow(flow)
    assert answer.get("error") is None, answer
    await worked(secure, certs, StaticToken(answer["access_token"]), SCOPE)
    await refreshed(secure, certs, application, answer["access_token"])


async def test_msal_and_a_code_with_pkce(secure: Service, certs: Certificates, person: Person) -> None:
    application = on_a_machine(secure, certs)
    flow = application.initiate_auth_code_flow([SCOPE], redirect_uri=REDIRECT, response_mode="form_post")
    told = person.allows(flow["auth_uri"])
    answer = application.acquire_token_by_auth_code_flow(flow, told)
    assert answer.get("error") is None, answer
    assert answer["id_token_claims"]["preferred_username"].startswith(person.name)
    await worked(secure, certs, StaticToken(answer["access_token"]), SCOPE)
    await refreshed(secure, certs, application, answer["access_token"])
    again = on_a_machine(secure, certs).acquire_token_by_auth_code_flow(flow, told)
    assert again["error_codes"] == [54005]


async def refreshed(secure: Service, certs: Certificates, application: Any, before: str) -> None:
    """The application gets a new token by its refresh token, and uses it."""
    (account,) = application.get_accounts()
    answer = application.acquire_token_silent([SCOPE], account, force_refresh=True)
    assert answer["access_token"] != before
    await worked(secure, certs, StaticToken(answer["access_token"]), SCOPE)
