"""Tickets: what a page's form carries back, signed, bound to the browser that was shown the page, and good for a while.

Nothing is kept of a page that was shown. A form from anywhere else has no ticket, or one of another browser (CSRF).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from dataclasses import dataclass
from typing import Final

import msgspec

from adjoin.identity.assertions import base64url
from adjoin.web.exchange import Request

LASTS: Final = 900
_SIGNATURE_BYTES: Final = 32
_COOKIE: Final = re.compile(r"[0-9a-f]{32}")


class Ticket(msgspec.Struct, frozen=True, array_like=True):
    """What a form is for, in which tenant (0: none yet), until when, in which browser, and what it is about."""

    purpose: str
    tenant: int
    expires: int
    browser: bytes
    content: bytes


_DECODER: Final = msgspec.msgpack.Decoder(Ticket)


@dataclass(frozen=True, slots=True)
class Browser:
    """The browser, known by a cookie that says nothing else; `known` if it sent one."""

    value: str
    known: bool

    @property
    def digest(self) -> bytes:
        return hashlib.sha256(self.value.encode()).digest()

    def was_shown(self, ticket: Ticket) -> bool:
        return self.known and hmac.compare_digest(ticket.browser, self.digest)


@dataclass(frozen=True, slots=True)
class TicketKey:
    """The secret that tickets are signed with."""

    secret: bytes

    @classmethod
    def from_secret(cls, secret: bytes) -> TicketKey:
        """A key of this purpose alone, from a secret that has others."""
        return cls(hmac.new(secret, b"adjoin sign-in tickets", hashlib.sha256).digest())

    def sealed(self, ticket: Ticket) -> str:
        payload = msgspec.msgpack.encode(ticket)
        return base64url(self._signature(payload) + payload)

    def opened(self, text: str, browser: Browser, now: int) -> Ticket | None:
        """The ticket in a form; None: it is not ours, of another browser, or its time is over."""
        ticket = self.read(text, now)
        return ticket if ticket is not None and browser.was_shown(ticket) else None

    def read(self, text: str, now: int) -> Ticket | None:
        """As `opened`, of whatever browser. What such a form says must not be done."""
        try:
            data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        except ValueError:
            return None
        signature, payload = data[:_SIGNATURE_BYTES], data[_SIGNATURE_BYTES:]
        if not hmac.compare_digest(signature, self._signature(payload)):
            return None
        ticket = _DECODER.decode(payload)
        return ticket if now < ticket.expires else None

    def _signature(self, payload: bytes) -> bytes:
        return hmac.new(self.secret, payload, hashlib.sha256).digest()


def browser_of(request: Request, random: bytes) -> Browser:
    """The browser that a request comes from; one that sends no cookie gets a new one from 16 random bytes."""
    name = cookie_name(request)
    # HTTP/2 may send cookies one by one (RFC 9113, 8.2.3), and headers of one name are joined by commas here.
    for pair in re.split(r"[;,]", request.headers.get("cookie", "")):
        key, _, value = pair.strip().partition("=")
        if key == name and _COOKIE.fullmatch(value):
            return Browser(value, known=True)
    return Browser(random.hex(), known=False)


def cookie(request: Request, browser: Browser) -> str:
    """The Set-Cookie that makes a browser known.

    Lax, so that it comes with a link from a client's page, and with no form of another site.
    """
    secure = "; Secure" if request.origin.startswith("https:") else ""
    return f"{cookie_name(request)}={browser.value}; Path=/; HttpOnly; SameSite=Lax{secure}"


def cookie_name(request: Request) -> str:
    """On https the name keeps other hosts of the domain from setting it (RFC 6265bis, 4.1.3.2)."""
    return "__Host-adjoin-sign-in" if request.origin.startswith("https:") else "adjoin-sign-in"
