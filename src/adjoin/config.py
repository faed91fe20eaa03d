"""The settings of the service, one frozen value: flags over environment (ADJOIN_*) over `adjoin.toml` over defaults."""

from __future__ import annotations

import ipaddress
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec

from adjoin.odata.errors import Refusal
from adjoin.service.throttle import Limits

Port = Annotated[int, msgspec.Meta(ge=0, le=65_535)]


class BadConfig(Refusal):
    """Settings that cannot be used, or that would be unsafe."""


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="kebab"):
    """Every setting. `docs/operations.md` lists them with their names in each place."""

    host: str = "127.0.0.1"
    port: Port = 8365
    data_dir: Path = Path("var")
    database: str | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None
    public_url: str | None = None
    behind_proxy: bool = False
    audiences: tuple[str, ...] = ()
    throttle: str = "off"
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["auto", "text", "json"] = "auto"
    log_requests: bool = True

    @property
    def database_file(self) -> Path:
        """Where the embedded database is."""
        if self.database is None:
            return self.data_dir / "adjoin.db"
        return Path(self.database.removeprefix("sqlite:///"))

    @property
    def keys_dir(self) -> Path:
        """Where the built-in issuer keeps its signing keys."""
        return self.data_dir / "keys"

    @property
    def scheme(self) -> str:
        return "https" if self.tls_cert else "http"


_NAMES: Final = {field.encode_name: field.name for field in msgspec.structs.fields(Config)}
_PREFIX: Final = "ADJOIN_"


def load(flags: Mapping[str, Any], environment: Mapping[str, str], file: Path | None) -> Config:
    """The settings from their sources; `flags` that are None were not given. Raises BadConfig.

    `file` is read if it is named; without one, `adjoin.toml` is read where the service starts, if it is there.
    """
    settings = _from_file(file) | _from_environment(environment)
    settings |= {name.replace("_", "-"): value for name, value in flags.items() if value is not None}
    try:
        config = msgspec.convert(settings, Config, strict=False, dec_hook=_path)
    except (msgspec.ValidationError, TypeError) as error:
        raise BadConfig(f"A setting is wrong: {error}.") from None
    check(config)
    return config


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
            found[name] = text.split() if name == "audiences" else text
    return found


def _path(wanted: type, value: object) -> object:
    if wanted is Path and isinstance(value, str | Path):
        return Path(value)
    raise TypeError(f"a path is text, not {value!r}")


def check(config: Config) -> None:
    """Refuse settings that contradict each other or open what should be closed. Raises BadConfig."""
    if (config.tls_cert is None) != (config.tls_key is None):
        raise BadConfig("--tls-cert and --tls-key go together: give both or neither.")
    if config.database is not None and "://" in config.database and not config.database.startswith("sqlite:///"):
        raise BadConfig("--database takes a file or sqlite:///FILE in this version.")
    Limits.parse(config.throttle)
    if config.public_url is not None and not config.public_url.startswith(("https://", "http://")):
        raise BadConfig("--public-url begins with https:// or http://.")
    if config.scheme == "http" and not config.behind_proxy and not _is_loopback(config.host):
        raise BadConfig(
            f"Listening on {config.host} over plain http would send bearer tokens in the clear. "
            "Give --tls-cert and --tls-key, or --behind-proxy if a proxy in front ends TLS."
        )


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
