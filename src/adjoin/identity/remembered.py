"""Callers by the digests of their tokens, by the hundred thousand: each in some hundred bytes besides its digest.

Of a crowd of connectors nearly all that their tokens say is the same. So that is kept once, and of each what is its
own. Pure; digests and times are handed in.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import Any, Final, NamedTuple, TypeAlias

import msgspec

from adjoin.identity.caller import Caller, Kind

_PARTS: Final = 16

_Small: TypeAlias = Any
"""A text, as its 16 bytes where it is a GUID."""


class Remembered:
    """A bounded number of callers, with the clock skew that each token's party is allowed.

    The first to come go first, and a part of all at a time: a part is let go of at once, and small enough for that to
    hold nobody up. Change sets prove callers on the writing thread while the event loop proves others, and no caller
    may be given what is another's.
    """

    def __init__(self, size: int) -> None:
        self._each = max(1, size // _PARTS)
        self._most = max(1, size // self._each)
        self._parts = deque([_Part()])
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return sum(len(each.packed) for each in self._parts)

    def find(self, digest: bytes) -> tuple[Caller, int] | None:
        """What was kept under this digest."""
        with self._lock:
            for part in self._parts:
                packed = part.packed.get(digest)
                if packed is not None:
                    return part.unpacked(packed)
        return None

    def drop(self, digest: bytes) -> None:
        """Forget one."""
        with self._lock:
            for part in self._parts:
                part.packed.pop(digest, None)

    def keep(self, digest: bytes, caller: Caller, skew: int, now: float) -> None:
        """Keep one, and forget what is over at this Unix time or too much."""
        with self._lock:
            newest = self._parts[0]
            if len(newest.packed) >= self._each:
                while len(self._parts) > 1 and now >= self._parts[-1].until:
                    self._parts.pop()
                while len(self._parts) >= self._most:
                    self._parts.pop()
                newest = _Part()
                self._parts.appendleft(newest)
            newest.keep(digest, caller, skew)


class _Shared(NamedTuple):
    """What many callers have in common."""

    tenant_id: str
    kind: Kind
    permissions: frozenset[str]
    personal: bool
    issuer: str | None
    can_take_challenge: bool
    skew: int


class _Own(msgspec.Struct, array_like=True):
    """What a caller has for itself; `client` is None where it is the subject, `shared` the number of the rest.

    Times are seconds since `not_before`, which are small numbers.
    """

    shared: int
    subject: _Small
    client: _Small
    not_before: int
    lasts: int
    issued: int | None
    name: str | None


_PACK: Final = msgspec.msgpack.Encoder()
_UNPACK: Final = msgspec.msgpack.Decoder(_Own)


class _Part:
    """Those that came one after the other; `until` is when the last of them is over."""

    __slots__ = ("numbers", "packed", "shared", "until")

    def __init__(self) -> None:
        self.packed: dict[bytes, bytes] = {}
        self.shared: list[_Shared] = []
        self.numbers: dict[_Shared, int] = {}
        self.until = 0

    def keep(self, digest: bytes, caller: Caller, skew: int) -> None:
        shared = _Shared(
            caller.tenant_id,
            caller.kind,
            caller.permissions,
            caller.personal,
            caller.issuer,
            caller.can_take_challenge,
            skew,
        )
        number = self.numbers.setdefault(shared, len(self.shared))
        if number == len(self.shared):
            self.shared.append(shared)
        own = _Own(
            number,
            _small(caller.subject),
            None if caller.client_id == caller.subject else _small(caller.client_id),
            caller.not_before,
            caller.expires - caller.not_before,
            None if caller.issued is None else caller.issued - caller.not_before,
            caller.name,
        )
        self.packed[digest] = _PACK.encode(own)
        self.until = max(self.until, caller.expires + skew)

    def unpacked(self, packed: bytes) -> tuple[Caller, int]:
        own = _UNPACK.decode(packed)
        shared = self.shared[own.shared]
        subject = _large(own.subject)
        caller = Caller(
            tenant_id=shared.tenant_id,
            subject=subject,
            client_id=subject if own.client is None else _large(own.client),
            kind=shared.kind,
            permissions=shared.permissions,
            personal=shared.personal,
            not_before=own.not_before,
            expires=own.not_before + own.lasts,
            issued=None if own.issued is None else own.not_before + own.issued,
            issuer=shared.issuer,
            can_take_challenge=shared.can_take_challenge,
            name=own.name,
        )
        return caller, shared.skew


def _small(text: str) -> _Small:
    try:
        small = bytes.fromhex(text.replace("-", ""))
    except ValueError:
        return text
    return small if _large(small) == text else text


def _large(small: _Small) -> str:
    if isinstance(small, str):
        return small
    text = str(small.hex())
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
