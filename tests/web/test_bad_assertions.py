"""Bad client assertions: each is refused with the right number, and neither the log nor the audit trail holds it."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest
from joserfc import jws
from joserfc.jwk import RSAKey
from structlog.testing import capture_logs
from tests.identity.test_logs import shared
from tests.web.test_login_clients import certificate, named, pem, prove, rsa_key
from tests.web.visitor import NOW, ORIGIN, PASSWORD, Visitor

from adjoin.identity import issuer
from adjoin.identity.issuer import Grant
from adjoin.store.applications import Application

MALFORMED, ALGORITHM, WHO, TIME, AUDIENCE, KEY = 50027, 5002738, 700021, 700024, 700023, 700027


def coded(value: object) -> str:
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


@cache
def jwk(number: int) -> RSAKey:
    return RSAKey.import_key(rsa_key(number) if number else rsa_key())


class Forger:
    """Makes assertions of an application with a certificate: good ones, and ones with something wrong."""

    def __init__(self, visitor: Visitor) -> None:
        self.visitor = visitor
        self.certificate = certificate(rsa_key())
        self.client, _ = visitor.add_app(pem=pem(self.certificate))
        self.other, _ = visitor.add_app("other", pem=pem(certificate(rsa_key(1))))

    @property
    def head(self) -> dict[str, Any]:
        return {"typ": "JWT", "alg": "RS256", "x5t#S256": named(self.certificate)}

    def says(self, client: Application | None = None) -> dict[str, Any]:
        who = (client or self.client).id
        audience = f"{ORIGIN}/{self.visitor.tenant.id}/oauth2/v2.0/token"
        return {"aud": audience, "iss": who, "sub": who, "jti": "one", "nbf": NOW, "exp": NOW + 600}

    def signed(self, head: Mapping[str, Any] | bytes, said: Mapping[str, Any] | bytes, key: int = 0) -> str:
        """A JWT with a signature by RS256, whatever its header says."""
        signing = f"{coded(head)}.{coded(said)}".encode()
        signature = jws.JWSRegistry.algorithms["RS256"].sign(signing, jwk(key))
        return f"{signing.decode()}.{coded(signature)}"

    def with_head(self, **changes: Any) -> str:
        return self.signed({name: value for name, value in {**self.head, **changes}.items() if value}, self.says())

    def saying(self, **changes: Any) -> str:
        return self.signed(self.head, {**self.says(), **changes})

    def written(self, text: str) -> str:
        """The claims as JSON with some more text within."""
        return self.signed(self.head, json.dumps(self.says())[:-1].encode() + text.encode() + b"}")

    def own_token(self) -> str:
        """An access token of this service, which is no assertion."""
        grant = Grant(
            tenant_id=self.visitor.tenant.id,
            subject=self.client.object_id,
            client_id=self.client.id,
            permissions=frozenset(self.client.permissions),
        )
        return issuer.mint(self.visitor.application.installation.ring.signing, grant, NOW, "t")


Made = Callable[[Forger], str]
_EVIL: Final = "https://evil.example/keys"
_CLAIMS: Final[dict[str, tuple[dict[str, Any], int]]] = {
    "audience of another host": ({"aud": "https://evil.example/token"}, AUDIENCE),
    "audience of Entra": ({"aud": "https://login.microsoftonline.com/common/oauth2/v2.0/token"}, AUDIENCE),
    "audience of another tenant": (
        {"aud": f"{ORIGIN}/11111111-1111-1111-1111-111111111111/oauth2/v2.0/token"},
        AUDIENCE,
    ),
    "audience of the service itself": ({"aud": ORIGIN}, AUDIENCE),
    "audience nested": ({"aud": [[f"{ORIGIN}/default/oauth2/v2.0/token"]]}, AUDIENCE),
    "audience an object": ({"aud": {"a": 1}}, AUDIENCE),
    "no audience": ({"aud": None}, AUDIENCE),
    "empty audience": ({"aud": []}, AUDIENCE),
    "expired to the second": ({"exp": NOW - 300}, TIME),
    "too long a life": ({"exp": NOW + 3_901}, TIME),
    "no end": ({"exp": None}, TIME),
    "end as text": ({"exp": str(NOW + 600)}, TIME),
    "end as a Boolean": ({"exp": True}, TIME),
    "end beyond all": ({"exp": 10**30}, TIME),
    "end below all": ({"exp": -(10**30)}, TIME),
    "end a list": ({"exp": [NOW + 600]}, TIME),
    "begins in the future": ({"nbf": NOW + 301}, TIME),
    "made in the future": ({"iat": NOW + 301}, TIME),
    "issued by somebody else": ({"iss": "22222222-2222-2222-2222-222222222222"}, WHO),
    "about somebody else": ({"sub": "22222222-2222-2222-2222-222222222222"}, WHO),
    "about nobody": ({"sub": None}, WHO),
    "about a number": ({"sub": 1, "iss": 1}, WHO),
    "about a list": ({"sub": ["a"], "iss": ["a"]}, WHO),
}
BAD: Final[dict[str, tuple[Made, int]]] = {
    **{
        name: (lambda forger, changes=changes: forger.saying(**changes), number)  # type: ignore[misc]
        for name, (changes, number) in _CLAIMS.items()
    },
    "unsigned": (lambda forger: f"{coded({**forger.head, 'alg': 'none'})}.{coded(forger.says())}.", ALGORITHM),
    "unsigned in capitals": (
        lambda forger: f"{coded({**forger.head, 'alg': 'NONE'})}.{coded(forger.says())}.",
        ALGORITHM,
    ),
    "by HMAC": (lambda forger: forger.with_head(alg="HS256"), ALGORITHM),
    "by RS512": (lambda forger: forger.with_head(alg="RS512"), ALGORITHM),
    "by RS1": (lambda forger: forger.with_head(alg="RS1"), ALGORITHM),
    "by no algorithm": (lambda forger: forger.with_head(alg=None), ALGORITHM),
    "by a list of algorithms": (lambda forger: forger.with_head(alg=["RS256"]), ALGORITHM),
    "by another kind of algorithm": (lambda forger: forger.with_head(alg="ES256"), KEY),
    "by another padding": (lambda forger: forger.with_head(alg="PS256"), KEY),
    "with an extension": (lambda forger: forger.with_head(crit=["exp"]), ALGORITHM),
    "without a key's name": (lambda forger: forger.with_head(**{"x5t#S256": None}), MALFORMED),
    "with a list for a name": (lambda forger: forger.with_head(**{"x5t#S256": ["a"]}), MALFORMED),
    "with an unknown name": (lambda forger: forger.with_head(**{"x5t#S256": "A" * 43}), KEY),
    "with a path for a name": (lambda forger: forger.with_head(**{"x5t#S256": "../../keys/x.pem"}), KEY),
    "with SQL for a name": (lambda forger: forger.with_head(**{"x5t#S256": "' OR 1=1 --"}), KEY),
    "with too long a name": (lambda forger: forger.with_head(**{"x5t#S256": "A" * 256}), MALFORMED),
    "with a key of its own": (
        lambda forger: forger.signed({**forger.head, "jwk": jwk(1).as_dict(private=False)}, forger.says(), 1),
        KEY,
    ),
    "with a certificate of its own": (
        lambda forger: forger.signed({**forger.head, "x5c": ["MIIB"]}, forger.says(), 1),
        KEY,
    ),
    "with an address of keys": (lambda forger: forger.signed({**forger.head, "jku": _EVIL}, forger.says(), 1), KEY),
    "with an address of a certificate": (
        lambda forger: forger.signed({**forger.head, "x5u": _EVIL}, forger.says(), 1),
        KEY,
    ),
    "by another application's key": (lambda forger: forger.signed(forger.head, forger.says(), 1), KEY),
    "of another application": (lambda forger: forger.signed(forger.head, forger.says(forger.other)), KEY),
    "with two ends": (lambda forger: forger.written(f',"exp":{NOW + 700}'), MALFORMED),
    "with two audiences by name": (lambda forger: forger.written(',"aud":"https://evil.example"'), MALFORMED),
    "with no number": (lambda forger: forger.written(',"n":NaN'), MALFORMED),
    "with an infinite number": (lambda forger: forger.written(',"n":1e999'), MALFORMED),
    "with too many digits": (lambda forger: forger.written(f',"n":{"9" * 5_000}'), MALFORMED),
    "nested without end": (lambda forger: forger.written(f',"n":{"[" * 5_000}'), MALFORMED),
    "with two algorithms": (
        lambda forger: forger.signed(json.dumps(forger.head)[:-1].encode() + b',"alg":"none"}', forger.says()),
        MALFORMED,
    ),
    "not UTF-8": (lambda forger: forger.signed(forger.head, b'{"iss":"\xff"}'), MALFORMED),
    "a list": (lambda forger: forger.signed(forger.head, b"[]"), MALFORMED),
    "nothing": (lambda forger: forger.signed(forger.head, b""), MALFORMED),
    "a header that is a list": (lambda forger: forger.signed(b"[]", forger.says()), MALFORMED),
    "without its signature": (lambda forger: forger.saying().rpartition(".")[0], MALFORMED),
    "with an empty signature": (lambda forger: forger.saying().rpartition(".")[0] + ".", KEY),
    "cut short": (lambda forger: forger.saying()[:-8], KEY),
    "cut in the middle": (lambda forger: forger.saying()[:200], MALFORMED),
    "with a fourth part": (lambda forger: forger.saying() + ".AAAA", MALFORMED),
    "encrypted": (
        lambda _: ".".join([coded({"alg": "RSA-OAEP", "enc": "A256GCM"}), "a", "b", "c", "d"]),
        MALFORMED,
    ),
    "with another claim after signing": (
        lambda forger: ".".join(
            [forger.saying().split(".")[0], coded({**forger.says(), "jti": "two"}), forger.saying().split(".")[2]]
        ),
        KEY,
    ),
    "an assertion within an assertion": (lambda forger: coded(forger.saying().encode()), MALFORMED),
    "not base64url": (lambda forger: forger.saying().replace(".", ".!", 1), MALFORMED),
    "too long": (lambda forger: forger.saying(pad="x" * 20_000), MALFORMED),
    "an access token of this service": (Forger.own_token, WHO),
}


@pytest.fixture(scope="module")
def forger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forger]:
    with Visitor(tmp_path_factory.mktemp("assertions") / "data", log_requests=True, log_level="debug") as visitor:
        yield Forger(visitor)


def test_the_good_one_is_good(forger: Forger) -> None:
    assert prove(forger.visitor, forger.saying(jti="good")).status == 200


@pytest.mark.parametrize("name", BAD)
def test_bad_assertion(forger: Forger, name: str) -> None:
    make, number = BAD[name]
    text = make(forger)
    with capture_logs() as logged:
        answer = prove(forger.visitor, text)
    assert answer.refusal == (401, "invalid_client", number)
    assert shared(text, answer.text) is None
    assert logged, "each request is logged"
    assert [line for line in logged if shared(text, str(line))] == []


def test_the_audit_trail_holds_none_of_them(forger: Forger) -> None:
    texts = [make(forger) for make, _ in BAD.values()]
    for text in texts:
        prove(forger.visitor, text)
    rows = forger.visitor.run(forger.visitor.database.reader.fetch("SELECT * FROM audit_events", ()))
    assert rows
    trail = "\n".join(str(row) for row in rows)
    assert [text for text in texts if len(text) > 40 and shared(text, trail)] == []


def test_no_log_holds_what_people_and_clients_prove_themselves_by(tmp_path: Path) -> None:
    with Visitor(tmp_path / "data", log_requests=True, log_level="debug") as visitor, capture_logs() as logged:
        client, secret = visitor.add_app()
        public, _ = visitor.add_app("public", public=True)
        visitor.add_user()
        code = visitor.code(public)
        tokens = visitor.redeem(public, code).json
        visitor.redeem(public, code)
        visitor.refresh(public, tokens["refresh_token"])
        visitor.refresh(public, tokens["refresh_token"])
        visitor.sign_in(visitor.authorize(public), password=f"not {PASSWORD}")
        device = visitor.device(public)
        visitor.enter(device["user_code"])
        visitor.poll(public, device["device_code"])
        visitor.token(grant_type="client_credentials", client_id=client.id, client_secret=secret + "x")
        rows = visitor.run(visitor.database.reader.fetch("SELECT * FROM audit_events", ()))
        secrets = (secret, code, PASSWORD, device["user_code"], device["device_code"], *tokens.values())
        lines = [str(line) for line in [*logged, *rows]]
    assert len(lines) > 10
    for text in (each for each in secrets if isinstance(each, str) and each != "Bearer"):
        kept = [line for line in lines if text in line or shared(text, line)]
        assert kept == [] or text == tokens["scope"]
