"""A connector's own checks: whether it could do its work. Pure; what is found out elsewhere is handed in."""

from __future__ import annotations

from typing import Final, TypeAlias

Finding: TypeAlias = dict[str, object]

MOST_SKEW: Final = 300.0
"""Seconds that a clock may be off: more and Kerberos refuses the machine (RFC 4120, 10: five minutes)."""


def clock(skew: float | None) -> Finding:
    """The machine's clock against the server's; `skew` is how far it is ahead, in seconds."""
    if skew is None or abs(skew) <= MOST_SKEW:
        return {"name": "clock", "ok": True}
    side = "ahead of" if skew > 0 else "behind"
    detail = f"This machine's clock is {_span(abs(skew))} {side} the server's; at most 5 minutes are tolerated."
    return {"name": "clock", "ok": False, "detail": detail}


def servers(failed: int, count: int) -> Finding:
    """How many servers failed before one answered. One that answers is enough to do the work."""
    detail = "" if not failed else f"{failed} of {count} servers did not answer."
    return {"name": "servers", "ok": True, "detail": detail}


def _span(seconds: float) -> str:
    for size, name in ((86_400, "days"), (3_600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {name}"
    return f"{seconds:.0f} seconds"
