"""From a thousand rows to a million: what stays as cheap as it was, and what does not."""

from __future__ import annotations

import argparse
import json
import statistics
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from benchmarks import servers
from benchmarks.load import Work
from benchmarks.scenarios import Scenario, deep_page
from benchmarks.servers import BODY, LIST

_FEW: Final = 1_000


def run(folder: Path, options: argparse.Namespace, stack: ExitStack) -> None:
    few, most = (_prepare(folder / str(count), count, options.seconds, stack) for count in (_FEW, options.most))
    for _ in range(options.rounds):
        for one, other in zip(few, most, strict=True):
            one.measure()
            other.measure()
    print(f"| | ms at {_FEW:,} rows | ms at {options.most:,} | ratio |\n| --- | ---: | ---: | ---: |")
    for one, other in zip(few, most, strict=True):
        pairs = [(b.p50_ms, a.p50_ms) for a, b in zip(one.results, other.results, strict=True)]
        ratio = statistics.median(large / small for large, small in pairs)
        large, small = (statistics.median(values) for values in zip(*pairs, strict=True))
        print(f"| {one.kind} | {small:.2f} | {large:.2f} | {ratio:.2f} |")
    print(f"\nResident memory at the end: {most[0].server.memory():.0f} MiB")


def _prepare(data_dir: Path, count: int, seconds: float, stack: ExitStack) -> list[Scenario]:
    """One asks at a time, so that an answer's time is what it costs."""
    rows = servers.made_up(count)
    key = next(rows)[0]
    servers.fill(data_dir, rows)
    server = stack.enter_context(servers.adjoin(data_dir))
    token = servers.token(data_dir, server)
    made = server.ask("POST", LIST, token, {**{k: v for k, v in BODY.items() if "@" not in k}, "id": key})
    if made[0] != 201:
        raise SystemExit(f"Not measured: {made}")
    asked = {
        "get": f"{LIST}/{key}",
        "first page of 100": f"{LIST}?$top=100",
        "page at nine tenths, by nextLink": deep_page(server, token, count),
        "first page and $count": f"{LIST}?$top=100&$count=true",
        "state eq, 1 in 100": f"{LIST}?$filter=state%20eq%20'error'&$top=100",
        "state eq and $count": f"{LIST}?$filter=state%20eq%20'error'&$top=100&$count=true",
        "contains, frequent": f"{LIST}?$filter=contains(displayName,'berlin')&$top=100",
        "contains, 1 in 1000": f"{LIST}?$filter=contains(displayName,'zebra')&$top=100",
        "contains, absent": f"{LIST}?$filter=contains(displayName,'giraffe')&$top=100",
    }
    found = [
        Scenario(kind, "adjoin", server, Work(server.port, "GET", [path], token, seconds, connections=1))
        for kind, path in asked.items()
    ]
    create = Work(server.port, "POST", [LIST], token, seconds, json.dumps(BODY), 201, connections=1)
    return [*found, Scenario("create", "adjoin", server, create)]
