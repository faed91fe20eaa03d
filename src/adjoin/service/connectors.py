"""What enrolled connectors are to the service: their one permission, their versions, and whether they are well.

Pure. A connector may use the connector API as itself and nothing else; its tokens are for that audience alone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from enum import Enum
from functools import lru_cache
from typing import Final

import msgspec

from adjoin.odata.edm import EnumType
from adjoin.odata.errors import InvalidValue
from adjoin.store.columns import Wire
from adjoin.store.connectors import Connector
from adjoin.store.tables import CONNECTORS

AUDIENCE: Final = "api://adjoin/connector"
"""What a connector's tokens are for; they ask for it as a scope, with `/.default` behind."""
PERMISSION: Final = "Connector.Act"

KEY_DAYS: Final = 90
RENEW_AFTER_DAYS: Final = 30
"""When a key is renewed. Well before a connector that is silent is removed, so that none is without a key for long."""

_VERSION: Final = re.compile(r"\d{1,9}(?:\.\d{1,9}){3}", re.ASCII)
_STATE: Final = CONNECTORS.type.find_property("state")
DOUBLED: Final = (
    "Its key is used from two places. Delete this entry, and enrol the connector anew; if you know the second place "
    "for a harmless one, set the state."
)


@lru_cache(maxsize=256)
def read_version(text: str) -> tuple[int, ...]:
    """A version as four numbers. Raises InvalidValue."""
    if not _VERSION.fullmatch(text):
        raise InvalidValue("The version is not four whole numbers with dots between, such as 1.20.0.3.")
    return tuple(int(part) for part in text.split("."))


def too_old(version: str, least: str | None) -> bool:
    """Whether a version is below the least one, compared number by number."""
    return least is not None and read_version(version) < read_version(least)


class Turn(Enum):
    """What a check-in is, by its instance and number."""

    NEW = "new"
    REPEATED = "repeated"
    DOUBLED = "doubled"


def turn(before: Connector, instance: str, sequence: int) -> Turn:
    """What a check-in is after the last one.

    A program counts its check-ins from 1 under an instance of its own. So one that goes on counting after another
    began, or that counts backwards, is a second program with the same key. The number just passed tells of none: a
    program that gave up waiting for one server asks the next with the same number, and goes on counting while its first
    request is still on its way. One that runs beside another, copied with its instance, cannot keep at that: by each
    pause that chance makes longer it falls behind, and in the end by two.
    """
    if before.instance is None or (instance != before.instance and sequence == 1):
        return Turn.NEW
    if instance != before.instance or sequence < before.sequence - 1:
        return Turn.DOUBLED
    return Turn.REPEATED if sequence <= before.sequence else Turn.NEW


class Finding(msgspec.Struct, frozen=True, rename="camel"):
    """What one of a connector's own checks found."""

    name: str
    ok: bool
    detail: str = ""


class Report(msgspec.Struct, frozen=True, rename="camel"):
    """What is kept of the last check-in: why the connector is in error, its own checks, and its load."""

    reasons: tuple[str, ...] = ()
    health: tuple[Finding, ...] = ()
    load: Mapping[str, float] = {}


_REPORT: Final = msgspec.json.Decoder(Report)


def report_of(connector: Connector) -> Report:
    """What a connector last reported; nothing where an administrator's word came after."""
    return _REPORT.decode(connector.report) if connector.report else Report()


def reasons(version: str, least: str | None, health: Sequence[Finding], doubled: bool) -> tuple[str, ...]:
    """Why a connector cannot do its work; none: it can."""
    found = [DOUBLED] if doubled else []
    if too_old(version, least):
        found.append(f"Version {version} is older than {least}, the least that is accepted.")
    found += [f"{each.name}: {each.detail or 'failed'}" for each in health if not each.ok]
    return tuple(found)


def state_number(name: str) -> int:
    """A state as it is kept."""
    if _STATE is None or not isinstance(_STATE.type, EnumType):
        raise LookupError("connectors have no state")
    return _STATE.type.members[name]


def text(value: Wire) -> str:
    return "" if value is None else str(value)
