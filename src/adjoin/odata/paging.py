"""Where a list goes on: the content of a $skiptoken, opaque to clients and signed, and the link that carries it.

A page continues behind the last key it showed, never at an offset: rows that come or go meanwhile neither shift nor
repeat others.
"""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, unquote_plus

import msgspec

from adjoin.odata.errors import Malformed, NotServed

_SIGNATURE_BYTES: Final = 16
_KEPT: Final = "".join(map(chr, range(0x21, 0x7F)))
# Holds the values of the sort keys, each up to the longest text of a property; the whole has to fit into a URL.
MAX_TOKEN: Final = 12_288


class Continuation(msgspec.Struct, frozen=True, array_like=True):
    """Behind which row a list goes on, how many rows it may still give in all, and how many a page.

    The row is known by its key and by its values of the sort keys, since it may be gone when the list goes on.
    """

    after: str
    values: tuple[str | int | bool | None, ...]
    remaining: int | None
    page_size: int


@dataclass(frozen=True, slots=True)
class TokenKey:
    """The installation's secret for signing; each tenant's tokens are signed apart."""

    secret: bytes

    def signature(self, payload: bytes, scope: str) -> bytes:
        whole = hmac.digest(self.secret, scope.encode() + b"\x00" + payload, "sha256")
        return whole[:_SIGNATURE_BYTES]


_DECODER: Final = msgspec.msgpack.Decoder(Continuation)


def write(continuation: Continuation, key: TokenKey, scope: str) -> str:
    """A $skiptoken; `scope` names the tenant and collection that it is for. Raises NotServed for one too long."""
    token = seal(msgspec.msgpack.encode(continuation), key, scope)
    if len(token) > MAX_TOKEN:
        raise NotServed("The values that $orderby sorts by are too long for a link to the next page.")
    return token


def read(token: str, key: TokenKey, scope: str) -> Continuation:
    """The content of a $skiptoken that `write` made with the same key and scope. Raises Malformed."""
    try:
        return _DECODER.decode(unseal(token, key, scope, "$skiptoken"))
    except msgspec.DecodeError:
        raise foreign("$skiptoken") from None  # signed by another version of this service


def seal(payload: bytes, key: TokenKey, scope: str) -> str:
    """A token that holds this, signed for one use of it."""
    return urlsafe_b64encode(key.signature(payload, scope) + payload).decode().rstrip("=")


def unseal(token: str, key: TokenKey, scope: str, option: str) -> bytes:
    """What `seal` put into a token, with the same key and scope; `option` carries it. Raises Malformed."""
    refusal = foreign(option)
    if len(token) > MAX_TOKEN or not token.isascii():
        raise refusal
    try:
        data = urlsafe_b64decode(token + "=" * (-len(token) % 4))
    except ValueError:
        raise refusal from None
    # Base64 has several spellings of the same bytes; a token has the one that it was given in.
    if urlsafe_b64encode(data).decode().rstrip("=") != token:
        raise refusal
    signature, payload = data[:_SIGNATURE_BYTES], data[_SIGNATURE_BYTES:]
    if not hmac.compare_digest(signature, key.signature(payload, scope)):
        raise refusal
    return payload


def foreign(option: str) -> Malformed:
    """The refusal of a token that this service never gave."""
    return Malformed(f"The {option} is not one that this service gave for this list.")


def next_link(url: str, raw_query: str, token: str) -> str:
    """The URL of the next page: the same options as the caller wrote them, without $skip, and with the token."""
    # What came unescaped is held as Latin-1 here; in a link it has to be ASCII.
    escaped = quote(raw_query.encode("latin-1", "replace"), safe=_KEPT)
    kept = [part for part in escaped.split("&") if part and _option(part) not in ("skip", "skiptoken")]
    return f"{url}?{'&'.join([*kept, f'$skiptoken={token}'])}"


def _option(part: str) -> str:
    """An option's name as the query reader sees it (`query.given`)."""
    return unquote_plus(part.partition("=")[0]).strip().lower().removeprefix("$")
