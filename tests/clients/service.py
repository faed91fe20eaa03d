"""A real `adjoin serve` process for the clients, and what its commands print.

The clients live in an environment of their own, so the program is run by its path: ADJOIN, or `.venv/bin/adjoin`.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

import trustme
from tests.clients.certificates import Certificates

ROOT: Final = Path(__file__).resolve().parents[2]
ADJOIN: Final = Path(os.environ.get("ADJOIN") or ROOT / ".venv/bin/adjoin").absolute()
GIVEN: Final[Mapping[str, str]] = dict(os.environ)
"""The environment as it came: what fetches packages needs it whole."""
PRESET: Final = (
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "NODE_EXTRA_CA_CERTS",
)
"""Variables that a machine may preset and that would lead a client past the tests' CA (clients.md section 2)."""

REDIRECT: Final = "http://localhost:8400/back"
_EVERYTHING: Final = "DeviceManagementConfiguration.ReadWrite.All"
_START_SECONDS: Final = 30.0
_STOP_SECONDS: Final = 15.0


def environment(**more: str) -> dict[str, str]:
    """The environment without what would change how the service or a client behaves."""
    kept = {name: text for name, text in GIVEN.items() if name not in PRESET}
    return {name: text for name, text in kept.items() if not name.startswith(("ADJOIN", "AZURE_"))} | more


@dataclass(frozen=True)
class Application:
    """A client id with its secret."""

    tenant_id: str
    client_id: str
    client_secret: str


@dataclass(frozen=True)
class Registered:
    """An application that proves itself by a certificate, or not at all; `key` is its private key and certificate."""

    tenant_id: str
    client_id: str
    key: str = ""


@dataclass(frozen=True)
class Service:
    """A running service: where it answers, and where its data are."""

    origin: str
    data_dir: Path

    @property
    def url(self) -> str:
        return f"{self.origin}/beta"

    @cached_property
    def writer(self) -> str:
        """A token that may do everything here."""
        return self.token()

    @cached_property
    def reader(self) -> str:
        """A token that may read."""
        return self.token("--permission", "DeviceManagementConfiguration.Read.All")

    @cached_property
    def application(self) -> Application:
        """An application of the first tenant that may do everything here."""
        found = json.loads(self._command("app", "add", "clients", "--permission", _EVERYTHING, "--json"))
        return Application(found["tenant_id"], found["client_id"], found["client_secret"])

    @cached_property
    def certified(self) -> Registered:
        """An application of the first tenant that may do everything here, and has a certificate."""
        leaf = trustme.CA().issue_cert("certified.example", key_type=trustme.KeyType.RSA)
        certificate, key = (self.data_dir.with_name(name) for name in ("certified.pem", "certified.key"))
        leaf.cert_chain_pems[0].write_to_path(certificate)
        key.write_bytes(leaf.private_key_pem.bytes() + leaf.cert_chain_pems[0].bytes())
        words = ("app", "add", "certified", "--permission", _EVERYTHING, "--certificate", str(certificate), "--json")
        found = json.loads(self._command(*words))
        return Registered(found["tenant_id"], found["client_id"], str(key))

    @cached_property
    def public(self) -> Registered:
        """An application on people's own machines, by which they may do everything here."""
        words = ("app", "add", "public", "--permission", _EVERYTHING, "--public", "--redirect-uri", REDIRECT, "--json")
        found = json.loads(self._command(*words))
        return Registered(found["tenant_id"], found["client_id"])

    def person(self, name: str, password: str) -> None:
        """Add a person who may do everything here."""
        words = ("user", "add", name, "--permission", _EVERYTHING, "--password-stdin")
        self._command(*words, typed=f"{password}\n")

    def token(self, *options: str) -> str:
        """A token of the built-in issuer."""
        return self._command("token", *options)

    def tenant(self, name: str) -> str:
        """Add a tenant, and give a token for it that may do everything there."""
        self._command("tenant", "add", name)
        return self.token("--tenant", name)

    def _command(self, *words: str, typed: str = "") -> str:
        command = [str(ADJOIN), *words, "--data-dir", str(self.data_dir)]
        done = subprocess.run(
            command, env=environment(), input=typed, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, f"adjoin {' '.join(words)}: {done.stderr}"
        return done.stdout.strip()


@contextlib.contextmanager
def serving(data_dir: Path, certificates: Certificates | None = None, *options: str) -> Iterator[Service]:
    """A service that answers; over https if it is given a certificate, or `--tls`. It is stopped at the end."""
    assert ADJOIN.exists(), f"there is no {ADJOIN}: run `make install`, or name the program in ADJOIN"
    port = _free_port()
    command = [str(ADJOIN), "serve", "--data-dir", str(data_dir), "--port", str(port), "--no-log-requests", "--quiet"]
    if certificates is not None:
        command += ["--tls-cert", str(certificates.chain), "--tls-key", str(certificates.key)]
    command += options
    scheme = "https" if certificates is not None or "--tls" in options else "http"
    log = data_dir.with_suffix(".log")
    with (
        log.open("ab") as output,
        subprocess.Popen(command, env=environment(), stdout=output, stderr=output) as process,
    ):
        try:
            _wait_until_it_listens(process, port, log)
            yield Service(f"{scheme}://127.0.0.1:{port}", data_dir)
        finally:
            _stop(process, log)


def _stop(process: subprocess.Popen[bytes], log: Path) -> None:
    process.terminate()
    try:
        code = process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        raise AssertionError(f"the service did not stop within {_STOP_SECONDS} s: {log.read_text('utf-8')}") from None
    said = log.read_text("utf-8")
    assert code == 0, f"the service ended with {code}: {said}"
    assert '"event":"fault"' not in said, f"the service met a fault of its own: {said}"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_until_it_listens(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.02)
    raise AssertionError(f"the service did not start: {log.read_text('utf-8')}")
