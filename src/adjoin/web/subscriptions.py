"""Operations that subscriptions have of their own: create, renew, reauthorize, remove. All else is every entity's."""

from __future__ import annotations

from collections.abc import Mapping

from adjoin.odata import headers, query, reader
from adjoin.service import subscriptions
from adjoin.service.errors import NotFound
from adjoin.store.columns import Stored, Value
from adjoin.web.exchange import Response
from adjoin.web.operations import Call, changed, created


async def create(call: Call) -> Response:
    async def make(values: Mapping[str, Value]) -> Stored:
        return await subscriptions.create(call.desk, await call.change(), call.caller, values)

    return await created(call, make)


async def renew(call: Call) -> Response:
    async def alter(values: Mapping[str, Value]) -> Stored:
        return await _renewed(call, await _own_key(call), values)

    return await changed(call, alter)


async def renew_by_property(call: Call) -> Response:
    query.check_no_options(call.request.query)
    headers.check_json_body(call.header("content-type"))
    value = reader.read_single(call.declared, await call.request.body())
    renewed = await _renewed(call, await _own_key(call), {call.declared.name: value})
    return Response(204, headers=[("etag", headers.entity_tag(renewed.version))])


async def reauthorize(call: Call) -> Response:
    query.check_no_options(call.request.query)
    if not await subscriptions.reauthorize(await call.change(), await _own_key(call)):
        raise NotFound
    return Response(204)


async def remove(call: Call) -> Response:
    query.check_no_options(call.request.query)
    key = await _own_key(call)
    lease = await subscriptions.remove(await call.change(), key)
    if lease is None:
        raise NotFound
    # Before it is answered: who has the answer is sent nothing any more.
    await call.deliveries.forget(call.tenant.number, key, lease)
    return Response(204)


async def _renewed(call: Call, key: str, values: Mapping[str, Value]) -> Stored:
    renewed = await subscriptions.renew(await call.change(), key, values)
    if renewed is None:
        raise NotFound
    return renewed


async def _own_key(call: Call) -> str:
    """The key as it is kept, of a subscription of the caller's application. Raises NotFound."""
    return str((await call.found()).row[0])
