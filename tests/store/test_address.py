"""URLs of PostgreSQL databases: told from files, and never printed with what is secret in them."""

from __future__ import annotations

import pytest

from adjoin.store.address import files_in, is_postgresql, is_readable, shown


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("postgresql://h/d", True),
        ("postgres://h/d", True),
        ("postgresql", False),
        ("adjoin.db", False),
        ("sqlite:///adjoin.db", False),
        ("mysql://h/d", False),
        ("postgresql:/h/d", False),
    ],
)
def test_is_told_from_files_and_other_urls(text: str, is_one: bool) -> None:
    assert is_postgresql(text) is is_one


@pytest.mark.parametrize(
    ("url", "printed"),
    [
        ("postgresql://user:secret@h:5432/d", "postgresql://user@h:5432/d"),
        ("postgresql://user:secret@h1:1,h2:2/d?target_session_attrs=any", None),
        ("postgres://user:secret%40x@[::1]:5432/d", "postgres://user@[::1]:5432/d"),
        ("postgresql://h/d?password=secret&sslmode=require", "postgresql://h/d?sslmode=require"),
        ("postgresql://h/d?sslPassword=secret", "postgresql://h/d"),
        ("postgresql://h/d?p%61ssword=secret&sslmode=require", "postgresql://h/d?sslmode=require"),
        ("postgresql://user@/d?host=/run/postgresql", "postgresql://user@/d?host=/run/postgresql"),
        ("postgresql:///d", "postgresql:///d"),
    ],
)
def test_is_printed_without_a_password(url: str, printed: str | None) -> None:
    assert is_readable(url)
    assert shown(url) == (printed or url.replace(":secret", ""))


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://user:se/cret@h/d",
        "postgresql://user:se@cret@h/d",
        "postgresql://user:se#cret@h/d",
        "postgresql://user:se?cret@h/d",
        "postgresql://user:se:cret/d",
        "postgresql://[user:secret@h/d",
    ],
)
def test_whose_parts_cannot_be_told_apart_is_not_printed_at_all(url: str) -> None:
    assert not is_readable(url)
    assert "cret" not in shown(url)


def test_the_files_that_it_names(monkeypatch: pytest.MonkeyPatch) -> None:
    for each in ("PGSSLROOTCERT", "PGSSLCRL", "PGSSLCERT", "PGSSLKEY"):
        monkeypatch.delenv(each, raising=False)
    assert files_in("postgresql://user@h/d?sslmode=verify-full") == []
    assert files_in("postgresql://user:se?cret@h/d?sslkey=k") == []
    monkeypatch.setenv("PGSSLCRL", "/crl")
    assert files_in("postgresql://user@h/d?sslkey=k%20y&sslrootcert=%2Froot") == ["/root", "/crl", "k y"]
