"""The hosts that count as the service's own: those that the operator named, whatever requests say."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from adjoin.config import Config
from adjoin.identity.certificates import ensure
from adjoin.web.login.hosts import OwnHosts, own_hosts


@pytest.mark.parametrize(
    ("settings", "own", "others"),
    [
        ({}, ["http://localhost:8365", "http://127.0.0.1", "http://[::1]:1", "http://127.0.0.9"], ["http://machine"]),
        ({"public_url": "https://A.example"}, ["https://a.example", "https://a.example:8443"], ["https://b.a.example"]),
        ({"tls": True, "tls_names": ("b.example",)}, ["https://b.example", "https://MACHINE:8365"], ["https://b"]),
        ({"host": "192.0.2.1", "tls": True}, ["https://192.0.2.1:1", "https://localhost"], ["https://192.0.2.2"]),
        ({"host": "0.0.0.0", "trusted_proxies": ("10.0.0.0/8",)}, ["http://localhost"], ["http://machine"]),
        ({"host": "192.0.2.1", "trusted_proxies": ("10.0.0.0/8",)}, ["http://192.0.2.1"], ["http://localhost"]),
        ({"tls_names": ("b.example",)}, [], ["http://b.example"]),
    ],
)
def test_are_those_that_the_settings_name(settings: dict[str, Any], own: list[str], others: list[str]) -> None:
    hosts = own_hosts(Config(**settings), "machine")
    assert [each for each in [*own, *others] if hosts.hold(each)] == own
    assert not hosts.hold("https://evil.example")


def test_are_those_of_the_operators_certificate(tmp_path: Path) -> None:
    """With a certificate of the operator's own, what ours would have been good for does not count."""
    files = ensure(tmp_path / "tls", ("c.example", "*.d.example", "192.0.2.7"), datetime.now(UTC))
    hosts = own_hosts(Config(tls_cert=files.server, tls_key=files.server, tls_names=("b.example",)), "machine")
    own = ["https://c.example", "https://x.d.example:8443", "https://192.0.2.7"]
    others = ["https://d.example", "https://x.y.d.example", "https://b.example", "https://machine"]
    assert [each for each in [*own, *others] if hosts.hold(each)] == own


@pytest.mark.parametrize("content", [None, b"", b"-----BEGIN CERTIFICATE-----"])
def test_are_none_of_a_certificate_that_cannot_be_read(tmp_path: Path, content: bytes | None) -> None:
    """What is wrong with it is told where it is served."""
    file = tmp_path / "cert.pem"
    if content is not None:
        file.write_bytes(content)
    assert own_hosts(Config(host="192.0.2.1", tls_cert=file, tls_key=file), "").names == {"192.0.2.1"}


def test_are_none_at_first() -> None:
    assert not OwnHosts().hold("http://localhost")
