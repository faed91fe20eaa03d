"""Who gets a connection when there are fewer than are wanted: in turns between tenants where reads may take long."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

import pytest

from adjoin.store.database import Overloaded, TooSlow, Unavailable
from adjoin.store.lines import SHARE, Lines
from adjoin.store.readers import Readers

MANY: Final = 12


class Link:
    """A connection on which each read takes until the test ends it."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.tenant: int | None = None
        self.lost = False

    async def fetch(self, sql: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
        self.tenant = parameters[0]
        answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.server.running[sql] = answer
        self.server.begun.append(sql)
        await answer
        return [(sql,)]

    def abandon(self) -> None:
        self.lost = True

    async def close(self) -> None:
        self.lost = True


class Server:
    """Notes what begins, in order, and ends it when it is told to."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.running: dict[str, asyncio.Future[None]] = {}
        self.links: list[Link] = []
        self.refuses = False
        self.refused = 0

    async def connect(self) -> Any:
        if self.refuses:
            self.refused += 1
            raise Unavailable("It takes no connections.")
        self.links.append(Link(self))
        return self.links[-1]

    async def end(self, *names: str) -> None:
        for name in names:
            self.running.pop(name).set_result(None)
        await settled()


async def settled() -> None:
    """Let everything run until it waits."""
    for _ in range(20):
        await asyncio.sleep(0)


def on(act: Callable[[Server, Readers], Awaitable[None]], most: int = 1, **settings: Any) -> None:
    """Run `act` on readers with so many connections, whose reads may take long."""

    async def run() -> None:
        server = Server()
        readers = Readers(server.connect, most, **{"waiting": Lines(), **settings})
        try:
            await act(server, readers)
        finally:
            await readers.close()

    asyncio.run(run())


def ask(readers: Readers, tenant: int, name: str) -> asyncio.Task[Any]:
    return asyncio.ensure_future(readers.fetch(name, (tenant,)))


async def asked(readers: Readers, *names: str) -> list[asyncio.Task[Any]]:
    """Reads that are asked for in this order; "2b" is one of tenant 2."""
    tasks = []
    for name in names:
        tasks.append(ask(readers, int(name[0]), name))
        await settled()
    return tasks


async def ended_one_by_one(server: Server) -> None:
    while server.running:
        await server.end(next(iter(server.running)))


def test_a_tenants_many_long_reads_do_not_keep_anothers_waiting() -> None:
    async def act(server: Server, readers: Readers) -> None:
        reads = await asked(readers, "1a", "1b", "1c", "1d", "2a", "3a", "3b")
        await ended_one_by_one(server)
        assert server.begun == ["1a", "1b", "2a", "3a", "1c", "3b", "1d"]
        assert [each.result() for each in reads] == [[(name,)] for name in ("1a", "1b", "1c", "1d", "2a", "3a", "3b")]

    on(act)


def test_with_two_connections_either_goes_to_who_is_next() -> None:
    async def act(server: Server, readers: Readers) -> None:
        await asked(readers, "1a", "1b", "1c", "1d", "2a")
        assert server.begun == ["1a", "1b"]
        await server.end("1b")
        await server.end("1a")
        assert server.begun == ["1a", "1b", "1c", "2a"]
        await ended_one_by_one(server)
        assert len(server.links) == 2

    on(act, 2)


def test_a_tenant_that_fills_its_line_is_refused_and_no_other() -> None:
    async def act(server: Server, readers: Readers) -> None:
        await asked(readers, *(f"1-{at}" for at in range(1 + SHARE)))
        with pytest.raises(Overloaded, match="of this tenant"):
            await readers.fetch("one more", (1,))
        other = ask(readers, 2, "2a")
        await settled()
        await server.end("1-0")
        await server.end("1-1")
        assert server.begun[-1] == "2a"
        await server.end("2a")
        assert other.result() == [("2a",)]
        await ended_one_by_one(server)

    on(act)


def test_elsewhere_they_come_in_the_order_in_which_they_were_asked() -> None:
    async def act(server: Server, readers: Readers) -> None:
        names = ("1a", "1b", "1c", "2a", "1d")
        await asked(readers, *names)
        await ended_one_by_one(server)
        assert server.begun == [*names]

    on(act, waiting=None)


@pytest.mark.parametrize("waiting", [Lines, type(None)])
def test_nobody_overtakes_who_was_given_a_connection(waiting: Callable[[], Any]) -> None:
    async def act(server: Server, readers: Readers) -> None:
        await asked(readers, "1a", "1b")
        server.running.pop("1a").set_result(None)
        late = ask(readers, 1, "1c")
        await settled()
        assert server.begun == ["1a", "1b"]
        await ended_one_by_one(server)
        assert late.result() == [("1c",)]

    on(act, waiting=waiting())


def test_who_gives_up_is_passed_over() -> None:
    async def act(server: Server, readers: Readers) -> None:
        _, gone, waits = await asked(readers, "1a", "1b", "1c")
        gone.cancel()
        await settled()
        await server.end("1a")
        assert server.begun == ["1a", "1c"]
        await server.end("1c")
        assert waits.done()

    on(act)


def test_who_gives_up_in_its_turn_passes_the_connection_on() -> None:
    async def act(server: Server, readers: Readers) -> None:
        _, gone, waits = await asked(readers, "1a", "1b", "1c")
        server.running.pop("1a").set_result(None)
        await asyncio.sleep(0)  # "1a" has its answer, and gives the connection to "1b"
        gone.cancel()
        await settled()
        assert server.begun == ["1a", "1c"]
        await server.end("1c")
        assert waits.done()

    on(act)


def test_in_place_of_a_lost_connection_whoever_is_next_makes_one() -> None:
    async def act(server: Server, readers: Readers) -> None:
        await asked(readers, "1a", "1b", "2a")
        server.links[0].lost = True
        await server.end("1a")
        assert len(server.links) == 2
        await ended_one_by_one(server)
        assert server.begun == ["1a", "1b", "2a"]
        assert len(server.links) == 2

    on(act)


def test_where_there_is_none_and_none_can_be_made_all_are_told_at_once_and_the_next_tries() -> None:
    async def act(server: Server, readers: Readers) -> None:
        _, *waiting = await asked(readers, "1a", "1b", "2a", "1c")
        server.links[0].lost, server.refuses = True, True
        await server.end("1a")
        for each in waiting:
            with pytest.raises(Unavailable, match="takes no connections"):
                await each
        assert server.refused == 1
        server.refuses = False
        again = ask(readers, 1, "1d")
        await settled()
        await server.end("1d")
        assert again.result() == [("1d",)]

    on(act)


def test_where_there_is_another_none_is_told_that_none_can_be_made_but_who_tried() -> None:
    async def act(server: Server, readers: Readers) -> None:
        _, _, tries, waits = await asked(readers, "1a", "1b", "2a", "1c")
        server.links[0].lost, server.refuses = True, True
        await server.end("1a")
        with pytest.raises(Unavailable, match="takes no connections"):
            await tries
        server.refuses = False
        await ended_one_by_one(server)
        assert waits.done()

    on(act, 2)


def test_who_gives_up_while_it_is_told_is_not_missed() -> None:
    async def act(server: Server, readers: Readers) -> None:
        _, _, gone = await asked(readers, "1a", "1b", "1c")
        server.links[0].lost, server.refuses = True, True
        server.running.pop("1a").set_result(None)
        while not server.refused:  # noqa: ASYNC110 - to the very step
            await asyncio.sleep(0)
        gone.cancel()
        await settled()
        assert gone.done()
        server.refuses = False
        again = ask(readers, 1, "1d")
        await settled()
        await server.end("1d")
        assert again.result() == [("1d",)]

    on(act)


def test_a_turn_that_takes_too_long_to_come_is_given_up() -> None:
    async def act(server: Server, readers: Readers) -> None:
        _, waits = await asked(readers, "1a", "1b")
        with pytest.raises(TooSlow):
            await waits
        await server.end("1a")
        assert server.begun == ["1a"]

    on(act, patience=0.01)


def test_the_end_is_told_to_all_who_wait() -> None:
    async def act(server: Server, readers: Readers) -> None:
        first, *others = await asked(readers, "1a", *(f"2-{at}" for at in range(MANY)))
        await readers.close()
        for each in others:
            with pytest.raises(Unavailable, match="stopping"):
                await each
        await server.end("1a")
        assert first.result() == [("1a",)]

    on(act)
