"""The turnstile: the first to come first, one in a turn of the loop, and whoever else is ready in between."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from adjoin.web.turnstile import Turnstile


def on_a_loop(act: Callable[[Turnstile, list[str]], Awaitable[None]]) -> list[str]:
    async def run() -> list[str]:
        passed: list[str] = []
        await act(Turnstile(), passed)
        return passed

    return asyncio.run(run())


async def passing(turnstile: Turnstile, passed: list[str], name: str) -> None:
    await turnstile.go_through()
    passed.append(name)


def test_who_comes_alone_does_not_wait() -> None:
    async def act(turnstile: Turnstile, passed: list[str]) -> None:
        for name in "abc":
            going = turnstile.go_through()
            try:
                going.send(None)
            except StopIteration:
                passed.append(name)
            await asyncio.sleep(0.001)

    assert on_a_loop(act) == ["a", "b", "c"]


def test_the_first_to_come_go_first() -> None:
    async def act(turnstile: Turnstile, passed: list[str]) -> None:
        await asyncio.gather(*(passing(turnstile, passed, str(number)) for number in range(50)))

    assert on_a_loop(act) == [str(number) for number in range(50)]


def test_others_come_between() -> None:
    """A crowd of fifty is in front; who is ready meanwhile is held up for the time of a few of them."""

    async def act(turnstile: Turnstile, passed: list[str]) -> None:
        crowd = [asyncio.create_task(passing(turnstile, passed, "crowd")) for _ in range(50)]
        await asyncio.sleep(0)
        for _ in range(5):
            await asyncio.sleep(0)
            passed.append("other")
        await asyncio.gather(*crowd)

    passed = on_a_loop(act)
    assert passed.count("crowd") == 50
    assert len(passed) - passed[::-1].index("other") <= 20


def test_what_is_put_there_is_done_in_its_turn() -> None:
    async def act(turnstile: Turnstile, passed: list[str]) -> None:
        for name in "abc":
            turnstile.put(lambda name=name: passed.append(name))  # type: ignore[misc]
        last = asyncio.create_task(passing(turnstile, passed, "last"))
        assert passed == []
        for done in (["a"], ["a", "b"], ["a", "b", "c"]):
            await asyncio.sleep(0)
            assert passed == done
        await last

    assert on_a_loop(act) == ["a", "b", "c", "last"]


def test_who_gives_up_holds_up_nobody() -> None:
    async def act(turnstile: Turnstile, passed: list[str]) -> None:
        tasks = [asyncio.create_task(passing(turnstile, passed, str(number))) for number in range(6)]
        await asyncio.sleep(0)
        for task in tasks[1:4]:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await passing(turnstile, passed, "later")

    assert on_a_loop(act) == ["0", "4", "5", "later"]


def test_a_large_crowd_is_through_before_long_however_busy_the_loop_is() -> None:
    """One by one a thousand would take a thousand turns, each as long as everything else makes it."""

    async def act(turnstile: Turnstile, passed: list[str]) -> None:
        crowd = [asyncio.create_task(passing(turnstile, passed, "crowd")) for _ in range(1_000)]
        turns = 0
        while len(passed) < 1_000:
            await asyncio.sleep(0)
            turns += 1
        await asyncio.gather(*crowd)
        assert turns < 150

    assert len(on_a_loop(act)) == 1_000
