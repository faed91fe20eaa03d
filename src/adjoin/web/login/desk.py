"""What every part of the token service's web face shares while the service runs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from adjoin.service.sign_in import SignInRefusal, TokenService
from adjoin.service.sign_in_attempts import Attempts, Patience
from adjoin.service.sign_in_devices import Polls
from adjoin.service.sign_in_people import People, network
from adjoin.service.sign_in_record import Record
from adjoin.store.tenants import Tenant
from adjoin.web.errors import MethodNotAllowed
from adjoin.web.exchange import Request, Response
from adjoin.web.login.hosts import OwnHosts
from adjoin.web.login.tickets import LASTS, Browser, Ticket, TicketKey, browser_of, cookie

# From one address: wrong user codes, and sign-ins of devices that are begun; neither takes more than a connection.
CODES: Final = Patience(20, 60, 3_600)
BEGUN: Final = Patience(300, 60, 60)  # in a minute


@dataclass(frozen=True, slots=True)
class Desk:
    """The token service, the key of its forms, the hosts that are its own, and its counts of who tried what."""

    service: TokenService
    key: TicketKey
    hosts: OwnHosts
    people: People = field(default_factory=People)
    polls: Polls = field(default_factory=Polls)
    codes: Attempts = field(default_factory=Attempts)
    record: Record = field(default_factory=Record)

    def browser(self, request: Request) -> Browser:
        return browser_of(request, self.service.world.random(16))

    def ticket(self, purpose: str, tenant: int, browser: Browser, content: bytes) -> str:
        """A form's ticket."""
        return self.key.sealed(Ticket(purpose, tenant, self.service.now + LASTS, browser.digest, content))

    async def refused(
        self, request: Request, tenant: Tenant, refusal: SignInRefusal, client_id: str | None, name: str | None = None
    ) -> None:
        """Record a refusal. `name` is what a person typed."""
        await self.record.refused(
            self.service,
            tenant,
            refusal,
            client_id=client_id,
            address=request.address,
            correlation=request.client_id,
            name=name,
        )


def allow(request: Request, *methods: str) -> None:
    """Refuse other methods. Raises MethodNotAllowed."""
    if request.method not in methods:
        raise MethodNotAllowed((*methods, "OPTIONS"))


def remember(answer: Response, request: Request, browser: Browser) -> Response:
    """The answer, with the cookie for a browser that has none."""
    if not browser.known:
        answer.headers.append(("set-cookie", cookie(request, browser)))
    return answer


def source(request: Request) -> str:
    """Where a request comes from, to count by."""
    return network(request.address)
