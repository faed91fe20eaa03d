"""Delta queries: which entities of a collection are another than at the last call, and which are no more.

A round begins with a full list, or with the place where the last one ended, and its pages lead to the next such place.
Three things make an entity another: a change in the log, a check-in, and the clock; the last two are found by the index
on silence. An entity may come more than once, and is always shown as it is now; none that changed is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from adjoin.odata.edm import EntityType
from adjoin.odata.values import TICKS_PER_SECOND, Instant
from adjoin.service.errors import Stale
from adjoin.store import changes, rows, settings
from adjoin.store.changes import KEPT, Silent
from adjoin.store.columns import Row, Table
from adjoin.store.database import Session
from adjoin.store.rows import Mark, Part
from adjoin.store.tables import table_of
from adjoin.store.tenants import Tenant

# A check-in is dated before it is committed, and by the clock of its node. What is dated within this time before the
# last round ended is looked at again.
_SLACK: Final = 30 * TICKS_PER_SECOND
_LAST_KEY: Final = "~"
"""Behind every key."""


class Moment(msgspec.Struct, frozen=True, array_like=True):
    """A place in the history of a tenant: the last change in its log, when that came, and the time (both in ticks).

    `history` names what all that is in the database has come about in: after a restore it is another.
    """

    sequence: int
    mark: int
    ticks: int
    history: bytes


class Round(msgspec.Struct, frozen=True, array_like=True):
    """A round under way, or, with nothing but `until`, where the next one begins.

    `since` is where it began (None: with a full list), `stage` and `after` are how far it has come; `select` and `size`
    are as the first call had them.
    """

    until: Moment
    select: tuple[str, ...]
    size: int
    since: Moment | None = None
    stage: int = 0
    after: Silent | None = None


class Page(msgspec.Struct, frozen=True):
    """Entities as they are now, keys of those that are no more, and where to go on: in this round, or in the next."""

    items: Sequence[Row | str]
    goes_on: Round
    ended: bool


async def now(session: Session, tenant: Tenant, time: float) -> Moment:
    """The present moment."""
    last = (await changes.counter(session, tenant.number)).last
    mark = await changes.dated(session, tenant.number, last) or 0
    return Moment(last, mark, Instant.from_unix(time).ticks, await _history(session))


async def _history(session: Session) -> bytes:
    return await settings.find(session, settings.HISTORY) or b""


async def begin(session: Session, tenant: Tenant, select: tuple[str, ...], size: int, time: float) -> Round:
    """A round with a full list."""
    return Round(await now(session, tenant, time), select, size)


async def resume(session: Session, tenant: Tenant, last: Round, time: float) -> Round:
    """The round that follows one that has ended. Raises Stale."""
    return Round(await now(session, tenant, time), last.select, last.size, since=last.until)


async def page(session: Session, tenant: Tenant, entity: EntityType, round_: Round, time: float) -> Page:
    """The next page of a round. Raises Stale where what it needs is no longer kept, or was never here."""
    at = Instant.from_unix(time).ticks
    await _check(session, tenant, round_, at)
    if round_.since is None:
        return await _listed(session, tenant, table_of(entity), round_, at)
    return await _changed(session, tenant, table_of(entity), round_, round_.since, at)


async def _check(session: Session, tenant: Tenant, round_: Round, at: int) -> None:
    since = round_.since or round_.until
    known = await changes.counter(session, tenant.number)
    kept = since.sequence >= known.dropped and at - since.ticks <= KEPT
    # Of a database that was restored from a copy, or whose clock was set back, nothing is known since then: its log
    # may be as long again, but of other changes.
    if not kept or since.sequence > known.last or at < since.ticks - _SLACK:
        raise Stale
    mark = await changes.dated(session, tenant.number, since.sequence)
    if mark not in (None, since.mark) or since.history != await _history(session):
        raise Stale


async def _listed(session: Session, tenant: Tenant, table: Table, round_: Round, at: int) -> Page:
    after = Mark(round_.after.key, ()) if round_.after else None
    found, _ = await rows.page(session, table, tenant.number, Part(round_.size + 1, after=after), at)
    shown = found[: round_.size]
    if len(found) <= round_.size:
        return _last(shown, round_)
    place = Silent(0, str(shown[-1][table.key_at]))
    return Page(shown, msgspec.structs.replace(round_, after=place), False)


async def _changed(session: Session, tenant: Tenant, table: Table, round_: Round, since: Moment, at: int) -> Page:
    """As many stages as fill a page: the log first, then what the index on silence tells.

    A page is short where entities changed so often that a look at all their changes would take long.
    """
    keys: dict[str, None] = {}
    stage, after = round_.stage, round_.after
    windows = _windows(table, since.ticks, round_.until.ticks)
    if stage == 0:
        behind = after.since if after else since.sequence
        logged = await changes.entities_after(session, tenant.number, behind, round_.until.sequence, round_.size)
        keys |= dict.fromkeys(logged.keys)
        after = None if logged.up_to is None else Silent(logged.up_to, "")
        stage += after is None
    while 0 < stage <= len(windows) and len(keys) < round_.size:
        left = round_.size - len(keys)
        low, high = windows[stage - 1]
        found = await changes.silent(session, table, tenant.number, after or Silent(low, _LAST_KEY), high, left)
        keys |= dict.fromkeys(each.key for each in found)
        after = found[-1] if len(found) == left else None
        stage += after is None
    items = await _shown(session, tenant, table, list(keys), at)
    if stage > len(windows):
        return _last(items, round_)
    return Page(items, msgspec.structs.replace(round_, stage=stage, after=after), False)


def _windows(table: Table, since: int, until: int) -> Sequence[tuple[int, int]]:
    """When the silence began of those that the clock made another in this time, and of those that were heard in it."""
    if table.silence is None:
        return ()
    ends = [*(after for after, _ in table.silence.steps), table.silence.removed_after]
    # A clock that was set back a little takes back what it made of some, and others were heard at a time to come.
    turned = [(since - _SLACK - end, max(since, until) - end) for end in reversed(ends)]
    return [*turned, (since - _SLACK, until + _SLACK)]


async def _shown(session: Session, tenant: Tenant, table: Table, keys: Sequence[str], at: int) -> list[Row | str]:
    there = {str(each[table.key_at]): each for each in await rows.among(session, table, tenant.number, keys, at)}
    return [there.get(key, key) for key in keys]


def _last(items: Sequence[Row | str], round_: Round) -> Page:
    return Page(items, Round(round_.until, round_.select, round_.size), True)
