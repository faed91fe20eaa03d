"""Tokens for applications: who proves to be a registered application gets a token with its permissions.

The refusals carry the numbers and words of Entra's (AADSTS…), which clients show to their users.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from adjoin.identity import issuer
from adjoin.identity.caller import Kind
from adjoin.identity.clouds import GRAPH_APP_ID, Cloud
from adjoin.identity.issuer import Grant
from adjoin.odata.errors import Refusal
from adjoin.service.installation import Installation
from adjoin.service.world import World
from adjoin.store import applications, tenants
from adjoin.store.tenants import Tenant

LIFETIME: Final = 3_599
# Compared with when there is no such application, so that the time of an answer does not tell.
_NO_DIGEST: Final = bytes(32)


class SignInRefusal(Refusal):
    """A token request that is refused: `error` as OAuth names it (RFC 6749 section 5.2), `number` as Entra does."""

    def __init__(self, error: str, number: int, message: str) -> None:
        super().__init__(f"AADSTS{number}: {message}")
        self.error = error
        self.number = number


@dataclass(frozen=True, slots=True)
class ClientCredentials:
    """A request of the client credentials grant (RFC 6749 section 4.4). `scope` ends in `/.default`."""

    client_id: str
    client_secret: str
    scope: str
    capabilities: tuple[str, ...] = ()


async def known_tenant(installation: Installation, name: str) -> Tenant:
    """The tenant in the path of a token endpoint, by GUID or by name. Raises SignInRefusal."""
    tenant = await tenants.find_by_id_or_name(installation.database.reader, name)
    if tenant is None:
        raise SignInRefusal("invalid_request", 90002, f"Tenant '{name[:64]}' not found.")
    return tenant


async def token_for_application(
    installation: Installation, world: World, cloud: Cloud, tenant: Tenant, asked: ClientCredentials, origin: str
) -> str:
    """A token for the application that the credentials prove; `origin` is our own URL. Raises SignInRefusal."""
    found = await applications.find(installation.database.reader, tenant.number, asked.client_id.lower())
    proven = issuer.matches(asked.client_secret, found.secret_digest if found else _NO_DIGEST)
    if found is None:
        raise SignInRefusal(
            "unauthorized_client",
            700016,
            f"Application with identifier '{asked.client_id[:64]}' was not found in the directory '{tenant.name}'.",
        )
    if not proven:
        raise SignInRefusal("invalid_client", 7000215, f"Invalid client secret provided for app '{found.id}'.")
    check_scope(asked.scope, cloud, origin)
    grant = Grant(
        tenant_id=tenant.id,
        subject=found.object_id,
        client_id=found.id,
        permissions=frozenset(found.permissions),
        kind=Kind.APPLICATION,
        expires_in=LIFETIME,
        app_display_name=found.name,
        capabilities=asked.capabilities,
        cloud=cloud,
    )
    return issuer.mint(installation.ring.signing, grant, int(world.now()), world.new_request_id())


def check_scope(scope: str, cloud: Cloud, origin: str) -> None:
    """Refuse a scope that is not this service's.

    Clients name it by Graph's URL or by the service's own, without its port and as https at times (clients.md item 23).
    """
    if not scope.endswith("/.default"):
        raise SignInRefusal("invalid_scope", 1002012, f"The provided value for scope {scope[:128]} is not valid.")
    resource = scope.removesuffix("/.default").rstrip("/")
    if resource not in (cloud.graph_root, GRAPH_APP_ID) and not _is_own(resource, origin):
        raise SignInRefusal("invalid_resource", 500011, f"The resource principal named {resource[:128]} was not found.")


def _is_own(resource: str, origin: str) -> bool:
    try:
        named, own = urlsplit(resource), urlsplit(origin)
        port = named.port
    except ValueError:
        return False
    return (
        named.scheme in ("http", "https")
        and named.hostname == own.hostname
        and port in (None, own.port)
        and not (named.path or named.query or named.fragment or named.username)
    )
