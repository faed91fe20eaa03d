"""Refresh tokens: one row for each sign-in, which the newest of its tokens alone can move on.

A token names its row and carries a secret; the row holds the digest of the newest secret. Who comes with an older one
has a copy, or lost the copy: nobody can tell, so the sign-in ends (RFC 9700, 4.14.2).
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Final

import msgspec

from adjoin.identity.assertions import base64url
from adjoin.service import sign_in_scopes
from adjoin.service.sign_in import SignInRefusal, TokenService
from adjoin.service.sign_in_clients import Client
from adjoin.service.sign_in_scopes import Scopes
from adjoin.service.sign_in_tokens import Delegation, Tokens, for_person
from adjoin.store import grants, users
from adjoin.store.database import Session
from adjoin.store.grants import Kept
from adjoin.store.tenants import Tenant
from adjoin.store.users import User

LASTS: Final = 90 * 24 * 3_600
"""Seconds from its last use, as Entra's."""


class Family(msgspec.Struct, frozen=True, array_like=True):
    """What the row of a sign-in holds: what was allowed, and the digest of its newest secret."""

    delegation: Delegation
    newest: bytes


_FAMILY: Final = msgspec.msgpack.Decoder(Family)


class Fresh(msgspec.Struct, frozen=True):
    """A refresh token to be: its text, and what is stored of it."""

    text: str
    row: bytes
    newest: bytes


def fresh(row_name: str, random: bytes) -> Fresh:
    """A new token of the sign-in with this name, from at least 32 random bytes."""
    secret = base64url(random)
    return Fresh(f"{row_name}.{secret}", _digest(row_name), _digest(secret))


async def begin(
    session: Session, tenant: int, client_id: str, person_id: str, delegation: Delegation, token: Fresh, now: int
) -> None:
    """Begin a sign-in that `token` can be redeemed for."""
    content = msgspec.msgpack.encode(Family(delegation, token.newest))
    new = Kept(token.row, grants.REFRESH, grants.READY, client_id, person_id, content, now, now + LASTS)
    await grants.add(session, tenant, new)


async def end(session: Session, tenant: int, row_name: str) -> None:
    """End the sign-in with this name."""
    await grants.drop(session, tenant, _digest(row_name))


async def redeem(
    service: TokenService,
    tenant: Tenant,
    client: Client,
    token: str,
    asked: Scopes | None,
    capabilities: tuple[str, ...],
) -> Tokens:
    """Tokens for a refresh token, which is thereby spent. Raises SignInRefusal."""
    row_name, _, secret = token.partition(".")
    given = _digest(secret)
    renewed = fresh(row_name, service.world.random(32))
    now = service.now

    async def act(session: Session) -> tuple[User, Delegation] | None:
        kept = await grants.find(session, tenant.number, grants.REFRESH, _digest(row_name))
        if kept is None or kept.client != client.id or kept.subject is None:
            raise SignInRefusal("invalid_grant", 70000, "The provided refresh token is not valid, or was revoked.")
        if kept.expires <= now:
            raise SignInRefusal("invalid_grant", 700082, "The refresh token has expired due to inactivity.")
        family = _FAMILY.decode(kept.content)
        if not hmac.compare_digest(family.newest, given):
            await grants.drop(session, tenant.number, kept.digest)
            return None
        person = usable(await users.find(session, tenant.number, kept.subject))
        delegation = _delegation(family.delegation, client, asked, capabilities)
        # Before anything is spent: who is refused keeps the token for when it is of use again.
        sign_in_scopes.granted(delegation.scopes, client.application.permissions, person.permissions)
        content = msgspec.msgpack.encode(Family(family.delegation, renewed.newest))
        await grants.replace(session, tenant.number, kept, content, now + LASTS)
        return person, delegation

    outcome = await service.installation.database.write(act)
    if outcome is None:
        raise SignInRefusal(
            "invalid_grant", 50173, "The refresh token was used before. All that came from its sign-in is revoked."
        )
    person, delegation = outcome
    return for_person(service, tenant, client, person, delegation, renewed.text)


def usable(person: User | None) -> User:
    """A person for whom tokens may be issued now. Raises SignInRefusal."""
    if person is None:
        raise SignInRefusal("invalid_grant", 50034, "The user account does not exist any more.")
    if not person.enabled:
        raise SignInRefusal("invalid_grant", 50057, "The user account is disabled.")
    return person


def _delegation(allowed: Delegation, client: Client, asked: Scopes | None, capabilities: tuple[str, ...]) -> Delegation:
    """What is asked for this time, which is never more than what the person allowed (RFC 6749, 6)."""
    if asked is None:
        return msgspec.structs.replace(allowed, capabilities=capabilities or allowed.capabilities, nonce=None)
    permissions = client.application.permissions
    named = allowed.scopes.named(permissions)
    beyond = [each for each in asked.permissions if each not in sign_in_scopes.implied(named)]
    if beyond or (asked.default and allowed.scopes.signs_in):
        raise SignInRefusal(
            "invalid_grant",
            65001,
            f"The user or administrator has not consented to use the application with ID '{client.id}' "
            f"with {beyond[0][:128] if beyond else '.default'}. Send an interactive authorization request.",
        )
    return msgspec.structs.replace(
        allowed,
        permissions=allowed.permissions if asked.default else asked.permissions,
        default=asked.default,
        prefix=asked.prefix or allowed.prefix,
        openid=allowed.openid,
        capabilities=capabilities or allowed.capabilities,
        nonce=None,
    )


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
