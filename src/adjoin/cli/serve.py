"""`adjoin serve`: the service, from its settings to an orderly stop."""

from __future__ import annotations

import asyncio
import contextlib
import shlex
import signal
import sys
import time
from pathlib import Path
from typing import Annotated, Final, Literal

import structlog
import typer
from msgspec.structs import replace

from adjoin import __version__
from adjoin.cli import logs
from adjoin.cli.listener import Listener, claim_address, look_of
from adjoin.cli.options import Cloud, Database, DataDir, Settings, load, run
from adjoin.cli.workers import Workers
from adjoin.config import Config
from adjoin.identity.certificates import CA_FILE
from adjoin.odata.tokens import words
from adjoin.service.installation import Installation
from adjoin.service.world import World
from adjoin.store.address import shown
from adjoin.web.app import Application, create

_BODY: Final = (
    '{"@odata.type": "#microsoft.graph.deviceManagementDomainJoinConnector", "displayName": "Display Name value", '
    '"lastConnectionDateTime": "2016-12-31T23:58:36.6670033-08:00", "state": "error", "version": "Version value"}'
)


Host = Annotated[str | None, typer.Option("--host", metavar="HOST", help="[default: 127.0.0.1]")]
Port = Annotated[int | None, typer.Option("--port", metavar="PORT", help="0: a free one. [default: 8365]")]
Tls = Annotated[
    bool | None, typer.Option("--tls", help="Serve https with a certificate of a private CA, DATA-DIR/tls/ca.pem.")
]
TlsName = Annotated[
    list[str] | None,
    typer.Option("--tls-name", metavar="NAME", help="A further name or address in that certificate. May be repeated."),
]
TlsCert = Annotated[
    Path | None, typer.Option("--tls-cert", metavar="PEM", help="Serve https with this certificate (chain) instead.")
]
TlsKey = Annotated[Path | None, typer.Option("--tls-key", metavar="PEM", help="Its private key.")]
PublicUrl = Annotated[
    str | None, typer.Option("--public-url", metavar="URL", help="What links begin with. [default: the Host header]")
]
BehindProxy = Annotated[
    bool | None,
    typer.Option("--behind-proxy", help="A proxy on this machine ends TLS; believe its forwarding headers."),
]
TrustedProxy = Annotated[
    list[str] | None,
    typer.Option("--trusted-proxy", metavar="CIDR", help="Believe the proxies there instead. May be repeated."),
]
Audience = Annotated[
    list[str] | None,
    typer.Option("--audience", metavar="AUD", help="A further audience to accept in tokens. May be repeated."),
]
Throttle = Annotated[
    str | None, typer.Option("--throttle", metavar="LIMITS", help="off, graph, or own figures. [default: off]")
]
WebhookAllow = Annotated[
    list[str] | None,
    typer.Option(
        "--webhook-allow",
        metavar="HOST[:PORT]",
        help="A receiver that may be sent notifications; * is any public one. May be repeated. [default: none]",
    ),
]
WebhookCa = Annotated[
    Path | None, typer.Option("--webhook-ca", metavar="PEM", help="Further authorities to trust receivers by.")
]
AuditDays = Annotated[
    int | None,
    typer.Option("--audit-days", metavar="DAYS", help="How long audit events are kept. [default: 365]"),
]
LogLevel = Annotated[
    Literal["debug", "info", "warning", "error"] | None, typer.Option("--log-level", help="[default: info]")
]
LogFormat = Annotated[
    Literal["auto", "text", "json"] | None,
    typer.Option("--log-format", help="auto: text on a terminal, JSON elsewhere. [default: auto]"),
]
LogRequests = Annotated[
    bool | None, typer.Option("--log-requests/--no-log-requests", help="Log each request. [default: yes]")
]
WorkersOption = Annotated[
    int | None, typer.Option("--workers", metavar="N", help="Processes that serve; PostgreSQL only. [default: 1]")
]
MaxRequests = Annotated[
    int | None,
    typer.Option("--max-requests", metavar="N", help="Work on so many at a time; more get 503. [default: 1024]"),
]
Metrics = Annotated[
    Literal["local", "public", "off"] | None,
    typer.Option("--metrics", help="Who may read /metrics: this machine, anyone, nobody. [default: local]"),
]
ServerTiming = Annotated[
    bool | None,
    typer.Option("--server-timing/--no-server-timing", help="Say in each answer where the time went. [default: no]"),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Do not print the URL and an example call.")]


def serve(
    host: Host = None,
    port: Port = None,
    data_dir: DataDir = None,
    database: Database = None,
    workers: WorkersOption = None,
    tls: Tls = None,
    tls_name: TlsName = None,
    tls_cert: TlsCert = None,
    tls_key: TlsKey = None,
    public_url: PublicUrl = None,
    behind_proxy: BehindProxy = None,
    trusted_proxy: TrustedProxy = None,
    cloud: Cloud = None,
    audience: Audience = None,
    throttle: Throttle = None,
    webhook_allow: WebhookAllow = None,
    webhook_ca: WebhookCa = None,
    audit_days: AuditDays = None,
    log_level: LogLevel = None,
    log_format: LogFormat = None,
    log_requests: LogRequests = None,
    max_requests: MaxRequests = None,
    metrics: Metrics = None,
    server_timing: ServerTiming = None,
    quiet: Quiet = False,
    config: Settings = None,
) -> None:
    """Run the service until SIGINT or SIGTERM. Every option can be set as ADJOIN_… or in adjoin.toml, too."""
    loaded = load(
        config,
        host=host,
        port=port,
        data_dir=data_dir,
        database=database,
        workers=workers,
        tls=tls,
        tls_names=tuple(tls_name) if tls_name else None,
        tls_cert=tls_cert,
        tls_key=tls_key,
        public_url=public_url,
        behind_proxy=behind_proxy,
        trusted_proxies=tuple(trusted_proxy) if trusted_proxy else None,
        cloud=cloud,
        audiences=tuple(audience) if audience else None,
        throttle=throttle,
        webhook_allow=tuple(webhook_allow) if webhook_allow else None,
        webhook_ca=webhook_ca,
        audit_days=audit_days,
        log_level=log_level,
        log_format=log_format,
        log_requests=log_requests,
        max_requests=max_requests,
        metrics=metrics,
        server_timing=server_timing,
    )
    logs.configure(loaded.log_level, loaded.log_format)
    loaded = replace(loaded, port=claim_address(loaded.host, loaded.port))
    if loaded.workers > 1:
        run(loaded, _nothing)  # what keeps it from starting is said once, and what a first start makes is made once
        raise typer.Exit(Workers(loaded.workers, lambda number, leash: _work(loaded, quiet or number > 0, leash)).run())
    _work(loaded, quiet)


async def _nothing(_: Installation, __: World) -> None:
    pass


def _work(loaded: Config, quiet: bool, leash: int | None = None) -> None:
    with contextlib.suppress(KeyboardInterrupt), asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(_serve(loaded, quiet, leash))


def _loop_factory() -> type[asyncio.AbstractEventLoop] | None:
    try:
        import uvloop  # noqa: PLC0415 - there is none on some platforms
    except ImportError:
        return None
    return uvloop.Loop


async def _serve(loaded: Config, quiet: bool, leash: int | None) -> None:
    application = create(loaded)
    await application.open()
    try:
        await _listen(Listener(application, loaded, look_of(loaded, time.time)), application, loaded, quiet, leash)
    finally:
        await application.close()
    structlog.get_logger("adjoin.serve").info("stopped")


async def _listen(listener: Listener, application: Application, loaded: Config, quiet: bool, leash: int | None) -> None:
    log = structlog.get_logger("adjoin.serve")
    loop = asyncio.get_running_loop()

    def stop() -> None:
        log.info("stopping")
        if leash is not None:
            loop.remove_reader(leash)
        listener.stop()
        application.release()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)
    loop.add_signal_handler(signal.SIGHUP, listener.look_now)
    if leash is not None:
        loop.add_reader(leash, stop)
    running = loop.create_task(listener.run())
    if await listener.listening():
        log.info("listening", version=__version__, url=_url(loaded))
        if not quiet:
            sys.stdout.write(_greeting(loaded))
            sys.stdout.flush()
        # Made ready once the first callers have been served, and before the first $filter.
        loop.call_later(1.0, loop.run_in_executor, None, words)
    await running


def _url(loaded: Config) -> str:
    host = f"[{loaded.host}]" if ":" in loaded.host else loaded.host
    return loaded.public_url or f"{loaded.scheme}://{host}:{loaded.port}"


def _greeting(loaded: Config) -> str:
    """The URL, and the published create call ready to be pasted. It fetches its token itself: none is printed."""
    program = Path(sys.argv[0]).resolve()
    start = [sys.executable, "-m", "adjoin"] if program.suffix == ".py" else [str(program)]
    words = [*start, "token", "--data-dir", str(loaded.data_dir.resolve())]
    if loaded.database_url is not None:
        # A password is not printed: it is left to the environment, or to ~/.pgpass.
        words += ["--database", shown(loaded.database_url)]
    elif loaded.database is not None:
        words += ["--database", str(loaded.database_file.resolve())]
    if loaded.cloud != "global":
        words += ["--cloud", loaded.cloud]
    command = shlex.join(words)
    # Our own authority is nobody's but who is given its certificate.
    own = loaded.tls and loaded.tls_cert is None
    trusting = f"--cacert {shlex.quote(str((loaded.tls_dir / CA_FILE).resolve()))} " if own else ""
    url = _url(loaded)
    return f"""adjoin {__version__} on {url}

Create a connector:

curl -i {trusting}{shlex.quote(url + "/beta/deviceManagement/domainJoinConnectors")} \\
  -H "Authorization: Bearer $({command})" \\
  -H 'Content-Type: application/json' \\
  -d '{_BODY}'

"""
