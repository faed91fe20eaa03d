"""The connections that PostgreSQL is read through: a few, each left showing the tenant that it was last used for.

So a read costs one round trip, and one more only where no connection shows its tenant already and no more may be made.
Who asks for what is being asked already waits for the answer to the next such question, and shares it with all who come
until it is put: each still sees all that was kept when it asked, and a crowd with one question costs two at a time.

Who waits for a connection gets the next that is free, and nobody who came later: in the order of coming, or, for reads
that may take long, one tenant's after another's (`lines.py`).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, NamedTuple, Protocol

from adjoin.store.database import Insertion, Overloaded, TooSlow, Unavailable
from adjoin.store.link import Link, Lost
from adjoin.store.statements import tenant_of

_WAITING_LIMIT: Final = 4_096


class _Question(NamedTuple):
    """A statement with its parameters, and whose rows it may see."""

    tenant: int
    sql: str
    parameters: tuple[object, ...]


class Waiting(Protocol):
    """Who waits for a connection; each is told the tenant that it asks for."""

    def put(self, tenant: int, waiter: asyncio.Future[Link | None], /) -> None: ...

    def next(self) -> asyncio.Future[Link | None] | None: ...

    def done(self, tenant: int, waiter: asyncio.Future[Link | None], /) -> None: ...

    def __bool__(self) -> bool: ...


class _InOrder:
    """They are served as they came."""

    def __init__(self) -> None:
        self._waiters: deque[asyncio.Future[Link | None]] = deque()

    def put(self, _: int, waiter: asyncio.Future[Link | None]) -> None:
        if len(self._waiters) >= _WAITING_LIMIT:
            raise Overloaded("More reads are waiting than the service takes on.")
        self._waiters.append(waiter)

    def next(self) -> asyncio.Future[Link | None] | None:
        return self._waiters.popleft() if self._waiters else None

    def done(self, _: int, __: asyncio.Future[Link | None]) -> None:
        """One that gave up is passed over when its turn comes."""

    def __bool__(self) -> bool:
        return bool(self._waiters)


class Readers:
    """A session over at most so many connections. What fails for a lost connection is tried once more on another."""

    embedded = False

    def __init__(
        self,
        connect: Callable[[], Awaitable[Link]],
        most: int,
        patience: float | None = None,
        waiting: Waiting | None = None,
    ) -> None:
        """`patience` is how long one may wait for its turn, in seconds; None: as long as it takes."""
        self._connect = connect
        self._most = most
        self._patience = patience
        self._made = 0
        self._trying = 0
        self._idle: list[Link] = []
        self._waiting: Waiting = _InOrder() if waiting is None else waiting
        self._closed = False
        self._asked: dict[_Question, asyncio.Future[list[tuple[Any, ...]]] | None] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def insert(self, insertion: Insertion, row: Sequence[object]) -> None:
        raise RuntimeError(f"Rows are inserted in a transaction: {insertion.into}, {len(row)} values.")

    async def fetch_apart(self, sql: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        return await self.fetch(sql, parameters)

    async def fetch(self, sql: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        asked = _Question(tenant_of(sql, parameters), sql, tuple(parameters))
        if asked not in self._asked:
            return await self._put(asked)
        answer = self._asked[asked] = self._asked[asked] or asyncio.get_running_loop().create_future()
        # Whoever gives up waiting does not take the answer from the others.
        return await asyncio.shield(answer)

    async def _put(self, question: _Question) -> list[tuple[Any, ...]]:
        """Ask the database, and after it whatever came meanwhile."""
        # Some may wait for the next answer already, if this one is put for others.
        self._asked.setdefault(question, None)
        try:
            return await self._fetch(question)
        except Lost:
            return await self._fetch(question)
        finally:
            waiting = self._asked.pop(question)
            if waiting is not None:
                self._asked[question] = None
                task = asyncio.get_running_loop().create_task(self._answer(question, waiting))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    async def _answer(self, question: _Question, waiting: asyncio.Future[list[tuple[Any, ...]]]) -> None:
        try:
            waiting.set_result(await self._put(question))
        except Exception as error:  # noqa: BLE001 - it belongs to those who wait
            waiting.set_exception(error)
            waiting.exception()  # all of them may be gone

    async def _fetch(self, question: _Question) -> list[tuple[Any, ...]]:
        tenant, sql, parameters = question
        link = await self._take(tenant)
        try:
            return await link.fetch(sql, parameters)
        finally:
            self._give_back(link)

    async def close(self) -> None:
        """Take on nothing more, and let go of the connections that are not in use; those in use end with their use."""
        self._closed = True
        while (waiter := self._next()) is not None:
            waiter.set_result(None)
        for link in self._idle:
            await link.close()
        self._idle.clear()

    async def _take(self, tenant: int) -> Link:
        if self._closed:
            raise Unavailable("The service is stopping.")
        if not self._waiting:
            if (link := self._found(tenant)) is not None:
                return link
            if self._made < self._most:
                self._made += 1
                return await self._another()
            if self._idle:
                return self._idle.pop()
        return await self._turn(tenant)

    def _found(self, tenant: int) -> Link | None:
        """An idle connection that shows this tenant."""
        for at in range(len(self._idle) - 1, -1, -1):
            if self._idle[at].lost:
                del self._idle[at]
                self._made -= 1
            elif self._idle[at].tenant == tenant:
                return self._idle.pop(at)
        return None

    async def _another(self) -> Link:
        """A connection in a place that is free for it."""
        self._trying += 1
        try:
            return await self._connect()
        except BaseException as error:
            if isinstance(error, Unavailable) and self._trying == self._made:
                self._refuse(error)
            self._free()
            raise
        finally:
            self._trying -= 1

    def _refuse(self, error: Unavailable) -> None:
        """Tell all who wait what one of them has found out: no connection is there that could come to be free."""
        while (waiter := self._next()) is not None:
            waiter.set_exception(type(error)(error.message))

    async def _turn(self, tenant: int) -> Link:
        waiter: asyncio.Future[Link | None] = asyncio.get_running_loop().create_future()
        self._waiting.put(tenant, waiter)
        try:
            link = await asyncio.wait_for(waiter, self._patience)
        except (TimeoutError, asyncio.CancelledError) as error:
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                self._give_back(waiter.result())
            if isinstance(error, TimeoutError):
                raise TooSlow("Too many requests that look at many rows are under way; try again.") from None
            raise
        finally:
            self._waiting.done(tenant, waiter)
        if self._closed:
            self._give_back(link)
            raise Unavailable("The service is stopping.")
        return await self._another() if link is None else link

    def _give_back(self, link: Link | None) -> None:
        """Let whoever is next have a connection, or the place for one."""
        if link is None:
            self._free()
        elif link.lost or self._closed:
            link.abandon()
            self._free()
        elif (waiter := self._next()) is not None:
            waiter.set_result(link)
        else:
            self._idle.append(link)

    def _free(self) -> None:
        if (waiter := self._next()) is not None:
            waiter.set_result(None)
        else:
            self._made -= 1

    def _next(self) -> asyncio.Future[Link | None] | None:
        """Who has waited for its turn, and still does."""
        while (waiter := self._waiting.next()) is not None and waiter.done():
            pass
        return waiter
