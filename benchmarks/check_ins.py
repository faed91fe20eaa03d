"""Measure check-ins: what 100,000 connectors cost, how many are taken at most, and how long a GET takes meanwhile.

Connectors are put into the database with their tokens, so that nothing but check-ins is measured; each is a request of
its own on a kept connection, durable before it is answered. `python -m benchmarks.check_ins` prints a Markdown table.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import statistics
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from multiprocessing.queues import Queue
from pathlib import Path
from typing import Any, Final

from adjoin.identity import issuer
from adjoin.identity.issuer import Grant
from adjoin.odata.values import Instant, time_ordered_guid
from adjoin.service.connectors import AUDIENCE, PERMISSION
from adjoin.service.installation import open_installation
from adjoin.service.world import World
from adjoin.store import connectors, rows, tenants
from adjoin.store.database import Session
from adjoin.store.tables import CONNECTORS
from benchmarks import servers
from benchmarks.load import wrk_is_there
from benchmarks.servers import LIST, Running

EVERY_SECONDS: Final = 300
_FILL_AT_ONCE: Final = 500
_CONNECTIONS: Final = 64
_PROBES_A_SECOND: Final = 50.0

_LUA: Final = """
local tokens, bodies, at, turn = {}, {}, 0, OFFSET + 1
for line in io.lines("LINES") do
  local token, body = line:match("^(.-)\\t(.*)$")
  tokens[#tokens + 1], bodies[#bodies + 1] = token, body
end
request = function()
  at = at + 1
  if at > #tokens then at, turn = 1, turn + 1 end
  local headers = {["Authorization"] = "Bearer " .. tokens[at], ["Content-Type"] = "application/json"}
  return wrk.format("POST", "/connector/v1/check-in", headers, (bodies[at]:gsub("SEQUENCE", turn)))
end
done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format("RESULT %d %d %d\\n", summary.requests, summary.duration,
    e.connect + e.read + e.write + e.timeout + e.status))
end
"""


@dataclass(frozen=True, slots=True)
class Beat:
    """One connector's check-in, ready to be sent but for its number."""

    port: int
    token: str
    body: str

    @property
    def head(self) -> bytes:
        lines = ["POST /connector/v1/check-in HTTP/1.1", f"host: 127.0.0.1:{self.port}"]
        lines += [f"authorization: Bearer {self.token}", "content-type: application/json", ""]
        return "\r\n".join(lines).encode()

    def request(self, sequence: int) -> bytes:
        body = self.body.replace("SEQUENCE", str(sequence)).encode()
        return self.head + b"content-length: %d\r\n\r\n" % len(body) + body


async def prepare(data_dir: Path, count: int, active: int) -> list[tuple[str, str]]:
    """An installation with so many connectors, and the ids and tokens of some of them."""
    world = World()
    installation = await open_installation(data_dir, data_dir / "adjoin.db", data_dir / "keys", world)
    (tenant,) = await tenants.every(installation.database.reader)
    at = Instant.from_unix(world.now())
    keys = [time_ordered_guid(1_700_000_000_000 + number, os.urandom(10)) for number in range(count)]

    async def act(session: Session, some: Sequence[str]) -> None:
        for key in some:
            values: dict[str, Any] = {"id": key, "displayName": f"odj-{key[-6:]}", "state": "active"}
            values |= {"version": "1.0.0.0", "lastConnectionDateTime": at}
            await rows.insert(session, CONNECTORS, tenant.number, values, 1)
            await connectors.enrol(session, tenant.number, key, None, at, world.timestamp())

    for first in range(0, count, _FILL_AT_ONCE):
        await installation.database.write(partial(act, some=keys[first : first + _FILL_AT_ONCE]))
    found = []
    for key in keys[:: max(1, count // active)][:active]:
        grant = Grant(
            tenant_id=tenant.id,
            subject=key,
            client_id=key,
            permissions=frozenset({PERMISSION}),
            audience=AUDIENCE,
            expires_in=86_400,
        )
        signing = installation.ring.signing
        found.append((key, issuer.mint(signing, grant, int(world.now()), world.new_request_id())))
    await installation.database.close()
    return found


def beats(port: int, tokens: Sequence[tuple[str, str]]) -> list[Beat]:
    found = []
    for _, token in tokens:
        report = {
            "instance": str(uuid.uuid4()),
            "sequence": "SEQUENCE",
            "version": "1.0.0.0",
            "health": [{"name": "clock", "ok": True}, {"name": "servers", "ok": True}],
            "load": {"work": 0},
        }
        found.append(Beat(port, token, json.dumps(report).replace('"SEQUENCE"', "SEQUENCE")))
    return found


async def _exchange(streams: tuple[asyncio.StreamReader, asyncio.StreamWriter], request: bytes) -> int:
    """Send a request and read its answer; give its status."""
    reader, writer = streams
    writer.write(request)
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
    await reader.readexactly(length)
    return int(head[9:12])


@dataclass(frozen=True, slots=True)
class Beaten:
    """What came of a load: answers, wrong ones, the seconds that it took, and those of processor time that it cost."""

    answers: int
    wrong: int
    seconds: float
    cpu: float


async def beat(port: int, all_beats: Sequence[Beat], seconds: float, rate: float | None, offset: int) -> Beaten:
    """Check in at a rate, or with `rate` None as fast as is answered. Each connector counts on from `offset`."""
    began, worked = time.perf_counter(), time.process_time()
    sent = wrong = 0

    async def one_connection() -> None:
        nonlocal sent, wrong
        streams = await asyncio.open_connection("127.0.0.1", port)
        while (passed := time.perf_counter() - began) < seconds:
            number, sent = sent, sent + 1
            if rate is not None and (early := number / rate - passed) > 0:
                await asyncio.sleep(early)
            turn, at = divmod(number, len(all_beats))
            wrong += await _exchange(streams, all_beats[at].request(offset + turn + 1)) != 200
        streams[1].close()

    await asyncio.gather(*(one_connection() for _ in range(_CONNECTIONS)))
    return Beaten(sent, wrong, time.perf_counter() - began, time.process_time() - worked)


def beat_with_wrk(port: int, all_beats: Sequence[Beat], seconds: float, offset: int) -> Beaten:
    """As `beat` without a rate, by wrk: it costs less of the machine that is measured."""
    with tempfile.TemporaryDirectory() as folder:
        lines = Path(folder) / "beats"
        lines.write_text("".join(f"{each.token}\t{each.body}\n" for each in all_beats), "ascii")
        script = Path(folder) / "beats.lua"
        script.write_text(_LUA.replace("LINES", str(lines)).replace("OFFSET", str(offset)), "ascii")
        command = ["wrk", "-t1", f"-c{_CONNECTIONS}", f"-d{max(1, round(seconds))}s", "-s", str(script)]
        done = subprocess.run([*command, f"http://127.0.0.1:{port}/"], check=True, capture_output=True, text=True)
    answers, micros, wrong = map(int, done.stdout.rpartition("RESULT ")[2].split())
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    return Beaten(answers, wrong, micros / 1e6, spent.ru_utime + spent.ru_stime)


async def probe(port: int, path: str, token: str, seconds: float) -> list[float]:
    """How long single GETs take, in milliseconds."""
    streams = await asyncio.open_connection("127.0.0.1", port)
    request = f"GET {path} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\nauthorization: Bearer {token}\r\n\r\n".encode()
    found, until = [], time.perf_counter() + seconds
    while time.perf_counter() < until:
        began = time.perf_counter()
        if await _exchange(streams, request) != 200:
            raise SystemExit("a GET failed")
        found.append((time.perf_counter() - began) * 1_000)
        await asyncio.sleep(1 / _PROBES_A_SECOND)
    streams[1].close()
    return found


def _in_process(results: Queue[Any], act: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    made = act(*arguments)
    results.put(asyncio.run(made) if asyncio.iscoroutine(made) else made)


@dataclass(slots=True)
class Line:
    """A line of the table: what was beaten, the server's processor time in seconds, and the GETs' milliseconds."""

    name: str
    beaten: Beaten | None
    cpu: float
    probes: list[float]


def measure(name: str, server: Running, get: tuple[str, str], load: tuple[Any, ...] | None, seconds: float) -> Line:
    """Put a load on, or none, and time GETs meanwhile, each from a process of its own."""
    context = get_context("spawn")
    answers, probes = context.Queue(), context.Queue()
    processes = [context.Process(target=_in_process, args=(probes, probe, (server.port, *get, seconds)))]
    if load is not None:
        processes.append(context.Process(target=_in_process, args=(answers, *load)))
    before = server.cpu_seconds()
    for each in processes:
        each.start()
    timed = probes.get(timeout=seconds + 60)
    beaten = answers.get(timeout=seconds + 60) if load is not None else None
    cpu = server.cpu_seconds() - before
    for each in processes:
        each.join()
    return Line(name, beaten, cpu, timed)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.check_ins", description="Measure check-ins.")
    parser.add_argument("--connectors", type=int, default=100_000, help="in the database [default: 100000]")
    parser.add_argument("--active", type=int, default=5_000, help="that check in [default: 5000]")
    parser.add_argument("--seconds", type=float, default=10.0, help="of each measurement [default: 10]")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="adjoin-bench-") as folder:
        data_dir = Path(folder) / "data"
        tokens = asyncio.run(prepare(data_dir, options.connectors, options.active))
        with servers.adjoin(data_dir) as server:
            get = f"{LIST}/{tokens[0][0]}", servers.token(data_dir, server)
            _print(_measured(server, get, tokens, options), options)


def _measured(
    server: Running, get: tuple[str, str], tokens: Sequence[tuple[str, str]], options: argparse.Namespace
) -> list[Line]:
    sent, seconds = beats(server.port, tokens), options.seconds
    usual = options.connectors / EVERY_SECONDS
    # A count beyond what any load before has counted to.
    behind = (server.port, sent, seconds, len(sent))
    fastest = (beat_with_wrk, behind) if wrk_is_there() else (beat, (*behind[:3], None, behind[3]))
    return [
        measure("no check-ins", server, get, None, seconds),
        measure(f"{usual:,.0f} a second", server, get, (beat, (server.port, sent, seconds, usual, 0)), seconds),
        measure("as many as are taken", server, get, fastest, seconds),
    ]


def _print(lines: Sequence[Line], options: argparse.Namespace) -> None:
    print(f"{options.connectors:,} connectors, {options.seconds:g} s each, {os.cpu_count()} vCPU\n")
    print("| | check-ins/s | wrong answers | CPU µs each | of one core | load's, of one core | GET p50 ms | p99 ms |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    for each in lines:
        beaten = each.beaten or Beaten(0, 0, options.seconds, 0)
        # What the GETs cost is what the first line cost.
        cpu = max(each.cpu - lines[0].cpu, 0.0)
        micros = f"{cpu / beaten.answers * 1e6:,.0f}" if beaten.answers else "-"
        rate, share = f"{beaten.answers / beaten.seconds:,.0f}", f"{cpu / beaten.seconds:.0%}"
        load = f"{beaten.cpu / beaten.seconds:.0%}"
        ordered = sorted(each.probes)
        p50, p99 = statistics.median(ordered), ordered[int(len(ordered) * 0.99)]
        print(f"| {each.name} | {rate} | {beaten.wrong} | {micros} | {share} | {load} | {p50:.2f} | {p99:.2f} |")


if __name__ == "__main__":
    main()
