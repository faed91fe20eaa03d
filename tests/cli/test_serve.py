"""`adjoin serve` as a process: what it refuses to start with, what it prints, and how it ends."""

from __future__ import annotations

import http.client
import json
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from tests.cli.program import ADJOIN, adjoin, environment, free_port, here, serving
from tests.server import LIST, PUBLISHED

from adjoin.cli import running as starting
from adjoin.config import Config


@pytest.fixture
def not_started(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is refused before anything is started cannot keep these tests waiting, should it be taken one day."""

    def start(loaded: Config, quiet: bool) -> None:
        raise AssertionError("it was taken")

    monkeypatch.setattr(starting, "start", start)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--host", "0.0.0.0"], "plain http"),
        (["--host", "::"], "plain http"),
        (["--host", "example.com"], "plain http"),
        (["--tls-cert", "x.pem"], "--tls-cert and --tls-key go together"),
        (["--public-url", "graph.example.com"], "--public-url"),
        (["--port", "70000"], "port"),
        (["--database", "mysql://x"], "--database"),
        (["--workers", "2"], "only with --database postgresql"),
        (["--config", "missing.toml"], "missing.toml"),
        (["--host", "203.0.113.1", "--behind-proxy"], "plain http"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_settings_that_are_refused(not_started: None, tmp_path: Path, arguments: list[str], said: str) -> None:
    ended = here("serve", "--data-dir", "data", "--port", str(free_port()), *arguments, folder=tmp_path)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.startswith("adjoin: ")
    assert said in ended.stderr
    assert ended.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--database", "postgresql://u:secret@127.0.0.1:1/d"], "postgresql://u@127.0.0.1:1/d cannot be reached"),
        (["--host", "203.0.113.1", "--trusted-proxy", "10.0.0.0/8"], "Cannot listen on 203.0.113.1"),
        (["--host", "203.0.113.1", "--behind-proxy", "--trusted-proxy", "10.0.0.0/8"], "Cannot listen on 203.0.113.1"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_keeps_it_from_starting(tmp_path: Path, arguments: list[str], said: str) -> None:
    ended = adjoin("serve", "--data-dir", "data", "--port", str(free_port()), *arguments, folder=tmp_path)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.startswith("adjoin: ")
    assert said in ended.stderr
    assert ended.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("text", "said"), [("port = ", "adjoin.toml"), ("colour = 'red'", "colour"), ("port = 'x'", "port")]
)
def test_settings_file_that_is_wrong(not_started: None, tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "adjoin.toml").write_text(text)
    ended = here("serve", folder=tmp_path)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert said in ended.stderr


def test_port_that_is_taken(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = str(other.getsockname()[1])
        ended = adjoin("serve", "--port", port, folder=tmp_path)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.startswith(f"adjoin: Cannot listen on 127.0.0.1:{port}: ")


def test_database_of_another_program_is_left_alone(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "other.db") as connection:
        connection.execute("CREATE TABLE theirs (a)")
    connection.close()
    (tmp_path / "other.db").chmod(0o600)
    for run, command in ((adjoin, ["serve", "--port", str(free_port())]), (here, ["token"]), (here, ["check"])):
        ended = run(*command, "--database", "other.db", folder=tmp_path)
        assert ended.returncode == 1
        assert "another program" in ended.stderr + ended.stdout
    with sqlite3.connect(tmp_path / "other.db") as connection:
        assert [*connection.execute("SELECT name FROM sqlite_schema")] == [("theirs",)]
    connection.close()


def test_it_says_where_it_is_and_how_to_call_it(tmp_path: Path) -> None:
    with serving(tmp_path / "data") as running:
        assert running.stop(signal.SIGTERM) == 0
        assert running.process.stdout is not None
        printed = running.process.stdout.read()
    assert f" on http://127.0.0.1:{running.port}\n" in printed
    assert "eyJ" not in printed
    assert all(json.loads(line)["event"] for line in running.log)


@pytest.mark.parametrize("program", [(ADJOIN,), (sys.executable, "-m", "adjoin")], ids=["adjoin", "python -m adjoin"])
def test_printed_call_works(tmp_path: Path, program: tuple[str, ...]) -> None:
    folder = tmp_path / "it's data"
    with serving(folder, program=program) as running:
        assert running.process.stdout is not None
        printed = ""
        while "-d '" not in printed:
            printed += running.process.stdout.readline()
        command = printed[printed.index("curl ") :]
        # Pasted into a shell somewhere else.
        called = subprocess.run(
            ["sh", "-c", command], check=False, capture_output=True, text=True, timeout=60, env=environment()
        )
        assert called.stdout.startswith("HTTP/1.1 201 Created"), called
        made = json.loads(called.stdout.splitlines()[-1])
        assert {name: made[name] for name in PUBLISHED} == PUBLISHED


def test_quiet_prints_nothing(tmp_path: Path) -> None:
    with serving(tmp_path / "data", "--quiet") as running:
        assert running.stop(signal.SIGINT) == 0
        assert running.process.stdout is not None
        assert running.process.stdout.read() == ""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_ends_it_in_order_with_a_request_under_way(tmp_path: Path, number: signal.Signals) -> None:
    folder = tmp_path / "data"
    body = json.dumps(dict(PUBLISHED)).encode()
    with serving(folder, "--log-level", "info") as running:
        token = here("token", "--data-dir", str(folder), folder=tmp_path).stdout.strip()
        under_way = http.client.HTTPConnection("127.0.0.1", running.port, timeout=60)
        under_way.putrequest("POST", LIST)
        under_way.putheader("Authorization", f"Bearer {token}")
        under_way.putheader("Content-Type", "application/json")
        under_way.putheader("Content-Length", str(len(body)))
        under_way.putheader("Expect", "100-continue")
        under_way.endheaders()
        # The server asks for the body once the application waits for it.
        assert under_way.sock.recv(25) == b"HTTP/1.1 100 Continue\r\n\r\n"
        under_way.send(body[:10])
        running.process.send_signal(number)
        under_way.send(body[10:])
        answer = under_way.getresponse()
        assert (answer.status, json.load(answer)["version"]) == (201, "Version value")
        under_way.close()
        assert running.process.wait(60) == 0
        running.says("stopped")


def test_signal_ends_it_though_nobody_reads_its_log(tmp_path: Path) -> None:
    port = free_port()
    command = [ADJOIN, "serve", "--data-dir", str(tmp_path / "data"), "--port", str(port), "--log-level", "info"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment(), cwd=tmp_path)
    assert process.stderr is not None
    assert process.stdout is not None
    assert b"listening" in process.stderr.readline()
    process.stderr.close()
    process.stdout.close()
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0


def test_a_name_can_be_listened_on(tmp_path: Path) -> None:
    with serving(tmp_path / "data", "--host", "localhost") as running:
        client = http.client.HTTPConnection("localhost", running.port)
        client.request("GET", "/healthz")
        assert client.getresponse().status == 200
        client.close()


def test_idle_connection_does_not_hold_the_end_up(tmp_path: Path) -> None:
    with serving(tmp_path / "data") as running:
        idle = http.client.HTTPConnection("127.0.0.1", running.port, timeout=60)
        idle.request("GET", "/healthz")
        assert idle.getresponse().read() == b"ok\n"
        assert running.stop(signal.SIGTERM) == 0
        idle.close()


def test_what_was_answered_is_there_after_the_next_start(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    keys = []
    for expected in (1, 2):
        with serving(folder) as running:
            token = here("token", "--data-dir", str(folder), folder=tmp_path).stdout.strip()
            caller = http.client.HTTPConnection("127.0.0.1", running.port, timeout=60)
            headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
            caller.request("POST", LIST, json.dumps(dict(PUBLISHED)), headers)
            keys.append(json.load(caller.getresponse())["id"])
            running.process.kill()
            running.process.wait()
            caller.close()
        with sqlite3.connect(folder / "adjoin.db") as connection:
            found = [key for (key,) in connection.execute("SELECT id FROM domain_join_connectors ORDER BY id")]
        connection.close()
        assert (len(found), found) == (expected, sorted(keys))


def test_port_0_is_refused_or_says_which_it_took(tmp_path: Path) -> None:
    """A service on a port that nobody is told is of no use."""
    command = [ADJOIN, "serve", "--port", "0", "--data-dir", "data"]
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, cwd=tmp_path, env=environment()
    ) as process:
        # Reached only where nothing is ever said.
        hangs = threading.Timer(15, process.kill)
        hangs.start()
        assert process.stderr is not None
        said = process.stderr.readline()
        hangs.cancel()
        process.kill()
    assert said.startswith("adjoin: ") or ('"event":"listening"' in said and ':0"' not in said)


HANGS_UP = """
import os, signal, sys
from adjoin.cli import main

def told(event, given):
    if event in ("socket.bind", "sqlite3.connect") or (event == "import" and given[0] == "granian"):
        os.kill(os.getpid(), signal.SIGHUP)

sys.addaudithook(told)
main.run(sys.argv[1:])
"""
"""Is told by SIGHUP while it loads its parts, claims its address, and opens its database."""


def test_sighup_before_it_listens_ends_nothing(tmp_path: Path) -> None:
    with serving(tmp_path / "data", program=(sys.executable, "-c", HANGS_UP)) as running:
        assert running.stop(signal.SIGTERM) == 0
