"""From a thousand rows to a million: what stays as cheap as it was, what the text index does, what memory it takes."""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from benchmarks import load, servers
from benchmarks.load import Work
from benchmarks.scenarios import Scenario
from benchmarks.servers import BODY, DURABLE, LIST, Running

_FEW: Final = 1_000
_SLICE_SECONDS: Final = 5.0
_CONTAINS: Final = {"frequent": "berlin", "1 in 1000": "zebra", "absent": "giraffe"}

Times = dict[str, tuple[float, float]]
"""Of each kind of request, the median milliseconds with few rows, and with most."""

_GOALS: Final[dict[str, tuple[float, Callable[[Times], float]]]] = {
    "get, of its time with few": (1.3, lambda of: of["get"][1] / of["get"][0]),
    "create, of its time with few": (1.3, lambda of: of["create"][1] / of["create"][0]),
    "last page, of the first": (1.2, lambda of: of["last page, by nextLink"][1] / of["first page of 100"][1]),
    "$count=true adds, ms": (5.0, lambda of: of["first page and $count"][1] - of["first page of 100"][1]),
    "state eq and $count, ms": (10.0, lambda of: of["state eq and $count"][1]),
    **{
        f"contains, {how}, text index, ms": (5.0, lambda of, how=how: of[f"contains, {how}, text index"][1])  # type: ignore[misc]
        for how in _CONTAINS
    },
}
"""What is asked for with a million rows: the most that each may be."""


def run(folder: Path, options: argparse.Namespace, stack: ExitStack) -> None:
    homes = _homes(folder, ("creates", "few", "most"), options.postgresql, stack)
    memory = _memory_under_creates(homes[0], options.creates) if options.creates else None
    few = _prepare(homes[1], _FEW, options.seconds, stack)
    most = _prepare(homes[2], options.most, options.seconds, stack)
    times = _measured(few, most, options.rounds)
    made_in = [_switch_on(home, scenarios) for home, scenarios in ((homes[1], few), (homes[2], most))]
    changed = ("contains", "create")
    few, most = ([_with_index(each) for each in all_ if each.kind.startswith(changed)] for all_ in (few, most))
    times |= _measured(few, most, options.rounds)
    _print(times, options.most)
    print(f"\nThe text index was made in {made_in[1]:.1f} s, while the service ran.")
    if memory is not None:
        print(f"{options.creates:,} creates: at most {memory:.0f} MiB resident (150 asked).")


def _measured(few: list[Scenario], most: list[Scenario], rounds: int) -> Times:
    for _ in range(rounds):
        for one, other in zip(few, most, strict=True):
            one.measure()
            other.measure()
    wrong = {each.kind: each.results for each in (*few, *most) if any(result.wrong for result in each.results)}
    if wrong:
        raise SystemExit(f"Not measured, for some answers were wrong: {wrong}")
    return {one.kind: (_median(one), _median(other)) for one, other in zip(few, most, strict=True)}


def _median(scenario: Scenario) -> float:
    return statistics.median(each.p50_ms for each in scenario.results)


def _print(times: Times, most: int) -> None:
    print(f"| | ms at {_FEW:,} rows | ms at {most:,} | ratio |\n| --- | ---: | ---: | ---: |")
    for kind, (small, large) in times.items():
        print(f"| {kind} | {small:.2f} | {large:.2f} | {large / small:.2f} |")
    print("\n| asked for | at most | is |\n| --- | ---: | ---: |")
    for name, (limit, of) in _GOALS.items():
        print(f"| {name} | {limit:g} | {of(times):.2f} |")


@dataclass(frozen=True, slots=True)
class _Home:
    """An installation: its data directory, and its database where that is on a PostgreSQL server."""

    data_dir: Path
    url: str | None = None

    @property
    def more(self) -> tuple[str, ...]:
        """The options that every command takes for it."""
        return ("--database", self.url) if self.url else ()


def _homes(folder: Path, names: Sequence[str], on_postgresql: bool, stack: ExitStack) -> list[_Home]:
    if not on_postgresql:
        return [_Home(folder / name) for name in names]
    from tests import postgresql  # noqa: PLC0415 - on SQLite the server's programs need not be there

    server = postgresql.Server(**DURABLE)
    stack.callback(server.remove)
    databases = postgresql.Databases(server)
    return [_Home(folder / name, databases.new()) for name in names]


def _prepare(home: _Home, count: int, seconds: float, stack: ExitStack) -> list[Scenario]:
    """One asks at a time, so that an answer's time is what it costs."""
    rows = servers.made_up(count)
    key = next(rows)[0]
    servers.fill(home.data_dir, rows, home.url)
    server = stack.enter_context(servers.adjoin(home.data_dir, *home.more))
    token = servers.token(home.data_dir, server, *home.more)
    made = server.ask("POST", LIST, token, {**{k: v for k, v in BODY.items() if "@" not in k}, "id": key})
    if made[0] != 201:
        raise SystemExit(f"Not measured: {made}")
    asked = {
        "get": f"{LIST}/{key}",
        "first page of 100": f"{LIST}?$top=100",
        "last page, by nextLink": _last_page(server, token, count),
        "first page and $count": f"{LIST}?$top=100&$count=true",
        "state eq, 1 in 100": f"{LIST}?$filter=state%20eq%20'error'&$top=100",
        "state eq and $count": f"{LIST}?$filter=state%20eq%20'error'&$top=100&$count=true",
        **{
            f"contains, {how}": f"{LIST}?$filter=contains(displayName,'{word}')&$top=100"
            for how, word in _CONTAINS.items()
        },
    }
    found = [
        Scenario(kind, "adjoin", server, Work(server.port, "GET", [path], token, seconds, connections=1))
        for kind, path in asked.items()
    ]
    create = Work(server.port, "POST", [LIST], token, seconds, json.dumps(BODY), 201, connections=1)
    return [*found, Scenario("create", "adjoin", server, create)]


def _last_page(server: Running, token: str, count: int) -> str:
    """The nextLink to the last hundred."""
    headers = {"Prefer": "odata.maxpagesize=100"}
    _, body = server.ask("GET", f"{LIST}?$skip={count - 200}", token, headers=headers)
    link = urlsplit(json.loads(body)["@odata.nextLink"])
    path = f"{link.path}?{link.query}"
    last = json.loads(server.ask("GET", path, token, headers=headers)[1])
    if len(last["value"]) != 100 or "@odata.nextLink" in last:
        raise SystemExit(f"Not measured: the last page has {len(last['value'])} rows")
    return path


def _switch_on(home: _Home, scenarios: list[Scenario]) -> float:
    """Make the text index beside the running service; gives the seconds that took."""
    began = time.perf_counter()
    servers.index_texts(home.data_dir, *home.more)
    taken = time.perf_counter() - began
    if scenarios[0].server.process.poll() is not None:
        raise SystemExit("Not measured: the service has ended")
    return taken


def _with_index(scenario: Scenario) -> Scenario:
    return Scenario(f"{scenario.kind}, text index", scenario.of, scenario.server, scenario.work)


def _memory_under_creates(home: _Home, number: int) -> float:
    """The most resident memory, in MiB, of a new service that takes so many creates from 64 connections."""
    servers.fill(home.data_dir, [], home.url)
    with servers.adjoin(home.data_dir, *home.more) as server:
        token = servers.token(home.data_dir, server, *home.more)
        work = Work(server.port, "POST", [LIST], token, _SLICE_SECONDS, json.dumps(BODY), 201)
        done = 0
        while done < number:
            result = load.run(work)
            if result.wrong:
                raise SystemExit(f"Not measured, for some creates were not taken: {result}")
            done += result.answers
        return server.most_memory()
