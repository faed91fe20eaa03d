"""Every refusal to its HTTP status, Graph code and body, in one table: nothing else knows a status of failure.

Source: graph-contract 3.1 to 3.3; rows that it leaves open are decided in docs/compatibility.md.
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import structlog

from adjoin.identity import errors as identity
from adjoin.identity.clouds import GRAPH_APP_ID
from adjoin.identity.folder import FolderRefusal
from adjoin.identity.keys import KeyRefusal
from adjoin.identity.oidc import BadIssuer
from adjoin.odata import errors as odata
from adjoin.odata import writer
from adjoin.odata.errors import Refusal
from adjoin.service import errors as service
from adjoin.service.archive import BackupRefusal
from adjoin.service.receivers import BadReceiver
from adjoin.service.throttle import BadLimits
from adjoin.store import database as store
from adjoin.web import errors as web
from adjoin.web.exchange import ClientGone, Request, Response


@dataclass(frozen=True, slots=True)
class Row:
    """How a refusal is answered.

    `nested` puts the message into Intune's v3 envelope (graph-contract 3.1); `repeat` says it again in innerError;
    `retry_after` is in seconds.
    """

    status: int
    code: str
    nested: bool = False
    repeat: bool = False
    retry_after: int | None = None


_BAD_REQUEST: Final = Row(400, "BadRequest")
_UNAUTHORIZED: Final = Row(401, "InvalidAuthenticationToken")
_UNAVAILABLE: Final = Row(503, "ServiceUnavailable", retry_after=2)

TABLE: Final[Mapping[type[Refusal], Row]] = {
    odata.Malformed: _BAD_REQUEST,
    odata.UnknownSegment: _BAD_REQUEST,
    odata.UnknownName: _BAD_REQUEST,
    odata.UnknownOption: _BAD_REQUEST,
    odata.OptionNotAllowed: _BAD_REQUEST,
    odata.NotServed: Row(501, "NotSupported"),
    odata.WrongType: _BAD_REQUEST,
    odata.MalformedBody: _BAD_REQUEST,
    odata.UnknownType: _BAD_REQUEST,
    odata.UnknownProperty: _BAD_REQUEST,
    odata.InvalidValue: Row(400, "ModelValidationFailure", repeat=True),
    odata.TooManyItems: Row(400, "MaximumValueExceeded"),
    odata.FailedDependency: Row(424, "FailedDependency"),
    odata.UnsupportedMediaType: _BAD_REQUEST,
    odata.UnsupportedEncoding: Row(415, "UnsupportedMediaType"),
    odata.NotAcceptable: Row(406, "NotAcceptable"),
    odata.UnsupportedVersion: _BAD_REQUEST,
    odata.PreconditionFailed: Row(412, "ConditionNotMet", nested=True),
    identity.TokenRefusal: _UNAUTHORIZED,
    service.UnknownTenant: _UNAUTHORIZED,
    service.PersonalAccount: _BAD_REQUEST,
    service.NotLicensed: Row(403, "Forbidden", nested=True),
    service.NotPermitted: Row(403, "Forbidden", nested=True),
    service.Throttled: Row(429, "TooManyRequests"),
    service.NotFound: Row(404, "ResourceNotFound", nested=True),
    service.RepeatRejected: Row(412, "ConditionNotMet", nested=True),
    service.NotSubscribed: Row(400, "ValidationError"),
    service.Stale: Row(410, "SyncStateNotFound"),
    service.Taken: Row(409, "Conflict", nested=True),
    service.InvitationRefused: Row(403, "InvitationRefused"),
    service.NotProven: Row(400, "NotProven"),
    service.ConnectorRemoved: Row(410, "ConnectorRemoved"),
    service.UsedElsewhere: Row(409, "ConnectorUsedElsewhere"),
    service.UnknownWork: Row(404, "UnknownWork"),
    store.Unavailable: _UNAVAILABLE,
    store.Overloaded: _UNAVAILABLE,
    store.Uncertain: Row(504, "GatewayTimeout"),
    store.TooSlow: _UNAVAILABLE,
    web.BadHost: _BAD_REQUEST,
    web.TargetTooLong: Row(414, "UriTooLong"),
    web.HeadersTooLarge: Row(431, "RequestHeaderFieldsTooLarge"),
    web.BodyTooLarge: Row(413, "RequestEntityTooLarge"),
    web.BodyCut: _BAD_REQUEST,
    web.BodyTooSlow: Row(408, "RequestTimeout"),
    web.UnknownVersion: Row(404, "ResourceNotFound"),
    web.MethodNotAllowed: Row(405, "Request_BadRequest"),
    web.NoRoute: Row(400, "No method match route template"),
    web.Crowded: _UNAVAILABLE,
    web.Stopping: _UNAVAILABLE,
}

# No request meets these: they keep the service from starting, or a command from its work.
AT_START: Final = (BackupRefusal, BadIssuer, BadReceiver, KeyRefusal, FolderRefusal, BadLimits, store.Unusable)

_LOG: Final = structlog.get_logger("adjoin.web")
_FAULT: Final = Row(500, "InternalServerError")
_NOBODY: Final = "00000000-0000-0000-0000-000000000000"
_AWAY: Final = "The database is not available now. Try again later."
_STRETCH_SECONDS: Final = 60.0


class _Reasons:
    """Why the database did not serve: each reason is logged once for as long as requests go on meeting it."""

    def __init__(self) -> None:
        self._met: dict[str, float] = {}

    def meet(self, reason: str, request: Request) -> None:
        now = time.monotonic()
        self._met = {each: at for each, at in self._met.items() if now - at < _STRETCH_SECONDS}
        if reason not in self._met:
            _LOG.error("database not available", request_id=request.id, reason=reason)
        self._met[reason] = now


_REASONS: Final = _Reasons()


def row_of(refusal: type[Refusal]) -> Row:
    """The row of a refusal's class, or of the nearest class above it."""
    return next((TABLE[each] for each in refusal.__mro__ if each in TABLE), _FAULT)


def told(refusal: Refusal, request: Request) -> str:
    """What a caller hears of a refusal: its message, unless that is for the log alone."""
    if isinstance(refusal, store.Unavailable):
        # It may name the database's host and role, and anybody may ask.
        _REASONS.meet(refusal.message, request)
        return _AWAY
    return refusal.message


def answer(refusal: Refusal, request: Request, now: float) -> Response:
    """A refusal in Graph's form."""
    row, message = row_of(type(refusal)), told(refusal, request)
    message = _nested(message, request) if row.nested else message
    more = [refusal.detail] if refusal.detail else []
    response = _error(row, message, request, now, more)
    if row.status == 401:
        response.headers.append(("www-authenticate", _challenge(request, refusal)))
    if isinstance(refusal, web.MethodNotAllowed):
        response.headers.append(("allow", ", ".join(refusal.allowed)))
    if isinstance(refusal, service.RepeatRejected):
        response.headers.append(("repeatability-result", "rejected"))
    if isinstance(refusal, service.Stale):
        # Where a client begins again, as Graph says it (graph-contract 3.11).
        response.headers.append(("location", f"{request.origin}{request.path}"))
    wait = refusal.retry_after if isinstance(refusal, service.Throttled) else row.retry_after
    if wait is not None:
        response.headers.append(("retry-after", str(wait)))
    return response


async def settled(act: Awaitable[Response], request: Request, now: Callable[[], float]) -> Response:
    """The answer that `act` gives, or that of what it raises: a refusal in its form, a fault of our own in the log."""
    try:
        return await act
    except ClientGone:
        raise
    except Exception as error:  # noqa: BLE001 - the last resort: whatever it is, the caller gets an answer
        return answer_to(error, request, now())


def answer_to(error: Exception, request: Request, now: float) -> Response:
    """The answer to anything that was raised."""
    if isinstance(error, Refusal):
        return answer(error, request, now)
    _LOG.error("fault", request_id=request.id, method=request.method, path=request.path, exc_info=error)
    return fault(request, now)


def fault(request: Request, now: float) -> Response:
    """The answer to a fault of our own: it tells nothing but the ids by which the log knows it."""
    return _error(_FAULT, "An unexpected error occurred. The request-id leads to it in the log.", request, now, [])


def _error(row: Row, message: str, request: Request, now: float, more: list[str]) -> Response:
    date = datetime.fromtimestamp(int(now), UTC).strftime("%Y-%m-%dT%H:%M:%S")
    body = writer.error(row.code, message, date, request.id, request.client_id, more, row.repeat)
    return Response(row.status, body, "application/json")


def _nested(text: str, request: Request) -> str:
    """Intune's message: a JSON text with CRLF, two blanks and these members in this order (graph-contract 3.1)."""
    said = (
        f"{text} - Operation ID (for customer support): {_NOBODY} - Activity ID: {request.client_id} "
        f"- Url: {request.origin}{request.path}"
    )
    members = {
        "_version": 3,
        "Message": said,
        "CustomApiErrorPhrase": "",
        "RetryAfter": None,
        "ErrorSourceService": "",
        "HttpHeaders": "{}",
    }
    return json.dumps(members, indent=2, ensure_ascii=False).replace("\n", "\r\n")


def _challenge(request: Request, refusal: Refusal) -> str:
    # Graph names Entra here; tokens for this service come from its own token endpoint, so that is named instead.
    uri = f"{request.origin}/common/oauth2/authorize"
    challenge = f'Bearer realm="", authorization_uri="{uri}", client_id="{GRAPH_APP_ID}"'
    if isinstance(refusal, identity.RevokedToken) and refusal.challenge:
        challenge += f', error="insufficient_claims", claims="{_wanted_claims(refusal.not_before)}"'
    return challenge


def _wanted_claims(not_before: int) -> str:
    """What the client passes on to the token service: a token from after the revocation (graph-contract 3.3)."""
    wanted = {"access_token": {"nbf": {"essential": True, "value": str(not_before)}}}
    return base64.b64encode(json.dumps(wanted, separators=(",", ":")).encode()).decode()
