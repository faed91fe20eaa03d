"""What was done, by whom, and what was there before and after: events in the transaction of the change they tell of.

Events are added, never changed. Each carries a key in the order of time, by which old ones are found when their time to
be kept is over.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Final

import msgspec

from adjoin import model
from adjoin.identity.caller import Caller, Kind
from adjoin.odata.edm import EntityType
from adjoin.odata.values import BadValue, Instant, parse_guid, ticks_of, time_ordered_guid
from adjoin.service.turns import Turns
from adjoin.store import changes, rows
from adjoin.store.changes import Kind as ChangeKind
from adjoin.store.columns import Row, Value
from adjoin.store.database import Alike, Session
from adjoin.store.tables import table_of

SUCCESS: Final = "Success"
FAILURE: Final = "Failure"
_TABLE: Final = table_of(model.AUDIT_EVENT)
_COMPONENT: Final = "Domain Join Connectors"
_ADMINISTRATION: Final = "Administration"
_SIGN_IN: Final = "Sign-in"
_TRACKED: Final = frozenset(each.binding for each in model.BETA.functions)
_KINDS: Final[Mapping[str, ChangeKind]] = {
    "Create": ChangeKind.CREATED,
    "Patch": ChangeKind.UPDATED,
    "Delete": ChangeKind.DELETED,
}
_DAY_MS: Final = 86_400_000
# How many events are dropped at a turn, so that no change waits for a large clean-up.
_DROPPED_AT_ONCE: Final = 4_096

# In the order of the type's properties.
_OWN: Final = ("id", "actor", "activityDateTime", "correlationId", "resources")

_SERVICE: Final[Mapping[str, object]] = {
    "auditActorType": "Application",
    "userPermissions": [],
    "applicationId": None,
    "applicationDisplayName": "adjoin",
    "userPrincipalName": None,
    "servicePrincipalName": None,
    "ipAddress": None,
    "userId": None,
}


class _Modified(msgspec.Struct, rename="camel"):
    """A property of what was changed, in words."""

    display_name: str
    old_value: str | None
    new_value: str | None


class _Resource(msgspec.Struct, rename="camel"):
    """What was changed."""

    display_name: str | None
    modified_properties: list[_Modified]
    audit_resource_type: str
    resource_id: str | None


class Recorder(msgspec.Struct, frozen=True):
    """Records what one request does. `correlation` is the caller's id for it, `keep_days` how long events are kept."""

    actor: Mapping[str, object]
    correlation: str
    new_id: Callable[[], str]
    now: float
    keep_days: int
    turns: Turns
    logs: bool = True

    def of_service(self, *, logs: bool = True) -> Recorder:
        """The record of what the service does by itself in the course of the request; whether it `logs` its changes."""
        return msgspec.structs.replace(self, actor=_SERVICE, logs=logs)

    async def change(
        self,
        session: Session,
        tenant: int,
        entity: EntityType,
        operation: str,
        before: Row | None,
        after: Row | None,
        reasons: Sequence[str] = (),
    ) -> None:
        """Record a change: Create, Patch or Delete, with the row before and after as far as there is one.

        `reasons` are in words: why a state is what it is. What functions of the model tell of goes into the log of
        changes, too.
        """
        kind = _kind(entity)
        modified = _modified(kind, before, after)
        if reasons:
            modified += [_Modified("reason", None, each) for each in reasons]
        resource = kind.resource(after or before or (), modified)
        activity = f"{operation} {kind.name}"
        await self._add(session, tenant, (activity, operation, SUCCESS, _COMPONENT), resource)
        if self.logs and kind.tracked and resource.resource_id is not None:
            now = ticks_of(self.now)
            changes.append(session, tenant, resource.resource_id, _KINDS[operation], now)
            if self.turns.take(("changes", tenant), self.now):
                await changes.drop_old(session, tenant, now)

    async def act(self, session: Session, tenant: int, entity: EntityType, words: str, row: Row) -> None:
        """Record what was done with an entity and changed nothing that it shows; `words` say what."""
        kind = _kind(entity)
        activity = f"{words} {kind.name}"
        await self._add(session, tenant, (activity, "Action", SUCCESS, _COMPONENT), kind.resource(row, []))

    async def administration(
        self,
        session: Session,
        tenant: int,
        operation: str,
        of: tuple[str, str, str | None],
        changed: Mapping[str, tuple[object, object]],
    ) -> None:
        """Record what was done to an account, an application or a tenant: `of` is its kind, its name and its id."""
        kind, name, key = of
        modified = [_Modified(each, _text(old), _text(new)) for each, (old, new) in changed.items() if old != new]
        activity = f"{operation} {kind}"
        resource = _Resource(name, modified, kind, key)
        await self._add(session, tenant, (activity, operation, SUCCESS, _ADMINISTRATION), resource)

    async def refused_sign_in(self, session: Session, tenant: int, why: str) -> None:
        """Record a sign-in that was refused; `why` is Entra's words, which hold no secret."""
        resource = _Resource(why, [], _SIGN_IN, None)
        await self._add(session, tenant, (_SIGN_IN, "Action", FAILURE, "Token service"), resource)

    async def _add(self, session: Session, tenant: int, words: tuple[str, str, str, str], resource: _Resource) -> None:
        """`words` are those of `_event`."""
        at = Instant.from_unix(self.now)
        correlation = _guid_or(self.correlation, self.new_id)
        own = (tenant, self.new_id(), _json(self.actor), str(at), at.ticks, correlation, _json([resource]))
        session.insert(_event(*words), own)
        if self.turns.take((_TABLE.name, tenant), self.now):
            oldest = time_ordered_guid(max(int(self.now * 1_000) - self.keep_days * _DAY_MS, 0), bytes(10))
            await rows.drop_before(session, _TABLE, tenant, oldest, _DROPPED_AT_ONCE)


def actor_of(caller: Caller, address: str | None) -> dict[str, object]:
    """The caller as an event names it."""
    is_program = caller.kind is Kind.APPLICATION
    return {
        "auditActorType": "Application" if is_program else "ItPro",
        "userPermissions": sorted(caller.permissions),
        "applicationId": caller.client_id,
        "applicationDisplayName": caller.name if is_program else None,
        "userPrincipalName": None if is_program else caller.name,
        "servicePrincipalName": None,
        "ipAddress": address,
        "userId": None if is_program else caller.subject,
    }


@lru_cache(maxsize=256)
def _event(activity: str, operation: str, result: str, component: str) -> Alike:
    """Events of one kind, which have of their own what `_OWN` says."""
    values: dict[str, Value] = {
        "displayName": activity,
        "componentName": component,
        "activity": activity,
        "activityType": activity,
        "activityOperationType": operation,
        "activityResult": result,
        "category": "DeviceConfiguration",
    }
    return rows.alike(_TABLE, 1, values, _OWN)


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


@dataclass(frozen=True)
class _Kind:
    """How events name entities of one type, and where its rows have what they tell of."""

    name: str
    tracked: bool
    names: tuple[str, ...]
    key_at: int
    name_at: int | None

    def resource(self, row: Row | tuple[()], modified: list[_Modified]) -> _Resource:
        name = _text(row[self.name_at]) if self.name_at is not None and row else None
        return _Resource(name, modified, self.name, _text(row[self.key_at]) if row else None)


@cache
def _kind(entity: EntityType) -> _Kind:
    names = tuple(each.name for each in entity.properties)
    return _Kind(
        entity.name[:1].upper() + entity.name[1:],
        entity in _TRACKED,
        names,
        names.index(entity.key.name),
        names.index("displayName") if "displayName" in names else None,
    )


def _modified(kind: _Kind, before: Row | None, after: Row | None) -> list[_Modified]:
    """What is another than before; all of it where there is no before or no after."""
    nothing = (None,) * len(kind.names)
    each = zip(kind.names, before or nothing, after or nothing, strict=True)
    return [
        _Modified(name, None if old is None else str(old), None if new is None else str(new))
        for name, old, new in each
        if old != new
    ]


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _guid_or(text: str, new_id: Callable[[], str]) -> str:
    """The caller's id where it is a GUID, as the event's type wants it; else a new one."""
    try:
        return parse_guid(text)
    except BadValue:
        return new_id()
