"""Subscriptions to changes of connectors: what may be asked for, and the question that a receiver has to answer first.

Source: Graph's pages on subscriptions; what they leave to each resource is decided here.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit, urlunsplit

from adjoin import model
from adjoin.identity.caller import Caller, Kind
from adjoin.identity.issuer import CLI_CLIENT
from adjoin.odata.values import TICKS_PER_SECOND, BadValue, Instant, fold, parse_guid
from adjoin.service import notices, removal, repeats
from adjoin.service.courier import Answer, Carry, TooSlow, Unreachable
from adjoin.service.deliveries import WARN
from adjoin.service.entities import Change
from adjoin.service.errors import NotFound, NotSubscribed
from adjoin.service.questions import Gone, Questions
from adjoin.service.receivers import Allowed, host_of
from adjoin.service.world import World
from adjoin.store import changes, deliveries, rows
from adjoin.store.columns import Row, Stored, Value
from adjoin.store.database import Session
from adjoin.store.deliveries import Lease, Maker
from adjoin.store.tables import table_of

MAX_MINUTES: Final = 4_230
"""How long a subscription lasts at most, as Graph has it for most resources; it can be renewed before it ends."""

MAX_PER_TENANT: Final = 5_000

_ENTITY: Final = model.SUBSCRIPTION
_TABLE: Final = table_of(_ENTITY)
_FOLLOWED: Final = table_of(model.CONNECTOR)
_AT: Final = {each.name: at for at, each in enumerate(_ENTITY.properties)}
_URLS: Final = ("notificationUrl", "lifecycleNotificationUrl")
_TLS: Final = ("v1_2", "v1_3")
_BEHIND_ALL_KEYS: Final = "~"


@dataclass(frozen=True, slots=True)
class Desk:
    """What subscriptions are taken with: who may be notified, what carries the question there, ids and randomness."""

    allowed: Allowed
    carry: Carry
    world: World
    questions: Questions = field(default_factory=Questions)


async def create(desk: Desk, change: Change, caller: Caller, values: Mapping[str, Value], gone: Gone) -> Stored:
    """A new subscription, once its receivers have answered, which may take seconds.

    Raises NotSubscribed; Overloaded where too many wait for theirs; NobodyWaits when who asked for it is `gone` before.

    Who sends the same request again gets the same subscription, whatever its receivers answer by then.
    """
    made = await _made_before(change)
    if made is None:
        try:
            made = await _make(desk, change, caller, values, gone)
        except NotSubscribed:
            # The first sending may have been under way still when this one came.
            made = await _made_before(change)
            if made is None:
                raise
    # In this answer, as in Graph's, and in no later one.
    state, at = values.get("clientState"), _AT["clientState"]
    shown = None if state is None else str(state)
    return Stored((*made.row[:at], shown, *made.row[at + 1 :]), made.version)


async def _made_before(change: Change) -> Stored | None:
    """What was made when the same request came first. Raises RepeatRejected."""
    if change.repeatable is None:
        return None
    before = await repeats.known(change.database.reader, change.tenant.number, change.repeatable, change.now)
    return before.outcome if before is not None else None


async def _make(desk: Desk, change: Change, caller: Caller, values: Mapping[str, Value], gone: Gone) -> Stored:
    whole = _whole(desk, caller, values, change.now)
    await desk.questions.ask(change.tenant.number, lambda: _ask_all(desk, change, whole), gone)
    tenant, maker = change.tenant.number, _maker(caller)
    await _drop_removed(change)

    async def act(session: Session) -> Stored | None:
        # Once more: others may have come while the receivers were asked.
        if not await _check_number(session, tenant):
            # Nobody had to be told of what the clock did before. Delta queries have to be: they find a removal by its
            # row, and once that is dropped by the log alone, which from here on counts as having it.
            while await removal.drop_more(session, _FOLLOWED, tenant, change.ticks, change.recorder):
                pass
            await changes.tell_until(session, tenant, change.ticks, _BEHIND_ALL_KEYS)
        made = await rows.insert(session, _TABLE, tenant, whole, int(change.now * 1_000))
        if made is None:
            raise LookupError("a new id was there already")
        position = (await changes.counter(session, tenant)).last
        key, host = str(whole["id"]), host_of(str(whole["notificationUrl"]))
        warned = _warned_at(whole["expirationDateTime"], change.ticks)
        await deliveries.add(session, tenant, key, position, maker=maker, host=host, event_due=warned)
        await change.record(session, _ENTITY, "Create", None, _without_queries(made.row))
        return made

    made = await change.carry_out(act)
    if made is None:
        raise LookupError("a create gives what it made")
    return made


async def _ask_all(desk: Desk, change: Change, whole: Mapping[str, Value]) -> None:
    await _check_number(change.database.reader, change.tenant.number)
    for url in dict.fromkeys(str(whole[name]) for name in _URLS if whole[name] is not None):
        async with desk.questions.turn(change.tenant.number):
            await _ask(desk, url)


async def _drop_removed(change: Change) -> None:
    """Drop what the clock removed while nobody had to be told, with a commit for each few: other changes go between."""
    tenant = change.tenant.number
    if await deliveries.number(change.database.reader, tenant):
        return

    async def act(session: Session) -> bool:
        return await removal.drop_more(session, _FOLLOWED, tenant, change.ticks, change.recorder)

    while await change.database.write(act):
        pass


async def _check_number(session: Session, tenant: int) -> int:
    """How many subscriptions the tenant has. Raises NotSubscribed if there may be no more."""
    number = await deliveries.number(session, tenant)
    if number >= MAX_PER_TENANT:
        raise NotSubscribed(f"The tenant has {MAX_PER_TENANT} subscriptions, which is as many as it may have.")
    return number


async def renew(change: Change, caller: Caller, key: str, values: Mapping[str, Value]) -> Stored:
    """Let a subscription end later, or sooner. Raises NotFound, NotSubscribed, or what the change's check raises."""
    tenant = change.tenant.number

    async def act(session: Session) -> Stored | None:
        found = await _own(session, tenant, caller, key)
        ends = values.get("expirationDateTime")
        if ends is not None:
            _check_end(ends, change.now)
        change.check(found.version)
        changed = await rows.update(session, _TABLE, tenant, _id(found), values) if values else found
        if values and changed is not None:
            host = host_of(str(found.row[_AT["notificationUrl"]]))
            await deliveries.renewed(session, tenant, _id(found), host, _warned_at(ends, change.ticks))
            before, after = _without_queries(found.row), _without_queries(changed.row)
            await change.record(session, _ENTITY, "Patch", before, after)
        return changed

    renewed = await change.carry_out(act)
    if renewed is None:
        raise NotFound
    return renewed


async def reauthorize(change: Change, caller: Caller, key: str) -> None:
    """Take a caller's word that it is entitled still. Raises NotFound.

    Nothing is another after it: whether an application may be told is looked at whenever it is told, and the end of a
    subscription is moved by its renewal alone, as at Graph.
    """
    tenant = change.tenant.number

    async def act(session: Session) -> None:
        found = await _own(session, tenant, caller, key)
        if change.recorder is not None:
            await change.recorder.act(session, tenant, _ENTITY, "Reauthorize", _without_queries(found.row))

    await change.carry_out(act)


async def remove(change: Change, caller: Caller, key: str) -> Lease:
    """End a subscription, and give the lease that there was on it. Raises NotFound, or what the check raises."""
    tenant = change.tenant.number

    async def act(session: Session) -> Stored:
        found = await _own(session, tenant, caller, key)
        lease = await deliveries.lease(session, tenant, _id(found))
        if lease is None:
            raise NotFound
        change.check(found.version)
        await rows.delete(session, _TABLE, tenant, _id(found))
        await change.record(session, _ENTITY, "Delete", _without_queries(found.row), None)
        # Kept with the request: whoever it is sent to again waits for that delivery, too.
        return Stored(lease, found.version)

    ended = await change.carry_out(act)
    holder, until = ended.row if ended is not None else (None, 0)
    return Lease(None if holder is None else str(holder), int(until or 0))


async def _own(session: Session, tenant: int, caller: Caller, key: str) -> Stored:
    """A subscription of the caller's application. Raises NotFound.

    It is looked up with the change, not before: a request that is sent again may have ended it.
    """
    try:
        found = await rows.get(session, _TABLE, tenant, parse_guid(key))
    except BadValue:
        raise NotFound from None
    if found is None or fold(str(found.row[_AT["applicationId"]])) != fold(caller.client_id):
        raise NotFound
    return found


def _maker(caller: Caller) -> Maker:
    registered = caller.issuer is None and caller.client_id != CLI_CLIENT
    return Maker(registered, registered and caller.kind is Kind.DELEGATED)


def _warned_at(ends: Value, now: int) -> int:
    """When a subscription is told that it has to be renewed: a while before its end, and not before half of its time.

    All in ticks.
    """
    if not isinstance(ends, Instant):
        raise LookupError("the end of a subscription is an instant")
    return ends.ticks - min(WARN, (ends.ticks - now) // 2)


def _id(found: Stored) -> str:
    return str(found.row[_AT["id"]])


def _whole(desk: Desk, caller: Caller, values: Mapping[str, Value], now: float) -> dict[str, Value]:
    """All values of a new subscription. Raises NotSubscribed."""
    _check_resource(str(values["resource"]))
    _check_end(values["expirationDateTime"], now)
    for name in _URLS:
        if values.get(name) is not None:
            desk.allowed.receiver(str(values[name]))
    if values.get("includeResourceData"):
        raise NotSubscribed("includeResourceData is not served: notifications name what changed, and hold no data.")
    tls = values.get("latestSupportedTlsVersion") or _TLS[0]
    if tls not in _TLS:
        raise NotSubscribed(f"latestSupportedTlsVersion is {' or '.join(_TLS)}.")
    nothing: dict[str, Value] = {each.name: None for each in _ENTITY.properties}
    return {
        **nothing,
        **values,
        "id": desk.world.new_id(),
        "applicationId": caller.client_id,
        "creatorId": caller.subject,
        "changeType": _change_type(str(values["changeType"])),
        "includeResourceData": False,
        "latestSupportedTlsVersion": tls,
    }


def _change_type(text: str) -> str:
    named = [part.strip().lower() for part in text.split(",")]
    known = list(notices.CHANGE_TYPES.values())
    if len(set(named)) < len(named) or not set(named) <= set(known):
        raise NotSubscribed(f"changeType is one or more of {', '.join(known)}, parted by commas.")
    return ",".join(each for each in known if each in named)


def _check_resource(text: str) -> None:
    if text.strip("/").lower() != notices.RESOURCE.lower():
        raise NotSubscribed(f"The resource '{text[:128]}' has no notifications; '{notices.RESOURCE}' has.")


def _check_end(ends: Value, now: float) -> None:
    if not isinstance(ends, Instant):
        raise LookupError("the end of a subscription is an instant")
    left = ends.ticks - Instant.from_unix(now).ticks
    if left <= 0:
        raise NotSubscribed("Subscription expiration must be in the future.")
    if left > (MAX_MINUTES + 1) * 60 * TICKS_PER_SECOND:
        raise NotSubscribed(f"Subscription expiration can only be {MAX_MINUTES} minutes in the future.")


async def _ask(desk: Desk, url: str) -> None:
    """Ask a receiver for its consent: it answers with the token of the question. Raises NotSubscribed."""
    token = f"Validation: {desk.world.random(24).hex()}"
    try:
        answer = await desk.carry(notices.question(url, token), b"", notices.TEXT)
    except TooSlow:
        raise NotSubscribed("Subscription validation request timed out.") from None
    except Unreachable as error:
        raise NotSubscribed("Subscription validation request failed.", f"{urlsplit(url).hostname}: {error}") from None
    if fault := _fault(answer, token):
        raise NotSubscribed(f"Subscription validation request failed. {fault}")


def _fault(answer: Answer, token: str) -> str | None:
    if answer.status != 200:
        return (
            f"HTTP status code is {answer.status}. "
            "Notification endpoint must respond with 200 OK to validation request."
        )
    if answer.content_type.partition(";")[0].strip().lower() != "text/plain":
        return "The Content-Type of the response must be text/plain."
    if not hmac.compare_digest(answer.body.strip(), token.encode()):
        return "Response must exactly match validationToken query parameter."
    return None


def _without_queries(row: Row) -> Row:
    """A subscription as it may stand in records: receivers keep secrets in the queries of their URLs."""
    cells = list(row)
    for name in _URLS:
        if cells[_AT[name]] is not None:
            split = urlsplit(str(cells[_AT[name]]))
            cells[_AT[name]] = urlunsplit(split._replace(query="…" if split.query else ""))
    return tuple(cells)
