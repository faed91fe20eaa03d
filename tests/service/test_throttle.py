"""The limits of graph-contract 1.6, on a clock that stands where the test puts it."""

import pytest

from adjoin.service.errors import Throttled
from adjoin.service.throttle import BadLimits, Limits, Throttle

SMALL = Limits(writes_per_tenant=4, writes_per_application=3, calls_per_tenant=8, calls_per_application=6, seconds=20)


def calls(throttle: Throttle, number: int, client: str = "app", *, write: bool = False, now: float = 100.0) -> int:
    """How many of `number` calls pass."""
    passed = 0
    for _ in range(number):
        try:
            throttle.count("tenant", client, write, now)
            passed += 1
        except Throttled:
            pass
    return passed


def test_the_documented_limits_are_the_default() -> None:
    assert Limits.parse("graph") == Limits(200, 100, 2_000, 1_000, 20)


def test_own_figures_are_read_in_order() -> None:
    assert Limits.parse("1,2,3,4/5") == Limits(1, 2, 3, 4, 5)
    assert Limits.parse("1,2,3,4") == Limits(1, 2, 3, 4, 20)


def test_off_is_no_limit() -> None:
    assert Limits.parse("off") is None


@pytest.mark.parametrize("text", ["", "on", "1,2,3", "1,2,3,4/0", "-1,2,3,4", "1,2,3,4/1000", "1.5,2,3,4"])
def test_what_is_no_limit_is_refused(text: str) -> None:
    with pytest.raises(BadLimits):
        Limits.parse(text)


def test_one_application_has_less_than_its_tenant() -> None:
    throttle = Throttle(SMALL)
    assert calls(throttle, 10) == 6
    assert calls(throttle, 10, "other") == 0, "refused calls count against the tenant, too"


def test_an_application_leaves_room_for_another() -> None:
    throttle = Throttle(SMALL)
    assert calls(throttle, 6) == 6
    assert calls(throttle, 10, "other") == 2


def test_changes_have_limits_of_their_own() -> None:
    throttle = Throttle(SMALL)
    assert calls(throttle, 4, write=True) == 3
    assert calls(throttle, 1) == 1


def test_tenants_do_not_share() -> None:
    throttle = Throttle(SMALL)
    calls(throttle, 20)
    throttle.count("another tenant", "app", False, 100.0)


def test_a_new_window_begins_afresh() -> None:
    throttle = Throttle(SMALL)
    calls(throttle, 20, now=119.9)
    assert calls(throttle, 6, now=120.0) == 6


@pytest.mark.parametrize(("now", "wait"), [(100.0, 20), (100.5, 20), (101.0, 19), (119.99, 1)])
def test_a_refused_caller_is_told_when_the_next_window_begins(now: float, wait: int) -> None:
    throttle = Throttle(SMALL)
    calls(throttle, 6, now=now)
    with pytest.raises(Throttled) as refusal:
        throttle.count("tenant", "app", False, now)
    assert refusal.value.retry_after == wait


def test_no_wait_is_longer_than_clients_bear() -> None:
    throttle = Throttle(Limits(1, 1, 1, 1, 600))
    calls(throttle, 1, now=0.0)
    with pytest.raises(Throttled) as refusal:
        throttle.count("tenant", "app", False, 0.0)
    assert refusal.value.retry_after == 179
