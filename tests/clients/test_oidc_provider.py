"""adjoin trusts a certified OpenID provider (npm `oidc-provider`): tokens, outage, return, rotation, by wire alone."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest
from tests.clients.node import installed

ROOT: Final = Path(__file__).resolve().parents[2]
ADJOIN: Final = Path(os.environ.get("ADJOIN") or ROOT / ".venv/bin/adjoin").absolute()
FILES: Final = Path(__file__).parent / "oidc"
LIST: Final = "/beta/deviceManagement/domainJoinConnectors"
AUDIENCE: Final = "https://adjoin.example.org"
READ: Final = "DeviceManagementConfiguration.Read.All"
WRITE: Final = "DeviceManagementConfiguration.ReadWrite.All"
SECONDS: Final = 30.0

# Nothing that the machine presets (proxies) leads a call on loopback elsewhere.
_HTTP: Final = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@pytest.fixture(scope="module")
def node() -> str:
    return installed(FILES)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def process(*words: str | Path, cwd: Path | None = None, ready: Callable[[], bool]) -> Iterator[None]:
    """A process that is there once `ready`, and gone at the end."""
    running = subprocess.Popen([*map(str, words)], cwd=cwd, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until(ready)
        yield
    finally:
        running.terminate()
        running.wait(SECONDS)


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def listens(port: int) -> Callable[[], bool]:
    def probe() -> bool:
        with socket.socket() as client:
            return client.connect_ex(("127.0.0.1", port)) == 0

    return probe


def provider(node: str, port: int, algorithm: str = "RS256") -> Any:
    return process(node, "provider.js", str(port), algorithm, cwd=FILES, ready=listens(port))


def token(port: int, scope: str) -> str:
    form = {"grant_type": "client_credentials", "scope": scope, "resource": AUDIENCE}
    form |= {"client_id": "provisioning", "client_secret": "provisioning-secret"}
    request = urllib.request.Request(f"http://127.0.0.1:{port}/token", urllib.parse.urlencode(form).encode())
    with _HTTP.open(request, timeout=SECONDS) as answer:
        found: str = json.load(answer)["access_token"]
        return found


@contextmanager
def adjoin(folder: Path, issuer_port: int, algorithm: str = "RS256") -> Iterator[str]:
    """A service that trusts the provider; gives its URL."""
    port = free_port()
    settings = folder / "adjoin.toml"
    settings.write_text(
        f"""
        port = {port}
        data-dir = "{folder}/data"

        [[issuers]]
        name = "certified"
        issuer = "http://127.0.0.1:{issuer_port}"
        audiences = ["{AUDIENCE}"]
        tenant = "default"
        algorithms = ["{algorithm}"]
        token-type = "at+jwt"
        unknown-key-interval = 1
        grace = 0
        allow-http-loopback = true
        """
    )
    with process(ADJOIN, "serve", "--quiet", "--config", settings, ready=listens(port)):
        yield f"http://127.0.0.1:{port}"


def status(url: str, bearer: str, body: object = None) -> int:
    headers = {"authorization": f"Bearer {bearer}", "content-type": "application/json"}
    data = json.dumps(body).encode() if body is not None else None
    try:
        with _HTTP.open(urllib.request.Request(url + LIST, data, headers), timeout=SECONDS) as answer:
            found: int = answer.status
            return found
    except urllib.error.HTTPError as refused:
        return refused.code


CONNECTOR: Final = {
    "displayName": "External",
    "lastConnectionDateTime": "2016-12-31T23:58:36.6670033-08:00",
    "state": "error",
    "version": "1",
}


@pytest.mark.parametrize("algorithm", ["RS256", "ES256"])
def test_tokens_of_a_certified_provider(node: str, tmp_path: Path, algorithm: str) -> None:
    port = free_port()
    with provider(node, port, algorithm), adjoin(tmp_path, port, algorithm) as url:
        assert status(url, token(port, WRITE)) == 200
        assert status(url, token(port, WRITE), CONNECTOR) == 201
        assert status(url, token(port, READ)) == 200
        assert status(url, token(port, READ), CONNECTOR) == 403
        head, payload, signature = token(port, WRITE).split(".")
        assert status(url, f"{head}.{payload}.{signature[:-8]}AAAAAAAA") == 401


def test_outage_return_and_rotation(node: str, tmp_path: Path) -> None:
    port = free_port()
    with adjoin(tmp_path, port) as url:
        with provider(node, port):
            old = token(port, WRITE)
            # It was down when the service started, so that its keys are asked for when a token of its comes.
            until(lambda: status(url, old) == 200)
        assert status(url, old) == 200, "it is down, and its last good keys stay"
        with provider(node, port):
            new = token(port, WRITE)
            until(lambda: status(url, new) == 200)
            assert status(url, old) == 401, "its old key is gone"
