"""The multipart batch format of OData: requests as HTTP text in the parts of a MIME message, some in change sets.

A change set is carried out whole or not at all. MIME is read with Python's own parser; what stands in the parts is read
here. Source: OData 4.01 part 1, 11.7.7.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from email.message import Message
from email.parser import BytesParser
from typing import Final

from adjoin.odata.errors import MalformedBody, TooManyItems

MAX_ITEMS: Final = 100
_START: Final = re.compile(r"([A-Z]{3,10}) (\S{1,16384}) HTTP/1\.1")
_HEADER: Final = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*(.*?)[ \t]*")
_CONTENT_ID: Final = re.compile(r"[!-~]{1,128}")
_CONTENT_TYPE: Final = re.compile(r"multipart/mixed\s*;", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Request:
    """One request. `content_id` is its name inside its change set; header names are in small letters."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes
    content_id: str | None = None


@dataclass(frozen=True, slots=True)
class ChangeSet:
    """Requests that are carried out together."""

    requests: tuple[Request, ...]


Part = Request | ChangeSet


@dataclass(frozen=True, slots=True)
class Answer:
    """What one request was answered, or a whole change set that failed."""

    status: int
    headers: Sequence[tuple[str, str]]
    body: bytes
    content_id: str | None = None


def is_multipart(content_type: str | None) -> bool:
    """Whether a body of this type is a multipart batch."""
    return content_type is not None and _CONTENT_TYPE.match(content_type.strip()) is not None


def parse(content_type: str, body: bytes) -> list[Part]:
    """The parts of a multipart batch in their order. Raises MalformedBody or TooManyItems."""
    head = f"Content-Type: {content_type.strip()}\r\n\r\n".encode("latin-1", "replace")
    if b"\n" in head[:-4] or b"\r" in head[:-4]:
        raise MalformedBody("The Content-Type of the batch is malformed.")
    # The MIME parser takes its time over what is nobody's batch.
    if body.count(b"\n--") > 5 * MAX_ITEMS:
        raise TooManyItems(MAX_ITEMS)
    try:
        return _read(BytesParser().parsebytes(head + body))
    except (ValueError, LookupError, TypeError, RecursionError):
        # What Python's parser makes of odd charsets, headers and depths is not to be foreseen one by one.
        raise MalformedBody("The batch is not the multipart message that it should be.") from None


def _read(message: Message) -> list[Part]:
    parts: list[Part] = []
    number = 0
    for each in _parts(message):
        part = _change_set(each) if each.get_content_maintype() == "multipart" else _request(each)
        number += len(part.requests) if isinstance(part, ChangeSet) else 1
        if number > MAX_ITEMS:
            raise TooManyItems(MAX_ITEMS)
        parts.append(part)
    return parts


def _parts(message: Message) -> list[Message]:
    payload = message.get_payload()
    if not isinstance(payload, list) or message.defects:
        raise MalformedBody("The batch is not the multipart message that its boundary says.")
    return payload  # type: ignore[return-value]  # the parser makes no strings of a multipart payload


def _change_set(message: Message) -> ChangeSet:
    requests = tuple(_request(each) for each in _parts(message))
    if any(each.method == "GET" for each in requests):
        raise MalformedBody("A change set holds changes only; a GET stands outside of it.")
    return ChangeSet(requests)


def _request(message: Message) -> Request:
    if message.get_content_type() != "application/http":
        raise MalformedBody("A part of a batch is of the type application/http, or a change set.")
    raw = message.get_payload(decode=True)
    content = raw if isinstance(raw, bytes) else b""
    head, ended, body = content.lstrip(b"\r\n").replace(b"\r\n", b"\n", _lines(content)).partition(b"\n\n")
    start, *lines = head.decode("latin-1").split("\n")
    match = _START.fullmatch(start.strip())
    if match is None:
        raise MalformedBody("A part of the batch does not begin with a request line such as 'GET /beta/… HTTP/1.1'.")
    headers: dict[str, str] = {}
    for line in lines:
        header = _HEADER.fullmatch(line.rstrip("\r"))
        if header is None:
            raise MalformedBody(
                "A header in a part of the batch is malformed."
                if ended
                else "The empty line that ends the head of a request is missing in a part of the batch."
            )
        headers[header.group(1).lower()] = header.group(2)
    content_id = message.get("Content-ID")
    name = None if content_id is None else _shown_id(str(content_id).strip())
    return Request(match.group(1), match.group(2), headers, _cut(body, headers), name)


def _shown_id(text: str) -> str:
    """A Content-ID as it may stand in the answer. Raises MalformedBody."""
    if not _CONTENT_ID.fullmatch(text):
        raise MalformedBody("A Content-ID in the batch is not 1 to 128 visible ASCII characters.")
    return text


def _lines(content: bytes) -> int:
    """How many line ends the head of a request has, so that its body's are left as they are."""
    head, _, _ = content.lstrip(b"\r\n").partition(b"\r\n\r\n")
    return head.count(b"\r\n") + 2


def _cut(body: bytes, headers: Mapping[str, str]) -> bytes:
    """The body without the line end that belongs to the boundary."""
    length = headers.get("content-length", "")
    return body[: int(length)] if length.isdecimal() and len(length) < 9 else body.rstrip(b"\r\n")


def write(answers: Sequence[Answer | Sequence[Answer]], boundary: str) -> bytes:
    """The body of the answer; a sequence inside is a change set that was carried out. `boundary` has to be new."""
    parts = []
    for number, each in enumerate(answers):
        if isinstance(each, Answer):
            parts.append(_http_part(each))
        else:
            inner = f"changeset_{boundary}_{number}"
            content = _joined([_http_part(one) for one in each], inner)
            parts.append(f"Content-Type: multipart/mixed; boundary={inner}\r\n\r\n".encode() + content)
    return _joined(parts, boundary)


def _joined(parts: Sequence[bytes], boundary: str) -> bytes:
    sign = f"--{boundary}".encode()
    return b"".join(sign + b"\r\n" + part + b"\r\n" for part in parts) + sign + b"--\r\n"


def _http_part(answer: Answer) -> bytes:
    outer = "Content-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n"
    if answer.content_id is not None:
        outer += f"Content-ID: {answer.content_id}\r\n"
    lines = "".join(f"{name}: {value}\r\n" for name, value in answer.headers)
    head = f"{outer}\r\nHTTP/1.1 {answer.status} {_REASONS.get(answer.status, 'Error')}\r\n{lines}\r\n"
    return head.encode("latin-1", "replace") + answer.body


_REASONS: Final = {
    200: "OK",
    201: "Created",
    204: "No Content",
    304: "Not Modified",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    409: "Conflict",
    412: "Precondition Failed",
    424: "Failed Dependency",
    501: "Not Implemented",
    503: "Service Unavailable",
}
