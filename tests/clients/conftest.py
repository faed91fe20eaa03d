"""The services that the clients talk to, one over http and one over https, and clients that are signed in."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from azure.identity.aio import ClientSecretCredential
from tests.clients import certificates, service, throttle
from tests.clients.certificates import Certificates
from tests.clients.filling import fill
from tests.clients.person import Person
from tests.clients.service import Service
from tests.clients.session import Session, StaticToken, signed_in
from tests.clients.throttle import Throttle


@pytest.fixture(scope="session", autouse=True)
def _own_environment() -> Iterator[None]:
    """Nothing that the machine presets leads a client elsewhere."""
    with pytest.MonkeyPatch.context() as patch:
        for name in service.PRESET:
            patch.delenv(name, raising=False)
        yield


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def certs(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return certificates.made(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="session")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service over http."""
    with service.serving(tmp_path_factory.mktemp("plain") / "data") as running:
        yield running


@pytest.fixture(scope="session")
def secure(tmp_path_factory: pytest.TempPathFactory, certs: Certificates) -> Iterator[Service]:
    """A service over https, with the private authority that it makes for itself."""
    with service.serving(tmp_path_factory.mktemp("secure") / "data", None, "--tls") as running:
        certs.trust(running.data_dir / "tls/ca.pem")
        yield running


@pytest.fixture(scope="session")
def person(secure: Service, certs: Certificates) -> Person:
    """A person of the first tenant who may do everything there."""
    found = Person("ann", secrets.token_urlsafe(24), certs.authority)
    secure.person(found.name, found.password)
    return found


@pytest.fixture(scope="session")
def plain_throttle(plain: Service) -> Iterator[Throttle]:
    with throttle.throttling(plain.origin) as running:
        yield running


@pytest.fixture(scope="session")
def secure_throttle(secure: Service, certs: Certificates) -> Iterator[Throttle]:
    with throttle.throttling(secure.origin, certs) as running:
        yield running


@pytest.fixture(scope="session")
def plain_crowd(plain: Service) -> str:
    """A token for a tenant with 2,500 connectors, over http."""
    return _crowd(plain, None)


@pytest.fixture(scope="session")
def secure_crowd(secure: Service, certs: Certificates) -> str:
    """A token for a tenant with 2,500 connectors, over https."""
    return _crowd(secure, certs.authority)


def _crowd(running: Service, authority: Path | None) -> str:
    token = running.tenant("crowd")
    fill(running.url, token, 2_500, authority)
    return token


@pytest.fixture(params=["http", "https"])
async def session(request: pytest.FixtureRequest) -> AsyncIterator[Session]:
    """The Python SDK: over http with a token at hand, over https (HTTP/2) with a client secret and a private CA."""
    if request.param == "http":
        plain = request.getfixturevalue("plain")
        async with signed_in(plain.url, StaticToken(plain.writer)) as found:
            yield found
        return
    secure, certs = request.getfixturevalue("secure"), request.getfixturevalue("certs")
    application = secure.application
    credential = ClientSecretCredential(
        application.tenant_id,
        application.client_id,
        application.client_secret,
        authority=secure.origin,
        disable_instance_discovery=True,
        connection_verify=str(certs.authority),
    )
    async with credential, signed_in(secure.url, credential, certs.authority) as found:
        yield found
