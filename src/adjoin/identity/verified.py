"""Verified tokens: whose token a text is to be, its verification, and the memory of what was verified before."""

from __future__ import annotations

import hashlib
from typing import Final, NamedTuple

from adjoin.identity import tokens
from adjoin.identity.caller import Caller
from adjoin.identity.errors import TokenRefusal
from adjoin.identity.remembered import Remembered
from adjoin.identity.trust import Trust

# Of a SHA-256: nobody makes a second token for so much of the digest of one that is remembered.
_DIGEST_BYTES: Final = 16


class Proof(NamedTuple):
    """That a token was verified: whose it is, the clock skew its party is allowed, and what it was verified under."""

    caller: Caller
    skew: int
    under: object

    @property
    def ends(self) -> int:
        """From when on the token is no good (Unix seconds)."""
        return self.caller.expires + self.skew


def choose(token: str, trusts: tuple[Trust, ...]) -> Trust:
    """The party that a token has to be verified by: of those that its `iss` names, the one that has its key.

    The payload isn't verified yet, so it decides nothing but where to look: a token that lies is then refused by the
    party that it chose. Two parties can share issuers, since the built-in issuer's tokens bear Entra's names; where
    they share even a `kid`, the one that comes first is asked, and the built-in issuer is the first.
    """
    first = trusts[0]
    if len(trusts) == 1:
        return first
    try:
        header, payload = tokens.said(token)
    except TokenRefusal:
        return first  # which refuses it for the same fault
    named = [each for each in trusts if each.claimed_by(payload.get("iss"), payload.get("tid"))]
    kid = header.get("kid")
    having = (each for each in named if isinstance(kid, str) and kid in each.keys)
    # Without the key, the last: an external party may have a new key that isn't known yet.
    return next(having, named[-1] if named else first)


class VerifiedTokens:
    """Callers of tokens verified before, so that a signature is checked once and not on each request.

    Only what was verified is kept, under the token's digest: the cache never holds a token that could be taken from
    it. Bounded; the first to come goes first. A hit still looks at the clock. The trusts belong to the cache, since
    what it holds is true under those alone. The first is the built-in issuer's.
    """

    def __init__(self, *trusts: Trust, size: int = 10_000) -> None:
        self._size = size
        self.hits = self.misses = 0
        # One attribute, replaced as a whole: a verification that runs meanwhile in a thread files its result with
        # the trusts that it began with.
        self.state = (trusts, Remembered(size))
        """What tokens are verified under; another once there are other keys or settings."""

    def __len__(self) -> int:
        return len(self.state[1])

    def verify(self, token: str, now: float) -> Caller:
        """As the function `tokens.verify` does, from memory where it can."""
        return self.prove(token, now).caller

    def prove(self, token: str, now: float) -> Proof:
        """As `verify`, and gives what holds for as long as `still` says so."""
        state = self.state
        trusts, remembered = state
        tokens.check_form(token)
        digest = hashlib.sha256(token.encode("ascii")).digest()[:_DIGEST_BYTES]
        found = remembered.find(digest)
        if found is None:
            self.misses += 1
            trust = choose(token, trusts)
            found = (tokens.verify(token, trust, now), trust.clock_skew)
            remembered.keep(digest, *found, now)
            return Proof(*found, state)
        self.hits += 1
        caller, skew = found
        try:
            tokens.check_lifetime(caller.expires, caller.not_before, skew, now)
        except TokenRefusal:
            remembered.drop(digest)
            raise
        return Proof(caller, skew, state)

    def still(self, proof: Proof, now: float) -> bool:
        """Whether a proof holds; False once there are other keys or settings. Raises what a token's time forbids."""
        if proof.under is not self.state:
            return False
        caller = proof.caller
        tokens.check_lifetime(caller.expires, caller.not_before, proof.skew, now)
        self.hits += 1
        return True

    def party(self, token: str) -> Trust:
        """The party that `verify` asks about this token."""
        return choose(token, self.state[0])

    def forget(self, *trusts: Trust) -> None:
        """Forget every token; with `trusts`, verify by those from now on (after a change of keys or settings)."""
        self.state = (trusts or self.state[0], Remembered(self._size))
