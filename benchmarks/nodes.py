"""Creates and gets on SQLite, on PostgreSQL, and on PostgreSQL by two nodes, in interleaved rounds.

`python -m benchmarks.nodes`: 64 clients in all, half of them at each of two nodes. PostgreSQL is that of the tests,
with `fsync` on; it, the nodes and the clients share the machine's cores. At the end every row that was acknowledged is
there.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests import postgresql

from benchmarks import load, servers
from benchmarks.load import Result, Work
from benchmarks.servers import BODY, DURABLE, LIST, Running

_CLIENTS: Final = 64


@dataclass(slots=True)
class Place:
    """Nodes on one database, and what came of each round."""

    name: str
    nodes: Sequence[Running]
    token: str
    key: str
    gets: list[float] = field(default_factory=list)
    creates: list[float] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)
    made: int = 0

    def measure(self, seconds: float) -> None:
        gets = self._all("GET", f"{LIST}/{self.key}", 200, seconds)
        self.gets.append(sum(each.per_second for each in gets))
        creates = self._all("POST", LIST, 201, seconds)
        self.creates.append(sum(each.per_second for each in creates))
        self.waits.append(max(each.p99_ms for each in creates))
        self.made += sum(each.answers - each.wrong for each in creates)

    def _all(self, method: str, path: str, status: int, seconds: float) -> list[Result]:
        """The same asked of all nodes at once."""
        body = json.dumps(BODY) if method == "POST" else None
        clients = _CLIENTS // len(self.nodes)
        work = [Work(each.port, method, [path], self.token, seconds, body, status, clients) for each in self.nodes]
        with ThreadPoolExecutor(len(work)) as threads:
            results = list(threads.map(load.run, work))
        if wrong := sum(each.wrong for each in results):
            raise SystemExit(f"{self.name}: {wrong} wrong answers")
        return results

    def check(self) -> None:
        """Look whether all that was acknowledged is there."""
        status, answer = self.nodes[-1].ask("GET", f"{LIST}/$count", self.token, headers={"Accept": "text/plain"})
        if status != 200 or int(answer) < self.made:
            raise SystemExit(f"{self.name}: {answer!r} of {self.made} rows are there")


def _placed(name: str, nodes: Sequence[Running], token: str) -> Place:
    status, made = nodes[0].ask("POST", LIST, token, BODY)
    if status != 201:
        raise SystemExit(f"{name}: {made!r}")
    return Place(name, nodes, token, json.loads(made)["id"])


def _places(folder: Path, server: postgresql.Server, stack: ExitStack) -> list[Place]:
    small = stack.enter_context(servers.adjoin(folder / "sqlite"))
    found = [_placed("SQLite", [small], servers.token(folder / "sqlite", small))]
    lent = postgresql.Databases(server)
    for count in (1, 2):
        url = stack.enter_context(lent.lent())
        home = folder / f"nodes-{count}"
        more = ("--database", url)
        first = stack.enter_context(servers.adjoin(home, *more))
        others = [stack.enter_context(servers.adjoin(folder / f"other-{count}", *more)) for _ in range(count - 1)]
        name = "PostgreSQL" if count == 1 else "PostgreSQL, two nodes"
        found.append(_placed(name, [first, *others], servers.token(home, first, *more)))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.nodes", description=__doc__)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each measurement [default: 3]")
    parser.add_argument("--rounds", type=int, default=5, help="of all measurements, interleaved [default: 5]")
    options = parser.parse_args()
    server = postgresql.Server(**DURABLE)
    try:
        with tempfile.TemporaryDirectory(prefix="adjoin-bench-") as folder, ExitStack() as stack:
            places = _places(Path(folder), server, stack)
            for _ in range(options.rounds):
                for place in places:
                    place.measure(options.seconds)
            for place in places:
                place.check()
            _print(places)
    finally:
        server.remove()


def _print(places: Sequence[Place]) -> None:
    print("| | creates/s | of SQLite | of one node | p99 ms | gets/s | of SQLite | of one node |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    small, one, _ = places
    for each in places:
        cells = [each.name]
        for mine, base, node in ((each.creates, small.creates, one.creates), (each.gets, small.gets, one.gets)):
            cells += [f"{statistics.median(mine):,.0f}", _ratio(mine, base), _ratio(mine, node)]
            if mine is each.creates:
                cells.append(f"{statistics.median(each.waits):.0f}")
        print(f"| {' | '.join(cells)} |")


def _ratio(mine: Sequence[float], base: Sequence[float]) -> str:
    return f"{statistics.median(a / b for a, b in zip(mine, base, strict=True)):.2f}"


if __name__ == "__main__":
    main()
