"""One connection to PostgreSQL: made with this service's settings, and its failures as the store's refusals.

Each statement is shown the rows of one tenant: the link sets which, when it is another than before. No password is in
any message.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeAlias

import asyncpg

from adjoin.store.address import files_in, is_readable, shown
from adjoin.store.database import Insertion, TooSlow, Unavailable
from adjoin.store.dialect import arrays_of, columns_of, many, translated
from adjoin.store.statements import EVERYWHERE, tenant_of

Row: TypeAlias = tuple[Any, ...]
Gathered: TypeAlias = Mapping[Insertion, Sequence[Sequence[object]]]
"""Rows to be inserted, by where."""

STATEMENT_SECONDS: Final = 30.0
_CONNECT_SECONDS: Final = 10.0
_ANSWER_SECONDS: Final = 60.0
# What the server gives up by itself, so that a node that hangs or cannot be heard any more holds nothing for long.
_SETTINGS: Final = {
    "application_name": "adjoin",
    "default_transaction_isolation": "read committed",
    "idle_in_transaction_session_timeout": "10s",
    "jit": "off",
    "lock_timeout": "10s",
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
}
# A statement that is wrong, or a value that its place does not take: a mistake of this program.
_MISTAKES: Final = (asyncpg.SyntaxOrAccessError, asyncpg.DataError, asyncpg.InterfaceError)


class Lost(Unavailable):
    """The connection is gone, and with it what was under way; another may be had at once."""


class Busy(Unavailable):
    """The server cannot do it now, whoever asks: it is locked, full, or did not answer in time."""


class Lacking(Unavailable):
    """The role that adjoin has may not read or change rows that it should."""


class Link:
    """An open connection, for one at a time."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection
        self._types: dict[Insertion, tuple[str, ...]] = {}
        self.tenant: int | None = None
        """Whose rows it shows; None: nobody's."""

    @property
    def lost(self) -> bool:
        return bool(self._connection.is_closed())

    async def fetch(self, sql: str, parameters: Sequence[object] = ()) -> list[Row]:
        """All rows that a statement gives. Raises Lost, Unavailable, or what a mistake in it raises."""
        tenant = tenant_of(sql, parameters)
        if tenant != self.tenant:
            await self.show(tenant)
        found = await self._answered(self._connection.fetch(translated(sql, parameters), *parameters))
        return [tuple(each) for each in found]

    async def ready_to_add(self, gathered: Gathered) -> None:
        """Do all for an insertion but to insert, so that what can be lost with its answer is the insertion alone."""
        tenants = {tenant_of(insertion.into, row) for insertion, rows in gathered.items() for row in rows}
        tenant = tenants.pop() if len(tenants) == 1 else EVERYWHERE
        if tenant != self.tenant:
            await self.show(tenant)
        for each in gathered:
            if each not in self._types:
                asked = await self._answered(self._connection.prepare(columns_of(each)))
                self._types[each] = tuple(column.type.name for column in asked.get_attributes())

    async def add(self, gathered: Gathered) -> None:
        """Insert rows, of all tables, as one statement. `ready_to_add` comes before."""
        sql = many(tuple((each, self._types[each]) for each in gathered))
        columns = [column for each, rows in gathered.items() for column in arrays_of(each, rows)]
        await self._answered(self._connection.fetch(sql, *columns))

    async def show(self, tenant: int) -> None:
        """Show the rows of this tenant from now on, or those of all."""
        self.tenant = None
        await self.run(f"SET adjoin.tenant = '{tenant}'")
        self.tenant = tenant

    async def run(self, script: str) -> None:
        """Run one or more statements that give no rows. What they roll back, they take the shown tenant with."""
        await self._answered(self._connection.execute(script))

    async def close(self) -> None:
        """Let go, in order if the server still answers."""
        try:
            await self._connection.close(timeout=2.0)
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
            self.abandon()

    def abandon(self) -> None:
        """Let go at once; the server drops what was under way."""
        self._connection.terminate()

    async def _answered(self, asked: Awaitable[Any]) -> Any:
        try:
            return await asked
        except asyncio.CancelledError:
            self.abandon()
            raise
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise self._refusal(error) from error

    def _refusal(self, error: Exception) -> Exception:
        says = f"The database did not answer: {_said(error)}."
        if isinstance(error, TimeoutError):
            self.abandon()
            return Busy(says)
        if isinstance(error, _BUSY):
            return Busy(says)
        if isinstance(error, asyncpg.QueryCanceledError):
            return TooSlow("What was asked for takes longer to find than a request may; ask for less at a time.")
        if isinstance(error, _GONE) or self.lost:
            self.abandon()
            return Lost(says)
        if isinstance(error, asyncpg.InsufficientPrivilegeError) and error.server_source_function != _WALL:
            return Lacking(f"The role that adjoin has lacks a right: {_said(error)}.")
        return Unavailable(says) if isinstance(error, _DROPPED) or not isinstance(error, _MISTAKES) else error


# A row that the wall between tenants keeps out has the same code; the server's words may be in any language.
_WALL: Final = "ExecWithCheckOptions"
# Another command may drop the text index between two statements that ask it.
_DROPPED: Final = (asyncpg.UndefinedFunctionError, asyncpg.UndefinedTableError)
_BUSY: Final = (asyncpg.LockNotAvailableError, asyncpg.InsufficientResourcesError, asyncpg.PostgresIOError)
# After these the server has ended the session, or cannot be heard any more. A server that only reads is not the one to
# write to: the next connection may find another.
_GONE: Final = (
    OSError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.ReadOnlySQLTransactionError,
)

_UNREAD: Final = (ValueError, OverflowError)


async def connect(url: str, seconds: float = STATEMENT_SECONDS, scans: bool = False) -> Link:
    """A new connection, on which a statement may take so many seconds. Raises Unavailable with the reason.

    Where it `scans`, two sets of rows are never brought together row by row: before the server has counted a table that
    grew, it takes any set for one row, and that would take the square of the time.
    """
    settings = {**_SETTINGS, "statement_timeout": f"{int(seconds * 1_000)}ms"}
    if scans:
        settings["enable_nestloop"] = "off"
    try:
        connection = await asyncpg.connect(
            url,
            server_settings=settings,
            timeout=_CONNECT_SECONDS,
            command_timeout=max(_ANSWER_SECONDS, 2 * seconds),
            statement_cache_size=128,
            max_cached_statement_lifetime=0,
            max_cacheable_statement_size=16_384,
        )
    except (OSError, TimeoutError, *_UNREAD, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise Unavailable(f"The database {shown(url)} cannot be reached: {_kept_from(url, error)}.") from None
    return Link(connection)


def _kept_from(url: str, error: Exception) -> str:
    """What keeps from the database, as the end of a sentence: never a part of the URL that may be its password."""
    # The driver's own words and those on certificates come as ValueErrors, too.
    meant = isinstance(error, OSError | asyncpg.InterfaceError) and is_readable(url)
    if isinstance(error, _UNREAD) and not meant:
        return "its URL cannot be read"
    if isinstance(error, OSError) and error.filename is None:
        # Of a file that it does not find, the driver does not say which it is.
        error = next((found for found in map(_fault_of, files_in(url)) if found.errno == error.errno), error)
    return _said(error)


def _fault_of(path: str) -> OSError:
    """What is wrong with a file that should be read; an error of no number if nothing is."""
    try:
        Path(path).open("rb").close()
    except OSError as error:
        return error
    return OSError()


def _said(error: Exception) -> str:
    """The error's own words, as the middle of a sentence."""
    if isinstance(error, TimeoutError) and not str(error):
        return "it took too long"
    return str(error).strip().splitlines()[0].rstrip(".") if str(error).strip() else type(error).__name__
