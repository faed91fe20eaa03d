"""`adjoin serve`: its options. What the service alone needs is loaded at its start, so that others do not wait."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from adjoin.cli.options import Cloud, Database, DataDir, Settings, load

Host = Annotated[str | None, typer.Option("--host", metavar="HOST", help="[default: 127.0.0.1]")]
Port = Annotated[int | None, typer.Option("--port", metavar="PORT", help="0: a free one. [default: 8365]")]
Tls = Annotated[
    bool | None,
    typer.Option("--tls/--no-tls", help="Serve https with a certificate of a private CA, DATA-DIR/tls/ca.pem."),
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
    typer.Option(
        "--behind-proxy/--no-behind-proxy", help="A proxy on this machine ends TLS; believe its forwarding headers."
    ),
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
Traces = Annotated[
    bool | None,
    typer.Option("--traces/--no-traces", help="Send traces where OTEL_… says; needs adjoin[otel]. [default: no]"),
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
    traces: Traces = None,
    quiet: Quiet = False,
    config: Settings = None,
) -> None:
    """Run the service until SIGINT or SIGTERM.

    Every option but --quiet and --config can be set as ADJOIN_… or in adjoin.toml, too.
    """
    _start(
        quiet,
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
        traces=traces,
    )


def _start(quiet: bool, config: Path | None, **flags: object) -> None:
    loaded = load(config, **flags)
    from adjoin.cli import running  # noqa: PLC0415 - see the module

    running.start(loaded, quiet)
