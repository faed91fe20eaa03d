"""The token service's endpoints and pages, `/{tenant}/…` and `/device`, in Entra's forms: which part answers what."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Final

import msgspec

from adjoin.identity.clouds import GLOBAL, Cloud
from adjoin.service.installation import Installation
from adjoin.service.sign_in import SignInRefusal, TokenService
from adjoin.service.world import World
from adjoin.store.database import StoreRefusal
from adjoin.web import failures
from adjoin.web.exchange import Request, Response
from adjoin.web.login import authorize, device, discovery, pages, token
from adjoin.web.login.desk import Desk
from adjoin.web.login.hosts import OwnHosts
from adjoin.web.login.tickets import TicketKey

_Endpoint = Callable[[Desk, Request, str], Awaitable[Response]]

# What programs ask, by the path below the tenant; refusals are JSON.
_ENDPOINTS: Final[Mapping[tuple[str, ...], _Endpoint]] = {
    ("v2.0", ".well-known", "openid-configuration"): partial(discovery.configuration, v2=True),
    (".well-known", "openid-configuration"): partial(discovery.configuration, v2=False),
    ("discovery", "v2.0", "keys"): discovery.keys,
    ("discovery", "keys"): discovery.keys,
    ("discovery", "instance"): discovery.instances,
    ("oauth2", "v2.0", "token"): partial(token.token, v2=True),
    ("oauth2", "token"): partial(token.token, v2=False),
    ("oauth2", "v2.0", "devicecode"): partial(token.device_code, v2=True),
    ("oauth2", "devicecode"): partial(token.device_code, v2=False),
}

# What people see; refusals are pages.
_PAGES: Final[Mapping[tuple[str, ...], _Endpoint]] = {
    ("oauth2", "v2.0", "authorize"): partial(authorize.authorize, v2=True),
    ("oauth2", "authorize"): partial(authorize.authorize, v2=False),
    ("login",): authorize.decided,
    ("oauth2", "deviceauth"): device.page,
}
_DEVICE: Final = ("device",)

# Entra's "the directory is not available".
_NO_DATABASE: Final = 90033


def serves(parts: tuple[str, ...]) -> bool:
    """Whether a path is one of these endpoints or pages."""
    lower = tuple(part.lower() for part in parts)
    return lower == _DEVICE or lower[1:] in _ENDPOINTS or lower[1:] in _PAGES


class Login:
    """The token service of an installation; `hosts` are those that clients may mean by its own URL."""

    def __init__(
        self, installation: Installation, world: World, cloud: Cloud = GLOBAL, hosts: OwnHosts | None = None
    ) -> None:
        key = TicketKey.from_secret(installation.paging_key.secret)
        self._desk = Desk(TokenService(installation, world, cloud), key, hosts or OwnHosts())

    async def respond(self, request: Request, parts: tuple[str, ...]) -> Response:
        """Answer a request for one of the endpoints, and refuse in Entra's form. Raises MethodNotAllowed."""
        below = tuple(part.lower() for part in parts[1:])
        request.operation = "/".join(("login", *below))
        try:
            if len(parts) == 1:
                return await device.page(self._desk, request, None)
            return await (_ENDPOINTS.get(below) or _PAGES[below])(self._desk, request, parts[0])
        except SignInRefusal as refusal:
            refused, status = refusal, pages.status_of(refusal)
        except StoreRefusal as refusal:
            refused, status = _unavailable(refusal, request), failures.row_of(type(refusal)).status
        now = self._desk.service.now
        return (
            _json(refused, status, request, now)
            if below in _ENDPOINTS
            else pages.refusal(refused, status, request, now)
        )


def _unavailable(refusal: StoreRefusal, request: Request) -> SignInRefusal:
    """What the database cannot do now, as Entra says it of its own (RFC 6749, 4.1.2.1)."""
    wait = failures.row_of(type(refusal)).retry_after
    return SignInRefusal("temporarily_unavailable", _NO_DATABASE, failures.told(refusal, request), wait)


def _json(refused: SignInRefusal, status: int, request: Request, now: int) -> Response:
    """A refusal as Entra's JSON."""
    stamp = pages.stamp(now)
    body = {
        "error": refused.error,
        "error_description": (
            f"{refused.message} Trace ID: {request.id} Correlation ID: {request.client_id} Timestamp: {stamp}"
        ),
        "error_codes": [refused.number],
        "timestamp": stamp,
        "trace_id": request.id,
        "correlation_id": request.client_id,
    }
    answer = Response(status, msgspec.json.encode(body), discovery.JSON, list(pages.NO_STORE))
    if refused.retry_after is not None:
        answer.headers.append(("retry-after", str(refused.retry_after)))
    if status == 401 and request.authorization.lower().startswith("basic"):
        answer.headers.append(("www-authenticate", 'Basic realm="adjoin"'))  # RFC 6749, 5.2
    return answer
