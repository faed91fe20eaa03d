"""What was done, by whom, and what was there before and after: events in the transaction of the change they tell of.

Events are added, never changed. Each carries a key in the order of time, by which old ones are found when their time to
be kept is over.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from adjoin import model
from adjoin.identity.caller import Caller, Kind
from adjoin.odata.edm import EntityType
from adjoin.odata.values import BadValue, Instant, parse_guid, time_ordered_guid
from adjoin.service.turns import Turns
from adjoin.store import changes, rows
from adjoin.store.changes import Kind as ChangeKind
from adjoin.store.columns import Row, Value
from adjoin.store.database import Session
from adjoin.store.tables import table_of

SUCCESS: Final = "Success"
FAILURE: Final = "Failure"
_TABLE: Final = table_of(model.AUDIT_EVENT)
_COMPONENT: Final = "Domain Join Connectors"
_ADMINISTRATION: Final = "Administration"
_SIGN_IN: Final = "Sign-in"
_TRACKED: Final = frozenset(each.binding.qualified for each in model.BETA.functions)
_KINDS: Final[Mapping[str, ChangeKind]] = {
    "Create": ChangeKind.CREATED,
    "Patch": ChangeKind.UPDATED,
    "Delete": ChangeKind.DELETED,
}
_DAY_MS: Final = 86_400_000
# How many events are dropped at a turn, so that no change waits for a large clean-up.
_DROPPED_AT_ONCE: Final = 4_096

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


@dataclass(frozen=True, slots=True)
class Recorder:
    """Records what one request does. `correlation` is the caller's id for it, `keep_days` how long events are kept."""

    actor: Mapping[str, object]
    correlation: str
    new_id: Callable[[], str]
    now: float
    keep_days: int
    turns: Turns

    def of_service(self) -> Recorder:
        """The record of what the service does by itself in the course of the request."""
        return replace(self, actor=_SERVICE)

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
        modified = _modified(entity, before, after)
        modified += [{"displayName": "reason", "oldValue": None, "newValue": each} for each in reasons]
        resource = _resource(entity, after or before or (), modified)
        activity = f"{operation} {resource['auditResourceType']}"
        await self._add(session, tenant, activity, operation, SUCCESS, _COMPONENT, [resource])
        key = resource["resourceId"]
        if entity.qualified in _TRACKED and isinstance(key, str):
            now = Instant.from_unix(self.now).ticks
            await changes.append(session, tenant, key, _KINDS[operation], now)
            if self.turns.take(("changes", tenant), self.now):
                await changes.drop_old(session, tenant, now)

    async def act(self, session: Session, tenant: int, entity: EntityType, words: str, row: Row) -> None:
        """Record what was done with an entity and changed nothing that it shows; `words` say what."""
        resource = _resource(entity, row, [])
        activity = f"{words} {resource['auditResourceType']}"
        await self._add(session, tenant, activity, "Action", SUCCESS, _COMPONENT, [resource])

    async def administration(
        self,
        session: Session,
        tenant: int,
        operation: str,
        of: tuple[str, str, str],
        changed: Mapping[str, tuple[object, object]],
    ) -> None:
        """Record what was done to an account, an application or a tenant: `of` is its kind, its name and its id."""
        kind, name, key = of
        modified = [
            {"displayName": each, "oldValue": _text(old), "newValue": _text(new)}
            for each, (old, new) in changed.items()
            if old != new
        ]
        resource = {
            "displayName": name,
            "modifiedProperties": modified,
            "auditResourceType": kind,
            "resourceId": key,
        }
        await self._add(session, tenant, f"{operation} {kind}", operation, SUCCESS, _ADMINISTRATION, [resource])

    async def refused_sign_in(self, session: Session, tenant: int, why: str) -> None:
        """Record a sign-in that was refused; `why` is Entra's words, which hold no secret."""
        resource: dict[str, object] = {
            "displayName": why,
            "modifiedProperties": [],
            "auditResourceType": _SIGN_IN,
            "resourceId": None,
        }
        await self._add(session, tenant, _SIGN_IN, "Action", FAILURE, "Token service", [resource])

    async def _add(
        self,
        session: Session,
        tenant: int,
        activity: str,
        operation: str,
        result: str,
        component: str,
        resources: Sequence[Mapping[str, Any]],
    ) -> None:
        key = self.new_id()
        values: dict[str, Value] = {
            "id": key,
            "displayName": activity,
            "componentName": component,
            "actor": self.actor,
            "activity": activity,
            "activityDateTime": Instant.from_unix(self.now),
            "activityType": activity,
            "activityOperationType": operation,
            "activityResult": result,
            "correlationId": _guid_or(self.correlation, self.new_id),
            "resources": resources,
            "category": "DeviceConfiguration",
        }
        await rows.insert(session, _TABLE, tenant, values, 1)
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


def _resource(entity: EntityType, shown: Row | tuple[()], modified: list[dict[str, object]]) -> dict[str, object]:
    return {
        "displayName": _text(_named(entity, shown, "displayName")),
        "modifiedProperties": modified,
        "auditResourceType": entity.name[:1].upper() + entity.name[1:],
        "resourceId": _text(shown[entity.properties.index(entity.key)]) if shown else None,
    }


def _named(entity: EntityType, row: Row | tuple[()], name: str) -> object:
    declared = entity.find_property(name)
    return row[entity.properties.index(declared)] if declared is not None and row else None


def _modified(entity: EntityType, before: Row | None, after: Row | None) -> list[dict[str, object]]:
    """What is another than before; all of it where there is no before or no after."""
    modified: list[dict[str, object]] = []
    for at, each in enumerate(entity.properties):
        old, new = before[at] if before else None, after[at] if after else None
        if old != new:
            modified.append({"displayName": each.name, "oldValue": _text(old), "newValue": _text(new)})
    return modified


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _guid_or(text: str, new_id: Callable[[], str]) -> str:
    """The caller's id where it is a GUID, as the event's type wants it; else a new one."""
    try:
        return parse_guid(text)
    except BadValue:
        return new_id()
