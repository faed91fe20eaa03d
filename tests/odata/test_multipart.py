"""OData's multipart batch: read from CRLF or LF, written so that it reads back, and malformed in any other form."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from email.parser import BytesParser
from typing import Any, Final

import pytest

from adjoin.odata.errors import MalformedBody, TooManyItems
from adjoin.odata.multipart import MAX_ITEMS, Answer, ChangeSet, Part, Request, is_multipart, parse, write

TYPE: Final = "multipart/mixed; boundary=batch_1"
HTTP: Final = "Content-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n"
GET: Final = "GET /beta/deviceManagement/domainJoinConnectors HTTP/1.1\r\nAccept: application/json\r\n\r\n"
BODY: Final = '{"displayName": "é"}'
POST: Final = (
    "POST /beta/deviceManagement/domainJoinConnectors HTTP/1.1\r\nContent-Type: application/json\r\n\r\n" + BODY
)
PATCH: Final = "PATCH $1 HTTP/1.1\r\nContent-Type: application/json\r\nIf-Match: *\r\n\r\n{}"


def part(content: str, headers: str = HTTP) -> str:
    return f"{headers}\r\n{content}"


def joined(*parts: str, boundary: str = "batch_1") -> str:
    return "".join(f"--{boundary}\r\n{each}\r\n" for each in parts) + f"--{boundary}--\r\n"


def change_set(*parts: str, boundary: str = "changes") -> str:
    return f"Content-Type: multipart/mixed; boundary={boundary}\r\n\r\n" + joined(*parts, boundary=boundary)


def named(content: str, name: str) -> str:
    return part(content, f"{HTTP}Content-ID: {name}\r\n")


def read(text: str, content_type: str = TYPE) -> list[Part]:
    return parse(content_type, text.encode())


def refused(text: str | bytes, content_type: str = TYPE) -> None:
    with pytest.raises(MalformedBody):
        parse(content_type, text if isinstance(text, bytes) else text.encode())


WHOLE: Final = joined(part(GET), change_set(named(POST, "1"), named(PATCH, "2")), part(GET))


@pytest.mark.parametrize("ends", ["\r\n", "\n"], ids=["CRLF", "LF"])
def test_a_batch_is_requests_and_change_sets_in_their_order(ends: str) -> None:
    url = "/beta/deviceManagement/domainJoinConnectors"
    get = Request("GET", url, {"accept": "application/json"}, b"")
    post = Request("POST", url, {"content-type": "application/json"}, BODY.encode(), "1")
    patch = Request("PATCH", "$1", {"content-type": "application/json", "if-match": "*"}, b"{}", "2")
    assert read(WHOLE.replace("\r\n", ends)) == [get, ChangeSet((post, patch)), get]


@pytest.mark.parametrize(
    "content_type",
    [
        *(TYPE, "multipart/mixed;boundary=batch_1", "Multipart/Mixed ; BOUNDARY=batch_1"),
        'multipart/mixed; boundary="batch_1"',
        *("multipart/mixed; charset=utf-8; boundary=batch_1", "  multipart/mixed; boundary=batch_1  "),
    ],
)  # fmt: skip
def test_the_boundary_is_found_however_the_type_is_written(content_type: str) -> None:
    assert is_multipart(content_type)
    assert len(read(WHOLE, content_type)) == 3


@pytest.mark.parametrize(
    "content_type",
    [None, "", "application/json", "multipart/form-data; boundary=x", "multipart/mixed", "x multipart/mixed;"],
)
def test_other_types_are_no_multipart_batch(content_type: str | None) -> None:
    assert not is_multipart(content_type)


def test_what_stands_before_and_behind_the_parts_is_passed_over() -> None:
    assert len(read(f"a preamble\r\n{WHOLE}and an epilogue")) == 3


def test_a_body_is_cut_at_its_length_or_at_the_boundary() -> None:
    head = "POST /x HTTP/1.1\r\n"
    (with_length,) = read(joined(part(f"{head}Content-Length: 2\r\n\r\n{{}}   ")))
    (without,) = read(joined(part(f"{head}\r\n{{}}\r\n\r\n")))
    (absurd,) = read(joined(part(f"{head}Content-Length: 99999999999\r\n\r\n{{}}")))
    (odd,) = read(joined(part(f"{head}Content-Length: x\r\n\r\n{{}}")))
    assert {each.body for each in (with_length, without, absurd, odd) if isinstance(each, Request)} == {b"{}"}


def test_a_base64_part_is_decoded() -> None:
    headers = "Content-Type: application/http\r\nContent-Transfer-Encoding: base64\r\n"
    assert read(joined(part("R0VUIC94IEhUVFAvMS4xDQoNCg==", headers))) == [Request("GET", "/x", {}, b"")]


@pytest.mark.parametrize("gets", [[GET], [POST, GET], [GET, POST]])
def test_a_get_in_a_change_set_is_refused(gets: list[str]) -> None:
    refused(joined(change_set(*map(part, gets))))


def test_a_head_that_is_not_ended_is_told_from_a_bad_header() -> None:
    for request, said in (
        ("GET /x HTTP/1.1\r\n", "The empty line that ends the head of a request is missing in a part of the batch."),
        ("GET /x HTTP/1.1\r\nno header\r\n\r\n", "A header in a part of the batch is malformed."),
    ):
        with pytest.raises(MalformedBody) as caught:
            read(joined(part(request)))
        assert caught.value.message == said


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nothing",
        "--other\r\n\r\n--other--\r\n",
        "--batch_1\r\n",
        joined(part(GET)).removesuffix("--batch_1--\r\n"),
        joined(part(GET, "Content-Type: text/plain\r\n")),
        joined(part(GET, "")),
        joined(part("")),
        joined(part("GET /x\r\n\r\n")),
        joined(part("GET /x HTTP/2\r\n\r\n")),
        joined(part("get /x HTTP/1.1\r\n\r\n")),
        joined(part("GET  /x HTTP/1.1\r\n\r\n")),
        joined(part("GET /x y HTTP/1.1\r\n\r\n")),
        joined(part("GET /x HTTP/1.1\r\nno header\r\n\r\n")),
        joined(part("GET /x HTTP/1.1\r\nbad name: x\r\n\r\n")),
        joined(part("GET /x HTTP/1.1\r\nx: y\r\n folded\r\n\r\n")),
        joined(change_set()),
        joined(change_set(change_set(part(POST), boundary="inner"))),
        joined(change_set(part(POST)).replace("--changes--", "--changes")),
        joined("Content-Type: multipart/mixed\r\n\r\n" + part(POST)),
        joined(named(GET, "é")),
        joined(change_set(named(POST, "é"))),
    ],
)
def test_what_is_no_batch_is_refused(text: str) -> None:
    refused(text)


@pytest.mark.parametrize(
    "content_type",
    [
        *("multipart/mixed; boundary=", "multipart/mixed; charset=utf-8", 'multipart/mixed; boundary="'),
        *("multipart/mixed; x", "multipart/mixed; boundary=batch_1\r\nX: y", "multipart/mixed; boundary=\udcff"),
        *("multipart/mixed; boundary=é", "multipart/mixed; boundary*=a\x00b''x"),
        "multipart/mixed; boundary*0*=utf-8''x; boundary*9999999999999999999999=y",
    ],
)  # fmt: skip
def test_a_type_whose_boundary_bounds_nothing_is_refused(content_type: str) -> None:
    refused(WHOLE, content_type)


@pytest.mark.parametrize(
    "body",
    [
        joined(f"Content-Type: multipart/mixed; boundary*=a\x00b''x\r\n\r\n{GET}").encode(),
        b"".join(b"--b%d\r\nContent-Type: multipart/mixed; boundary=b%d\r\n\r\n" % (n, n + 1) for n in range(400)),
        b"".join(b"--b%d\r\nContent-Type: multipart/mixed; boundary=b%d\r\n\r\n" % (n, n + 1) for n in range(3_000)),
        b"--b0\r\n" + b"Content-Type: message/rfc822\r\n\r\n" * 3_000,
        joined(part("begin 644 x\r\n#\xff!!\r\nend", f"{HTTP}Content-Transfer-Encoding: x-uuencode\r\n")).encode(),
        b"--b0\r\n" + b"X: y\r\n" * 3_000,
        b"\r\n" * 10_000,
        b"--b0" + b"-" * 10_000,
    ],
    ids=["charset", "nested", "nested deeply", "messages", "uuencoded", "headers", "lines", "dashes"],
)
def test_mime_that_nobody_means_is_refused(body: bytes) -> None:
    with pytest.raises((MalformedBody, TooManyItems)):
        parse("multipart/mixed; boundary=b0", body)
    with pytest.raises((MalformedBody, TooManyItems)):
        parse(TYPE, body)


def test_a_content_id_is_text() -> None:
    (only,) = read(joined(named(GET, "  x-1@host ")))
    assert isinstance(only, Request)
    assert only.content_id == "x-1@host"


def test_its_requests_are_bounded_with_those_of_its_change_sets() -> None:
    assert len(read(joined(*[part(GET)] * MAX_ITEMS))) == MAX_ITEMS
    half = [part(POST)] * (MAX_ITEMS // 2)
    assert len(read(joined(change_set(*half), *half))) == 1 + MAX_ITEMS // 2
    for text in (
        joined(*[part(GET)] * (MAX_ITEMS + 1)),
        joined(change_set(*half), *half, part(GET)),
        joined(change_set(*half), change_set(*half, part(POST))),
        joined(*[part(GET)] * 20_000),
    ):
        with pytest.raises(TooManyItems):
            read(text)


BITS: Final = [
    *("\r\n", "\n", "\r", "--batch_1", "--changes", "--", ":", " ", "\x00", "é", "GET", "HTTP/1.1", "$1"),
    "Content-ID: 1",
    *("Content-Type: multipart/mixed; boundary=", "Content-Type: message/rfc822", "boundary*0=", "=?utf-8?q?x?="),
    *("Content-Transfer-Encoding: x-uuencode", "Content-Transfer-Encoding: base64", "Content-Length: 1", "utf-8''%00"),
]  # fmt: skip


@pytest.mark.parametrize("seed", range(8))
def test_bytes_changed_at_random_are_read_or_refused(seed: int) -> None:
    chance, taken = random.Random(seed), 0
    for _ in range(120):
        body = bytearray(WHOLE.encode())
        for _ in range(chance.randrange(1, 4)):
            at, to = sorted(chance.randrange(len(body) + 1) for _ in "ab")
            change = chance.randrange(4)
            if change == 0:
                body[at:at] = chance.choice(BITS).encode()
            elif change == 1:
                body[at : at + chance.randrange(4)] = chance.randbytes(chance.randrange(3))
            elif change == 2:
                body[at:to] = b""
            else:
                body[at:at] = body[at:to]
        try:
            parts = parse(TYPE, bytes(body))
        except (MalformedBody, TooManyItems):
            continue
        taken += 1
        for each in parts:
            for one in each.requests if isinstance(each, ChangeSet) else (each,):
                assert one.content_id is None or isinstance(one.content_id, str)
                assert one.method.isascii()
    assert taken > 0


# --- answers


def split(message: Any) -> list[Any]:
    return [split(each) if each.is_multipart() else each for each in message.get_payload()]


def answers(*given: Answer | Sequence[Answer]) -> list[Any]:
    """The parts of a written answer, as Python's own reader of MIME sees them."""
    body = write(given, "answer_1")
    message = BytesParser().parsebytes(b"Content-Type: multipart/mixed; boundary=answer_1\r\n\r\n" + body)
    assert not message.defects
    return split(message)


def test_an_answer_is_parts_with_the_change_sets_inside() -> None:
    json_type = ("Content-Type", "application/json")
    made = Answer(201, [json_type, ("Location", "http://host/x")], BODY.encode(), "1")
    gone = Answer(204, [], b"", "2")
    single, changes, failed = answers(
        Answer(200, [json_type], b'{"value":[]}'), [made, gone], Answer(412, [json_type], b"{}")
    )
    assert single.get_content_type() == "application/http"
    assert single["Content-ID"] is None
    assert single.get_payload().replace("\r\n", "\n").strip() == (
        'HTTP/1.1 200 OK\nContent-Type: application/json\n\n{"value":[]}'
    )
    assert [each["Content-ID"] for each in changes] == ["1", "2"]
    first = changes[0].get_payload(decode=True).replace(b"\r\n", b"\n")
    assert first.startswith(b"HTTP/1.1 201 Created\nContent-Type: application/json\nLocation: http://host/x\n\n{")
    assert json.loads(first.partition(b"\n\n")[2]) == {"displayName": "é"}
    assert changes[1].get_payload().startswith("HTTP/1.1 204 No Content")
    assert failed.get_payload().startswith("HTTP/1.1 412 Precondition Failed")


def test_an_answer_has_a_reason_for_every_status() -> None:
    (part_,) = answers(Answer(418, [], b""))
    assert part_.get_payload().startswith("HTTP/1.1 418 ")


def test_no_requests_have_no_answers() -> None:
    assert write([], "b") == b"--b--\r\n"


def test_lines_end_with_carriage_return_and_line_feed() -> None:
    body = write([Answer(200, [("Content-Type", "text/plain")], b"23"), [Answer(204, [], b"")]], "b")
    assert body.count(b"\n") == body.count(b"\r\n")
