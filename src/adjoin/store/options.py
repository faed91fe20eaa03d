"""What the URL of a PostgreSQL database says of the way there: its hosts, and options that only libpq knows.

asyncpg reads the URL itself. But it gives all hosts one time together, takes options that it does not know for settings
of the server, and knows no CAs of the system's.
"""

from __future__ import annotations

import os
import re
import ssl
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl, unquote, urlsplit

Address = tuple[str, int]

HOST_SECONDS: Final = 5.0
"""How long each host has to answer, where the URL has no `connect_timeout`."""

_PORT: Final = "5432"
_HOST: Final = re.compile(r"\[(?P<v6>[^]]+)\](?::(?P<v6_port>\d+))?|(?P<name>[^:\[]+)(?::(?P<port>\d+))?")
# What libpq does by them is done here in any case, or only ever a wish.
_DROPPED: Final = frozenset(
    {
        "connect_timeout",
        "fallback_application_name",
        "keepalives",
        "keepalives_count",
        "keepalives_idle",
        "keepalives_interval",
        "load_balance_hosts",
        "max_protocol_version",
        "sslcompression",
        "tcp_user_timeout",
    }
)
# These are promises: what keeps them by itself may be asked for.
_ONLY: Final = {
    "channel_binding": ("disable", "prefer"),
    "client_encoding": ("UTF8", "utf8", "auto"),
    "gssdelegation": ("0",),
    "gssencmode": ("disable", "prefer"),
    "hostaddr": (),
    "min_protocol_version": ("3.0",),
    "oauth_client_id": (),
    "oauth_client_secret": (),
    "oauth_issuer": (),
    "oauth_scope": (),
    "replication": (),
    "require_auth": (),
    "requirepeer": (),
    "requiressl": ("0",),
    "scram_client_key": (),
    "scram_server_key": (),
    "sslcertmode": ("allow",),
    "sslcrldir": (),
    "sslkeylogfile": (),
    "sslsni": ("1",),
}
SYSTEM: Final = "system"
"""What stands for the CAs of the system, in place of the name of a file."""


class Unsupported(Exception):
    """An option that cannot be honoured; the words are the end of a sentence, and never its value."""


@dataclass(frozen=True, slots=True)
class Way:
    """How a database is reached."""

    url: str
    """Without the options that asyncpg does not know."""
    addresses: tuple[Address | None, ...] = (None,)
    """Where it may be; None: wherever asyncpg looks where nothing is said."""
    wanted: tuple[str | None, ...] = (None,)
    """Which kind of server, the best first; None: what the URL and the environment say."""
    seconds: float = HOST_SECONDS
    tls: ssl.SSLContext | None = None
    """How the server is to prove itself, where asyncpg cannot tell from the URL."""


def way_of(url: str, seconds: float = HOST_SECONDS) -> Way:
    """What a URL that can be read says; `seconds` are for a host where that does not say it.

    Raises Unsupported, ValueError, or OSError for a file that it names.
    """
    options = dict(parse_qsl(urlsplit(url).query, keep_blank_values=True))
    for name, value in options.items():
        if value not in (only := _ONLY.get(name, (value,))):
            besides = f" other than as {' or '.join(only)}" if only else ""
            raise Unsupported(f"the option {name} of its URL is not supported{besides}")
    kind = options.get("target_session_attrs") or os.environ.get("PGTARGETSESSIONATTRS")
    return Way(
        _without(url, {*_DROPPED, *_ONLY}),
        tuple(_addresses(url, options)) or (None,),
        ("standby", "any") if kind == "prefer-standby" else (None,),
        _limit(options.get("connect_timeout", "")) or seconds,
        _trusting_the_system(options) if _vouching(options) == SYSTEM else None,
    )


def _without(url: str, names: set[str]) -> str:
    rest, _, query = url.partition("?")
    kept = "&".join(each for each in query.split("&") if each.partition("=")[0] not in names)
    return f"{rest}?{kept}" if kept else rest


def _limit(text: str) -> float:
    if text and not text.isdecimal():
        raise Unsupported("the option connect_timeout of its URL has to be a number of seconds")
    return float(text or 0)


def _addresses(url: str, options: dict[str, str]) -> list[Address]:
    """The hosts that are named, with their ports, by the same rules as asyncpg's. A service's are left to it."""
    in_url = urlsplit(url).netloc.rpartition("@")[2]
    elsewhere = "" if options.get("service") or os.environ.get("PGSERVICE") else os.environ.get("PGHOST", "")
    named = in_url or options.get("host") or elsewhere
    if not named:
        return []
    hosts = named.split(",")
    stronger = "" if in_url else options.get("port", "")
    ports = (stronger or os.environ.get("PGPORT") or _PORT).split(",")
    if len(ports) not in (1, len(hosts)):
        raise ValueError("As many ports as hosts are needed, or one.")
    each = ports if len(ports) > 1 else ports * len(hosts)
    found = [_address(host, port, bool(stronger)) for host, port in zip(hosts, each, strict=True)]
    return [(unquote(host), port) for host, port in found] if in_url else found


def _address(host: str, port: str, stronger: bool) -> Address:
    """A host, with its own port unless the other is the stronger one."""
    if host.startswith("/"):
        return host, int(port)
    parts = _HOST.fullmatch(host)
    if parts is None:
        raise ValueError("A host cannot be read.")
    own = parts["v6_port"] or parts["port"]
    return parts["v6"] or parts["name"], int(port if stronger or not own else own)


def _vouching(options: dict[str, str]) -> str | None:
    return options.get("sslrootcert") or os.environ.get("PGSSLROOTCERT")


def _trusting_the_system(options: dict[str, str]) -> ssl.SSLContext:
    """As with libpq's `sslrootcert=system`: one of the system's CAs vouches for the server, by its name."""
    context = ssl.create_default_context()
    context.set_alpn_protocols(["postgresql"])
    if own := options.get("sslcert"):
        context.load_cert_chain(own, options.get("sslkey"), options.get("sslpassword", ""))
    return context
