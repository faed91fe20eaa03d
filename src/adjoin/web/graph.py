"""The Graph surface, `/beta` and `/v1.0`: one handler for each kind of resource and method, each of five steps.

Read path and query, check access, call the service, write, answer. Which order the checks come in: DESIGN section 4.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final

from adjoin import model
from adjoin.identity.caller import Caller
from adjoin.identity.tokens import EmptyToken, VerifiedTokens
from adjoin.odata import headers, metadata, paging, path, query, reader, writer
from adjoin.odata.edm import Model, Property
from adjoin.odata.errors import NotAcceptable, NotServed
from adjoin.odata.headers import Detail, Return
from adjoin.odata.path import Kind, Resource
from adjoin.odata.writer import Place
from adjoin.service import access, entities
from adjoin.service.installation import Installation
from adjoin.service.world import World
from adjoin.store.columns import Row
from adjoin.store.tenants import Tenant
from adjoin.web.errors import MethodNotAllowed, NoRoute
from adjoin.web.exchange import Request, Response

METHODS: Final = frozenset({"GET", "POST", "PATCH", "PUT", "DELETE"})

_JSON: Final[Mapping[Detail, str]] = {
    detail: f"application/json;odata.metadata={detail.value};odata.streaming=true;IEEE754Compatible=false;charset=utf-8"
    for detail in Detail
}
_TEXT: Final = "text/plain"
_XML: Final = "application/xml"
_ANONYMOUS: Final = frozenset({Kind.SERVICE, Kind.METADATA})


@dataclass(frozen=True, slots=True)
class Call:
    """One call on the way through: what is asked, by whom, and for which tenant."""

    request: Request
    model: Model
    root: str
    resource: Resource
    tenant: Tenant

    @property
    def place(self) -> Place:
        return Place(self.root, self.resource)

    @property
    def key(self) -> str:
        return self.resource.key or ""

    def detail(self, format_option: str | None = None) -> Detail:
        return headers.json_detail(self.request.headers.get("accept"), format_option)


@dataclass(frozen=True, slots=True)
class Graph:
    """The resources of an installation, as Graph shows them."""

    installation: Installation
    tokens: VerifiedTokens
    world: World

    async def respond(self, request: Request, version: str, parts: tuple[str, ...]) -> Response:
        """Answer a request for what `parts` name below a version. Raises a Refusal."""
        if request.method not in METHODS:
            raise MethodNotAllowed
        served = model.VERSIONS[version]
        resource = path.parse(served, parts)
        root = f"{request.origin}/{version}"
        if resource.kind in _ANONYMOUS and request.method == "GET":
            return _describe(request, served, resource, root)
        caller = self._caller(request)
        tenant = await access.admit(self.installation.database.reader, caller)
        handler = _HANDLERS.get((resource.kind, request.method))
        if handler is None:
            raise NoRoute(resource.template, request.method, request.path)
        access.check(caller, _accepted(resource, request.method))
        headers.check_versions(request.headers.get("odata-version"), request.headers.get("odata-maxversion"))
        return await handler(self, Call(request, served, root, resource, tenant))

    def _caller(self, request: Request) -> Caller:
        scheme, _, token = request.headers.get("authorization", "").strip().partition(" ")
        if scheme.lower() != "bearer":
            raise EmptyToken
        return self.tokens.verify(token.strip(), self.world.now())

    async def list(self, call: Call) -> Response:
        asked = query.parse(call.request.query, call.resource.kind, call.resource.type)
        detail = call.detail(asked.format)
        preferred = headers.preferences(call.request.headers.get("prefer"))
        scope = f"{call.tenant.id}/{'/'.join(call.resource.trail)}"
        continuation = paging.read(asked.token, self.installation.paging_key, scope) if asked.token else None
        size = min(preferred.max_page_size or entities.PAGE_SIZE, entities.PAGE_SIZE)
        wanted = entities.Wanted(asked.top, asked.skip, asked.count, size, continuation)
        page = await entities.page(self.installation.database, call.tenant, call.resource.type, wanted)
        link = None
        if page.continuation is not None:
            token = paging.write(page.continuation, self.installation.paging_key, scope)
            link = paging.next_link(f"{call.request.origin}{call.request.path}", call.request.query, token)
        body = writer.collection(call.place, page.rows, asked.select, detail, page.count, link)
        response = Response(200, body, _JSON[detail])
        if preferred.max_page_size is not None:
            response.headers.append(("preference-applied", f"odata.maxpagesize={size}"))
        return response

    async def count(self, call: Call) -> Response:
        query.parse(call.request.query, call.resource.kind, call.resource.type)
        if not headers.accepts_text(call.request.headers.get("accept")):
            raise NotAcceptable("A count is served as text/plain.")
        number = await entities.count(self.installation.database, call.tenant, call.resource.type)
        return Response(200, str(number).encode(), _TEXT)

    async def get(self, call: Call) -> Response:
        asked = query.parse(call.request.query, call.resource.kind, call.resource.type)
        detail = call.detail(asked.format)
        row = await self._row(call)
        return Response(200, writer.entity(call.place, row, asked.select, detail), _JSON[detail])

    async def get_property(self, call: Call) -> Response:
        asked = query.parse(call.request.query, call.resource.kind, None)
        detail = call.detail(asked.format)
        value = await self._value(call)
        if value is None:
            return Response(204)
        body = writer.single(call.place, call.resource.key, _declared(call.resource), value, detail)
        return Response(200, body, _JSON[detail])

    async def get_value(self, call: Call) -> Response:
        query.parse(call.request.query, call.resource.kind, None)
        if not headers.accepts_text(call.request.headers.get("accept")):
            raise NotAcceptable("A raw value is served as text/plain.")
        value = await self._value(call)
        if value is None:
            return Response(204)
        return Response(200, str(value).encode(), f"{_TEXT};charset=utf-8")

    async def create(self, call: Call) -> Response:
        query.check_no_options(call.request.query)
        headers.check_json_body(call.request.headers.get("content-type"))
        detail = call.detail()
        preferred = headers.preferences(call.request.headers.get("prefer"))
        entity = call.resource.type
        values = reader.read_create(call.model, entity, await call.request.body())
        row = await entities.create(self.installation.database, call.tenant, entity, values, self.world.new_id())
        location = call.place.entity_url(str(row[0]))
        if preferred.answer is Return.MINIMAL:
            return _minimal([("location", location), ("odata-entityid", location)])
        response = Response(201, writer.entity(call.place, row, (), detail), _JSON[detail], [("location", location)])
        return _with_representation(response, preferred.answer)

    async def change(self, call: Call) -> Response:
        query.check_no_options(call.request.query)
        headers.check_json_body(call.request.headers.get("content-type"))
        detail = call.detail()
        preferred = headers.preferences(call.request.headers.get("prefer"))
        entity = call.resource.type
        values = reader.read_patch(call.model, entity, call.key.lower(), await call.request.body())
        row = await entities.change(self.installation.database, call.tenant, entity, call.key, values)
        if preferred.answer is Return.MINIMAL:
            return _minimal([])
        response = Response(200, writer.entity(call.place, row, (), detail), _JSON[detail])
        return _with_representation(response, preferred.answer)

    async def remove(self, call: Call) -> Response:
        query.check_no_options(call.request.query)
        await entities.remove(self.installation.database, call.tenant, call.resource.type, call.key)
        return Response(204)

    async def batch(self, _: Call) -> Response:
        raise NotServed("$batch is not served yet.")

    async def _row(self, call: Call) -> Row:
        if call.resource.navigation is None:
            return (call.tenant.id,)
        return await entities.get(self.installation.database, call.tenant, call.resource.type, call.key)

    async def _value(self, call: Call) -> object:
        at = call.resource.type.properties.index(_declared(call.resource))
        return (await self._row(call))[at]


_Handler = Callable[[Graph, Call], Awaitable[Response]]

_HANDLERS: Final[Mapping[tuple[Kind, str], _Handler]] = {
    (Kind.SINGLETON, "GET"): Graph.get,
    (Kind.COLLECTION, "GET"): Graph.list,
    (Kind.COLLECTION, "POST"): Graph.create,
    (Kind.COUNT, "GET"): Graph.count,
    (Kind.ENTITY, "GET"): Graph.get,
    (Kind.ENTITY, "PATCH"): Graph.change,
    (Kind.ENTITY, "DELETE"): Graph.remove,
    (Kind.PROPERTY, "GET"): Graph.get_property,
    (Kind.VALUE, "GET"): Graph.get_value,
    (Kind.BATCH, "POST"): Graph.batch,
}


def _accepted(resource: Resource, method: str) -> tuple[str, ...]:
    """The permissions of which a caller needs one."""
    if resource.navigation is not None:
        return resource.navigation.read if method == "GET" else resource.navigation.write
    return resource.root.read if resource.root is not None else ()


def _describe(request: Request, served: Model, resource: Resource, root: str) -> Response:
    """The service document or the metadata, which need no token."""
    asked = query.parse(request.query, resource.kind, None)
    accept = request.headers.get("accept")
    if resource.kind is Kind.SERVICE:
        detail = headers.json_detail(accept, asked.format)
        return Response(200, metadata.service_document(served, root), _JSON[detail])
    if headers.prefers_csdl_json(accept, asked.format):
        return Response(200, metadata.csdl_json(served), "application/json")
    return Response(200, metadata.csdl_xml(served), _XML)


def _minimal(own: list[tuple[str, str]]) -> Response:
    return Response(204, headers=[*own, ("preference-applied", "return=minimal")])


def _with_representation(response: Response, asked: Return | None) -> Response:
    if asked is Return.REPRESENTATION:
        response.headers.append(("preference-applied", "return=representation"))
    return response


def _declared(resource: Resource) -> Property:
    if resource.declared is None:
        raise LookupError("the resource is not a property")
    return resource.declared
