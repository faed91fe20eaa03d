"""Redirect URIs: which can be registered, and which of a request is one of those."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final
from urllib.parse import SplitResult, urlsplit

_LONGEST: Final = 1_024
_LOOPBACK: Final = ("localhost", "127.0.0.1", "::1")
# RFC 3986's characters alone: what else browsers read into a URI, no two of them read alike.
_PLAIN: Final = re.compile(r"[A-Za-z0-9._~:/?\[\]@!$&'()*+,;=%-]+")
_HOST: Final = re.compile(r"[A-Za-z0-9.-]+|[0-9A-Fa-f:.]+")
# A scheme of an application's own has a dot, as RFC 8252 section 7.1 asks, or is one of MSAL's.
_OWN_SCHEME: Final = re.compile(r"[a-z][a-z0-9+-]*(?:\.[a-z0-9+-]+)+|msal[a-z0-9-]+|msauth")


def fault(uri: str) -> str | None:
    """Why a redirect URI cannot be registered; None: it can."""
    if len(uri) > _LONGEST or not _PLAIN.fullmatch(uri):
        return f"it is longer than {_LONGEST} characters, or has one that a redirect URI cannot have"
    parts = _split(uri)
    if parts is None or not parts.scheme:
        return "it is not an absolute URI"
    if _OWN_SCHEME.fullmatch(parts.scheme):
        return None
    if parts.scheme not in ("https", "http"):
        return "its scheme is neither https nor, with a dot in it, an application's own"
    if parts.hostname is None or not _HOST.fullmatch(parts.hostname) or "@" in parts.netloc:
        return "it names no host, or more than a host"
    if parts.scheme == "http" and not _is_loopback(parts):
        return "plain http is for loopback alone: use https"
    return None


def matches(uri: str, registered: Iterable[str], public: bool) -> bool:
    """Whether a request's redirect URI is a registered one: to the character.

    The port of a public client's loopback address is free: such a client takes what it gets (RFC 8252, 7.3).
    """
    if uri in registered:
        return True
    given = _split(uri) if public and _PLAIN.fullmatch(uri) and fault(uri) is None else None
    if given is None or not _is_loopback(given):
        return False
    return any(_without_port(uri) == _without_port(each) for each in registered if each.startswith("http://"))


def source(uri: str) -> str:
    """Where a redirect URI leads, as a Content-Security-Policy names it."""
    parts = urlsplit(uri)
    if parts.scheme not in ("http", "https") or parts.netloc.startswith("["):
        return f"{parts.scheme}:"  # CSP knows no IPv6 addresses (Content Security Policy Level 3, 2.3.1)
    return f"{parts.scheme}://{parts.netloc}"


def _without_port(uri: str) -> tuple[str, str | None, str, str]:
    parts = urlsplit(uri)
    return parts.scheme, parts.hostname, parts.path or "/", parts.query


def _is_loopback(parts: SplitResult) -> bool:
    return parts.scheme == "http" and parts.hostname in _LOOPBACK and "@" not in parts.netloc


def _split(uri: str) -> SplitResult | None:
    try:
        parts = urlsplit(uri)
        _ = parts.port  # read here, since a bad one is found only when it is read
    except ValueError:
        return None
    return parts
