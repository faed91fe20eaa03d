"""What a group commit promises to each of its jobs, on either database."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from tests.store.jobs import (
    INSERT,
    Act,
    Wrong,
    count_and_put,
    fail,
    gather_and_fail,
    gathering,
    in_one_group,
    names,
    put,
    put_and_fail,
)
from tests.store.opened import Place, on

from adjoin.store.database import Database, Session, Unavailable
from adjoin.store.statements import Everywhere


class TestJobs:
    def test_gives_each_job_its_own_result(self, place: Place) -> None:
        async def act(database: Database) -> None:
            jobs = [put(f"{number:03}") for number in range(100)]
            assert await in_one_group(database, jobs) == await names(database) == [f"{n:03}" for n in range(100)]

        on(place, act)

    def test_runs_jobs_in_the_order_they_came(self, place: Place) -> None:
        async def act(database: Database) -> None:
            assert await in_one_group(database, [count_and_put(str(n)) for n in range(20)]) == list(range(20))

        on(place, act)

    @pytest.mark.parametrize("at", [0, 1, 2])
    @pytest.mark.parametrize("failing", [put_and_fail, gather_and_fail, fail])
    def test_a_failing_job_hurts_no_neighbour_and_leaves_nothing(
        self, place: Place, failing: Callable[[str], Act], at: int
    ) -> None:
        async def act(database: Database) -> None:
            jobs = [put("a"), put("b")]
            jobs.insert(at, failing("bad"))
            results = await in_one_group(database, jobs)
            error = results.pop(at)
            assert isinstance(error, Wrong)
            assert results == ["a", "b"]
            assert await names(database) == ["a", "b"]

        on(place, act)

    def test_jobs_that_are_run_again_alone_give_what_they_find_then(self, place: Place) -> None:
        async def act(database: Database) -> None:
            jobs = [count_and_put("a"), put_and_fail("bad"), count_and_put("b"), count_and_put("c")]
            first, error, *rest = await in_one_group(database, jobs)
            assert isinstance(error, Wrong)
            assert [first, *rest] == [0, 1, 2]

        on(place, act)

    def test_a_broken_constraint_is_its_own_jobs_alone(self, place: Place) -> None:
        async def act(database: Database) -> None:
            first, second, third = await in_one_group(database, [put("a"), put("a"), put("b")])
            assert (first, third) == ("a", "b")
            assert isinstance(second, Unavailable)
            assert await names(database) == ["a", "b"]

        on(place, act)

    @hypothesis_settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(kinds=st.lists(st.sampled_from([put, put_and_fail, fail]), min_size=1, max_size=12))
    def test_exactly_the_jobs_that_succeeded_are_kept(self, place: Place, kinds: list[Callable[[str], Act]]) -> None:
        async def act(database: Database) -> None:
            await database.write(lambda session: session.fetch(Everywhere("DELETE FROM settings")))
            jobs = [kind(f"{at:02}") for at, kind in enumerate(kinds)]
            results = await in_one_group(database, jobs)
            succeeded = [f"{at:02}" for at, kind in enumerate(kinds) if kind is put]
            assert [each for each in results if isinstance(each, str)] == await names(database) == succeeded
            assert all(isinstance(each, str | Wrong) for each in results)

        on(place, act)

    def test_a_job_that_awaits_anything_else_is_refused_and_leaves_nothing(self, place: Place) -> None:
        async def waits(session: Session) -> None:
            await session.fetch(INSERT, ("bad", b""))
            await asyncio.sleep(0)

        async def act(database: Database) -> None:
            first, error, second = await in_one_group(database, [put("a"), waits, put("b")])
            assert isinstance(error, RuntimeError)
            assert (first, second) == ("a", "b")
            assert await names(database) == ["a", "b"]

        on(place, act)

    def test_a_caller_that_gives_up_waiting_hurts_no_other(self, place: Place) -> None:
        async def act(database: Database) -> None:
            async with gathering(database):
                gone, stays = (asyncio.ensure_future(database.write(put(name))) for name in ("gone", "stays"))
                await asyncio.sleep(0)
                gone.cancel()
            assert await stays == "stays"
            assert await database.write(put("later")) == "later"

        on(place, act)
