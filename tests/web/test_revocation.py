"""Revocation, disabling and removal, as callers meet them: from the next request on, with Graph's claims challenge."""

from __future__ import annotations

import asyncio
import base64
import json
import re
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import pytest
from joserfc import jws
from tests.identity.provider import NOW, WRITE
from tests.identity.service import Service, opened
from tests.server import LIST, ORIGIN

from adjoin.identity import issuer
from adjoin.identity.caller import Kind
from adjoin.identity.clouds import GRAPH_APP_ID
from adjoin.identity.keys import add_key, remove_key
from adjoin.store import revocations
from adjoin.store.database import Session

APP: Final = "11111111-aaaa-4aaa-8aaa-111111111111"
OTHER_APP: Final = "22222222-aaaa-4aaa-8aaa-222222222222"
ADA: Final = "33333333-aaaa-4aaa-8aaa-333333333333"
BOB: Final = "44444444-aaaa-4aaa-8aaa-444444444444"
PLAIN: Final = f'Bearer realm="", authorization_uri="{ORIGIN}/common/oauth2/authorize", client_id="{GRAPH_APP_ID}"'
SAID: Final = (
    "Continuous access evaluation resulted in claims challenge with result: InteractionRequired and code: "
    "TokenIssuedBeforeRevocationTimestamp"
)


async def registered(service: Service) -> None:
    """Two applications and two people, all of the first tenant."""
    columns = "tenant, id, object_id, name, permissions, created"
    app = f"INSERT INTO applications ({columns}) VALUES (1, ?1, ?1, ?1, 'x', 'now')"
    user = (
        "INSERT INTO users (tenant, id, name, display_name, password_hash, permissions, created) "
        "VALUES (1, ?1, ?1, 'x', 'x', 'x', 'now')"
    )

    async def act(session: Session) -> None:
        for each in (APP, OTHER_APP):
            await session.fetch(app, (each,))
        for each in (ADA, BOB):
            await session.fetch(user, (each,))

    await service.write(act)


def of_app(service: Service, client: str = APP, **changes: Any) -> str:
    return service.mint(client_id=client, subject=client, **changes)


def of_person(service: Service, person: str = ADA, **changes: Any) -> str:
    return service.mint(client_id=APP, subject=person, kind=Kind.DELEGATED, **changes)


async def execute(service: Service, sql: str, *values: object) -> None:
    await service.write(lambda session: session.fetch(sql, values))


async def revoke_app(service: Service) -> None:
    now = service.clock.time
    assert await service.write(lambda session: revocations.revoke_application(session, 1, APP, now))


async def revoke_ada(service: Service) -> None:
    now = service.clock.time
    assert await service.write(lambda session: revocations.revoke_person(session, 1, ADA, now))


def running(tmp_path: Path, act: Callable[[Service], Awaitable[None]]) -> None:
    async def whole() -> None:
        async with opened(tmp_path) as service:
            await registered(service)
            await act(service)

    asyncio.run(whole())


def challenge_of(header: str) -> Any:
    found = re.fullmatch(re.escape(PLAIN) + r', error="insufficient_claims", claims="([^"]+)"', header)
    assert found
    return json.loads(base64.b64decode(found[1], validate=True))


def test_everyone_is_let_in_before(tmp_path: Path) -> None:
    async def act(service: Service) -> None:
        for token in (of_app(service), of_person(service), service.mint()):
            assert await service.status(token) == 200

    running(tmp_path, act)


def test_an_application_is_revoked_at_once(tmp_path: Path) -> None:
    async def act(service: Service) -> None:
        mine, ada, other = of_app(service), of_person(service), of_app(service, OTHER_APP)
        for token in (mine, ada, other):
            assert await service.status(token) == 200
        await revoke_app(service)
        answer = await service.call(mine)
        assert (answer.status, answer.said) == (401, SAID)
        assert answer.json["error"]["code"] == "InvalidAuthenticationToken"
        assert answer.headers["www-authenticate"] == PLAIN, "no challenge for a client that can't take one"
        assert await service.status(ada) == 401, "people who use it are out as well"
        assert await service.status(other) == 200

    running(tmp_path, act)


def test_a_revocation_by_another_process_counts_from_the_next_request_on(tmp_path: Path) -> None:
    program = (
        "import sqlite3, sys; c = sqlite3.connect(sys.argv[1], isolation_level=None); "
        "c.execute('UPDATE applications SET revoked_before = ?', (int(sys.argv[2]) + 1,)); c.close()"
    )

    async def act(service: Service) -> None:
        token = of_app(service)
        for _ in range(2):
            assert await service.status(token) == 200
        command = [sys.executable, "-c", program, str(tmp_path / "data/adjoin.db"), str(int(service.clock.time))]
        await asyncio.to_thread(subprocess.run, command, check=True, timeout=60)
        assert await service.status(token) == 401

    running(tmp_path, act)


def test_a_person_is_revoked_at_once(tmp_path: Path) -> None:
    async def act(service: Service) -> None:
        ada, bob, app = of_person(service), of_person(service, BOB), of_app(service)
        await revoke_ada(service)
        assert [await service.status(each) for each in (ada, bob, app)] == [401, 200, 200]

    running(tmp_path, act)


@pytest.mark.parametrize("revoke", [revoke_app, revoke_ada])
def test_the_claims_challenge(tmp_path: Path, revoke: Callable[[Service], Awaitable[None]]) -> None:
    async def act(service: Service) -> None:
        token = of_person(service, capabilities=("cp1",))
        await revoke(service)
        answer = await service.call(token)
        assert (answer.status, answer.said) == (401, SAID)
        assert challenge_of(answer.headers["www-authenticate"]) == {
            "access_token": {"nbf": {"essential": True, "value": str(NOW + 2)}}
        }

    running(tmp_path, act)


def test_the_challenge_leads_back_in_within_the_same_second(tmp_path: Path) -> None:
    """What the token service issues after the revocation counts, although the clock still shows the same second."""

    async def act(service: Service) -> None:
        old = of_app(service, capabilities=("cp1",))
        await revoke_app(service)
        wanted = challenge_of((await service.call(old)).headers["www-authenticate"])
        after = int(wanted["access_token"]["nbf"]["value"])
        assert await service.status(of_app(service, counts_from=after)) == 200
        assert await service.status(old) == 401
        service.clock.time += 2
        assert await service.status(of_app(service)) == 200

    running(tmp_path, act)


def test_what_a_node_issued_whose_clock_is_a_second_ahead_is_revoked_as_well(tmp_path: Path) -> None:
    async def act(service: Service) -> None:
        service.clock.time += 1
        token = of_app(service)
        service.clock.time -= 1
        await revoke_app(service)
        service.clock.time += 60
        assert await service.status(token) == 401

    running(tmp_path, act)


@pytest.mark.parametrize(
    ("sql", "value"),
    [
        ("UPDATE users SET enabled = 0 WHERE id = ?1", ADA),
        ("DELETE FROM users WHERE id = ?1", ADA),
        ("DELETE FROM applications WHERE id = ?1", APP),
    ],
    ids=["disabled", "removed", "the application removed"],
)
def test_who_is_gone_is_out_at_once(tmp_path: Path, sql: str, value: str) -> None:
    async def act(service: Service) -> None:
        token = of_person(service, capabilities=("cp1",))
        assert await service.status(token) == 200
        await execute(service, sql, value)
        answer = await service.call(token)
        assert answer.status == 401
        assert challenge_of(answer.headers["www-authenticate"])["access_token"]["nbf"]["value"] == str(NOW)

    running(tmp_path, act)


def test_an_application_that_is_removed(tmp_path: Path) -> None:
    async def act(service: Service) -> None:
        token = of_app(service)
        await execute(service, "DELETE FROM applications WHERE id = ?1", APP)
        assert await service.status(token) == 401

    running(tmp_path, act)


def test_a_client_that_was_never_registered(tmp_path: Path) -> None:
    async def act(service: Service) -> None:
        assert await service.status(of_app(service, "99999999-aaaa-4aaa-8aaa-999999999999")) == 401

    running(tmp_path, act)


def test_an_application_of_another_tenant_is_none_of_this(tmp_path: Path) -> None:
    async def act(service: Service) -> None:
        other = "55555555-aaaa-4aaa-8aaa-555555555555"
        sql = "INSERT INTO tenants (id, name, licence, created) VALUES (?1, 'other', 'active', 'now')"
        await execute(service, sql, other)
        assert await service.status(of_app(service, tenant_id=other)) == 401
        assert await service.status(service.mint(tenant_id=other)) == 200

    running(tmp_path, act)


def test_a_batch_is_refused_as_a_whole(tmp_path: Path) -> None:
    """So that a client, which looks for a challenge on the answer itself, gets one."""

    async def act(service: Service) -> None:
        token = of_app(service, capabilities=("cp1",))
        body = {"requests": [{"id": "1", "method": "GET", "url": LIST.removeprefix("/beta")}]}
        assert (await service.call(token, "POST", "/beta/$batch", body)).status == 200
        await revoke_app(service)
        answer = await service.call(token, "POST", "/beta/$batch", body)
        assert answer.status == 401
        assert challenge_of(answer.headers["www-authenticate"])

    running(tmp_path, act)


def test_a_token_that_does_not_say_when_it_was_made(tmp_path: Path) -> None:
    async def act(service: Service) -> None:
        grant = issuer.Grant(tenant_id=service.tenant, subject=APP, client_id=APP, permissions=frozenset({WRITE}))
        claims = {name: value for name, value in issuer.claims(grant, NOW, "u").items() if name != "iat"}
        key = service.application.installation.ring.signing
        token = jws.serialize_compact({"alg": "RS256", "kid": key.kid}, json.dumps(claims).encode(), key.key, ["RS256"])
        assert await service.status(token) == 200
        await revoke_app(service)
        service.clock.time += 10
        assert await service.status(token) == 401

    running(tmp_path, act)


def test_personal_accounts_are_told_so(tmp_path: Path) -> None:
    async def act(service: Service) -> None:
        answer = await service.call(of_person(service, personal=True))
        assert (answer.status, answer.json["error"]["code"]) == (400, "BadRequest")

    running(tmp_path, act)


def test_nothing_to_revoke(tmp_path: Path) -> None:
    async def act(service: Service) -> None:
        gone = "99999999-aaaa-4aaa-8aaa-999999999999"
        assert not await service.write(lambda session: revocations.revoke_application(session, 1, gone, NOW))
        assert not await service.write(lambda session: revocations.revoke_person(session, 2, ADA, NOW))

    running(tmp_path, act)


# --- keys


def test_rotation_while_the_service_runs(tmp_path: Path) -> None:
    async def act(service: Service) -> None:
        before = of_app(service)
        assert await service.status(before) == 200
        old = service.application.installation.ring.signing.kid
        new = add_key(service.keys_dir, NOW).signing.kid
        service.clock.time += 1
        assert await service.status(before) == 200
        assert service.application.installation.ring.signing.kid == new
        after = of_app(service)
        assert await service.status(after) == 200
        remove_key(service.keys_dir, old, NOW, at_once=True)
        service.clock.time += 1
        assert [await service.status(each) for each in (before, after)] == [401, 200]

    running(tmp_path, act)


def test_a_token_of_a_key_made_this_second_is_taken(tmp_path: Path) -> None:
    """`adjoin token` may sign with a new key before the service has looked at the folder."""

    async def act(service: Service) -> None:
        assert await service.status(service.mint()) == 200
        ring = add_key(service.keys_dir, NOW)
        service.application.installation.keys.ring, seen = ring, service.application.installation.keys.ring
        token = service.mint()
        service.application.installation.keys.ring = seen
        assert await service.status(token) == 200

    running(tmp_path, act)
