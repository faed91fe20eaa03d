"""What waits for one worker: in turns between tenants, and never more than may."""

from __future__ import annotations

import pytest

from adjoin.store.database import Overloaded
from adjoin.store.lines import SHARE, WAITING_LIMIT, Lines


def taken(lines: Lines[str], number: int) -> list[str | None]:
    return [lines.take() for _ in range(number)]


def test_lines_take_turns_and_each_keeps_its_order() -> None:
    lines: Lines[str] = Lines()
    for tenant, thing in ((1, "a1"), (1, "a2"), (1, "a3"), (2, "b1"), (3, "c1"), (3, "c2")):
        lines.put(tenant, thing)
    assert taken(lines, 6) == ["a1", "b1", "c1", "a2", "c2", "a3"]


def test_ends_once_what_waited_was_taken() -> None:
    lines: Lines[str] = Lines()
    lines.put(1, "a")
    lines.close()
    assert taken(lines, 2) == ["a", None]


def test_a_tenant_has_its_share_and_no_more_until_some_of_it_is_done() -> None:
    lines: Lines[str] = Lines()
    for number in range(SHARE):
        lines.put(1, f"a{number}")
    with pytest.raises(Overloaded):
        lines.put(1, "a")
    assert taken(lines, 1) == ["a0"]
    with pytest.raises(Overloaded):
        lines.put(1, "a")
    lines.done(1, "a0")
    lines.put(1, "a")


def test_what_gave_up_is_not_taken() -> None:
    lines: Lines[str] = Lines()
    for thing in ("a1", "a2"):
        lines.put(1, thing)
    lines.put(2, "b1")
    lines.done(1, "a1")
    lines.done(2, "b1")
    lines.close()
    assert taken(lines, 2) == ["a2", None]


def test_where_all_is_full_a_tenant_that_has_none_may_have_one() -> None:
    lines: Lines[str] = Lines()
    for tenant in range(WAITING_LIMIT // SHARE):
        for number in range(SHARE):
            lines.put(tenant, f"{tenant}.{number}")
    lines.put(99, "a")
    with pytest.raises(Overloaded):
        lines.put(99, "b")


def test_and_many_tenants_are_bounded_too() -> None:
    lines: Lines[str] = Lines()
    for tenant in range(1_024):
        lines.put(tenant, "a")
    with pytest.raises(Overloaded):
        lines.put(1_024, "a")
