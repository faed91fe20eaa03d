"""A visitor of the token service: a browser with cookies, a client, and a clock to set."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from functools import cache
from html import unescape
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

from argon2 import PasswordHasher
from tests import server
from tests.server import NOW, READ, WRITE, Server, chunks, config_of, exchange, scope_of

from adjoin.identity import client_keys, issuer
from adjoin.service import sign_in_people
from adjoin.store import applications, users
from adjoin.store.applications import Application, Key
from adjoin.store.database import Session
from adjoin.store.tenants import Tenant
from adjoin.store.users import User

__all__ = ["NOW", "READ", "WRITE", "Answer", "Visitor"]

OWN_HOST: Final = "sign-in.example"
ORIGIN: Final = f"https://{OWN_HOST}:8443"
GRAPH: Final = "https://graph.microsoft.com"
DEFAULT: Final = f"{GRAPH}/.default openid profile offline_access"
CALLBACK: Final = "https://app.example/back?kept=1"
PASSWORD: Final = "correct horse battery"
VERIFIER: Final = "v" * 43
CHALLENGE: Final = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
DEVICE_GRANT: Final = "urn:ietf:params:oauth:grant-type:device_code"


class Answer(server.Answer):
    """An answer, read as a refusal, as a page, or as a redirect."""

    @property
    def refusal(self) -> tuple[int, str, int]:
        """Status, error and number of a refusal in JSON; all of Entra's members are there."""
        found = self.json
        assert set(found) == {
            "error",
            "error_description",
            "error_codes",
            "timestamp",
            "trace_id",
            "correlation_id",
        }
        assert found["error_description"].startswith(f"AADSTS{found['error_codes'][0]}: ")
        assert self.headers["cache-control"] == "no-store, no-cache"
        return self.status, found["error"], found["error_codes"][0]

    @property
    def fault(self) -> str:
        """What a page says went wrong."""
        found = re.search(r'role="alert"[^>]*>(.*?)</p>', self.text, re.DOTALL)
        return unescape(found[1]) if found else ""

    @property
    def number(self) -> int:
        """The number on a page of refusal."""
        found = re.search(r"Error AADSTS(\d+)", self.text)
        assert found, self.text
        return int(found[1])

    @property
    def ticket(self) -> str:
        return self.fields["ticket"]

    @property
    def fields(self) -> dict[str, str]:
        return {
            unescape(name): unescape(value) for name, value in re.findall(r'name="(\w+)" value="([^"]*)"', self.text)
        }

    @property
    def action(self) -> str:
        found = re.search(r'<form method="post" action="([^"]+)"', self.text)
        assert found, self.text
        return unescape(found[1])

    @property
    def returned(self) -> dict[str, str]:
        """The parameters that a redirect brings back to the client."""
        assert self.status == 303, (self.status, self.text)
        location = urlsplit(self.headers["location"])
        return dict(parse_qsl(location.fragment or location.query))


@cache
def _hash(password: str) -> str:
    """A hash that costs little: what one costs is noted in it, and is for tests of passwords to look at."""
    return PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(password)


class Visitor:
    """A service on data of its own, and one browser that visits it. Open while it is used as a context."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self._server = Server(config_of(folder, **{"tls": True, "tls_names": (OWN_HOST,), **settings}), seed=23)
        self.application, self.config = self._server.application, self._server.config
        self.clock, self.random, self.world = self._server.clock, self._server.random, self._server.world
        self.run, self.write = self._server.run, self._server.write
        self.cookies: dict[str, str] = {}
        self.address = "192.0.2.1"

    def __enter__(self) -> Visitor:
        self._server.__enter__()
        self.tenant = self._server.tenant()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.__exit__()

    @property
    def database(self) -> Any:
        return self.application.installation.database

    # --- what there is

    def add_tenant(self, name: str) -> Tenant:
        return self._server.add_tenant(name)

    def add_app(
        self,
        name: str = "client",
        *permissions: str,
        public: bool = False,
        pem: bytes | None = None,
        uris: tuple[str, ...] = (CALLBACK,),
        tenant: Tenant | None = None,
    ) -> tuple[Application, str]:
        secret = issuer.new_secret(self.random.randbytes(32))
        new = Application(
            self.world.new_request_id(),
            self.world.new_request_id(),
            name,
            permissions or (WRITE,),
            None if public or pem else issuer.digest(secret),
            "2027-01-01T00:00:00Z",
            uris,
            public,
        )
        number = (tenant or self.tenant).number

        async def act(session: Session) -> None:
            assert await applications.add(session, number, new) is not None
            if pem is not None:
                key = client_keys.read(pem)
                for each in key.names:
                    row = Key(each, key.public_key, key.expires, new.created)
                    await applications.add_key(session, number, new.id, row)

        self.write(act)
        return new, secret

    def add_user(
        self,
        name: str = "alice",
        *permissions: str,
        enabled: bool = True,
        tenant: Tenant | None = None,
        stored: str | None = None,
    ) -> User:
        meant = tenant or self.tenant
        new = User(
            self.world.new_request_id(),
            sign_in_people.folded(name, meant),
            name.title(),
            stored or _hash(PASSWORD),
            permissions or (WRITE,),
            "2027-01-01T00:00:00Z",
            enabled,
        )
        assert self.write(lambda session: users.add(session, meant.number, new)) is not None
        return new

    # --- calls

    async def ask(
        self, method: str, target: str, form: Mapping[str, str] | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        pairs = {"host": urlsplit(ORIGIN).netloc, **(headers or {})}
        if self.cookies:
            pairs.setdefault("cookie", "; ".join(f"{name}={value}" for name, value in self.cookies.items()))
        body = None
        if form is not None:
            pairs.setdefault("content-type", "application/x-www-form-urlencoded")
            body = urlencode(form).encode()
        scope = scope_of(method, target, pairs.items(), "https", (self.address, 4711))
        found = await exchange(self.application, scope, chunks(body))
        answer = Answer(found.status, found.pairs, found.body)
        for name, value in answer.pairs:
            if name == "set-cookie":
                key, _, kept = value.partition(";")[0].partition("=")
                self.cookies[key] = kept
        return answer

    def get(self, target: str) -> Answer:
        return self.run(self.ask("GET", target.removeprefix(ORIGIN)))

    def post(self, target: str, headers: Any = None, **form: str) -> Answer:
        return self.run(self.ask("POST", target.removeprefix(ORIGIN), form, headers))

    def token(self, tenant: Any = None, headers: Any = None, **form: str) -> Answer:
        return self.post(f"/{tenant or self.tenant.id}/oauth2/v2.0/token", headers, **form)

    def works(self, access_token: str) -> int:
        """The status of a call with a token."""
        headers = {"authorization": f"Bearer {access_token}"}
        return self.run(self.ask("GET", "/beta/deviceManagement/domainJoinConnectors", None, headers)).status

    # --- flows

    def authorize(self, client: Application, tenant: str | None = None, **changes: str | None) -> Answer:
        """The answer to an authorization request; None takes a parameter out."""
        asked: dict[str, str | None] = {
            "client_id": client.id,
            "response_type": "code",
            "redirect_uri": CALLBACK,
            "scope": DEFAULT,
            "state": "st&te",
            "nonce": "n-0",
            "code_challenge": CHALLENGE,
            "code_challenge_method": "S256",
            **changes,
        }
        query = urlencode({name: value for name, value in asked.items() if value is not None})
        return self.get(f"/{tenant or self.tenant.id}/oauth2/v2.0/authorize?{query}")

    def sign_in(self, page: Answer, name: str = "alice", password: str = PASSWORD, act: str = "accept") -> Answer:
        return self.post(page.action, ticket=page.ticket, name=name, password=password, act=act)

    def code(self, client: Application, **changes: str | None) -> str:
        return self.sign_in(self.authorize(client, **changes)).returned["code"]

    def redeem(self, client: Application, code: str, **changes: str) -> Answer:
        form = {
            "grant_type": "authorization_code",
            "client_id": client.id,
            "code": code,
            "redirect_uri": CALLBACK,
            "code_verifier": VERIFIER,
            "client_info": "1",
        }
        return self.token(**{**form, **changes})

    def refresh(self, client: Application, token: str, **changes: str) -> Answer:
        return self.token(**{"grant_type": "refresh_token", "client_id": client.id, "refresh_token": token, **changes})

    def device(self, client: Application, scope: str = DEFAULT, tenant: str | None = None) -> Any:
        answer = self.post(f"/{tenant or self.tenant.id}/oauth2/v2.0/devicecode", client_id=client.id, scope=scope)
        assert answer.status == 200, answer.text
        return answer.json

    def poll(self, client: Application, device_code: str, grant: str = DEVICE_GRANT, **changes: str) -> Answer:
        return self.token(**{"grant_type": grant, "client_id": client.id, "device_code": device_code, **changes})

    def enter(self, user_code: str, page: str = "/device") -> Answer:
        asked = self.get(page)
        return self.post(asked.action, ticket=asked.ticket, user_code=user_code)


def claims(token: str) -> dict[str, Any]:
    """The claims of a JWT, unverified."""
    part = token.split(".")[1]
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return found


def query_of(url: str) -> dict[str, list[str]]:
    return parse_qs(urlsplit(url).query)
