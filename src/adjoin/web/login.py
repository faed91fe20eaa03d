"""The token service's endpoints, `/{tenant}/…`, in Entra's forms: discovery, keys, and tokens for applications."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from urllib.parse import parse_qsl

import msgspec

from adjoin.identity.clouds import GLOBAL
from adjoin.service import sign_in
from adjoin.service.installation import Installation
from adjoin.service.sign_in import ClientCredentials, SignInRefusal
from adjoin.service.world import World
from adjoin.web.errors import MethodNotAllowed
from adjoin.web.exchange import Request, Response

_JSON: Final = "application/json; charset=utf-8"
_FORM: Final = "application/x-www-form-urlencoded"
_MAX_FIELDS: Final = 64
_NO_STORE: Final = [("cache-control", "no-store, no-cache"), ("pragma", "no-cache")]
_DISCOVERY: Final = ("v2.0", ".well-known", "openid-configuration")
_DISCOVERY_V1: Final = (".well-known", "openid-configuration")
_KEYS: Final = (("discovery", "v2.0", "keys"), ("discovery", "keys"))
_TOKEN: Final = (("oauth2", "v2.0", "token"), ("oauth2", "token"))


def serves(parts: tuple[str, ...]) -> bool:
    """Whether a path is one of these endpoints."""
    below = tuple(part.lower() for part in parts[1:])
    return below in (_DISCOVERY, _DISCOVERY_V1, *_KEYS, *_TOKEN)


@dataclass(frozen=True, slots=True)
class Login:
    """The token service of an installation."""

    installation: Installation
    world: World

    async def respond(self, request: Request, parts: tuple[str, ...]) -> Response:
        """Answer a request for one of the endpoints. Raises MethodNotAllowed; refuses the rest in Entra's form."""
        below = tuple(part.lower() for part in parts[1:])
        if request.method != ("POST" if below in _TOKEN else "GET"):
            raise MethodNotAllowed(("POST", "OPTIONS") if below in _TOKEN else ("GET", "OPTIONS"))
        try:
            if below in _TOKEN:
                return await self._token(request, parts[0])
            if below in _KEYS:
                return Response(200, msgspec.json.encode(self.installation.ring.jwks()), _JSON)
            return await self._discovery(request, parts[0], v2=below == _DISCOVERY)
        except SignInRefusal as refusal:
            return self._refused(refusal, request)

    async def _discovery(self, request: Request, name: str, v2: bool) -> Response:
        tenant = await sign_in.known_tenant(self.installation, name)
        base = f"{request.origin}/{tenant.id}"
        middle = "oauth2/v2.0" if v2 else "oauth2"
        document = {
            "token_endpoint": f"{base}/{middle}/token",
            "token_endpoint_auth_methods_supported": ["client_secret_post"],
            "jwks_uri": f"{base}/discovery/{'v2.0/' if v2 else ''}keys",
            "grant_types_supported": ["client_credentials"],
            "response_types_supported": ["token"],
            "subject_types_supported": ["pairwise"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "issuer": GLOBAL.issuer("2.0" if v2 else "1.0", tenant.id),
            # MSAL refuses a document without it, whatever the grant (clients.md section 2).
            "authorization_endpoint": f"{base}/{middle}/authorize",
        }
        return Response(200, msgspec.json.encode(document), _JSON)

    async def _token(self, request: Request, name: str) -> Response:
        tenant = await sign_in.known_tenant(self.installation, name)
        form = await _form(request)
        grant = _required(form, "grant_type")
        if grant != "client_credentials":
            raise SignInRefusal("unsupported_grant_type", 70003, f"The grant type '{grant[:64]}' is not supported.")
        # The v1 endpoint names a resource where v2 names a scope.
        scope = form.get("scope") or f"{_required(form, 'resource' if 'resource' in form else 'scope')}/.default"
        asked = ClientCredentials(
            _required(form, "client_id"), _required(form, "client_secret"), scope, _capabilities(form)
        )
        token = await sign_in.token_for_application(
            self.installation, self.world, GLOBAL, tenant, asked, request.origin
        )
        lasts = sign_in.LIFETIME
        answer = {"token_type": "Bearer", "expires_in": lasts, "ext_expires_in": lasts, "access_token": token}
        return Response(200, msgspec.json.encode(answer), _JSON, list(_NO_STORE))

    def _refused(self, refusal: SignInRefusal, request: Request) -> Response:
        stamp = datetime.fromtimestamp(int(self.world.now()), UTC).strftime("%Y-%m-%d %H:%M:%SZ")
        body = {
            "error": refusal.error,
            "error_description": (
                f"{refusal.message} Trace ID: {request.id} Correlation ID: {request.client_id} Timestamp: {stamp}"
            ),
            "error_codes": [refusal.number],
            "timestamp": stamp,
            "trace_id": request.id,
            "correlation_id": request.client_id,
        }
        status = 401 if refusal.error == "invalid_client" else 400
        return Response(status, msgspec.json.encode(body), _JSON, list(_NO_STORE))


async def _form(request: Request) -> Mapping[str, str]:
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _FORM:
        raise SignInRefusal("invalid_request", 900144, f"The request body must be of the type {_FORM}.")
    body = await request.body()
    try:
        fields = parse_qsl(body.decode("utf-8"), keep_blank_values=True, max_num_fields=_MAX_FIELDS)
    except ValueError:
        raise SignInRefusal("invalid_request", 900144, "The request body is not a readable form.") from None
    form = dict(fields)
    if len(form) < len(fields):
        raise SignInRefusal("invalid_request", 9000411, "The request holds a parameter more than once.")
    return form


def _required(form: Mapping[str, str], name: str) -> str:
    value = form.get(name)
    if not value:
        raise SignInRefusal(
            "invalid_request", 900144, f"The request body must contain the following parameter: '{name}'."
        )
    return value


def _capabilities(form: Mapping[str, str]) -> tuple[str, ...]:
    """The `cp1` that a client declares in its `claims` parameter, as SDKs do by default (clients.md section 2)."""
    return ("cp1",) if '"cp1"' in form.get("claims", "").lower() else ()
