"""The text index, a switch: what it is of, what its setting says, and what each of the two databases does for it.

It only narrows: the condition itself is looked at in each row that it leads to.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final, NamedTuple, TypeAlias

from adjoin.store import settings
from adjoin.store.columns import sort_column
from adjoin.store.database import Database, Session
from adjoin.store.grams import Joined
from adjoin.store.rows import Among
from adjoin.store.statements import Everywhere
from adjoin.store.tables import CONNECTORS

ON, BUILDING, OFF = b"on", b"building", b"off"
"""What the setting says; where there is none, the index is off."""

OF: Final = CONNECTORS
PROPERTIES: Final = tuple(each for each in OF.type.properties if each.searchable)
COLUMNS: Final = tuple(sort_column(each) for each in PROPERTIES)
NAMES: Final = frozenset(each.name for each in PROPERTIES)

MOST_FOUND: Final = 5_000
"""More rows are never looked up: then so many fit that reading on in the order wanted soon leads to enough."""

ROWS_FOR_ONE: Final = 4
"""To look a row up costs as much as to read so many rows on in order."""

AT_ONCE: Final = 2_000
"""Rows that are taken up in one transaction."""

_SETTING: Final = "text-index"


class Status(NamedTuple):
    """What there is of the index: its state, the rows whose texts are in it, and those that wait to be."""

    state: bytes
    rows: int
    waiting: int


class Kept(NamedTuple):
    """What a database does for the index; see `texts.py`. Its `status` and `sound` are asked where it is not off."""

    among: Callable[[Database, int, Joined, int | None], Awaitable[Among | None]]
    status: Callable[[Session, bytes], Awaitable[Status]]
    sound: Callable[[Session], Awaitable[bool]]
    switch_on: Callable[[Database, Callable[[int], None]], Awaitable[None]]
    switch_off: Callable[[Database], Awaitable[None]]


async def state(session: Session) -> bytes:
    """ON, BUILDING or OFF."""
    return await settings.find(session, _SETTING) or OFF


async def set_state(session: Session, value: bytes) -> None:
    """Have the setting say so from this transaction on."""
    if value == OFF:
        await session.fetch(Everywhere("DELETE FROM settings WHERE name = ?1"), (_SETTING,))
        return
    sql = "INSERT INTO settings (name, value) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = ?2"
    await session.fetch(Everywhere(sql), (_SETTING, value))


Last: TypeAlias = tuple[int, str]
"""Up to which row all are taken up: its tenant and key."""


async def take_up(
    database: Database, some: Callable[[Last, Session], Awaitable[tuple[Last, int]]], told: Callable[[int], None]
) -> None:
    """Take up the texts of all rows, some at a time, between which others write; `told` hears how many they are.

    `some` takes up the next, AT_ONCE if there are so many. Those that come meanwhile are taken up by their triggers.
    """
    last, done, taken = (0, ""), 0, AT_ONCE
    while taken == AT_ONCE:
        last, taken = await database.write(partial(some, last))
        done += taken
        told(done)


def text(row: str, separator: str) -> str:
    """A row's text as SQL: its properties, folded, with a character between that hardly anyone asks for."""
    return f" || {separator} || ".join(f"COALESCE({row}.{each}, '')" for each in COLUMNS)
