"""Everyone whose tokens are accepted, in a service that runs: the built-in issuer and the external ones.

Verification itself waits for nothing. Keys are fetched beside it: when they are due, and when a token names a key that
isn't known, which is reason to ask its issuer once in an interval, whatever else comes in.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

import structlog

from adjoin.identity.caller import Caller
from adjoin.identity.keys import KeyRing
from adjoin.identity.rotation import LiveRing
from adjoin.identity.sources import KeySource
from adjoin.identity.trust import Trust
from adjoin.identity.verified import Proof, VerifiedTokens

LEARN_SECONDS: Final = 2.0
"""How long a request with an unknown key waits for its issuer's keys, if they are being fetched at all."""
LEARNERS: Final = 64
"""How many requests may wait so at once. Anybody can make up a key: the others are refused without a wait."""
_LONGEST_SLEEP: Final = 60.0


class Parties:
    """The issuing parties. `built_in` gives the trust in the built-in issuer with the keys that it has."""

    def __init__(
        self,
        keys: LiveRing,
        built_in: Callable[[KeyRing], Trust],
        sources: Sequence[KeySource],
        now: Callable[[], float],
    ) -> None:
        self._keys = keys
        self._built_in = built_in
        self._sources = {source.settings.name: source for source in sources}
        self._now = now
        self._fetching: dict[str, asyncio.Task[bool]] = {}
        self._watching: asyncio.Task[None] | None = None
        self._learners = 0
        self.tokens = VerifiedTokens(*self._trusts())
        """The tokens that were verified before."""

    def verify(self, token: str, now: float) -> Caller:
        """The caller that a token proves. Raises a TokenRefusal; of those UnknownKey is worth asking `learn` about."""
        return self.tokens.verify(token, now)

    def prove(self, token: str, now: float) -> Proof:
        """As `verify`, and gives what holds for as long as `still` says so."""
        return self.tokens.prove(token, now)

    def still(self, proof: Proof, now: float) -> bool:
        """Whether the token of a proof is as good as it was then. Raises what its time forbids by now."""
        return self.tokens.still(proof, now)

    @property
    def looks_again(self) -> float:
        """From when on `notice` looks again."""
        return self._keys.looks_again

    def notice(self, now: float) -> bool:
        """Take over what changed in the folder of the built-in issuer's keys; looks at most once a second."""
        if not self._keys.changed(now):
            return False
        self._renew()
        return True

    async def learn(self, token: str, now: float) -> bool:
        """Whether there are new keys by which a token with an unknown key may be verified after all.

        Waits for the keys of the token's issuer if they are being fetched, or may be by now; never for long, nor with
        many others.
        """
        if self._keys.changed(now, at_once=True):
            self._renew()
            return True
        party = self.tokens.party(token).external
        source = self._sources.get(party.name) if party is not None else None
        if source is None:
            return False
        fetching = self._fetching.get(source.settings.name)
        if self._learners >= LEARNERS or (fetching is None and not source.may_ask(now)):
            return False
        return await self._waited_for(fetching or self._fetch(source))

    async def _waited_for(self, fetching: asyncio.Task[bool]) -> bool:
        self._learners += 1
        try:
            async with asyncio.timeout(LEARN_SECONDS):
                # Shielded: one request that goes away must not end what others wait for.
                return await asyncio.shield(fetching)
        except TimeoutError:
            return False
        finally:
            self._learners -= 1

    async def refresh_due(self) -> None:
        """Fetch the keys that are due now, all at the same time."""
        now = self._now()
        due = [source for source in self._sources.values() if source.due(now) <= now]
        await asyncio.gather(*(self._fetching.get(each.settings.name) or self._fetch(each) for each in due))

    def start(self) -> None:
        """Keep the external issuers' keys fresh from now on, beside everything else."""
        if self._sources:
            self._watching = asyncio.create_task(self._watch())

    async def stop(self) -> None:
        """Stop fetching."""
        running = [task for task in (self._watching, *self._fetching.values()) if task is not None]
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    async def _watch(self) -> None:
        while True:
            try:
                await self.refresh_due()
            except Exception as error:  # noqa: BLE001 - it must go on, whatever one round meets
                structlog.get_logger("adjoin.keys").error("fault", exc_info=error)
            now = self._now()
            wait = min(source.due(now) for source in self._sources.values()) - now
            # Never long, since the clock can be set; never nothing, whatever it says.
            await asyncio.sleep(min(max(wait, 1.0), _LONGEST_SLEEP))

    def _fetch(self, source: KeySource) -> asyncio.Task[bool]:
        name = source.settings.name
        task = asyncio.create_task(self._refreshed(source))
        self._fetching[name] = task
        task.add_done_callback(lambda _: self._fetching.pop(name, None))
        return task

    async def _refreshed(self, source: KeySource) -> bool:
        changed = await source.refresh(self._now())
        if changed:
            self._renew()
        return changed

    def _renew(self) -> None:
        """Verify by the keys that there are now. What was verified before is forgotten: its key may be gone."""
        self.tokens.forget(*self._trusts())

    def _trusts(self) -> list[Trust]:
        return [self._built_in(self._keys.ring), *(source.trust for source in self._sources.values())]
