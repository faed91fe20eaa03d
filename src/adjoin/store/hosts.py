"""The hosts of a PostgreSQL database: asked one by one, each within a time of its own, first who answered last.

Where they are silent no crowd is left waiting for them: one goes on asking, and all others are refused at once until it
is answered. No password is in any message.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import asyncpg

from adjoin.store.address import files_in, is_readable, shown
from adjoin.store.database import Unavailable
from adjoin.store.options import HOST_SECONDS, SYSTEM, Address, Unsupported, Way, way_of

_PAUSE: Final = 1.0
"""What fails faster than this may be tried by everyone at any time; what takes longer, by one after a pause."""

# A server that can be heard no more is given up after about ten seconds, asked or not.
_HEARD: Final = {"TCP_KEEPIDLE": 5, "TCP_KEEPINTVL": 2, "TCP_KEEPCNT": 3, "TCP_USER_TIMEOUT": 10_000}

_UNREAD: Final = (ValueError, OverflowError)
_UNMATCHED: Final = asyncpg.TargetServerAttributeNotMatched
# After these another host may be the right one.
_NEXT: Final = (OSError, asyncpg.CannotConnectNowError, asyncpg.PostgresConnectionError, _UNMATCHED)
_FAILURES: Final = (*_NEXT, *_UNREAD, asyncpg.PostgresError, asyncpg.InterfaceError)


class Hosts:
    """Where a database may be, and what became of the last attempt to get there."""

    def __init__(self, url: str, seconds: float = HOST_SECONDS, now: Callable[[], float] = time.monotonic) -> None:
        """`seconds` are what each host has, where the URL does not say it."""
        self.url = url
        self._seconds = seconds
        self._now = now
        self._last: Address | None = None
        self._silence: Unavailable | None = None
        self._again = 0.0
        self._asking = False

    async def open(self, settings: Mapping[str, str], **options: Any) -> asyncpg.Connection:
        """A new connection with these settings of the session, and options of asyncpg's. Raises Unavailable."""
        again = self._silence is not None
        if self._silence is not None and (self._asking or self._now() < self._again):
            raise Unavailable(self._silence.message)
        self._asking = again
        began = self._now()
        try:
            connection = await self._opened(settings, options)
        except Unavailable as refusal:
            self._silence = refusal if self._now() - began >= _PAUSE else None
            self._again = self._now() + _PAUSE
            raise
        finally:
            if again:
                self._asking = False
        self._silence = None
        return connection

    async def _opened(self, settings: Mapping[str, str], options: Mapping[str, Any]) -> asyncpg.Connection:
        failures: dict[Address | None, Exception] = {}
        try:
            # What cannot be read is asyncpg's to say.
            way = way_of(self.url, self._seconds) if is_readable(self.url) else Way(self.url)
            left = sorted(way.addresses, key=lambda each: each != self._last)
            for wanted in way.wanted:
                for address in left:
                    try:
                        connection = await _at(way, address, wanted, settings, options)
                    except _NEXT as error:
                        failures[address] = error
                    else:
                        self._last = address
                        return connection
                left = [each for each in left if isinstance(failures[each], _UNMATCHED)]
        except Unsupported as error:
            why = str(error)
        except _FAILURES as error:
            why = _kept_from(self.url, error)
        else:
            each = {_named(address): _kept_from(self.url, error) for address, error in failures.items()}
            why = next(iter(each.values())) if len(each) == 1 else "; ".join(f"{one}: {it}" for one, it in each.items())
        raise Unavailable(f"The database {shown(self.url)} cannot be reached: {why}.") from None


async def _at(
    way: Way, address: Address | None, wanted: str | None, settings: Mapping[str, str], options: Mapping[str, Any]
) -> asyncpg.Connection:
    """A connection to one host."""
    where = {} if address is None else {"host": address[0], "port": address[1]}
    async with asyncio.timeout(way.seconds):
        connection = await asyncpg.connect(
            way.url, **where, target_session_attrs=wanted, ssl=way.tls, timeout=None, **options
        )
        try:
            _listen_for_life(connection)
            if settings:
                await connection.execute(_set(settings))
        except BaseException:
            connection.terminate()
            raise
    return connection


def _set(settings: Mapping[str, str]) -> str:
    """What makes these settings the session's, in one round trip.

    They do not go with the first message of all: PgBouncer refuses there what it does not know, or drops it.
    """
    return "; ".join(f"SET {name} TO '{value}'" for name, value in settings.items())


def _listen_for_life(connection: asyncpg.Connection) -> None:
    # asyncpg has no way of its own to its socket.
    made = connection._transport.get_extra_info("socket")
    if made.family == socket.AF_UNIX:
        return
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _HEARD.items():
        if hasattr(socket, name):
            made.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def _named(address: Address | None) -> str:
    return "" if address is None else f"{address[0]}:{address[1]}"


def _kept_from(url: str, error: Exception) -> str:
    """What keeps from the database, as the end of a sentence: never a part of the URL that may be its password."""
    # The driver's own words and those on certificates come as ValueErrors, too.
    meant = isinstance(error, OSError | asyncpg.InterfaceError) and is_readable(url)
    if isinstance(error, _UNREAD) and not meant:
        return "its URL cannot be read"
    if isinstance(error, OSError) and error.filename is None and error.errno is not None:
        # Of a file that it does not find, the driver does not say which it is.
        files = [each for each in files_in(url) if each != SYSTEM]
        error = next((found for found in map(_fault_of, files) if found.errno == error.errno), error)
    return said(error)


def _fault_of(path: str) -> OSError:
    """What is wrong with a file that should be read; an error of no number if nothing is."""
    try:
        Path(path).open("rb").close()
    except OSError as error:
        return error
    return OSError()


def said(error: Exception) -> str:
    """The error's own words, as the middle of a sentence."""
    if isinstance(error, TimeoutError) and not str(error):
        return "it took too long"
    return str(error).strip().splitlines()[0].rstrip(".") if str(error).strip() else type(error).__name__
