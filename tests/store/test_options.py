"""What the URL of a PostgreSQL database says of the way there."""

from __future__ import annotations

import ssl

import pytest

from adjoin.store.options import HOST_SECONDS, Unsupported, way_of


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """One that says nothing of databases."""
    for each in ("PGHOST", "PGPORT", "PGSERVICE", "PGSSLROOTCERT", "PGTARGETSESSIONATTRS"):
        monkeypatch.delenv(each, raising=False)
    return monkeypatch


@pytest.mark.parametrize(
    ("url", "addresses"),
    [
        ("postgresql://user@db1/d", [("db1", 5432)]),
        ("postgresql://user@db1,db2:6432/d", [("db1", 5432), ("db2", 6432)]),
        ("postgresql://user@db1,db2:6432/d?port=7000", [("db1", 5432), ("db2", 6432)]),
        ("postgresql://user@[::1]:6432,[fe80::1]/d", [("::1", 6432), ("fe80::1", 5432)]),
        ("postgresql://user@%2Frun%2Fone,db2/d", [("/run/one", 5432), ("db2", 5432)]),
        ("postgresql://user@/d?host=db1,/run/two&port=1,2", [("db1", 1), ("/run/two", 2)]),
        ("postgresql://user@/d?host=db1:9,db2&port=6432", [("db1", 6432), ("db2", 6432)]),
        ("postgresql://user@/d?host=db1:9,db2", [("db1", 9), ("db2", 5432)]),
        ("postgresql://user@db1/d?host=db2", [("db1", 5432)]),
        ("postgresql:///d", [None]),
        ("postgresql:///d?service=adjoin", [None]),
    ],
)
def test_its_hosts_are_those_that_the_driver_would_find(url: str, addresses: list[object]) -> None:
    assert [*way_of(url).addresses] == addresses


def test_the_environment_says_what_the_url_does_not(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("PGHOST", "db1,db2:9")
    environment.setenv("PGPORT", "1,2")
    assert way_of("postgresql:///d").addresses == (("db1", 1), ("db2", 9))
    assert way_of("postgresql://db3,db4/d").addresses == (("db3", 1), ("db4", 2))
    assert way_of("postgresql:///d?service=adjoin").addresses == (None,)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://user@db1,,db2/d",
        "postgresql://user@/d?host=db1,db2,db3&port=1,2",
        "postgresql://user@/d?host=db1&port=x",
        "postgresql://user@/d?host=[::1",
    ],
)
def test_hosts_that_cannot_be_read_are_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"host|ports|invalid literal"):
        way_of(url)


def test_a_standby_that_is_preferred_is_looked_for_before_any_other(environment: pytest.MonkeyPatch) -> None:
    assert way_of("postgresql://db1/d?target_session_attrs=prefer-standby").wanted == ("standby", "any")
    assert way_of("postgresql://db1/d?target_session_attrs=read-write").wanted == (None,)
    environment.setenv("PGTARGETSESSIONATTRS", "prefer-standby")
    assert way_of("postgresql://db1/d").wanted == ("standby", "any")


class TestOptionsOfLibpq:
    def test_a_limit_is_that_of_each_host(self) -> None:
        assert way_of("postgresql://db1/d?connect_timeout=7").seconds == 7
        assert way_of("postgresql://db1/d?connect_timeout=0").seconds == HOST_SECONDS
        assert way_of("postgresql://db1/d", 2.5).seconds == 2.5
        with pytest.raises(Unsupported, match="connect_timeout"):
            way_of("postgresql://db1/d?connect_timeout=soon")

    def test_what_is_a_wish_or_done_in_any_case_is_dropped(self) -> None:
        dropped = "keepalives=1&keepalives_idle=9&gssencmode=prefer&channel_binding=prefer&load_balance_hosts=random"
        url = f"postgresql://user:secret@db1/d?sslmode=require&{dropped}&search_path=a%2Cb"
        assert way_of(url).url == "postgresql://user:secret@db1/d?sslmode=require&search_path=a%2Cb"
        assert way_of("postgresql://db1/d?connect_timeout=7").url == "postgresql://db1/d"

    @pytest.mark.parametrize(
        ("option", "words"),
        [
            ("channel_binding=require", "channel_binding of its URL is not supported other than as disable or prefer"),
            ("gssencmode=require", "gssencmode of its URL is not supported other than as disable or prefer"),
            ("hostaddr=10.0.0.1", "hostaddr of its URL is not supported"),
            ("require_auth=secret", "require_auth of its URL is not supported"),
        ],
    )
    def test_a_promise_that_nobody_would_keep_is_refused_by_name(self, option: str, words: str) -> None:
        with pytest.raises(Unsupported) as refused:
            way_of(f"postgresql://db1/d?{option}")
        assert str(refused.value) == f"the option {words}"

    def test_the_systems_cas_vouch_for_the_servers_name(self, environment: pytest.MonkeyPatch) -> None:
        assert way_of("postgresql://db1/d?sslmode=verify-full&sslrootcert=/some.pem").tls is None
        environment.setenv("PGSSLROOTCERT", "system")
        for url in ("postgresql://db1/d", "postgresql://db1/d?sslmode=verify-full&sslrootcert=system"):
            context = way_of(url).tls
            assert context is not None
            assert context.check_hostname
            assert context.verify_mode is ssl.CERT_REQUIRED
