"""The keys of an external issuer over time: rotation, outage, return, grace. Clock and fetching are driven by hand."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from structlog.testing import capture_logs
from tests.identity.provider import KEYS, METADATA, NOW, Provider, jwk, rsa_key, source, unchanged

from adjoin.identity.sources import KeySource


def refresh(found: KeySource, now: float) -> bool:
    return asyncio.run(found.refresh(now))


def kids(found: KeySource) -> set[str]:
    return set(found.trust.keys)


def test_the_first_keys() -> None:
    provider = Provider()
    found = source(provider)
    assert (kids(found), found.due(NOW)) == (set(), NOW)
    assert refresh(found, NOW)
    assert kids(found) == {"k1"}
    assert provider.asked == [METADATA, KEYS]
    assert found.due(NOW) == NOW + 3600


def test_nothing_changed() -> None:
    found = source(Provider())
    assert refresh(found, NOW)
    assert not refresh(found, NOW + 3600)


def test_rotation_and_grace() -> None:
    provider = Provider()
    found = source(provider, grace=300)
    refresh(found, NOW)
    provider.keys = {"k2": rsa_key(2)}
    assert refresh(found, NOW + 3600)
    assert kids(found) == {"k1", "k2"}
    assert found.due(NOW + 3600) == NOW + 3900
    assert not refresh(found, NOW + 3899)
    assert kids(found) == {"k1", "k2"}
    assert refresh(found, NOW + 3900)
    assert kids(found) == {"k2"}
    assert found.due(NOW + 3900) == NOW + 3900 + 3600


def test_a_clock_that_is_set_back_makes_keys_due_and_unknown_keys_worth_asking_about() -> None:
    found = source(Provider())
    refresh(found, NOW)
    assert found.due(NOW - 7200) == NOW - 7200
    assert found.may_ask(NOW - 7200)
    refresh(found, NOW - 7200)
    assert not found.may_ask(NOW - 7200)
    assert found.due(NOW - 7200) == NOW - 3600


def test_without_grace_a_key_goes_at_once() -> None:
    provider = Provider()
    found = source(provider, grace=0)
    refresh(found, NOW)
    provider.keys = {"k2": rsa_key(2)}
    assert refresh(found, NOW + 1)
    assert kids(found) == {"k2"}


def test_a_key_that_comes_back_within_its_grace() -> None:
    provider = Provider(keys={"k1": rsa_key(1), "k2": rsa_key(2)})
    found = source(provider)
    refresh(found, NOW)
    del provider.keys["k1"]
    refresh(found, NOW + 10)
    provider.keys["k1"] = rsa_key(1)
    refresh(found, NOW + 20)
    assert not refresh(found, NOW + 1000)
    assert kids(found) == {"k1", "k2"}
    del provider.keys["k1"]
    refresh(found, NOW + 1010)
    assert kids(found) == {"k1", "k2"}, "the grace begins anew"


def test_another_key_under_the_same_name_replaces_the_old_one() -> None:
    provider = Provider()
    found = source(provider)
    refresh(found, NOW)
    before = found.trust.keys["k1"]
    provider.keys = {"k1": rsa_key(2)}
    assert refresh(found, NOW + 10)
    assert found.trust.keys["k1"].key.thumbprint() != before.key.thumbprint()


def test_an_issuer_that_takes_all_its_keys_back() -> None:
    provider = Provider()
    found = source(provider)
    refresh(found, NOW)
    provider.keys = {}
    with capture_logs() as logs:
        refresh(found, NOW + 10)
        refresh(found, NOW + 310)
    assert kids(found) == set()
    assert "no usable key published" in [line["event"] for line in logs]


def test_outage_and_return() -> None:
    provider = Provider()
    found = source(provider)
    refresh(found, NOW)
    provider.fault = "it cannot be reached (ConnectError)"
    at, waits = NOW + 3600, []
    with capture_logs() as logs:
        for _ in range(12):
            assert not refresh(found, at)
            waits.append(int(found.due(at) - at))
            at += waits[-1]
    assert kids(found) == {"k1"}, "the last good keys stay"
    assert waits == [15, 30, 60, 120, 240, 480, 960, 1920, 3600, 3600, 3600, 3600]
    assert {line["reason"] for line in logs} == {provider.fault}
    assert logs[-1]["age_seconds"] == at - waits[-1] - NOW
    provider.fault, provider.keys = None, {"k2": rsa_key(2)}
    assert refresh(found, at)
    assert kids(found) == {"k1", "k2"}
    assert found.due(at) == at + 300


def test_an_issuer_that_is_down_at_the_start() -> None:
    provider = Provider(fault="it answered 503")
    found = source(provider)
    assert not refresh(found, NOW)
    assert (kids(found), found.due(NOW)) == (set(), NOW + 15)
    provider.fault = None
    assert refresh(found, NOW + 15)
    assert kids(found) == {"k1"}


def test_a_grace_ends_during_an_outage_too() -> None:
    provider = Provider(keys={"k1": rsa_key(1), "k2": rsa_key(2)})
    found = source(provider)
    refresh(found, NOW)
    del provider.keys["k1"]
    refresh(found, NOW + 10)
    provider.fault = "it answered 503"
    assert not refresh(found, NOW + 100)
    assert refresh(found, NOW + 310)
    assert kids(found) == {"k2"}


def test_an_unknown_key_is_reason_to_ask_once_in_an_interval() -> None:
    provider = Provider()
    found = source(provider, unknown_key_interval=60)
    assert found.may_ask(NOW)
    refresh(found, NOW)
    assert not found.may_ask(NOW + 59)
    assert found.may_ask(NOW + 60)
    provider.fault = "it answered 503"
    refresh(found, NOW + 60)
    assert not found.may_ask(NOW + 61), "a failure counts as well"


@pytest.mark.parametrize("jwks", [{"keys": "x"}, {"keys": [{}] * 101}, {"other": []}])
def test_a_key_set_that_makes_no_sense_is_an_outage(jwks: dict[str, Any]) -> None:
    provider = Provider()
    found = source(provider)
    refresh(found, NOW)
    provider.jwks = jwks
    assert not refresh(found, NOW + 3600)
    assert kids(found) == {"k1"}
    assert found.due(NOW + 3600) == NOW + 3615


def test_a_fault_of_our_own_is_an_outage_as_well() -> None:
    async def broken(url: str) -> bytes:
        raise RuntimeError(url)

    found = source(Provider())
    found._fetch = broken
    with capture_logs() as logs:
        assert not refresh(found, NOW)
    assert [line["reason"] for line in logs] == ["RuntimeError"]


def test_the_trust_is_not_touched_by_a_refresh_that_comes_later() -> None:
    provider = Provider()
    found = source(provider, grace=0)
    refresh(found, NOW)
    held = found.trust
    provider.jwks = {"keys": [jwk(rsa_key(2), "k2")]}
    refresh(found, NOW + 1)
    assert set(held.keys) == {"k1"}


def test_asking_for_the_trust_asks_nobody() -> None:
    provider = Provider()
    found = source(provider)
    refresh(found, NOW)
    with unchanged(provider):
        assert found.trust.keys
        assert found.due(NOW)
