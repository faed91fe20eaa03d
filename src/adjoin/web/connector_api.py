"""The connectors' own API, `/connector/v1`: enrol, check in and wait for work, renew the key, leave.

A connector is told who it is by its token, so none of its requests names it: it can speak for nobody else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

import msgspec

from adjoin import __version__
from adjoin.identity import issuer
from adjoin.identity.caller import Caller
from adjoin.identity.clouds import GLOBAL, Cloud
from adjoin.identity.errors import EmptyToken
from adjoin.identity.keys import KeyRing
from adjoin.identity.trust import Trust
from adjoin.identity.verified import VerifiedTokens
from adjoin.odata import headers
from adjoin.service import access, check_ins, connectors, enrolment
from adjoin.service.audit import Recorder, actor_of
from adjoin.service.check_ins import INTERVAL, CheckIn, Intake
from adjoin.service.enrolment import Candidate, NextKey
from adjoin.service.errors import InvitationRefused, Throttled, UnknownWork
from adjoin.service.installation import Installation
from adjoin.service.sign_in_attempts import Attempts, Patience
from adjoin.service.sign_in_people import network
from adjoin.service.world import World
from adjoin.store.tenants import Tenant
from adjoin.web import connector_wire as wire
from adjoin.web.connector_wire import Answer, Belonging, Enrolment, Hello, KeyTaken, NewKey, Report
from adjoin.web.errors import MethodNotAllowed, UnknownVersion
from adjoin.web.exchange import ClientGone, Request, Response
from adjoin.web.turnstile import Turnstile

HELD: Final = 1_000
"""How many connectors may wait for work at once; the others ask again at their next check-in."""

REMEMBERED: Final = 131_072
"""So many connectors' tokens are remembered: a hundred thousand check in with each a dozen times before it ends."""

_LOOK_SECONDS: Final = 2.0
# From one network: codes that enrol nobody.
_CODES: Final = Patience(20, 60, 3_600)
_NOBODY: Final[Mapping[str, object]] = {
    "auditActorType": "Application",
    "userPermissions": [],
    "applicationId": None,
    "userPrincipalName": None,
    "servicePrincipalName": None,
    "userId": None,
}


def trust(ring: KeyRing, cloud: Cloud) -> Trust:
    """The tokens accepted here: our own for connectors, and no others."""
    return replace(issuer.trust(ring, cloud), audiences=frozenset({connectors.AUDIENCE}))


@dataclass(slots=True)
class Holding:
    """The connectors that wait for work: a bounded number, who all go when the service stops."""

    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    held: int = 0

    @property
    def room(self) -> bool:
        return self.held < HELD and not self.stopping.is_set()

    async def wait(self, request: Request, seconds: float, look: Callable[[], Awaitable[None]]) -> None:
        """Wait, for no longer than the client and the service stay, and `look` now and then, which may end it."""
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        self.held += 1
        gone = asyncio.ensure_future(request.receive())
        stop = asyncio.ensure_future(self.stopping.wait())
        try:
            with request.meter.idle():
                while (left := until - loop.time()) > 0 and not stop.done():
                    wait = min(left, _LOOK_SECONDS)
                    await asyncio.wait({gone, stop}, timeout=wait, return_when=asyncio.FIRST_COMPLETED)
                    if gone.done():
                        raise ClientGone
                    await look()
        finally:
            self.held -= 1
            for task in (gone, stop):
                task.cancel()


@dataclass(frozen=True, slots=True)
class _Call:
    """A connector's request, after it proved to be one."""

    request: Request
    tenant: Tenant
    caller: Caller

    @property
    def connector(self) -> str:
        return self.caller.client_id


class ConnectorApi:
    """The API of an installation."""

    def __init__(self, installation: Installation, world: World, cloud: Cloud = GLOBAL) -> None:
        self._installation = installation
        self._world = world
        self._cloud = cloud
        self._ring = installation.ring
        self._tokens = VerifiedTokens(trust(self._ring, cloud), size=REMEMBERED)
        self._attempts = Attempts()
        self._holding = Holding()
        # Check-ins come in crowds, and none is in such a hurry as a person who waits for a GET.
        self._turnstile = Turnstile()
        self._intake = Intake(installation.database, installation.memory, world.now, self._turnstile.put)

    def release(self) -> None:
        """Let all go who wait for work, now and from now on."""
        self._holding.stopping.set()

    async def respond(self, request: Request, below: tuple[str, ...]) -> Response:
        """Answer a request for what is below `/connector`. Raises a Refusal."""
        if below == _CHECK_IN and request.method == "POST":
            request.operation = "connector/check-in"
            return await self._check_in(request)
        name = "/".join(below[1:2]).lower()
        if not below or below[0].lower() != wire.VERSION or len(below) > (3 if name == "work" else 2):
            raise UnknownVersion("/".join(("connector", *below))[:128])
        if name == "":
            request.operation = "connector"
            _allow(request, "GET")
            return _answer(Hello("adjoin", __version__, _time(self._world.now())))
        operation = _OPERATIONS.get(name)
        if operation is None:
            raise UnknownVersion(f"connector/{below[0]}/{name}"[:128])
        request.operation = f"connector/{name}"
        _allow(request, "POST")
        return await operation(self, request)

    def _caller(self, request: Request) -> Caller:
        scheme, _, token = request.authorization.partition(" ")
        if scheme.lower() != "bearer":
            raise EmptyToken
        if self._installation.ring is not self._ring:
            self._ring = self._installation.ring
            self._tokens.forget(trust(self._ring, self._cloud))
        caller = self._tokens.verify(token.strip(), self._world.now())
        access.check(caller, (connectors.PERMISSION,))
        return caller

    async def _call(self, request: Request) -> _Call:
        caller = self._caller(request)
        kept = self._installation
        tenant = await access.admit(kept.database, kept.memory, caller, self._world.now())
        return _Call(request, tenant, caller)

    async def _enrol(self, request: Request) -> Response:
        headers.check_json_body(request.headers.get("content-type"))
        said = wire.read(await request.body(), Enrolment)
        now, key = self._world.now(), ("code", network(request.address))
        if wait := self._attempts.wait(key, _CODES, now):
            raise Throttled(wait)
        self._attempts.count(key, now)
        recorder = self._recorder(
            request, {**_NOBODY, "applicationDisplayName": said.name, "ipAddress": request.address}
        )
        candidate = Candidate(said.code, said.name, said.version, said.proof)
        try:
            made = await enrolment.enrol(self._installation.database, candidate, recorder, self._world)
        except InvitationRefused:
            raise
        except BaseException:
            self._attempts.forgive(key)
            raise
        self._attempts.forgive(key)
        return _answer(
            Belonging(
                connector=made.connector,
                tenant=made.tenant.id,
                token_path=f"/{made.tenant.id}/oauth2/v2.0/token",
                audience=self._cloud.issuer("2.0", made.tenant.id),
                scope=f"{connectors.AUDIENCE}/.default",
                key_expires=_time(made.key_expires),
                renew_key_after=_time(_renewal(made.key_expires)),
                time=_time(now),
            )
        )

    async def _check_in(self, request: Request) -> Response:
        await self._turnstile.go_through()
        caller = self._caller(request)
        headers.check_json_body(request.headers.get("content-type"))
        said = wire.read(await request.body(), Report)
        instance = wire.instance_of(said)
        check_in = CheckIn(caller.client_id, instance, said.sequence, said.version, said.health, said.load)
        taken = await self._intake.take(
            check_in, caller, lambda: self._recorder(request, actor_of(caller, request.address))
        )
        if said.wait and self._holding.room:
            call = _Call(request, taken.tenant, caller)
            await self._holding.wait(request, said.wait, lambda: self._still_there(call))
        return _answer(
            Answer(
                time=_time(self._world.now()),
                state=taken.standing.state,
                reasons=taken.standing.reasons,
                too_old=taken.standing.too_old,
                least_version=taken.tenant.least_connector_version,
                interval=INTERVAL,
                wait=wire.LONGEST_WAIT if self._holding.room else 0,
            )
        )

    async def _key(self, request: Request) -> Response:
        call = await self._call(request)
        headers.check_json_body(call.request.headers.get("content-type"))
        said = wire.read(await call.request.body(), NewKey)
        database, recorder = self._installation.database, self._recorder_of(call)
        next_key = NextKey(call.connector, said.proof, said.approval)
        key = await enrolment.renew_key(database, call.tenant, next_key, recorder, self._world)
        return _answer(KeyTaken(_time(key.expires), _time(_renewal(key.expires))))

    async def _work(self, request: Request) -> Response:
        await self._still_there(await self._call(request))
        raise UnknownWork

    async def _still_there(self, call: _Call) -> None:
        reader = self._installation.database.reader
        await check_ins.still_there(reader, call.tenant, call.connector, self._world.now())

    async def _leave(self, request: Request) -> Response:
        call = await self._call(request)
        database, recorder = self._installation.database, self._recorder_of(call)
        await enrolment.leave(database, call.tenant, call.connector, recorder, self._world.now())
        return Response(204)

    def _recorder_of(self, call: _Call) -> Recorder:
        return self._recorder(call.request, actor_of(call.caller, call.request.address))

    def _recorder(self, request: Request, actor: Mapping[str, object]) -> Recorder:
        now, kept = self._world.now(), self._installation
        return Recorder(actor, request.client_id, self._world.new_id, now, kept.audit_days, kept.turns)


_Operation = Callable[[ConnectorApi, Request], Awaitable[Response]]

# What nearly all requests ask for is found without a look at the others.
_CHECK_IN: Final = (wire.VERSION, "check-in")
_OPERATIONS: Final[Mapping[str, _Operation]] = {
    "enroll": ConnectorApi._enrol,
    "check-in": ConnectorApi._check_in,
    "key": ConnectorApi._key,
    "work": ConnectorApi._work,
    "leave": ConnectorApi._leave,
}


def _allow(request: Request, method: str) -> None:
    if request.method != method:
        raise MethodNotAllowed((method, "OPTIONS"))


def _answer(value: msgspec.Struct) -> Response:
    return Response(200, msgspec.json.encode(value), "application/json", [("cache-control", "no-store")])


def _time(seconds: float) -> str:
    return f"{_second(int(seconds))}.{int(seconds % 1 * 1_000):03}Z"


@lru_cache(maxsize=4)
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _renewal(expires: int) -> int:
    return expires - (connectors.KEY_DAYS - connectors.RENEW_AFTER_DAYS) * 86_400
