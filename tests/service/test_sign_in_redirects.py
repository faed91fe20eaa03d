"""Which redirect URIs can be registered, and where a page's forms may lead."""

from __future__ import annotations

import pytest

from adjoin.service.sign_in_redirects import fault, matches, source


@pytest.mark.parametrize(
    "uri",
    [
        "https://app.example/back",
        "https://app.example:8443/back?kept=1",
        "https://app.example",
        "http://localhost",
        "http://localhost:5000/x",
        "http://127.0.0.1:1/",
        "http://[::1]:1/",
        "com.example.app:/back",
        "msal0f8fad5b-d9cb-469f-a165-70867728950e://auth",
        "msauth.com.example://auth",
    ],
)
def test_good_ones(uri: str) -> None:
    assert fault(uri) is None
    assert matches(uri, (uri,), public=False)


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "/back",
        "app.example/back",
        "//app.example/back",
        "http://app.example/back",
        "http://localhost.evil.example/",
        "http://localhost@evil.example/",
        "https://user@app.example/",
        "https://user:x@app.example/",
        "https:///back",
        "https://app.example/#fragment",
        "https://*.example/",
        "https://app.example:x/",
        "https://app.example:99999/",
        "https://app.example/ blank",
        "https://app.example/\r\nlocation: x",
        "https://app.example\\@evil.example/",
        "https://äpp.example/",
        "javascript:alert(1)",
        "data:text/html,x",
        "file:///etc/passwd",
        "urn:ietf:wg:oauth:2.0:oob",
        "about:blank",
        "https://app.example/" + "x" * 1_024,
    ],
)
def test_bad_ones(uri: str) -> None:
    assert fault(uri) is not None


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("https://app.example:8443/back?x=1", "https://app.example:8443"),
        ("http://localhost:5000", "http://localhost:5000"),
        ("http://[::1]:5000/", "http:"),
        ("com.example.app:/back", "com.example.app:"),
    ],
)
def test_where_it_leads(uri: str, expected: str) -> None:
    assert source(uri) == expected
