"""External issuers as the settings describe them (`[[issuers]]` in adjoin.toml), and the trust that they make.

Pure: what a file says goes in, checked values come out. docs/operations.md has every setting with its meaning.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import SplitResult, urlsplit

import msgspec

from adjoin.identity.clouds import CLOUDS, TENANT
from adjoin.identity.keys import ALGORITHMS, VerificationKey
from adjoin.identity.trust import External, Trust
from adjoin.odata.errors import Refusal
from adjoin.odata.values import BadValue, parse_guid

_Seconds = Annotated[int, msgspec.Meta(ge=1, le=30 * 86_400)]
_Name = Annotated[str, msgspec.Meta(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9._-]+$")]

# The characters of RFC 3986 and no others: two readers of URLs differ most in what they make of the rest.
_URL: Final = re.compile(r"[A-Za-z0-9._~:/?\[\]@!$&'()*+,;=%{}-]{1,2048}")
_METADATA: Final = "/.well-known/openid-configuration"


class BadIssuer(Refusal):
    """An external issuer whose settings cannot be used, or would be unsafe. It keeps the service from starting."""


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="kebab"):
    """One external issuer. Times are in seconds."""

    name: _Name
    issuer: str
    audiences: tuple[str, ...]
    tenant: str | None = None
    tenants: tuple[str, ...] | dict[str, str] = ()
    algorithms: tuple[str, ...] = ("RS256",)
    roles_claim: str = "roles"
    scopes_claim: str | None = None
    roles: dict[str, str] | None = None
    scopes: dict[str, str] | None = None
    application: dict[str, str] = {}
    token_type: str | None = None
    discovery: str | None = None
    key_hosts: tuple[str, ...] = ()
    ca_file: Path | None = None
    refresh: _Seconds = 3_600
    unknown_key_interval: _Seconds = 60
    grace: Annotated[int, msgspec.Meta(ge=0, le=30 * 86_400)] = 300
    clock_skew: Annotated[int, msgspec.Meta(ge=0, le=600)] = 300
    allow_http_loopback: bool = False

    @property
    def shared(self) -> bool:
        """Whether it is Entra's for many tenants, each of which has a name of the issuer of its own."""
        return TENANT in self.issuer

    @property
    def metadata_url(self) -> str:
        """Where its discovery document is. Entra publishes that for all tenants under `common`."""
        return self.discovery or self.issuer.replace(TENANT, "common").rstrip("/") + _METADATA

    @property
    def hosts(self) -> frozenset[str]:
        """Hosts (with the port, where it isn't the usual one) that keys may be fetched from."""
        own = {host_of(urlsplit(self.issuer)), host_of(urlsplit(self.metadata_url))}
        return frozenset(own | {each.lower() for each in self.key_hosts})


def read(given: Iterable[Mapping[str, Any]]) -> tuple[Settings, ...]:
    """The issuers that the settings file lists. Raises BadIssuer, which names the one that is wrong."""
    found = tuple(_read(number, each) for number, each in enumerate(given, 1))
    for what in ("name", "issuer"):
        values = [getattr(each, what) for each in found]
        if len(set(values)) != len(values):
            raise BadIssuer(f"Two issuers have the same {what}.")
    return found


def trust(settings: Settings, external: External, keys: Mapping[str, VerificationKey]) -> Trust:
    """What is accepted of an issuer while it has these keys."""
    version = "2.0" if settings.issuer.rstrip("/").endswith("/v2.0") else "1.0"
    return Trust(
        keys,
        {version: (settings.issuer,)} if settings.shared else {},
        frozenset(settings.audiences),
        clock_skew=settings.clock_skew,
        algorithms=frozenset(settings.algorithms),
        external=external,
    )


def external(settings: Settings, home: Callable[[str], str | None]) -> External:
    """How the issuer's claims are read. `home` gives the GUID of a tenant of ours by its GUID or name."""

    def found(name: str) -> str:
        guid = home(name)
        if guid is None:
            raise BadIssuer(f"The issuer '{settings.name}' names a tenant '{name}', which is not there.")
        return guid

    tenants = settings.tenants
    pairs = tenants.items() if isinstance(tenants, dict) else zip(tenants, tenants, strict=True)
    return External(
        name=settings.name,
        issuer=None if settings.shared else settings.issuer,
        tenant=found(settings.tenant) if settings.tenant else "",
        tenants={theirs.lower(): found(ours) for theirs, ours in pairs},
        roles_claim=settings.roles_claim,
        scopes_claim=settings.scopes_claim,
        roles=settings.roles,
        scopes=settings.scopes,
        application=settings.application,
        token_type=settings.token_type.lower() if settings.token_type else None,
    )


def host_of(parts: SplitResult) -> str:
    """A URL's host, with its port unless that is the scheme's own. A port that is none is left as it stands."""
    host = (parts.hostname or "").lower()
    usual = {"https": ":443", "http": ":80"}.get(parts.scheme, "")
    port = parts.netloc.rpartition("@")[2].lower().removeprefix(f"[{host}]").removeprefix(host)
    return host + port.removesuffix(usual) if port == usual else host + port


def check_url(url: str, loopback: bool) -> SplitResult:
    """Refuse a URL that no key may come from; `loopback`: plain http is taken of this machine. Raises ValueError."""
    if not _URL.fullmatch(url):
        raise ValueError("it is not a plain URL")
    parts = urlsplit(url)
    if "@" in parts.netloc or not parts.hostname:
        raise ValueError("it has no host, or names a user")
    if parts.scheme != "https" and not (parts.scheme == "http" and loopback and _is_loopback(parts.hostname)):
        raise ValueError("it does not begin with https://")
    return parts


def _read(number: int, given: Mapping[str, Any]) -> Settings:
    try:
        settings = msgspec.convert(given, Settings, strict=False, dec_hook=_path)
    except msgspec.ValidationError as error:
        raise BadIssuer(f"Issuer {number} of the settings is wrong: {error}.") from None
    fault = _url_fault(settings) or _claims_fault(settings) or _tenant_fault(settings)
    if fault:
        raise BadIssuer(f"The issuer '{settings.name}' cannot be used: {fault}.")
    return settings


def _url_fault(settings: Settings) -> str | None:
    for what, url in (("issuer", settings.issuer), ("discovery", settings.metadata_url)):
        try:
            parts = check_url(url, settings.allow_http_loopback)
        except ValueError as error:
            return f"its {what} {url!r}: {error}"
        if "{" in parts.netloc or (what == "discovery" and "{" in url) or "{" in url.replace(TENANT, ""):
            return f"its {what} has braces in it; only {TENANT} in the path of an issuer may"
    if settings.ca_file is not None and not settings.ca_file.is_file():
        return f"its ca-file {settings.ca_file} is not there"
    return None


def _claims_fault(settings: Settings) -> str | None:
    if not settings.audiences or not all(settings.audiences):
        return "it has no audiences; its tokens for other services would be good here"
    if not settings.algorithms or not set(settings.algorithms) <= set(ALGORITHMS):
        return f"its algorithms have to be of {', '.join(ALGORITHMS)}"
    return None


def _tenant_fault(settings: Settings) -> str | None:
    if settings.shared:
        if settings.tenant is not None or not settings.tenants:
            return f"an issuer with {TENANT} has a list `tenants` of those that may, and no `tenant`"
        if not all(_is_guid(each) for each in settings.tenants):
            return "its tenants are named by their GUIDs"
        if settings.application or settings.token_type or settings.scopes_claim or settings.roles_claim != "roles":
            return "the claims of Entra's tokens have fixed names; only `roles` and `scopes` can be mapped"
        return None
    if not settings.tenant or settings.tenants:
        return "it has no `tenant` that its tokens act in (`tenants` is for an issuer with {tenantid})"
    if urlsplit(settings.issuer).hostname in _ENTRA:
        # Read as a plain provider's, a person's id token of Entra's could pass for an access token.
        return f"Entra is named with {TENANT} in place of the tenant, which stands in `tenants`"
    return None


_ENTRA: Final = frozenset(
    urlsplit(template).hostname
    for cloud in CLOUDS.values()
    for template in (cloud.login_authority, *cloud.issuers_v1, *cloud.issuers_v2)
)


def _is_guid(text: str) -> bool:
    try:
        return bool(parse_guid(text))
    except BadValue:
        return False


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _path(wanted: type, value: object) -> object:
    if wanted is Path and isinstance(value, str | Path):
        return Path(value)
    raise TypeError(f"a path is text, not {value!r}")
