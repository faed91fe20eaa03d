"""The turnstile: the first to come first, one in a turn of the loop, and whoever else is ready in between."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

import pytest

from adjoin.web.turnstile import Turnstile

TICK: Final = 0.001


def on_a_loop(act: Callable[[Turnstile, list[str]], Awaitable[None]]) -> list[str]:
    async def run() -> list[str]:
        passed: list[str] = []
        await act(Turnstile(pace=1e9), passed)
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
    assert len(passed) - passed[::-1].index("other") <= 26


def test_what_is_put_there_is_done_in_its_turn() -> None:
    async def act(turnstile: Turnstile, passed: list[str]) -> None:
        for name in "abcdefghij":
            turnstile.put(lambda name=name: passed.append(name))  # type: ignore[misc]
        last = asyncio.create_task(passing(turnstile, passed, "last"))
        assert passed == []
        for done in ("abcd", "abcdefgh", "abcdefghij"):
            await asyncio.sleep(0)
            assert passed == list(done)
        await last

    assert on_a_loop(act) == [*"abcdefghij", "last"]


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
        assert turns < 200

    assert len(on_a_loop(act)) == 1_000


class Clocked:
    """The loop that runs, with a clock of its own, which a test sets."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._now = 0.0
        self._later: list[tuple[float, Callable[[], None]]] = []

    def time(self) -> float:
        return self._now

    def call_later(self, seconds: float, act: Callable[[], None]) -> None:
        self._later.append((self._now + seconds, act))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loop, name)

    async def go_on(self, seconds: float) -> None:
        """Let so much time pass; what is ready is done first, and again after each tick."""
        until = self._now + seconds
        while self._now < until:
            for _ in range(50):
                await asyncio.sleep(0)
            self._now += TICK
            due = [act for when, act in self._later if when <= self._now]
            self._later = [each for each in self._later if each[0] > self._now]
            for act in due:
                act()


@pytest.mark.parametrize(
    ("crowd", "seconds", "least", "most"),
    [(40, 0.01, 18, 28), (40, 0.1, 40, 40), (2_000, 0.1, 1_500, 2_000), (2_000, 0.5, 2_000, 2_000)],
)
def test_no_more_come_in_than_the_pace_allows_unless_the_crowd_is_large(
    crowd: int, seconds: float, least: int, most: int
) -> None:
    async def act() -> None:
        turnstile, passed, loop = Turnstile(pace=1_000), list[str](), Clocked()
        turnstile._loop = loop  # type: ignore[assignment]
        tasks = [asyncio.create_task(passing(turnstile, passed, "crowd")) for _ in range(crowd)]
        await loop.go_on(seconds)
        assert least <= len(passed) <= most
        await loop.go_on(2.0)
        await asyncio.gather(*tasks)

    asyncio.run(act())


def test_nobody_who_went_through_is_kept_in() -> None:
    async def act() -> None:
        turnstile, passed, loop = Turnstile(pace=100), list[str](), Clocked()
        turnstile._loop = loop  # type: ignore[assignment]
        tasks = [asyncio.create_task(passing(turnstile, passed, "coming")) for _ in range(30)]
        await loop.go_on(TICK)
        came = len(passed)
        assert came < 30
        for _ in range(20):
            turnstile.put(lambda: passed.append("leaving"))
        await loop.go_on(TICK)
        assert passed[came:] == ["leaving"] * 20
        await loop.go_on(1.0)
        await asyncio.gather(*tasks)

    asyncio.run(act())


def test_what_fails_there_ends_no_turns() -> None:
    heard: list[BaseException] = []

    async def act(turnstile: Turnstile, passed: list[str]) -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: heard.append(context["exception"]))
        turnstile.put(lambda: passed.append(str(1 // 0)))
        turnstile.put(lambda: passed.append("next"))
        await asyncio.wait_for(passing(turnstile, passed, "last"), 10)

    assert on_a_loop(act) == ["next", "last"]
    assert [type(each) for each in heard] == [ZeroDivisionError]


def at_one_moment(act: Callable[[Turnstile, list[str]], Awaitable[None]], monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What passes while the loop's clock stands."""

    async def run() -> list[str]:
        loop = asyncio.get_running_loop()
        moment = loop.time()
        monkeypatch.setattr(loop, "time", lambda: moment)
        passed: list[str] = []
        turnstile = Turnstile()
        # A new one has not looked at the clock yet.
        turnstile._counted = moment
        await act(turnstile, passed)
        return passed

    return asyncio.run(run())


def test_who_goes_straight_through_counts_as_who_waited(monkeypatch: pytest.MonkeyPatch) -> None:
    async def act(turnstile: Turnstile, passed: list[str]) -> None:
        going = []
        for number in range(20):
            going.append(asyncio.create_task(passing(turnstile, passed, str(number))))
            for _ in range(3):
                await asyncio.sleep(0)
        assert [each.done() for each in going].count(False) == 4

    assert at_one_moment(act, monkeypatch) == [str(number) for number in range(16)]


def test_it_rests_while_nobody_may_come_in(monkeypatch: pytest.MonkeyPatch) -> None:
    turns: list[None] = []
    turn = Turnstile._turn

    def counted(turnstile: Turnstile) -> None:
        turns.append(None)
        turn(turnstile)

    monkeypatch.setattr(Turnstile, "_turn", counted)

    async def act(turnstile: Turnstile, passed: list[str]) -> None:
        going = [asyncio.create_task(passing(turnstile, passed, "one")) for _ in range(20)]
        for _ in range(40):
            await asyncio.sleep(0)
        before = len(turns)
        for _ in range(50):
            await asyncio.sleep(0)
        assert (len(passed), len(turns) - before) == (16, 0)
        assert [each.done() for each in going].count(False) == 4

    at_one_moment(act, monkeypatch)
