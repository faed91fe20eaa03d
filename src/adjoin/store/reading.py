"""Reading the embedded database on the event loop: all of one turn in one transaction, rows by key together.

The connection waits for nobody, so its session answers at once, or at the end of the turn.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any, Final, TypeAlias

import apsw
import msgspec

from adjoin.store.database import Insertion, Unavailable
from adjoin.store.statements import ByKey, power_of_two

Outcome: TypeAlias = "tuple[asyncio.Future[Any], Any, BaseException | None]"
"""Who waits, and what came of it: a result, or an error."""

_Sought: TypeAlias = "tuple[str, asyncio.Future[list[tuple[Any, ...]]]]"

_TOGETHER: Final = 64
_MOST: Final = 256
"""So many wait for the end of a turn at most; what is asked beyond is read at once, as if there were no others."""
_ROWS: Final = msgspec.json.Decoder(dict[str, tuple[Any, ...]])
_MISTAKES: Final = (apsw.BindingsError, apsw.MisuseError, apsw.ThreadingViolationError)


class Reading:
    """A session over one connection, which answers at once: its coroutine does not suspend."""

    embedded = True

    def __init__(self, connection: apsw.Connection) -> None:
        self._execute = connection.execute

    async def fetch(self, sql: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        return self._all(sql, parameters)

    async def fetch_apart(self, sql: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        return self._all(sql, parameters)

    def _all(self, sql: str, parameters: Sequence[object]) -> list[tuple[Any, ...]]:
        try:
            return self._execute(sql, parameters).fetchall()
        except apsw.Error as error:
            raise refused(error) from error

    def insert(self, insertion: Insertion, row: Sequence[object]) -> None:
        raise RuntimeError(f"Rows are inserted in a transaction: {insertion.into}, {len(row)} values.")


class Turns(Reading):
    """As `Reading`, with one transaction for all that is read in one turn of the event loop. It may suspend to its end.

    To begin one costs as much as to read a row. What is ready in a turn has come before its first read, and so is told
    all that was kept when it came. What comes later stands behind the end of the transaction in the loop's queue.

    Rows that are sought by their keys are read at the end of the turn, all but the first by one statement: with each
    step of one the driver lets go of the interpreter, and where requests come in another thread is woken to take it.
    """

    def __init__(self, connection: apsw.Connection, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(connection)
        self._connection = connection
        self._loop = loop
        self._begun = False
        self._version: int | None = None
        self._sought: dict[tuple[ByKey, int], list[_Sought]] | None = None
        """Those that follow the first of a turn, by statement and tenant; None: there was no first."""

    async def fetch(self, sql: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        if isinstance(sql, ByKey):
            if self._sought is not None:
                tenant, key = parameters
                others = self._sought.setdefault((sql, tenant), [])  # type: ignore[arg-type]
                if len(others) < _MOST:
                    return await self._read_at_end(str(key), others)
            else:
                self._sought = {}
        return self._all(sql, parameters)

    def _read_at_end(self, key: str, others: list[_Sought]) -> asyncio.Future[list[tuple[Any, ...]]]:
        if not self._begun:
            self._begin()
        answer: asyncio.Future[list[tuple[Any, ...]]] = self._loop.create_future()
        others.append((key, answer))
        return answer

    def _all(self, sql: str, parameters: Sequence[object]) -> list[tuple[Any, ...]]:
        if not self._begun:
            self._begin()
        return super()._all(sql, parameters)

    def version(self) -> int:
        """Another whenever anybody else has changed the file since, as of this turn."""
        if self._version is None:
            self._version = int(self._all("PRAGMA data_version", ())[0][0])
        return self._version

    def _begin(self) -> None:
        super()._all("BEGIN", ())
        self._begun = True
        self._loop.call_soon(self.end)

    def end(self) -> None:
        """End the transaction, if there is one: after some faults SQLite has ended it by itself."""
        if self._begun:
            if self._sought:
                self._answer(self._sought)
            self._begun, self._version, self._sought = False, None, None
            if self._connection.in_transaction:
                self._execute("ROLLBACK")

    def _answer(self, sought: dict[tuple[ByKey, int], list[_Sought]]) -> None:
        for (sql, tenant), wanted in sought.items():
            for at in range(0, len(wanted), _TOGETHER):
                some = wanted[at : at + _TOGETHER]
                try:
                    found = self._found(sql, tenant, [key for key, _ in some])
                except Exception as error:  # noqa: BLE001 - whatever it is, those who wait have to hear of it
                    tell((answer, None, error) for _, answer in some)
                else:
                    tell((answer, found.get(key, []), None) for key, answer in some)

    def _found(self, sql: ByKey, tenant: int, keys: list[str]) -> dict[str, list[tuple[Any, ...]]]:
        if len(keys) == 1:
            return {keys[0]: self._all(sql, (tenant, *keys))}
        number = power_of_two(len(keys))
        ((text,),) = self._all(sql.together(number), (tenant, *keys, *keys[-1:] * (number - len(keys))))
        return {key: [row] for key, row in _ROWS.decode(text).items()}


def refused(error: apsw.Error) -> Exception:
    """What a fault of the database is for its user; a mistake of this program stays what it is."""
    if isinstance(error, _MISTAKES):
        return error
    return Unavailable(f"The database did not answer: {error}.")


def tell(outcomes: Iterable[Outcome]) -> None:
    """Tell those who wait; some may have given up."""
    for future, result, error in outcomes:
        if future.done():
            continue
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)
