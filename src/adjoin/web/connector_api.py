"""The connectors' own API, `/connector/v1`: enrol, check in and wait for work, renew the key, leave.

A connector is told who it is by its token, so none of its requests names it: it can speak for nobody else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
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
from adjoin.service.check_ins import INTERVAL, CheckIn
from adjoin.service.enrolment import Candidate
from adjoin.service.errors import InvitationRefused, Throttled, UnknownWork
from adjoin.service.installation import Installation
from adjoin.service.sign_in_attempts import Attempts, Patience
from adjoin.service.sign_in_people import network
from adjoin.service.world import World
from adjoin.store.tenants import Tenant
from adjoin.store.within import Within
from adjoin.web import connector_wire as wire
from adjoin.web.connector_wire import Answer, Belonging, Enrolment, Hello, KeyTaken, NewKey, Report
from adjoin.web.errors import MethodNotAllowed, UnknownVersion
from adjoin.web.exchange import ClientGone, Request, Response
from adjoin.web.turnstile import Turnstile

HELD: Final = 1_000
"""How many connectors may wait for work at once; the others ask again at their next check-in."""

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
        request.meter.waiting += 1
        gone = asyncio.ensure_future(request.receive())
        stop = asyncio.ensure_future(self.stopping.wait())
        try:
            while (left := until - loop.time()) > 0 and not stop.done():
                await asyncio.wait({gone, stop}, timeout=min(left, _LOOK_SECONDS), return_when=asyncio.FIRST_COMPLETED)
                if gone.done():
                    raise ClientGone
                await look()
        finally:
            self.held -= 1
            request.meter.waiting -= 1
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
        self._tokens = VerifiedTokens(trust(self._ring, cloud))
        self._attempts = Attempts()
        self._holding = Holding()
        self._turnstile = Turnstile()

    def release(self) -> None:
        """Let all go who wait for work, now and from now on."""
        self._holding.stopping.set()

    async def respond(self, request: Request, below: tuple[str, ...]) -> Response:
        """Answer a request for what is below `/connector`. Raises a Refusal."""
        name = "/".join(below[1:2]).lower()
        if not below or below[0].lower() != wire.VERSION or len(below) > (3 if name == "work" else 2):
            raise UnknownVersion("/".join(("connector", *below))[:128])
        if name == "":
            request.operation = "connector"
            _allow(request, "GET")
            return _answer(Hello("adjoin", __version__, _time(self._world.now())))
        operation = _OPERATIONS.get(name)
        if operation is None and name not in ("enroll", "check-in"):
            raise UnknownVersion(f"connector/{below[0]}/{name}"[:128])
        request.operation = f"connector/{name}"
        _allow(request, "POST")
        if name == "enroll":
            return await self._enrol(request)
        if operation is None:
            # Check-ins come in crowds, and none is in such a hurry as a person who waits for a GET.
            await self._turnstile.go_through()
            return await self._check_in(request, self._caller(request))
        return await operation(self, await self._call(request))

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

    async def _check_in(self, request: Request, caller: Caller) -> Response:
        headers.check_json_body(request.headers.get("content-type"))
        said = wire.read(await request.body(), Report)
        health = tuple(each.finding for each in said.health)
        check_in = CheckIn(caller.client_id, wire.instance_of(said), said.sequence, said.version, health, said.load)
        recorder = self._recorder(request, actor_of(caller, request.address))
        kept, now = self._installation, self._world.now()
        tenant, standing = await check_ins.check_in(
            kept.database,
            lambda session: access.admit(Within(session), kept.memory, caller, now),
            check_in,
            recorder,
            now,
        )
        await self._turnstile.go_through()
        if said.wait and self._holding.room:
            call = _Call(request, tenant, caller)
            await self._holding.wait(request, said.wait, lambda: self._still_there(call))
        return _answer(
            Answer(
                time=_time(self._world.now()),
                state=standing.state,
                reasons=standing.reasons,
                too_old=standing.too_old,
                least_version=tenant.least_connector_version,
                interval=INTERVAL,
                wait=wire.LONGEST_WAIT if self._holding.room else 0,
            )
        )

    async def _key(self, call: _Call) -> Response:
        headers.check_json_body(call.request.headers.get("content-type"))
        said = wire.read(await call.request.body(), NewKey)
        database, recorder = self._installation.database, self._recorder_of(call)
        key = await enrolment.renew_key(database, call.tenant, call.connector, said.proof, recorder, self._world)
        return _answer(KeyTaken(_time(key.expires), _time(_renewal(key.expires))))

    async def _work(self, call: _Call) -> Response:
        await self._still_there(call)
        raise UnknownWork

    async def _still_there(self, call: _Call) -> None:
        reader = self._installation.database.reader
        await check_ins.still_there(reader, call.tenant, call.connector, self._world.now())

    async def _leave(self, call: _Call) -> Response:
        database, recorder = self._installation.database, self._recorder_of(call)
        await enrolment.leave(database, call.tenant, call.connector, recorder, self._world.now())
        return Response(204)

    def _recorder_of(self, call: _Call) -> Recorder:
        return self._recorder(call.request, actor_of(call.caller, call.request.address))

    def _recorder(self, request: Request, actor: Mapping[str, object]) -> Recorder:
        now, kept = self._world.now(), self._installation
        return Recorder(actor, request.client_id, self._world.new_id, now, kept.audit_days, kept.turns)


_Operation = Callable[[ConnectorApi, _Call], Awaitable[Response]]

_OPERATIONS: Final[Mapping[str, _Operation]] = {
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
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _renewal(expires: int) -> int:
    return expires - (connectors.KEY_DAYS - connectors.RENEW_AFTER_DAYS) * 86_400
