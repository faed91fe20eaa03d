"""What clients read before they ask for anything: the configuration, the keys, and the instances of the service."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from adjoin.identity import assertions
from adjoin.service.sign_in import SignInRefusal, known_tenant
from adjoin.service.sign_in_codes import MODES
from adjoin.web.exchange import Request, Response
from adjoin.web.login.desk import Desk, allow
from adjoin.web.login.forms import queried, required

JSON: Final = "application/json; charset=utf-8"
_DEVICE: Final = "urn:ietf:params:oauth:grant-type:device_code"
_CLAIMS: Final = ("sub", "iss", "aud", "exp", "iat", "auth_time", "nonce", "name", "oid", "preferred_username", "tid", "ver")  # fmt: skip # noqa: E501


async def configuration(desk: Desk, request: Request, name: str, v2: bool) -> Response:
    """OpenID Connect's document, with the members that Entra's has."""
    allow(request, "GET")
    tenant = await known_tenant(desk.service, name)
    base = f"{request.origin}/{tenant.id}"
    middle = "oauth2/v2.0" if v2 else "oauth2"
    document: dict[str, Any] = {
        "token_endpoint": f"{base}/{middle}/token",
        "token_endpoint_auth_methods_supported": ["client_secret_post", "client_secret_basic", "private_key_jwt"],
        "token_endpoint_auth_signing_alg_values_supported": list(assertions.ALGORITHMS),
        "jwks_uri": f"{base}/discovery/{'v2.0/' if v2 else ''}keys",
        "response_modes_supported": list(MODES),
        "subject_types_supported": ["pairwise"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "response_types_supported": ["code"],
        "grant_types_supported": ["authorization_code", "client_credentials", "refresh_token", _DEVICE],
        "scopes_supported": ["openid", "profile", "email", "offline_access"],
        "claims_supported": list(_CLAIMS),
        "code_challenge_methods_supported": ["S256"],
        "issuer": desk.service.cloud.issuer("2.0" if v2 else "1.0", tenant.id),
        # MSAL refuses a document without it, whatever the grant (clients.md section 2).
        "authorization_endpoint": f"{base}/{middle}/authorize",
        "device_authorization_endpoint": f"{base}/{middle}/devicecode",
        "request_uri_parameter_supported": False,
        "http_logout_supported": False,
        "frontchannel_logout_supported": False,
    }
    return Response(200, msgspec.json.encode(document), JSON)


async def keys(desk: Desk, request: Request, _name: str) -> Response:
    """The keys that tokens are verified with; the same for all tenants, as Entra's."""
    allow(request, "GET")
    return Response(200, msgspec.json.encode(desk.service.installation.ring.jwks()), JSON)


async def instances(desk: Desk, request: Request, _name: str) -> Response:
    """Entra's list of its own hosts, by which MSAL tells whether to trust an authority: here there is this one.

    MSAL leaves the port of its authority out (clients.md section 2), so hosts are compared without it.
    """
    allow(request, "GET")
    try:
        asked = urlsplit(required(queried(request), "authorization_endpoint"))
    except ValueError:
        raise SignInRefusal("invalid_instance", 50049, "Unknown or invalid instance.") from None
    host = urlsplit(request.origin).netloc
    name = asked.path.strip("/").partition("/")[0]
    if asked.scheme != "https" or asked.hostname != urlsplit(request.origin).hostname or not name:
        raise SignInRefusal("invalid_instance", 50049, "Unknown or invalid instance.")
    document = {
        "tenant_discovery_endpoint": f"{request.origin}/{name}/v2.0/.well-known/openid-configuration",
        "api-version": "1.1",
        "metadata": [{"preferred_network": host, "preferred_cache": host, "aliases": [host]}],
    }
    _ = desk
    return Response(200, msgspec.json.encode(document), JSON)
