"""Random bytes by the block: as many as are asked for, none of them twice, whichever thread asks."""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor

import pytest

from adjoin.service.world import RandomBlock


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
