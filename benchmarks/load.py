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
from dataclasses import asdict, dataclass
from typing import Final

CONNECTIONS: Final = 64

# wrk reports through this: what it counts itself leaves out which statuses there were.
_LUA: Final = """
wrk.method = %(method)s
wrk.headers["Authorization"] = %(authorization)s
wrk.headers["Content-Type"] = "application/json"
wrk.body = %(body)s
done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format("RESULT %%d %%d %%d %%d\\n", summary.requests, summary.duration,
    e.connect + e.read + e.write + e.timeout + e.status, latency:percentile(99)))
end
"""


@dataclass(frozen=True, slots=True)
class Work:
    """What every connection asks for, over and over."""

    port: int
    method: str
    path: str
    token: str
    seconds: float
    body: str | None = None
    status: int = 200


@dataclass(frozen=True, slots=True)
class Result:
    """What came of it: the answers, those that were wrong, and the 99th percentile of waiting."""

    answers: int
    seconds: float
    wrong: int
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
        script.write(_LUA % {name: json.dumps(value) for name, value in values.items()})
        script.flush()
        command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{max(1, round(work.seconds))}s", "-s", script.name]
        output = subprocess.run(
            [*command, f"http://127.0.0.1:{work.port}{work.path}"], check=True, capture_output=True, text=True
        ).stdout
    match = re.search(r"RESULT (\d+) (\d+) (\d+) (\d+)", output)
    if match is None:
        raise RuntimeError(f"wrk said something else than expected: {output}")
    requests, microseconds, wrong, p99 = map(int, match.groups())
    return Result(requests, microseconds / 1e6, wrong, p99 / 1e3)


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

    def __init__(self, request: bytes, status: bytes, waits: list[float], wrong: list[bytes]) -> None:
        self._request, self._status, self._waits, self._wrong = request, status, waits, wrong
        self._buffer = b""
        self._sent = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._send()

    def _send(self) -> None:
        self._sent = time.perf_counter()
        self._transport.write(self._request)

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
        f"{work.method} {work.path} HTTP/1.1\r\nHost: 127.0.0.1:{work.port}\r\nAuthorization: Bearer {work.token}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
    )
    waits: list[float] = []
    wrong: list[bytes] = []
    loop = asyncio.get_running_loop()
    started = time.perf_counter()
    request, status = head.encode() + content, str(work.status).encode()
    for _ in range(CONNECTIONS):
        await loop.create_connection(lambda: _Connection(request, status, waits, wrong), "127.0.0.1", work.port)
    await asyncio.sleep(work.seconds)
    seconds = time.perf_counter() - started
    return Result(len(waits), seconds, len(wrong), sorted(waits)[len(waits) * 99 // 100] * 1e3)


if __name__ == "__main__":
    result = asyncio.run(_measure(Work(**json.load(sys.stdin))))
    print(json.dumps(asdict(result)))
