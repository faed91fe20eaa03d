"""The Graph surface, `/beta` and `/v1.0`: from a path to its operation, with every check in its order.

Routing, token and its revocation, personal account, licence, permission; then the operation, which looks at the object
(DESIGN section 4).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from adjoin import model
from adjoin.identity.caller import Caller
from adjoin.identity.errors import EmptyToken, UnknownKey
from adjoin.identity.parties import Parties
from adjoin.odata import headers, metadata, path, query
from adjoin.odata.edm import Model
from adjoin.odata.errors import NotServed
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
from adjoin.web.operations import JSON, Call

METHODS: Final = ("GET", "POST", "PATCH", "PUT", "DELETE")

_ANONYMOUS: Final = frozenset({Kind.SERVICE, Kind.METADATA})


@dataclass(frozen=True, slots=True)
class Graph:
    """The resources of an installation, as Graph shows them."""

    installation: Installation
    parties: Parties
    world: World
    desk: Desk
    deliveries: Deliveries
    throttle: Throttle | None = None

    async def respond(self, request: Request, version: str, parts: tuple[str, ...]) -> Response:
        """Answer a request for what `parts` name below a version. Raises a Refusal."""
        if request.method not in METHODS:
            raise MethodNotAllowed((*METHODS, "OPTIONS"))
        served = model.VERSIONS[version]
        resource = path.parse(served, parts)
        operation = _operation(resource, request.method)
        request.operation = _name(resource, operation)
        if request.watch is not None:
            request.watch.read()
        root = f"{request.origin}/{version}"
        if resource.kind in _ANONYMOUS and request.method == "GET":
            _check_protocol(request)
            return self._describe(request, served, resource, root)
        caller = await self._caller(request)
        if resource.kind is Kind.BATCH and request.method == "POST":
            _check_protocol(request)
            return await self._batch(request, version).run()
        tenant = await access.admit(self.installation.database, self.installation.memory, caller, self.world.now())
        if self.throttle is not None:
            self.throttle.count(tenant.id, caller.client_id, request.method != "GET", self.world.now())
        if operation is None:
            raise NoRoute(resource.template, request.method, request.path)
        access.check(caller, _accepted(resource, request.method))
        if operation is subscriptions.create and isinstance(self.installation.database, Within):
            raise NotServed("A subscription is not created within a change set: its receiver is asked first.")
        _check_protocol(request)
        installation = self.installation if request.watch is None else request.watch.known(self.installation)
        call = Call(
            request, served, root, resource, caller, tenant, installation, self.world, self.desk, self.deliveries
        )
        response = await operation(call)
        if request.method != "GET":
            self.deliveries.wake()
        if request.method != "GET" and "repeatability-request-id" in request.headers:
            response.headers.append(("repeatability-result", "accepted"))
        return response

    async def _caller(self, request: Request) -> Caller:
        """Who calls, by the token. Nothing here waits, but for the keys of an issuer that has new ones."""
        scheme, _, token = request.headers.get("authorization", "").strip().partition(" ")
        if scheme.lower() != "bearer":
            raise EmptyToken
        token, now = token.strip(), self.world.now()
        try:
            caller = self.parties.verify(token, now)
        except UnknownKey:
            if not await self.parties.learn(token, now):
                raise
            caller = self.parties.verify(token, now)
        await access.check_standing(self.installation.database, self.installation.memory, caller, now)
        return caller

    def _batch(self, request: Request, version: str) -> Batch:
        """A batch needs a good token; what else is checked, each of its requests is checked for."""
        return Batch(
            request,
            version,
            self.installation.database,
            self._respond_within,
            lambda error, refused: failures.answer_to(error, refused, self.world.now()),
            self.world.new_request_id,
        )

    async def _respond_within(
        self, request: Request, version: str, parts: tuple[str, ...], database: Database
    ) -> Response:
        within = replace(self, installation=replace(self.installation, database=database))
        return await failures.settled(within.respond(request, version, parts), request, self.world.now)

    def _now(self) -> Instant:
        return Instant.from_unix(self.world.now())

    def _describe(self, request: Request, served: Model, resource: Resource, root: str) -> Response:
        """The service document or the metadata, which need no token."""
        asked = query.parse(request.query, resource.kind, served, None, self._now)
        accept = request.headers.get("accept")
        if resource.kind is Kind.SERVICE:
            detail = headers.json_detail(accept, asked.format)
            return Response(200, metadata.service_document(served, root), JSON[detail])
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


# What subscriptions have of their own: their receivers are asked first, and heard of their end at once.
_OF_SUBSCRIPTIONS: Final[Mapping[tuple[Kind, str], _Operation]] = {
    (Kind.COLLECTION, "POST"): subscriptions.create,
    (Kind.ENTITY, "PATCH"): subscriptions.renew,
    (Kind.ENTITY, "DELETE"): subscriptions.remove,
    (Kind.PROPERTY, "PUT"): subscriptions.renew_by_property,
    (Kind.PROPERTY, "PATCH"): subscriptions.renew_by_property,
}


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
    """What a request is counted under: as many names as the model has resources, times the operations."""
    name = operation.__name__ if operation is not None else resource.kind.name.lower()
    holder = resource.navigation or resource.root
    return name if holder is None else f"{holder.name}.{name}"


def _accepted(resource: Resource, method: str) -> tuple[str, ...]:
    """The permissions of which a caller needs one."""
    if resource.navigation is not None:
        return resource.navigation.read if method == "GET" else resource.navigation.write
    return resource.root.read if resource.root is not None else ()
