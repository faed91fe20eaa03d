"""What receivers are sent, in Graph's forms: change notifications, lifecycle notifications, and the first question.

Pure. Notifications name what changed and tell nothing of it: who is told, reads it with a token.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final
from urllib.parse import quote

import msgspec

from adjoin import model
from adjoin.store.changes import Change, Kind
from adjoin.store.deliveries import Delivery

RESOURCE: Final = "deviceManagement/domainJoinConnectors"
"""The one resource whose changes are told of."""

CHANGE_TYPES: Final[Mapping[Kind, str]] = {Kind.CREATED: "created", Kind.UPDATED: "updated", Kind.DELETED: "deleted"}

MISSED: Final = "missed"
REMOVED: Final = "subscriptionRemoved"
REAUTHORIZE: Final = "reauthorizationRequired"

JSON: Final = "application/json; charset=utf-8"
TEXT: Final = "text/plain; charset=utf-8"


def wanted(delivery: Delivery, changes: Iterable[Change]) -> list[Change]:
    """Those of some changes that a subscription is for."""
    types = delivery.change_type.split(",")
    return [each for each in changes if CHANGE_TYPES[each.kind] in types]


def of_changes(delivery: Delivery, changes: Iterable[Change]) -> bytes:
    """A notification of changes."""
    return msgspec.json.encode({"value": [_of_change(delivery, each) for each in changes]})


def _of_change(delivery: Delivery, change: Change) -> dict[str, Any]:
    url = f"{RESOURCE}/{change.entity}"
    data = {"@odata.type": f"#{model.CONNECTOR.qualified}", "@odata.id": url, "id": change.entity}
    return {
        "subscriptionId": delivery.subscription,
        "subscriptionExpirationDateTime": delivery.ends,
        "changeType": CHANGE_TYPES[change.kind],
        "resource": url,
        "resourceData": data,
        "clientState": delivery.client_state,
        "tenantId": delivery.tenant_id,
    }


def of_lifecycle(delivery: Delivery, event: str) -> bytes:
    """A lifecycle notification: something happened to the subscription itself."""
    told = {
        "subscriptionId": delivery.subscription,
        "subscriptionExpirationDateTime": delivery.ends,
        "tenantId": delivery.tenant_id,
        "clientState": delivery.client_state,
        "lifecycleEvent": event,
    }
    return msgspec.json.encode({"value": [told]})


def question(url: str, token: str) -> str:
    """The URL by which a receiver is asked whether it wants notifications; it answers with the token."""
    return f"{url}{'&' if '?' in url else '?'}validationToken={quote(token, safe='')}"
