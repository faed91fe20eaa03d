"""What is remembered of callers: given back as it was, in little memory, and never more than there is room for."""

from __future__ import annotations

import sys
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any, Final

from hypothesis import given
from hypothesis import strategies as st

from adjoin.identity.caller import Caller, Kind
from adjoin.identity.remembered import Remembered

TENANT: Final = "77296cf7-6cf7-7729-f76c-2977f76c2977"
GUIDS: Final = st.uuids().map(str)
# Providers choose some texts freely, and what only looks like a GUID must not be taken for one.
TEXTS: Final = GUIDS | st.text(max_size=40) | GUIDS.map(str.upper) | GUIDS.map(lambda text: text.replace("-", ""))
TIMES: Final = st.integers(-(2**40), 2**40)
CALLERS: Final = st.builds(
    Caller,
    tenant_id=TEXTS,
    subject=TEXTS,
    client_id=TEXTS,
    kind=st.sampled_from(Kind),
    permissions=st.frozensets(st.text(max_size=10), max_size=3),
    personal=st.booleans(),
    not_before=TIMES,
    expires=TIMES,
    issued=st.none() | TIMES,
    issuer=st.none() | TEXTS,
    can_take_challenge=st.booleans(),
    name=st.none() | TEXTS,
)


def digest(number: int) -> bytes:
    return number.to_bytes(16)


def connector(number: int, **changes: Any) -> Caller:
    """A caller as connectors are: all alike but for their ids and names."""
    key = f"{number:08x}-1111-4111-8111-111111111111"
    usual: dict[str, Any] = {
        "tenant_id": TENANT,
        "subject": key,
        "client_id": key,
        "kind": Kind.APPLICATION,
        "permissions": frozenset({"Connector.Act"}),
        "personal": False,
        "not_before": 1_799_999_700,
        "expires": 1_800_003_600,
        "issued": 1_800_000_000,
        "issuer": None,
        "can_take_challenge": False,
        "name": f"ODJ-SRV{number:05}",
    }
    return Caller(**usual | changes)


@given(st.lists(st.tuples(CALLERS, st.integers(0, 300)), max_size=20))
def test_callers_are_given_back_as_they_were(callers: list[tuple[Caller, int]]) -> None:
    remembered = Remembered(64)
    for number, (caller, skew) in enumerate(callers):
        remembered.keep(digest(number), caller, skew, -(2**50))
    for number, known in enumerate(callers):
        assert remembered.find(digest(number)) == known
    assert remembered.find(digest(len(callers))) is None


@given(st.integers(1, 100), st.integers(0, 300))
def test_there_are_never_more_than_so_many_and_the_last_are_among_them(size: int, count: int) -> None:
    remembered = Remembered(size)
    for number in range(count):
        remembered.keep(digest(number), connector(number), 0, 0)
        assert len(remembered) <= size
    for number in range(max(0, count - max(1, size * 3 // 4)), count):
        assert remembered.find(digest(number)) is not None


def test_one_that_is_dropped_is_gone() -> None:
    remembered = Remembered(64)
    for number in range(20):
        remembered.keep(digest(number), connector(number), 0, 0)
    remembered.drop(digest(3))
    assert (remembered.find(digest(3)), len(remembered)) == (None, 19)


def test_what_is_over_makes_room_before_there_are_too_many() -> None:
    remembered = Remembered(160)
    for number in range(100):
        remembered.keep(digest(number), connector(number), 0, 1_800_000_000)
    for number in range(100, 120):
        remembered.keep(digest(number), connector(number, expires=1_800_007_200), 0, 1_800_003_600)
    assert len(remembered) <= 30
    assert remembered.find(digest(119)) is not None


def test_ten_thousand_take_two_megabytes() -> None:
    remembered = Remembered(16_000)
    tracemalloc.start()
    try:
        for number in range(10_000):
            remembered.keep(digest(number), connector(number), 0, 0)
        used, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert used < 2.2 * 2**20


def test_threads_never_give_one_another_s_caller() -> None:
    """Each thread keeps callers of a tenant of its own, in a memory that each of them is the first to come to."""
    switching = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(2) as threads:
            for _ in range(500):
                remembered, together = Remembered(8), Barrier(2)

                def act(mine: int, remembered: Remembered = remembered, together: Barrier = together) -> bool:
                    together.wait()
                    right = True
                    for number in range(mine, 12, 2):
                        tenant = f"00000000-0000-4000-8000-{mine:012x}"
                        remembered.keep(digest(number), connector(number, tenant_id=tenant), 0, 0)
                        found = remembered.find(digest(number))
                        right = right and (found is None or found[0].tenant_id == tenant)
                    return right

                assert all(threads.map(act, range(2)))
    finally:
        sys.setswitchinterval(switching)
