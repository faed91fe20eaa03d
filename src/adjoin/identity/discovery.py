"""What an external issuer publishes: its discovery document and its keys, read with distrust, and how they are fetched.

The reading is pure. The fetching is bounded in time and size, follows no redirect, and goes to addresses that the
settings allow and nowhere else: no token and no document can lead it to another host.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Final, TypeAlias

import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey
from joserfc.util import urlsafe_b64decode

from adjoin.identity.clouds import TENANT
from adjoin.identity.keys import VerificationKey
from adjoin.identity.oidc import Settings, check_url, host_of

Fetch: TypeAlias = Callable[[str], Awaitable[bytes]]
"""Gives the JSON document at a URL, or raises Unusable."""

MAX_BYTES: Final = 512 * 1024
"""Entra's key set is about 20 KiB."""
FETCH_SECONDS: Final = 10.0
_MAX_KEYS: Final = 100
_MAX_KID: Final = 256
_RSA_BYTES: Final = range(256, 1025)  # 2048 bits (RFC 7518, 3.3) to 8192: a verification's cost grows with them

# What goes from a published key into ours: the public numbers alone, not what else the document says about it.
_NUMBERS: Final[Mapping[str, tuple[str, ...]]] = {"RSA": ("n", "e"), "EC": ("crv", "x", "y")}
_ALGORITHMS: Final = {"RSA": "RS256", "EC": "ES256"}


class Unusable(Exception):
    """A document that could not be fetched or can't be used. It goes into the log and meets no request."""


def keys_url(document: bytes, settings: Settings) -> str:
    """Where the discovery document says that the keys are. Raises Unusable."""
    metadata = _object(document)
    # OpenID Connect Discovery 4.3. Entra's common document bears its template in exactly this spelling.
    if metadata.get("issuer") != settings.issuer:
        raise Unusable("the discovery document is another issuer's")
    url = metadata.get("jwks_uri")
    if not isinstance(url, str):
        raise Unusable("the discovery document names no keys")
    try:
        parts = check_url(url, settings.allow_http_loopback)
    except ValueError as error:
        raise Unusable(f"the address of the keys cannot be used: {error}") from None
    if host_of(parts) not in settings.hosts:
        raise Unusable("the keys are on another host, which is not among key-hosts")
    return url


def keys_in(document: bytes, settings: Settings) -> dict[str, VerificationKey]:
    """The keys of a key set that can be used here, by kid. The others are passed over. Raises Unusable."""
    published = _object(document).get("keys")
    if not isinstance(published, list) or len(published) > _MAX_KEYS:
        raise Unusable(f"the key set has no list of at most {_MAX_KEYS} keys")
    found: dict[str, VerificationKey] = {}
    twice: set[str] = set()
    for each in published:
        key = _key(each, settings) if isinstance(each, dict) else None
        if key is not None and key.kid in found:
            twice.add(key.kid)
        elif key is not None:
            found[key.kid] = key
    # Which of two keys with one name is meant can't be told, and to try both would be to guess.
    return {kid: key for kid, key in found.items() if kid not in twice}


def _object(document: bytes) -> dict[str, Any]:
    try:
        return msgspec.json.decode(document, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Unusable("the document is not a JSON object") from None


def _key(jwk: Mapping[str, Any], settings: Settings) -> VerificationKey | None:
    kind, kid, issuer = jwk.get("kty"), jwk.get("kid"), jwk.get("issuer")
    if not isinstance(kind, str) or kind not in _NUMBERS or not isinstance(kid, str) or not 0 < len(kid) <= _MAX_KID:
        return None
    algorithm = jwk.get("alg", _ALGORITHMS[kind])
    if algorithm != _ALGORITHMS[kind] or algorithm not in settings.algorithms or jwk.get("use", "sig") != "sig":
        return None
    # A key whose private half is published proves nothing.
    if "d" in jwk or not _is_for(issuer, settings):
        return None
    try:
        key = _public(kind, {name: jwk[name] for name in ("kty", *_NUMBERS[kind])})
        return VerificationKey(kid, algorithm, key, (issuer,) if isinstance(issuer, str) else ())
    except (JoseError, UnsupportedAlgorithm, ValueError, TypeError, KeyError, AttributeError):
        return None


def _is_for(issuer: object, settings: Settings) -> bool:
    """Whether a key bound to an issuer (graph-contract 4.2) is for this one. Entra has some for one tenant alone."""
    if issuer is None:
        return True
    return isinstance(issuer, str) and (TENANT in issuer if settings.shared else issuer == settings.issuer)


def _public(kind: str, numbers: Mapping[str, Any]) -> RSAKey | ECKey:
    if not all(isinstance(value, str) and len(value) < 2 * _RSA_BYTES.stop for value in numbers.values()):
        raise ValueError("a number of a key is no text, or beyond any use")
    if kind == "EC":
        return ECKey.import_key(dict(numbers))
    modulus = urlsafe_b64decode(numbers["n"].encode()).lstrip(b"\0")
    if len(modulus) not in _RSA_BYTES or not modulus[-1] & 1 or len(numbers["e"]) > 8:
        raise ValueError("an RSA key has 2048 to 8192 bits, an odd modulus and a small exponent")
    return RSAKey.import_key(dict(numbers))


class Fetcher:
    """Fetches documents over HTTP. `direct`: past any proxy that the environment names, as on loopback.

    httpx and the certificates are loaded at the first use, in a thread: a service without external issuers never pays
    for them.
    """

    def __init__(self, ca_file: Path | None = None, direct: bool = False, seconds: float = FETCH_SECONDS) -> None:
        self._ca_file = ca_file
        self._direct = direct
        self._seconds = seconds
        self._context: ssl.SSLContext | None = None

    async def __call__(self, url: str) -> bytes:
        """The JSON document at `url`. Raises Unusable."""
        try:
            async with asyncio.timeout(self._seconds):
                return await self._fetched(url)
        except TimeoutError:
            raise Unusable(f"no whole answer within {self._seconds:g} seconds") from None

    async def _fetched(self, url: str) -> bytes:
        if self._context is None:
            self._context = await asyncio.to_thread(_prepared, self._ca_file)
        import httpx  # noqa: PLC0415 - see the class

        headers = {"accept": "application/json", "accept-encoding": "identity", "user-agent": "adjoin"}
        try:
            async with (
                httpx.AsyncClient(
                    verify=self._context,
                    trust_env=not self._direct,
                    follow_redirects=False,
                    timeout=self._seconds,
                    headers=headers,
                ) as client,
                client.stream("GET", url) as response,
            ):
                return await _content(response)
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
            raise Unusable(f"it cannot be reached ({type(error).__name__})") from None


def _prepared(ca_file: Path | None) -> ssl.SSLContext:
    import httpx  # noqa: F401, PLC0415 - loaded here, in the thread, so that the loop does not wait for it

    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        raise Unusable(f"the ca-file cannot be read ({error.strerror})") from None


async def _content(response: Any) -> bytes:
    """The body of an httpx response, as it comes: unpacking could make megabytes of kilobytes."""
    if response.status_code != 200:
        raise Unusable(f"it answered {response.status_code}")
    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json" and not kind.endswith("+json"):
        raise Unusable("it answered something other than JSON")
    if response.headers.get("content-encoding", "identity") != "identity":
        raise Unusable("it answered in an encoding that was not asked for")
    chunks: list[bytes] = []
    size = 0
    async for chunk in response.aiter_raw():
        size += len(chunk)
        if size > MAX_BYTES:
            raise Unusable(f"the document is larger than {MAX_BYTES} bytes")
        chunks.append(chunk)
    return b"".join(chunks)
