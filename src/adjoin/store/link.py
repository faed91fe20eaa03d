"""One connection to PostgreSQL: made with this service's settings, and its failures as the store's refusals.

Each statement is shown the rows of one tenant: the link sets which, when it is another than before. No password is in
any message.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from typing import Any, Final, TypeAlias

import asyncpg

from adjoin.store.database import Insertion, TooSlow, Unavailable
from adjoin.store.dialect import arrays_of, columns_of, many, translated
from adjoin.store.hosts import Hosts, said
from adjoin.store.statements import EVERYWHERE, tenant_of

Row: TypeAlias = tuple[Any, ...]
Gathered: TypeAlias = Mapping[Insertion, Sequence[Sequence[object]]]
"""Rows to be inserted, by where."""

STATEMENT_SECONDS: Final = 30.0
_ANSWER_SECONDS: Final = 60.0
# What the server gives up by itself, so that a node that hangs or cannot be heard any more holds nothing for long.
_SETTINGS: Final = {
    "application_name": "adjoin",
    "client_min_messages": "warning",
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
        self._warnings = 0

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

    def heed(self) -> None:
        """Count what the server warns of from now on."""
        self._connection.add_log_listener(self._warned)

    def warnings(self) -> int:
        """How often it has warned since this was last asked."""
        warned, self._warnings = self._warnings, 0
        return warned

    def _warned(self, _: object, message: asyncpg.PostgresLogMessage) -> None:
        # The driver has this called before it gives the answer of the statement.
        if message.severity_en == "WARNING":
            self._warnings += 1

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
        says = f"The database did not answer: {said(error)}."
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
            return Lacking(f"The role that adjoin has lacks a right: {said(error)}.")
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


async def connect(
    where: str | Hosts, seconds: float = STATEMENT_SECONDS, answer: float | None = None, scans: bool = False
) -> Link:
    """A new connection, on which a statement may take so many seconds. Raises Unavailable with the reason.

    `answer` is for how long the server is waited for in any case, at the end of which it is given up.

    Where it `scans`, two sets of rows are never brought together row by row: before the server has counted a table that
    grew, it takes any set for one row, and that would take the square of the time.
    """
    hosts = where if isinstance(where, Hosts) else Hosts(where)
    settings = {**_SETTINGS, "statement_timeout": f"{int(seconds * 1_000)}ms"}
    if scans:
        settings["enable_nestloop"] = "off"
    connection = await hosts.open(
        settings,
        command_timeout=answer or max(_ANSWER_SECONDS, 2 * seconds),
        statement_cache_size=128,
        max_cached_statement_lifetime=0,
        max_cacheable_statement_size=16_384,
    )
    return Link(connection)
