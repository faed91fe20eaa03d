"""The slots of those who are told at a time: bounded in all and for each host, and shared among tenants.

A few of all, and of each host's, are for tenants that hold none there: who has many receivers that do not answer fills
the others, and holds up itself. Pure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from itertools import count
from typing import Final, TypeVar

from adjoin.service.courier import CONNECTIONS

K = TypeVar("K")

PER_HOST: Final = 16
"""How many receivers of one host are told at a time."""

SHARED: Final = CONNECTIONS * 3 // 4
"""So many slots anybody may take; those beyond go to tenants that have none."""

SHARED_OF_HOST: Final = PER_HOST * 3 // 4


class Slots:
    """Which slots are taken."""

    def __init__(self) -> None:
        self.taken = 0
        self._tenants: Counter[int] = Counter()
        self._hosts: Counter[str] = Counter()
        self._both: Counter[tuple[int, str]] = Counter()
        self._turns = count(1)
        self._last: dict[int, int] = {}

    def take(self, tenant: int, host: str) -> bool:
        """Take a slot for a receiver of a tenant on this host, if there is one."""
        if not self.free(tenant) or not self._free_at(tenant, host):
            return False
        self.taken += 1
        self._tenants[tenant] += 1
        self._hosts[host] += 1
        self._both[tenant, host] += 1
        self._last[tenant] = next(self._turns)
        return True

    def free(self, tenant: int) -> bool:
        """Whether there is a slot for a tenant, on some host."""
        return self.taken < (CONNECTIONS if tenant not in self._tenants else SHARED)

    def _free_at(self, tenant: int, host: str) -> bool:
        return self._hosts[host] < (PER_HOST if (tenant, host) not in self._both else SHARED_OF_HOST)

    def full(self, tenant: int) -> list[str]:
        """The hosts that have no slot for a tenant."""
        return [host for host in self._hosts if not self._free_at(tenant, host)]

    def give_back(self, tenant: int, host: str) -> None:
        self.taken -= 1
        _less(self._tenants, tenant)
        _less(self._hosts, host)
        _less(self._both, (tenant, host))

    def in_turn(self, tenants: Iterable[int]) -> list[int]:
        """Tenants in the order of their turns: first who holds fewest slots, and of these who has waited longest."""
        return sorted(tenants, key=lambda each: (self._tenants[each], self._last.get(each, 0)))

    def forget(self, tenants: Iterable[int]) -> None:
        """Keep in mind no other tenants than these."""
        kept = {*tenants, *self._tenants}
        self._last = {tenant: turn for tenant, turn in self._last.items() if tenant in kept}


def _less(counter: Counter[K], key: K) -> None:
    counter[key] -= 1
    if not counter[key]:
        del counter[key]
