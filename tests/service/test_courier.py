"""Bodies on their way to real receivers on loopback: redirects, slowness, size, and addresses that are not called."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pytest

from adjoin.identity import certificates
from adjoin.service import courier
from adjoin.service.courier import CONNECTIONS, MAX_ANSWER, Answer, Courier, TooSlow, Unreachable
from adjoin.service.names import Names
from adjoin.service.receivers import Allowed

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

OK: Final = b"HTTP/1.1 202 Accepted\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok"


async def request_of(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(
        int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")
    )
    return head + await reader.readexactly(length)


async def over() -> None:
    """Wait until the receivers have seen that they were hung up on."""
    await asyncio.gather(*(asyncio.all_tasks() - {asyncio.current_task()}), return_exceptions=True)


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


def answering_on(answer: bytes) -> Serve:
    """As `answering`, for as long as the connection lasts."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while True:
                await request_of(reader)
                writer.write(answer)
        writer.close()

    return serve


def post(
    serve: Serve,
    *,
    allowed: str = "http://127.0.0.1",
    tls: Path | None = None,
    trusting: Path | None = None,
    host: str = "127.0.0.1",
    names: Names | None = None,
) -> Answer:
    """What the courier brings back from a receiver."""

    async def act() -> Answer:
        context = None
        if tls is not None:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(tls / "server.pem")
        server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
        port = server.sockets[0].getsockname()[1]
        carry = Courier(Allowed.parse((allowed,)), (trusting or tls) / certificates.CA_FILE if tls else None, names)
        try:
            url = f"{'https' if tls else 'http'}://{host}:{port}/hook?code=1"
            return await carry(url, b'{"value":[]}', "application/json")
        finally:
            await carry.close()
            server.close()
            await over()

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


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"SSH-2.0-x\r\n",
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/2 200 OK\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nok",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 20_000 + b"\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" * 10,
    ],
)
def test_what_is_no_http_is_no_answer(answer: bytes) -> None:
    with pytest.raises(Unreachable):
        post(answering(answer))


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\nto the end", b"to the end"),
        (b"HTTP/1.0 200 OK\r\ncontent-type:text/plain\r\nCONTENT-LENGTH: 2\r\n\r\nok", b"ok"),
        (b"HTTP/1.1 200\r\nContent-Type: text/plain\r\nContent-Length: 0\r\n\r\n", b""),
        (
            b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n%b"
            % b"3\r\nany\r\n5;x=y\r\nthing\r\n0\r\n\r\n",
            b"anything",
        ),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\nok", b"ok"),
    ],
)
def test_the_forms_that_answers_have(answer: bytes, body: bytes) -> None:
    assert post(answering(answer)) == Answer(200, "text/plain", body)


@pytest.mark.parametrize(("answered", "opened"), [(1, 3), (2, 2), (9, 1)])
def test_a_connection_is_used_again_and_another_made_where_its_receiver_closed_it(answered: int, opened: int) -> None:
    """A receiver that closes each connection after so many answers, and does not say so."""
    connections = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            for _ in range(answered):
                await request_of(reader)
                writer.write(OK)
                await writer.drain()
        writer.close()

    async def act() -> list[int]:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        carry, port = Courier(Allowed.parse(("http://127.0.0.1",))), server.sockets[0].getsockname()[1]
        statuses = [(await carry(f"http://127.0.0.1:{port}/", b"{}", "application/json")).status for _ in range(3)]
        await carry.close()
        server.close()
        await over()
        return statuses

    assert asyncio.run(act()) == [202, 202, 202]
    assert connections == opened


def test_connections_that_wait_for_use_are_bounded() -> None:
    async def act() -> int:
        servers = [await asyncio.start_server(answering_on(OK), "127.0.0.1", 0) for _ in range(CONNECTIONS + 3)]
        carry = Courier(Allowed.parse(("http://127.0.0.1",)))
        for each in servers:
            url = f"http://127.0.0.1:{each.sockets[0].getsockname()[1]}/"
            assert (await carry(url, b"{}", "application/json")).status == 202
        kept = sum(map(len, carry._kept.values()))
        await carry.close()
        for each in servers:
            each.close()
        await over()
        return kept

    assert asyncio.run(act()) == CONNECTIONS


def test_a_name_that_leads_inside_is_not_called_where_any_public_host_is_allowed(tmp_path: Path) -> None:
    certificates.ensure(tmp_path, ["localhost"], datetime.now(UTC))
    seen: list[bytes] = []
    with pytest.raises(Unreachable, match="no address that may be called"):
        post(answering(OK, seen), allowed="*", host="localhost", tls=tmp_path)
    assert seen == []


def test_a_host_that_is_no_longer_allowed_is_not_called() -> None:
    seen: list[bytes] = []
    with pytest.raises(Unreachable, match="has to begin with https"):
        post(answering(OK, seen), allowed="127.0.0.1")
    assert seen == []


def test_a_name_is_resolved_once_and_what_is_called_is_what_was_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name whose second answer leads inside is of no use to an attacker."""
    asked: list[str] = []

    def resolve(host: str) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"] if len(asked) > 1 else ["192.0.2.1"]

    async def connect(host: str, *_: object, **__: object) -> None:
        called.append(host)
        raise ConnectionRefusedError("as the test has it")

    called: list[str] = []
    monkeypatch.setattr(asyncio, "open_connection", connect)
    with pytest.raises(Unreachable):
        post(answering(OK), allowed="http://rebound.example", host="rebound.example", names=Names(resolve))
    assert (asked, called) == (["rebound.example"], ["192.0.2.1"])


def test_what_is_remembered_of_a_name_is_looked_at_again(tmp_path: Path) -> None:
    """What one host may be at, another may not, whatever the resolver said to whom."""
    certificates.ensure(tmp_path, ["localhost"], datetime.now(UTC))

    async def act() -> None:
        names = Names(lambda _: ["127.0.0.1"])
        await names.addresses("any.example")
        carry = Courier(Allowed.parse(("*",)), names=names)
        with pytest.raises(Unreachable, match="no address that may be called"):
            await carry("https://any.example/", b"{}", "application/json")
        await carry.close()

    asyncio.run(act())


def test_an_address_that_does_not_answer_leaves_time_for_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(courier, "TRY_SECONDS", 0.01)
    connect = asyncio.open_connection

    async def connected(host: str, *given: Any, **named: Any) -> Any:
        if host == "127.0.0.2":
            await asyncio.Event().wait()
        return await connect(host, *given, **named)

    monkeypatch.setattr(asyncio, "open_connection", connected)
    names = Names(lambda _: ["127.0.0.2", "127.0.0.1"])
    assert post(answering(OK), allowed="http://two.example", host="two.example", names=names).status == 202


def test_an_idle_connection_goes_when_its_receiver_has_closed_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(courier, "_TIDY_SECONDS", 0.0)

    async def act() -> None:
        server = await asyncio.start_server(answering(OK), "127.0.0.1", 0)
        carry, port = Courier(Allowed.parse(("http://127.0.0.1",))), server.sockets[0].getsockname()[1]
        assert (await carry(f"http://127.0.0.1:{port}/", b"{}", "application/json")).status == 202
        while carry._kept:  # noqa: ASYNC110 - the moment has no event of its own
            await asyncio.sleep(0)
        await carry.close()
        server.close()
        await over()

    asyncio.run(act())


def test_a_name_that_is_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "unknown")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(Unreachable, match="not known"):
        post(answering(OK), allowed="http://unknown.example", host="unknown.example")


def test_nothing_is_kept_of_receivers_that_cannot_be_reached() -> None:
    async def act() -> Courier:
        carry = Courier(Allowed.parse(("*.example",)), names=Names(lambda _: []))
        for number in range(5):
            with pytest.raises(Unreachable):
                await carry(f"https://{number}.example/", b"{}", "application/json")
        return carry

    assert asyncio.run(act())._kept == {}


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
