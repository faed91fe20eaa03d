"""The Graph surface, `/beta` and `/v1.0`: from a path to its operation, with every check in its order.

Routing, token and its revocation, personal account, licence, permission; then the operation, which looks at the object
(DESIGN section 4).
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from math import inf
from typing import Final

from msgspec.structs import replace as replace_struct

from adjoin import model
from adjoin.identity.errors import EmptyToken, UnknownKey
from adjoin.identity.parties import Parties
from adjoin.odata import headers, metadata, path, query
from adjoin.odata.edm import EntitySet, Model, Property
from adjoin.odata.errors import NotServed, Refusal
from adjoin.odata.path import Kind, Resource
from adjoin.odata.values import Instant
from adjoin.service import access
from adjoin.service.deliveries import Deliveries
from adjoin.service.installation import Installation
from adjoin.service.subscriptions import Desk
from adjoin.service.throttle import Throttle
from adjoin.service.world import World
from adjoin.store.database import Database
from adjoin.store.within import Within
from adjoin.web import delta, failures, operations, subscriptions
from adjoin.web.batch import Batch
from adjoin.web.errors import MethodNotAllowed, NoRoute
from adjoin.web.exchange import Request, Response
from adjoin.web.heads import Heads, Known, Passage
from adjoin.web.operations import Call, Way, type_of

METHODS: Final = ("GET", "POST", "PATCH", "PUT", "DELETE")

_KEY: Final = re.compile(r"[0-9A-Fa-f]{8}-(?:[0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12}")
_ANONYMOUS: Final = frozenset({Kind.SERVICE, Kind.METADATA})
_PASSAGES: Final = 64
# Of no database: what was read of one that tells no generation has to be read again.
_NEVER: Final = -1


@dataclass(frozen=True, slots=True)
class Graph:
    """The resources of an installation, as Graph shows them."""

    installation: Installation
    parties: Parties
    world: World
    desk: Desk
    deliveries: Deliveries
    heads: Heads
    throttle: Throttle | None = None

    async def respond(self, request: Request, way: Way, resource: Resource) -> Response:
        """Answer a request that goes this way. Raises a Refusal."""
        request.operation = way.name
        if request.watch is not None:
            request.watch.read()
        if way.anonymous:
            _check_protocol(request)
            return self._describe(request, way.served, resource, f"{request.origin}/{way.version}")
        installation, tokens, known = self.installation, self.parties.tokens, request.known
        now, generation = self.world.now(), installation.database.generation()
        if (
            known is not None
            and known.generation == generation
            and known.since <= now < known.until
            and known.proof.under is tokens.state
        ):
            # As long as nothing was changed, whoever was let in is.
            tokens.hits += 1
        else:
            known = await self._let_in(request, way, now, generation)
        caller, tenant = known.proof.caller, known.tenant
        if way.batch or tenant is None:
            return await self._respond_to_all(request, way)
        if self.throttle is not None:
            self.throttle.count(tenant.id, caller.client_id, request.method != "GET", now)
        to = known.passages.get(way) or self._passage(request, way, resource, known)
        if request.watch is not None:
            installation = request.watch.known(installation)
        call = Call(request, way, to, resource, caller, tenant, installation, self.world, self.desk, self.deliveries)
        if request.method == "GET":
            answer: Response = await to.operation(call)
            return answer
        return await self._change(to.operation, call)

    async def _change(self, operation: _Operation, call: Call) -> Response:
        response = await operation(call)
        # Within a change set nothing is kept yet, and this may be another thread; the batch tells at its end.
        if not isinstance(self.installation.database, Within):
            self.deliveries.wake()
        if "repeatability-request-id" in call.request.headers:
            response.headers.append(("repeatability-result", "accepted"))
        return response

    async def _let_in(self, request: Request, way: Way, now: float, generation: int | None) -> Known:
        """Who calls, and the tenant it is let into; a batch needs none, for each of its requests is asked for its own.

        `generation` is that of the database before anything was read from it; None: what is read is true for now alone.
        """
        database, memory, known = self.installation.database, self.installation.memory, request.known
        if not isinstance(database, Within):
            # A change set is carried out by another thread, with a transaction open; its batch has looked.
            self.parties.notice(now)
        if known is None or not self.parties.still(known.proof, now):
            known = await self._proven(request, now)
        if way.batch:
            await access.check_standing(database, memory, known.proof.caller, now)
            return Known(known.proof)
        tenant = await access.let_in(database, memory, known.proof.caller, now)
        licence_ends = inf if tenant.licence_ends is None else tenant.licence_ends
        known.since, known.until = now, min(known.proof.ends, licence_ends, self.parties.looks_again)
        known.tenant, known.generation = tenant, _NEVER if generation is None else generation
        if known is not request.known and request.digest is not None:
            self.heads.keep(request.digest, request.headers, request.origin, request.address, known)
        return known

    def _passage(self, request: Request, way: Way, resource: Resource, known: Known) -> Passage:
        """Where a request may go this way by its token and its headers. Raises what forbids it."""
        if way.operation is None:
            raise NoRoute(resource.template, request.method, request.path)
        access.check(known.proof.caller, way.accepted)
        if way.operation in _ALONE and isinstance(self.installation.database, Within):
            raise NotServed(_ALONE[way.operation])
        _check_protocol(request)
        if len(known.passages) >= _PASSAGES:
            known.passages.clear()
        root, wishes = f"{request.origin}/{way.version}", headers.wishes(request.headers)
        found = known.passages[way] = Passage(way.operation, root, wishes)
        return found

    async def _respond_to_all(self, request: Request, way: Way) -> Response:
        _check_protocol(request)
        asked = query.parse(request.query, Kind.BATCH, way.served, None, self._now)
        response = await self._batch(request, way.version, asked.format).run()
        self.deliveries.wake()
        return response

    async def _proven(self, request: Request, now: float) -> Known:
        """Who calls, by the token. Nothing here waits, but for the keys of an issuer that has new ones."""
        scheme, _, token = request.authorization.partition(" ")
        if scheme.lower() != "bearer":
            raise EmptyToken
        token = token.strip()
        try:
            proof = self.parties.prove(token, now)
        except UnknownKey:
            if not await self._learned(request, token, now):
                raise
            proof = self.parties.prove(token, now)
        return Known(proof)

    async def _learned(self, request: Request, token: str, now: float) -> bool:
        """Whether an issuer's new keys are there by now. While it is slow, nothing is worked on here."""
        with request.meter.idle():
            return await self.parties.learn(token, now)

    def _batch(self, request: Request, version: str, wanted: str | None) -> Batch:
        """A batch needs a good token; what else is checked, each of its requests is checked for."""
        return Batch(
            request,
            version,
            self.installation.database,
            self._respond_within,
            lambda error, refused: failures.answer_to(error, refused, self.world.now()),
            self.world.new_request_id,
            wanted,
        )

    async def _respond_within(
        self, request: Request, version: str, parts: tuple[str, ...], database: Database
    ) -> Response:
        within = replace(self, installation=replace(self.installation, database=database))
        return await failures.settled(within._respond_to(request, version, parts), request, self.world.now)

    async def _respond_to(self, request: Request, version: str, parts: tuple[str, ...]) -> Response:
        return await self.respond(request, *way_of(version, parts, request.method))

    def _now(self) -> Instant:
        return Instant.from_unix(self.world.now())

    def _describe(self, request: Request, served: Model, resource: Resource, root: str) -> Response:
        """The service document or the metadata, which need no token."""
        asked = query.parse(request.query, resource.kind, served, None, self._now)
        accept = request.headers.get("accept")
        if resource.kind is Kind.SERVICE:
            form = headers.json_form(accept, asked.format)
            return Response(200, metadata.service_document(served, root), type_of(form))
        if headers.prefers_csdl_json(accept, asked.format):
            return Response(200, metadata.csdl_json(served), "application/json")
        return Response(200, metadata.csdl_xml(served), "application/xml")


def _check_protocol(request: Request) -> None:
    """Refuse what asks for another version of the protocol, or for what no answer here promises."""
    found = request.headers
    headers.check_versions(found.get("odata-version"), found.get("odata-maxversion"))
    headers.check_isolation(found.get("isolation", found.get("odata-isolation")))


_Operation = Callable[[Call], Awaitable[Response]]


_OPERATIONS: Final[Mapping[tuple[Kind, str], _Operation]] = {
    (Kind.SINGLETON, "GET"): operations.get_singleton,
    (Kind.COLLECTION, "GET"): operations.list_entities,
    (Kind.COLLECTION, "POST"): operations.create_entity,
    (Kind.COUNT, "GET"): operations.count_entities,
    (Kind.FUNCTION, "GET"): delta.list_changes,
    (Kind.ENTITY, "GET"): operations.get_entity,
    (Kind.ENTITY, "PATCH"): operations.change_entity,
    (Kind.ENTITY, "DELETE"): operations.remove_entity,
    (Kind.PROPERTY, "GET"): operations.get_property,
    (Kind.PROPERTY, "PUT"): operations.set_property,
    (Kind.PROPERTY, "PATCH"): operations.set_property,
    (Kind.PROPERTY, "DELETE"): operations.clear_property,
    (Kind.VALUE, "GET"): operations.get_value,
}


# What a change set cannot hold, and why.
_ALONE: Final[Mapping[_Operation, str]] = {
    subscriptions.create: "A subscription is not created within a change set: its receiver is asked first.",
    subscriptions.remove: "A subscription is not deleted within a change set: what is being sent has to end first.",
}


# What subscriptions have of their own: their receivers are asked first, and heard of their end at once.
_OF_SUBSCRIPTIONS: Final[Mapping[tuple[Kind, str], _Operation]] = {
    (Kind.COLLECTION, "POST"): subscriptions.create,
    (Kind.ENTITY, "PATCH"): subscriptions.renew,
    (Kind.ENTITY, "DELETE"): subscriptions.remove,
    (Kind.ACTION, "POST"): subscriptions.reauthorize,
    (Kind.PROPERTY, "PUT"): subscriptions.renew_by_property,
    (Kind.PROPERTY, "PATCH"): subscriptions.renew_by_property,
}


def way_of(version: str, parts: tuple[str, ...], method: str) -> tuple[Way, Resource]:
    """The way to what these segments name below a version. Raises MethodNotAllowed, UnknownSegment or Malformed."""
    if method not in METHODS:
        raise MethodNotAllowed((*METHODS, "OPTIONS"))
    served = model.VERSIONS[version]
    resource = path.parse(served, parts)
    return _way(version, served, resource, method), resource


def located(raw_path: str, method: str) -> tuple[Way, Resource] | None:
    """The way to what a path names that is still percent-encoded; None where it is of no version. Raises as `way_of`.

    Paths are many by their keys alone: what stands before a key is read once.
    """
    front, _, last = raw_path.rpartition("/")
    if len(last) == 36 and _KEY.fullmatch(last) and (keyed := _to_entity(front, method)) is not None:
        at = keyed.resource
        return keyed, Resource(Kind.ENTITY, at.trail, at.root, at.navigation, last)
    way = _to(raw_path, method)
    return None if way is None else (way, way.resource)


@lru_cache(maxsize=256)
def _to(raw_path: str, method: str) -> Way | None:
    parts = path.segments(raw_path)
    version = parts[0].lower() if parts else ""
    return way_of(version, parts[1:], method)[0] if version in model.VERSIONS else None


@lru_cache(maxsize=256)
def _to_entity(raw_path: str, method: str) -> Way | None:
    """The way to an entity of the collection that a path names, or None if it names none."""
    parts = path.segments(raw_path)
    version = parts[0].lower() if parts else ""
    if version not in model.VERSIONS or method not in METHODS:
        return None
    served = model.VERSIONS[version]
    try:
        at = path.parse(served, parts[1:])
    except Refusal:
        return None  # which is said of the whole path
    if at.kind is not Kind.COLLECTION:
        return None
    return _way(version, served, replace_struct(at, kind=Kind.ENTITY), method)


def _way(version: str, served: Model, resource: Resource, method: str) -> Way:
    operation = _operation(resource, method)
    anonymous = resource.kind in _ANONYMOUS and method == "GET"
    batch = resource.kind is Kind.BATCH and method == "POST"
    name, accepted = _name(resource, operation), _accepted(resource, method)
    return Way(version, served, resource, operation, name, accepted, anonymous, batch, _owner(resource))


def _operation(resource: Resource, method: str) -> _Operation | None:
    """What a method does with a resource, or None. Only what a navigation property with `write` holds can change."""
    writable = resource.navigation is not None and bool(resource.navigation.write)
    if method != "GET" and not writable:
        return None
    if resource.kind is Kind.VALUE and resource.declared is not None and not resource.declared.scalar:
        # Only a single primitive value has a raw form (OData 4.01 part 1, 11.2.4.1).
        return None
    own = _OF_SUBSCRIPTIONS if resource.navigation is model.SUBSCRIPTIONS else {}
    return own.get((resource.kind, method)) or _OPERATIONS.get((resource.kind, method))


def _name(resource: Resource, operation: _Operation | None) -> str:
    name = operation.__name__ if operation is not None else resource.kind.name.lower()
    holder = resource.navigation or resource.root
    return name if holder is None else f"{holder.name}.{name}"


def _owner(resource: Resource) -> Property | None:
    at = resource.navigation
    return at.target.find_property(at.owner) if isinstance(at, EntitySet) and at.owner is not None else None


def _accepted(resource: Resource, method: str) -> tuple[str, ...]:
    if resource.navigation is not None:
        return resource.navigation.read if method == "GET" else resource.navigation.write
    return resource.root.read if resource.root is not None else ()
