"""The service as a connector sees it, by the wire alone: what is asked, what is answered, and what a refusal means.

Several servers are tried in their order, and the one that answered stays first in line until it fails. Times are the
server's: the machine's own clock is only used to count on from them.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import httpx

from adjoin.connector import keys
from adjoin.connector.faults import Refused, Unreachable, Unusable
from adjoin.connector.keys import BadKey
from adjoin.connector.settings import Settings

ROOT: Final = "/connector/v1"
_ENROLLED: Final = {"tenant", "connector", "tokenPath", "audience", "scope", "keyExpires", "renewKeyAfter"}
_ASSERTION: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_TIMEOUT: Final = httpx.Timeout(15.0)
# A token that ends this soon is not begun with any more, in seconds.
_SPARE: Final = 120
_UNKNOWN_CLIENT: Final = 700016
_UNKNOWN_KEY: Final = 700027
# What is refused for good. A proxy in between may answer with the same numbers, but not in these words.
_FOR_GOOD: Final = ("ConnectorRemoved", "ConnectorUsedElsewhere", "InvitationRefused")
# The service read the request, and its members are not what they have to be.
_WRONG_MEMBERS: Final = "ModelValidationFailure"
# The service's word on how a request came, such as under a host's name that is none: on the way, it may change.
_WRONG_WAY: Final = "BadRequest"
_TEMPORARY: Final = (408, 425, 429, 500, 502, 503, 504)

REMOVED: Final = (
    "The server does not know this connector: it was removed there. To use it again, get an invitation with `adjoin "
    "connector invite` on the server; here, `adjoin connector leave`, then `adjoin connector enroll`."
)
NO_KEY: Final = (
    "The server does not accept this connector's key any more: its time is over, or another program renewed it. Delete "
    "the connector on the server and get an invitation; here, `adjoin connector leave`, then `adjoin connector enroll`."
)


class KeyNotKnown(Refused):
    """The key that was used is not one of the connector's on the server."""


class NotProven(Refused):
    """The server does not take a proof of a key for one."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a check-in. `interval` is in seconds; `wait` is how long the server offers to hold the next."""

    state: str
    reasons: tuple[str, ...]
    interval: float
    wait: int
    work: tuple[Mapping[str, Any], ...]


def _steady() -> float:
    """Of Linux's clocks the one that goes on while the machine is suspended; others have none that surely does."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


@dataclass(frozen=True, slots=True)
class Clocks:
    """The machine's clocks, in seconds: the one that people set, and the one that only goes on."""

    wall: Callable[[], float] = time.time
    steady: Callable[[], float] = _steady


class Service:
    """The servers of a connector. Open while it is used as a context."""

    def __init__(
        self,
        servers: tuple[str, ...],
        ca: str = "",
        transport: httpx.AsyncBaseTransport | None = None,
        clocks: Clocks | None = None,
    ) -> None:
        self._servers = [each.rstrip("/") for each in servers]
        self._client = httpx.AsyncClient(
            verify=_context(ca), timeout=_TIMEOUT, transport=transport, headers={"accept": "application/json"}
        )
        self._clocks = clocks or Clocks()
        self._offset: float | None = None
        self._token: tuple[str, float] | None = None
        self._failed: set[str] = set()

    async def __aenter__(self) -> Service:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()

    @property
    def server(self) -> str:
        """The server that is asked first."""
        return self._servers[0]

    @property
    def skew(self) -> float | None:
        """How far this machine's clock is ahead of the server's, in seconds; None: not known yet."""
        return None if self._offset is None else self._clocks.wall() - (self._clocks.steady() + self._offset)

    @property
    def reached(self) -> tuple[int, int]:
        """How many servers did not answer when they were asked last, and how many there are."""
        return len(self._failed), len(self._servers)

    def now(self) -> float:
        """The server's time."""
        return self._clocks.steady() + self._offset if self._offset is not None else self._clocks.wall()

    async def hello(self) -> None:
        """Ask for the time. Raises a Fault."""
        began = self._clocks.steady()
        answer = await self._send("GET", ROOT)
        said = self._json(answer)
        if said.get("product") != "adjoin":
            raise Unreachable(f"{self.server} is no adjoin server.")
        self._offset = seconds_of(said.get("time")) - (began + self._clocks.steady()) / 2

    async def enrol(self, code: str, name: str, version: str, key: str) -> dict[str, Any]:
        """Become a connector. Raises a Fault."""
        proof = keys.proof(key, code=keys.digest_of_code(code))
        body = {"code": code, "name": name, "version": version, "proof": proof}
        said = self._json(await self._send("POST", f"{ROOT}/enroll", json=body))
        if not said.keys() >= _ENROLLED:
            raise self._stranger()
        return said

    async def sign_in(self, settings: Settings, key: str) -> None:
        """Get a token with a key, whatever token there is. Raises a Fault."""
        if self._offset is None:
            await self.hello()
        try:
            proof = keys.assertion(key, settings.connector, settings.audience, self.now())
        except BadKey as error:
            raise Unusable(f"The connector's key is damaged: {error}.") from None
        form = {
            "grant_type": "client_credentials",
            "scope": settings.scope,
            "client_assertion_type": _ASSERTION,
            "client_assertion": proof,
        }
        answer = await self._send("POST", settings.token_path, data=form)
        if answer.is_success:
            said = self._json(answer)
            try:
                self._token = (str(said["access_token"]), self._clocks.steady() + float(said["expires_in"]))
            except (KeyError, TypeError, ValueError):
                self._token = None
                raise self._stranger() from None
            return
        self._token = None
        raise self._not_signed_in(answer)

    def _not_signed_in(self, answer: httpx.Response) -> Exception:
        said = _members(answer)
        numbers = said.get("error_codes", [])
        if _UNKNOWN_CLIENT in numbers:
            return Refused(REMOVED)
        if _UNKNOWN_KEY in numbers:
            return KeyNotKnown(NO_KEY)
        # The time may have been set over there, or a proof have been seen twice: asked anew, both mend themselves.
        self._offset = None
        words = str(said.get("error_description", "")).partition(" Trace ID")[0]
        return Unreachable(f"{self.server} gave no token: {words or answer.status_code}.")

    async def check_in(self, settings: Settings, report: Mapping[str, object], wait: int) -> Answer:
        """Check in, and let the server hold it for so many seconds. Raises a Fault."""
        answer = await self._as_connector(settings, f"{ROOT}/check-in", {**report, "wait": wait}, wait)
        said = self._json(answer)
        try:
            if not wait:
                self._offset = seconds_of(said["time"]) - self._clocks.steady()
            return Answer(
                str(said["state"]),
                tuple(map(str, said["reasons"])),
                min(max(float(said["interval"]), 1.0), 3_600.0),
                min(max(int(said["wait"]), 0), 30),
                tuple(said["work"]),
            )
        except (KeyError, TypeError, ValueError):
            raise self._stranger() from None

    async def offer_key(self, settings: Settings, key: str) -> tuple[float, float]:
        """Have the server know the next key: when it expires, and when to renew it, as Unix seconds. Raises a Fault."""
        # Whether the key that has to approve still counts is told by the token endpoint, in words that are final.
        await self.sign_in(settings, settings.key)
        api = settings.scope.removesuffix("/.default")
        approval = keys.assertion(settings.key, settings.connector, api, self.now(), key=keys.thumbprint(key))
        body = {"proof": keys.proof(key, connector=settings.connector), "approval": approval}
        try:
            said = self._json(await self._as_connector(settings, f"{ROOT}/key", body))
        except NotProven as refused:
            # Another server took the request over, by whose clock it was not signed: signed anew it is taken.
            self._offset = None
            raise Unreachable(f"{self.server} does not take the next key: {refused.message}") from None
        return seconds_of(said.get("keyExpires")), seconds_of(said.get("renewKeyAfter"))

    async def leave(self, settings: Settings) -> None:
        """Remove the connector's own entry. Raises a Fault."""
        if (await self._as_connector(settings, f"{ROOT}/leave", {})).status_code != httpx.codes.NO_CONTENT:
            raise self._stranger()

    async def _as_connector(self, settings: Settings, path: str, body: object, wait: int = 0) -> httpx.Response:
        for fresh in (False, True):
            if self._token is None or self._token[1] - self._clocks.steady() < _SPARE or fresh:
                await self.sign_in(settings, settings.key)
            token = self._token[0] if self._token else ""
            answer = await self._send("POST", path, json=body, headers={"authorization": f"Bearer {token}"}, wait=wait)
            if answer.status_code != 401:
                break
        if answer.is_success:
            return answer
        raise self._refusal(answer)

    def _stranger(self) -> Unreachable:
        """Something else answered, such as a page of maintenance, which says of everything that it went well."""
        return Unreachable(f"{self.server} does not answer as an adjoin server does.")

    def _refusal(self, answer: httpx.Response) -> Exception:
        error = _members(answer).get("error")
        members = error if isinstance(error, dict) else {}
        words = str(members.get("message") or f"it answered {answer.status_code}")
        if members.get("code") == "NotProven":
            return NotProven(words)
        if members.get("code") in _FOR_GOOD:
            return Refused(words)
        if members.get("code") == _WRONG_MEMBERS:
            return Refused(f"{self.server} does not take what this version sends: {words}")
        return Unreachable(f"{self.server} refuses for now: {words}")

    async def _send(self, method: str, path: str, wait: int = 0, **more: Any) -> httpx.Response:
        """Ask the servers in turn until one answers. Raises Unreachable."""
        failures, waits = [], []
        timeout = httpx.Timeout(15.0, read=15.0 + wait)
        for _ in self._servers:
            try:
                answer = await self._client.request(method, self.server + path, timeout=timeout, **more)
            except httpx.HTTPError as error:
                failures.append(f"{self.server}: {_words(error)}")
            else:
                if _is_the_services(answer):
                    self._failed.discard(self.server)
                    return answer
                failures.append(f"{self.server}: it answered {answer.status_code}")
                waits.append(_seconds(answer.headers.get("retry-after")))
                if len(self._servers) == 1:
                    raise Unreachable(f"No server serves now. {failures[0]}.", waits[0])
            self._failed.add(self.server)
            # Another server may have another clock, so its time is asked for anew.
            self._servers.append(self._servers.pop(0))
            self._offset = self._offset if len(self._servers) == 1 else None
        raise Unreachable(
            f"No server can be reached. {'; '.join(failures)}.",
            min((each for each in waits if each is not None), default=None),
        )

    def _json(self, answer: httpx.Response) -> dict[str, Any]:
        if not answer.is_success:
            raise self._refusal(answer)
        return _members(answer)


def seconds_of(text: object) -> float:
    """A time of the server's as Unix seconds. Raises Unreachable."""
    try:
        return datetime.fromisoformat(str(text)).timestamp()
    except ValueError:
        raise Unreachable("The server does not tell the time as an adjoin server does.") from None


def _context(ca: str) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca or None)
    except OSError as error:
        raise Unusable(f"The certificates of {ca} cannot be used: {error}.") from None


def _members(answer: httpx.Response) -> dict[str, Any]:
    try:
        said = answer.json()
    except ValueError:
        said = None
    return said if isinstance(said, dict) else {}


def _is_the_services(answer: httpx.Response) -> bool:
    """Whether this is the service's word on what was asked; else it is as if the server were not reached.

    A proxy in between answers in words of its own, and with any number: its limits and faults pass, or are mended.
    """
    if answer.is_success or answer.status_code in _TEMPORARY:
        return answer.is_success
    error = _members(answer).get("error")
    # The token endpoint says the word alone (RFC 6749, 5.2), everything else has Graph's form.
    return error.get("code") not in (None, _WRONG_WAY) if isinstance(error, dict) else isinstance(error, str)


def _words(error: httpx.HTTPError) -> str:
    return str(error) or type(error).__name__


def _seconds(text: str | None) -> float | None:
    return float(text) if text is not None and text.isdecimal() and len(text) < 6 else None
