"""What a token request is answered with: access tokens for applications, and all that a client gets for a person."""

from __future__ import annotations

import msgspec

from adjoin.identity import id_tokens, issuer
from adjoin.identity.caller import Kind
from adjoin.identity.id_tokens import SignIn
from adjoin.identity.issuer import Grant
from adjoin.service import sign_in_scopes
from adjoin.service.connectors import AUDIENCE
from adjoin.service.sign_in import LIFETIME, TokenService
from adjoin.service.sign_in_clients import Client, Proof
from adjoin.service.sign_in_scopes import Scopes
from adjoin.store.tenants import Tenant
from adjoin.store.users import User


class Delegation(msgspec.Struct, frozen=True, array_like=True):
    """What a person allowed a client, kept with the code or token for it. `signed_in` is in Unix seconds."""

    permissions: tuple[str, ...]
    openid: tuple[str, ...]
    prefix: str
    default: bool
    signed_in: int
    capabilities: tuple[str, ...] = ()
    nonce: str | None = None

    @classmethod
    def of(cls, scopes: Scopes, signed_in: int, capabilities: tuple[str, ...], nonce: str | None = None) -> Delegation:
        return cls(scopes.permissions, scopes.openid, scopes.prefix, scopes.default, signed_in, capabilities, nonce)

    @property
    def scopes(self) -> Scopes:
        return Scopes(self.permissions, self.openid, self.prefix, self.default)


class Tokens(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The answer to a token request, with Entra's members in Entra's order; those that are None are left out."""

    token_type: str
    scope: str | None = None
    expires_in: int
    ext_expires_in: int
    access_token: str
    refresh_token: str | None = None
    id_token: str | None = None
    client_info: str | None = None


def for_application(service: TokenService, tenant: Tenant, client: Client, capabilities: tuple[str, ...]) -> Tokens:
    """A token with all that the application may do."""
    found = client.application
    grant = Grant(
        tenant_id=tenant.id,
        subject=found.object_id,
        client_id=found.id,
        permissions=frozenset(found.permissions),
        kind=Kind.APPLICATION,
        expires_in=LIFETIME,
        app_display_name=found.name,
        capabilities=capabilities,
        certificate=client.proof is Proof.CERTIFICATE,
        cloud=service.cloud,
        counts_from=found.revoked_before,
        audience=AUDIENCE if client.connector else None,
    )
    return _tokens(_minted(service, grant))


def for_person(
    service: TokenService,
    tenant: Tenant,
    client: Client,
    person: User,
    delegation: Delegation,
    refresh_token: str | None,
) -> Tokens:
    """All that a client gets for a person, within what the person may do now. Raises SignInRefusal."""
    found, scopes = client.application, delegation.scopes
    permissions = sign_in_scopes.granted(scopes, found.permissions, person.permissions)
    upn = principal_name(person, tenant)
    grant = Grant(
        tenant_id=tenant.id,
        subject=person.id,
        client_id=found.id,
        permissions=permissions,
        kind=Kind.DELEGATED,
        expires_in=LIFETIME,
        app_display_name=found.name,
        upn=upn,
        capabilities=delegation.capabilities,
        public_client=client.proof is Proof.NONE,
        certificate=client.proof is Proof.CERTIFICATE,
        cloud=service.cloud,
        counts_from=max(found.revoked_before, person.revoked_before),
    )
    sign_in = SignIn(tenant.id, person.id, found.id, upn, person.display_name, delegation.signed_in, delegation.nonce)
    return _tokens(
        _minted(service, grant),
        scope=scopes.answered(permissions),
        refresh_token=refresh_token,
        id_token=_id_token(service, sign_in) if "openid" in scopes.openid else None,
        client_info=id_tokens.client_info(tenant.id, person.id),
    )


def principal_name(person: User, tenant: Tenant) -> str:
    """The name as Entra has it, which is an address: with the tenant's name where the account's has no domain."""
    return person.name if "@" in person.name else f"{person.name}@{tenant.name}"


def _tokens(access_token: str, **more: str | None) -> Tokens:
    return Tokens(
        token_type="Bearer",  # noqa: S106 - the word, not one
        expires_in=LIFETIME,
        ext_expires_in=LIFETIME,
        access_token=access_token,
        **more,
    )


def _minted(service: TokenService, grant: Grant) -> str:
    return issuer.mint(service.installation.ring.signing, grant, service.now, service.world.new_request_id())


def _id_token(service: TokenService, sign_in: SignIn) -> str:
    key = service.installation.ring.signing
    return id_tokens.mint(key, service.cloud, sign_in, service.now, service.world.new_request_id())
