"""The service's own certification authority and server certificate: made at first start, renewed before they end.

`ca.pem` is what clients are given. It holds the authority's certificate, and those of its forerunners until they end.
`authority.pem` holds the authority's key and certificate, `server.pem` the server's key and chain. Key and certificate
share a file, so that no crash can leave one without the other. Time is handed in.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, TypeAlias

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, generate_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from adjoin.identity.folder import FileBroken, Folder, opened

CA_FILE: Final = "ca.pem"
AUTHORITY_FILE: Final = "authority.pem"
SERVER_FILE: Final = "server.pem"

CA_LIFE: Final = timedelta(days=3_652)
# A client that was given the forerunner has this long to fetch the new `ca.pem`; until then the chain leads to both.
CA_RENEWAL: Final = timedelta(days=365)
# Browsers and Apple's systems refuse what lasts longer than 398 days. What renews itself needs no such length.
LEAF_LIFE: Final = timedelta(days=90)
LEAF_RENEWAL: Final = timedelta(days=30)
# For clients whose clock is behind.
_BACKDATED: Final = timedelta(hours=1)

_BEGIN: Final = b"-----BEGIN CERTIFICATE-----"

# A host name as certificates have it (RFC 5280, 4.2.1.6): ASCII, perhaps with one star in front.
_LABEL: Final = r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)"
_DNS_NAME: Final = re.compile(rf"(?:\*\.)?{_LABEL}(?:\.{_LABEL})*", re.ASCII)

_Names: TypeAlias = frozenset[x509.GeneralName]


@dataclass(frozen=True, slots=True)
class ServerFiles:
    """What a TLS server needs. `server` holds the key and the chain; `ca` is what clients trust."""

    ca: Path
    server: Path
    serial: int
    ends: datetime


@dataclass(frozen=True, slots=True)
class _Held:
    """A key with its certificate, and the certificates that lead on from there to older authorities."""

    key: EllipticCurvePrivateKey = field(repr=False)
    certificate: x509.Certificate
    chain: tuple[x509.Certificate, ...] = ()

    def pem(self) -> bytes:
        key = self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return key + _pem((self.certificate, *self.chain))

    def lasts(self, now: datetime, spare: timedelta) -> bool:
        return self.certificate.not_valid_before_utc <= now < self.certificate.not_valid_after_utc - spare


def ensure(path: Path, names: Iterable[str], now: datetime) -> ServerFiles:
    """The files of a folder, in order: made if there are none, renewed if they end soon or lack one of `names`.

    Processes that do so at once end up with the same files. Raises a FolderRefusal.
    """
    wanted = frozenset(general_name(name) for name in names)
    with opened(path) as folder:
        authority = _authority(folder, now)
        server = _server(folder, authority, wanted, now)
    certificate = server.certificate
    return ServerFiles(path / CA_FILE, path / SERVER_FILE, certificate.serial_number, certificate.not_valid_after_utc)


def general_name(text: str) -> x509.GeneralName:
    """A host name or an IP address as certificates hold it. Raises ValueError."""
    try:
        return x509.IPAddress(ipaddress.ip_address(text.removeprefix("[").removesuffix("]")))
    except ValueError:
        pass
    name = text if text.isascii() else text.encode("idna").decode("ascii")
    if len(name) > 253 or not _DNS_NAME.fullmatch(name):
        raise ValueError(f"{text!r} is neither a host name nor an IP address")
    return x509.DNSName(name.lower())


# --- the authority


def _authority(folder: Folder, now: datetime) -> _Held:
    """The authority that signs now, and `ca.pem` as it has to be with it."""
    held = _read(folder, AUTHORITY_FILE)
    trusted = _read_trusted(folder)
    if held is None:
        if trusted:
            reason = f"the key to it, {AUTHORITY_FILE}, is gone; bring it back, or move this file away for a new one"
            raise FileBroken(folder.path / CA_FILE, reason)
        held = _new_authority(now, None)
        # The key first: what clients may hold has to have its key on disk.
        folder.write(AUTHORITY_FILE, held.pem())
        folder.write(CA_FILE, _pem([held.certificate]), public=True)
        return held
    if now < held.certificate.not_valid_before_utc:
        reason = f"it is valid from {held.certificate.not_valid_before_utc:%Y-%m-%d} on; is the clock right?"
        raise FileBroken(folder.path / AUTHORITY_FILE, reason)
    if trusted and held.certificate not in trusted:
        reason = f"it is not the certificate to {AUTHORITY_FILE}; move it away to have it made anew"
        raise FileBroken(folder.path / CA_FILE, reason)
    if not trusted:
        folder.write(CA_FILE, _pem([held.certificate]), public=True)
    if held.lasts(now, CA_RENEWAL):
        return held
    return _succeed(folder, held, trusted, now)


def _succeed(folder: Folder, old: _Held, trusted: Sequence[x509.Certificate], now: datetime) -> _Held:
    """A new authority after `old`. Clients that trust the old one alone get to the new one by the chain."""
    new = _new_authority(now, old)
    kept = [each for each in trusted or [old.certificate] if now < each.not_valid_after_utc]
    # Clients' trust first: after a crash in between the old authority signs on, and is still trusted.
    folder.write(CA_FILE, _pem([new.certificate, *kept]), public=True)
    folder.write(AUTHORITY_FILE, new.pem())
    return new


def _new_authority(now: datetime, old: _Held | None) -> _Held:
    key = generate_private_key(SECP256R1())
    # The time in the name: a client that holds several authorities looks for the right one by name.
    subject = _subject(f"adjoin private CA {now:%Y-%m-%d %H:%M:%S}")
    new = _Held(key, _signed(_for_authority(key, subject, now, now + CA_LIFE, below=1), subject, key))
    if old is None or now >= old.certificate.not_valid_after_utc:
        return new
    crossing = _for_authority(key, subject, now, min(now + CA_LIFE, old.certificate.not_valid_after_utc), below=0)
    return _Held(key, new.certificate, (_signed(crossing, old.certificate.subject, old.key),))


# --- the server's certificate


def _server(folder: Folder, authority: _Held, wanted: _Names, now: datetime) -> _Held:
    held = _read(folder, SERVER_FILE)
    chain = tuple(each for each in authority.chain if now < each.not_valid_after_utc)
    if held is not None and now < held.certificate.not_valid_after_utc:
        ours = [authority.certificate, *_read_trusted(folder)]
        if not any(_issued(held.certificate, each) for each in ours):
            reason = f"it is not of the authority in {CA_FILE}; move it away, or serve it with --tls-cert and --tls-key"
            raise FileBroken(folder.path / SERVER_FILE, reason)
        current = _issued(held.certificate, authority.certificate) and held.chain == chain
        if current and held.lasts(now, LEAF_RENEWAL) and _names(held.certificate) == wanted:
            return held
    key = generate_private_key(SECP256R1())
    ends = min(now + LEAF_LIFE, authority.certificate.not_valid_after_utc)
    certificate = _signed(_for_server(key, wanted, now, ends), authority.certificate.subject, authority.key)
    new = _Held(key, certificate, chain)
    folder.write(SERVER_FILE, new.pem())
    return new


def _names(certificate: x509.Certificate) -> _Names:
    try:
        return frozenset(certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
    except (x509.ExtensionNotFound, ValueError):
        return frozenset()


def _issued(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


# --- certificates (RFC 5280)


def _for_authority(
    key: EllipticCurvePrivateKey, subject: x509.Name, begins: datetime, ends: datetime, below: int
) -> x509.CertificateBuilder:
    """`below`: how many authorities may follow it in a chain."""
    return (
        _builder(key, subject, begins, ends)
        .add_extension(x509.BasicConstraints(ca=True, path_length=below), critical=True)
        .add_extension(_usage(authority=True), critical=True)
    )


def _for_server(
    key: EllipticCurvePrivateKey, names: _Names, begins: datetime, ends: datetime
) -> x509.CertificateBuilder:
    ordered = sorted(names, key=lambda name: (isinstance(name, x509.IPAddress), str(name.value)))
    return (
        _builder(key, _subject("adjoin"), begins, ends)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(authority=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName(ordered), critical=False)
    )


def _builder(
    key: EllipticCurvePrivateKey, subject: x509.Name, begins: datetime, ends: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins - _BACKDATED)
        .not_valid_after(ends)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _signed(
    builder: x509.CertificateBuilder, issuer: x509.Name, issuer_key: EllipticCurvePrivateKey
) -> x509.Certificate:
    names_key = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key())
    return builder.issuer_name(issuer).add_extension(names_key, critical=False).sign(issuer_key, hashes.SHA256())


def _usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )


def _subject(name: str) -> x509.Name:
    return x509.Name(
        [x509.NameAttribute(NameOID.ORGANIZATION_NAME, "adjoin"), x509.NameAttribute(NameOID.COMMON_NAME, name)]
    )


# --- files


def _read(folder: Folder, name: str) -> _Held | None:
    data = folder.read(name)
    if data is None:
        return None
    before, mark, after = data.partition(_BEGIN)
    certificates = _parse(mark + after)
    key = _parse_key(before)
    if not certificates or key is None or key.public_key() != certificates[0].public_key():
        raise FileBroken(folder.path / name, "it is torn, or not a P-256 key with its certificate in PEM form")
    return _Held(key, certificates[0], tuple(certificates[1:]))


def _read_trusted(folder: Folder) -> Sequence[x509.Certificate]:
    data = folder.read(CA_FILE, public=True)
    if data is None:
        return ()
    certificates = _parse(data)
    if not certificates:
        raise FileBroken(folder.path / CA_FILE, "it is torn, or holds no certificates in PEM form")
    return certificates


def _parse(data: bytes) -> Sequence[x509.Certificate]:
    """The certificates of a PEM file; none if any of them is torn."""
    try:
        found = x509.load_pem_x509_certificates(data)
    except ValueError:
        return ()
    return found if len(found) == data.count(_BEGIN) else ()


def _parse_key(data: bytes) -> EllipticCurvePrivateKey | None:
    try:
        key = serialization.load_pem_private_key(data, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return None
    return key if isinstance(key, EllipticCurvePrivateKey) and isinstance(key.curve, SECP256R1) else None


def _pem(certificates: Iterable[x509.Certificate]) -> bytes:
    return b"".join(each.public_bytes(serialization.Encoding.PEM) for each in certificates)
