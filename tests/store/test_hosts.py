"""What keeps from a PostgreSQL server, said so that it can be mended, and without a password."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from adjoin.store.database import Unavailable
from adjoin.store.link import connect


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home without certificates, and an environment that says nothing of them."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for each in ("PGSSLROOTCERT", "PGSSLCRL", "PGSSLCERT", "PGSSLKEY", "PGSSLMODE", "PGTARGETSESSIONATTRS"):
        monkeypatch.delenv(each, raising=False)
    return tmp_path


def said(url: str) -> str:
    """Why a connection is not had, after the URL."""
    with pytest.raises(Unavailable) as refused:
        asyncio.run(connect(url))
    assert refused.value.message.count("\n") == 0
    assert "cret" not in refused.value.message
    return refused.value.message.partition(" cannot be reached: ")[2]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("sslmode=verify-full", 'root certificate file "{home}/.postgresql/root.crt" does not exist'),
        ("sslmode=nonsense", "`sslmode` parameter must be one of: disable, allow"),
        ("target_session_attrs=nonsense", "target_session_attrs is expected to be one of"),
        ("sslmode=verify-full&sslrootcert=/nosuch.pem", "[Errno 2] No such file or directory: '/nosuch.pem'."),
        (
            "sslmode=require&sslcert=/nosuch.crt&sslpassword=secret",
            "[Errno 2] No such file or directory: '/nosuch.crt'.",
        ),
    ],
)
def test_what_is_wrong_with_its_settings(home: Path, options: str, words: str) -> None:
    assert said(f"postgresql://user:secret@127.0.0.1:1/d?{options}").startswith(words.format(home=home))


def test_a_file_that_the_environment_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGSSLROOTCERT", "/nosuch.pem")
    assert said("postgresql://user@127.0.0.1:1/d?sslmode=verify-ca").endswith("'/nosuch.pem'.")


def test_a_socket_that_is_not_there_is_no_file_of_certificates(home: Path) -> None:
    (home / "root.pem").touch()
    assert (
        said(f"postgresql://user@/d?host={home}&sslrootcert={home}/root.pem") == "[Errno 2] No such file or directory."
    )


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://user:secret@127.0.0.1:99999/d",
        "postgresql:///d?port=x",
        "postgresql://user@127.0.0.1/d?nothing",
        "postgresql://[user:secret@h/d?sslmode=nonsense",
    ],
)
def test_of_a_url_that_cannot_be_read_nothing_is_repeated(url: str) -> None:
    assert said(url) == "its URL cannot be read."


def test_a_certificate_that_is_not_trusted_is_not_the_urls_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    async def refused(*_: object, **__: Any) -> None:
        raise ssl.SSLCertVerificationError(1, "certificate verify failed: self-signed certificate")

    monkeypatch.setattr(asyncpg, "connect", refused)
    assert "self-signed certificate" in said("postgresql://user:secret@h/d?sslmode=verify-full")
