"""Slots of those who are told at a time: bounded, and shared among tenants."""

from __future__ import annotations

from adjoin.service.courier import CONNECTIONS
from adjoin.service.slots import PER_HOST, SHARED, SHARED_OF_HOST, Slots


def filled(slots: Slots, tenant: int, hosts: int, each: int) -> int:
    """How many slots a tenant gets that has so many receivers on each of some hosts."""
    return sum(slots.take(tenant, f"host{at % hosts}") for at in range(hosts * each))


def test_one_tenant_leaves_some_of_all_to_others() -> None:
    slots = Slots()
    assert filled(slots, 1, 100, 1) == SHARED
    assert [slots.free(1), slots.free(2)] == [False, True]
    assert sum(slots.take(tenant, f"of {tenant}") for tenant in range(2, 100)) == CONNECTIONS - SHARED


def test_one_tenant_leaves_some_of_a_host_to_others() -> None:
    slots = Slots()
    assert filled(slots, 1, 1, 100) == SHARED_OF_HOST
    assert (slots.full(1), slots.full(2)) == (["host0"], [])
    assert sum(slots.take(tenant, "host0") for tenant in range(2, 100)) == PER_HOST - SHARED_OF_HOST
    assert slots.full(100) == ["host0"]


def test_what_is_given_back_can_be_taken_again() -> None:
    slots = Slots()
    filled(slots, 1, 1, 100)
    slots.give_back(1, "host0")
    assert [slots.take(1, "host0"), slots.take(1, "host0")] == [True, False]


def test_who_has_fewest_comes_first_and_of_these_who_has_waited_longest() -> None:
    slots = Slots()
    for tenant in (3, 1, 2, 2):
        slots.take(tenant, "host")
    assert slots.in_turn([1, 2, 3, 4]) == [4, 3, 1, 2]
    slots.give_back(3, "host")
    assert slots.in_turn([1, 2, 3, 4]) == [4, 3, 1, 2]
    slots.forget([])
    assert slots.in_turn([3, 4]) == [3, 4]
