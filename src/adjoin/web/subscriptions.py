"""Operations that subscriptions have of their own: create, renew, reauthorize, remove. All else is every entity's."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from adjoin.odata import headers, query, reader
from adjoin.service import subscriptions
from adjoin.service.questions import NobodyWaits
from adjoin.store.columns import Stored, Value
from adjoin.web.exchange import ClientGone, Request, Response
from adjoin.web.operations import Call, changed, created


async def create(call: Call) -> Response:
    async def make(values: Mapping[str, Value]) -> Stored:
        change = await call.change()
        try:
            return await subscriptions.create(call.desk, change, call.caller, values, lambda: _gone(call.request))
        except NobodyWaits:
            raise ClientGone from None

    return await created(call, make)


async def _gone(request: Request) -> None:
    """Wait until the client has left; as long as this goes on, receivers are waited for, and no work is done.

    What is a part of a batch has no connection of its own to be heard from, and is not counted by itself.
    """
    if request.digest is None:
        await asyncio.Event().wait()
    with request.meter.idle():
        while (await request.receive())["type"] != "http.disconnect":
            pass


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
