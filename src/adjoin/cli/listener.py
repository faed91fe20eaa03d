"""Where the service listens: the HTTP server, and the change to another certificate while it runs.

A server of this kind reads its certificate once. So for another one a second server is started on the same address
(the kernel shares new connections out among them), and the first is stopped: it finishes what it has begun.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, TypeAlias

import structlog
from granian.constants import HTTPModes, Interfaces, SSLProtocols
from granian.http import HTTP1Settings, HTTP2Settings
from granian.server.embed import Server

from adjoin.cli.limits import connections, end_unread
from adjoin.config import Config
from adjoin.odata.errors import Refusal
from adjoin.web.app import Application
from adjoin.web.exchange import MAX_HEADERS, MAX_TARGET

LOOK_SECONDS: Final = 60.0
"""How often the certificate is looked at. SIGHUP does it at once."""

# A server that cannot start does so in the first moments; what comes up in that time is there to stay.
_COMING_UP: Final = 0.5
_GRACE_SECONDS: Final = 10.0
# HTTP/2 knows no end to a kept connection: its client is asked whether it lives, and is let go of after about as long
# as one of HTTP/1.1. Programs that read nothing while they work on an answer have so long for it, too.
_PING_MILLISECONDS: Final = 10_000
_PONG_SECONDS: Final = 10
# The server holds each answer that a client's window has no room for, as long as the client says that it lives.
_STREAMS: Final = 32
_LOG: Final = structlog.get_logger("adjoin.tls")


class CannotListen(Refusal):
    """The address is taken, or is none of this machine's."""


class BadCertificate(Refusal):
    """The certificate and key that are to be served cannot be."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate chain and its key, in files that may be one; `mark` changes with their content.

    `fault` says why no client will take it now, where that is known.
    """

    chain: Path
    key: Path
    mark: object
    fault: str = ""


Look: TypeAlias = Callable[[], Certificate]
"""Gives the certificate to serve now. Raises BadCertificate or a FolderRefusal."""


def look_of(config: Config, now: Callable[[], float]) -> Look | None:
    """How the certificate of a service with these settings is found; None where it serves plain http."""
    chain, key = config.tls_cert, config.tls_key
    if chain is not None and key is not None:
        return lambda: _given(chain, key, datetime.fromtimestamp(now(), UTC))
    if config.tls:
        names = config.certificate_names(socket.gethostname())
        return lambda: _own(config.tls_dir, names, datetime.fromtimestamp(now(), UTC))
    return None


def _given(chain: Path, key: Path, now: datetime) -> Certificate:
    """The operator's own. Both files are read, so that a pair that is just being replaced is not taken for whole."""
    try:
        mark = tuple((each.st_ino, each.st_size, each.st_mtime_ns) for each in (chain.stat(), key.stat()))
        # An empty password: a key that needs one is refused and not asked for on a terminal.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(chain, key, "")
    except ssl.SSLError as error:
        said = (error.reason or str(error)).lower().replace("_", " ")
        raise BadCertificate(
            f"{chain} and {key} are no certificate with its unencrypted key in PEM form ({said})."
        ) from None
    except OSError as error:
        raise BadCertificate(f"The certificate {chain} or its key {key} cannot be read: {error.strerror}.") from None
    return Certificate(chain, key, mark, _fault(chain, now))


def _fault(chain: Path, now: datetime) -> str:
    """What the certificate's own dates say against it."""
    from cryptography import x509  # noqa: PLC0415 - not needed to serve plain http

    leaf = x509.load_pem_x509_certificate(chain.read_bytes())
    if now >= leaf.not_valid_after_utc:
        return f"the certificate {chain} ended at {leaf.not_valid_after_utc:%Y-%m-%dT%H:%M:%SZ}"
    if now < leaf.not_valid_before_utc:
        return f"the certificate {chain} is not valid before {leaf.not_valid_before_utc:%Y-%m-%dT%H:%M:%SZ}"
    return ""


def _own(folder: Path, names: tuple[str, ...], now: datetime) -> Certificate:
    from adjoin.identity import certificates  # noqa: PLC0415 - not needed to serve plain http

    files = certificates.ensure(folder, names, now)
    return Certificate(files.server, files.server, files.serial)


class Listener:
    """The running servers: one, or two for the moment of a change."""

    def __init__(self, application: Application, config: Config, look: Look | None) -> None:
        """Raises what keeps the certificate from being served."""
        self._application = application
        self._config = config
        self._look = look
        self._certificate = look() if look else None
        if self._certificate is not None and self._certificate.fault:
            _LOG.warning("certificate not valid", reason=self._certificate.fault)
        self._wake = asyncio.Event()
        self._stopped = asyncio.Event()
        self._running: dict[Server, asyncio.Task[None]] = {}

    def look_now(self) -> None:
        """Look at the certificate at once."""
        self._wake.set()

    def stop(self) -> None:
        """Take no more connections, finish what was begun, and let `run` end."""
        self._stopped.set()
        self._wake.set()
        _stop(self._running)

    async def run(self, every: float = LOOK_SECONDS) -> None:
        """Serve until stopped, or until the server ends by itself."""
        self._start(self._certificate)
        serving = asyncio.create_task(self._serve())
        watching = asyncio.create_task(self._watch(every))
        told = asyncio.create_task(self._stopped.wait())
        try:
            await asyncio.wait({serving, told}, return_when=asyncio.FIRST_COMPLETED)
            # A server waits for its connections, and an idle HTTP/2 client may never notice that it should go.
            await asyncio.wait({serving}, timeout=_GRACE_SECONDS)
            if serving.done():
                serving.result()
        finally:
            self._stopped.set()
            for task in (watching, told, serving):
                task.cancel()
            await asyncio.gather(watching, told, serving, return_exceptions=True)

    async def _serve(self) -> None:
        """Wait until no server runs any more."""
        while self._running:
            done, _ = await asyncio.wait(self._running.values(), return_when=asyncio.FIRST_COMPLETED)
            self._running = {server: task for server, task in self._running.items() if task not in done}
            for task in done:
                task.result()

    async def listening(self) -> bool:
        """Wait until connections are taken; False if the server ended before."""
        while not self._stopped.is_set():
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection(self._config.host, self._config.port)
                writer.close()
                end_unread(self._config.port)
                return True
            await asyncio.sleep(0.005)
        return False

    def _start(self, certificate: Certificate | None) -> asyncio.Task[None]:
        server = _server(self._application, self._config, certificate)
        self._running[server] = task = asyncio.create_task(server.serve())
        return task

    async def _watch(self, every: float) -> None:
        while not self._stopped.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), every)
            self._wake.clear()
            if self._look is not None and not self._stopped.is_set():
                try:
                    await self._refresh(self._look)
                except Exception as error:  # noqa: BLE001 - it must go on, whatever one look meets
                    _LOG.error("fault", exc_info=error)

    async def _refresh(self, look: Look) -> None:
        """Go over to another certificate, if there is one. One that cannot be served changes nothing."""
        try:
            found = await asyncio.to_thread(look)
            if self._stopped.is_set() or self._certificate is None or found.mark == self._certificate.mark:
                return
            if found.fault and not self._certificate.fault:
                raise BadCertificate(found.fault)
            older = list(self._running)
            new = self._start(found)
        except (Refusal, OSError) as error:
            _LOG.warning("certificate not renewed", reason=str(error))
            return
        await asyncio.wait({new}, timeout=_COMING_UP)
        if new.done():
            # What ended this one ends nothing else: the one before goes on.
            self._running = {server: task for server, task in self._running.items() if task is not new}
            _LOG.warning("certificate not renewed", reason=str(new.exception() or "the server did not start with it"))
            return
        self._certificate = found
        end_unread(self._config.port)
        _stop(older)
        _LOG.info("certificate renewed", file=str(found.chain))


def _stop(servers: Iterable[Server]) -> None:
    for server in servers:
        server.stop()  # type: ignore[no-untyped-call]  # granian has no types for it


def _server(application: Application, config: Config, certificate: Certificate | None) -> Server:
    return Server(
        application,
        address=_address(config.host, config.port)[1],
        port=config.port,
        interface=Interfaces.ASGINL,
        http=HTTPModes.auto if certificate else HTTPModes.http1,
        websockets=False,
        backlog=1_024,
        backpressure=connections(),
        http1_settings=HTTP1Settings(header_read_timeout=15_000, max_buffer_size=MAX_HEADERS + MAX_TARGET + 8_192),
        http2_settings=HTTP2Settings(
            max_headers_size=MAX_HEADERS + MAX_TARGET,
            max_concurrent_streams=_STREAMS,
            keep_alive_interval=_PING_MILLISECONDS,
            keep_alive_timeout=_PONG_SECONDS,
        ),
        ssl_cert=certificate.chain if certificate else None,
        ssl_key=certificate.key if certificate else None,
        ssl_protocol_min=SSLProtocols.tls12,
        log_enabled=False,
    )


def claim_address(host: str, port: int) -> int:
    """The port to listen on, a free one for 0. Raises CannotListen if the address cannot be had.

    The server itself shares ports, which the change of certificates lives on, and would share one with a stranger.
    """
    try:
        family, address = _address(host, port)
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((address, port))
            taken: int = probe.getsockname()[1]
            return taken
    except OSError as error:
        raise CannotListen(f"Cannot listen on {host}:{port}: {error.strerror}.") from None


def _address(host: str, port: int) -> tuple[socket.AddressFamily, str]:
    """Where to listen: the server takes no names, such as localhost. Raises OSError."""
    family, _, _, _, (address, *_) = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    return family, str(address)
