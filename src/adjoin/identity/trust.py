"""Whose tokens are accepted, and how their claims are read: one value for each issuing party. Data only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from adjoin.identity.clouds import GLOBAL, TENANT, fill
from adjoin.identity.keys import ALGORITHMS, VerificationKey


@dataclass(frozen=True, slots=True, kw_only=True)
class External:
    """How the tokens of a party other than the built-in issuer are read (docs/operations.md has the settings).

    With `issuer` the party is a plain OpenID provider, and all its tokens act in `tenant`. Without, its tokens are
    Entra's, and `tenants` says which of Entra's tenants act in which of ours.
    """

    name: str
    issuer: str | None = None
    tenant: str = ""
    tenants: Mapping[str, str] = field(default_factory=dict)
    roles_claim: str = "roles"
    scopes_claim: str | None = None
    """None: `scope`, as RFC 9068 has it, or `scp` where there is no `scope`."""
    roles: Mapping[str, str] | None = None
    """A role to the permission it stands for. None: roles bear the names of permissions already."""
    scopes: Mapping[str, str] | None = None
    application: Mapping[str, str] = field(default_factory=dict)
    """Claims by which an application is told from a person, with the values that they then have."""
    token_type: str | None = None
    """What `typ` in the header has to be, where the party tells its access tokens from other tokens by it."""

    def permissions_of_roles(self, roles: frozenset[str]) -> frozenset[str]:
        return _mapped(self.roles, roles)

    def permissions_of_scopes(self, scopes: frozenset[str]) -> frozenset[str]:
        return _mapped(self.scopes, scopes)


@dataclass(frozen=True, slots=True)
class Trust:
    """Whose tokens are accepted. One value stands for one token service, so that keys and issuers can't be crossed.

    `issuers` are templates with `{tenantid}` by the `ver` of the token; a template without a tenant would accept
    tokens of any tenant from that issuer, so it isn't taken. A plain OpenID provider has none: see `external`.
    """

    keys: Mapping[str, VerificationKey] = field(repr=False)
    issuers: Mapping[str, tuple[str, ...]]
    audiences: frozenset[str]
    clock_skew: int = 300
    algorithms: frozenset[str] = frozenset({"RS256"})
    external: External | None = None
    """None for the built-in issuer."""
    graph_host: str = GLOBAL.graph_host
    """The cloud whose tokens they are, where these say it (clouds.GRAPH_HOST_CLAIM)."""

    def __post_init__(self) -> None:
        """Faults here are the operator's or ours, and a trust that is wrong must not start."""
        if not self.algorithms <= set(ALGORITHMS):
            raise ValueError(f"only {', '.join(ALGORITHMS)} can be trusted")
        if any(kid != key.kid for kid, key in self.keys.items()):
            raise ValueError("a key is filed under another key's id")
        templates = [template for group in self.issuers.values() for template in group]
        if self.external is None or self.external.issuer is None:
            templates += [template for key in self.keys.values() for template in key.issuers]
        elif self.issuers:
            raise ValueError("a plain issuer has no templates")
        if any(TENANT not in template for template in templates):
            raise ValueError(f"an issuer has {TENANT} in it")
        if self.clock_skew < 0:
            raise ValueError("the clock skew is not negative")
        object.__setattr__(self, "keys", MappingProxyType(dict(self.keys)))
        object.__setattr__(self, "issuers", MappingProxyType(dict(self.issuers)))

    def claimed_by(self, issuer: object, tenant: object) -> bool:
        """Whether a token that says this of itself would have to be this party's. Nothing is verified by that."""
        if not isinstance(issuer, str):
            return False
        if self.external is not None and self.external.issuer is not None:
            return issuer == self.external.issuer
        if not isinstance(tenant, str):
            return False
        if self.external is not None and tenant.lower() not in self.external.tenants:
            return False
        return any(issuer == fill(template, tenant) for group in self.issuers.values() for template in group)


def _mapped(names: Mapping[str, str] | None, found: frozenset[str]) -> frozenset[str]:
    """The permissions that values of a claim stand for; a value that is not listed stands for nothing."""
    if names is None:
        return found
    return frozenset(names[value] for value in found if value in names)
