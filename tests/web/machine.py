"""A machine that is, or wants to be, a connector: its key, its requests to a service in this process."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlencode

from tests.server import Answer, Server

from adjoin.connector import keys
from adjoin.service import enrolment
from adjoin.store.tenants import Tenant

API: Final = "/connector/v1"
AUDIENCE: Final = "api://adjoin/connector"
VERSION: Final = "1.2.3.4"
FIRST: Final = "11111111-1111-4111-8111-111111111111"
SECOND: Final = "22222222-2222-4222-8222-222222222222"


@dataclass
class Machine:
    """A machine and what it knows; `clock` is how far its own clock is off, which it corrects for."""

    server: Server
    key: str = field(default_factory=keys.new_key)
    belongs: dict[str, Any] = field(default_factory=dict)
    bearer: str | None = None
    instance: str = FIRST
    sequence: int = 0

    @property
    def id(self) -> str:
        return str(self.belongs["connector"])

    def enrol(self, code: str, name: str = "ODJ-SRV01", version: str = VERSION, **more: Any) -> Answer:
        proof = more.pop("proof", None) or keys.proof(self.key, code=keys.digest_of_code(code))
        body = {"code": code, "name": name, "version": version, "proof": proof, **more}
        answer = self.server.call("POST", f"{API}/enroll", body, token=None)
        if answer.status == 200:
            self.belongs = answer.json
        return answer

    def ask_token(self, key: str | None = None, **changes: str) -> Answer:
        """Ask for a token, with the key or another one."""
        now = self.server.clock()
        form = {
            "grant_type": "client_credentials",
            "scope": self.belongs["scope"],
            "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            "client_assertion": keys.assertion(key or self.key, self.id, self.belongs["audience"], now),
            **changes,
        }
        sent = {"content-type": "application/x-www-form-urlencoded"}
        answer = self.server.call("POST", self.belongs["tokenPath"], urlencode(form).encode(), sent, token=None)
        if answer.status == 200:
            self.bearer = answer.json["access_token"]
        return answer

    def post(self, below: str, body: object = None) -> Answer:
        """A request with the token that there is, or a first one."""
        if self.bearer is None:
            asked = self.ask_token()
            assert asked.status == 200, asked.body
        return self.server.call("POST", f"{API}{below}", body, token=self.bearer)

    def check_in(self, *, again: bool = False, **changes: object) -> Answer:
        """The next check-in, or the same again."""
        self.sequence += not again
        body = {"instance": self.instance, "sequence": self.sequence, "version": VERSION, **changes}
        return self.post("/check-in", body)

    def approval(self, new: str, by: str | None = None, **changes: Any) -> str:
        """The word of the machine's key, or another one, for a next key."""
        said = {"client": self.id, "audience": AUDIENCE, "now": self.server.clock(), **changes}
        return keys.assertion(by or self.key, **{"key": keys.thumbprint(new), **said})

    def renew(self, key: str, **changes: str) -> Answer:
        """Offer a next key."""
        offered = {"proof": keys.proof(key, connector=self.id), "approval": self.approval(key)}
        return self.post("/key", {**offered, **changes})

    def restart(self, instance: str = SECOND) -> None:
        self.instance, self.sequence = instance, 0


def invited(server: Server, tenant: Tenant | None = None, domain: str | None = None, lasts: int = 3_600) -> str:
    """A new invitation's code."""
    database = server.application.installation.database
    return server.run(enrolment.invite(database, tenant or server.tenant(), domain, lasts, server.world))


def enrolled(server: Server, tenant: Tenant | None = None, **more: Any) -> Machine:
    """A machine that is a connector."""
    machine = Machine(server)
    made = machine.enrol(invited(server, tenant), **more)
    assert made.status == 200, made.body
    return machine
