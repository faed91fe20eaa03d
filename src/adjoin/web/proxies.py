"""Which URL the client used, where proxies stand in between: their word counts only if they are on the list.

Every proxy adds its own entry at the right-hand end. Read from there, the entries are true as long as the one who
made them is on the list; the right-most entry about somebody who isn't is the last that counts. What stands further
left could have come from the client.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from adjoin.config import Network
from adjoin.web.errors import BadHost

# Host as RFC 3986 has it, without user information; it comes back in the links of answers.
_HOST: Final = re.compile(r"(?:[A-Za-z0-9_.~-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?")
# One parameter of a Forwarded element (RFC 7239, 4), and what has to follow it.
_TOKEN: Final = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # noqa: S105 - RFC 9110's word for a word
_PARAMETER: Final = re.compile(rf'[ \t]*(?:({_TOKEN})=({_TOKEN}|"(?:[^"\\]|\\.)*"))?[ \t]*([;,]|\Z)')
_MAX_ENTRIES: Final = 32


@dataclass(frozen=True, slots=True)
class Proxies:
    """The proxies that are believed: their networks, and, if `local`, who comes over a Unix socket of this machine."""

    networks: Sequence[Network] = ()
    local: bool = False

    def __bool__(self) -> bool:
        return bool(self.networks) or self.local

    def trusts_peer(self, client: Sequence[Any] | None) -> bool:
        """Whether the other end of a connection is one of them; `client` is as ASGI has it, None for a Unix socket."""
        return self.local if client is None else self.trusts(str(client[0]))

    def trusts(self, node: str) -> bool:
        """Whether an address is one of theirs. Names and anything else are not."""
        try:
            address = ipaddress.ip_address(_without_port(node))
        except ValueError:
            return False
        if address.version == 6:
            # A socket for both families shows IPv4 peers so.
            address = address.ipv4_mapped or address
        return any(address in network for network in self.networks)


def origin_of(
    headers: Mapping[str, str], scheme: str, client: Sequence[Any] | None, public_url: str | None, proxies: Proxies
) -> str:
    """Scheme and host as the client used them, for the links of answers. Raises BadHost."""
    if public_url is not None:
        return public_url.rstrip("/")
    host = headers.get("host", "")
    if proxies and proxies.trusts_peer(client):
        told_scheme, told_host = _told(headers, proxies)
        scheme = scheme if told_scheme is None else told_scheme.lower()
        host = host if told_host is None else told_host
    if not _HOST.fullmatch(host) or scheme not in ("http", "https"):
        raise BadHost("The Host header is missing or is not a host name with an optional port.")
    return f"{scheme}://{host}"


def address_of(headers: Mapping[str, str], client: Sequence[Any] | None, proxies: Proxies) -> str | None:
    """The client's address: the peer's, or the right-most that a proxy on the list saw and that is none of theirs.

    The family of headers that tells scheme and host tells this, too. Where none does, proxies set the one list of
    addresses or the other, and let the one that they do not set through: two that differ tell nothing.
    """
    peer = str(client[0]) if client else None
    if not proxies or not proxies.trusts_peer(client):
        return peer
    listed = _outermost(_entries(headers.get("x-forwarded-for", "")), proxies)
    if _speaks_x(headers) or "forwarded" not in headers:
        return listed or peer
    try:
        told = _outermost([each.get("for", "") for each in _elements(headers["forwarded"])], proxies)
    except BadHost:
        return peer
    return told or peer if listed in (None, told) else peer


def _outermost(nodes: Sequence[str], proxies: Proxies) -> str | None:
    """The right-most node that is none of the proxies', or the last before one that is not told; None: none is."""
    found = None
    for node in reversed(nodes):
        if not node:
            break
        found = _without_port(node)
        if not proxies.trusts(found):
            break
    return found


def _speaks_x(headers: Mapping[str, str]) -> bool:
    return "x-forwarded-proto" in headers or "x-forwarded-host" in headers


def _told(headers: Mapping[str, str], proxies: Proxies) -> tuple[str | None, str | None]:
    """What the proxies say of the client's scheme and host.

    One family of headers is read and never both: most proxies that set the one let the other through from the client.
    """
    if not _speaks_x(headers):
        return _forwarded(headers.get("forwarded", ""), proxies)
    scheme, host = headers.get("x-forwarded-proto"), headers.get("x-forwarded-host")
    clients = _entries(headers.get("x-forwarded-for", ""))
    return _counting(scheme, clients, proxies), _counting(host, clients, proxies)


def _counting(text: str | None, clients: Sequence[str], proxies: Proxies) -> str | None:
    """The entry of an X-Forwarded list that counts.

    The proxies' addresses are in another list, X-Forwarded-For. Only where both are of one length do their entries
    belong together; else there is no more to go by than who made the last entry, which is the peer.
    """
    if text is None:
        return None
    entries = _entries(text)
    at = len(entries) - 1
    if len(entries) == len(clients):
        while at > 0 and proxies.trusts(clients[at]):
            at -= 1
    return entries[at]


def _entries(text: str) -> list[str]:
    return [entry.strip() for entry in text.rsplit(",", _MAX_ENTRIES)]


def _forwarded(text: str, proxies: Proxies) -> tuple[str | None, str | None]:
    """`proto` and `host` of the Forwarded element that counts, or of the next to the right that has them."""
    scheme = host = None
    for element in reversed(_elements(text)):
        scheme, host = element.get("proto", scheme), element.get("host", host)
        if not proxies.trusts(element.get("for", "")):
            break
    return scheme, host


def _elements(text: str) -> list[dict[str, str]]:
    """The elements of a Forwarded header (RFC 7239, 4). Raises BadHost."""
    elements: list[dict[str, str]] = [{}]
    at = 0
    while at < len(text):
        found = _PARAMETER.match(text, at)
        if found is None or (found[1] or "").lower() in elements[-1]:
            raise BadHost("The Forwarded header cannot be read.")
        name, value, end = found.groups()
        if name is not None:
            elements[-1][name.lower()] = re.sub(r"\\(.)", r"\1", value[1:-1]) if value[0] == '"' else value
        if end == ",":
            elements.append({})
        at = found.end()
    return elements


def _without_port(node: str) -> str:
    """The address of a node, which may have a port behind it and brackets around it (RFC 7239, 6)."""
    if node.startswith("["):
        return node[1:].partition("]")[0]
    return node.partition(":")[0] if node.count(":") == 1 else node
