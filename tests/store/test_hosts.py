"""How a connection is had: from one host after another, and what keeps from it, said so that it can be mended."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import asyncpg
import pytest
from tests.postgresql import Databases

from adjoin.store.database import Unavailable
from adjoin.store.hosts import Hosts
from adjoin.store.link import connect
from adjoin.store.statements import Everywhere


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home without certificates, and an environment that says nothing of them."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for each in ("PGSSLROOTCERT", "PGSSLCRL", "PGSSLCERT", "PGSSLKEY", "PGSSLMODE", "PGTARGETSESSIONATTRS"):
        monkeypatch.delenv(each, raising=False)
    return tmp_path


def said(url: str) -> str:
    """Why a connection is not had, after the URL."""
    with pytest.raises(Unavailable) as refused:
        asyncio.run(connect(url))
    assert refused.value.message.count("\n") == 0
    assert "cret" not in refused.value.message
    return refused.value.message.partition(" cannot be reached: ")[2]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("sslmode=verify-full", 'root certificate file "{home}/.postgresql/root.crt" does not exist'),
        ("sslmode=nonsense", "`sslmode` parameter must be one of: disable, allow"),
        ("target_session_attrs=nonsense", "target_session_attrs is expected to be one of"),
        ("sslmode=verify-full&sslrootcert=/nosuch.pem", "[Errno 2] No such file or directory: '/nosuch.pem'."),
        (
            "sslmode=require&sslcert=/nosuch.crt&sslpassword=secret",
            "[Errno 2] No such file or directory: '/nosuch.crt'.",
        ),
        ("sslrootcert=system&sslcert=/nosuch.crt", "[Errno 2] No such file or directory: '/nosuch.crt'."),
        ("channel_binding=require", "the option channel_binding of its URL is not supported other than as disable or"),
    ],
)
def test_what_is_wrong_with_its_settings(home: Path, options: str, words: str) -> None:
    assert said(f"postgresql://user:secret@127.0.0.1:1/d?{options}").startswith(words.format(home=home))


def test_a_file_that_the_environment_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGSSLROOTCERT", "/nosuch.pem")
    assert said("postgresql://user@127.0.0.1:1/d?sslmode=verify-ca").endswith("'/nosuch.pem'.")


def test_a_socket_that_is_not_there_is_no_file_of_certificates(home: Path) -> None:
    (home / "root.pem").touch()
    assert (
        said(f"postgresql://user@/d?host={home}&sslrootcert={home}/root.pem") == "[Errno 2] No such file or directory."
    )


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://user:secret@127.0.0.1:99999/d",
        "postgresql:///d?port=x",
        "postgresql://user@127.0.0.1/d?nothing",
        "postgresql://[user:secret@h/d?sslmode=nonsense",
        "postgresql://user:secret@h,,/d",
        "postgresql://user:secret@/d?host=h&port=1,2",
    ],
)
def test_of_a_url_that_cannot_be_read_nothing_is_repeated(url: str) -> None:
    assert said(url) == "its URL cannot be read."


def test_a_certificate_that_is_not_trusted_is_not_the_urls_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    async def refused(*_: object, **__: Any) -> None:
        raise ssl.SSLCertVerificationError(1, "certificate verify failed: self-signed certificate")

    monkeypatch.setattr(asyncpg, "connect", refused)
    assert "self-signed certificate" in said("postgresql://user:secret@h/d?sslmode=verify-full")


@dataclass
class Drivers:
    """Stands in for asyncpg: what becomes of an attempt at each host, which takes time only by the test's clock."""

    kinds: dict[str, str]
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    time: float = 0.0
    holds: asyncio.Event | None = None

    async def connect(self, _: str, host: str, target_session_attrs: str | None, **__: Any) -> Any:
        self.asked.append((host, target_session_attrs))
        if self.holds is not None:
            await self.holds.wait()
        kind = self.kinds[host]
        if kind == "silent":
            self.time += 5
            raise TimeoutError
        if kind == "down":
            raise ConnectionRefusedError(111, "Connection refused")
        if kind == "starting":
            raise asyncpg.CannotConnectNowError("the database system is starting up")
        if kind == "full":
            raise asyncpg.TooManyConnectionsError("sorry, too many clients already")
        if (target_session_attrs or "read-write") not in (kind, "any"):
            raise asyncpg.TargetServerAttributeNotMatched("None of the hosts match")
        return Connection(host)


@dataclass
class Connection:
    host: str
    _transport: Any = None

    def __post_init__(self) -> None:
        self._transport = self

    def get_extra_info(self, _: str) -> Any:
        return self

    family = socket.AF_UNIX


@pytest.fixture
def drivers(monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[Drivers, Hosts]]:
    """Makes hosts of such kinds."""

    def make(options: str = "", **kinds: str) -> tuple[Drivers, Hosts]:
        drivers = Drivers(kinds)
        monkeypatch.setattr(asyncpg, "connect", drivers.connect)
        url = f"postgresql://user:secret@{','.join(kinds)}/d{options}"
        return drivers, Hosts(url, now=lambda: drivers.time)

    return make


async def had(hosts: Hosts) -> str:
    """Whose connection is had, or why none is."""
    try:
        return str((await hosts.open({})).host)
    except Unavailable as refusal:
        return refusal.message.partition(" cannot be reached: ")[2]


class TestSeveralHosts:
    @pytest.mark.parametrize("kind", ["silent", "down", "starting", "standby"])
    def test_one_that_is_not_to_be_had_is_passed_over(self, drivers: Any, kind: str) -> None:
        _, hosts = drivers(db1=kind, db2="read-write")
        assert asyncio.run(had(hosts)) == "db2"

    def test_the_one_that_answered_last_is_asked_first(self, drivers: Any) -> None:
        asked, hosts = drivers(db1="silent", db2="read-write", db3="read-write")

        async def run() -> None:
            for _ in range(3):
                assert await had(hosts) == "db2"
            asked.kinds.update(db1="read-write", db2="standby")
            assert await had(hosts) == "db1"

        asyncio.run(run())
        assert [host for host, _ in asked.asked] == ["db1", "db2", "db2", "db2", "db2", "db1"]

    def test_one_that_takes_nobody_is_not_passed_over(self, drivers: Any) -> None:
        _, hosts = drivers(db1="full", db2="read-write")
        assert asyncio.run(had(hosts)) == "sorry, too many clients already."

    def test_of_each_is_said_what_keeps_from_it(self, drivers: Any) -> None:
        _, hosts = drivers(db1="silent", db2="down", db3="standby")
        assert asyncio.run(had(hosts)) == (
            "db1:5432: it took too long; db2:5432: [Errno 111] Connection refused; db3:5432: None of the hosts match."
        )

    def test_a_standby_is_preferred_and_silent_ones_are_asked_once(self, drivers: Any) -> None:
        asked, hosts = drivers("?target_session_attrs=prefer-standby", db1="read-write", db2="silent", db3="standby")

        async def run() -> None:
            assert await had(hosts) == "db3"
            asked.kinds["db3"] = "down"
            asked.asked.clear()
            assert await had(hosts) == "db1"

        asyncio.run(run())
        standby = [(host, "standby") for host in ("db3", "db1", "db2")]
        assert asked.asked == [*standby, ("db1", "any")]


class TestSilence:
    def test_is_waited_for_by_one_and_told_to_the_others_at_once(self, drivers: Any) -> None:
        asked, hosts = drivers(db1="silent")

        async def run() -> None:
            assert await had(hosts) == "it took too long."
            assert [await had(hosts) for _ in range(3)] == ["it took too long."] * 3
            assert len(asked.asked) == 1
            asked.time += 1
            asked.holds = asyncio.Event()
            asks = asyncio.ensure_future(had(hosts))
            await asyncio.sleep(0)
            assert [await had(hosts) for _ in range(3)] == ["it took too long."] * 3
            assert len(asked.asked) == 2
            asked.kinds["db1"] = "read-write"
            asked.holds.set()
            assert await asks == "db1"
            assert await had(hosts) == "db1"

        asyncio.run(run())

    def test_who_gives_up_asking_leaves_it_to_the_next(self, drivers: Any) -> None:
        asked, hosts = drivers(db1="silent")

        async def run() -> None:
            await had(hosts)
            asked.time += 1
            asked.kinds["db1"] = "read-write"
            asked.holds = asyncio.Event()
            asks = asyncio.ensure_future(had(hosts))
            await asyncio.sleep(0)
            asks.cancel()
            await asyncio.wait([asks])
            asked.holds = None
            assert await had(hosts) == "db1"

        asyncio.run(run())

    def test_is_not_what_a_server_is_told_by_that_says_no(self, drivers: Any) -> None:
        asked, hosts = drivers(db1="down")

        async def run() -> None:
            assert await had(hosts) == "[Errno 111] Connection refused."
            asked.kinds["db1"] = "read-write"
            assert await had(hosts) == "db1"

        asyncio.run(run())


class Silent:
    """A server that takes connections, and says nothing."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]

    async def heard(self) -> bytes:
        """The first that a client says."""
        loop = asyncio.get_running_loop()
        self._socket.setblocking(False)
        taken, _ = await loop.sock_accept(self._socket)
        with taken:
            taken.setblocking(False)
            return await loop.sock_recv(taken, 4_096)

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def silent() -> Iterator[Silent]:
    server = Silent()
    yield server
    server.close()


_SHORT: Final = 0.2


class TestRealServers:
    def test_one_that_is_silent_does_not_keep_from_the_next(self, postgresql: Databases, silent: Silent) -> None:
        async def run(url: str) -> None:
            folder = quote(str(postgresql.server.folder), safe="")
            hosts = Hosts(url.partition("?")[0] + f"?host=127.0.0.1,{folder}&port={silent.port},5432", _SHORT)
            link = await connect(hosts)
            assert await link.fetch(Everywhere("SELECT 1")) == [(1,)]
            await link.close()

        with postgresql.lent() as url:
            asyncio.run(run(url))

    def test_the_first_message_holds_nothing_that_a_pooler_would_refuse(self, silent: Silent) -> None:
        async def run() -> bytes:
            heard = asyncio.ensure_future(silent.heard())
            hosts = Hosts(f"postgresql://user@127.0.0.1:{silent.port}/d?sslmode=disable")
            refused = asyncio.ensure_future(connect(hosts))
            said = await heard
            with pytest.raises(Unavailable):
                await refused
            return said

        words = asyncio.run(run())[8:].rstrip(b"\0").split(b"\0")
        assert {*words[::2]} == {b"client_encoding", b"user", b"database"}

    def test_settings_hold_for_the_session(self, postgresql: Databases) -> None:
        wanted = {
            "application_name": "adjoin",
            "client_min_messages": "warning",
            "default_transaction_isolation": "read committed",
            "enable_nestloop": "off",
            "idle_in_transaction_session_timeout": "10s",
            "jit": "off",
            "lock_timeout": "10s",
            "statement_timeout": "7s",
        }

        async def run(url: str) -> None:
            link = await connect(url, 7, scans=True)
            shown = {name: (await link.fetch(Everywhere(f"SHOW {name}")))[0][0] for name in wanted}
            await link.close()
            assert shown == wanted

        with postgresql.lent() as url:
            asyncio.run(run(url))

    def test_one_that_can_be_heard_no_more_is_noticed_by_the_kernel(self, postgresql: Databases) -> None:
        async def run(url: str) -> None:
            async with over_tcp(postgresql.server.folder) as port:
                link = await connect(url.replace("@/", f"@127.0.0.1:{port}/").partition("?")[0])
                made = link._connection._transport.get_extra_info("socket")
                assert made.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
                if hasattr(socket, "TCP_USER_TIMEOUT"):
                    assert made.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 10_000
                await link.close()

        with postgresql.lent() as url:
            asyncio.run(run(url))


@contextlib.asynccontextmanager
async def over_tcp(folder: Path) -> AsyncIterator[int]:
    """A port that leads to the server whose socket is in a folder."""

    async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while data := await source.read(65_536):
            sink.write(data)
        sink.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there = await asyncio.open_unix_connection(str(folder / ".s.PGSQL.5432"))
        both: list[Awaitable[None]] = [pump(reader, there[1]), pump(there[0], writer)]
        await asyncio.gather(*both)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]
