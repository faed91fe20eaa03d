"""Ids: made by the block, none of them twice, whichever thread asks."""

from __future__ import annotations

import itertools
import re
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from adjoin.service.world import World

# Version 7, of a time in the few milliseconds that are looked at.
BETWEEN: Final = re.compile("01a3185c-50[0-9a-f]{2}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


class Source:
    """Gives numbers in place of random bytes, so that none comes twice by chance."""

    def __init__(self) -> None:
        self.asked: list[int] = []
        self._numbers = itertools.count()

    def __call__(self, count: int) -> bytes:
        self.asked.append(count)
        pieces = [next(self._numbers).to_bytes(16) for _ in range(-(-count // 16))]
        return b"".join(pieces)[:count]


def test_the_system_is_asked_for_a_block_at_a_time() -> None:
    source = Source()
    world = World(random=source)
    for _ in range(200):
        world.new_request_id()
    assert len(source.asked) <= 4


def test_an_id_that_tells_nothing_is_of_version_4() -> None:
    world = World(random=Source())
    assert [world.new_request_id() for _ in range(64)][-1] == "00000000-0000-4000-8000-000000000000"
    world = World(random=lambda count: b"\xff" * count)
    assert world.new_request_id() == "ffffffff-ffff-4fff-bfff-ffffffffffff"
    world = World()
    assert all(uuid.UUID(world.new_request_id()).version == 4 for _ in range(300))


def test_none_is_given_twice() -> None:
    world = World(random=Source())
    with ThreadPoolExecutor(4) as threads:
        some = threads.map(lambda _: [world.new_request_id() for _ in range(5_000)], range(4))
        given = [each for part in some for each in part]
    assert len(set(given)) == len(given) == 20_000


def test_ids_are_greater_than_those_made_before_as_far_as_the_clock_tells() -> None:
    times = [1_800_000_000 + number * 1e-6 for number in range(0, 5_000, 7)]
    clock = iter(times)
    world = World(now=lambda: next(clock))
    made = [world.new_id() for _ in times]
    assert made == sorted(made)
    assert all(BETWEEN.fullmatch(each) for each in made)
