"""Operations that subscriptions have of their own: create, renew, reauthorize, remove. All else is every entity's."""

from __future__ import annotations

from collections.abc import Mapping

from adjoin.odata import headers, query, reader
from adjoin.service import subscriptions
from adjoin.store.columns import Stored, Value
from adjoin.web.exchange import Response
from adjoin.web.operations import Call, changed, created


async def create(call: Call) -> Response:
    async def make(values: Mapping[str, Value]) -> Stored:
        return await subscriptions.create(call.desk, await call.change(), call.caller, values)

    return await created(call, make)


async def renew(call: Call) -> Response:
    async def alter(values: Mapping[str, Value]) -> Stored:
        return await _renewed(call, values)

    return await changed(call, alter)


async def renew_by_property(call: Call) -> Response:
    query.check_no_options(call.request.query)
    headers.check_json_body(call.header("content-type"))
    value = reader.read_single(call.declared, await call.request.body())
    renewed = await _renewed(call, {call.declared.name: value})
    return Response(204, headers=[("etag", headers.entity_tag(renewed.version))])


async def reauthorize(call: Call) -> Response:
    query.check_no_options(call.request.query)
    await subscriptions.reauthorize(await call.change(), call.caller, call.key)
    return Response(204)


async def remove(call: Call) -> Response:
    query.check_no_options(call.request.query)
    lease = await subscriptions.remove(await call.change(), call.caller, call.key)
    # Before it is answered: who has the answer is sent nothing any more.
    await call.deliveries.forget(call.tenant.number, call.key.lower(), lease)
    return Response(204)


async def _renewed(call: Call, values: Mapping[str, Value]) -> Stored:
    return await subscriptions.renew(await call.change(), call.caller, call.key, values)
