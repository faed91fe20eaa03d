"""The load: 64 keep-alive connections, each asking again as soon as it is answered, from a process of its own.

wrk makes the load where it is installed; else this module does, and costs more of the machine that is measured. Both
count the answers that were wrong: wrk those of status 400 and above, this module all of another status than expected.
"""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import cycle
from typing import Final

CONNECTIONS: Final = 64

# wrk reports through this: what it counts itself leaves out which statuses there were.
_LUA: Final = """
wrk.method = %(method)s
local paths, at = {%(paths)s}, 0
request = function()
  at = at %% #paths + 1
  return wrk.format(nil, paths[at])
end
wrk.headers["Authorization"] = %(authorization)s
wrk.headers["Content-Type"] = "application/json"
wrk.body = %(body)s
done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format("RESULT %%d %%d %%d %%d %%d\\n", summary.requests, summary.duration,
    e.connect + e.read + e.write + e.timeout + e.status, latency:percentile(50), latency:percentile(99)))
end
"""


@dataclass(frozen=True, slots=True)
class Work:
    """What every connection asks for, one path after the other, over and over."""

    port: int
    method: str
    paths: Sequence[str]
    token: str
    seconds: float
    body: str | None = None
    status: int = 200
    connections: int = CONNECTIONS


@dataclass(frozen=True, slots=True)
class Result:
    """What came of it: the answers, those that were wrong, and the 99th percentile of waiting."""

    answers: int
    seconds: float
    wrong: int
    p50_ms: float
    p99_ms: float

    @property
    def per_second(self) -> float:
        return self.answers / self.seconds


def run(work: Work) -> Result:
    """Put the load on and measure."""
    return _run_wrk(work) if wrk_is_there() else _run_own(work)


def wrk_is_there() -> bool:
    return shutil.which("wrk") is not None


def _run_wrk(work: Work) -> Result:
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        values = {"method": work.method, "authorization": f"Bearer {work.token}", "body": work.body or ""}
        quoted = {name: json.dumps(value) for name, value in values.items()}
        script.write(_LUA % {**quoted, "paths": ", ".join(map(json.dumps, work.paths))})
        script.flush()
        command = ["wrk", "-t1", f"-c{work.connections}", f"-d{max(1, round(work.seconds))}s", "-s", script.name]
        output = subprocess.run(
            [*command, f"http://127.0.0.1:{work.port}/"], check=True, capture_output=True, text=True
        ).stdout
    match = re.search(r"RESULT (\d+) (\d+) (\d+) (\d+) (\d+)", output)
    if match is None:
        raise RuntimeError(f"wrk said something else than expected: {output}")
    requests, microseconds, wrong, p50, p99 = map(int, match.groups())
    return Result(requests, microseconds / 1e6, wrong, p50 / 1e3, p99 / 1e3)


def _run_own(work: Work) -> Result:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.load"],
        input=json.dumps(asdict(work)),
        check=True,
        capture_output=True,
        text=True,
    )
    return Result(**json.loads(done.stdout))


class _Connection(asyncio.Protocol):
    """One connection: sends the request, waits for the whole answer, notes it, and sends again."""

    def __init__(self, requests: Iterator[bytes], status: bytes, waits: list[float], wrong: list[bytes]) -> None:
        self._requests, self._status, self._waits, self._wrong = requests, status, waits, wrong
        self._buffer = b""
        self._sent = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._send()

    def _send(self) -> None:
        self._sent = time.perf_counter()
        self._transport.write(next(self._requests))

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, mark, body = self._buffer.partition(b"\r\n\r\n")
        if not mark:
            return
        length = re.search(rb"content-length: *(\d+)", head, re.IGNORECASE)
        if length is not None and len(body) < int(length[1]):
            return
        self._waits.append(time.perf_counter() - self._sent)
        if head[9:12] != self._status:
            self._wrong.append(head[9:12])
        self._buffer = b""
        self._send()


async def _measure(work: Work) -> Result:
    content = (work.body or "").encode()
    head = (
        f" HTTP/1.1\r\nHost: 127.0.0.1:{work.port}\r\nAuthorization: Bearer {work.token}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
    )
    waits: list[float] = []
    wrong: list[bytes] = []
    loop = asyncio.get_running_loop()
    started = time.perf_counter()
    requests = cycle([f"{work.method} {path}{head}".encode() + content for path in work.paths])
    status = str(work.status).encode()
    for _ in range(work.connections):
        await loop.create_connection(lambda: _Connection(requests, status, waits, wrong), "127.0.0.1", work.port)
    await asyncio.sleep(work.seconds)
    seconds = time.perf_counter() - started
    waits.sort()
    p50, p99 = (waits[len(waits) * share // 100] * 1e3 for share in (50, 99))
    return Result(len(waits), seconds, len(wrong), p50, p99)


if __name__ == "__main__":
    result = asyncio.run(_measure(Work(**json.load(sys.stdin))))
    print(json.dumps(asdict(result)))
