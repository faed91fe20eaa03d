"""What the headers of a request say, read once for all requests of a program that brings the same ones.

Clients send the same headers with each request, but for ids of the request's own. What they say is kept under a digest
of them all, for callers alone whose token was verified, and without that token: whoever reads this memory finds none.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from itertools import chain
from typing import Any, Final, NamedTuple

import msgspec

from adjoin.identity.verified import Proof
from adjoin.odata.headers import Wishes
from adjoin.store.tenants import Tenant

Raw = Sequence[tuple[bytes, bytes]]
"""Headers as ASGI has them."""

_LIMIT: Final = 1_000
_LONGEST: Final = 8_192
_OWN: Final = b"client-request-id"
# Others that are new with each request; nothing here reads them.
_PASSED_OVER: Final = frozenset({b"traceparent", b"tracestate", b"x-request-id"})
_LEFT_OUT: Final = _PASSED_OVER | {_OWN}


class Passage(msgspec.Struct, frozen=True):
    """That a request may go some way, as its token and headers alone decide: what answers it, the root there, and what
    the headers ask of the answer.
    """

    operation: Callable[[Any], Awaitable[Any]]
    root: str
    wishes: Wishes


class Known(msgspec.Struct):
    """A caller whose token was verified, and the tenant it was let into.

    It holds for one generation of the database (`Database.generation`), for what the token was verified under, and from
    `since` until before `until` (Unix seconds): else token, standing, tenant and licence are asked for anew.
    """

    proof: Proof
    tenant: Tenant | None = None
    generation: int | None = None
    since: float = 0.0
    until: float = 0.0
    passages: dict[object, Passage] = {}
    """By the ways that requests with these headers went before."""


class Head(NamedTuple):
    """What a block of headers says."""

    headers: Mapping[str, str]
    """By name in small letters, without what only its own request has, and without the token."""
    origin: str
    address: str | None
    known: Known


class Heads:
    """The heads of callers that were verified: a bounded number, all forgotten when it is reached."""

    def __init__(self) -> None:
        self._kept: dict[object, Head] = {}

    def find(self, digest: object) -> Head | None:
        """What was kept under this digest."""
        return self._kept.get(digest)

    def keep(self, digest: object, headers: Mapping[str, str], origin: str, address: str | None, known: Known) -> None:
        """Keep what the headers with this digest say, unless they are longer than programs' usually are."""
        if sum(map(len, headers.values())) > _LONGEST:
            return
        if len(self._kept) >= _LIMIT:
            self._kept.clear()
        own = {"authorization", _OWN.decode(), *(name.decode() for name in _PASSED_OVER)}
        shared = {name: value for name, value in headers.items() if name not in own}
        self._kept[digest] = Head(shared, origin, address, known)


def digest_of(raw: Raw, scheme: str, client: Sequence[Any] | None) -> tuple[object, bytes | None]:
    """What tells headers, and where they come from, apart; and the request's own id, None without just one."""
    parts, own = raw, None
    if not _LEFT_OUT.isdisjoint(dict(raw)):
        parts = [each for each in raw if each[0] not in _LEFT_OUT]
        own = own_id(raw)
    # No header holds a line feed (RFC 9110, 5.5), so the parts cannot run into one another.
    digest = hashlib.sha256(b"\n".join(chain.from_iterable(parts))).digest()
    return (digest, scheme, client[0] if client else None), own


def own_id(raw: Raw) -> bytes | None:
    """The request's own id, None without just one."""
    if _OWN not in dict(raw):
        return None
    own = [value for name, value in raw if name == _OWN]
    return own[0] if len(own) == 1 else None
