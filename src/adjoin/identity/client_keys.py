"""A client's certificate or public key, from PEM to what is registered of it: names, public key, end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization

from adjoin.identity.assertions import public_key_of, thumbprint

_CERTIFICATE: Final = b"-----BEGIN CERTIFICATE-----"


class BadClientKey(ValueError):
    """A file that holds no certificate or public key that an application could prove itself by."""


@dataclass(frozen=True, slots=True)
class ClientKey:
    """`names` are what headers of assertions may call the key; `expires` is in Unix seconds."""

    names: tuple[str, ...]
    public_key: bytes
    expires: int | None


def read(pem: bytes) -> ClientKey:
    """The first certificate in a PEM text, or the public key. Raises BadClientKey."""
    try:
        return _certificate(pem) if _CERTIFICATE in pem else _bare(pem)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise BadClientKey(f"It holds no certificate or public key in PEM form that can be used: {error}.") from None


def _certificate(pem: bytes) -> ClientKey:
    certificate = x509.load_pem_x509_certificate(pem)
    whole, der = certificate.public_bytes(serialization.Encoding.DER), _der(certificate.public_key())
    names = (thumbprint(whole, sha256=True), thumbprint(whole, sha256=False), public_key_of(der).thumbprint())
    return ClientKey(names, der, int(certificate.not_valid_after_utc.timestamp()))


def _bare(pem: bytes) -> ClientKey:
    """A key without a certificate goes by its RFC 7638 thumbprint, as `kid`."""
    der = _der(serialization.load_pem_public_key(pem))
    return ClientKey((public_key_of(der).thumbprint(),), der, None)


def _der(key: object) -> bytes:
    encode = getattr(key, "public_bytes", None)
    if encode is None:
        raise ValueError("the kind of key is not known")
    der: bytes = encode(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return der
