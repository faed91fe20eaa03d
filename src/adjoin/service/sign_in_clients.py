"""Which application makes a token request, and whether it proves to be that one: by a secret or a registered key."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from enum import Enum
from typing import Final

from adjoin.identity import assertions, issuer
from adjoin.identity.assertions import Assertion, BadAssertion
from adjoin.odata.values import Instant
from adjoin.service import connectors as rules
from adjoin.service.sign_in import SignInRefusal, TokenService
from adjoin.store import applications, connectors, grants
from adjoin.store.applications import Application, Key
from adjoin.store.grants import Kept
from adjoin.store.tenants import Tenant

ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
# Compared with when there is no such application, so that the time of an answer does not tell.
_NO_DIGEST: Final = bytes(32)
_HEX: Final = re.compile(r"(?:[0-9A-Fa-f]{40}|[0-9A-Fa-f]{64})")


class Proof(Enum):
    """What a client proved itself by."""

    NONE = "none"
    SECRET = "secret"  # noqa: S105 - the word, not one
    CERTIFICATE = "certificate"


@dataclass(frozen=True, slots=True)
class Offered:
    """What a request brings to say who it is. `content` is what it asks: its assertion is good for that once."""

    client_id: str | None
    secret: str | None = None
    assertion: str | None = None
    audiences: frozenset[str] = frozenset()
    content: bytes = b""


@dataclass(frozen=True, slots=True)
class Client:
    """An application, and how it proved itself."""

    application: Application
    proof: Proof
    connector: bool = False
    """It is a connector, which gets tokens for the connector API alone."""

    @property
    def id(self) -> str:
        return self.application.id


async def registered(service: TokenService, tenant: Tenant, client_id: str) -> Application:
    """The application with this id. Raises SignInRefusal."""
    found = await applications.find(service.installation.database.reader, tenant.number, client_id.lower())
    if found is None:
        raise SignInRefusal(
            "unauthorized_client",
            700016,
            f"Application with identifier '{client_id[:64]}' was not found in the directory '{tenant.name}'.",
        )
    return found


async def proven(service: TokenService, tenant: Tenant, offered: Offered) -> Client:
    """The client that a request proves to come from. Raises SignInRefusal."""
    if offered.secret is not None and offered.assertion is not None:
        raise SignInRefusal("invalid_request", 7000219, "A client proves itself in one way, not in two.")
    if offered.assertion is not None:
        return await _by_assertion(service, tenant, offered, offered.assertion)
    if not offered.client_id:
        raise missing("client_id")
    found = await registered(service, tenant, offered.client_id)
    if found.public:
        if offered.secret is not None:
            raise _is_public()
        return Client(found, Proof.NONE)
    if not offered.secret:
        raise SignInRefusal(
            "invalid_client",
            7000218,
            "The request body must contain the following parameter: 'client_assertion' or 'client_secret'.",
        )
    if not issuer.matches(offered.secret, found.secret_digest or _NO_DIGEST):
        raise SignInRefusal("invalid_client", 7000215, f"Invalid client secret provided for app '{found.id}'.")
    return Client(found, Proof.SECRET)


async def _by_assertion(service: TokenService, tenant: Tenant, offered: Offered, text: str) -> Client:
    try:
        assertion = assertions.read(text)
        # RFC 7521, 4.2: with an assertion `client_id` may be left out; if it is there, it is the same.
        client_id = assertion.subject.lower()
        if offered.client_id is not None and offered.client_id.lower() != client_id:
            raise BadAssertion(700021, "The client assertion is of another application than 'client_id'.")
        connector = await _connector(service, tenant, client_id)
        found = connector or await registered(service, tenant, client_id)
        if found.public:
            raise _is_public()
        find = _key if connector is None else _connector_key
        key = await find(service, tenant, found, assertion)
        expires = assertions.verify(assertion, key.public_key, offered.audiences, service.now)
    except BadAssertion as bad:
        raise SignInRefusal("invalid_client", bad.number, bad.message) from None
    await _use_once(service, tenant, found, assertion, offered.content, expires)
    if connector is not None:
        await service.installation.database.write(
            lambda session: connectors.confirm_key(session, tenant.number, found.id, key.thumbprint)
        )
    return Client(found, Proof.CERTIFICATE, connector is not None)


async def _connector(service: TokenService, tenant: Tenant, client_id: str) -> Application | None:
    """An enrolled connector as the application that it is to the token service."""
    now = Instant.from_unix(service.now).ticks
    found = await connectors.find(service.installation.database.reader, tenant.number, client_id, now)
    if found is None or found.enrolled is None:
        return None
    return Application(
        id=client_id,
        object_id=client_id,
        name=rules.text(found["displayName"]),
        permissions=(rules.PERMISSION,),
        secret_digest=None,
        created=found.enrolled,
    )


async def _connector_key(service: TokenService, tenant: Tenant, application: Application, assertion: Assertion) -> Key:
    reader = service.installation.database.reader
    held = {each.thumbprint: each for each in await connectors.keys(reader, tenant.number, application.id)}
    key = next((held[name] for name in map(_thumbprint, assertion.names) if name in held), None)
    if key is None:
        raise _not_registered(application)
    if key.expires <= service.now:
        raise BadAssertion(700027, "The client assertion is signed by a key whose time is over.")
    return Key(key.thumbprint, key.public_key, key.expires, key.created)


async def _key(service: TokenService, tenant: Tenant, application: Application, assertion: Assertion) -> Key:
    reader = service.installation.database.reader
    for name in assertion.names:
        key = await applications.find_key(reader, tenant.number, application.id, _thumbprint(name))
        if key is not None:
            if key.expires is not None and key.expires <= service.now:
                raise BadAssertion(700027, "The client assertion is signed by the key of an expired certificate.")
            return key
    raise _not_registered(application)


def _not_registered(application: Application) -> BadAssertion:
    return BadAssertion(
        700027, f"The key that signed the client assertion is not registered on application '{application.id}'."
    )


async def _use_once(
    service: TokenService, tenant: Tenant, application: Application, assertion: Assertion, content: bytes, expires: int
) -> None:
    """Refuse a request that was made before with this assertion.

    For the same request, not for any: MSAL for Python uses one assertion for nine minutes, for whatever it asks
    meanwhile (msal.oauth2cli.assertion.AutoRefresher).
    """
    whole = b"\x00".join((application.id.encode(), assertion.token_id.encode("utf-8", "surrogatepass"), content))
    new = Kept(
        hashlib.sha256(whole).digest(),
        grants.ASSERTION,
        grants.SPENT,
        application.id,
        None,
        b"",
        service.now,
        expires,
    )
    if not await service.installation.database.write(lambda session: grants.add(session, tenant.number, new)):
        raise SignInRefusal("invalid_client", 50013, "The client assertion was used for this request before.")


def _thumbprint(name: str) -> str:
    """A key's name as it is registered. Tools give thumbprints as base64url, padded or not, or in hexadecimal."""
    if _HEX.fullmatch(name):
        return assertions.base64url(bytes.fromhex(name))
    return name.rstrip("=")


def missing(name: str) -> SignInRefusal:
    """The refusal of a request without a parameter that it needs."""
    return SignInRefusal("invalid_request", 900144, f"The request body must contain the following parameter: '{name}'.")


def _is_public() -> SignInRefusal:
    return SignInRefusal(
        "invalid_client",
        700025,
        "Client is public so neither 'client_assertion' nor 'client_secret' should be presented.",
    )
