"""People: who proves by name and password to be one of the tenant's, and what ends when an account is changed.

An answer and its time tell nothing of which names there are: an unknown name costs the same hash, waits alike, and is
refused in the same words as a wrong password.
"""

from __future__ import annotations

import asyncio
import ipaddress
import unicodedata
from collections.abc import Hashable
from typing import Final

from adjoin.identity import passwords
from adjoin.service.sign_in import SignInRefusal
from adjoin.service.sign_in_attempts import Attempts, Patience
from adjoin.store import grants, revocations, users
from adjoin.store.database import Session
from adjoin.store.tenants import Tenant
from adjoin.store.users import User

# From one address against one account; against one account from anywhere; from one address against any account, in
# ten minutes. A stranger can lock an owner out by the second, and a whole office by the third, so they wait shorter.
_BOTH: Final = Patience(10, 60, 3_600)
_ACCOUNT: Final = Patience(100, 60, 900)
_ADDRESS: Final = Patience(50, 60, 600)
# Each hash takes 64 MiB and a tenth of a second of a processor or more.
_HASHES_AT_ONCE: Final = 2
_HASHES_WAITING: Final = 32


class People:
    """The check of names and passwords, with its limits. One for a running service."""

    def __init__(self) -> None:
        self._attempts = Attempts()
        self._turn = asyncio.Semaphore(_HASHES_AT_ONCE)
        self._waiting = 0

    async def signed_in(
        self, session: Session, tenant: Tenant, name: str, password: str, address: str | None, now: float
    ) -> User:
        """The person whose name and password these are. Raises SignInRefusal."""
        account = folded(name, tenant)
        keys = _keys(tenant, account, address, now)
        wait = max(self._attempts.wait(key, patience, now) for key, patience in keys)
        if wait:
            raise SignInRefusal(
                "invalid_grant",
                50053,
                "There were too many attempts to sign in with a wrong name or password. Try again later.",
                retry_after=wait,
            )
        if self._waiting >= _HASHES_WAITING:
            raise SignInRefusal(
                "temporarily_unavailable", 90055, "There are too many incoming requests. Try again.", retry_after=5
            )
        for key, _ in keys:
            self._attempts.count(key, now)
        found = await users.find_by_name(session, tenant.number, account)
        right = await self._checked(password, found.password_hash if found else passwords.NOBODY)
        if found is None or not right:
            raise SignInRefusal(
                "invalid_grant", 50126, "Error validating credentials due to invalid username or password."
            )
        self._forgive(keys)
        if not found.enabled:
            raise SignInRefusal("invalid_grant", 50057, "The user account is disabled.")
        return found

    async def _checked(self, password: str, stored: str) -> bool:
        self._waiting += 1
        try:
            async with self._turn:
                return await asyncio.to_thread(passwords.verified, password[: passwords.LONGEST + 1], stored)
        finally:
            self._waiting -= 1

    def _forgive(self, keys: list[tuple[Hashable, Patience]]) -> None:
        """The account starts anew; of the address, which others may have, too, only this attempt is taken back."""
        for key, patience in keys:
            self._attempts.forgive(key, all_of_them=patience is not _ADDRESS)


def _keys(tenant: Tenant, account: str, address: str | None, now: float) -> list[tuple[Hashable, Patience]]:
    source = network(address)
    keys: list[tuple[Hashable, Patience]] = [
        ((tenant.number, account, source), _BOTH),
        ((tenant.number, account), _ACCOUNT),
    ]
    return [*keys, ((source, now // 600), _ADDRESS)] if source else keys


def network(address: str | None) -> str:
    """Whose address it is: of IPv6 the first half, as the rest is everyone's own to choose (RFC 8981)."""
    try:
        parsed = ipaddress.ip_address(address or "")
    except ValueError:
        return address or ""
    if parsed.version == 6 and parsed.ipv4_mapped is None:
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return str(getattr(parsed, "ipv4_mapped", None) or parsed)


def folded(name: str, tenant: Tenant) -> str:
    """A sign-in name as it is stored: without regard to case, and without the tenant's own name as its domain."""
    text = unicodedata.normalize("NFKC", name.strip()[:256]).casefold()
    return text.removesuffix(f"@{tenant.name.casefold()}")


async def end_sign_ins(session: Session, tenant: int, person_id: str, now: float) -> None:
    """All that clients hold for a person ends: refresh tokens at once, access tokens from the next request on."""
    await grants.drop_of_subject(session, tenant, person_id)
    await revocations.revoke_person(session, tenant, person_id, now)


async def meant(session: Session, tenant: Tenant, name_or_id: str) -> User | None:
    """The person of this sign-in name or id."""
    found = await users.find_by_name(session, tenant.number, folded(name_or_id, tenant))
    return found or await users.find(session, tenant.number, name_or_id.lower())
