"""Waiting that ends: for those who wait too long, for nobody else, and never in place of another end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from adjoin.web import patience
from adjoin.web.patience import Watch


@pytest.fixture(autouse=True)
def _looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "_LOOK_SECONDS", 0.005)


def on_a_loop(act: Callable[[Watch], Awaitable[Any]]) -> Any:
    async def run() -> Any:
        return await act(Watch())

    return asyncio.run(run())


def test_what_comes_in_time_is_given() -> None:
    async def act(watch: Watch) -> str:
        with watch.until(60):
            await asyncio.sleep(0)
            return "there"

    assert on_a_loop(act) == "there"


def test_what_does_not_come_is_given_up_and_the_task_goes_on() -> None:
    async def act(watch: Watch) -> int:
        with pytest.raises(TimeoutError), watch.until(0):
            await asyncio.Event().wait()
        await asyncio.sleep(0.001)
        task = asyncio.current_task()
        assert task is not None
        return task.cancelling()

    assert on_a_loop(act) == 0


def test_time_that_was_earned_counts() -> None:
    async def act(watch: Watch) -> None:
        with watch.until(0) as waiting:
            waiting.extend(60)
            await asyncio.sleep(0.05)

    on_a_loop(act)


def test_of_many_those_alone_end_who_waited_too_long() -> None:
    async def act(watch: Watch) -> list[bool]:
        async def wait(seconds: float, event: asyncio.Event) -> bool:
            try:
                with watch.until(seconds):
                    return await event.wait()
            except TimeoutError:
                return False

        event = asyncio.Event()
        tasks = [asyncio.create_task(wait(seconds, event)) for seconds in (0, 60, 0, 60)]
        await asyncio.wait([tasks[0], tasks[2]])
        event.set()
        return await asyncio.gather(*tasks)

    assert on_a_loop(act) == [False, True, False, True]


def test_whoever_else_ends_the_task_is_heard() -> None:
    async def act(watch: Watch) -> None:
        async def wait() -> None:
            with watch.until(60):
                await asyncio.Event().wait()

        task = asyncio.create_task(wait())
        await asyncio.sleep(0.02)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    on_a_loop(act)


def test_whoever_else_ended_the_task_just_before_is_heard() -> None:
    async def act(watch: Watch) -> None:
        kept = []

        async def wait() -> None:
            with watch.until(60) as waiting:
                kept.append(waiting)
                await asyncio.Event().wait()

        task = asyncio.create_task(wait())
        await asyncio.sleep(0)
        task.cancel()
        kept[0].give_up()
        with pytest.raises(asyncio.CancelledError):
            await task

    on_a_loop(act)


def test_an_error_within_stays_what_it_is() -> None:
    async def act(watch: Watch) -> None:
        with pytest.raises(LookupError), watch.until(60):
            raise LookupError

    on_a_loop(act)
