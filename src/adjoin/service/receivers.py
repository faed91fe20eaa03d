"""Which receivers may be notified: what the operator allows, and which addresses are never called on anybody's behalf.

A URL in a subscription makes this service call somewhere, from where it stands: that is a way into networks that its
caller does not reach. So no host is called but those that were allowed, each by an address that was looked at. Pure.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final, TypeAlias
from urllib.parse import urlsplit

from adjoin.odata.errors import Refusal
from adjoin.service.errors import NotSubscribed

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

MAX_URL: Final = 2_048
_ENTRY: Final = re.compile(r"(?:(https?)://)?(\*|(?:\*\.)?[A-Za-z0-9_.-]+|\[[0-9A-Fa-f:.]+\])(?::(\d{1,5}))?")
_PORTS: Final = {"https": 443, "http": 80}
# RFC 6052: an IPv4 address within.
_NAT64: Final = ipaddress.ip_network("64:ff9b::/96")
# Site-local (RFC 3879), for documentation (RFC 9637), relays of 6to4 (RFC 7526): Python takes them for public ones.
_INNER: Final = tuple(map(ipaddress.ip_network, ("fec0::/10", "3fff::/20", "192.88.99.0/24")))
# RFC 1035, 2.3.4.
_MAX_HOST: Final = 253
_MAX_LABEL: Final = 63


class BadReceiver(Refusal):
    """An entry of the list of allowed receivers that cannot be read."""


@dataclass(frozen=True, slots=True)
class Receiver:
    """Where a URL leads: scheme, host in small letters, port."""

    scheme: str
    host: str
    port: int


@dataclass(frozen=True, slots=True)
class Entry:
    """What is allowed: a host, `*.` and a domain, or `*`; on one port, or without one on any."""

    scheme: str
    host: str
    port: int | None

    def matches(self, receiver: Receiver) -> bool:
        if receiver.scheme != self.scheme or self.port not in (None, receiver.port):
            return False
        if self.host.startswith("*."):
            return receiver.host.endswith(self.host[1:])
        return self.host in ("*", receiver.host)


@dataclass(frozen=True, slots=True)
class Allowed:
    """The receivers that may be notified."""

    entries: tuple[Entry, ...] = ()

    @classmethod
    def parse(cls, texts: tuple[str, ...]) -> Allowed:
        """From entries such as `hooks.example.com`, `*.example.com:8443`, `http://localhost:5000` or `*`.

        Raises BadReceiver.
        """
        return cls(tuple(_entry(text) for text in texts))

    def receiver(self, url: str) -> Receiver:
        """Where a URL leads. Raises NotSubscribed for one that may not be notified."""
        receiver = _parsed(url)
        if not any(each.matches(receiver) for each in self.entries):
            if any(replace(each, port=None).matches(receiver) for each in self.entries):
                raise NotSubscribed(
                    f"The host '{receiver.host[:128]}' may not be notified on port {receiver.port}: the operator of "
                    "this service allows another (--webhook-allow)."
                )
            if receiver.scheme != "https":
                raise NotSubscribed("A notification URL has to begin with https://.")
            raise NotSubscribed(
                f"The host '{receiver.host[:128]}' may not be notified: it is not among those that the operator of "
                "this service allows (--webhook-allow)."
            )
        return receiver

    def address(self, host: str, port: int, address: str) -> bool:
        """Whether a host may be called at this address.

        A host that is named may be anywhere but at an address that no single machine has; `*` is for public ones.
        """
        ip = _plain(ipaddress.ip_address(address.partition("%")[0]))
        named = any(
            each.host != "*" and each.matches(Receiver(scheme, host.lower(), port))
            for each in self.entries
            for scheme in _PORTS
        )
        if ip.is_loopback:
            return named
        if ip.is_link_local or ip.is_multicast or ip.is_unspecified or ip.is_reserved:
            return False
        return named or (ip.is_global and not any(ip in each for each in _INNER))


@lru_cache(maxsize=8_192)
def host_of(url: str) -> str:
    """The host of a URL that was taken, in small letters."""
    return urlsplit(url).hostname or ""


def _entry(text: str) -> Entry:
    match = _ENTRY.fullmatch(text.strip())
    if match is None or int(match.group(3) or 1) not in range(1, 65_536):
        raise BadReceiver(
            f"--webhook-allow takes a host such as hooks.example.com, *.example.com:8443 or *, not {text!r}; "
            "http:// in front allows plain http."
        )
    scheme, host, port = match.groups()
    if host == "*" and scheme == "http":
        raise BadReceiver("--webhook-allow takes plain http for hosts by their name only.")
    return Entry(scheme or "https", host.lower().strip("[]"), int(port) if port else None)


def _parsed(url: str) -> Receiver:
    refusal = NotSubscribed("A notification URL is no URL such as https://hooks.example.com/connectors.")
    if len(url) > MAX_URL or not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
        raise refusal
    try:
        split = urlsplit(url)
        port = split.port
    except ValueError:
        raise refusal from None
    if split.scheme not in _PORTS or not split.hostname or not _may_be_a_name(split.hostname):
        raise refusal
    if "@" in split.netloc or split.fragment:
        raise NotSubscribed("A notification URL has no user, no password and no fragment.")
    return Receiver(split.scheme, split.hostname.lower(), port if port is not None else _PORTS[split.scheme])


def _may_be_a_name(host: str) -> bool:
    labels = host.removesuffix(".").split(".")
    return len(host) <= _MAX_HOST and all(1 <= len(label) <= _MAX_LABEL for label in labels)


def _plain(ip: Address) -> Address:
    """The IPv4 address that an IPv6 address stands for, if it does."""
    if isinstance(ip, ipaddress.IPv4Address):
        return ip
    if ip in _NAT64:
        return ipaddress.IPv4Address(int(ip) & 0xFFFF_FFFF)
    return ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else ip)
