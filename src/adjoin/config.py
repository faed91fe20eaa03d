"""The settings of the service, one frozen value: flags over environment (ADJOIN_*) over `adjoin.toml` over defaults."""

from __future__ import annotations

import ipaddress
import re
import tomllib
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeAlias
from urllib.parse import urlsplit

import msgspec

from adjoin.identity.clouds import NAMED, Cloud, CloudName
from adjoin.odata.errors import Refusal
from adjoin.service.receivers import Allowed
from adjoin.service.throttle import Limits
from adjoin.store.address import is_postgresql, is_readable

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network
Port = Annotated[int, msgspec.Meta(ge=0, le=65_535)]
Days = Annotated[int, msgspec.Meta(ge=1, le=36_500)]


class BadConfig(Refusal):
    """Settings that cannot be used, or that would be unsafe."""


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="kebab"):
    """Every setting. `docs/operations.md` lists them with their names in each place."""

    host: str = "127.0.0.1"
    port: Port = 8365
    data_dir: Path = Path("var")
    database: str | None = None
    workers: Annotated[int, msgspec.Meta(ge=1, le=64)] = 1
    tls: bool = False
    tls_names: tuple[str, ...] = ()
    tls_cert: Path | None = None
    tls_key: Path | None = None
    public_url: str | None = None
    behind_proxy: bool = False
    trusted_proxies: tuple[str, ...] = ()
    cloud: CloudName = "global"
    audiences: tuple[str, ...] = ()
    issuers: tuple[dict[str, Any], ...] = ()
    throttle: str = "off"
    webhook_allow: tuple[str, ...] = ()
    webhook_ca: Path | None = None
    audit_days: Days = 365
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["auto", "text", "json"] = "auto"
    log_requests: bool = True
    max_requests: Annotated[int, msgspec.Meta(ge=1, le=100_000)] = 1_024
    metrics: Literal["local", "public", "off"] = "local"
    server_timing: bool = False
    traces: bool = False

    @property
    def database_file(self) -> Path:
        """Where the embedded database is."""
        if self.database is None:
            return self.data_dir / "adjoin.db"
        return Path(self.database.removeprefix("sqlite:///"))

    @property
    def database_url(self) -> str | None:
        """Which database on a PostgreSQL server, if it is on one."""
        return self.database if self.database is not None and is_postgresql(self.database) else None

    @property
    def database_place(self) -> Path | str:
        """Where the database is: the file of the embedded one, or the URL of one on a PostgreSQL server."""
        return self.database_url or self.database_file

    @property
    def keys_dir(self) -> Path:
        """Where the built-in issuer keeps its signing keys, or a copy of those that the nodes of a database share."""
        return self.data_dir / ("keys" if self.database_url is None else "shared-keys")

    @property
    def tls_dir(self) -> Path:
        """Where the service's own certification authority is kept, with what it issued."""
        return self.data_dir / "tls"

    @property
    def scheme(self) -> str:
        return "https" if self.tls or self.tls_cert else "http"

    @property
    def national_cloud(self) -> Cloud:
        """The cloud whose tokens are issued and accepted."""
        return NAMED[self.cloud]

    @property
    def trusted_networks(self) -> tuple[Network, ...]:
        """The proxies whose word on the client's URL counts: those listed, or with `behind_proxy` this machine's."""
        texts = self.trusted_proxies or (_LOOPBACK if self.behind_proxy else ())
        return tuple(ipaddress.ip_network(text) for text in texts)

    @property
    def serves_loopback(self) -> bool:
        """Whether programs of this machine reach the service as localhost."""
        return self.host in _WILDCARDS or is_loopback(self.host)

    def certificate_names(self, machine: str) -> tuple[str, ...]:
        """What a certificate of our own authority is good for; `machine` is this machine's host name."""
        by_chance = [text for text in (machine, self.host) if text not in _WILDCARDS and _is_nameable(text)]
        public = urlsplit(self.public_url or "").hostname
        return tuple(dict.fromkeys([*_OWN_NAMES, *by_chance, *([public] if public else []), *self.tls_names]))


_NAMES: Final = {field.encode_name: field.name for field in msgspec.structs.fields(Config)}
_SWITCHES: Final = {field.encode_name for field in msgspec.structs.fields(Config) if field.type is bool}
_PREFIX: Final = "ADJOIN_"
_TRACES: Final = "opentelemetry"
_LOOPBACK: Final = ("127.0.0.0/8", "::1/128")
_WILDCARDS: Final = ("0.0.0.0", "::", "")  # noqa: S104 - they are told from addresses, not listened on
_OWN_NAMES: Final = ("localhost", "127.0.0.1", "::1")
# Of a host what `web/proxies.py` takes as one.
_ORIGIN: Final = re.compile(r"https?://(?:[A-Za-z0-9_.~-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?/?")
_AT: Final = re.compile(r" - at `\$\.([a-z-]+)[^`]*`$")
_UNKNOWN: Final = re.compile(r"unknown field `(.+?)`")
_SPELLINGS: Final = {"yes": "true", "on": "true", "no": "false", "off": "false"}
_LISTS: Final = ("audiences", "tls-names", "trusted-proxies", "webhook-allow")


def load(flags: Mapping[str, Any], environment: Mapping[str, str], file: Path | None) -> Config:
    """The settings from their sources; `flags` that are None were not given. Raises BadConfig.

    `file` is read if it is named; without one, `adjoin.toml` is read where the service starts, if it is there.
    """
    settings = _from_file(file) | _from_environment(environment)
    settings |= {name.replace("_", "-"): value for name, value in flags.items() if value is not None}
    try:
        config = msgspec.convert(settings, Config, strict=False, dec_hook=_path)
    except (msgspec.ValidationError, TypeError) as error:
        raise BadConfig(_wrong(str(error), flags, environment, file)) from None
    check(config)
    if config.public_url is None:
        return config
    return msgspec.structs.replace(config, public_url=config.public_url.removesuffix("/"))


def _wrong(says: str, flags: Mapping[str, Any], environment: Mapping[str, str], file: Path | None) -> str:
    """What is wrong with which setting, and where it was given."""
    place = file or Path("adjoin.toml")
    if unknown := _UNKNOWN.search(says):
        return f"{place}: there is no setting {unknown.group(1)}."
    if not (at := _AT.search(says)):
        return f"A setting is wrong: {says}."
    name = at.group(1)
    under, variable = name.replace("-", "_"), _PREFIX + name.replace("-", "_").upper()
    given = f"{place}: {name}"
    if flags.get(under) is not None:
        given = f"--{name}"
    elif environment.get(variable):
        given = variable
    return f"{given} is wrong: {_uncapitalised(says[: at.start()])}."


def _uncapitalised(text: str) -> str:
    return text[:1].lower() + text[1:].replace("`", "")


def _from_file(file: Path | None) -> dict[str, Any]:
    path = file or Path("adjoin.toml")
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        if file is None:
            return {}
        raise BadConfig(f"There is no settings file {path}.") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BadConfig(f"The settings file {path} cannot be read: {error}.") from None


def _from_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in _NAMES:
        text = environment.get(_PREFIX + name.replace("-", "_").upper())
        if text:
            found[name] = text.split() if name in _LISTS else text
            if name in _SWITCHES:
                found[name] = _SPELLINGS.get(text.lower(), text)
    return found


def _path(wanted: type, value: object) -> object:
    if wanted is Path and isinstance(value, str | Path):
        return Path(value)
    raise TypeError(f"a path is text, not {value!r}")


def check(config: Config) -> None:
    """Refuse settings that contradict each other or open what should be closed. Raises BadConfig."""
    if (config.tls_cert is None) != (config.tls_key is None):
        raise BadConfig("--tls-cert and --tls-key go together: give both or neither.")
    _check_database(config)
    Limits.parse(config.throttle)
    Allowed.parse(config.webhook_allow)
    if config.webhook_ca is not None and not config.webhook_ca.is_file():
        raise BadConfig(f"There is no file {config.webhook_ca} for --webhook-ca.")
    if config.public_url is not None and not _is_origin(config.public_url):
        raise BadConfig(
            f"--public-url is https:// or http://, a host and perhaps a port, such as https://adjoin.example.org:8443; "
            f"{config.public_url!r} is not, or has more: the service answers at the root of its host alone."
        )
    if config.traces and find_spec(_TRACES) is None:
        raise BadConfig("--traces needs OpenTelemetry, which is not installed: pip install 'adjoin[otel]'.")
    _check_proxies(config)
    _check_names(config)


def _check_database(config: Config) -> None:
    database = config.database
    if config.workers > 1 and config.database_url is None:
        raise BadConfig(
            "--workers takes more than one process only with --database postgresql://…: "
            "SQLite takes one, which keeps the database in its own memory as far as it can."
        )
    if database is not None and not database.removeprefix("sqlite:///"):
        raise BadConfig("--database is empty (as is ADJOIN_DATABASE where a variable in it is not set).")
    if database is not None and "://" in database and not database.startswith("sqlite:///"):
        if config.database_url is None:
            raise BadConfig("--database takes a file, sqlite:///FILE, or postgresql://USER@HOST/NAME.")
        if not is_readable(database):
            # Its text is not repeated here: it may hold a password.
            raise BadConfig(
                "--database is no URL of a PostgreSQL database. It has the form postgresql://USER@HOST:PORT/NAME; "
                "in a password, write @ as %40, / as %2F and # as %23, or leave it to PGPASSWORD or ~/.pgpass."
            )


def _check_proxies(config: Config) -> None:
    try:
        networks = config.trusted_networks
    except ValueError as error:
        raise BadConfig(f"--trusted-proxy takes an address or a network such as 10.0.0.0/8: {error}.") from None
    if any(network.prefixlen == 0 for network in networks):
        raise BadConfig("--trusted-proxy names everyone: any client could say that it came by another URL.")
    if config.scheme == "http" and not config.trusted_proxies and not is_loopback(config.host):
        raise BadConfig(
            f"Listening on {config.host} over plain http would send bearer tokens in the clear. "
            "Give --tls, or --tls-cert and --tls-key, or name the proxy in front that ends TLS with --trusted-proxy."
        )


def _check_names(config: Config) -> None:
    if config.tls and config.tls_cert is None:
        for text in config.certificate_names(""):
            if not _is_nameable(text):
                raise BadConfig(f"A certificate cannot be made out to {text!r}: it is no host name and no IP address.")


def _is_origin(text: str) -> bool:
    """Whether a URL is scheme, host and optional port, and nothing else but a slash."""
    if not _ORIGIN.fullmatch(text):
        return False
    try:
        parts = urlsplit(text)
        if "[" in text:
            ipaddress.IPv6Address(parts.hostname or "")
        return parts.port != 0
    except ValueError:
        return False


def _is_nameable(text: str) -> bool:
    # Here, and not above: few have names to check, and what reads certificates is a good part of any command's start.
    from adjoin.identity.certificates import general_name  # noqa: PLC0415

    try:
        general_name(text)
    except ValueError:
        return False
    return True


def is_loopback(host: str) -> bool:
    """Whether a host is this machine for those on it, by its name alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
