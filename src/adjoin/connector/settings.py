"""A connector's one file: whom it belongs to, its servers, and its private key. Readable by its owner alone (0600).

Written whole or not at all, and on disk before anything is done that goes by it.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import httpx

from adjoin.connector.faults import Unusable

DEFAULT: Final = Path("/etc/adjoin-connector/connector.toml")
_TRIES: Final = 20
_PAUSE: Final = 0.05
_LOOPBACK: Final = ("localhost", "127.0.0.1", "::1")
_HEAD: Final = (
    "# An adjoin connector. It holds the connector's private key: keep it to yourself, and copy it nowhere.\n"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The file's content. `servers` are tried in their order; `ca` is a file with the authorities to believe.

    `next_key` is there while the key is being renewed. Times are Unix seconds of the server's clock.
    """

    servers: tuple[str, ...]
    tenant: str
    connector: str
    name: str
    token_path: str
    audience: str
    scope: str
    key: str
    key_expires: float
    renew_key_after: float
    next_key: str = ""
    ca: str = ""
    metrics_port: int = 0


_KINDS: Final[dict[str, type | tuple[type, ...]]] = {
    "servers": list, "key_expires": (int, float), "renew_key_after": (int, float), "metrics_port": int
}  # fmt: skip


def load(file: Path) -> Settings:
    """Read the file. Raises Unusable."""
    try:
        mode = file.stat().st_mode
        found = tomllib.loads(file.read_text("utf-8"))
    except FileNotFoundError:
        raise Unusable(f"There is no {file}: enrol this machine first with `adjoin connector enroll`.") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise Unusable(f"The file {file} cannot be read: {error}.") from None
    if mode & 0o077:
        raise Unusable(f"The file {file} holds a private key and can be read by others; run `chmod 600 {file}`.")
    return _checked(file, {name.replace("-", "_"): value for name, value in found.items()})


def _checked(file: Path, found: dict[str, Any]) -> Settings:
    names = {each.name for each in fields(Settings)}
    needed = {each.name for each in fields(Settings) if each.default is MISSING}
    if missing := sorted(each.replace("_", "-") for each in needed - found.keys()):
        raise Unusable(f"The file {file} is not whole: it lacks {', '.join(missing)}.")
    for name, value in found.items():
        if name not in names or isinstance(value, bool) or not isinstance(value, _KINDS.get(name, str)):
            raise Unusable(f"The file {file} has a setting that is wrong: {name.replace('_', '-')}.")
    servers = tuple(map(str, found.pop("servers")))
    settings = Settings(servers=servers, **found)
    if not servers:
        raise Unusable(f"The file {file} names no servers.")
    for each in servers:
        check_server(each)
    return settings


def check_server(url: str) -> None:
    """Refuse what is no URL of a server, or one that secrets would travel to in the clear. Raises Unusable."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
        _ = httpx.URL(url).host
    except (ValueError, httpx.InvalidURL):
        raise Unusable(f"'{url}' is no URL.") from None
    if parts.scheme not in ("https", "http") or not host or parts.path.strip("/") or parts.query or parts.username:
        raise Unusable(f"'{url}' is no URL of a server, such as https://adjoin.example.")
    if parts.scheme == "http" and host not in _LOOPBACK:
        raise Unusable(f"'{url}' is not https: the connector's tokens would travel in the clear.")


def save(file: Path, settings: Settings) -> None:
    """Write the file. Raises Unusable."""
    lines = (f"{each.name.replace('_', '-')} = {_toml(getattr(settings, each.name))}\n" for each in fields(Settings))
    write(file, _HEAD + "".join(lines))


def write(file: Path, text: str) -> None:
    """Write a file for its owner alone, so that it is the old one or the new one whatever happens. Raises Unusable."""
    beside = file.with_name(f".{file.name}.new")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        beside.unlink(missing_ok=True)
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as written:
            written.write(text)
            written.flush()
            os.fsync(written.fileno())
        beside.replace(file)
        folder = os.open(file.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise Unusable(f"The file {file} cannot be written: {error.strerror}.") from None


def _toml(value: Any) -> str:
    """JSON's strings, numbers and lists of strings are TOML's, too, as long as it escapes no pairs of surrogates."""
    text = json.dumps(list(value) if isinstance(value, tuple) else value, ensure_ascii=False)
    return text.replace("\x7f", "\\u007f")


def beside(file: Path, what: str) -> Path:
    """The file of a connector's that is kept beside its one file: its lock, its status, the key of an enrolment."""
    if not file.name or file.is_dir():
        raise Unusable(f"{file} is a directory; name the connector's file with --config.")
    return file.with_name(f".{file.name}.{what}")


@contextmanager
def claimed(file: Path, pause: Callable[[float], None] = time.sleep) -> Iterator[None]:
    """While this lasts, no other process acts for this connector. Raises Unusable."""
    try:
        lock = beside(file, "lock")
        lock.parent.mkdir(parents=True, exist_ok=True)
        descriptor = _locked(lock, pause)
    except OSError as error:
        raise Unusable(f"The file {error.filename or file} cannot be made or locked: {error.strerror}.") from None
    if descriptor is None:
        raise Unusable(f"Another process acts for the connector of {file} already; stop it first.")
    try:
        yield
    finally:
        os.close(descriptor)


def acts(file: Path) -> bool:
    """Whether a process acts for this connector. Raises Unusable where that cannot be told."""
    try:
        descriptor = os.open(beside(file, "lock"), os.O_RDONLY)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise Unusable(f"The file {error.filename or file} cannot be looked at: {error.strerror}.") from None
    try:
        return not _taken(descriptor, fcntl.LOCK_SH)
    finally:
        os.close(descriptor)


def forget(file: Path) -> None:
    """Take away the connector's files, of which its lock is the last. Raises Unusable."""
    try:
        for each in (file, *(beside(file, what) for what in ("status", "key", "new", "lock"))):
            each.unlink(missing_ok=True)
    except OSError as error:
        raise Unusable(f"The file {error.filename} cannot be removed: {error.strerror}.") from None


def _locked(lock: Path, pause: Callable[[float], None]) -> int | None:
    """The lock, opened and taken for this process alone; None while another has it so."""
    for _ in range(_TRIES):
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
        if _taken(descriptor, fcntl.LOCK_EX):
            # Whoever left has removed it, perhaps in this moment, and the next one would lock another.
            if os.fstat(descriptor).st_nlink:
                return descriptor
        elif not _taken(descriptor, fcntl.LOCK_SH):
            os.close(descriptor)
            return None
        else:
            # Somebody only looks whether there is one who acts, which takes no time.
            pause(_PAUSE)
        os.close(descriptor)
    return None


def _taken(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
