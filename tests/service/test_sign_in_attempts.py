"""Failures in a row, and the waits after them."""

from __future__ import annotations

import pytest

from adjoin.service.sign_in_attempts import Attempts, Patience
from adjoin.service.sign_in_people import network

PATIENCE = Patience(free=3, first=10, longest=35)


def test_the_wait_doubles_up_to_the_longest() -> None:
    attempts = Attempts()
    waits = []
    for _ in range(7):
        waits.append(attempts.wait("x", PATIENCE, 100.0))
        attempts.count("x", 100.0)
    assert waits == [0, 0, 0, 10, 20, 35, 35]


@pytest.mark.parametrize(("later", "wait"), [(0.0, 10), (9.0, 1), (9.5, 1), (10.0, 0)])
def test_a_wait_ends(later: float, wait: int) -> None:
    attempts = Attempts()
    for _ in range(3):
        attempts.count("x", 100.0)
    assert attempts.wait("x", PATIENCE, 100.0 + later) == wait


def test_a_day_without_failure_is_a_new_start() -> None:
    attempts = Attempts()
    for _ in range(9):
        attempts.count("x", 0.0)
    attempts.count("x", 86_401.0)
    assert attempts.wait("x", PATIENCE, 86_401.0) == 0


def test_a_clock_that_is_set_back_makes_no_wait_longer() -> None:
    attempts = Attempts()
    for _ in range(3):
        attempts.count("x", 10_000.0)
    assert attempts.wait("x", PATIENCE, 100.0) == 10
    assert attempts.wait("x", PATIENCE, 110.0) == 0


def test_forgiving() -> None:
    attempts = Attempts()
    for _ in range(4):
        attempts.count("x", 0.0)
    attempts.forgive("x")
    assert attempts.wait("x", PATIENCE, 0.0) == 10
    attempts.forgive("x", all_of_them=True)
    assert attempts.wait("x", PATIENCE, 0.0) == 0
    attempts.forgive("never seen")


@pytest.mark.parametrize(
    ("address", "counted"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        (None, ""),
        ("a name", "a name"),
    ],
)
def test_whose_address_it_is(address: str | None, counted: str) -> None:
    assert network(address) == counted
