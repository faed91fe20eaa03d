"""Names of receivers: looked up beside everything else, once at a time, remembered for a while, never all at once."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from adjoin.service import names as names_module
from adjoin.service.names import KEPT_SECONDS, KEPT_SECONDS_OF_FAILURES, THREADS, UNKNOWN, Names, UnknownName


class Resolver:
    """Name servers: those of names that begin with `dead` do not answer until they are let."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.time = 0.0
        self.answers = threading.Event()
        self.fails = False

    def __call__(self, host: str) -> list[str]:
        self.asked.append(host)
        if host.startswith("dead"):
            self.answers.wait()
        if self.fails:
            raise OSError(-3, "Temporary failure in name resolution")
        return ["192.0.2.1", "192.0.2.2", "192.0.2.1"]

    def now(self) -> float:
        return self.time


def run(resolver: Resolver, act: Callable[[Names], Coroutine[Any, Any, None]]) -> None:
    async def whole() -> None:
        names = Names(resolver, resolver.now)
        try:
            await act(names)
        finally:
            resolver.answers.set()
            await names.close()

    asyncio.run(whole())


@pytest.fixture
def resolver() -> Resolver:
    return Resolver()


def test_each_address_comes_once(resolver: Resolver) -> None:
    async def act(names: Names) -> None:
        assert await names.addresses("a.example") == ("192.0.2.1", "192.0.2.2")

    run(resolver, act)


@pytest.mark.parametrize("literal", ["192.0.2.7", "::1"])
def test_an_address_is_not_looked_up(resolver: Resolver, literal: str) -> None:
    async def act(names: Names) -> None:
        assert await names.addresses(literal) == (literal,)

    run(resolver, act)
    assert resolver.asked == []


@pytest.mark.parametrize(("fails", "seconds"), [(False, KEPT_SECONDS), (True, KEPT_SECONDS_OF_FAILURES)])
def test_what_was_found_is_remembered_for_a_while(resolver: Resolver, fails: bool, seconds: float) -> None:
    resolver.fails = fails

    async def ask(names: Names) -> None:
        if fails:
            with pytest.raises(UnknownName, match=r"a\.example is not known: Temporary failure"):
                await names.addresses("a.example")
        else:
            await names.addresses("a.example")

    async def act(names: Names) -> None:
        numbers = []
        for time in (0.0, seconds - 0.5, seconds):
            resolver.time = time
            await ask(names)
            numbers.append(len(resolver.asked))
        assert numbers == [1, 1, 2]

    run(resolver, act)


def test_what_was_of_no_use_is_looked_up_anew(resolver: Resolver) -> None:
    async def act(names: Names) -> None:
        await names.addresses("a.example")
        names.forget("a.example")
        await names.addresses("a.example")

    run(resolver, act)
    assert len(resolver.asked) == 2


def test_a_name_is_looked_up_once_at_a_time_whoever_gives_up(resolver: Resolver) -> None:
    async def act(names: Names) -> None:
        asking = [asyncio.ensure_future(names.addresses("dead.example")) for _ in range(5)]
        await asyncio.sleep(0)
        asking[0].cancel()
        await asyncio.wait(asking[:1])
        resolver.answers.set()
        assert await asyncio.gather(*asking[1:]) == [("192.0.2.1", "192.0.2.2")] * 4

    run(resolver, act)
    assert resolver.asked == ["dead.example"]


def test_dead_name_servers_leave_room_for_names_that_were_answered(resolver: Resolver) -> None:
    async def act(names: Names) -> None:
        await names.addresses("a.example")
        resolver.time += KEPT_SECONDS
        dead = [asyncio.ensure_future(names.addresses(f"dead{number}.example")) for number in range(2 * THREADS)]
        await asyncio.sleep(0)
        assert await names.addresses("a.example") == ("192.0.2.1", "192.0.2.2")
        assert len([each for each in resolver.asked if each.startswith("dead")]) <= UNKNOWN
        resolver.answers.set()
        await asyncio.gather(*dead)

    run(resolver, act)


def test_a_name_that_cannot_be_encoded() -> None:
    async def act() -> None:
        with pytest.raises(UnknownName, match="not known"):
            await Names().addresses(f"{'a' * 64}.example")

    asyncio.run(act())


def test_what_is_remembered_is_bounded(resolver: Resolver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(names_module, "_SIZE", 3)

    async def act(names: Names) -> None:
        for number in range(10):
            await names.addresses(f"{number}.example")
        assert len(names._known) == 3

    run(resolver, act)
