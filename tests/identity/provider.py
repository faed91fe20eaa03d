"""An OpenID provider in memory: what it publishes, the tokens it signs, and how it fails. Also, a service to call."""

from __future__ import annotations

import atexit
import base64
import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from joserfc import jws
from joserfc.jwk import ECKey, RSAKey

from adjoin.identity import oidc
from adjoin.identity.discovery import Unusable
from adjoin.identity.keys import open_ring
from adjoin.identity.oidc import Settings
from adjoin.identity.sources import KeySource
from adjoin.identity.trust import External

NOW: Final = 1_800_000_000
ISSUER: Final = "https://id.example.org/realms/main"
METADATA: Final = f"{ISSUER}/.well-known/openid-configuration"
KEYS: Final = "https://id.example.org/realms/main/certs"
AUDIENCE: Final = "https://adjoin.example.org"
HOME: Final = "11111111-1111-4111-8111-111111111111"
WRITE: Final = "DeviceManagementConfiguration.ReadWrite.All"
READ: Final = "DeviceManagementConfiguration.Read.All"


@cache
def rsa_key(number: int) -> RSAKey:
    """One of a few keys: to make one takes longer than a test."""
    return RSAKey.import_key(rsa.generate_private_key(65537, 2048))


@cache
def curve_key(number: int) -> ECKey:
    return ECKey.import_key(ec.generate_private_key(ec.SECP256R1()))


@cache
def key_folder() -> Path:
    """Signing keys of the built-in issuer to begin with, made a day ago; to be copied."""
    whole = tempfile.mkdtemp()
    atexit.register(shutil.rmtree, whole, ignore_errors=True)
    folder = Path(whole) / "keys"
    open_ring(folder, NOW - 86_400)
    return folder


def jwk(key: RSAKey | ECKey, kid: str, **more: object) -> dict[str, Any]:
    return {**key.as_dict(private=False), "kid": kid, "use": "sig", **more}


def settings(**changes: Any) -> Settings:
    """Settings for this provider; names of settings with underscores."""
    given: dict[str, Any] = {"name": "main", "issuer": ISSUER, "audiences": [AUDIENCE], "tenant": HOME, **changes}
    return oidc.read([{name.replace("_", "-"): value for name, value in given.items() if value is not None}])[0]


def external(given: Settings) -> External:
    return oidc.external(given, lambda name: name)


@dataclass
class Provider:
    """A provider with RSA keys by kid; `jwks` replaces what it publishes of them."""

    issuer: str = ISSUER
    keys: dict[str, RSAKey] = field(default_factory=lambda: {"k1": rsa_key(1)})
    jwks: Mapping[str, Any] | None = None
    fault: str | None = None
    """While it is there, nothing is answered."""
    asked: list[str] = field(default_factory=list)

    @property
    def keys_url(self) -> str:
        return f"{self.issuer}/certs"

    async def fetch(self, url: str) -> bytes:
        self.asked.append(url)
        if self.fault is not None:
            raise Unusable(self.fault)
        if url == f"{self.issuer}/.well-known/openid-configuration":
            return json.dumps({"issuer": self.issuer, "jwks_uri": self.keys_url}).encode()
        assert url == self.keys_url
        return json.dumps(self.jwks or {"keys": [jwk(key, kid) for kid, key in self.keys.items()]}).encode()

    def token(self, kid: str = "k1", /, *, header: Mapping[str, Any] | None = None, **changes: Any) -> str:
        """A token of a program, signed with the key `kid` (or, if there is no such key, with the first)."""
        claims = {name: value for name, value in {**self.claims(), **changes}.items() if value is not None}
        signing = self.keys.get(kid) or next(iter(self.keys.values()))
        head = {"alg": "RS256", "kid": kid, "typ": "at+jwt", **(header or {})}
        return jws.serialize_compact(head, json.dumps(claims).encode(), signing, ["RS256"])

    def claims(self) -> dict[str, Any]:
        return {
            "iss": self.issuer,
            "aud": AUDIENCE,
            "sub": "provisioning",
            "client_id": "provisioning",
            "iat": NOW - 10,
            "exp": NOW + 600,
            "scope": WRITE,
            "jti": "jti-1",
        }


def source(provider: Provider, **changes: Any) -> KeySource:
    given = settings(issuer=provider.issuer, **changes)
    return KeySource(given, external(given), provider.fetch)


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


@contextmanager
def unchanged(provider: Provider) -> Iterator[None]:
    """Nothing is asked of the provider within."""
    before = len(provider.asked)
    yield
    assert len(provider.asked) == before
