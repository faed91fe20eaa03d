"""Changes that a client may send again after a lost answer: carried out once, answered alike each time.

OASIS Repeatable Requests 1.0. Only what succeeded is kept: a refused request changed nothing, and is looked at afresh.
"""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, NamedTuple

import msgspec

from adjoin.service.errors import RepeatRejected
from adjoin.store import repeats
from adjoin.store.columns import Row, Stored
from adjoin.store.database import Database, Session
from adjoin.store.repeats import Kept

WINDOW: Final = 24 * 3_600
"""How long, in seconds, a request can be repeated (the standard asks for five minutes at least)."""

_AHEAD: Final = 300
_OUTCOME: Final = msgspec.msgpack.Decoder(tuple[tuple[str | int | bool | None, ...], int] | None)


@dataclass(frozen=True, slots=True)
class Repeatable:
    """A request that may come again: whose it is, its id, when it was first sent (Unix seconds), and its digest."""

    client: str
    request_id: str
    first_sent: int
    digest: bytes


class Known(NamedTuple):
    """What came of a request that came before."""

    outcome: Stored | None


async def known(session: Session, tenant: int, request: Repeatable, now: float) -> Known | None:
    """What came of the request when it came first; None: it did not, or was refused. Raises RepeatRejected."""
    if not now - WINDOW <= request.first_sent <= now + _AHEAD:
        raise RepeatRejected(f"Repeatability-First-Sent is not within the last {WINDOW // 3600} hours")
    kept = await repeats.find(session, tenant, request.client, request.request_id)
    if kept is None:
        return None
    if not hmac.compare_digest(kept.digest, request.digest):
        raise RepeatRejected("The Repeatability-Request-ID was used for another request")
    return Known(_stored(kept.outcome))


async def once(
    session: Session,
    tenant: int,
    request: Repeatable,
    now: float,
    act: Callable[[Session], Awaitable[Stored | None]],
) -> Stored | None:
    """What came of `act`, run now or when the request came first. Raises RepeatRejected, or what `act` raises."""
    before = await known(session, tenant, request, now)
    if before is not None:
        return before.outcome
    outcome = await act(session)
    await repeats.forget(session, _forgotten(now))
    kept = Kept(request.digest, msgspec.msgpack.encode(outcome))
    await repeats.keep(session, tenant, request.client, request.request_id, kept, int(now))
    return outcome


async def tidy(database: Database, now: float) -> None:
    """Forget some of what can be repeated no more: it goes by itself only where others are repeatable."""
    if await repeats.any_before(database.reader, _forgotten(now)):
        await database.write(lambda session: repeats.forget(session, _forgotten(now)))


def _forgotten(now: float) -> int:
    return int(now) - WINDOW - _AHEAD


def _stored(outcome: bytes) -> Stored | None:
    found = _OUTCOME.decode(outcome)
    if found is None:
        return None
    row: Row = found[0]
    return Stored(row, found[1])
