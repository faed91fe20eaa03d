"""One function for each operation on entities: read what is asked, call the service, write the answer.

Who may call it has been checked before (`graph.py`), and what is refused on the way is answered after (`failures.py`).
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import msgspec
from msgspec.structs import replace

from adjoin.identity.caller import Caller
from adjoin.odata import headers, paging, query, reader, writer
from adjoin.odata.bound import Bound, Constant, Field, Operation, Sort
from adjoin.odata.edm import Model, Property
from adjoin.odata.errors import NotAcceptable
from adjoin.odata.headers import UNCONDITIONAL, Conditions, Detail, Form, Return
from adjoin.odata.paging import Continuation
from adjoin.odata.path import Resource
from adjoin.odata.query import Expansion, Query
from adjoin.odata.values import Instant, fold
from adjoin.odata.writer import Place
from adjoin.service import access, entities
from adjoin.service.audit import Recorder, actor_of
from adjoin.service.deliveries import Deliveries
from adjoin.service.entities import Change, Wanted
from adjoin.service.errors import NotFound
from adjoin.service.installation import Installation
from adjoin.service.repeats import Repeatable
from adjoin.service.subscriptions import Desk
from adjoin.service.world import World
from adjoin.store.columns import Stored, Value
from adjoin.store.database import Database
from adjoin.store.tenants import ACTIVE, NO_LICENCE, SUSPENDED, WARNING, Tenant
from adjoin.web.errors import TargetTooLong
from adjoin.web.exchange import MAX_TARGET, Request, Response
from adjoin.web.heads import Passage

_JSON: Final[Mapping[Detail, str]] = {
    detail: f"application/json;odata.metadata={detail.value};odata.streaming=true;IEEE754Compatible=false;charset=utf-8"
    for detail in Detail
}
_EXACT: Final[Mapping[Detail, str]] = {
    detail: kind.replace("IEEE754Compatible=false", "IEEE754Compatible=true") for detail, kind in _JSON.items()
}
_TEXT: Final = "text/plain"


class Way(msgspec.Struct, frozen=True, eq=False):
    """What a method does with what a path names, whoever asks: `operation` is None where nothing is served."""

    version: str
    served: Model
    resource: Resource
    operation: Callable[[Call], Awaitable[Response]] | None
    name: str
    """What a request is counted under: as many names as the model has resources, times the operations."""
    accepted: tuple[str, ...]
    """The permissions of which a caller needs one."""
    anonymous: bool
    """No token is asked for."""
    batch: bool
    owner: Property | None
    """The property that names the application which an entity belongs to, where there is one."""


class Call(msgspec.Struct, frozen=True):
    """One call on the way through: what is asked, for which tenant, and what answers it."""

    request: Request
    way: Way
    to: Passage
    resource: Resource
    caller: Caller
    tenant: Tenant
    installation: Installation
    world: World
    desk: Desk
    deliveries: Deliveries

    @property
    def database(self) -> Database:
        return self.installation.database

    @property
    def root(self) -> str:
        return self.to.root

    @property
    def place(self) -> Place:
        return Place(self.to.root, self.resource)

    @property
    def key(self) -> str:
        return self.resource.key or ""

    @property
    def declared(self) -> Property:
        if self.resource.declared is None:
            raise LookupError("the resource is not a property")
        return self.resource.declared

    def query(self) -> Query:
        """The query of a GET on what is asked."""
        resource = self.resource
        return query.parse(self.request.query, resource.kind, self.way.served, resource.type, self.now)

    def now(self) -> Instant:
        return Instant.from_unix(self.world.now())

    def owned(self, asked: Query) -> Query:
        """The query, of what belongs to the caller's application where entities belong to one."""
        mine = _mine(self)
        if mine is None:
            return asked
        where = mine if asked.where is None else Operation("and", Sort.BOOLEAN, (mine, asked.where))
        return dataclasses.replace(asked, where=where)

    async def found(self) -> Stored:
        """The entity that is asked for. Raises NotFound, also for one that belongs to another application."""
        entity = self.resource.type
        found = await entities.get(self.database, self.tenant, entity, self.key, self.world.now())
        if (owner := self.way.owner) is not None:
            held = found.row[entity.properties.index(owner)]
            if fold(str(held)) != fold(self.caller.client_id):
                raise NotFound
        return found

    def header(self, name: str) -> str | None:
        return self.request.headers.get(name)

    def form(self, format_option: str | None = None) -> Form:
        """The form of an answer as JSON. Raises NotAcceptable."""
        if format_option is None and (known := self.to.wishes.form) is not None:
            return known
        return headers.json_form(self.request.headers.get("accept"), format_option)

    def conditions(self) -> Conditions:
        if (known := self.to.wishes.conditions) is not None:
            return known
        found = self.request.headers
        return headers.conditions(found.get("if-match"), found.get("if-none-match"))

    async def change(self) -> Change:
        """The circumstances of the change that is asked for."""
        # OData JSON 4.01, conformance: an etag in the payload counts as one in If-Match.
        conditions = (self.conditions(), headers.conditions(reader.read_etag(await self.request.body()), None))

        def check(version: int) -> None:
            for each in conditions:
                each.check(headers.entity_tag(version))

        repeatable, recorder = await self._repeatable(), self._recorder()
        return Change(self.database, self.tenant, self.world.now(), check, repeatable, recorder)

    def _recorder(self) -> Recorder:
        return Recorder(
            actor_of(self.caller, self.request.address),
            self.request.client_id,
            self.world.new_id,
            self.world.now(),
            self.installation.audit_days,
            self.installation.turns,
        )

    async def _repeatable(self) -> Repeatable | None:
        named = headers.repeat(self.header("repeatability-request-id"), self.header("repeatability-first-sent"))
        if named is None:
            return None
        digest = hashlib.sha256(f"{self.request.method} {self.request.path} {named.first_sent}\n".encode())
        digest.update(await self.request.body())
        client = f"{self.caller.subject} {self.caller.client_id}"
        return Repeatable(client, named.request_id, named.first_sent, digest.digest())


def _mine(call: Call) -> Bound | None:
    owner = call.way.owner
    if owner is None:
        return None
    return Operation("eq", Sort.BOOLEAN, (Field(owner), Constant(Sort.STRING, fold(call.caller.client_id))))


async def list_entities(call: Call) -> Response:
    asked = call.query()
    form = call.form(asked.format)
    detail = form.detail
    place, longest = call.place, call.to.wishes.preferences.max_page_size
    size = entities.PAGE_SIZE if longest is None else min(longest, entities.PAGE_SIZE)
    continuation = None
    if asked.token:
        continuation = paging.read(asked.token, call.installation.paging_key, _scope(call, place, asked))
    whole = not asked.select and detail is Detail.MINIMAL
    wanted = Wanted(call.owned(asked), size, continuation, written=whole)
    page = await entities.page(call.database, call.tenant, call.resource.type, wanted, call.world.now())
    link = None
    if page.continuation is not None:
        url = f"{call.request.origin}{call.request.path}"
        link = _next_link(call, page.continuation, url, call.request.query, _scope(call, place, asked))
    body = writer.collection(place, page.written or page.rows, asked.select, detail, _shown(page.count, form), link)
    response = Response(200, body, type_of(form))
    if longest is not None and (continuation is None or continuation.page_size == size):
        response.headers.append(("preference-applied", f"odata.maxpagesize={size}"))
    return response


def _shown(count: int | None, form: Form) -> int | str | None:
    return str(count) if form.counts_as_text and count is not None else count


def _scope(call: Call, place: Place, asked: Query) -> str:
    """What a link to more is good for: this tenant, this collection, this query."""
    return f"{call.tenant.id}/{'/'.join(place.resource.trail)}/{asked.fingerprint}"


def _next_link(call: Call, goes_on: Continuation, url: str, raw_query: str, scope: str) -> str:
    """The link to the next page. Raises TargetTooLong for one that would be refused when it is followed."""
    link = paging.next_link(url, raw_query, paging.write(goes_on, call.installation.paging_key, scope))
    if len(link) > MAX_TARGET:
        raise TargetTooLong(MAX_TARGET, "With its characters escaped, the link to the next page")
    return link


async def count_entities(call: Call) -> Response:
    if call.resource.declared is not None:
        return await _count_values(call)
    asked = call.query()
    _check_text(call, "A count")
    number = await entities.count(
        call.database, call.tenant, call.resource.type, call.world.now(), call.owned(asked).where
    )
    return Response(200, str(number).encode(), _TEXT)


async def _count_values(call: Call) -> Response:
    """How many values a collection-valued property holds."""
    query.check_counts_all(call.request.query)
    _check_text(call, "A count")
    value = await _value(call)
    held = msgspec.json.decode(value) if isinstance(value, msgspec.Raw) else []
    return Response(200, str(len(held)).encode(), _TEXT)


async def get_entity(call: Call) -> Response:
    asked = call.query()
    form = call.form(asked.format)
    found = await call.found()
    conditions = call.conditions()
    if conditions is not UNCONDITIONAL and conditions.unchanged(tag := headers.entity_tag(found.version)):
        return Response(304, headers=[("etag", tag)])
    return _entity_answer(call, found, 200, asked.select, form)


async def get_singleton(call: Call) -> Response:
    asked = call.query()
    form = call.form(asked.format)
    expanded = [await _expanded(call, each, form) for each in asked.expand]
    body = writer.entity(call.place, _singleton(call), asked.select, form.detail, expanded)
    return Response(200, body, type_of(form))


# A tenant without a licence is not served, and so never shown as such.
_SUBSCRIPTION: Final = {ACTIVE: "active", WARNING: "warning", SUSPENDED: "disabled", NO_LICENCE: "deleted"}


def _singleton(call: Call) -> tuple[str, str]:
    """A singleton belongs to a tenant and goes by its id; it shows the state of the tenant's licence."""
    return (call.tenant.id, _SUBSCRIPTION[call.tenant.licence_at(call.world.now())])


async def _expanded(call: Call, expansion: Expansion, form: Form) -> writer.Expanded:
    # What stands within needs the permission that it needs by itself.
    access.check(call.caller, expansion.navigation.read)
    asked, name = expansion.query, expansion.navigation.name
    place = Place(
        call.root, replace(call.resource, trail=(*call.resource.trail, name), navigation=expansion.navigation)
    )
    page = await entities.page(call.database, call.tenant, expansion.navigation.target, Wanted(asked), call.world.now())
    link = None
    if page.continuation is not None:
        url = f"{call.root}/{'/'.join(place.resource.trail)}"
        link = _next_link(call, page.continuation, url, expansion.options, _scope(call, place, asked))
    return writer.Expanded(place, name, page.rows, asked.select, _shown(page.count, form), link)


async def get_property(call: Call) -> Response:
    asked = call.query()
    form = call.form(asked.format)
    value = await _value(call)
    if value is None:
        return Response(204)
    key = None if call.resource.key is None else call.key.lower()
    return Response(200, writer.single(call.place, key, call.declared, value, form.detail), type_of(form))


async def get_value(call: Call) -> Response:
    asked = call.query()
    _check_text(call, "A raw value", asked.format)
    value = await _value(call)
    if value is None:
        return Response(204)
    return Response(200, str(value).encode(), f"{_TEXT};charset=utf-8")


async def _value(call: Call) -> object:
    at = call.resource.type.properties.index(call.declared)
    if call.resource.navigation is None:
        return _singleton(call)[at]
    return (await call.found()).row[at]


def _check_text(call: Call, what: str, format_option: str | None = None) -> None:
    if not headers.accepts_text(call.header("accept"), format_option):
        raise NotAcceptable(f"{what} is served as text/plain.")


async def create_entity(call: Call) -> Response:
    async def make(values: Mapping[str, Value]) -> Stored:
        return await entities.create(await call.change(), call.resource.type, values, call.world)

    return await created(call, make)


async def created(call: Call, make: Callable[[Mapping[str, Value]], Awaitable[Stored]]) -> Response:
    """Read what is to be created, `make` it, and answer."""
    query.check_no_options(call.request.query)
    headers.check_json_body(call.header("content-type"))
    form = call.form()
    preferred = call.to.wishes.preferences.answer
    values = reader.read_create(call.way.served, call.resource.type, await call.request.body())
    made = await make(values)
    location = call.place.entity_url(str(made.row[0]))
    if preferred is Return.MINIMAL:
        return _minimal([("location", location), ("odata-entityid", location)])
    response = _entity_answer(call, made, 201, (), form)
    response.headers.append(("location", location))
    return _applied(response, preferred)


async def change_entity(call: Call) -> Response:
    async def alter(values: Mapping[str, Value]) -> Stored:
        return await entities.alter(await call.change(), call.resource.type, call.key, values)

    return await changed(call, alter)


async def changed(call: Call, alter: Callable[[Mapping[str, Value]], Awaitable[Stored]]) -> Response:
    """Read what is to be changed of the entity, `alter` it, and answer."""
    query.check_no_options(call.request.query)
    headers.check_json_body(call.header("content-type"))
    form = call.form()
    preferred = call.to.wishes.preferences.answer
    whole = await alter(
        reader.read_patch(call.way.served, call.resource.type, call.key.lower(), await call.request.body())
    )
    if preferred is Return.MINIMAL:
        return _minimal([("etag", headers.entity_tag(whole.version))])
    return _applied(_entity_answer(call, whole, 200, (), form), preferred)


async def remove_entity(call: Call) -> Response:
    query.check_no_options(call.request.query)
    await entities.remove(await call.change(), call.resource.type, call.key)
    return Response(204)


async def set_property(call: Call) -> Response:
    query.check_no_options(call.request.query)
    headers.check_json_body(call.header("content-type"))
    value = reader.read_single(call.declared, await call.request.body())
    whole = await entities.alter(await call.change(), call.resource.type, call.key, {call.declared.name: value})
    return Response(204, headers=[("etag", headers.entity_tag(whole.version))])


async def clear_property(call: Call) -> Response:
    query.check_no_options(call.request.query)
    reader.check_changeable(call.declared)
    nothing = {call.declared.name: reader.read_value(call.declared, None)}
    whole = await entities.alter(await call.change(), call.resource.type, call.key, nothing)
    return Response(204, headers=[("etag", headers.entity_tag(whole.version))])


def _entity_answer(call: Call, stored: Stored, status: int, select: tuple[str, ...], form: Form) -> Response:
    tag = headers.entity_tag(stored.version)
    return Response(status, writer.entity(call.place, stored.row, select, form.detail), type_of(form), [("etag", tag)])


def type_of(form: Form) -> str:
    """The media type of an answer of this form."""
    return _EXACT[form.detail] if form.counts_as_text else _JSON[form.detail]


def _minimal(own: list[tuple[str, str]]) -> Response:
    return Response(204, headers=[*own, ("preference-applied", "return=minimal")])


def _applied(response: Response, asked: Return | None) -> Response:
    if asked is Return.REPRESENTATION:
        response.headers.append(("preference-applied", "return=representation"))
    return response
