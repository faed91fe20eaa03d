"""URLs of databases on PostgreSQL servers: told from file names, and printed without what is secret in them."""

from __future__ import annotations

import os
import re
from typing import Final
from urllib.parse import parse_qsl, unquote_plus, urlsplit

_SCHEMES: Final = ("postgresql", "postgres")
# One host or several, each with a port or without; none for a socket.
_HOST: Final = r"([A-Za-z0-9._~%-]*|\[[0-9A-Fa-f:.]+\])(:\d{1,5})?"
_HOSTS: Final = re.compile(rf"{_HOST}(,{_HOST})*")

_FILES: Final = ("sslrootcert", "sslcrl", "sslcert", "sslkey")


def is_postgresql(database: str) -> bool:
    """Whether this is the URL of a PostgreSQL database, and not a file or another's URL."""
    scheme, mark, _ = database.partition("://")
    return bool(mark) and scheme in _SCHEMES


def is_readable(url: str) -> bool:
    """Whether the parts of the URL can be told apart: a password with a / or @ in it would make others of them."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    user, _, hosts = parts.netloc.rpartition("@")
    return "@" not in user + parts.path + parts.fragment and bool(_HOSTS.fullmatch(hosts)) and not parts.fragment


def shown(url: str) -> str:
    """The URL as it may be printed: without a password."""
    if not is_readable(url):
        return f"{url.partition('://')[0]}://…"
    parts = urlsplit(url)
    user, at, hosts = parts.netloc.rpartition("@")
    options = "&".join(
        each for each in parts.query.split("&") if "password" not in unquote_plus(each.partition("=")[0]).lower()
    )
    return f"{parts.scheme}://{user.partition(':')[0]}{at}{hosts}{parts.path}{'?' if options else ''}{options}"


def files_in(url: str) -> list[str]:
    """The files that the URL names, or the environment does where the URL does not."""
    options = dict(parse_qsl(urlsplit(url).query)) if is_readable(url) else {}
    named = (options.get(each) or os.environ.get(f"PG{each.upper()}") for each in _FILES)
    return [each for each in named if each]
