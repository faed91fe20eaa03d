"""What a scope asks for, in the spellings that clients have."""

from __future__ import annotations

import pytest

from adjoin.identity.clouds import CHINA, GLOBAL, GRAPH_APP_ID
from adjoin.service.sign_in import SignInRefusal
from adjoin.service.sign_in_scopes import Scopes, granted, implied, read

ORIGIN = "https://127.0.0.1:8365"
READ = "DeviceManagementConfiguration.Read.All"
WRITE = "DeviceManagementConfiguration.ReadWrite.All"


@pytest.mark.parametrize(
    ("scope", "permissions", "prefix", "default"),
    [
        (READ, (READ,), "", False),
        (f"{READ} {WRITE} {READ}", (READ, WRITE), "", False),
        (f"https://graph.microsoft.com/{READ}", (READ,), "https://graph.microsoft.com/", False),
        ("https://graph.microsoft.com/.default", (), "https://graph.microsoft.com/", True),
        ("https://graph.microsoft.com//.default", (), "https://graph.microsoft.com//", True),
        (f"{GRAPH_APP_ID}/.default", (), f"{GRAPH_APP_ID}/", True),
        (f"{ORIGIN}/.default", (), f"{ORIGIN}/", True),
        ("https://127.0.0.1/.default", (), "https://127.0.0.1/", True),
        (f" openid \t{READ}\n", (READ,), "", False),
        ("openid profile", (), "", False),
    ],
)
def test_spellings(scope: str, permissions: tuple[str, ...], prefix: str, default: bool) -> None:
    found = read(scope, GLOBAL, ORIGIN)
    assert (found.permissions, found.prefix, found.default) == (permissions, prefix, default)


@pytest.mark.parametrize(
    ("scope", "number"),
    [
        ("", 70011),
        (" ", 70011),
        ("x" * 2_049, 70011),
        (".default", 70011),
        ("https://graph.microsoft.com/", 70011),
        ("https://graph.microsoft.com/.default " + READ, 70011),
        ("https://graph.microsoft.com.evil.example/.default", 500011),
        ("https://127.0.0.1:1/.default", 500011),
        ("api://x/.default", 500011),
        ("/x", 500011),
    ],
)
def test_refused(scope: str, number: int) -> None:
    with pytest.raises(SignInRefusal) as refused:
        read(scope, GLOBAL, ORIGIN)
    assert refused.value.number == number


def test_each_cloud_has_its_own_root() -> None:
    assert read("https://microsoftgraph.chinacloudapi.cn/.default", CHINA, ORIGIN).default
    with pytest.raises(SignInRefusal):
        read("https://graph.microsoft.com/.default", CHINA, ORIGIN)


def test_who_may_write_may_read() -> None:
    assert implied([WRITE, "Other"]) == {WRITE, READ, "Other"}
    assert implied([READ]) == {READ}


def test_nothing_in_common_is_refused() -> None:
    with pytest.raises(SignInRefusal) as refused:
        granted(Scopes((), (), "", default=True), [WRITE], ["Other"])
    assert refused.value.number == 50105
    with pytest.raises(SignInRefusal):
        granted(Scopes((WRITE,), (), "", default=False), [], [WRITE])


def test_what_is_answered_is_in_the_words_of_the_question() -> None:
    scopes = Scopes((), ("openid",), "https://x/", default=True)
    assert scopes.answered([WRITE, READ]) == f"https://x/{READ} https://x/{WRITE} https://x/.default openid"
