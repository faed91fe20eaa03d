"""The keys that tokens are signed and verified with, and the folder where the built-in issuer keeps its own.

The folder holds one PEM file for each key, numbered in the order of creation. The newest signs; the others verify until
no token of theirs can be in date any more, counted from the time at which the next key was made. A key or folder that
others could read, or a file that isn't a key, is refused by name: a service that signs with a key of
unknown history is worse than one that doesn't start.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType
from typing import Any, Final, TypeVar

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from joserfc.jwk import ECKey, RSAKey
from joserfc.jws import JWSRegistry

from adjoin.odata.errors import Refusal

T = TypeVar("T")

ALGORITHMS: Final = ("RS256", "ES256")
"""The signature algorithms that can be trusted at all; both are asymmetric (RFC 8725, 3.1 and 3.2)."""

KEPT: Final = 28 * 3600 + 300
"""How long a key verifies after the next one took over, in seconds: what the longest-lived tokens last (28 hours, those
for continuous access evaluation: graph-contract 4.5), and a little for servers to notice."""

_RSA_BITS: Final = 2048
_FILE_BYTES: Final = 64 * 1024
_SOUND_AT_MOST: Final = 256
_FILE_NAME: Final = re.compile(r"key-(\d{6})\.pem", re.ASCII)
_READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC

_SOUND: Final[set[bytes]] = set()
"""Digests of the files whose numbers this process has found to make a sound key."""

_SIGNATURES: Final = {name: JWSRegistry(algorithms=ALGORITHMS).get_alg(name) for name in ALGORITHMS}


class KeyRefusal(Refusal):
    """The key folder can't be used as it is. An operator has to look; no request ever meets this."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason


class KeyFileUnsafe(KeyRefusal):
    """A key file or its folder that someone other than the service may read or have made."""


class KeyFileBroken(KeyRefusal):
    """A file in the key folder that is torn, can't be read, or is no RSA key of at least 2048 bits."""


class KeyInUse(KeyRefusal):
    """A key that can't be retired: it signs, or tokens of its may still be in date."""


@dataclass(frozen=True, slots=True)
class VerificationKey:
    """A public key, bound to the one algorithm it is used with (RFC 8725, 3.1).

    `issuers` are templates with `{tenantid}`; when there are any, the key verifies tokens of these alone, as an
    `issuer` attribute in a JWKS asks (graph-contract 4.2). The same key may stand for a v1 and a v2 issuer.
    """

    kid: str
    algorithm: str
    key: RSAKey | ECKey = field(repr=False)
    issuers: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """A key of the wrong kind or strength is a fault of the configuration, so it is found before any token."""
        if self.algorithm not in ALGORITHMS:
            raise ValueError(f"the algorithm {self.algorithm} is not one of {', '.join(ALGORITHMS)}")
        _SIGNATURES[self.algorithm].check_key(self.key)
        if self.key.is_private:
            raise ValueError("a verification key is a public key")
        if isinstance(self.key, RSAKey) and self.key.public_key.key_size < _RSA_BITS:
            raise ValueError(f"an RSA key has at least {_RSA_BITS} bits (RFC 7518, 3.3)")

    def verifies(self, signed: bytes, signature: bytes) -> bool:
        """Whether `signature` is this key's over `signed`."""
        return _SIGNATURES[self.algorithm].verify(signed, signature, self.key)


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private key of the built-in issuer; it signs RS256, as Entra does."""

    kid: str
    key: RSAKey = field(repr=False)
    algorithm: str = "RS256"


@dataclass(frozen=True, slots=True)
class KeyRing:
    """The built-in issuer's keys: one that signs now, and all whose tokens are still to be verified, by kid."""

    signing: SigningKey
    verification: Mapping[str, VerificationKey]
    """Newest first."""
    made: Mapping[str, float] = field(default_factory=dict)
    """When each key was made, in Unix seconds."""

    def ends(self) -> dict[str, float]:
        """When each key but the newest is no longer needed, in Unix seconds."""
        kids = list(self.verification)
        pairs = zip(kids[1:], kids, strict=False)
        return {old: self.made[newer] + KEPT for old, newer in pairs if newer in self.made}

    def at(self, now: float) -> KeyRing:
        """The ring without the keys that are no longer needed."""
        ended = {kid for kid, end in self.ends().items() if now >= end}
        if not ended:
            return self
        kept = {kid: key for kid, key in self.verification.items() if kid not in ended}
        return KeyRing(self.signing, MappingProxyType(kept), self.made)

    def jwks(self, issuer: str | None = None) -> dict[str, list[dict[str, Any]]]:
        """The key set as Entra prints it, newest first; `issuer` is the template to name in each key, if any."""
        extra = {"alg": self.signing.algorithm} | ({"issuer": issuer} if issuer else {})
        return {"keys": [_public_jwk(key, extra) for key in self.verification.values()]}


def open_ring(folder: Path, now: float | None = None) -> KeyRing:
    """The keys in a folder. Both the folder and a first key are made when there are none.

    `now` dates a key that is made; None: the system's clock does. Processes that start at once end up with one key.
    """
    with _opened(folder) as handle:
        if not _key_names(handle, folder):
            _create(handle, folder, 1, now)
        return _load(handle, folder)


def add_key(folder: Path, now: float | None = None) -> KeyRing:
    """Rotate: add a key, which signs from now on; the older ones still verify."""
    with _opened(folder) as handle:
        names = _key_names(handle, folder)
        _create(handle, folder, int(names[-1][4:10]) + 1 if names else 1, now)
        return _load(handle, folder)


def remove_key(folder: Path, kid: str, now: float, at_once: bool = False) -> bool:
    """Take a key out of use for good; False: there is none. Raises KeyInUse.

    With `at_once`, tokens that it signed and that are still in date are refused from now on.
    """
    with _opened(folder) as handle:
        ring = _load(handle, folder)
        if kid not in ring.verification:
            return False
        if kid == ring.signing.kid:
            raise KeyInUse(folder, f"the key {kid} signs; `adjoin key rotate` puts another in its place")
        if not at_once and now < ring.ends().get(kid, now):
            raise KeyInUse(folder, f"tokens signed with {kid} may still be in date; --now refuses them from now on")
        name = next(name for name in _key_names(handle, folder) if _read(handle, folder / name)[0] == kid)
        try:
            os.unlink(name, dir_fd=handle)
            os.fsync(handle)
        except OSError as error:
            raise KeyFileBroken(folder / name, f"it cannot be removed ({error.strerror})") from error
        return True


@dataclass(frozen=True, slots=True)
class KeyFile:
    """A key as its file holds it: the file's name, the key in PEM form, and when it was made (Unix seconds)."""

    name: str
    pem: bytes = field(repr=False)
    made: float = 0.0


def files(folder: Path) -> tuple[KeyFile, ...]:
    """The keys in a folder as other nodes may take them, oldest first."""
    with _opened(folder) as handle:
        found = ((name, _read(handle, folder / name)) for name in _key_names(handle, folder))
        return tuple(KeyFile(name, _pem(key), made) for name, (_, key, made) in found)


def mirror(folder: Path, wanted: Iterable[KeyFile]) -> None:
    """Make a folder hold these keys and no others, each put in place whole; new ones come before old ones go."""
    with _opened(folder) as handle:
        by_name = {each.name: each for each in wanted if _FILE_NAME.fullmatch(each.name) and _parse(each.pem)}
        there = _key_names(handle, folder)
        try:
            for name, each in by_name.items():
                if name not in there or _pem(_read(handle, folder / name)[1]) != each.pem:
                    draft = f".{name}.{os.getpid()}"
                    with suppress(FileNotFoundError):
                        os.unlink(draft, dir_fd=handle)
                    _write(handle, draft, each.pem, each.made)
                    os.replace(draft, name, src_dir_fd=handle, dst_dir_fd=handle)
            for name in there:
                if name not in by_name and by_name:
                    with suppress(FileNotFoundError):
                        os.unlink(name, dir_fd=handle)
            os.fsync(handle)
        except OSError as error:
            raise KeyFileBroken(folder, f"its keys cannot be renewed ({error.strerror})") from error


def tried(folder: Path, held: Iterable[KeyFile], act: Callable[[Path], T]) -> tuple[T, tuple[KeyFile, ...]]:
    """What `act` gives on a folder with these keys, and the keys that it leaves there; those in `folder` stay.

    The other lies in `folder` meanwhile, by a name that is passed over. Raises a KeyRefusal, and what `act` raises.
    """
    try:
        with TemporaryDirectory(prefix=".", dir=folder) as name:
            other = Path(name)
            mirror(other, held)
            return act(other), files(other)
    except KeyInUse as refusal:
        # The other folder means nothing to an operator, and is gone.
        raise KeyInUse(folder, refusal.reason) from None
    except OSError as error:
        raise KeyFileBroken(folder, f"its keys cannot be changed ({error.strerror})") from error


@contextmanager
def _opened(folder: Path) -> Iterator[int]:
    """The folder as an open handle, checked. All below works through it, so that nobody can swap it under us."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(folder, _READ | os.O_DIRECTORY)
    except OSError as error:
        raise KeyFileBroken(folder, f"the key folder cannot be opened ({error.strerror})") from error
    try:
        _check_private(folder, os.fstat(handle))
        yield handle
    finally:
        os.close(handle)


def _check_private(path: Path, status: os.stat_result) -> None:
    """Only the service's own account may have made or may read what is at `path`.

    Root is trusted by everyone and trusts everyone's: `sudo adjoin token` reads the key of the service's account.
    """
    mode = stat.S_IMODE(status.st_mode)
    if mode & 0o077:
        raise KeyFileUnsafe(path, f"others may read it (its mode is {mode:04o}); run chmod go= {path}")
    if os.geteuid() not in (status.st_uid, 0) and status.st_uid != 0:
        raise KeyFileUnsafe(path, f"it belongs to another account (user id {status.st_uid})")


def _key_names(handle: int, folder: Path) -> list[str]:
    """The key files, oldest first. A leading dot marks what a crash during creation may leave; it is passed over."""
    names = sorted(name for name in os.listdir(handle) if not name.startswith("."))
    for name in names:
        if not _FILE_NAME.fullmatch(name):
            raise KeyFileBroken(folder / name, "this file does not belong in the key folder; move it away")
    return names


def _create(handle: int, folder: Path, number: int, now: float | None) -> None:
    """Make key `number`, unless another process made it meanwhile.

    The file gets its name only when it is whole and on disk, by a link, which fails when the name is taken. Its first
    name is the key's own thumbprint, which no other process can have.
    """
    key = generate_private_key(public_exponent=65537, key_size=_RSA_BITS)
    draft = f".{RSAKey.import_key(key.public_key()).thumbprint()}"
    try:
        _write(handle, draft, _pem(key), now)
        try:
            with suppress(FileExistsError):
                os.link(draft, f"key-{number:06}.pem", src_dir_fd=handle, dst_dir_fd=handle, follow_symlinks=False)
        finally:
            os.unlink(draft, dir_fd=handle)
        os.fsync(handle)
    except OSError as error:
        raise KeyFileBroken(folder, f"a key cannot be written ({error.strerror})") from error


def _write(handle: int, name: str, data: bytes, now: float | None) -> None:
    descriptor = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=handle)
    with os.fdopen(descriptor, "wb") as file:
        if os.geteuid() == 0:
            # Root may be first (`sudo adjoin token`); the service must still be able to read its own key.
            owner = os.fstat(handle)
            os.fchown(descriptor, owner.st_uid, owner.st_gid)
        file.write(data)
        file.flush()
        if now is not None:
            os.utime(descriptor, (now, now))
        os.fsync(descriptor)


def _pem(key: RSAPrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _load(handle: int, folder: Path) -> KeyRing:
    keys = [_read(handle, folder / name) for name in reversed(_key_names(handle, folder))]
    if not keys:
        raise KeyFileBroken(folder, "the key that was just made is gone")
    public = {kid: VerificationKey(kid, "RS256", RSAKey.import_key(key.public_key())) for kid, key, _ in keys}
    made = {kid: when for kid, _, when in keys}
    kid, newest, _ = keys[0]
    return KeyRing(SigningKey(kid, RSAKey.import_key(newest)), MappingProxyType(public), MappingProxyType(made))


def _read(handle: int, path: Path) -> tuple[str, RSAPrivateKey, float]:
    """One key file: its kid (the RFC 7638 thumbprint), its key, and when it was made."""
    try:
        # O_NONBLOCK: a pipe by this name must not hold the start up.
        descriptor = os.open(path.name, _READ | os.O_NONBLOCK, dir_fd=handle)
        with os.fdopen(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise KeyFileBroken(path, "it is not a plain file")
            _check_private(path, status)
            data = file.read(_FILE_BYTES)
    except OSError as error:
        raise KeyFileBroken(path, f"it cannot be read ({error.strerror})") from error
    key = _parse(data)
    if key is None:
        raise KeyFileBroken(path, f"it is torn, or no unencrypted RSA key in PEM form of at least {_RSA_BITS} bits")
    return RSAKey.import_key(key.public_key()).thumbprint(), key, status.st_mtime


def _parse(data: bytes) -> RSAPrivateKey | None:
    # Testing for primes takes a thousand times as long as reading, and the same bytes come by at each look.
    digest = hashlib.sha256(data).digest()
    try:
        key = serialization.load_pem_private_key(data, None, unsafe_skip_rsa_key_validation=digest in _SOUND)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return None
    if not isinstance(key, RSAPrivateKey) or key.key_size < _RSA_BITS:
        return None
    if len(_SOUND) >= _SOUND_AT_MOST:
        _SOUND.clear()
    _SOUND.add(digest)
    return key


def _public_jwk(key: VerificationKey, extra: Mapping[str, str]) -> dict[str, Any]:
    numbers = key.key.as_dict(private=False)
    return {"kty": "RSA", "use": "sig", "kid": key.kid, "n": numbers["n"], "e": numbers["e"], **extra}
