"""Sign-in on another device (RFC 8628): the two codes, the person's word, and the polls of the client that waits."""

from __future__ import annotations

import hashlib
import re
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

import msgspec

from adjoin.identity.assertions import base64url
from adjoin.service import sign_in_refresh, sign_in_scopes
from adjoin.service.sign_in import SignInRefusal, TokenService
from adjoin.service.sign_in_clients import Client
from adjoin.service.sign_in_refresh import usable
from adjoin.service.sign_in_scopes import Scopes
from adjoin.service.sign_in_tokens import Delegation, Tokens, for_person
from adjoin.store import applications, grants, tenants, users
from adjoin.store.applications import Application
from adjoin.store.database import Session
from adjoin.store.grants import Kept
from adjoin.store.tenants import Tenant
from adjoin.store.users import User

LASTS: Final = 900
INTERVAL: Final = 5
"""Seconds between polls."""

# No vowels and nothing to be taken for another (RFC 8628, 6.1): 20 letters, eight of them, 34 bits.
_LETTERS: Final = "BCDFGHJKLMNPQRSTVWXZ"
_LENGTH: Final = 8
_NOT_LETTERS: Final = re.compile(r"[^A-Z]")
_POLLS_KEPT: Final = 10_000


class Waiting(msgspec.Struct, frozen=True, array_like=True):
    """What is kept with a device code; the row of the user code holds the device code's digest."""

    user_code: bytes
    delegation: Delegation


_WAITING: Final = msgspec.msgpack.Decoder(Waiting)


@dataclass(frozen=True, slots=True)
class Codes:
    """What the client shows to its user, and what it polls with."""

    device_code: str
    user_code: str


@dataclass(frozen=True, slots=True)
class Request:
    """A sign-in that waits for a person's word."""

    tenant: Tenant
    application: Application
    delegation: Delegation
    device: bytes


class Polls:
    """When which device code was last asked for, so that a client in a hurry is told. In memory, bounded."""

    def __init__(self) -> None:
        self._last: OrderedDict[bytes, float] = OrderedDict()

    def hurried(self, digest: bytes, now: float) -> bool:
        """Whether this poll comes too soon after the last."""
        last = self._last.pop(digest, None)
        self._last[digest] = now
        if len(self._last) > _POLLS_KEPT:
            self._last.popitem(last=False)
        # A second less than the interval: networks deliver polls unevenly.
        return last is not None and now - last < INTERVAL - 1


async def begin(
    service: TokenService, tenant: Tenant, application: Application, scopes: Scopes, capabilities: tuple[str, ...]
) -> Codes:
    """Begin a sign-in. Raises SignInRefusal."""
    sign_in_scopes.check_registered(scopes, application.permissions, application.name)
    now = service.now
    codes = Codes(base64url(service.world.random(32)), _user_code(service))
    device, user = _digest(codes.device_code), user_digest(codes.user_code)
    content = msgspec.msgpack.encode(Waiting(user, Delegation.of(scopes, now, capabilities)))

    async def act(session: Session) -> bool:
        if await grants.tenant_of_user_code(session, user) is not None:
            return False
        for digest, kind, kept in ((device, grants.DEVICE, content), (user, grants.USER_CODE, device)):
            new = Kept(digest, kind, grants.PENDING, application.id, None, kept, now, now + LASTS)
            await grants.add(session, tenant.number, new)
        return True

    if not await service.installation.database.write(act):
        raise SignInRefusal("temporarily_unavailable", 90055, "Try again.", retry_after=1)
    return codes


async def waiting(service: TokenService, user_code: str, only: Tenant | None) -> Request | None:
    """The sign-in that a person means by a user code; None: there is none, or its time is over."""
    reader = service.installation.database.reader
    digest = user_digest(user_code)
    number = await grants.tenant_of_user_code(reader, digest)
    if number is None or (only is not None and only.number != number):
        return None
    kept = await grants.find(reader, number, grants.USER_CODE, digest)
    tenant = only or await tenants.find_by_number(reader, number)
    return await find(service, tenant, kept.content) if kept is not None and tenant is not None else None


async def find(service: TokenService, tenant: Tenant, device: bytes) -> Request | None:
    """The sign-in that waits under the digest of its device code."""
    reader = service.installation.database.reader
    kept = await grants.find(reader, tenant.number, grants.DEVICE, device)
    if kept is None or kept.state != grants.PENDING or kept.expires <= service.now:
        return None
    application = await applications.find(reader, tenant.number, kept.client)
    if application is None:
        return None
    return Request(tenant, application, _WAITING.decode(kept.content).delegation, device)


async def decide(service: TokenService, request: Request, person: User | None) -> bool:
    """A person's word: allowed by `person`, or declined; False: the sign-in waits no longer. Raises SignInRefusal."""
    if person is not None:
        sign_in_scopes.granted(request.delegation.scopes, request.application.permissions, person.permissions)
    tenant, now = request.tenant.number, service.now

    async def act(session: Session) -> bool:
        kept = await grants.find(session, tenant, grants.DEVICE, request.device)
        if kept is None or kept.state != grants.PENDING or kept.expires <= now:
            return False
        state, subject = (grants.READY, person.id) if person is not None else (grants.DECLINED, None)
        await grants.settle(session, tenant, kept, state, subject)
        await grants.drop(session, tenant, _WAITING.decode(kept.content).user_code)
        return True

    return await service.installation.database.write(act)


async def redeem(service: TokenService, tenant: Tenant, client: Client, device_code: str, polls: Polls) -> Tokens:
    """Tokens for a device code, once, when its person has allowed them. Raises SignInRefusal."""
    digest, now = _digest(device_code), service.now
    kept = await grants.find(service.installation.database.reader, tenant.number, grants.DEVICE, digest)
    if kept is None or kept.client != client.id:
        raise SignInRefusal("bad_verification_code", 70018, "The device_code was not recognized.")
    _check(kept, now, polls)
    token = sign_in_refresh.fresh(base64url(service.world.random(18)), service.world.random(32))

    async def act(session: Session) -> tuple[User, Delegation]:
        ready = await grants.find(session, tenant.number, grants.DEVICE, digest)
        if ready is None or ready.state != grants.READY or ready.subject is None:
            raise _spent()
        person = usable(await users.find(session, tenant.number, ready.subject))
        delegation = _WAITING.decode(ready.content).delegation
        await grants.settle(session, tenant.number, ready, grants.SPENT)
        if "offline_access" in delegation.openid:
            await sign_in_refresh.begin(session, tenant.number, client.id, person.id, delegation, token, now)
        return person, delegation

    person, delegation = await service.installation.database.write(act)
    refresh_token = token.text if "offline_access" in delegation.openid else None
    return for_person(service, tenant, client, person, delegation, refresh_token)


def _check(kept: Kept, now: int, polls: Polls) -> None:
    if kept.state == grants.SPENT:
        raise _spent()
    if kept.state == grants.DECLINED:
        raise SignInRefusal("authorization_declined", 65004, "User declined to consent to access the app.")
    if kept.expires <= now:
        raise SignInRefusal(
            "expired_token",
            70020,
            "The provided value for the input parameter 'device_code' is not valid. This device code has expired.",
        )
    if kept.state == grants.READY:
        return
    if polls.hurried(kept.digest, now):
        raise SignInRefusal("slow_down", 90055, f"Authorization is pending. Poll every {INTERVAL} seconds.")
    raise SignInRefusal(
        "authorization_pending", 70016, "OAuth 2.0 device flow error. Authorization is pending. Continue polling."
    )


def _spent() -> SignInRefusal:
    return SignInRefusal("invalid_grant", 54005, "The device code was already redeemed.")


def user_digest(user_code: str) -> bytes:
    """What is stored of a user code, however it was typed: small letters, blanks, any dash."""
    return _digest("user " + _NOT_LETTERS.sub("", user_code[:64].upper()))


def _user_code(service: TokenService) -> str:
    """Eight letters, each as likely as any other: 240 is the largest multiple of 20 that a byte can be below."""
    letters = ""
    while len(letters) < _LENGTH:
        letters += "".join(_LETTERS[each % 20] for each in service.world.random(16) if each < 240)
    return f"{letters[:4]}-{letters[4:_LENGTH]}"


def _digest(code: str) -> bytes:
    return hashlib.sha256(code.encode("utf-8", "surrogatepass")).digest()
