"""Measure the service against the bare server, in interleaved rounds, and print a Markdown table.

All of it runs on one machine that shares its cores: trust the ratios, which come from the same round, before the
figures.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks import load, servers
from benchmarks.load import Result, Work
from benchmarks.servers import BODY, LIST, Running


@dataclass(slots=True)
class Scenario:
    """One line of the table: what is asked of which server, and what came of it in each round."""

    name: str
    server: Running
    work: Work
    results: list[Result] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    """Microseconds of the server's processor time for each answer."""

    def measure(self) -> None:
        before = self.server.cpu_seconds()
        result = load.run(self.work)
        self.results.append(result)
        self.cpu.append((self.server.cpu_seconds() - before) / result.answers * 1e6)

    @property
    def per_second(self) -> float:
        return statistics.median(each.per_second for each in self.results)


def main() -> None:
    options = _options()
    with tempfile.TemporaryDirectory(prefix="adjoin-bench-") as folder, ExitStack() as stack:
        starts = list(_starts(Path(folder), options.rounds))
        scenarios = _scenarios(Path(folder), options, stack)
        for _ in range(options.rounds):
            for scenario in scenarios:
                scenario.measure()
        _print(scenarios, starts, options)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure adjoin against the bare server.")
    parser.add_argument("--seconds", type=float, default=3.0, help="of each measurement [default: 3]")
    parser.add_argument("--rounds", type=int, default=5, help="of all measurements, interleaved [default: 5]")
    parser.add_argument(
        "--rows", type=int, nargs="+", default=[1_000, 10_000], help="in the list [default: 1000 10000]"
    )
    return parser.parse_args()


def _starts(folder: Path, rounds: int) -> Iterator[tuple[float, float, float]]:
    """For each round: the first start on a new directory, a restart, and the idle resident memory then."""
    for number in range(rounds):
        data_dir = folder / f"start-{number}"
        with servers.adjoin(data_dir) as first:
            first_start = first.started_in
        with servers.adjoin(data_dir) as again:
            yield first_start, again.started_in, again.memory()


def _scenarios(folder: Path, options: argparse.Namespace, stack: ExitStack) -> list[Scenario]:
    bare, seconds, body = stack.enter_context(servers.bare()), options.seconds, json.dumps(BODY)
    found = [
        Scenario("bare GET", bare, Work(bare.port, "GET", "/", "x", seconds)),
        Scenario("bare POST", bare, Work(bare.port, "POST", "/", "x", seconds, body)),
    ]
    for count in options.rows:
        data_dir = folder / f"rows-{count}"
        token = servers.token(data_dir)
        key = servers.fill(data_dir, count)
        server = stack.enter_context(servers.adjoin(data_dir))
        _verify(server, token, key, count)
        one, page = f"{LIST}/{key}", f"{LIST}?$top=100"
        found.append(Scenario(f"get, of {count:,} rows", server, Work(server.port, "GET", one, token, seconds)))
        found.append(
            Scenario(f"list of 100, of {count:,} rows", server, Work(server.port, "GET", page, token, seconds))
        )
    token = servers.token(folder / "create")
    server = stack.enter_context(servers.adjoin(folder / "create"))
    _verify_create(server, token)
    return [*found, Scenario("create", server, Work(server.port, "POST", LIST, token, seconds, body, 201))]


def _verify(server: Running, token: str, key: str, count: int) -> None:
    """Before anything is timed: the answers are the right ones, and without a token there are none."""
    status, body = server.ask("GET", f"{LIST}/{key}", token)
    _hold(status == 200 and json.loads(body)["id"] == key, "a get gives its row")
    status, body = server.ask("GET", f"{LIST}?$top=100&$count=true", token)
    page: Any = json.loads(body)
    _hold(status == 200 and len(page["value"]) == min(100, count), "a page has its rows")
    _hold(page["@odata.count"] == count, "the list has all rows")
    _hold(server.ask("GET", f"{LIST}/{key}", token[:-4] + "AAAA")[0] == 401, "a forged token is refused")


def _verify_create(server: Running, token: str) -> None:
    status, body = server.ask("POST", LIST, token, BODY)
    created = json.loads(body)
    _hold(status == 201 and {**created, **BODY} == created, "a create gives what was sent")
    _hold(server.ask("GET", f"{LIST}/{created['id']}", token)[0] == 200, "what was created is there")


def _hold(true: bool, words: str) -> None:
    if not true:
        raise SystemExit(f"Not measured, for this does not hold: {words}.")


def _print(scenarios: list[Scenario], starts: list[tuple[float, float, float]], options: argparse.Namespace) -> None:
    generator = "wrk, 1 thread" if load.wrk_is_there() else "the generator of benchmarks/load.py"
    print(f"Python {platform.python_version()}, {load.CONNECTIONS} connections, {generator}, "
          f"{options.rounds} rounds of {options.seconds:g} s, medians\n")  # fmt: skip
    print("| | answers/s | of the bare server | CPU µs each | p99 ms | wrong answers |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    bare = {each.work.method: each for each in scenarios[:2]}
    for each in scenarios:
        pairs = zip(each.results, bare[each.work.method].results, strict=True)
        ratio = statistics.median(own.per_second / base.per_second for own, base in pairs)
        p99 = statistics.median(result.p99_ms for result in each.results)
        wrong = sum(result.wrong for result in each.results)
        cpu = statistics.median(each.cpu)
        print(f"| {each.name} | {each.per_second:,.0f} | {ratio:.2f} | {cpu:.0f} | {p99:.1f} | {wrong} |")
    first, again, memory = (statistics.median(column) for column in zip(*starts, strict=True))
    print("\n| | median |\n| --- | ---: |")
    print(f"| first start to first answer | {first:.2f} s |")
    print(f"| restart to first answer | {again:.2f} s |")
    print(f"| resident memory, idle | {memory:.0f} MiB |")


if __name__ == "__main__":
    main()
