"""Random bytes by the block: as many as are asked for, none of them twice, whichever thread asks."""

from __future__ import annotations

import itertools
import re
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import pytest

from adjoin.service.world import RandomBlock, World

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
    give = RandomBlock(source)
    for _ in range(200):
        give(16)
    assert len(source.asked) <= 3


@pytest.mark.parametrize("count", [1, 10, 16, 17, 4_096, 10_000])
def test_as_many_are_given_as_are_asked_for(count: int) -> None:
    give = RandomBlock()
    assert {len(give(count)) for _ in range(600)} == {count}


def test_none_is_given_twice() -> None:
    give = RandomBlock(Source())
    with ThreadPoolExecutor(4) as threads:
        given = [piece for some in threads.map(lambda _: [give(16) for _ in range(5_000)], range(4)) for piece in some]
    assert len(set(given)) == len(given) == 20_000


def test_ids_are_greater_than_those_made_before_as_far_as_the_clock_tells() -> None:
    times = [1_800_000_000 + number * 1e-6 for number in range(0, 5_000, 7)]
    clock = iter(times)
    world = World(now=lambda: next(clock))
    made = [world.new_id() for _ in times]
    assert made == sorted(made)
    assert all(BETWEEN.fullmatch(each) for each in made)
