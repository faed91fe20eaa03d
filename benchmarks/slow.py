"""Clients that hold on to the service and ask for next to nothing: what they do to the others' waiting.

`python -m benchmarks.slow`: four clients ask and measure; a process beside them keeps
200 connections that send a byte a second, in heads and in bodies, and 2,000 that send nothing, and opens again what the
service closes. Rounds with and without them take turns; the ratio is of the medians.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import resource
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from benchmarks.servers import LIST, adjoin, alongside, fill, made_up, token

SLOW: Final = 200
IDLE: Final = 2_000
ASKING: Final = 4
_HEAD: Final = b"GET /healthz HTTP/1.1\r\nHost: slow\r\nX-Slow: "
_FORM: Final = (
    b"POST /default/oauth2/v2.0/token HTTP/1.1\r\nHost: slow\r\nContent-Length: 4000\r\n"
    b"Content-Type: application/x-www-form-urlencoded\r\n\r\n"
)


async def hold(port: int, begin: bytes, drip: bytes) -> None:
    """One connection, opened again whenever it ends: `begin`, and then `drip` each second, for ever."""
    while True:
        with contextlib.suppress(OSError):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(begin)
            ended = asyncio.ensure_future(reader.read())
            while not ended.done():
                writer.write(drip)
                await asyncio.wait({ended}, timeout=1 if drip else None)
            writer.close()
        await asyncio.sleep(0.2)


async def hold_all(port: int) -> None:
    """All of them; says when they are there."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    kinds = [(_HEAD, b"x")] * (SLOW // 2) + [(_FORM, b"x")] * (SLOW // 2) + [(b"", b"")] * IDLE
    holding = []
    for begin, drip in kinds:
        holding.append(asyncio.ensure_future(hold(port, begin, drip)))
        await asyncio.sleep(0.001)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    await asyncio.gather(*holding)


async def ask(port: int, bearer: str, until: float, waits: list[float]) -> None:
    """Ask for a short list, again and again, and note how long each answer took."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    request = f"GET {LIST}?$top=1 HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {bearer}\r\n\r\n".encode()
    while time.perf_counter() < until:
        began = time.perf_counter()
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            raise SystemExit(head.decode("latin-1"))
        length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        await reader.readexactly(int(length.partition(b":")[2]))
        waits.append(time.perf_counter() - began)
    writer.close()


async def measure(port: int, bearer: str, seconds: float) -> tuple[float, float, int]:
    """Median and 99th percentile of waiting, in milliseconds, and how many answers there were."""
    waits: list[float] = []
    until = time.perf_counter() + seconds
    await asyncio.gather(*(ask(port, bearer, until, waits) for _ in range(ASKING)))
    waits.sort()
    return statistics.median(waits) * 1_000, waits[len(waits) * 99 // 100] * 1_000, len(waits)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.slow")
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--hold", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.hold:
        asyncio.run(hold_all(given.hold))
        return
    alone: list[float] = []
    beside: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        data_dir = Path(folder) / "data"
        fill(data_dir, made_up(1_000))
        with adjoin(data_dir) as server:
            bearer = token(data_dir, server)
            for number in range(given.rounds):
                slow = alongside("slow", "--hold", str(server.port))
                for medians, context in ((alone, contextlib.nullcontext()), (beside, slow)):
                    with context:
                        median, p99, answers = asyncio.run(measure(server.port, bearer, given.seconds))
                    medians.append(median)
                    name = "alone" if medians is alone else f"beside {SLOW} slow and {IDLE:,} idle"
                    print(f"round {number + 1}, {name}: p50 {median:.2f} ms, p99 {p99:.2f} ms, {answers} answers")
            memory = server.memory()
    ratio = statistics.median(beside) / statistics.median(alone)
    print(f"p50 alone {statistics.median(alone):.2f} ms, beside {statistics.median(beside):.2f} ms: {ratio:.2f} x")
    print(f"resident memory after: {memory:.0f} MiB")


if __name__ == "__main__":
    main()
