"""Bodies on their way to real receivers on loopback: redirects, slowness, size, and addresses that are not called."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import httpcore
import pytest

from adjoin.identity import certificates
from adjoin.service import connections, courier
from adjoin.service.courier import MAX_ANSWER, Answer, Courier, TooSlow, Unreachable
from adjoin.service.receivers import Allowed

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

OK: Final = b"HTTP/1.1 202 Accepted\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok"


async def request_of(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(
        int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")
    )
    return head + await reader.readexactly(length)


def answering(answer: bytes, seen: list[bytes] | None = None) -> Serve:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            request = await request_of(reader)
            if seen is not None:
                seen.append(request)
            writer.write(answer)
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass  # the courier has hung up, having heard or seen enough
        finally:
            writer.close()

    return serve


def post(
    serve: Serve,
    *,
    allowed: str = "http://127.0.0.1",
    tls: Path | None = None,
    trusting: Path | None = None,
    host: str = "127.0.0.1",
) -> Answer:
    """What the courier brings back from a receiver."""

    async def act() -> Answer:
        context = None
        if tls is not None:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(tls / "server.pem")
        server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
        port = server.sockets[0].getsockname()[1]
        carry = Courier(Allowed.parse((allowed,)), (trusting or tls) / certificates.CA_FILE if tls else None)
        try:
            url = f"{'https' if tls else 'http'}://{host}:{port}/hook?code=1"
            return await carry(url, b'{"value":[]}', "application/json")
        finally:
            await carry.close()
            server.close()
            await asyncio.sleep(0)

    return asyncio.run(act())


def test_a_body_goes_as_it_is() -> None:
    seen: list[bytes] = []
    assert post(answering(OK, seen)) == Answer(202, "text/plain", b"ok")
    head, _, body = seen[0].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /hook?code=1 HTTP/1.1\r\n")
    assert b"host: 127.0.0.1:" in head.lower()
    assert b"content-type: application/json" in head.lower()
    assert body == b'{"value":[]}'


def test_a_redirect_is_an_answer_and_not_followed() -> None:
    answer = b"HTTP/1.1 307 Temporary Redirect\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"
    assert post(answering(answer)).status == 307


def test_no_proxy_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert post(answering(OK)).status == 202


def test_no_more_of_an_answer_is_read_than_is_of_use() -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 100_000
    assert len(post(answering(answer)).body) == MAX_ANSWER


def test_whoever_does_not_answer_in_time_has_not_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(courier, "SECONDS", 0.05)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    with pytest.raises(TooSlow):
        post(serve)


@pytest.mark.parametrize("answer", [b"", b"SSH-2.0-x\r\n", b"HTTP/1.1 200 OK\r\n"])
def test_what_is_no_http_is_no_answer(answer: bytes) -> None:
    with pytest.raises(Unreachable):
        post(answering(answer))


def test_a_name_that_leads_inside_is_not_called_where_any_public_host_is_allowed() -> None:
    seen: list[bytes] = []
    with pytest.raises(Unreachable, match="no address that may be called"):
        post(answering(OK, seen), allowed="*", host="localhost")
    assert seen == []


def test_a_name_is_resolved_once_and_what_is_called_is_what_was_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name whose second answer leads inside is of no use to an attacker."""
    asked: list[str] = []

    async def addresses(host: str, _: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"] if len(asked) > 1 else ["192.0.2.1"]

    async def connect(self: object, host: str, *_: object) -> None:
        called.append(host)
        raise httpcore.ConnectError("as the test has it")

    called: list[str] = []
    monkeypatch.setattr(connections, "_addresses", addresses)
    monkeypatch.setattr(httpcore.AnyIOBackend, "connect_tcp", connect)
    with pytest.raises(Unreachable):
        post(answering(OK), allowed="http://rebound.example", host="rebound.example")
    assert (asked, called) == (["rebound.example"], ["192.0.2.1"])


def test_a_name_that_is_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "unknown")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(Unreachable, match="not known"):
        post(answering(OK), allowed="http://unknown.example", host="unknown.example")


def test_https_is_trusted_by_a_private_authority_and_by_no_other(tmp_path: Path) -> None:
    names = ["127.0.0.1", "localhost"]
    for folder in ("ours", "theirs"):
        certificates.ensure(tmp_path / folder, names, datetime.now(UTC))
    assert post(answering(OK), allowed="127.0.0.1", tls=tmp_path / "ours").status == 202
    assert post(answering(OK), allowed="localhost", tls=tmp_path / "ours", host="localhost").status == 202
    with pytest.raises(Unreachable, match="certificate verify failed"):
        post(answering(OK), allowed="127.0.0.1", tls=tmp_path / "ours", trusting=tmp_path / "theirs")


def test_https_is_trusted_for_its_own_name_alone(tmp_path: Path) -> None:
    certificates.ensure(tmp_path / "tls", ["hooks.example"], datetime.now(UTC))
    with pytest.raises(Unreachable, match="certificate verify failed"):
        post(answering(OK), allowed="127.0.0.1", tls=tmp_path / "tls")
