"""`adjoin serve`: the service, from its settings to an orderly stop."""

from __future__ import annotations

import asyncio
import contextlib
import shlex
import signal
import socket
import sys
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec
import structlog
import typer
from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings, HTTP2Settings
from granian.server.embed import Server

from adjoin import __version__
from adjoin.cli import logs
from adjoin.cli.options import Database, DataDir, Settings, load
from adjoin.config import Config
from adjoin.odata.errors import Refusal
from adjoin.odata.tokens import words
from adjoin.web.app import Application, create
from adjoin.web.exchange import MAX_HEADERS, MAX_TARGET

_GRACE_SECONDS: Final = 10.0
_BODY: Final = (
    '{"@odata.type": "#microsoft.graph.deviceManagementDomainJoinConnector", "displayName": "Display Name value", '
    '"lastConnectionDateTime": "2016-12-31T23:58:36.6670033-08:00", "state": "error", "version": "Version value"}'
)


class CannotListen(Refusal):
    """The address is taken, or is none of this machine's."""


def serve(
    host: Annotated[str | None, typer.Option("--host", metavar="HOST", help="[default: 127.0.0.1]")] = None,
    port: Annotated[int | None, typer.Option("--port", metavar="PORT", help="[default: 8365]")] = None,
    data_dir: DataDir = None,
    database: Database = None,
    tls_cert: Annotated[
        Path | None, typer.Option("--tls-cert", metavar="PEM", help="Serve https with this certificate (chain).")
    ] = None,
    tls_key: Annotated[Path | None, typer.Option("--tls-key", metavar="PEM", help="Its private key.")] = None,
    public_url: Annotated[
        str | None,
        typer.Option("--public-url", metavar="URL", help="What links begin with. [default: the Host header]"),
    ] = None,
    behind_proxy: Annotated[
        bool | None,
        typer.Option("--behind-proxy", help="A proxy in front ends TLS and sets X-Forwarded-Proto and -Host."),
    ] = None,
    audience: Annotated[
        list[str] | None,
        typer.Option("--audience", metavar="AUD", help="A further audience to accept in tokens. May be repeated."),
    ] = None,
    throttle: Annotated[
        str | None,
        typer.Option("--throttle", metavar="LIMITS", help="off, graph, or own figures. [default: off]"),
    ] = None,
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"] | None, typer.Option("--log-level", help="[default: info]")
    ] = None,
    log_format: Annotated[
        Literal["auto", "text", "json"] | None,
        typer.Option("--log-format", help="auto: text on a terminal, JSON elsewhere. [default: auto]"),
    ] = None,
    log_requests: Annotated[
        bool | None, typer.Option("--log-requests/--no-log-requests", help="Log each request. [default: yes]")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Do not print the URL and an example call.")] = False,
    config: Settings = None,
) -> None:
    """Run the service until SIGINT or SIGTERM. Every option can be set as ADJOIN_… or in adjoin.toml, too."""
    loaded = load(
        config,
        host=host,
        port=port,
        data_dir=data_dir,
        database=database,
        tls_cert=tls_cert,
        tls_key=tls_key,
        public_url=public_url,
        behind_proxy=behind_proxy,
        audiences=tuple(audience) if audience else None,
        throttle=throttle,
        log_level=log_level,
        log_format=log_format,
        log_requests=log_requests,
    )
    logs.configure(loaded.log_level, loaded.log_format)
    loaded = msgspec.structs.replace(loaded, port=_free_port(loaded))
    with contextlib.suppress(KeyboardInterrupt), asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(_serve(loaded, quiet))


def _loop_factory() -> type[asyncio.AbstractEventLoop] | None:
    try:
        import uvloop  # noqa: PLC0415 - there is none on some platforms
    except ImportError:
        return None
    return uvloop.Loop


async def _serve(loaded: Config, quiet: bool) -> None:
    log = structlog.get_logger("adjoin.serve")
    application = create(loaded)
    await application.open()
    server = _server(application, loaded)
    loop = asyncio.get_running_loop()

    stopping = asyncio.Event()

    def stop() -> None:
        log.info("stopping")
        stopping.set()
        server.stop()  # type: ignore[no-untyped-call]

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)
    running = loop.create_task(server.serve())
    if await _listening(loaded, running):
        log.info("listening", version=__version__, url=_url(loaded))
        if not quiet:
            sys.stdout.write(_greeting(loaded))
            sys.stdout.flush()
        # Made ready once the first callers have been served, and before the first $filter.
        loop.call_later(1.0, loop.run_in_executor, None, words)
    try:
        await _ended(running, stopping)
    finally:
        await application.close()
        log.info("stopped")


async def _ended(running: asyncio.Task[None], stopping: asyncio.Event) -> None:
    """Wait for the server's end: for as long as it serves, and for a while after it was told to stop.

    It waits for its connections, and an idle HTTP/2 client may never notice that it should go.
    """
    told = asyncio.create_task(stopping.wait())
    await asyncio.wait({running, told}, return_when=asyncio.FIRST_COMPLETED)
    told.cancel()
    await asyncio.wait({running}, timeout=_GRACE_SECONDS)
    if running.done():
        await running


def _server(application: Application, loaded: Config) -> Server:
    return Server(
        application,
        address=loaded.host,
        port=loaded.port,
        interface=Interfaces.ASGINL,
        http=HTTPModes.auto if loaded.tls_cert else HTTPModes.http1,
        websockets=False,
        backlog=1_024,
        backpressure=4_096,
        http1_settings=HTTP1Settings(header_read_timeout=15_000, max_buffer_size=MAX_HEADERS + MAX_TARGET + 8_192),
        http2_settings=HTTP2Settings(max_headers_size=MAX_HEADERS + MAX_TARGET, max_concurrent_streams=128),
        ssl_cert=loaded.tls_cert,
        ssl_key=loaded.tls_key,
        log_enabled=False,
    )


def _free_port(loaded: Config) -> int:
    """The port to listen on, a free one for 0. Raises CannotListen for an address that cannot be had.

    The server itself shares ports, and would share one with a stranger.
    """
    try:
        family = socket.getaddrinfo(loaded.host, loaded.port, type=socket.SOCK_STREAM)[0][0]
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((loaded.host, loaded.port))
            return int(probe.getsockname()[1])
    except OSError as error:
        raise CannotListen(f"Cannot listen on {loaded.host}:{loaded.port}: {error.strerror}.") from None


async def _listening(loaded: Config, running: asyncio.Task[None]) -> bool:
    """Wait until connections are taken; False if the server ended before."""
    while not running.done():
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection(loaded.host, loaded.port)
            writer.close()
            return True
        await asyncio.sleep(0.005)
    return False


def _url(loaded: Config) -> str:
    host = f"[{loaded.host}]" if ":" in loaded.host else loaded.host
    return loaded.public_url or f"{loaded.scheme}://{host}:{loaded.port}"


def _greeting(loaded: Config) -> str:
    """The URL, and the published create call ready to be pasted. It fetches its token itself: none is printed."""
    program = Path(sys.argv[0]).resolve()
    start = [sys.executable, "-m", "adjoin"] if program.suffix == ".py" else [str(program)]
    command = shlex.join([*start, "token", "--data-dir", str(loaded.data_dir.resolve())])
    if loaded.database is not None:
        command += shlex.join(["", "--database", str(loaded.database_file.resolve())])
    url = _url(loaded)
    return f"""adjoin {__version__} on {url}

Create a connector:

curl -i {shlex.quote(url + "/beta/deviceManagement/domainJoinConnectors")} \\
  -H "Authorization: Bearer $({command})" \\
  -H 'Content-Type: application/json' \\
  -d '{_BODY}'

"""
