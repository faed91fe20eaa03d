"""What a token has to be. Each row of a table breaks one rule of graph-contract 4.2, RFC 8725 or RFC 7515.

Tokens are put together by hand and signed with the true key, so that a row is refused for what it names.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from typing import Any, Final

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from hypothesis import given, settings
from hypothesis import strategies as st
from joserfc import jwe
from joserfc.errors import SecurityWarning
from joserfc.jwk import ECKey, RSAKey
from tests.full import FULL

from adjoin.identity.caller import Caller, Kind
from adjoin.identity.clouds import GLOBAL, GRAPH_APP_ID, PERSONAL_TENANT
from adjoin.identity.errors import (
    EmptyToken,
    ExpiredToken,
    InvalidAudience,
    InvalidIssuer,
    InvalidSignature,
    InvalidToken,
    NotAToken,
    TokenNotYetValid,
    TokenRefusal,
    UnknownKey,
)
from adjoin.identity.keys import VerificationKey
from adjoin.identity.tokens import MAX_TOKEN_LENGTH, verify
from adjoin.identity.trust import Trust
from adjoin.identity.verified import VerifiedTokens

NOW: Final = 1_800_000_000
SKEW: Final = 300
TENANT: Final = "11111111-1111-4111-8111-111111111111"
OTHER_TENANT: Final = "22222222-2222-4222-8222-222222222222"
SUBJECT: Final = "aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa"
CLIENT: Final = "cccccccc-cccc-4ccc-8ccc-cccccccccccc"
READ: Final = "DeviceManagementConfiguration.Read.All"
WRITE: Final = "DeviceManagementConfiguration.ReadWrite.All"
V1_ISSUER: Final = f"https://sts.windows.net/{TENANT}/"
V2_ISSUER: Final = f"https://login.microsoftonline.com/{TENANT}/v2.0"

KEY: Final = rsa.generate_private_key(65537, 2048)
FOREIGN_KEY: Final = rsa.generate_private_key(65537, 2048)
CURVE_KEY: Final = ec.generate_private_key(ec.SECP256R1())
KID: Final = "key-1"


def trusting(*keys: VerificationKey, **settings: Any) -> Trust:
    trusted = keys or (VerificationKey(KID, "RS256", RSAKey.import_key(KEY.public_key())),)
    return Trust({key.kid: key for key in trusted}, GLOBAL.issuers, frozenset(GLOBAL.audiences), SKEW, **settings)


TRUST: Final = trusting()

HEADER: Final[Mapping[str, Any]] = {"typ": "JWT", "alg": "RS256", "kid": KID}
APPLICATION: Final[Mapping[str, Any]] = {
    "aud": "https://graph.microsoft.com",
    "iss": V1_ISSUER,
    "iat": NOW - 300,
    "nbf": NOW - 300,
    "exp": NOW + 3600,
    "app_displayname": "Provisioning",
    "appid": CLIENT,
    "appidacr": "1",
    "idtyp": "app",
    "oid": SUBJECT,
    "sub": SUBJECT,
    "tid": TENANT,
    "roles": [WRITE],
    "uti": "uti-1",
    "ver": "1.0",
}
APPLICATION_V2: Final[Mapping[str, Any]] = {
    **{name: value for name, value in APPLICATION.items() if not name.startswith("app")},
    "aud": GRAPH_APP_ID,
    "iss": V2_ISSUER,
    "azp": CLIENT,
    "ver": "2.0",
}
USER: Final[Mapping[str, Any]] = {
    **{name: value for name, value in APPLICATION.items() if name != "roles"},
    "idtyp": "user",
    "sub": "pairwise",
    "scp": f"{READ} openid",
    "upn": "ada@example.org",
}
GONE: Final = object()
"""In a change to claims: take the claim away."""


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def rs256(signed: bytes, key: rsa.RSAPrivateKey = KEY) -> bytes:
    return key.sign(signed, padding.PKCS1v15(), hashes.SHA256())


def sign(header: bytes, payload: bytes, signature: Callable[[bytes], bytes] = rs256) -> str:
    """A token of any bytes, signed whether they make sense or not: what a broken issuer could send."""
    signed = f"{b64(header)}.{b64(payload)}"
    return f"{signed}.{b64(signature(signed.encode()))}"


def changed(claims: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in {**claims, **changes}.items() if value is not GONE}


def token(claims: Mapping[str, Any] = APPLICATION, /, **changes: Any) -> str:
    return sign(json.dumps(HEADER).encode(), json.dumps(changed(claims, changes)).encode())


def headed(signature: Callable[[bytes], bytes] = rs256, /, **changes: Any) -> str:
    return sign(json.dumps(changed(HEADER, changes)).encode(), json.dumps(APPLICATION).encode(), signature)


def with_payload(payload: bytes) -> str:
    return sign(json.dumps(HEADER).encode(), payload)


def with_member(member: str) -> str:
    """The application's token with one more member, spelled as given (JSON that Python would not write)."""
    return with_payload(json.dumps(APPLICATION)[:-1].encode() + b", " + member.encode() + b"}")


def with_exp(text: str) -> str:
    rest = json.dumps(changed(APPLICATION, {"exp": GONE}))[:-1]
    return with_payload(f'{rest}, "exp": {text}}}'.encode())


def es256(signed: bytes) -> bytes:
    pair = decode_dss_signature(CURVE_KEY.sign(signed, ec.ECDSA(hashes.SHA256())))
    return b"".join(part.to_bytes(32, "big") for part in pair)


def public_pem() -> bytes:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return KEY.public_key().public_bytes(serialization.Encoding.PEM, form)


def hs256_with(secret: bytes) -> Callable[[bytes], bytes]:
    return lambda signed: hmac.digest(secret, signed, hashlib.sha256)


def embedded_jwk() -> dict[str, Any]:
    return dict(RSAKey.import_key(FOREIGN_KEY.public_key()).as_dict(private=False))


def by_foreign_key(signed: bytes) -> bytes:
    return rs256(signed, FOREIGN_KEY)


GOOD: Final = token()
HEAD, BODY, SIGNATURE = GOOD.split(".")


def encrypted() -> str:
    key = RSAKey.import_key(KEY.public_key())
    return jwe.encrypt_compact({"alg": "RSA-OAEP", "enc": "A256GCM", "kid": KID}, GOOD.encode(), key)


def stray_bits(segment: str) -> str:
    """The same bytes in another spelling: the last letter's unused bits set."""
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return segment[:-1] + letters[letters.index(segment[-1]) + 1]


def other_last_bit(segment: str) -> str:
    data = bytearray(base64.urlsafe_b64decode(segment + "=="))
    data[-1] ^= 1
    return b64(bytes(data))


# A 256-byte signature leaves four unused bits in its last letter, so there are spellings of the same bytes to refuse.
assert len(SIGNATURE) % 4 == 2


FORM: Final = {
    "nothing": ("", EmptyToken),
    "a word": ("secret", NotAToken),
    "a space": (" ", NotAToken),
    "an opaque personal token": ("EwB4A8l6BAAU" * 20, NotAToken),
    "a word that is not ASCII": ("pässword", NotAToken),
    "one dot only": (f"{HEAD}.{BODY}", InvalidToken),
    "the signature left out with its dot": (f"{HEAD}.{BODY}.", InvalidSignature),
    "two dots and nothing else": ("..", InvalidToken),
    "an empty header": (f".{BODY}.{SIGNATURE}", InvalidToken),
    "an empty payload": (f"{HEAD}..{SIGNATURE}", InvalidSignature),
    "a fourth part": (f"{GOOD}.AAAA", InvalidToken),
    "a fourth part that is empty": (f"{GOOD}.", InvalidToken),
    "six parts": (f"{GOOD}.{GOOD}", InvalidToken),
    "a thousand dots": ("." * 1000, InvalidToken),
    "an encrypted token": (encrypted(), InvalidToken),
    "cut in the signature": (GOOD[:-6], InvalidSignature),
    "cut by one letter": (GOOD[:-1], InvalidToken),
    "cut in the payload": (GOOD[: len(HEAD) + 40], InvalidToken),
    "padded signature": (f"{GOOD}==", InvalidToken),
    "padded header": (f"{HEAD}=.{BODY}.{SIGNATURE}", InvalidToken),
    "only padding": ("=.=.=", InvalidToken),
    "a space in front": (f" {GOOD}", InvalidToken),
    "a space behind": (f"{GOOD} ", InvalidToken),
    "a line end behind": (f"{GOOD}\n", InvalidToken),
    "a line end within": (f"{HEAD}.\r\n{BODY}.{SIGNATURE}", InvalidSignature),
    "a NUL behind": (f"{GOOD}\0", InvalidToken),
    "with its scheme": (f"Bearer {GOOD}", InvalidToken),
    "in quotes": (f'"{GOOD}"', InvalidToken),
    "the other base64 alphabet": (f"{HEAD}.{BODY}.{'+/' * 171}", InvalidToken),
    "a letter that only looks ASCII": (f"{HEAD}.{BODY}.{SIGNATURE[:-1]}\uff21", InvalidToken),
    "half a surrogate pair": (f"{GOOD}\ud800", InvalidToken),
    "stray bits at the end": (f"{HEAD}.{BODY}.{stray_bits(SIGNATURE)}", InvalidToken),
    "a length that base64 does not have": (f"{HEAD}.{BODY}.{SIGNATURE}AAA", InvalidToken),
    "percent-encoded dots": (GOOD.replace(".", "%2E"), NotAToken),
    "one letter too long": (f"{HEAD}.{'A' * (MAX_TOKEN_LENGTH - len(HEAD) - 1)}.", InvalidToken),
    "enormous": ("A" * 10_000_000, InvalidToken),
    "enormous and validly signed": (token(name="x" * MAX_TOKEN_LENGTH), InvalidToken),
}

HEADERS: Final = {
    "alg none, unsigned": (headed(lambda _: b"", alg="none"), InvalidSignature),
    "alg none, with a signature": (headed(alg="none"), InvalidSignature),
    "alg None": (headed(lambda _: b"", alg="None"), InvalidSignature),
    "alg NONE": (headed(lambda _: b"", alg="NONE"), InvalidSignature),
    "alg empty": (headed(alg=""), InvalidSignature),
    "alg missing": (headed(alg=GONE), InvalidSignature),
    "alg null": (headed(alg=None), InvalidSignature),
    "alg a list": (headed(alg=["RS256"]), InvalidSignature),
    "alg an object": (headed(alg={"RS256": 1}), InvalidSignature),
    "alg in small letters": (headed(alg="rs256"), InvalidSignature),
    "alg with a space": (headed(alg="RS256 "), InvalidSignature),
    "HS256 with the public PEM as secret": (headed(hs256_with(public_pem()), alg="HS256"), InvalidSignature),
    "HS256 with the stripped PEM as secret": (headed(hs256_with(public_pem().strip()), alg="HS256"), InvalidSignature),
    "HS256 with an empty secret": (headed(hs256_with(b""), alg="HS256"), InvalidSignature),
    "RS512 by the right key": (
        headed(lambda signed: KEY.sign(signed, padding.PKCS1v15(), hashes.SHA512()), alg="RS512"),
        InvalidSignature,
    ),
    "RS512 named, RS256 signed": (headed(alg="RS512"), InvalidSignature),
    "PS256 by the right key": (
        headed(lambda s: KEY.sign(s, padding.PSS(padding.MGF1(hashes.SHA256()), 32), hashes.SHA256()), alg="PS256"),
        InvalidSignature,
    ),
    "RS256 named, PSS signed": (
        headed(lambda s: KEY.sign(s, padding.PSS(padding.MGF1(hashes.SHA256()), 32), hashes.SHA256())),
        InvalidSignature,
    ),
    "ES256 that is not allowed": (headed(es256, alg="ES256"), InvalidSignature),
    "kid of ours, signed by a foreign key": (headed(by_foreign_key), InvalidSignature),
    "kid unknown": (headed(by_foreign_key, kid="key-2"), UnknownKey),
    "kid missing": (headed(kid=GONE), InvalidSignature),
    "kid null": (headed(kid=None), InvalidSignature),
    "kid a number": (headed(kid=0), InvalidSignature),
    "kid a list": (headed(kid=[KID]), InvalidSignature),
    "kid in other case": (headed(kid=KID.upper()), UnknownKey),
    "kid a path": (headed(hs256_with(b""), kid="../../../../dev/null"), UnknownKey),
    "kid a query": (headed(kid="' UNION SELECT 'key"), UnknownKey),
    "kid a URL": (headed(kid="https://evil.example/keys.json"), UnknownKey),
    "kid with a NUL": (headed(kid=f"{KID}\0"), UnknownKey),
    "a key brought along": (headed(by_foreign_key, jwk=embedded_jwk()), InvalidSignature),
    "a key brought along, no kid": (headed(by_foreign_key, kid=GONE, jwk=embedded_jwk()), InvalidSignature),
    "a key brought along, rightly signed": (headed(jwk=embedded_jwk()), InvalidSignature),
    "a key's address": (headed(by_foreign_key, jku="https://evil.example/keys.json"), InvalidSignature),
    "a certificate brought along": (headed(by_foreign_key, x5c=["MIIB"]), InvalidSignature),
    "a certificate's address": (headed(by_foreign_key, x5u="https://evil.example/cert.pem"), InvalidSignature),
    "crit": (headed(crit=["exp"]), InvalidToken),
    "crit that is empty": (headed(crit=[]), InvalidToken),
    "an unencoded payload (RFC 7797)": (headed(b64=False, crit=["b64"]), InvalidToken),
    "b64 without crit": (headed(b64=False), InvalidToken),
    "compressed": (headed(zip="DEF"), InvalidToken),
    "a token within (cty)": (headed(cty="JWT"), InvalidToken),
    "typ of an id token's logout": (headed(typ="logout+jwt"), InvalidToken),
    "typ of a proof": (headed(typ="dpop+jwt"), InvalidToken),
    "typ a number": (headed(typ=1), InvalidToken),
    "header a list": (sign(b"[]", json.dumps(APPLICATION).encode()), InvalidToken),
    "header null": (sign(b"null", json.dumps(APPLICATION).encode()), InvalidToken),
    "header no JSON": (sign(b"{alg:RS256}", json.dumps(APPLICATION).encode()), InvalidToken),
    "header not UTF-8": (sign(b'{"alg":"RS256","x":"\xff"}', json.dumps(APPLICATION).encode()), InvalidToken),
    "header nested without end": (sign(b'{"a":' * 2000, b"{}"), InvalidToken),
    "header with alg twice": (
        sign(b'{"alg":"none","alg":"RS256","kid":"key-1"}', json.dumps(APPLICATION).encode()),
        InvalidToken,
    ),
    "header in UTF-16": (sign(json.dumps(HEADER).encode("utf-16"), json.dumps(APPLICATION).encode()), InvalidToken),
    "another token's payload": (f"{HEAD}.{token(roles=['x']).split('.')[1]}.{SIGNATURE}", InvalidSignature),
    "another token's header": (f"{headed(typ='at+jwt').split('.')[0]}.{BODY}.{SIGNATURE}", InvalidSignature),
    "a bit of the signature turned": (f"{HEAD}.{BODY}.{other_last_bit(SIGNATURE)}", InvalidSignature),
    "a longer signature": (f"{HEAD}.{BODY}.{SIGNATURE[:-2]}AAAAAA", InvalidSignature),
    "a signature of zeros": (headed(lambda _: bytes(256)), InvalidSignature),
    "a signature of the modulus": (
        headed(lambda _: KEY.public_key().public_numbers().n.to_bytes(256, "big")),
        InvalidSignature,
    ),
}

PAYLOADS: Final = {
    "payload a list": (with_payload(b"[]"), InvalidToken),
    "payload a text": (with_payload(b'"text"'), InvalidToken),
    "payload null": (with_payload(b"null"), InvalidToken),
    "payload empty": (with_payload(b""), InvalidToken),
    "payload an empty object": (with_payload(b"{}"), InvalidToken),
    "payload two objects": (with_payload(b"{}{}"), InvalidToken),
    "payload cut": (with_payload(json.dumps(APPLICATION)[:-1].encode()), InvalidToken),
    "payload another token": (with_payload(GOOD.encode()), InvalidToken),
    "payload not UTF-8": (with_payload(json.dumps(APPLICATION).encode().replace(b"Prov", b"\xff\xfe")), InvalidToken),
    "payload in UTF-16": (with_payload(json.dumps(APPLICATION).encode("utf-16")), InvalidToken),
    "payload in UTF-32": (with_payload(json.dumps(APPLICATION).encode("utf-32-le")), InvalidToken),
    "payload with a byte order mark": (with_payload(b"\xef\xbb\xbf" + json.dumps(APPLICATION).encode()), InvalidToken),
    "payload nested without end": (with_payload(b"[" * 8000), InvalidToken),
    "payload nested in an object": (with_payload(b'{"a":' * 1800), InvalidToken),
    "a claim twice": (with_member(f'"tid": "{OTHER_TENANT}"'), InvalidToken),
    "a claim twice, equal": (with_member(f'"tid": "{TENANT}"'), InvalidToken),
    "a claim twice, once escaped": (with_member(f'"\\u0074id": "{TENANT}"'), InvalidToken),
    "a claim twice, deep": (with_member('"x": [{"a": 1, "a": 2}]'), InvalidToken),
    "NaN": (with_member('"x": NaN'), InvalidToken),
    "Infinity": (with_member('"x": -Infinity'), InvalidToken),
    "a number beyond all floats": (with_member('"x": 1e400'), InvalidToken),
    "a number of 5000 digits": (with_member(f'"x": {"9" * 5000}'), InvalidToken),
    "a control character in a text": (with_member('"x": "\x01"'), InvalidToken),
    "a comment": (with_payload(b"/**/" + json.dumps(APPLICATION).encode()), InvalidToken),
    "a comma at the end": (with_payload(json.dumps(APPLICATION)[:-1].encode() + b",}"), InvalidToken),
}

TIMES: Final = {
    "exp over": (token(exp=NOW - 3600), ExpiredToken),
    "exp zero": (token(exp=0), ExpiredToken),
    "exp missing": (token(exp=GONE), InvalidToken),
    "exp null": (token(exp=None), InvalidToken),
    "exp a text": (token(exp=str(NOW + 3600)), InvalidToken),
    "exp a list": (token(exp=[NOW + 3600]), InvalidToken),
    "exp true": (token(exp=True), InvalidToken),
    "exp negative": (token(exp=-1), InvalidToken),
    "exp in milliseconds": (token(exp=(NOW + 3600) * 1000), InvalidToken),
    "exp huge": (with_exp("9" * 400), InvalidToken),
    "exp 1e400": (with_exp("1e400"), InvalidToken),
    "exp 1e300": (with_exp("1e300"), InvalidToken),
    "exp NaN": (with_exp("NaN"), InvalidToken),
    "exp hexadecimal": (with_exp("0x7fffffff"), InvalidToken),
    "exp with a leading zero": (with_exp(f"0{NOW + 3600}"), InvalidToken),
    "nbf to come": (token(nbf=NOW + 3600), TokenNotYetValid),
    "nbf a text": (token(nbf="0"), InvalidToken),
    "nbf null": (token(nbf=None), InvalidToken),
    "nbf negative": (token(nbf=-1), InvalidToken),
    "iat a text": (token(iat="now"), InvalidToken),
    "iat false": (token(iat=False), InvalidToken),
}

AUDIENCES_AND_ISSUERS: Final = {
    "aud another service": (token(aud="https://management.azure.com"), InvalidAudience),
    "aud missing": (token(aud=GONE), InvalidAudience),
    "aud empty": (token(aud=""), InvalidAudience),
    "aud null": (token(aud=None), InvalidAudience),
    "aud a number": (token(aud=3), InvalidAudience),
    "aud an object": (token(aud={"https://graph.microsoft.com": 1}), InvalidAudience),
    "aud ours and another": (token(aud=["https://graph.microsoft.com", "https://evil.example"]), InvalidAudience),
    "aud ours twice": (token(aud=["https://graph.microsoft.com"] * 2), InvalidAudience),
    "aud an empty list": (token(aud=[]), InvalidAudience),
    "aud a list in a list": (token(aud=[["https://graph.microsoft.com"]]), InvalidAudience),
    "aud in other case": (token(aud="https://GRAPH.microsoft.com"), InvalidAudience),
    "aud with our name in front": (token(aud="https://graph.microsoft.com.evil.example"), InvalidAudience),
    "aud with our name behind": (token(aud="https://evil.example/https://graph.microsoft.com"), InvalidAudience),
    "aud with a path": (token(aud="https://graph.microsoft.com/beta"), InvalidAudience),
    "aud of another cloud": (token(aud="https://graph.microsoft.us"), InvalidAudience),
    "v2 aud a URL": (token(APPLICATION_V2, aud="https://graph.microsoft.com"), InvalidAudience),
    "ver missing": (token(ver=GONE), InvalidToken),
    "ver a number": (token(ver=1.0), InvalidToken),
    "ver unknown": (token(ver="3.0"), InvalidToken),
    "ver with a space": (token(ver="1.0 "), InvalidToken),
    "iss missing": (token(iss=GONE), InvalidToken),
    "iss empty": (token(iss=""), InvalidToken),
    "iss a list": (token(iss=[V1_ISSUER]), InvalidToken),
    "iss a stranger": (token(iss=f"https://evil.example/{TENANT}/"), InvalidIssuer),
    "iss without its slash": (token(iss=V1_ISSUER[:-1]), InvalidIssuer),
    "iss by http": (token(iss=V1_ISSUER.replace("https", "http")), InvalidIssuer),
    "iss in other case": (token(iss=V1_ISSUER.upper()), InvalidIssuer),
    "iss with more behind": (token(iss=f"{V1_ISSUER}x"), InvalidIssuer),
    "iss the template itself": (token(iss=GLOBAL.issuers_v1[0]), InvalidIssuer),
    "iss of v2 in v1": (token(iss=V2_ISSUER), InvalidIssuer),
    "iss of v1 in v2": (token(APPLICATION_V2, iss=V1_ISSUER), InvalidIssuer),
    "iss of another tenant": (token(iss=V1_ISSUER.replace(TENANT, OTHER_TENANT)), InvalidIssuer),
    "iss of another cloud": (token(iss=f"https://sts.chinacloudapi.cn/{TENANT}/"), InvalidIssuer),
    "iss of personal accounts, tid not": (token(iss=V1_ISSUER.replace(TENANT, PERSONAL_TENANT)), InvalidIssuer),
    "tid of another tenant": (token(tid=OTHER_TENANT), InvalidIssuer),
    "tid missing": (token(tid=GONE), InvalidToken),
    "tid a name": (token(tid="example.org", iss="https://sts.windows.net/example.org/"), InvalidToken),
    "tid common": (token(tid="common", iss="https://sts.windows.net/common/"), InvalidToken),
    "tid common, under a tenant's iss": (token(tid="common"), InvalidToken),
    "tid in braces": (token(tid=f"{{{TENANT}}}", iss=V1_ISSUER.replace(TENANT, f"{{{TENANT}}}")), InvalidToken),
    "tid with a line end": (token(tid=f"{TENANT}\n", iss=f"https://sts.windows.net/{TENANT}\n/"), InvalidToken),
    "tid the placeholder": (token(tid="{tenantid}", iss=GLOBAL.issuers_v1[0]), InvalidToken),
    "tid a number": (token(tid=1), InvalidToken),
}

SUBJECTS: Final = {
    "oid missing": (token(oid=GONE), InvalidToken),
    "oid no GUID": (token(oid="ada", sub="ada"), InvalidToken),
    "oid a number": (token(oid=7, sub=7), InvalidToken),
    "sub missing": (token(sub=GONE), InvalidToken),
    "sub missing in a user's": (token(USER, sub=GONE), InvalidToken),
    "sub empty": (token(USER, sub=""), InvalidToken),
    "sub with a line end": (token(USER, sub="a\nb"), InvalidToken),
    "sub with half a surrogate pair": (token(USER, sub="\ud800"), InvalidToken),
    "sub overlong": (token(USER, sub="x" * 1025), InvalidToken),
    "appid missing": (token(appid=GONE), InvalidToken),
    "appid no GUID": (token(appid="app"), InvalidToken),
    "azp only, in v1": (token(appid=GONE, azp=CLIENT), InvalidToken),
    "appid only, in v2": (token(APPLICATION_V2, azp=GONE, appid=CLIENT), InvalidToken),
    "scp a list": (token(USER, scp=[READ]), InvalidToken),
    "scp null": (token(USER, scp=None), InvalidToken),
    "scp a number": (token(USER, scp=1), InvalidToken),
    "scp with a line end": (token(USER, scp=f"{READ}\n{WRITE}"), InvalidToken),
    "roles a text": (token(roles=WRITE), InvalidToken),
    "roles null": (token(roles=None), InvalidToken),
    "roles an object": (token(roles={WRITE: True}), InvalidToken),
    "roles with a number": (token(roles=[WRITE, 1]), InvalidToken),
    "roles with a list": (token(roles=[[WRITE]]), InvalidToken),
    "roles a text, in a user's": (token(USER, roles=WRITE), InvalidToken),
    "idtyp app with scp": (token(scp=READ), InvalidToken),
    "idtyp app with empty scp": (token(scp=""), InvalidToken),
    "idtyp app of a person": (token(sub="pairwise"), InvalidToken),
    "idtyp device": (token(idtyp="device"), InvalidToken),
    "idtyp a list": (token(idtyp=["app"]), InvalidToken),
    "idtyp null": (token(idtyp=None), InvalidToken),
    "xms_cc a text": (token(xms_cc="cp1"), InvalidToken),
    "xms_cc with a number": (token(xms_cc=[1]), InvalidToken),
    "uti a number": (token(uti=1), InvalidToken),
    "app_displayname a number": (token(app_displayname=1), InvalidToken),
    "upn a list": (token(USER, upn=["ada"]), InvalidToken),
}

BAD: Final = {
    f"{group}: {name}": row
    for group, table in (
        ("form", FORM),
        ("header", HEADERS),
        ("payload", PAYLOADS),
        ("time", TIMES),
        ("aud/iss", AUDIENCES_AND_ISSUERS),
        ("subject", SUBJECTS),
    )
    for name, row in table.items()
}


def refusal_of(text: str, trust: Trust = TRUST, now: float = NOW) -> TokenRefusal:
    with pytest.raises(TokenRefusal) as caught:
        verify(text, trust, now)
    return caught.value


@pytest.mark.parametrize(("text", "refusal"), BAD.values(), ids=BAD.keys())
def test_bad_token(text: str, refusal: type[TokenRefusal]) -> None:
    assert type(refusal_of(text)) is refusal


@pytest.mark.parametrize("text", [text for text, _ in BAD.values() if len(text) > 20], ids=lambda text: text[:8])
def test_a_refusal_holds_no_part_of_the_token(text: str) -> None:
    found = refusal_of(text)
    shown = f"{found} {found!r} {found.args} {vars(found)}"
    parts = [part for part in text.split(".") if len(part) > 3]
    decoded = [TENANT, SUBJECT, CLIENT, WRITE, KID, "Provisioning"]
    assert not [part for part in parts + decoded if part in shown]
    # A JSON error knows the document it failed on; it must not travel with the refusal into a log.
    assert found.__cause__ is None
    assert found.__context__ is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "Access token is empty."),
        (
            "secret",
            (
                "IDX14100: JWT is not well formed, there are no dots (.).\nThe token needs to be in JWS or JWE Compact "
                "Serialization Format. (JWS): 'EncodedHeader.EncodedPayload.EncodedSignature'. (JWE): "
                "'EncodedProtectedHeader.EncodedEncryptedKey.EncodedInitializationVector.EncodedCiphertext."
                "EncodedAuthenticationTag'."
            ),
        ),
        (token(exp=1), "Lifetime validation failed, the token is expired."),
        (token(nbf=NOW + 9999), "Lifetime validation failed, the token is not yet valid."),
        (token(aud="x"), "Access token validation failure. Invalid audience."),
        (token(iss="x"), "Access token validation failure. Invalid issuer."),
        (headed(by_foreign_key), "Access token validation failure. Invalid signature."),
        (headed(alg="none"), "Access token validation failure. Invalid signature."),
        (headed(kid="x"), "Access token validation failure. Invalid signature."),
        (token(exp=GONE), "Access token validation failure. The exp claim is missing."),
    ],
    ids=lambda text: text[:12],
)
def test_refusals_speak_as_graph_does(text: str, message: str) -> None:
    assert refusal_of(text).message == message


def test_nothing_is_said_about_claims_before_the_signature_is_right() -> None:
    forged = sign(json.dumps(HEADER).encode(), json.dumps({"exp": 1}).encode(), by_foreign_key)
    assert type(refusal_of(forged)) is InvalidSignature


# --- good tokens


def test_application() -> None:
    assert verify(token(xms_cc=["CP1"]), TRUST, NOW) == Caller(
        tenant_id=TENANT,
        subject=SUBJECT,
        client_id=CLIENT,
        kind=Kind.APPLICATION,
        permissions=frozenset({WRITE}),
        personal=False,
        not_before=NOW - 300,
        expires=NOW + 3600,
        issued=NOW - 300,
        issuer=None,
        can_take_challenge=True,
        name="Provisioning",
    )


def test_user() -> None:
    caller = verify(token(USER), TRUST, NOW)
    assert caller.kind is Kind.DELEGATED
    assert caller.permissions == frozenset({READ, "openid"})
    assert (caller.subject, caller.name, caller.can_take_challenge) == (SUBJECT, "ada@example.org", False)


def test_v2() -> None:
    caller = verify(token(APPLICATION_V2), TRUST, NOW)
    assert (caller.client_id, caller.tenant_id, caller.permissions) == (CLIENT, TENANT, frozenset({WRITE}))


def test_personal_account_is_told() -> None:
    issuer = V1_ISSUER.replace(TENANT, PERSONAL_TENANT)
    assert verify(token(USER, tid=PERSONAL_TENANT, iss=issuer), TRUST, NOW).personal


def test_personal_account_is_told_in_capitals_too() -> None:
    tenant = PERSONAL_TENANT.upper()
    caller = verify(token(USER, tid=tenant, iss=V1_ISSUER.replace(TENANT, tenant)), TRUST, NOW)
    assert caller.personal
    assert caller.tenant_id == PERSONAL_TENANT


def test_ids_have_one_spelling() -> None:
    upper = SUBJECT.upper()
    caller = verify(token(oid=upper, sub=upper, appid=CLIENT.upper()), TRUST, NOW)
    assert (caller.subject, caller.client_id) == (SUBJECT, CLIENT)


@pytest.mark.parametrize(
    ("changes", "kind", "permissions"),
    [
        ({"idtyp": GONE}, Kind.APPLICATION, {WRITE}),
        ({"roles": GONE}, Kind.APPLICATION, set()),
        ({"roles": []}, Kind.APPLICATION, set()),
        # A user's token may carry the user's app roles: they never count, with scopes or without (4.2, `roles`).
        ({"idtyp": "user", "sub": "pairwise"}, Kind.DELEGATED, set()),
        ({"idtyp": GONE, "sub": "pairwise"}, Kind.DELEGATED, set()),
        ({"idtyp": "user"}, Kind.DELEGATED, set()),
        ({"idtyp": "user", "scp": READ}, Kind.DELEGATED, {READ}),
        ({"idtyp": GONE, "scp": READ}, Kind.DELEGATED, {READ}),
        ({"idtyp": GONE, "scp": ""}, Kind.DELEGATED, set()),
        ({"idtyp": "user", "scp": f"  {READ}   {WRITE} "}, Kind.DELEGATED, {READ, WRITE}),
        ({"idtyp": "user", "scp": READ.lower()}, Kind.DELEGATED, {READ.lower()}),
    ],
)
def test_what_makes_an_application(changes: dict[str, Any], kind: Kind, permissions: set[str]) -> None:
    caller = verify(token(**changes), TRUST, NOW)
    assert (caller.kind, caller.permissions) == (kind, frozenset(permissions))


@pytest.mark.parametrize("audience", [*GLOBAL.audiences, [GRAPH_APP_ID]], ids=str)
def test_audiences_of_graph(audience: object) -> None:
    assert verify(token(aud=audience), TRUST, NOW).tenant_id == TENANT


@pytest.mark.parametrize(
    "changes",
    [{"typ": GONE}, {"typ": "jwt"}, {"typ": "at+jwt"}, {"typ": "application/at+jwt"}, {"x5t": KID}, {"unknown": {}}],
    ids=["no type", "jwt", "at+jwt", "application/at+jwt", "x5t", "unknown member"],
)
def test_headers_that_do_not_matter(changes: dict[str, Any]) -> None:
    assert verify(headed(**changes), TRUST, NOW).tenant_id == TENANT


@pytest.mark.parametrize(
    ("shown", "kept"), [("a\nb\x1b[2J\u202e", "a\ufffdb\ufffd[2J\ufffd"), ("x" * 999, "x" * 256), ("", None)]
)
def test_names_can_not_forge_a_line_of_a_log(shown: str, kept: str | None) -> None:
    assert verify(token(app_displayname=shown), TRUST, NOW).name == kept


def test_a_token_just_within_the_size() -> None:
    fill = (MAX_TOKEN_LENGTH - len(GOOD)) * 3 // 4 - 20
    text = token(filler="x" * fill)
    assert MAX_TOKEN_LENGTH - 32 < len(text) <= MAX_TOKEN_LENGTH
    assert verify(text, TRUST, NOW).tenant_id == TENANT


# --- the clock


@pytest.mark.parametrize(
    ("now", "refusal"),
    [
        (NOW + SKEW - 0.001, None),
        (NOW + SKEW, ExpiredToken),  # RFC 7519, 4.1.4: "on or after which the JWT MUST NOT be accepted"
        (NOW + SKEW + 1, ExpiredToken),
        (NOW - 600 - SKEW, None),
        (NOW - 600 - SKEW - 0.001, TokenNotYetValid),
    ],
)
def test_edges_of_a_lifetime(now: float, refusal: type[TokenRefusal] | None) -> None:
    text, cache = token(nbf=NOW - 600, exp=NOW), VerifiedTokens(TRUST)
    cache.verify(text, NOW)
    if refusal is None:
        assert verify(text, TRUST, now) == cache.verify(text, now)
        return
    with pytest.raises(refusal):
        verify(text, TRUST, now)
    with pytest.raises(refusal):
        cache.verify(text, now)


def test_fractions_never_lengthen_a_lifetime() -> None:
    caller = verify(token(exp=NOW + 0.9, nbf=NOW - 0.9), TRUST, NOW)
    assert (caller.not_before, caller.expires) == (NOW, NOW)


def test_nbf_may_be_left_out() -> None:
    assert verify(token(nbf=GONE), TRUST, NOW).not_before == 0


# --- keys and trust


def curve_trust(**changes: Any) -> Trust:
    key = VerificationKey(KID, "ES256", ECKey.import_key(CURVE_KEY.public_key()))
    return trusting(key, **{"algorithms": frozenset({"RS256", "ES256"}), **changes})


def test_es256_where_it_is_allowed() -> None:
    assert verify(headed(es256, alg="ES256"), curve_trust(), NOW).tenant_id == TENANT


@pytest.mark.parametrize(
    "text",
    [
        headed(alg="ES256"),
        headed(lambda _: bytes(64), alg="ES256"),  # CVE-2022-21449: r = s = 0
        headed(lambda _: b"\xff" * 64, alg="ES256"),
        headed(lambda _: b"", alg="ES256"),
        headed(lambda signed: CURVE_KEY.sign(signed, ec.ECDSA(hashes.SHA256())), alg="ES256"),
        headed(es256),
    ],
    ids=["RSA signature", "zeros", "ones", "empty", "DER", "RS256 named"],
)
def test_es256_forgeries(text: str) -> None:
    assert type(refusal_of(text, curve_trust())) is InvalidSignature


def test_a_key_that_is_there_does_not_allow_its_algorithm() -> None:
    trust = curve_trust(algorithms=frozenset({"RS256"}))
    assert type(refusal_of(headed(es256, alg="ES256"), trust)) is InvalidSignature


def test_a_key_is_used_with_its_own_algorithm_only() -> None:
    trust = trusting(algorithms=frozenset({"RS256", "ES256"}))
    assert type(refusal_of(headed(es256, alg="ES256"), trust)) is InvalidSignature


def test_a_key_may_be_bound_to_an_issuer() -> None:
    public = RSAKey.import_key(KEY.public_key())
    trust = trusting(VerificationKey(KID, "RS256", public, GLOBAL.issuers_v2))
    assert verify(token(APPLICATION_V2), trust, NOW).tenant_id == TENANT
    assert type(refusal_of(token(), trust)) is InvalidIssuer


def test_a_key_does_not_widen_the_issuers_that_are_trusted() -> None:
    public = RSAKey.import_key(KEY.public_key())
    trust = trusting(VerificationKey(KID, "RS256", public, ("https://evil.example/{tenantid}/",)))
    assert type(refusal_of(token(iss=f"https://evil.example/{TENANT}/"), trust)) is InvalidIssuer


@pytest.mark.parametrize(
    "build",
    [
        lambda: trusting(algorithms=frozenset({"none"})),
        lambda: trusting(algorithms=frozenset({"HS256"})),
        lambda: Trust({"other": TRUST.keys[KID]}, GLOBAL.issuers, frozenset()),
        lambda: Trust({}, {"1.0": ("https://one.example/",)}, frozenset()),
        lambda: Trust({}, GLOBAL.issuers, frozenset(), clock_skew=-1),
        lambda: VerificationKey(KID, "HS256", RSAKey.import_key(KEY.public_key())),
        lambda: VerificationKey(KID, "RS256", RSAKey.import_key(KEY)),
    ],
    ids=["none", "HS256", "kid", "issuer without tenant", "skew", "symmetric key", "private key"],
)
def test_a_trust_that_is_wrong_does_not_start(build: Callable[[], object]) -> None:
    with pytest.raises(ValueError, match=r"."):
        build()


def test_a_weak_key_is_not_taken() -> None:
    weak = rsa.generate_private_key(65537, 1024).public_key()
    with pytest.warns(SecurityWarning), pytest.raises(ValueError, match="2048 bits"):
        VerificationKey(KID, "RS256", RSAKey.import_key(weak))


# --- anything at all

_LETTERS: Final = st.text(alphabet="ABCabc019-_.=+/ \n\0é", max_size=60)
_JSON_VALUES: Final = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@given(st.text() | _LETTERS)
@settings(max_examples=500, deadline=None)
def test_any_text_is_refused(text: str) -> None:
    refusal_of(text)
    with pytest.raises(TokenRefusal):
        VerifiedTokens(TRUST).verify(text, NOW)


@given(st.lists(st.binary(max_size=60), min_size=3, max_size=3))
@settings(max_examples=300, deadline=None)
def test_any_bytes_in_three_parts_are_refused(parts: list[bytes]) -> None:
    refusal_of(".".join(b64(part) for part in parts))


@given(st.integers(0, len(GOOD) - 1), st.characters(max_codepoint=0x2FF))
@settings(max_examples=500, deadline=None)
def test_no_letter_of_a_token_can_be_changed(place: int, letter: str) -> None:
    text = GOOD[:place] + letter + GOOD[place + 1 :]
    if text != GOOD:
        refusal_of(text)


@given(st.dictionaries(st.sampled_from(["alg", "kid", "typ", "crit", "jwk", "x"]), _JSON_VALUES))
@settings(max_examples=200, deadline=None)
def test_any_header_is_refused_or_harmless(changes: dict[str, Any]) -> None:
    try:
        verify(headed(**changes), TRUST, NOW)
    except TokenRefusal:
        return
    assert changes.get("alg", "RS256") == "RS256"
    assert changes.get("kid", KID) == KID


@given(st.dictionaries(st.sampled_from([*APPLICATION, "scp", "upn", "xms_cc"]), _JSON_VALUES, min_size=1))
@settings(max_examples=5_000 if FULL else 200, deadline=None)
def test_any_value_of_a_claim_is_refused_or_harmless(changes: dict[str, Any]) -> None:
    """Even the true issuer can send nonsense: it may be refused, and must not be an error of ours."""
    try:
        caller = verify(token(**changes), TRUST, NOW)
    except TokenRefusal:
        return
    assert (caller.tenant_id, caller.subject, caller.client_id) == (TENANT, SUBJECT, CLIENT)


@given(st.binary(max_size=200))
@settings(max_examples=200, deadline=None)
def test_any_signed_payload_is_refused(payload: bytes) -> None:
    refusal_of(with_payload(payload))


# --- the cache


class Watched(VerificationKey):
    """A key that calls `asked` whenever it is asked to verify."""

    __slots__ = ("asked",)
    asked: Callable[[], object]

    def verifies(self, signed: bytes, signature: bytes) -> bool:
        self.asked()
        return VerificationKey.verifies(self, signed, signature)


def watched(asked: Callable[[], object]) -> Trust:
    key = Watched(KID, "RS256", RSAKey.import_key(KEY.public_key()))
    object.__setattr__(key, "asked", asked)
    return trusting(key)


def counted() -> tuple[list[None], Trust]:
    """A trust, and a list that grows by one with each signature that is checked."""
    count: list[None] = []
    return count, watched(lambda: count.append(None))


def test_a_signature_is_checked_once() -> None:
    checks, trust = counted()
    cache = VerifiedTokens(trust)
    assert cache.verify(GOOD, NOW) == cache.verify(GOOD, NOW + 1) == verify(GOOD, TRUST, NOW)
    assert (len(checks), len(cache)) == (1, 1)


def test_a_hit_still_looks_at_the_clock_and_drops_what_is_over() -> None:
    cache = VerifiedTokens(TRUST)
    cache.verify(GOOD, NOW)
    with pytest.raises(ExpiredToken):
        cache.verify(GOOD, NOW + 3600 + SKEW)
    assert len(cache) == 0
    cache.verify(GOOD, NOW)
    with pytest.raises(TokenNotYetValid):
        cache.verify(GOOD, NOW - 301 - SKEW)


@pytest.mark.parametrize("text", [text for text, _ in BAD.values()][::7])
def test_refusals_are_not_kept(text: str) -> None:
    cache = VerifiedTokens(TRUST)
    for _ in range(2):
        with pytest.raises(TokenRefusal):
            cache.verify(text, NOW)
    assert len(cache) == 0


def test_the_first_to_come_goes_first() -> None:
    checks, trust = counted()
    cache = VerifiedTokens(trust, size=2)
    first, second, third = (token(uti=name) for name in ("1", "2", "3"))
    for text in (first, second, third):
        cache.verify(text, NOW)
    assert (len(cache), len(checks)) == (2, 3)
    cache.verify(second, NOW)
    assert len(checks) == 3
    cache.verify(first, NOW)
    assert (len(cache), len(checks)) == (2, 4)


def test_forgetting_asks_the_keys_again() -> None:
    checks, trust = counted()
    cache = VerifiedTokens(trust)
    cache.verify(GOOD, NOW)
    cache.forget()
    assert len(cache) == 0
    cache.verify(GOOD, NOW)
    assert len(checks) == 2


def test_a_key_that_is_taken_away_ends_its_tokens_at_once() -> None:
    cache = VerifiedTokens(TRUST)
    cache.verify(GOOD, NOW)
    cache.forget(Trust({}, TRUST.issuers, TRUST.audiences))
    with pytest.raises(UnknownKey):
        cache.verify(GOOD, NOW)


def test_a_verification_that_overlaps_forgetting_leaves_nothing_behind() -> None:
    """The token is verified by a key while that very key is taken away: the result must not enter the new memory."""
    cache: VerifiedTokens
    cache = VerifiedTokens(watched(lambda: cache.forget(TRUST)))
    cache.verify(GOOD, NOW)
    assert len(cache) == 0


def test_the_cache_keeps_no_token() -> None:
    cache = VerifiedTokens(TRUST)
    cache.verify(GOOD, NOW)
    assert SIGNATURE not in repr(vars(cache))


def test_a_trust_that_is_shown_holds_no_keys() -> None:
    assert "VerificationKey" not in repr(TRUST)
    assert "RSAKey" not in repr(TRUST.keys[KID])
