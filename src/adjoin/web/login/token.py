"""The token endpoint and the device code endpoint: from a form to tokens, by the grant that it names."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final

import msgspec

from adjoin.service import sign_in_codes, sign_in_devices, sign_in_refresh, sign_in_scopes, sign_in_tokens
from adjoin.service.sign_in import SignInRefusal, TokenService, known_tenant
from adjoin.service.sign_in_clients import Client, Proof, proven, registered
from adjoin.service.sign_in_codes import capabilities
from adjoin.service.sign_in_tokens import Tokens
from adjoin.store.tenants import Tenant
from adjoin.web.exchange import Request, Response
from adjoin.web.login.desk import BEGUN, Desk, allow, source
from adjoin.web.login.discovery import JSON
from adjoin.web.login.forms import offered, posted, required, scope_of
from adjoin.web.login.pages import NO_STORE

_APPLICATION: Final = "client_credentials"


@dataclass(frozen=True, slots=True)
class _Asked:
    """A token request whose client is proven."""

    desk: Desk
    tenant: Tenant
    client: Client
    form: Mapping[str, str]
    origin: str
    v2: bool

    @property
    def service(self) -> TokenService:
        return self.desk.service


async def token(desk: Desk, request: Request, name: str, v2: bool) -> Response:
    """Answer a token request. Raises SignInRefusal."""
    allow(request, "POST")
    form = await posted(request)
    wanted = required(form, "grant_type")
    grant = _GRANTS.get(wanted)
    tenant = await known_tenant(desk.service, name, application_alone=wanted == _APPLICATION)
    if grant is None:
        raise SignInRefusal("unsupported_grant_type", 70003, f"The grant type '{wanted[:64]}' is not supported.")
    who = offered(request, form, tenant, name, desk.service.cloud, desk.hosts)
    try:
        client = await proven(desk.service, tenant, who)
        if client.connector and wanted != _APPLICATION:
            raise SignInRefusal("unauthorized_client", 700016, "A connector gets tokens as itself alone.")
        tokens = await grant(_Asked(desk, tenant, client, form, request.origin, v2))
    except SignInRefusal as refusal:
        await desk.refused(request, tenant, refusal, who.client_id)
        raise
    if form.get("client_info") != "1":
        tokens = msgspec.structs.replace(tokens, client_info=None)
    return Response(200, msgspec.json.encode(tokens), JSON, list(NO_STORE))


async def device_code(desk: Desk, request: Request, name: str, v2: bool) -> Response:
    """Begin a sign-in on another device (RFC 8628, 3.1). Raises SignInRefusal."""
    allow(request, "POST")
    form = await posted(request)
    tenant = await known_tenant(desk.service, name)
    application = await registered(desk.service, tenant, required(form, "client_id"))
    scopes = sign_in_scopes.read(scope_of(form, v2, person=True), desk.service.cloud, request.origin)
    now = desk.service.world.now()
    counted = ("begun", source(request), now // 60)
    wait = desk.codes.wait(counted, BEGUN, now)
    if wait:
        raise SignInRefusal("temporarily_unavailable", 90055, "There are too many incoming requests.", wait)
    desk.codes.count(counted, now)
    codes = await sign_in_devices.begin(desk.service, tenant, application, scopes, capabilities(form))
    uri = f"{request.origin}/device"
    answer = {
        "user_code": codes.user_code,
        "device_code": codes.device_code,
        "verification_uri" if v2 else "verification_url": uri,
        "expires_in": sign_in_devices.LASTS,
        "interval": sign_in_devices.INTERVAL,
        "message": f"To sign in, use a web browser to open the page {uri} and enter the code {codes.user_code} to "
        "authenticate.",
    }
    return Response(200, msgspec.json.encode(answer), JSON, list(NO_STORE))


async def _for_application(asked: _Asked) -> Tokens:
    """RFC 6749, 4.4. A client that proves nothing is nobody, so it gets nothing as itself."""
    if asked.client.proof is Proof.NONE:
        raise SignInRefusal(
            "invalid_client", 7000218, "A public client cannot sign in as itself: it has nothing to prove itself by."
        )
    scope = scope_of(asked.form, asked.v2)
    if asked.client.connector:
        sign_in_scopes.check_connector_scope(scope)
    else:
        sign_in_scopes.check_application_scope(scope, asked.service.cloud, asked.origin)
    return sign_in_tokens.for_application(asked.service, asked.tenant, asked.client, capabilities(asked.form))


async def _for_code(asked: _Asked) -> Tokens:
    return await sign_in_codes.redeem(
        asked.service,
        asked.tenant,
        asked.client,
        required(asked.form, "code"),
        required(asked.form, "redirect_uri"),
        asked.form.get("code_verifier"),
    )


async def _for_refresh_token(asked: _Asked) -> Tokens:
    text = required(asked.form, "refresh_token")
    narrowed = "scope" in asked.form or "resource" in asked.form
    scope = scope_of(asked.form, asked.v2) if narrowed else None
    scopes = sign_in_scopes.read(scope, asked.service.cloud, asked.origin) if scope else None
    said = capabilities(asked.form)
    return await sign_in_refresh.redeem(asked.service, asked.tenant, asked.client, text, scopes, said)


async def _for_device(asked: _Asked) -> Tokens:
    # MSAL for Python sends both names, v1 clients `code` alone (clients.md section 2).
    code = asked.form.get("device_code") or required(asked.form, "code" if "code" in asked.form else "device_code")
    return await sign_in_devices.redeem(asked.service, asked.tenant, asked.client, code, asked.desk.polls)


_GRANTS: Final[Mapping[str, Callable[[_Asked], Awaitable[Tokens]]]] = {
    _APPLICATION: _for_application,
    "authorization_code": _for_code,
    "refresh_token": _for_refresh_token,
    "urn:ietf:params:oauth:grant-type:device_code": _for_device,
    # The name before RFC 8628 was one; @azure/identity and msal-node send it (clients.md section 2).
    "device_code": _for_device,
}
