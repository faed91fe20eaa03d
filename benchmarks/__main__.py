"""Measure the service, in interleaved rounds, and print Markdown tables.

All of it runs on one machine that shares its cores: trust the ratios, which come from the same round, before the
figures.
"""

from __future__ import annotations

import argparse
import tempfile
from contextlib import ExitStack
from pathlib import Path

from benchmarks import flames, scale, scenarios, servers, tables
from benchmarks.scenarios import Scenario


def main() -> None:
    options = _options()
    with tempfile.TemporaryDirectory(prefix="adjoin-bench-") as folder, ExitStack() as stack:
        act = {"peers": _against_peers, "bare": _against_peers, "scale": scale.run, "flames": flames.run}[options.what]
        act(Path(folder), options, stack)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "what",
        nargs="?",
        choices=["peers", "bare", "scale", "flames"],
        default="peers",
        help="against the peers and the bare server (needs npm), the bare server alone, from a thousand rows to a "
        "million, or flame graphs [default: peers]",
    )
    parser.add_argument("--seconds", type=float, default=3.0, help="of each measurement [default: 3]")
    parser.add_argument("--rounds", type=int, default=5, help="of all measurements, interleaved [default: 5]")
    parser.add_argument("--rows", type=int, default=100_000, help="in the list [default: 100000]")
    parser.add_argument("--most", type=int, default=1_000_000, help="rows at scale [default: 1000000]")
    parser.add_argument(
        "--creates",
        type=int,
        default=1_000_000,
        help="at scale, sent to an empty list while memory is watched [1000000]",
    )
    parser.add_argument("--postgresql", action="store_true", help="at scale, on the PostgreSQL server of the tests")
    return parser.parse_args()


def _against_peers(folder: Path, options: argparse.Namespace, stack: ExitStack) -> None:
    starts = [_starts(folder / f"start-{number}") for number in range(options.rounds)]
    found = scenarios.prepare(folder, options.rows, options.seconds, stack, peers=options.what == "peers")
    for _ in range(options.rounds):
        for scenario in _interleaved(found):
            scenario.measure()
    tables.print_conditions(options)
    tables.print_scenarios(found)
    tables.print_starts(starts)


def _interleaved(found: list[Scenario]) -> list[Scenario]:
    """The same thing at each server after the other, so that what is compared lies close together."""
    return sorted(found, key=lambda each: scenarios.KINDS.index(each.kind))


def _starts(data_dir: Path) -> tuple[float, float, float]:
    """The first start on a new directory, a restart, and the idle resident memory then."""
    with servers.adjoin(data_dir) as first:
        first_start = first.started_in
    with servers.adjoin(data_dir) as again:
        return first_start, again.started_in, again.memory()


if __name__ == "__main__":
    main()
