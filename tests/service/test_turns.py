"""A chore is due once in a second, for each thing by itself, and whenever the clock was set back."""

from __future__ import annotations

from adjoin.service.turns import Turns


def test_a_chore_is_due_once_in_a_second() -> None:
    turns = Turns()
    assert [turns.take("chore", 100 + at) for at in (0, 0, 0.5, 0.99, 1.0, 1.5, 2.0)] == [
        *(True, False, False, False),
        *(True, False, True),
    ]


def test_each_chore_by_itself() -> None:
    turns = Turns()
    assert turns.take("one", 100)
    assert turns.take("other", 100)
    assert not turns.take("one", 100)


def test_a_clock_that_was_set_back() -> None:
    turns = Turns()
    assert [turns.take("chore", at) for at in (1_000, 10, 10.5, 11)] == [True, True, False, True]
