"""The hosts that the operator named as this service's own.

Whoever sends a request writes its Host header. So what that says serves for links, which go back to the same client,
and proves nothing: what a client proves itself by elsewhere would be good here for whoever passes it on in that name.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from adjoin.config import Config, is_loopback


@dataclass(frozen=True, slots=True)
class OwnHosts:
    """Names and addresses in small letters (`*.` in front stands for one label, as in certificates), and `loopback`."""

    names: frozenset[str] = frozenset()
    loopback: bool = False

    def hold(self, origin: str) -> bool:
        """Whether a URL is on one of them; by any port, since what maps ports stands between often enough."""
        host = urlsplit(origin).hostname or ""
        beside = f"*.{host.partition('.')[2]}"
        return (self.loopback and is_loopback(host)) or not self.names.isdisjoint((host, beside))


def own_hosts(config: Config, machine: str) -> OwnHosts:
    """Those of a service with these settings; `machine` is this machine's host name."""
    named = [config.host, *([urlsplit(config.public_url).hostname or ""] if config.public_url else [])]
    if config.tls_cert is not None:
        named += _certified(config.tls_cert)
    elif config.tls:
        named += config.certificate_names(machine)
    return OwnHosts(frozenset(map(str.lower, named)), config.serves_loopback)


def _certified(chain: Path) -> list[str]:
    """The names that the operator's own certificate is good for; none where there is no certificate to read."""
    from cryptography import x509  # noqa: PLC0415 - not needed to serve plain http

    try:
        found = x509.load_pem_x509_certificate(chain.read_bytes()).extensions
        names = found.get_extension_for_class(x509.SubjectAlternativeName).value
    except (OSError, ValueError, x509.ExtensionNotFound):
        return []
    return [*names.get_values_for_type(x509.DNSName), *map(str, names.get_values_for_type(x509.IPAddress))]
