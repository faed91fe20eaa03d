"""Who may be notified: the operator's list, and the addresses that a name may lead to."""

from __future__ import annotations

from typing import Final

import pytest

from adjoin.service.errors import NotSubscribed
from adjoin.service.receivers import Allowed, BadReceiver, Receiver

ALLOWED: Final = Allowed.parse(
    ("hooks.example.com", "other.example:8443", "*.inner.example", "http://localhost:5000", "[::1]:9443", "10.1.2.3")
)


@pytest.mark.parametrize(
    ("url", "host", "port"),
    [
        ("https://hooks.example.com/a?b=c", "hooks.example.com", 443),
        ("https://HOOKS.example.com:8000/", "hooks.example.com", 8000),
        ("https://other.example:8443/", "other.example", 8443),
        ("https://a.b.inner.example/", "a.b.inner.example", 443),
        ("http://localhost:5000/x", "localhost", 5000),
        ("https://[::1]:9443/", "::1", 9443),
        ("https://10.1.2.3/", "10.1.2.3", 443),
    ],
)
def test_what_is_listed_is_taken(url: str, host: str, port: int) -> None:
    assert ALLOWED.receiver(url) == Receiver(url.partition(":")[0], host, port)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "hooks.example.com",
        "/x",
        "ftp://hooks.example.com/",
        "file:///etc/passwd",
        "gopher://hooks.example.com/",
        "http://hooks.example.com/",
        "https://evil.example/",
        "https://inner.example/",
        "https://notinner.example/",
        "https://hooks.example.com.evil.example/",
        "https://other.example/",
        "https://localhost:5000/",
        "http://localhost/",
        "https://hooks.example.com@evil.example/",
        "https://user:password@hooks.example.com/",
        "https://evil.example\\@hooks.example.com/",
        "https://hooks.example.com#@evil.example/",
        "https://hooks.example.com/#fragment",
        "https://hooks.example.com:99999/",
        "https://hooks.example.com:x/",
        "https://hooks.example.com /",
        "https://hooks.example.com/\r\nHost: evil",
        "https://hooks.example.com/\t",
        "https://h\u00f6oks.example.com/",
        "https://a..inner.example/",
        "https://.inner.example/",
        f"https://{'a' * 64}.inner.example/",
        f"https://{'a.' * 121}inner.example/",
        "https:///x",
        "https://hooks.example.com/" + "x" * 2_048,
    ],
)
def test_anything_else_is_refused(url: str) -> None:
    with pytest.raises(NotSubscribed):
        ALLOWED.receiver(url)


def test_without_a_list_nobody_is_notified() -> None:
    with pytest.raises(NotSubscribed, match="--webhook-allow"):
        Allowed().receiver("https://hooks.example.com/")


@pytest.mark.parametrize("url", ["https://hooks.example.com:444/", "http://hooks.example.com:81/"])
def test_a_host_that_is_allowed_on_another_port_is_told_so(url: str) -> None:
    allowed = Allowed.parse(("hooks.example.com:443", "http://hooks.example.com:80"))
    with pytest.raises(NotSubscribed, match=r"may not be notified on port (444|81): .* allows another"):
        allowed.receiver(url)


PUBLIC: Final = ["93.184.216.34", "2606:2800:220:1:248:1893:25c8:1946", "64:ff9b::5db8:d822"]
PRIVATE: Final = [
    *("10.0.0.1", "172.16.0.1", "192.168.1.1", "127.0.0.1", "127.255.255.254", "::1", "fd00::1", "100.64.0.1"),
    *("::ffff:10.0.0.1", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "2002:0a00:0001::1", "192.0.2.1"),
    *("fec0::1", "3fff::1", "192.88.99.1"),
]
NEVER: Final = [
    *("169.254.169.254", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "fe80::1", "fe80::1%eth0", "0.0.0.0", "::"),
    *("224.0.0.1", "ff02::1", "255.255.255.255", "240.0.0.1"),
]


@pytest.mark.parametrize("address", PUBLIC)
def test_any_allowed_host_may_be_at_a_public_address(address: str) -> None:
    assert Allowed.parse(("*",)).address("anything.example", 443, address)
    assert ALLOWED.address("hooks.example.com", 443, address)


@pytest.mark.parametrize("address", PRIVATE)
def test_only_a_named_host_may_be_at_an_inner_address(address: str) -> None:
    assert not Allowed.parse(("*",)).address("anything.example", 443, address)
    assert ALLOWED.address("hooks.example.com", 443, address)
    assert ALLOWED.address("a.inner.example", 443, address)
    assert not ALLOWED.address("other.example", 443, address)


@pytest.mark.parametrize("address", NEVER)
def test_no_host_is_at_an_address_of_no_single_machine(address: str) -> None:
    """Among them that of the metadata services of clouds."""
    assert not Allowed.parse(("*",)).address("anything.example", 443, address)
    assert not ALLOWED.address("hooks.example.com", 443, address)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "https://",
        "host:0",
        "host:65536",
        "host:x",
        "host/path",
        "a b",
        "*.",
        "ho*st",
        "http://*",
        "[::1",
        "ftp://x",
    ],
)
def test_an_entry_that_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(BadReceiver, match="--webhook-allow"):
        Allowed.parse((text,))
