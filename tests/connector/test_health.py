"""The connector's own checks."""

from __future__ import annotations

import pytest

from adjoin.connector import health


@pytest.mark.parametrize(
    ("skew", "detail"),
    [
        (None, None),
        (0.0, None),
        (300.0, None),
        (-300.0, None),
        (301.0, "5 minutes ahead of"),
        (-86_400.0, "24 hours behind"),
        (864_000.0, "10 days ahead of"),
    ],
)
def test_a_clock_is_well_within_five_minutes(skew: float | None, detail: str | None) -> None:
    found = health.clock(skew)
    assert found["ok"] is (detail is None)
    assert (detail or "") in str(found.get("detail", ""))


def test_one_server_that_answers_is_enough() -> None:
    assert health.servers(0, 2) == {"name": "servers", "ok": True, "detail": ""}
    assert health.servers(1, 2) == {"name": "servers", "ok": True, "detail": "1 of 2 servers did not answer."}
