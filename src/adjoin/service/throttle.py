"""Limits on how often a tenant and an application may call, as documented for this resource (graph-contract 1.6).

Counts stand in windows of fixed length that begin at the same time for all: a refused caller is told when the next one
begins. Refused calls count too. Kept in memory, for the callers of one window only.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Final

from adjoin.odata.errors import Refusal
from adjoin.service.errors import Throttled

# Clients give up on a wait of 180 seconds or more, and take 0 for none at all (graph-contract 1.7).
_LONGEST_WAIT: Final = 179
_FORM: Final = re.compile(r"(\d{1,9}),(\d{1,9}),(\d{1,9}),(\d{1,9})(?:/(\d{1,3}))?")


class BadLimits(Refusal):
    """Limits that cannot be read."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Calls allowed in a window of so many seconds: changes, and calls of any kind, per tenant and per application."""

    writes_per_tenant: int = 200
    writes_per_application: int = 100
    calls_per_tenant: int = 2_000
    calls_per_application: int = 1_000
    seconds: int = 20

    @classmethod
    def parse(cls, text: str) -> Limits | None:
        """`off`, `graph`, or own figures: `200,100,2000,1000/20`. Raises BadLimits."""
        if text in ("off", "graph"):
            return cls() if text == "graph" else None
        match = _FORM.fullmatch(text)
        if match is None or int(match.group(5) or 20) == 0:
            raise BadLimits(
                "--throttle is off, graph, or four numbers and seconds, such as 200,100,2000,1000/20: changes per "
                "tenant, changes per application, calls per tenant, calls per application."
            )
        return cls(*(int(figure) for figure in match.groups("20")))


class Throttle:
    """The counts of the window at hand."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._window = -1
        self._counts: dict[tuple[str, str, bool], int] = {}

    def count(self, tenant_id: str, client_id: str, write: bool, now: float) -> None:
        """Count a call at this Unix time. Raises Throttled where it is one too many."""
        limits = self._limits
        window = int(now // limits.seconds)
        if window != self._window:
            self._window, self._counts = window, {}
        over = self._exceeds((tenant_id, "", False), limits.calls_per_tenant)
        over |= self._exceeds((tenant_id, client_id, False), limits.calls_per_application)
        if write:
            over |= self._exceeds((tenant_id, "", True), limits.writes_per_tenant)
            over |= self._exceeds((tenant_id, client_id, True), limits.writes_per_application)
        if over:
            wait = math.ceil((window + 1) * limits.seconds - now)
            raise Throttled(min(max(wait, 1), _LONGEST_WAIT))

    def _exceeds(self, key: tuple[str, str, bool], limit: int) -> bool:
        self._counts[key] = number = self._counts.get(key, 0) + 1
        return number > limit
