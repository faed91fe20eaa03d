"""What an issuer publishes, read with distrust; and fetching, against a server on loopback that misbehaves."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from joserfc.jwk import ECKey, OctKey, RSAKey
from tests.identity.provider import ISSUER, KEYS, curve_key, jwk, rsa_key, settings

from adjoin.identity import discovery
from adjoin.identity.discovery import MAX_BYTES, Fetcher, Unusable, keys_in, keys_url


def metadata(**changes: Any) -> bytes:
    return json.dumps({"issuer": ISSUER, "jwks_uri": KEYS, **changes}).encode()


def key_set(*keys: object) -> bytes:
    return json.dumps({"keys": keys}).encode()


# --- the discovery document


def test_where_the_keys_are() -> None:
    assert keys_url(metadata(), settings()) == KEYS


def test_keys_on_a_host_that_is_listed() -> None:
    url = "https://keys.example.net:8443/all"
    assert keys_url(metadata(jwks_uri=url), settings(key_hosts=["Keys.example.net:8443"])) == url


@pytest.mark.parametrize(
    ("document", "words"),
    [
        (b"", "not a JSON object"),
        (b"[]", "not a JSON object"),
        (b"\xff\xfe", "not a JSON object"),
        (b'{"a":' * 100_000, "not a JSON object"),
        (metadata(issuer="https://evil.example"), "another issuer's"),
        (metadata(issuer=f"{ISSUER}/"), "another issuer's"),
        (metadata(issuer=None), "another issuer's"),
        (metadata(jwks_uri=None), "names no keys"),
        (metadata(jwks_uri=[KEYS]), "names no keys"),
        (metadata(jwks_uri="https://evil.example/keys"), "another host"),
        (metadata(jwks_uri="https://id.example.org:8443/keys"), "another host"),
        (metadata(jwks_uri="https://id.example.org.evil.example/keys"), "another host"),
        (metadata(jwks_uri="https://id.example.org@evil.example/keys"), "names a user"),
        (metadata(jwks_uri="https://id.example.org\\@evil.example/keys"), "not a plain URL"),
        (metadata(jwks_uri="http://id.example.org/keys"), "https"),
        (metadata(jwks_uri="http://169.254.169.254/latest/meta-data"), "https"),
        (metadata(jwks_uri="https://169.254.169.254/latest/meta-data"), "another host"),
        (metadata(jwks_uri="https://127.0.0.1/"), "another host"),
        (metadata(jwks_uri="file:///etc/passwd"), "no host"),
        (metadata(jwks_uri="/realms/main/certs"), "no host"),
        (metadata(jwks_uri="gopher://id.example.org/"), "https"),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else "",
)
def test_a_document_that_leads_astray(document: bytes, words: str) -> None:
    with pytest.raises(Unusable, match=words):
        keys_url(document, settings())


# --- the key set


def test_keys() -> None:
    found = keys_in(key_set(jwk(rsa_key(1), "a", alg="RS256"), jwk(rsa_key(2), "b")), settings())
    assert {kid: key.algorithm for kid, key in found.items()} == {"a": "RS256", "b": "RS256"}


def test_curves_where_they_are_allowed() -> None:
    document = key_set(jwk(curve_key(1), "c", alg="ES256"), jwk(rsa_key(1), "a"))
    assert list(keys_in(document, settings())) == ["a"]
    both = keys_in(document, settings(algorithms=["RS256", "ES256"]))
    assert {kid: key.algorithm for kid, key in both.items()} == {"c": "ES256", "a": "RS256"}


def weak() -> RSAKey:
    return RSAKey.import_key(rsa.generate_private_key(65537, 2048))


UNUSABLE: Final[dict[str, object]] = {
    "a text": "key",
    "null": None,
    "an empty object": {},
    "no kid": {name: value for name, value in jwk(rsa_key(2), "x").items() if name != "kid"},
    "an empty kid": jwk(rsa_key(2), ""),
    "a kid that is a number": {**jwk(rsa_key(2), "x"), "kid": 1},
    "a kid without end": jwk(rsa_key(2), "x" * 257),
    "no kty": {name: value for name, value in jwk(rsa_key(2), "x").items() if name != "kty"},
    "a secret": {**OctKey.generate_key(256).as_dict(private=True), "kid": "x"},
    "kty a list": {**jwk(rsa_key(2), "x"), "kty": ["RSA"]},
    "for encryption": jwk(rsa_key(2), "x", use="enc"),
    "another algorithm": jwk(rsa_key(2), "x", alg="RS512"),
    "no algorithm at all": jwk(rsa_key(2), "x", alg="none"),
    "a symmetric algorithm": jwk(rsa_key(2), "x", alg="HS256"),
    "alg null": jwk(rsa_key(2), "x", alg=None),
    "its private half": {**rsa_key(2).as_dict(private=True), "kid": "x"},
    "of 1024 bits": {"kty": "RSA", "kid": "x", "e": "AQAB", "n": "v" * 171},
    "of zeros in front of few bits": {"kty": "RSA", "kid": "x", "e": "AQAB", "n": "A" * 342 + "v" * 170},
    "of a million bits": {"kty": "RSA", "kid": "x", "e": "AQAB", "n": "v" * 170_000},
    "with a huge exponent": {**jwk(rsa_key(2), "x"), "e": "v" * 100},
    "n no base64": {"kty": "RSA", "kid": "x", "e": "AQAB", "n": "*" * 342},
    "n a number": {"kty": "RSA", "kid": "x", "e": "AQAB", "n": 5},
    "n missing": {"kty": "RSA", "kid": "x", "e": "AQAB"},
    "n even": {"kty": "RSA", "kid": "x", "e": "AQAB", "n": "v" * 341 + "A"},
    "e of one": {**jwk(rsa_key(2), "x"), "e": "AQ"},
    "another curve": jwk(ECKey.import_key(ec.generate_private_key(ec.SECP384R1())), "x"),
    "a point that is not on the curve": {**jwk(curve_key(1), "x"), "x": jwk(curve_key(2), "x")["x"]},
    "a curve that there is not": {**jwk(curve_key(1), "x"), "crv": "P-1"},
    "an Edwards curve": {"kty": "OKP", "crv": "Ed25519", "kid": "x", "x": "v" * 43},
    "bound to another issuer": jwk(rsa_key(2), "x", issuer="https://evil.example"),
    "bound to no text": jwk(rsa_key(2), "x", issuer=[ISSUER]),
}


@pytest.mark.parametrize("bad", UNUSABLE.values(), ids=UNUSABLE.keys())
def test_keys_that_are_passed_over(bad: object) -> None:
    document = key_set(bad, jwk(rsa_key(1), "good"))
    assert list(keys_in(document, settings(algorithms=["RS256", "ES256"]))) == ["good"]


def test_a_name_that_two_keys_have() -> None:
    document = key_set(jwk(rsa_key(1), "a"), jwk(rsa_key(2), "a"), jwk(rsa_key(1), "b"))
    assert list(keys_in(document, settings())) == ["b"]


def test_keys_bound_to_the_issuer() -> None:
    found = keys_in(key_set(jwk(rsa_key(1), "a", issuer=ISSUER)), settings())
    assert found["a"].issuers == (ISSUER,)


def test_entras_keys_for_one_tenant_alone_are_passed_over() -> None:
    template = "https://login.microsoftonline.com/{tenantid}/v2.0"
    personal = template.replace("{tenantid}", "9188040d-6c67-4c5b-b112-36a304b66dad")
    shared = settings(issuer=template, tenant=None, tenants=["99999999-9999-4999-8999-999999999999"])
    document = key_set(jwk(rsa_key(1), "a", issuer=template), jwk(rsa_key(2), "b", issuer=personal))
    assert {kid: key.issuers for kid, key in keys_in(document, shared).items()} == {"a": (template,)}


@pytest.mark.parametrize("document", [b"{}", b'{"keys":{}}', b'{"keys":null}', key_set(*[{}] * 101), b"<html>"])
def test_no_key_set(document: bytes) -> None:
    with pytest.raises(Unusable):
        keys_in(document, settings())


def test_an_empty_key_set_is_one() -> None:
    assert keys_in(key_set(), settings()) == {}


# --- fetching

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[str]:
    open_ones: list[asyncio.StreamWriter] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        open_ones.append(writer)
        with suppress(ConnectionError):
            await handler(reader, writer)

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.close()
        for writer in open_ones:
            writer.transport.abort()
        await asyncio.sleep(0)


def answering(head: str, body: bytes = b"{}", seen: list[bytes] | None = None) -> Handler:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readuntil(b"\r\n\r\n")
        if seen is not None:
            seen.append(request)
        writer.write(head.replace("\n", "\r\n").encode() + b"\r\n\r\n" + body)
        writer.close()

    return handle


JSON: Final = "HTTP/1.1 200 OK\nContent-Type: application/json"


def fetched(handler: Handler, path: str = "/x", seconds: float = 5.0) -> bytes:
    async def act() -> bytes:
        async with serving(handler) as origin:
            return await Fetcher(direct=True, seconds=seconds)(origin + path)

    return asyncio.run(act())


def test_fetching() -> None:
    seen: list[bytes] = []
    assert fetched(answering(JSON, b'{"a":1}', seen)) == b'{"a":1}'
    (request,) = seen
    assert request.startswith(b"GET /x HTTP/1.1\r\n")
    assert b"accept-encoding: identity\r\n" in request.lower()
    assert b"authorization" not in request.lower()
    assert b"cookie" not in request.lower()


@pytest.mark.parametrize("kind", ["application/jwk-set+json", "Application/JSON; charset=utf-8"])
def test_content_types_of_key_sets(kind: str) -> None:
    assert fetched(answering(f"HTTP/1.1 200 OK\nContent-Type: {kind}")) == b"{}"


MISBEHAVING: Final[dict[str, tuple[Handler, str]]] = {
    "an error": (answering(JSON.replace("200 OK", "500 No")), "answered 500"),
    "nothing there": (answering(JSON.replace("200 OK", "404 No")), "answered 404"),
    "a redirect elsewhere": (answering("HTTP/1.1 302 Found\nLocation: http://evil.example/"), "answered 302"),
    "a redirect within": (answering("HTTP/1.1 301 Moved\nLocation: /y"), "answered 301"),
    "a page": (answering("HTTP/1.1 200 OK\nContent-Type: text/html", b"<html>"), "other than JSON"),
    "no content type": (answering("HTTP/1.1 200 OK"), "other than JSON"),
    "packed although not asked": (
        answering(f"{JSON}\nContent-Encoding: gzip", gzip.compress(b"{}")),
        "not asked for",
    ),
    "huge": (answering(JSON, b" " * (MAX_BYTES + 1)), "larger than"),
    "cut": (answering(f"{JSON}\nContent-Length: 100", b"{"), "cannot be reached"),
    "no HTTP": (answering("SSH-2.0-OpenSSH"), "cannot be reached"),
    "endless headers": (answering(JSON + "\nX: " + "x" * 1_000_000), "cannot be reached"),
}


@pytest.mark.parametrize(("handler", "words"), MISBEHAVING.values(), ids=MISBEHAVING.keys())
def test_a_server_that_misbehaves(handler: Handler, words: str) -> None:
    with pytest.raises(Unusable, match=words):
        fetched(handler)


def test_just_within_the_size() -> None:
    assert len(fetched(answering(JSON, b" " * MAX_BYTES))) == MAX_BYTES


async def _silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()
    writer.close()


async def _dripping(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A byte now and then keeps every single read within its time; the whole has a bound of its own."""
    writer.write(f"{JSON}\n\n".replace("\n", "\r\n").encode())
    while True:
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("handler", [_silent, _dripping], ids=["silent", "dripping"])
def test_a_slow_server(handler: Handler) -> None:
    with pytest.raises(Unusable, match=r"within 0\.2 seconds|Timeout"):
        fetched(handler, seconds=0.2)


def test_nobody_there() -> None:
    with pytest.raises(Unusable, match="cannot be reached"):
        asyncio.run(Fetcher(direct=True)("http://127.0.0.1:1/"))


def test_a_ca_file_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("no certificate")
    with pytest.raises(Unusable):
        asyncio.run(Fetcher(tmp_path / "ca.pem")("https://127.0.0.1:1/"))


def test_a_bound_on_time_is_set() -> None:
    assert discovery.FETCH_SECONDS <= 10
