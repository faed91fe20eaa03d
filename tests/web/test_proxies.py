"""Whose word counts on the URL that a client used: proxies on the list, and nobody else."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adjoin.config import BadConfig, Config, load
from adjoin.web.errors import BadHost
from adjoin.web.proxies import Proxies, address_of, origin_of

HOST: Final = "inner.example:8365"
OWN: Final = f"http://{HOST}"
PROXY: Final = ("10.0.0.1", 40_000)
LISTED: Final = Proxies((ip_network("10.0.0.0/8"), ip_network("2001:db8:1::/48")))
NONE: Final = Proxies()

XFP, XFH, XFF = "x-forwarded-proto", "x-forwarded-host", "x-forwarded-for"


def origin(headers: dict[str, str], client: Any = PROXY, proxies: Proxies = LISTED) -> str:
    return origin_of({"host": HOST, **headers}, "http", client, None, proxies)


class TestPeers:
    @pytest.mark.parametrize(
        "client",
        [("10.0.0.1", 1), ("10.255.255.255", 1), ("::ffff:10.0.0.1", 1), ("2001:db8:1::9", 1), ["10.0.0.1", "1"]],
    )
    def test_on_the_list_are_believed(self, client: Any) -> None:
        assert origin({XFP: "https", XFH: "outer.example"}, client) == "https://outer.example"
        assert origin({"forwarded": "proto=https;host=outer.example"}, client) == "https://outer.example"

    @pytest.mark.parametrize(
        "client",
        [("11.0.0.1", 1), ("127.0.0.1", 1), ("::1", 1), ("2001:db8:2::1", 1), ("", 0), ("10.0.0.1.example", 1), None],
    )
    def test_off_the_list_are_not(self, client: Any) -> None:
        assert origin({XFP: "https", XFH: "outer.example"}, client) == OWN
        assert origin({"forwarded": "proto=https;host=outer.example"}, client) == OWN

    @pytest.mark.parametrize("text", ["nonsense;;=", 'host="', "a b", "\0"])
    def test_off_the_list_are_not_even_read(self, text: str) -> None:
        assert origin({"forwarded": text, XFP: text, XFH: text}, proxies=NONE) == OWN

    def test_over_a_unix_socket_are_of_this_machine(self) -> None:
        assert origin({XFP: "https"}, None, Proxies(local=True)) == f"https://{HOST}"
        assert origin({XFP: "https"}, ("127.0.0.1", 1), Proxies(local=True)) == OWN

    @given(st.text())
    def test_of_any_name_are_judged(self, node: str) -> None:
        assert LISTED.trusts(node) in (False, True)


class TestSeveral:
    """Each adds its entry on the right. `1.1.1.1` is the client, `10.…` are ours, `6.6.6.6` is nobody's."""

    @pytest.mark.parametrize(
        ("proto", "host", "nodes", "expected"),
        [
            ("https", "a.example", "1.1.1.1", "https://a.example"),
            ("http, https", "forged.example, a.example", "6.6.6.6, 1.1.1.1", "https://a.example"),
            ("https, http", "a.example, b.example", "1.1.1.1, 10.0.0.2", "https://a.example"),
            (
                "https, http, http",
                "a.example, b.example, c.example",
                "1.1.1.1, 10.0.0.2, 10.0.0.3",
                "https://a.example",
            ),
            ("http,https,http", "f.example,a.example,b.example", "6.6.6.6,1.1.1.1,10.0.0.2", "https://a.example"),
            # A forged address of ours buys nothing: the right-most entry that isn't ours ends the walk.
            ("http,https,http", "f.example,a.example,b.example", "10.6.6.6,1.1.1.1,10.0.0.2", "https://a.example"),
            # All are ours: a call from within.
            ("https, http", "a.example, b.example", "10.0.0.9, 10.0.0.2", "https://a.example"),
        ],
    )
    def test_the_right_most_that_is_not_ours_counts(self, proto: str, host: str, nodes: str, expected: str) -> None:
        assert origin({XFP: proto, XFH: host, XFF: nodes}) == expected
        pairs = zip(nodes.split(","), proto.split(","), host.split(","), strict=True)
        elements = [f"for={node.strip()};proto={scheme.strip()};host={name.strip()}" for node, scheme, name in pairs]
        assert origin({"forwarded": ", ".join(elements)}) == expected

    @pytest.mark.parametrize(
        ("headers", "expected"),
        [
            ({XFP: "https", XFF: "1.1.1.1, 10.0.0.2"}, f"https://{HOST}"),
            ({XFP: "http, https", XFF: "1.1.1.1"}, f"https://{HOST}"),
            ({XFP: "http, https"}, f"https://{HOST}"),
            ({XFH: "forged.example, a.example", XFF: "6.6.6.6, 1.1.1.1, 10.0.0.2"}, "http://a.example"),
        ],
    )
    def test_lists_of_different_lengths_tell_by_the_last_entry(self, headers: dict[str, str], expected: str) -> None:
        assert origin(headers) == expected

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("for=1.1.1.1;proto=https, for=10.0.0.2;host=b.example", "https://b.example"),
            ("for=1.1.1.1;proto=https;host=a.example, for=10.0.0.2", "https://a.example"),
            ("for=10.0.0.2;proto=https;host=a.example, for=_hidden", OWN),
            ("for=10.0.0.2;proto=https, for=unknown;proto=http;host=b.example", "http://b.example"),
            ("proto=https;host=a.example, proto=http", OWN),
        ],
    )
    def test_what_an_element_leaves_out_is_the_next_ones(self, text: str, expected: str) -> None:
        assert origin({"forwarded": text}) == expected


class TestAddresses:
    """`1.1.1.1` is the client, `10.…` are ours, `6.6.6.6` is what a client makes up."""

    @pytest.mark.parametrize(
        ("headers", "expected"),
        [
            ({}, "10.0.0.1"),
            ({XFF: "1.1.1.1"}, "1.1.1.1"),
            ({XFF: "6.6.6.6, 1.1.1.1"}, "1.1.1.1"),
            ({XFF: "6.6.6.6, 1.1.1.1:4711, 10.0.0.2"}, "1.1.1.1"),
            ({XFF: "10.0.0.9, 10.0.0.2"}, "10.0.0.9"),
            ({XFF: "1.1.1.1, , 10.0.0.2"}, "10.0.0.2"),
            ({XFF: ""}, "10.0.0.1"),
            ({"forwarded": "for=1.1.1.1;proto=https"}, "1.1.1.1"),
            ({"forwarded": "for=6.6.6.6, for=1.1.1.1;proto=https, for=10.0.0.2"}, "1.1.1.1"),
            ({"forwarded": 'for="[2001:db8::17]:4711"'}, "2001:db8::17"),
            ({"forwarded": "for=6.6.6.6, proto=https"}, "10.0.0.1"),
            ({"forwarded": "for=6.6.6.6, proto=https, for=10.0.0.2"}, "10.0.0.2"),
            ({"forwarded": "for=_hidden"}, "_hidden"),
            ({"forwarded": ""}, "10.0.0.1"),
        ],
    )
    def test_are_the_right_most_that_is_not_ours(self, headers: dict[str, str], expected: str) -> None:
        assert address_of(headers, PROXY, LISTED) == expected

    @pytest.mark.parametrize("told", [{XFP: "https"}, {XFH: "a.example"}])
    def test_come_from_the_family_that_tells_scheme_and_host(self, told: dict[str, str]) -> None:
        assert address_of({**told, XFF: "1.1.1.1", "forwarded": "for=6.6.6.6"}, PROXY, LISTED) == "1.1.1.1"
        assert address_of({**told, "forwarded": "for=6.6.6.6"}, PROXY, LISTED) == "10.0.0.1"

    def test_that_differ_between_the_families_are_none(self) -> None:
        """One of them came from the client, and nothing tells which."""
        assert address_of({XFF: "6.6.6.6", "forwarded": "for=1.1.1.1"}, PROXY, LISTED) == "10.0.0.1"
        assert address_of({XFF: "1.1.1.1", "forwarded": "for=1.1.1.1"}, PROXY, LISTED) == "1.1.1.1"

    def test_in_a_header_that_cannot_be_read_are_none(self) -> None:
        assert address_of({"forwarded": 'for="'}, PROXY, LISTED) == "10.0.0.1"

    @pytest.mark.parametrize("client", [("127.0.0.1", 1), ("6.6.6.6", 1)])
    def test_of_proxies_off_the_list_are_not_believed(self, client: Any) -> None:
        told = {XFF: "1.1.1.1", "forwarded": "for=1.1.1.1"}
        assert address_of(told, client, LISTED) == client[0]
        assert address_of(told, client, NONE) == client[0]


class TestForwarded:
    @pytest.mark.parametrize(
        "text",
        [
            "proto=https;host=a.example",
            "Proto=HTTPS;HOST=a.example",
            'proto="https";host="a.example"',
            r'host="a\.exampl\e" ; proto=https',
            'for="[2001:db8::17]:4711";by=10.0.0.1;proto=https;host=a.example;secret="a,b;c=\\"d"',
            ";proto=https;;host=a.example;",
            ", ,proto=https;host=a.example",
            "\tproto=https\t;\thost=a.example\t",
        ],
    )
    def test_forms(self, text: str) -> None:
        assert origin({"forwarded": text}) == "https://a.example"

    @pytest.mark.parametrize(
        "text",
        ['host="', "host", "host=", "=a", "host=a b", "host=a;host=b", "a=b c=d", 'host="a"b', "host=a:1", "{}=1"],
    )
    def test_what_is_none_is_refused(self, text: str) -> None:
        with pytest.raises(BadHost):
            origin({"forwarded": text})

    @pytest.mark.parametrize("node", ["10.0.0.2", '"10.0.0.2:80"', '"[2001:db8:1::1]"', '"[2001:db8:1::1]:80"'])
    def test_nodes_of_ours(self, node: str) -> None:
        assert origin({"forwarded": f"for=1.1.1.1;proto=https, for={node}"}) == f"https://{HOST}"

    def test_one_family_is_read_and_never_both(self) -> None:
        """A proxy that sets the one may let the other through from the client."""
        forged = "proto=https;host=forged.example"
        assert origin({"forwarded": forged, XFP: "https"}) == f"https://{HOST}"
        assert origin({"forwarded": forged, XFH: "a.example"}) == "http://a.example"
        assert origin({"forwarded": forged, XFF: "1.1.1.1"}) == "https://forged.example"

    @given(st.text(alphabet='abfor=;,"\\ \t10.[]:', max_size=60))
    def test_any_text_is_read_or_refused(self, text: str) -> None:
        try:
            found = origin({"forwarded": text})
        except BadHost:
            return
        assert found.startswith("http://")

    def test_long_texts_take_no_long_time(self) -> None:
        for text in ('host="' + "\\a" * 30_000, "a=b;" * 15_000, "," * 60_000, "a" * 60_000):
            with pytest.raises(BadHost):
                origin({"forwarded": f"{text}\0"})


@pytest.mark.parametrize(
    "headers", [{XFP: "javascript"}, {XFP: ""}, {XFH: "a b"}, {XFH: ""}, {XFH: "user@a.example"}, {XFH: "a.example/x"}]
)
def test_what_is_no_scheme_or_host_is_refused(headers: dict[str, str]) -> None:
    with pytest.raises(BadHost):
        origin(headers)


def test_a_public_url_is_above_all() -> None:
    told = {"host": HOST, XFP: "http", XFH: "a.example"}
    assert origin_of(told, "http", PROXY, "https://public.example/", LISTED) == "https://public.example"


class TestSettings:
    def test_behind_proxy_alone_means_this_machine(self) -> None:
        assert [str(each) for each in Config(behind_proxy=True).trusted_networks] == ["127.0.0.0/8", "::1/128"]
        assert Config().trusted_networks == ()

    def test_a_list_stands_in_for_it(self) -> None:
        found = load({"behind_proxy": True}, {"ADJOIN_TRUSTED_PROXIES": "10.0.0.0/8 192.0.2.7"}, None)
        assert [str(each) for each in found.trusted_networks] == ["10.0.0.0/8", "192.0.2.7/32"]

    @pytest.mark.parametrize("text", ["10.0.0.0/33", "proxy.example", "10.0.0.1/8", "", "0.0.0.0/0", "::/0"])
    def test_what_is_no_list_is_refused(self, text: str) -> None:
        with pytest.raises(BadConfig, match="--trusted-proxy"):
            load({"trusted_proxies": (text,)}, {}, None)

    def test_plain_http_beyond_this_machine_needs_a_list(self) -> None:
        with pytest.raises(BadConfig, match="--trusted-proxy"):
            load({"host": "0.0.0.0", "behind_proxy": True}, {}, None)
        assert load({"host": "0.0.0.0", "trusted_proxies": ("10.0.0.0/8",)}, {}, None).scheme == "http"
        assert load({"host": "0.0.0.0", "tls": True}, {}, None).scheme == "https"
