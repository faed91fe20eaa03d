"""Authorization codes: what a client asks a person for, the code it gets, and what it redeems that for.

RFC 6749 section 4.1 with PKCE (RFC 7636), method S256 alone.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from typing import Final

import msgspec

from adjoin.identity.assertions import base64url
from adjoin.service import sign_in_redirects, sign_in_refresh, sign_in_scopes
from adjoin.service.sign_in import SignInRefusal, TokenService
from adjoin.service.sign_in_clients import Client, missing, registered
from adjoin.service.sign_in_refresh import Fresh, usable
from adjoin.service.sign_in_tokens import Delegation, Tokens, for_person
from adjoin.store import grants, users
from adjoin.store.applications import Application
from adjoin.store.database import Session
from adjoin.store.grants import Kept
from adjoin.store.tenants import Tenant
from adjoin.store.users import User

LASTS: Final = 600
"""Seconds that a code is good for: RFC 6749's longest, and Entra's."""

MODES: Final = ("query", "fragment", "form_post")
_CHALLENGE: Final = re.compile(r"[A-Za-z0-9_-]{43}")
_VERIFIER: Final = re.compile(r"[A-Za-z0-9._~-]{43,128}")
_LONGEST_STATE: Final = 4_096


class Asked(msgspec.Struct, frozen=True, array_like=True):
    """An authorization request that may be shown to a person."""

    client_id: str
    redirect_uri: str
    mode: str
    state: str | None
    challenge: str | None
    delegation: Delegation


class Code(msgspec.Struct, frozen=True, array_like=True):
    """What is kept with a code."""

    redirect_uri: str
    challenge: str | None
    delegation: Delegation


_CODE: Final = msgspec.msgpack.Decoder(Code)


async def returning(
    service: TokenService, tenant: Tenant, parameters: Mapping[str, str]
) -> tuple[Application, str, str, str | None]:
    """Where the answer may go: the client, its redirect URI, the mode and the state.

    Until this is known, refusals are for the person's eyes alone: they go to no address that a link could name.
    Raises SignInRefusal.
    """
    client_id, redirect_uri = parameters.get("client_id"), parameters.get("redirect_uri")
    if not client_id:
        raise missing("client_id")
    application = await registered(service, tenant, client_id)
    if not redirect_uri:
        raise missing("redirect_uri")
    if not sign_in_redirects.matches(redirect_uri, application.redirect_uris, application.public):
        raise SignInRefusal(
            "invalid_request",
            50011,
            f"The redirect URI '{redirect_uri[:256]}' specified in the request does not match the redirect URIs "
            f"configured for the application '{application.id}'.",
        )
    mode = parameters.get("response_mode") or "query"
    return application, redirect_uri, mode if mode in MODES else "query", parameters.get("state")


def asked(
    service: TokenService, application: Application, parameters: Mapping[str, str], scope: str, origin: str
) -> Delegation:
    """What the client asks the person for. Raises SignInRefusal."""
    if parameters.get("response_type") != "code":
        raise SignInRefusal(
            "unsupported_response_type", 70005, "The only response type that this service has is 'code'."
        )
    if (parameters.get("response_mode") or "query") not in MODES:
        raise SignInRefusal("invalid_request", 900144, f"'response_mode' is one of {', '.join(MODES)}.")
    if "request" in parameters or "request_uri" in parameters:
        raise SignInRefusal("request_not_supported", 900144, "Requests in a JWT are not supported.")
    if len(parameters.get("state", "")) > _LONGEST_STATE or len(parameters.get("nonce", "")) > _LONGEST_STATE:
        raise SignInRefusal("invalid_request", 90015, "The request's state or nonce is too long.")
    _check_challenge(application, parameters)
    if parameters.get("prompt") == "none":
        raise SignInRefusal("login_required", 50058, "A silent sign-in request was sent but no user is signed in.")
    scopes = sign_in_scopes.read(scope, service.cloud, origin)
    sign_in_scopes.check_registered(scopes, application.permissions, application.name)
    return Delegation.of(scopes, service.now, capabilities(parameters), parameters.get("nonce"))


def capabilities(parameters: Mapping[str, str]) -> tuple[str, ...]:
    """The `cp1` that a client declares in its `claims` parameter, as SDKs do by default (clients.md section 2)."""
    return ("cp1",) if '"cp1"' in parameters.get("claims", "").lower() else ()


async def issue(service: TokenService, tenant: Tenant, asked_for: Asked, person: User) -> str:
    """A code for what the person allowed. Raises SignInRefusal when the person may do none of it."""
    application = await registered(service, tenant, asked_for.client_id)
    delegation = msgspec.structs.replace(asked_for.delegation, signed_in=service.now)
    sign_in_scopes.granted(delegation.scopes, application.permissions, person.permissions)
    code = base64url(service.world.random(32))
    content = msgspec.msgpack.encode(Code(asked_for.redirect_uri, asked_for.challenge, delegation))
    now = service.now
    new = Kept(_digest(code), grants.CODE, grants.READY, application.id, person.id, content, now, now + LASTS)
    await service.installation.database.write(lambda session: grants.add(session, tenant.number, new))
    return code


async def redeem(
    service: TokenService, tenant: Tenant, client: Client, code: str, redirect_uri: str, verifier: str | None
) -> Tokens:
    """Tokens for a code, once. A code that comes again ends what came of it (RFC 6749, 4.1.2). Raises SignInRefusal."""
    now, digest = service.now, _digest(code)
    token = sign_in_refresh.fresh(_row_name(code), service.world.random(32))

    async def act(session: Session) -> tuple[User, Delegation] | None:
        kept = await grants.find(session, tenant.number, grants.CODE, digest)
        if kept is None or kept.client != client.id or kept.subject is None:
            raise SignInRefusal("invalid_grant", 70000, "The provided authorization code is not valid.")
        if kept.state == grants.SPENT:
            await sign_in_refresh.end(session, tenant.number, _row_name(code))
            return None
        content = _CODE.decode(kept.content)
        _check(content, kept, redirect_uri, verifier, now)
        person = usable(await users.find(session, tenant.number, kept.subject))
        await grants.settle(session, tenant.number, kept, grants.SPENT)
        await _begin(session, tenant, client, person, content.delegation, token, now)
        return person, content.delegation

    outcome = await service.installation.database.write(act)
    if outcome is None:
        raise SignInRefusal(
            "invalid_grant",
            54005,
            "OAuth2 Authorization code was already redeemed, please retry with a new valid code. What came of it is "
            "revoked.",
        )
    person, delegation = outcome
    refresh_token = token.text if "offline_access" in delegation.openid else None
    return for_person(service, tenant, client, person, delegation, refresh_token)


async def _begin(
    session: Session, tenant: Tenant, client: Client, person: User, delegation: Delegation, token: Fresh, now: int
) -> None:
    if "offline_access" in delegation.openid:
        await sign_in_refresh.begin(session, tenant.number, client.id, person.id, delegation, token, now)


def _check_challenge(application: Application, parameters: Mapping[str, str]) -> None:
    """PKCE is a must for public clients (RFC 9700, 2.1.1), and S256 the only method that protects."""
    challenge = parameters.get("code_challenge")
    if challenge is None:
        if application.public:
            raise SignInRefusal(
                "invalid_request", 9002325, "Proof Key for Code Exchange is required for a public client."
            )
        return
    if parameters.get("code_challenge_method", "plain") != "S256":
        raise SignInRefusal("invalid_request", 501491, "The 'code_challenge_method' has to be 'S256'.")
    if not _CHALLENGE.fullmatch(challenge):
        raise SignInRefusal("invalid_request", 50149, "Invalid size of Code_Challenge parameter.")


def _check(content: Code, kept: Kept, redirect_uri: str, verifier: str | None, now: int) -> None:
    if kept.expires <= now:
        raise SignInRefusal("invalid_grant", 70008, "The provided authorization code has expired.")
    if redirect_uri != content.redirect_uri:
        raise SignInRefusal(
            "invalid_grant",
            500112,
            f"The reply address '{redirect_uri[:256]}' does not match the one provided when requesting the code.",
        )
    if content.challenge is None:
        if verifier is not None:
            # Somebody took the challenge out of the request (RFC 9700, 4.8.2).
            raise SignInRefusal("invalid_grant", 50148, "There was no code_challenge in the authorization request.")
        return
    if verifier is None or not _VERIFIER.fullmatch(verifier):
        raise SignInRefusal("invalid_grant", 50148, "The code_verifier is missing or malformed.")
    if not hmac.compare_digest(base64url(hashlib.sha256(verifier.encode()).digest()), content.challenge):
        raise SignInRefusal(
            "invalid_grant",
            501481,
            "The Code_Verifier does not match the code_challenge supplied in the authorization request.",
        )


def _row_name(code: str) -> str:
    """The name of the sign-in that a code begins: told by the code, so that it is found when the code comes again."""
    return base64url(hashlib.sha256(b"sign-in " + code.encode("utf-8", "surrogatepass")).digest()[:18])


def _digest(code: str) -> bytes:
    return hashlib.sha256(code.encode("utf-8", "surrogatepass")).digest()
