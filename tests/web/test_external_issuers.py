"""External issuers through the whole service: who is let in, into which tenant, and what is asked of the issuer."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, Final

import pytest
from tests.identity.provider import AUDIENCE, ISSUER, NOW, READ, WRITE, Provider, rsa_key, unchanged
from tests.identity.service import Service, opened
from tests.server import LIST

from adjoin.identity.oidc import BadIssuer
from adjoin.identity.parties import LEARNERS, Parties
from adjoin.store import tenants

MAIN: Final = {"name": "main", "issuer": ISSUER, "audiences": [AUDIENCE], "tenant": "default"}
BODY: Final = {
    "@odata.type": "#microsoft.graph.deviceManagementDomainJoinConnector",
    "displayName": "External",
    "lastConnectionDateTime": "2016-12-31T23:58:36.6670033-08:00",
    "state": "error",
    "version": "1",
}


def parties(service: Service) -> Parties:
    found = service.application._parties
    assert found is not None
    return found


def test_a_program_of_an_external_issuer(tmp_path: Path) -> None:
    async def act() -> None:
        provider = Provider()
        async with opened(tmp_path, provider.fetch, issuers=(MAIN,)) as service:
            made = await service.call(provider.token(), "POST", body=BODY)
            assert (made.status, made.json["displayName"]) == (201, "External")
            # It acts in the tenant that the settings name, as the built-in issuer's callers of that tenant see.
            listed = await service.call(service.mint())
            assert [each["id"] for each in listed.json["value"]] == [made.json["id"]]
            assert await service.status(provider.token(scope=READ)) == 200
            assert (await service.call(provider.token(scope=READ), "POST", body=BODY)).status == 403
            assert (await service.call(provider.token(scope="openid"))).status == 403

    asyncio.run(act())


def test_nothing_is_fetched_for_a_request(tmp_path: Path) -> None:
    async def act() -> None:
        provider = Provider()
        async with opened(tmp_path, provider.fetch, issuers=(MAIN,)) as service:
            assert await service.status(provider.token()) == 200
            with unchanged(provider):
                for number in range(50):
                    assert await service.status(provider.token(jti=f"{number}")) == 200
                    assert await service.status(provider.token("unknown", jti=f"{number}")) == 401
                    assert await service.status("a.b.c") == 401

    asyncio.run(act())


def test_an_issuer_that_hangs_keeps_nobody_elses_callers_out(tmp_path: Path) -> None:
    """Whoever makes up a key waits for it, as work that is none: others are served, however few may be worked on."""

    async def act() -> None:
        provider, hangs = Provider(), asyncio.Event()

        async def fetch(url: str) -> bytes:
            await hangs.wait()
            return await provider.fetch(url)

        hangs.set()
        async with opened(tmp_path, fetch, issuers=(MAIN,), max_requests=1) as service:
            assert await service.status(provider.token()) == 200
            service.clock.time += 60
            hangs.clear()
            unknown = [asyncio.create_task(service.status(provider.token("unknown"))) for _ in range(LEARNERS + 20)]
            waiting = set(unknown)
            while len(waiting) > LEARNERS:
                _, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            assert await service.status(provider.token()) == 200
            hangs.set()
            assert await asyncio.gather(*unknown) == [401] * len(unknown)

    asyncio.run(act())


def test_a_rotation_at_the_issuer_refuses_nobody(tmp_path: Path) -> None:
    async def act() -> None:
        provider = Provider()
        async with opened(tmp_path, provider.fetch, issuers=(MAIN,)) as service:
            old = provider.token(exp=NOW + 86_400)
            assert await service.status(old) == 200
            service.clock.time += 60
            provider.keys = {"k2": rsa_key(2)}
            assert await service.status(provider.token("k2")) == 200
            assert await service.status(old) == 200, "within the grace"
            service.clock.time += 300
            await parties(service).refresh_due()
            assert (await service.call(old)).said == "Access token validation failure. Invalid signature."

    asyncio.run(act())


def test_outage_at_the_start_and_later(tmp_path: Path) -> None:
    async def act() -> None:
        provider = Provider(fault="it cannot be reached (ConnectError)")
        async with opened(tmp_path, provider.fetch, issuers=(MAIN,)) as service:
            token = provider.token(exp=NOW + 10**6)
            assert await service.status(token) == 401
            assert await service.status(service.mint()) == 200, "others have nothing to do with it"
            provider.fault = None
            service.clock.time += 15
            await parties(service).refresh_due()
            assert await service.status(token) == 200
            provider.fault = "it answered 503"
            service.clock.time += 86_400
            await parties(service).refresh_due()
            assert await service.status(token) == 200

    asyncio.run(act())


def test_revocation_here_says_nothing_about_external_callers(tmp_path: Path) -> None:
    """Their client and subject are registered nowhere here, and are let in all the same."""

    async def act() -> None:
        provider = Provider()
        async with opened(tmp_path, provider.fetch, issuers=(MAIN,)) as service:
            assert await service.status(provider.token(sub="ada", scope=READ)) == 200

    asyncio.run(act())


def test_a_tenant_by_its_guid_may_come_later(tmp_path: Path) -> None:
    guid = "22222222-2222-4222-8222-222222222222"

    async def act() -> None:
        provider = Provider()
        async with opened(tmp_path, provider.fetch, issuers=({**MAIN, "tenant": guid},)) as service:
            assert (await service.call(provider.token())).said.endswith("not known to this service.")
            await service.write(lambda session: tenants.add(session, guid, "later", tenants.ACTIVE, "now"))
            assert await service.status(provider.token()) == 200

    asyncio.run(act())


@pytest.mark.parametrize(
    "changes",
    [{"tenant": "nowhere"}, {"audiences": []}, {"issuer": "http://id.example.org"}],
    ids=lambda changes: next(iter(changes)),
)
def test_settings_that_can_not_be_used_keep_the_service_from_starting(tmp_path: Path, changes: dict[str, Any]) -> None:
    async def act() -> None:
        with pytest.raises(BadIssuer):
            async with opened(tmp_path, Provider().fetch, issuers=({**MAIN, **changes},)):
                pass

    asyncio.run(act())


def test_in_a_batch(tmp_path: Path) -> None:
    async def act() -> None:
        provider = Provider()
        async with opened(tmp_path, provider.fetch, issuers=(MAIN,)) as service:
            steps = [{"id": "1", "method": "GET", "url": LIST.removeprefix("/beta")}]
            answer = await service.call(provider.token(scope=WRITE), "POST", "/beta/$batch", {"requests": steps})
            assert [each["status"] for each in answer.json["responses"]] == [200]

    asyncio.run(act())
