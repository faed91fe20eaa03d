"""The keys of one external issuer as they are known now: fetched ahead of need, never for a request.

The last good keys stay while the issuer is down. A key that the issuer no longer publishes stays for a grace, since
the servers behind one address can differ for a while; then it is dropped, and its tokens with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import structlog

from adjoin.identity import discovery, oidc
from adjoin.identity.discovery import Fetch, Unusable
from adjoin.identity.keys import VerificationKey
from adjoin.identity.oidc import Settings
from adjoin.identity.trust import External, Trust

_FIRST_RETRY: Final = 15.0
_MANY: Final = 30
_NEVER: Final = float("-inf")


class KeySource:
    """One external issuer with its keys. Refresh it on one event loop, once at a time."""

    def __init__(self, settings: Settings, external: External, fetch: Fetch) -> None:
        self.settings = settings
        self._external = external
        self._fetch = fetch
        self._keys: Mapping[str, VerificationKey] = MappingProxyType({})
        self._gone: dict[str, float] = {}
        """Keys that are no longer published, and when that was first seen."""
        self._tried = _NEVER
        self._fetched = _NEVER
        self._failures = 0
        self._log = structlog.get_logger("adjoin.issuers").bind(issuer=settings.name)

    @property
    def trust(self) -> Trust:
        """What is accepted of the issuer now."""
        return oidc.trust(self.settings, self._external, self._keys)

    def due(self, now: float) -> float:
        """When the keys are to be refreshed next (a time that may have passed)."""
        if self._tried == _NEVER or now < self._tried:  # never yet, or the clock was set back
            return now
        again: float
        if self._failures:
            # Ever less often: the issuer may be down because too many ask.
            again = self._tried + min(_FIRST_RETRY * 2 ** (self._failures - 1), self.settings.refresh)
        else:
            again = self._fetched + self.settings.refresh
        return min([again, *(since + self.settings.grace for since in self._gone.values())])

    def may_ask(self, now: float) -> bool:
        """Whether an unknown key is reason enough to ask the issuer now: once in an interval, whatever comes."""
        return not 0 <= now - self._tried < self.settings.unknown_key_interval

    async def refresh(self, now: float) -> bool:
        """Fetch the keys; True when those that are accepted changed. A failure is logged, and no reason to drop any."""
        self._tried = now
        try:
            document = await self._fetch(self.settings.metadata_url)
            url = discovery.keys_url(document, self.settings)
            published = discovery.keys_in(await self._fetch(url), self.settings)
        except Exception as fault:  # noqa: BLE001 - whatever an issuer brings about, the service goes on as it is
            self._failed(str(fault) if isinstance(fault, Unusable) else type(fault).__name__, now)
            return self._take({kid: key for kid, key in self._keys.items() if kid not in self._gone}, now)
        self._fetched, self._failures = now, 0
        if not published:
            self._log.warning("no usable key published")
        return self._take(published, now)

    def _failed(self, reason: str, now: float) -> None:
        self._failures = min(self._failures + 1, _MANY)
        age = None if self._fetched == _NEVER else int(now - self._fetched)
        self._log.warning("keys not refreshed", reason=reason, keys=len(self._keys), age_seconds=age)

    def _take(self, published: Mapping[str, VerificationKey], now: float) -> bool:
        """Take over what is published, and keep what has gone until its grace is over."""
        self._gone = {kid: self._gone.get(kid, now) for kid in self._keys if kid not in published}
        ended = {kid for kid, since in self._gone.items() if now >= since + self.settings.grace}
        for kid in ended:
            del self._gone[kid]
        kept = {kid: self._keys[kid] for kid in self._gone}
        before = {kid: _identity(key) for kid, key in self._keys.items()}
        after = {kid: _identity(key) for kid, key in {**kept, **published}.items()}
        if before == after:
            return False
        self._keys = MappingProxyType({**kept, **published})
        new = sorted(after.keys() - before.keys())
        self._log.info("keys changed", keys=len(after), new=len(new), dropped=len(ended), leaving=len(kept))
        return True


def _identity(key: VerificationKey) -> tuple[object, ...]:
    """What makes two keys the same: joserfc's keys have no equality of their own."""
    return (key.algorithm, key.key.thumbprint(), key.issuers)
