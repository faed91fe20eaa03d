"""Several issuing parties at once: whose token a text is, mixed tokens, and keys learned while a request waits."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pytest
from joserfc import jws
from joserfc.jwk import RSAKey
from tests.identity.provider import AUDIENCE, HOME, NOW, WRITE, Provider, jwk, rsa_key, source
from tests.server import Clock

from adjoin.identity import issuer, oidc, parties
from adjoin.identity.clouds import GLOBAL, GRAPH_APP_ID, PERSONAL_TENANT
from adjoin.identity.errors import InvalidAudience, InvalidIssuer, InvalidSignature, TokenRefusal, UnknownKey
from adjoin.identity.keys import KeyRing, SigningKey, VerificationKey
from adjoin.identity.parties import LEARNERS, Parties
from adjoin.identity.rotation import LiveRing
from adjoin.identity.sources import KeySource
from adjoin.identity.trust import Trust
from adjoin.identity.verified import VerifiedTokens, choose

OURS: Final = "44444444-4444-4444-8444-444444444444"
"""A tenant of ours that is no tenant of Entra's."""
THEIRS: Final = "99999999-9999-4999-8999-999999999999"
"""A tenant of Entra's that acts in HOME."""
STRANGE: Final = "88888888-8888-4888-8888-888888888888"
API: Final = "77777777-7777-4777-8777-777777777777"
ENTRA: Final = "https://login.microsoftonline.com/{tenantid}/v2.0"
ENTRA_V1: Final = "https://sts.windows.net/{tenantid}/"

BUILT_IN_KEY: Final = rsa_key(10)
ENTRA_KEY: Final = rsa_key(11)
PLAIN: Final = Provider(keys={"plain": rsa_key(12)})
OTHER: Final = Provider(issuer="https://other.example", keys={"other": rsa_key(13)})
THIEF: Final = Provider(issuer="https://thief.example", keys={"built-in": rsa_key(14), "plain": rsa_key(14)})
"""A provider that is trusted, and publishes its keys under the names of others' keys."""


def public(key: RSAKey) -> RSAKey:
    return RSAKey.import_key(key.as_dict(private=False))


def built_in() -> Trust:
    ring = KeyRing(
        SigningKey("built-in", BUILT_IN_KEY),
        {"built-in": VerificationKey("built-in", "RS256", public(BUILT_IN_KEY))},
    )
    return issuer.trust(ring)


def of_source(provider: Provider, **changes: Any) -> Trust:
    found = source(provider, **changes)
    asyncio.run(found.refresh(NOW))
    return found.trust


def of_entra(template: str, name: str, tenants: Mapping[str, str]) -> Trust:
    given = {"name": name, "issuer": template, "audiences": [API, "api://adjoin"], "tenants": dict(tenants)}
    (found,) = oidc.read([given])
    key = VerificationKey("entra", "RS256", public(ENTRA_KEY), (template,))
    return oidc.trust(found, oidc.external(found, lambda each: each), {"entra": key})


TRUSTS: Final = (
    built_in(),
    of_source(PLAIN),
    of_source(OTHER, name="other"),
    of_source(THIEF, name="thief"),
    of_entra(ENTRA, "entra", {THEIRS: HOME, OURS: OURS}),
    of_entra(ENTRA_V1, "entra-v1", {THEIRS: HOME, OURS: OURS}),
)


def signed(claims: Mapping[str, Any], key: RSAKey, kid: str, **header: Any) -> str:
    head = {"alg": "RS256", "typ": "JWT", "kid": kid, **header}
    return jws.serialize_compact(head, json.dumps(claims).encode(), key, ["RS256"])


def graph(version: str = "1.0", tenant: str = OURS, **changes: Any) -> dict[str, Any]:
    """Claims as the built-in issuer and Entra both make them."""
    grant = issuer.Grant(
        tenant_id=tenant,
        subject=HOME,
        client_id=HOME,
        permissions=frozenset({WRITE}),
        version="2.0" if version == "2.0" else "1.0",
    )
    return {**issuer.claims(grant, NOW, "uti"), **changes}


GOOD: Final = {
    "built-in v1": (signed(graph(), BUILT_IN_KEY, "built-in"), None, OURS),
    "built-in v2": (signed(graph("2.0"), BUILT_IN_KEY, "built-in"), None, OURS),
    "built-in for a tenant of nobody's": (signed(graph(tenant=STRANGE), BUILT_IN_KEY, "built-in"), None, STRANGE),
    "built-in for a tenant that Entra has, too": (
        signed(graph(tenant=THEIRS), BUILT_IN_KEY, "built-in"),
        None,
        THEIRS,
    ),
    "Entra v2": (signed(graph("2.0", THEIRS, aud=API), ENTRA_KEY, "entra"), "entra", HOME),
    "Entra v1": (signed(graph("1.0", THEIRS, aud="api://adjoin"), ENTRA_KEY, "entra"), "entra-v1", HOME),
    "Entra for a tenant under its own GUID": (signed(graph("2.0", OURS, aud=API), ENTRA_KEY, "entra"), "entra", OURS),
    "plain": (PLAIN.token("plain"), "main", HOME),
    "other": (OTHER.token("other"), "other", HOME),
    "one with the built-in's kid, for itself": (THIEF.token("built-in"), "thief", HOME),
}


@pytest.mark.parametrize(("text", "name", "tenant"), GOOD.values(), ids=GOOD.keys())
def test_each_by_its_own(text: str, name: str | None, tenant: str) -> None:
    found = VerifiedTokens(*TRUSTS).verify(text, NOW)
    assert (found.issuer, found.tenant_id) == (name, tenant)


MIXED: Final[dict[str, tuple[str, type[TokenRefusal]]]] = {
    "external claims, built-in kid, external key": (
        signed(PLAIN.claims(), PLAIN.keys["plain"], "built-in"),
        UnknownKey,
    ),
    "external claims, built-in kid and key": (signed(PLAIN.claims(), BUILT_IN_KEY, "built-in"), UnknownKey),
    "external claims, external kid, built-in key": (signed(PLAIN.claims(), BUILT_IN_KEY, "plain"), InvalidSignature),
    "built-in claims, external kid and key": (signed(graph(), PLAIN.keys["plain"], "plain"), UnknownKey),
    "built-in claims, built-in kid, external key": (signed(graph(), PLAIN.keys["plain"], "built-in"), InvalidSignature),
    "built-in claims, thief's key under the built-in's kid": (
        signed(graph(), THIEF.keys["built-in"], "built-in"),
        InvalidSignature,
    ),
    "plain claims, thief's key under plain's kid": (
        signed(PLAIN.claims(), THIEF.keys["plain"], "plain"),
        InvalidSignature,
    ),
    "plain claims with the other's key": (signed(PLAIN.claims(), OTHER.keys["other"], "other"), UnknownKey),
    "the other's claims with plain's key": (signed(OTHER.claims(), PLAIN.keys["plain"], "plain"), UnknownKey),
    "issuer swapped for the other's": (PLAIN.token("plain", iss=OTHER.issuer), UnknownKey),
    "issuer swapped for the built-in's": (PLAIN.token("plain", iss=GLOBAL.issuer("1.0", OURS)), UnknownKey),
    "issuer of Entra's, built-in key": (
        signed(graph("2.0", THEIRS, aud=API), BUILT_IN_KEY, "built-in"),
        InvalidAudience,
    ),
    "Entra's key, Entra's tenant, the built-in's kid": (
        signed(graph("2.0", THEIRS, aud=API), ENTRA_KEY, "built-in"),
        InvalidSignature,
    ),
    "Entra's key for a tenant that is not listed": (
        signed(graph("2.0", STRANGE, aud=API), ENTRA_KEY, "entra"),
        UnknownKey,
    ),
    "Entra's token for Graph itself": (
        signed(graph("2.0", THEIRS, aud=GRAPH_APP_ID), ENTRA_KEY, "entra"),
        InvalidAudience,
    ),
    "Entra v1's token for Graph itself": (signed(graph("1.0", THEIRS), ENTRA_KEY, "entra"), InvalidAudience),
    "Entra v1's claims with v2's issuer": (
        signed(graph("1.0", THEIRS, aud=API, iss=GLOBAL.issuer("2.0", THEIRS)), ENTRA_KEY, "entra"),
        InvalidIssuer,
    ),
    "Entra v2's claims with v1's issuer": (
        signed(graph("2.0", THEIRS, aud=API, iss=GLOBAL.issuer("1.0", THEIRS)), ENTRA_KEY, "entra"),
        InvalidIssuer,
    ),
    "Entra's issuer of one tenant, tid of another": (
        signed(graph("2.0", THEIRS, aud=API, iss=GLOBAL.issuer("2.0", OURS)), ENTRA_KEY, "entra"),
        UnknownKey,
    ),
    "plain's token that brings a tenant": (
        PLAIN.token("plain", iss=f"{PLAIN.issuer}/{THEIRS}", tid=THEIRS),
        UnknownKey,
    ),
    "Entra's with alg none": (
        signed(graph("2.0", THEIRS, aud=API), ENTRA_KEY, "entra").replace("eyJ", "eyJ", 1)[:-20] + "A" * 20,
        InvalidSignature,
    ),
    "no issuer at all": (signed({**graph(), "iss": None}, BUILT_IN_KEY, "built-in"), TokenRefusal),
    "an issuer that is a list of all": (
        signed({**graph(), "iss": [PLAIN.issuer, OTHER.issuer]}, BUILT_IN_KEY, "built-in"),
        TokenRefusal,
    ),
    "the built-in's audience at a plain issuer": (PLAIN.token("plain", aud=GLOBAL.graph_root), InvalidAudience),
    "plain's audience at the built-in": (signed(graph(aud=AUDIENCE), BUILT_IN_KEY, "built-in"), InvalidAudience),
}


@pytest.mark.parametrize(("text", "refusal"), MIXED.values(), ids=MIXED.keys())
def test_mixed_parties(text: str, refusal: type[TokenRefusal]) -> None:
    tokens = VerifiedTokens(*TRUSTS)
    with pytest.raises(refusal) as caught:
        tokens.verify(text, NOW)
    assert refusal is TokenRefusal or type(caught.value) is refusal
    assert len(tokens) == 0


def test_a_plain_issuer_can_not_name_a_tenant() -> None:
    found = VerifiedTokens(*TRUSTS).verify(PLAIN.token("plain", tid=THEIRS, oid=THEIRS), NOW)
    assert found.tenant_id == HOME


def test_personal_accounts_of_entra_are_told_for_what_they_are() -> None:
    """They get past the list of tenants, to be refused later, in Graph's words; this needs a key for their tenant."""
    claims = graph("2.0", PERSONAL_TENANT, aud=API)
    trust = of_entra(ENTRA, "entra", {THEIRS: HOME, PERSONAL_TENANT: HOME})
    assert VerifiedTokens(TRUSTS[0], trust).verify(signed(claims, ENTRA_KEY, "entra"), NOW).personal


def test_roles_and_scopes_of_entra_are_mapped() -> None:
    given = {"name": "e", "issuer": ENTRA, "audiences": [API], "tenants": [THEIRS], "roles": {"Connectors": WRITE}}
    (found,) = oidc.read([given])
    key = VerificationKey("entra", "RS256", public(ENTRA_KEY))
    trust = oidc.trust(found, oidc.external(found, lambda each: each), {"entra": key})
    text = signed(graph("2.0", THEIRS, aud=API, roles=["Connectors", "Other"]), ENTRA_KEY, "entra")
    assert VerifiedTokens(TRUSTS[0], trust).verify(text, NOW).permissions == {WRITE}


def test_a_choice_reads_nothing_where_there_is_none() -> None:
    assert choose("no token", TRUSTS[:1]) is TRUSTS[0]
    assert choose("no.token.", TRUSTS) is TRUSTS[0]


def test_each_party_has_its_own_skew() -> None:
    tokens = VerifiedTokens(built_in(), of_source(PLAIN, clock_skew=100))
    text = PLAIN.token("plain", exp=NOW + 10)
    assert tokens.verify(text, NOW)
    assert tokens.verify(text, NOW + 109)
    with pytest.raises(TokenRefusal):
        tokens.verify(text, NOW + 110)


# --- learning


class Party:
    """The parties with one external issuer, a clock, and its fetching held back until it is let go."""

    def __init__(self, folder: Path, provider: Provider, **changes: Any) -> None:
        self.clock = Clock()
        self.provider = provider
        self.gate = asyncio.Event()
        self.gate.set()
        found = source(provider, **changes)
        self.source = KeySource(found.settings, found._external, self._fetch)
        self.parties = Parties(LiveRing(folder / "keys", NOW), issuer.trust, [self.source], self.clock)

    async def _fetch(self, url: str) -> bytes:
        await self.gate.wait()
        return await self.provider.fetch(url)

    def verify(self, text: str) -> str | None:
        return self.parties.verify(text, self.clock.time).issuer

    async def learn(self, text: str) -> bool:
        return await self.parties.learn(text, self.clock.time)


def test_an_unknown_key_is_learned_while_the_request_waits(tmp_path: Path) -> None:
    async def act() -> None:
        party = Party(tmp_path, Provider())
        await party.parties.refresh_due()
        party.provider.keys["k2"] = rsa_key(2)
        text = party.provider.token("k2")
        with pytest.raises(UnknownKey):
            party.verify(text)
        assert not await party.learn(text), "the keys were fetched just now"
        assert len(party.provider.asked) == 2
        party.clock.time += 60
        assert await party.learn(text)
        assert party.verify(text) == "main"

    asyncio.run(act())


async def as_many_as_may_wait(party: Party) -> tuple[str, list[asyncio.Task[bool]]]:
    """A token with an unknown key, and those who wait for the key."""
    text = party.provider.token()
    waiting = [asyncio.create_task(party.learn(text)) for _ in range(LEARNERS)]
    await asyncio.sleep(0)
    return text, waiting


def test_many_that_wait_ask_once(tmp_path: Path) -> None:
    async def act() -> None:
        party = Party(tmp_path, Provider())
        party.gate.clear()
        _, waiting = await as_many_as_may_wait(party)
        waiting[0].cancel()
        party.gate.set()
        results = await asyncio.gather(*waiting, return_exceptions=True)
        assert results[1:] == [True] * (LEARNERS - 1)
        assert len(party.provider.asked) == 2, "the discovery document and the keys, once each"

    asyncio.run(act())


def test_one_more_than_may_wait_is_told_so_at_once(tmp_path: Path) -> None:
    async def act() -> None:
        party = Party(tmp_path, Provider())
        party.gate.clear()
        text, waiting = await as_many_as_may_wait(party)
        assert not await party.learn(text)
        waiting.pop().cancel()
        await asyncio.sleep(0)
        waiting.append(asyncio.create_task(party.learn(text)))
        party.gate.set()
        assert await asyncio.gather(*waiting) == [True] * LEARNERS, "one that goes away makes room"

    asyncio.run(act())


def test_a_wait_has_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adjoin.identity.parties.LEARN_SECONDS", 0.01)

    async def act() -> None:
        party = Party(tmp_path, Provider())
        party.gate.clear()
        assert not await party.learn(party.provider.token())
        await party.parties.stop()

    asyncio.run(act())


def test_unknown_keys_without_end_ask_once_in_an_interval(tmp_path: Path) -> None:
    async def act() -> None:
        party = Party(tmp_path, Provider())
        await party.parties.refresh_due()
        for second in range(600):
            party.clock.time = NOW + second
            assert not await party.learn(party.provider.token(f"unknown-{second}"))
        assert len(party.provider.asked) == 2 * 10

    asyncio.run(act())


def test_a_token_of_nobody_asks_nobody(tmp_path: Path) -> None:
    async def act() -> None:
        party = Party(tmp_path, Provider())
        assert not await party.learn(OTHER.token("other"))
        assert not await party.learn("no.token.")
        assert party.provider.asked == []

    asyncio.run(act())


def test_a_dropped_key_ends_the_tokens_that_were_verified_by_it(tmp_path: Path) -> None:
    async def act() -> None:
        party = Party(tmp_path, Provider(), grace=300)
        await party.parties.refresh_due()
        text = party.provider.token(exp=NOW + 100_000)
        assert party.verify(text) == "main"
        party.provider.keys = {"k2": rsa_key(2)}
        for later in (3600, 3899):
            party.clock.time = NOW + later
            await party.parties.refresh_due()
            assert party.verify(text) == "main"
        party.clock.time = NOW + 3900
        await party.parties.refresh_due()
        with pytest.raises(UnknownKey):
            party.verify(text)

    asyncio.run(act())


def test_during_an_outage_known_keys_go_on(tmp_path: Path) -> None:
    async def act() -> None:
        party = Party(tmp_path, Provider())
        await party.parties.refresh_due()
        party.provider.fault = "it answered 503"
        for day in range(1, 8):
            party.clock.time = NOW + 86_400 * day
            await party.parties.refresh_due()
            assert party.verify(party.provider.token(exp=NOW + 86_400 * 8)) == "main"

    asyncio.run(act())


def test_the_watch_goes_on_whatever_a_round_meets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def act() -> None:
        party = Party(tmp_path, Provider())
        rounds = asyncio.Queue[None]()

        async def fail() -> None:
            rounds.put_nowait(None)
            raise RuntimeError("can't start new thread")

        monkeypatch.setattr(party.parties, "refresh_due", fail)
        monkeypatch.setattr(parties, "_LONGEST_SLEEP", 0.0)
        party.parties.start()
        async with asyncio.timeout(10):
            for _ in range(3):
                await rounds.get()
        await party.parties.stop()

    asyncio.run(act())


def test_the_watch_fetches_by_itself_and_stops(tmp_path: Path) -> None:
    async def act() -> None:
        party = Party(tmp_path, Provider())
        party.parties.start()
        assert await party.learn(party.provider.token())
        await party.parties.stop()
        assert party.parties._watching is not None
        assert party.parties._watching.done()

    asyncio.run(act())


def test_keys_that_two_issuers_share_by_name_stay_apart(tmp_path: Path) -> None:
    """The key set of one says nothing about another's `kid`."""
    jwks = {"keys": [jwk(rsa_key(1), "k1"), jwk(rsa_key(2), "built-in")]}
    trust = of_source(Provider(jwks=jwks))
    tokens = VerifiedTokens(built_in(), trust)
    with pytest.raises(InvalidSignature):
        tokens.verify(signed(graph(), rsa_key(2), "built-in"), NOW)
