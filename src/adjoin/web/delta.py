"""The delta function: pages of changes, and the links that lead from one to the next and from round to round.

A link holds all that the first call asked for, so that nothing can be added to it (graph-contract 3.11).
"""

from __future__ import annotations

from typing import Final

import msgspec

from adjoin.odata import paging, writer
from adjoin.odata.errors import Malformed
from adjoin.odata.query import Query
from adjoin.service import delta, entities
from adjoin.service.delta import Page, Round
from adjoin.web.exchange import Response
from adjoin.web.operations import Call, type_of

_LATEST: Final = "latest"
_DECODER: Final = msgspec.msgpack.Decoder(Round)


async def list_changes(call: Call) -> Response:
    """A page of changes. Raises Malformed for what is no link of this service, and Stale for one that is too old."""
    asked = call.query()
    form = call.form(asked.format)
    session, now = call.database.reader, call.world.now()
    preferred = call.to.wishes.preferences.max_page_size
    round_ = _known(call, asked)
    if round_ is None:
        select, size = _shown(call, asked), _size(asked, preferred)
        round_ = await delta.begin(session, call.tenant, select, size, now)
    elif asked.delta_token is not None:
        round_ = await delta.resume(session, call.tenant, round_, now)
    if (asked.delta_token or "").lower() == _LATEST:
        page = Page((), round_, True)
    else:
        page = await delta.page(session, call.tenant, call.resource.type, round_, now)
    link = _link(call, page)
    next_link, delta_link = (None, link) if page.ended else (link, None)
    body = writer.delta(call.place, page.items, round_.select, form.detail, next_link=next_link, delta_link=delta_link)
    response = Response(200, body, type_of(form))
    if preferred == round_.size:
        response.headers.append(("preference-applied", f"odata.maxpagesize={preferred}"))
    return response


def _known(call: Call, asked: Query) -> Round | None:
    """What the link holds that is followed; None at a first call."""
    if asked.token is not None and asked.delta_token is not None:
        raise Malformed("$skiptoken and $deltatoken exclude each other.")
    token, option = (asked.token, "$skiptoken") if asked.token is not None else (asked.delta_token, "$deltatoken")
    if token is None or (option == "$deltatoken" and token.lower() == _LATEST):
        return None
    if asked.select or asked.top is not None:
        raise Malformed("What a delta query asks for is fixed at its first call; its links are followed as they are.")
    payload = paging.unseal(token, call.installation.paging_key, _scope(call, option), option)
    try:
        return _DECODER.decode(payload)
    except msgspec.DecodeError:
        raise paging.foreign(option) from None  # signed by another version of this service


def _shown(call: Call, asked: Query) -> tuple[str, ...]:
    """The properties to show; the key is always among them, or what is shown could not be told from other entities."""
    key = call.resource.type.key.name
    return (key, *asked.select) if asked.select and key not in asked.select else asked.select


def _size(asked: Query, preferred: int | None) -> int:
    """How many items a page has: `$top` says it too, since a round always goes through to its end."""
    if asked.top == 0:
        raise Malformed("Invalid value '0' for $top query option found. A page of changes has one item at least.")
    return min(asked.top or entities.PAGE_SIZE, preferred or entities.PAGE_SIZE, entities.PAGE_SIZE)


def _link(call: Call, page: Page) -> str:
    option = "$deltatoken" if page.ended else "$skiptoken"
    payload = msgspec.msgpack.encode(page.goes_on)
    token = paging.seal(payload, call.installation.paging_key, _scope(call, option))
    return f"{call.request.origin}{call.request.path}?{option}={token}"


def _scope(call: Call, option: str) -> str:
    return f"{call.tenant.id}/{'/'.join(call.resource.trail)}/delta/{option}"
