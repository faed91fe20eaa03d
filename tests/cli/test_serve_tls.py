"""`adjoin serve` over TLS: real processes, real handshakes."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import http.client
import itertools
import json
import os
import shlex
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, cast

import pytest
import structlog.testing
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from msgspec.structs import replace

from adjoin.cli import listener as listener_
from adjoin.cli.listener import BadCertificate, Certificate, Listener, claim_address, look_of
from adjoin.config import BadConfig, Config, load
from adjoin.identity.certificates import AUTHORITY_FILE, CA_FILE, SERVER_FILE, ensure
from adjoin.identity.folder import FileBroken
from adjoin.web.app import Application

_LONG_AGO: Final = datetime(2020, 1, 1, tzinfo=UTC)
_PATIENCE: Final = 20.0
_ENCRYPTED: Final = ec.generate_private_key(ec.SECP256R1()).private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"secret")
)
_ADJOIN: Final = (sys.executable, "-m", "adjoin")


class Service:
    """A running `adjoin serve` on a free port of this machine."""

    def __init__(self, data: Path, *options: str) -> None:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("ADJOIN_")}
        self.data = data
        self.process = subprocess.Popen(
            [*_ADJOIN, "serve", "--port", "0", "--data-dir", str(data), "--log-format", "json", *options],
            cwd=data.parent,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.log: list[str] = []
        self._heard = threading.Condition()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        self.url = self.wait_for("listening")["url"]
        self.port = int(self.url.rpartition(":")[2])

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            with self._heard:
                self.log.append(line)
                self._heard.notify_all()
        with self._heard:
            self.log.append("")
            self._heard.notify_all()

    def wait_for(self, event: str, count: int = 1) -> dict[str, Any]:
        """The log's line of this event, once it is there so many times."""

        def found() -> list[dict[str, Any]]:
            return [each for each in map(json.loads, filter(None, self.log)) if each["event"] == event]

        with self._heard:
            arrived = self._heard.wait_for(lambda: len(found()) >= count or "" in self.log, _PATIENCE)
            assert arrived, self.log
            assert len(found()) >= count, self.log
            return found()[count - 1]

    def stop(self) -> str:
        """End it; gives what it printed."""
        self.process.terminate()
        assert self.process.stdout is not None
        with self.process.stdout as out:
            printed = out.read()
        assert self.process.wait(_PATIENCE) == 0
        self._reader.join()
        assert self.process.stderr is not None
        self.process.stderr.close()
        return printed


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    running = Service(tmp_path_factory.mktemp("serve") / "data", "--tls", "--tls-name", "extra.example")
    yield running
    running.stop()


@pytest.fixture
def serves() -> Iterator[Callable[..., Service]]:
    """Starts services of a test's own; none outlives it."""
    begun: list[Service] = []

    def start(*arguments: Any) -> Service:
        begun.append(Service(*arguments))
        return begun[-1]

    yield start
    for each in begun:
        if each.process.poll() is None:
            each.stop()


def trusting(ca: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(ca))
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    return context


@contextlib.contextmanager
def connected(port: int, context: ssl.SSLContext, name: str = "localhost") -> Iterator[ssl.SSLSocket]:
    with (
        socket.create_connection(("127.0.0.1", port), _PATIENCE) as plain,
        context.wrap_socket(plain, server_hostname=name) as tls,
    ):
        yield tls


def serial_at(port: int) -> int:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with connected(port, context) as tls:
        return x509.load_der_x509_certificate(tls.getpeercert(binary_form=True) or b"").serial_number


def found_at(port: int) -> int | None:
    """As `serial_at`; None if the connection is broken off while it opens, as may be in the moment of a change."""
    try:
        return serial_at(port)
    except (ConnectionError, ssl.SSLEOFError):
        return None


def until(fits: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _PATIENCE
    while not fits():
        assert time.monotonic() < deadline
        time.sleep(0.02)


class TestHandshakes:
    @pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "::1", "extra.example", socket.gethostname()])
    def test_clients_that_hold_the_authority_get_through(self, service: Service, name: str) -> None:
        with connected(service.port, trusting(service.data / "tls" / CA_FILE), name) as tls:
            assert tls.version() == "TLSv1.3"

    @pytest.mark.parametrize("name", ["example.org", "127.0.0.2"])
    def test_under_another_name_they_do_not(self, service: Service, name: str) -> None:
        with (
            pytest.raises(ssl.SSLCertVerificationError),
            connected(service.port, trusting(service.data / "tls" / CA_FILE), name),
        ):
            pass

    def test_clients_that_do_not_hold_it_do_not(self, service: Service) -> None:
        context = ssl.create_default_context()
        with pytest.raises(ssl.SSLCertVerificationError), connected(service.port, context):
            pass

    def test_tls_1_2_is_the_least(self, service: Service) -> None:
        context = trusting(service.data / "tls" / CA_FILE)
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        with connected(service.port, context) as tls:
            assert tls.version() == "TLSv1.2"
        context.set_ciphers("ALL:@SECLEVEL=0")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            context.minimum_version = ssl.TLSVersion.TLSv1
            context.maximum_version = ssl.TLSVersion.TLSv1_1
        with pytest.raises((ssl.SSLError, ConnectionError)), connected(service.port, context):
            pass

    @pytest.mark.parametrize("protocols", [["h2", "http/1.1"], ["http/1.1"]])
    def test_http_2_and_http_1_are_offered(self, service: Service, protocols: list[str]) -> None:
        context = trusting(service.data / "tls" / CA_FILE)
        context.set_alpn_protocols(protocols)
        with connected(service.port, context) as tls:
            assert tls.selected_alpn_protocol() == protocols[0]

    def test_curl_speaks_http_2(self, service: Service) -> None:
        command = ["curl", "-sS", "--http2", "-w", "%{http_version} %{http_code}", f"{service.url}/healthz"]
        done = subprocess.run(
            [*command, "--cacert", service.data / "tls" / CA_FILE], capture_output=True, text=True, check=True
        )
        assert done.stdout.split() in (["ok", "2", "200"], ["ok", "1.1", "200"])
        assert done.stdout.split()[1] == "2" or "HTTP2" not in subprocess.check_output(["curl", "-V"], text=True)

    @pytest.mark.parametrize("version", ["--http2", "--http1.1"])
    @pytest.mark.parametrize(("path", "status"), [("/openapi.json", 200), ("/nothing", 404), ("/beta/$metadata", 405)])
    def test_head_is_answered_in_both(self, service: Service, version: str, path: str, status: int) -> None:
        command = ["curl", "-sS", "--head", version, "--cacert", str(service.data / "tls" / CA_FILE)]
        done = subprocess.run([*command, f"{service.url}{path}"], capture_output=True, text=True, check=True)
        first, *rest = done.stdout.lower().splitlines()
        assert first.split()[1] == str(status)
        assert any(line.startswith("content-length: ") for line in rest)

    def test_links_are_https_and_the_hosts_other_ports_are_left_alone(self, service: Service) -> None:
        client = http.client.HTTPSConnection(
            "localhost", service.port, context=trusting(service.data / "tls" / CA_FILE), timeout=_PATIENCE
        )
        with contextlib.closing(client):
            client.request("GET", "/beta/")
            answer = client.getresponse()
            body = json.loads(answer.read())
        assert answer.getheader("strict-transport-security") is None
        assert body["@odata.context"] == f"https://localhost:{service.port}/beta/$metadata"

    def test_plain_http_is_not_spoken_there(self, service: Service) -> None:
        client = http.client.HTTPConnection("localhost", service.port, timeout=_PATIENCE)
        with contextlib.closing(client):
            client.request("GET", "/healthz")
            with pytest.raises((http.client.HTTPException, ConnectionError)):
                client.getresponse()


class TestRenewal:
    def test_a_running_service_goes_over_to_a_new_certificate(self, service: Service) -> None:
        """SIGHUP has it looked at once. The port is taken all the time; what is just being opened may be broken off."""
        before, server = serial_at(service.port), service.data / "tls" / SERVER_FILE
        context = trusting(service.data / "tls" / CA_FILE)
        with connected(service.port, context) as begun:
            begun.sendall(b"GET /healthz HTTP/1.1\r\n")
            server.unlink()
            service.process.send_signal(signal.SIGHUP)
            until(lambda: found_at(service.port) not in {None, before})
            service.wait_for("certificate renewed")
            begun.sendall(b"Host: localhost\r\nConnection: close\r\n\r\n")
            # Closed, or answered as before: never half an answer.
            with contextlib.suppress(ConnectionError):
                said = begun.recv(4_096)
                assert not said or said.startswith(b"HTTP/1.1 200")
        until(lambda: found_at(service.port) not in {None, before})
        with connected(service.port, context):
            assert service.process.poll() is None

    def test_files_that_are_spoilt_meanwhile_change_nothing(self, service: Service) -> None:
        server = service.data / "tls" / SERVER_FILE
        serial, whole = serial_at(service.port), server.read_bytes()
        server.write_bytes(whole[:-60])
        service.process.send_signal(signal.SIGHUP)
        assert SERVER_FILE in service.wait_for("certificate not renewed")["reason"]
        assert serial_at(service.port) == serial
        server.write_bytes(whole)

    def test_no_key_is_ever_logged(self, service: Service) -> None:
        text = "".join(service.log)
        assert "PRIVATE" not in text
        for name in (AUTHORITY_FILE, SERVER_FILE):
            assert (service.data / "tls" / name).read_text().splitlines()[1] not in text

    def test_of_the_operators_own_files(self, tmp_path: Path, service: Service, serves: Callable[..., Service]) -> None:
        """What certbot and its like do: the file is replaced, and the service is told."""
        pair = tmp_path / "pair.pem"
        names, now = ("localhost",), datetime.now(UTC)
        first, second = (ensure(tmp_path / name, names, now) for name in ("first", "second"))
        shutil.copy(first.server, pair)
        shutil.copytree(service.data / "keys", tmp_path / "data" / "keys")
        (tmp_path / "data").chmod(0o700)
        own = serves(tmp_path / "data", "--tls-cert", str(pair), "--tls-key", str(pair))
        assert serial_at(own.port) == first.serial
        shutil.copy(second.server, tmp_path / "draft")
        (tmp_path / "draft").rename(pair)
        own.process.send_signal(signal.SIGHUP)
        until(lambda: found_at(own.port) == second.serial)
        own.wait_for("certificate renewed")
        assert "--cacert" not in own.stop()
        assert not (tmp_path / "data" / "tls").exists()

    def test_one_that_has_ended_does_not_take_the_place_of_one_that_is_good(
        self, tmp_path: Path, service: Service, serves: Callable[..., Service]
    ) -> None:
        now = datetime.now(UTC)
        good, ended = (
            ensure(tmp_path / "good", ("localhost",), now),
            ensure(tmp_path / "old", ("localhost",), _LONG_AGO),
        )
        pair = tmp_path / "pair.pem"
        shutil.copy(good.server, pair)
        shutil.copytree(service.data / "keys", tmp_path / "data" / "keys")
        (tmp_path / "data").chmod(0o700)
        own = serves(tmp_path / "data", "--tls-cert", str(pair), "--tls-key", str(pair))
        shutil.copy(ended.server, tmp_path / "draft")
        (tmp_path / "draft").rename(pair)
        own.process.send_signal(signal.SIGHUP)
        assert f"the certificate {pair} ended at 20" in own.wait_for("certificate not renewed")["reason"]
        assert serial_at(own.port) == good.serial
        own.stop()


class TestByTheClock:
    def test_a_certificate_is_renewed_before_it_ends(self, tmp_path: Path) -> None:
        """No signal and no restart: the clock alone, looked at now and then."""
        clock = [time.time()]
        config = Config(port=claim_address("127.0.0.1", 0), data_dir=tmp_path, tls=True)

        async def application(_scope: object, _receive: object, _send: object) -> None:
            raise AssertionError("nobody asks")

        async def act() -> None:
            listener = Listener(cast("Application", application), config, look_of(config, lambda: clock[0]))
            running = asyncio.create_task(listener.run(every=0.02))
            assert await listener.listening()
            before = await asyncio.to_thread(serial_at, config.port)
            await asyncio.sleep(0.1)
            assert await asyncio.to_thread(serial_at, config.port) == before
            clock[0] += 61 * 86_400
            await asyncio.to_thread(until, lambda: serial_at(config.port) != before)
            listener.stop()
            await asyncio.wait_for(running, _PATIENCE)

        asyncio.run(act())

    def test_it_is_looked_at_again_whatever_one_look_met(self, tmp_path: Path) -> None:
        config = Config(port=claim_address("127.0.0.1", 0), data_dir=tmp_path, tls=True)
        own, again = look_of(config, time.time), threading.Event()
        assert own is not None
        certificate = own()
        looks = itertools.count(1)

        def look() -> Certificate:
            match next(looks):
                case 2:
                    raise RuntimeError("can't start new thread")
                case 3:
                    again.set()
            return certificate

        async def act() -> None:
            listener = Listener(cast("Application", None), config, look)
            running = asyncio.create_task(listener.run(every=0.01))
            assert await listener.listening()
            assert await asyncio.to_thread(again.wait, _PATIENCE)
            listener.stop()
            await asyncio.wait_for(running, _PATIENCE)

        asyncio.run(act())

    def test_a_server_that_does_not_start_ends_nothing(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """What passes the look and fails in the server is logged, looked at again, and not raised at the end."""
        made = listener_._server

        class Failing:
            async def serve(self) -> None:
                raise RuntimeError("no thread can be started")

            def stop(self) -> None:
                raise AssertionError("it does not run")

        config = Config(port=claim_address("127.0.0.1", 0), data_dir=tmp_path, tls=True)
        own, again = look_of(config, time.time), threading.Event()
        assert own is not None
        certificate = own()
        mark = certificate.mark
        monkeypatch.setattr(listener_, "_server", lambda *of: made(*of) if of[2].mark == mark else Failing())
        looks = itertools.count(1)

        def look() -> Certificate:
            number = next(looks)
            if number == 3:
                again.set()
            return certificate if number == 1 else dataclasses.replace(certificate, mark=number)

        async def act() -> None:
            listener = Listener(cast("Application", None), config, look)
            running = asyncio.create_task(listener.run(every=0.01))
            assert await listener.listening()
            assert await asyncio.to_thread(again.wait, _PATIENCE)
            assert await asyncio.to_thread(serial_at, config.port) == certificate.mark
            listener.stop()
            await asyncio.wait_for(running, _PATIENCE)

        with structlog.testing.capture_logs() as logs:
            asyncio.run(act())
        assert {(each["event"], each["reason"]) for each in logs} == {
            ("certificate not renewed", "no thread can be started")
        }


class TestStart:
    def test_the_greeting_can_be_pasted(self, tmp_path: Path, service: Service, serves: Callable[..., Service]) -> None:
        folder = tmp_path / "a b"
        shutil.copytree(service.data / "keys", folder / "keys")
        folder.chmod(0o700)
        started = serves(folder, "--tls", "--cloud", "china")
        printed = started.stop()
        words = shlex.split(printed[printed.index("curl") :].replace("\\\n", " "))
        assert words[words.index("--cacert") + 1] == str(folder / "tls" / CA_FILE)
        assert f"{started.url}/beta/deviceManagement/domainJoinConnectors" in words
        bearer = next(word for word in words if word.startswith("Authorization"))
        assert "--cloud china" in bearer
        assert started.url.startswith("https://127.0.0.1:")

    @pytest.mark.parametrize("name", [CA_FILE, AUTHORITY_FILE, SERVER_FILE])
    def test_spoilt_files_are_refused_by_name(self, tmp_path: Path, name: str) -> None:
        ensure(tmp_path / "tls", ("localhost",), datetime.now(UTC))
        (tmp_path / "tls" / name).write_bytes(b"what stands in it")
        with pytest.raises(FileBroken, match=rf"tls/{name}: it is torn") as refused:
            started(Config(data_dir=tmp_path, tls=True))
        assert "stands" not in refused.value.message

    def test_the_operators_own_files_are_checked(self, tmp_path: Path) -> None:
        one, other = (ensure(tmp_path / name, ("localhost",), datetime.now(UTC)).server for name in ("one", "other"))
        config = Config(tls_cert=one, tls_key=other)
        with pytest.raises(BadCertificate, match=r"no certificate with its unencrypted key .*\(key values mismatch\)"):
            started(config)
        with pytest.raises(BadCertificate, match="cannot be read: No such file"):
            started(replace(config, tls_key=tmp_path / "none.pem"))

    @pytest.mark.parametrize(
        ("made", "says"), [(_LONG_AGO, "ended at 2"), (datetime(2099, 1, 1, tzinfo=UTC), "before 2")]
    )
    def test_one_of_another_time_is_served_with_a_warning(self, tmp_path: Path, made: datetime, says: str) -> None:
        server = ensure(tmp_path / "one", ("localhost",), made).server
        with structlog.testing.capture_logs() as logs:
            started(Config(tls_cert=server, tls_key=server))
        (log,) = logs
        assert (log["event"], log["log_level"]) == ("certificate not valid", "warning")
        assert says in log["reason"]

    def test_an_encrypted_key_is_refused_and_asked_for_by_nobody(self, tmp_path: Path) -> None:
        server = ensure(tmp_path / "one", ("localhost",), datetime.now(UTC)).server
        (tmp_path / "key.pem").write_bytes(_ENCRYPTED)
        with pytest.raises(BadCertificate, match="unencrypted"):
            started(Config(tls_cert=server, tls_key=tmp_path / "key.pem"))


def started(config: Config) -> Listener:
    return Listener(cast("Application", None), config, look_of(config, time.time))


class TestNames:
    def test_of_the_certificate(self) -> None:
        config = Config(host="192.0.2.1", public_url="https://Public.example:8443/x", tls_names=("a.example", "::1"))
        assert config.certificate_names("machine") == (
            *("localhost", "127.0.0.1", "::1"),
            *("machine", "192.0.2.1", "public.example", "a.example"),
        )

    @pytest.mark.parametrize("host", ["0.0.0.0", "::"])
    def test_every_address_is_no_name(self, host: str) -> None:
        assert Config(host=host).certificate_names("") == ("localhost", "127.0.0.1", "::1")

    def test_a_machines_name_that_is_none_is_left_out(self) -> None:
        assert Config().certificate_names("my_machine") == ("localhost", "127.0.0.1", "::1")

    @pytest.mark.parametrize("flags", [{"tls_names": ("a b",)}, {"public_url": "https://a_b"}])
    def test_what_cannot_be_in_it_is_refused(self, flags: dict[str, Any]) -> None:
        with pytest.raises(BadConfig, match="cannot be made out to"):
            load({"tls": True, **flags}, {}, None)

    def test_settings(self) -> None:
        found = load({}, {"ADJOIN_TLS": "1", "ADJOIN_TLS_NAMES": "a.example 192.0.2.1"}, None)
        assert (found.tls, found.tls_names, found.scheme) == (True, ("a.example", "192.0.2.1"), "https")


def test_a_free_port_is_found() -> None:
    assert claim_address("127.0.0.1", 0) > 0
    assert claim_address("::1", 0) > 0
