"""Notifications, and what delivering them does to the others' waiting: 1,000 webhooks of which a third fail.

`python -m benchmarks.webhooks`: four clients ask for a short list and measure; beside them one connector changes each
second, and every change goes to every webhook. The receivers are a process of their own, on ten addresses of loopback;
it refuses what goes to a third of them. Rounds with and without the changes take turns; the ratio is of the medians.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import http.client
import json
import statistics
import sys
import tempfile
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from benchmarks.servers import LIST, Running, adjoin, alongside, fill, free_port, made_up, token
from benchmarks.slow import measure

WEBHOOKS: Final = 1_000
HOSTS: Final = tuple(f"127.0.0.{number}" for number in range(1, 11))
EACH: Final = 1.0
"""Seconds from one change to the next."""

_STATS: Final = "/stats"


class Receivers:
    """All webhooks: a path is a webhook's number, and a third of them refuse."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while True:
                request = await reader.readuntil(b"\r\n\r\n")
                line, *fields = request.decode("latin-1").split("\r\n")
                length = next((int(each[15:]) for each in fields if each.lower().startswith("content-length:")), 0)
                status, said = self.answer(line.split(" ")[1], await reader.readexactly(length))
                head = f"HTTP/1.1 {status} x\r\nContent-Type: text/plain\r\nContent-Length: {len(said)}\r\n\r\n"
                writer.write((head + said).encode())
        writer.close()

    def answer(self, target: str, body: bytes) -> tuple[int, str]:
        split = urlsplit(target)
        if split.path == _STATS:
            return 200, json.dumps(self.counts)
        if split.query:
            return 200, parse_qs(split.query)["validationToken"][0]
        if int(split.path.strip("/")) % 3 == 0:
            self.counts["refused"] += 1
            return 500, ""
        self.counts["taken"] += 1
        self.counts["events"] += len(json.loads(body)["value"])
        return 202, ""


async def receive(port: int) -> None:
    """Be all webhooks; says when they are there."""
    receivers = Receivers()
    for each in HOSTS:
        await asyncio.start_server(receivers.serve, each, port, backlog=512)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


def subscribe(server: Running, bearer: str, port: int) -> None:
    ends = (datetime.now(UTC) + timedelta(hours=12)).strftime("%Y-%m-%dT%H:%M:%SZ")
    for number in range(WEBHOOKS):
        url = f"http://{HOSTS[number % len(HOSTS)]}:{port}/{number}"
        body = {"changeType": "created,updated,deleted", "notificationUrl": url, "expirationDateTime": ends}
        status, said = server.ask("POST", "/beta/subscriptions", bearer, {**body, "resource": LIST[6:]})
        if status != 201:
            raise SystemExit(said.decode())


async def change(server: Running, bearer: str, key: str) -> None:
    """One change each second, until it is cancelled."""
    number = 0
    while True:
        number += 1
        status, said = await asyncio.to_thread(server.ask, "PATCH", f"{LIST}/{key}", bearer, {"version": str(number)})
        if status != 200:
            raise SystemExit(said.decode())
        await asyncio.sleep(EACH)


async def measured(server: Running, bearer: str, seconds: float, key: str | None) -> tuple[float, float, int]:
    """As `benchmarks.slow` measures, beside changes of this connector if there is one."""
    changing = asyncio.ensure_future(change(server, bearer, key)) if key else None
    try:
        return await measure(server.port, bearer, seconds)
    finally:
        if changing is not None:
            changing.cancel()


def stats(port: int) -> dict[str, int]:
    """What the receivers have had so far."""
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
        connection.request("GET", _STATS)
        found: dict[str, int] = json.load(connection.getresponse())
    return found


def settle(port: int) -> None:
    """Wait until nothing is taken any more; what refuses is tried again later and later."""
    before: Any = None
    while (now := stats(port).get("taken", 0)) != before:
        before = now
        time.sleep(1.5)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.webhooks")
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--receive", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.receive:
        asyncio.run(receive(given.receive))
        return
    alone: list[float] = []
    beside: list[float] = []
    port = free_port()
    allow = [part for each in HOSTS for part in ("--webhook-allow", f"http://{each}:{port}")]
    with tempfile.TemporaryDirectory() as folder, alongside("webhooks", "--receive", str(port)):
        data_dir = Path(folder) / "data"
        fill(data_dir, made_up(1_000))
        with adjoin(data_dir, *allow) as server:
            bearer = token(data_dir, server)
            subscribe(server, bearer, port)
            key = str(json.loads(server.ask("GET", f"{LIST}?$top=1", bearer)[1])["value"][0]["id"])
            for number in range(given.rounds):
                for medians, what in ((alone, None), (beside, key)):
                    settle(port)
                    before, used = Counter(stats(port)), server.cpu_seconds()
                    median, p99, answers = asyncio.run(measured(server, bearer, given.seconds, what))
                    medians.append(median)
                    had, used = Counter(stats(port)) - before, server.cpu_seconds() - used
                    name = "alone" if what is None else f"beside {WEBHOOKS:,} webhooks"
                    print(
                        f"round {number + 1}, {name}: p50 {median:.2f} ms, p99 {p99:.2f} ms, {answers} answers; "
                        f"{had['taken'] / given.seconds:.0f} notifications/s taken, "
                        f"{had['refused'] / given.seconds:.0f} refused, {100 * used / given.seconds:.0f} % of a core"
                    )
            memory = server.memory()
    ratio = statistics.median(beside) / statistics.median(alone)
    print(f"p50 alone {statistics.median(alone):.2f} ms, beside {statistics.median(beside):.2f} ms: {ratio:.2f} x")
    print(f"resident memory after: {memory:.0f} MiB")


if __name__ == "__main__":
    main()
