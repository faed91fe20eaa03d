"""What goes through the service: how many requests are under way, and what became of those that were answered.

Plain numbers in plain dictionaries: a request pays about a microsecond for them. `metrics.py` shows them.
"""

from __future__ import annotations

import ipaddress
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Final, Literal, TypeAlias
from urllib.parse import urlsplit

from adjoin.config import is_loopback
from adjoin.store.commits import Histogram
from adjoin.web.patience import Watch, next_turn

_SECONDS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)


Readers: TypeAlias = Literal["local", "public", "off"]

_OWN_SITE: Final = ("none", "same-origin")
_PASSED_ON: Final = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "via", "origin")


class Meter:
    """The counts of an application, on its event loop. At most `limit` requests are worked on at a time."""

    def __init__(self, limit: int = 1_024) -> None:
        self.limit = limit
        self.under_way = 0
        self.patience = Watch()
        self.waiting = 0
        """Those under way that wait for their body, for work as connectors do, or for receivers of notifications.

        No work is done on them meanwhile.
        """
        self.answers: dict[tuple[str, int], int] = defaultdict(int)
        self.seconds: dict[str, Histogram] = defaultdict(partial(Histogram, _SECONDS))

    @property
    def crowded(self) -> bool:
        """Whether there is work enough, so that one more is to be refused."""
        return self.under_way - self.waiting > self.limit

    async def rest(self) -> None:
        """Wait for the next turn of the event loop, as one on which no work is done meanwhile."""
        # Without `idle`, which costs as much again: most requests come by here.
        self.waiting += 1
        try:
            await next_turn()
        finally:
            self.waiting -= 1

    @contextmanager
    def idle(self) -> Iterator[None]:
        """While this is held, a request waits."""
        self.waiting += 1
        try:
            yield
        finally:
            self.waiting -= 1

    def count(self, operation: str, status: int, seconds: float) -> None:
        """Count an answer. `operation` is one of a fixed set of names, never anything that a client can choose."""
        self.answers[operation, status] += 1
        self.seconds[operation].add(seconds)


def may_read(readers: Readers, headers: Mapping[str, str], peer: str | None) -> bool:
    """Whether a request may see the counts; `peer` is where it comes from, None for a Unix socket.

    `local` is this machine by itself: not what a proxy on it passes on, nor what a page in a browser on it asks for,
    whose own host's name may have been made to lead here.
    """
    if readers != "local":
        return readers == "public"
    if any(name in headers for name in _PASSED_ON) or headers.get("sec-fetch-site", "none") not in _OWN_SITE:
        return False
    if not _names_no_other(headers.get("host", "")):
        return False
    try:
        return peer is None or ipaddress.ip_address(peer).is_loopback
    except ValueError:
        return False


def _names_no_other(host: str) -> bool:
    """Whether a Host header is this machine's own name, or an address."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
        return is_loopback(name) or bool(ipaddress.ip_address(name))
    except ValueError:
        return False
