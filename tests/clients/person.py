"""A person with a browser that runs no script: reads the sign-in pages, fills in their forms, and sends them."""

from __future__ import annotations

import re
import ssl
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from urllib.parse import urljoin

import httpx


@dataclass(frozen=True, slots=True)
class Person:
    """An account, and the authority that the person's browser trusts."""

    name: str
    password: str
    authority: Path

    def allows_device(self, uri: str, user_code: str) -> None:
        """Open the page that a device shows, type its code, sign in and allow."""
        with self._browser() as browser:
            asked = _sent(browser, browser.get(uri), user_code=user_code)
            done = _sent(browser, asked, name=self.name, password=self.password, act="accept")
            assert "You are signed in" in done.raise_for_status().text

    def allows(self, uri: str) -> dict[str, str]:
        """Open an authorization request, sign in and allow; what a form tells the client at its redirect URI."""
        with self._browser() as browser:
            done = _sent(browser, browser.get(uri), name=self.name, password=self.password, act="accept")
            found = re.findall(r'type="hidden" name="([^"]*)" value="([^"]*)"', done.raise_for_status().text)
            return {unescape(name): unescape(value) for name, value in found}

    def _browser(self) -> httpx.Client:
        return httpx.Client(verify=ssl.create_default_context(cafile=str(self.authority)))


def _sent(browser: httpx.Client, page: httpx.Response, **typed: str) -> httpx.Response:
    """The answer to the page's form."""
    text = page.raise_for_status().text
    action = re.search(r'<form method="post" action="([^"]*)"', text)
    ticket = re.search(r'name="ticket" value="([^"]*)"', text)
    assert action, text
    assert ticket, text
    return browser.post(urljoin(str(page.url), unescape(action[1])), data={"ticket": unescape(ticket[1]), **typed})
