"""The service as a connector sees it: the clocks by which it counts on from the server's time."""

from __future__ import annotations

import time

import pytest

from adjoin.connector.api import Clocks


@pytest.fixture(autouse=True)
def clocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that was suspended for a thousand seconds since it was started."""
    monkeypatch.setattr(time, "monotonic", lambda: 500.0)
    monkeypatch.setattr(time, "clock_gettime", lambda number: 1_500.0 if number == 7 else -1.0, raising=False)
    monkeypatch.setattr(time, "CLOCK_BOOTTIME", 7, raising=False)


def test_the_steady_clock_goes_on_while_the_machine_is_suspended() -> None:
    assert Clocks().steady() == 1_500.0


def test_where_there_is_none_that_does_it_is_the_one_that_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(time, "CLOCK_BOOTTIME")
    assert Clocks().steady() == 500.0
