"""The tables that a run prints, as `README.md` shows them."""

from __future__ import annotations

import argparse
import platform
import statistics
from collections.abc import Sequence

from benchmarks import load
from benchmarks.scenarios import KINDS, Scenario


def print_conditions(options: argparse.Namespace) -> None:
    generator = "wrk, 1 thread" if load.wrk_is_there() else "the generator of benchmarks/load.py"
    print(f"Python {platform.python_version()}, {generator}, {options.rows:,} rows, "
          f"{options.rounds} rounds of {options.seconds:g} s, medians\n")  # fmt: skip


def print_scenarios(found: Sequence[Scenario]) -> None:
    """Each thing at each server: ratios are medians of those of each round."""
    print("| | | answers/s | of the bare server | of CAP | CPU µs each | p50 ms | p99 ms | wrong answers |")
    print("| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    by_name = {(each.kind, each.of): each for each in found}
    for each in sorted(found, key=lambda each: KINDS.index(each.kind)):
        of_bare = _ratio(each, by_name.get(("create" if each.kind == "create" else "get", "bare")))
        of_cap = _ratio(each, by_name.get((each.kind, "CAP")))
        rate, p50, p99 = (
            statistics.median(values)
            for values in zip(*((one.per_second, one.p50_ms, one.p99_ms) for one in each.results), strict=True)
        )
        wrong, cpu = sum(one.wrong for one in each.results), statistics.median(each.cpu)
        print(f"| {each.kind} | {each.of} | {rate:,.0f} | {of_bare} | {of_cap} | {cpu:,.0f} | {p50:.1f} | {p99:.1f} "
              f"| {wrong} |")  # fmt: skip


def _ratio(own: Scenario, base: Scenario | None) -> str:
    if base is None:
        return "–"
    pairs = zip(own.results, base.results, strict=True)
    return f"{statistics.median(one.per_second / other.per_second for one, other in pairs):.2f}"


def print_starts(starts: Sequence[tuple[float, float, float]]) -> None:
    first, again, memory = (statistics.median(column) for column in zip(*starts, strict=True))
    print("\n| adjoin | median |\n| --- | ---: |")
    print(f"| first start to first answer | {first:.2f} s |")
    print(f"| restart to first answer | {again:.2f} s |")
    print(f"| resident memory, idle | {memory:.0f} MiB |")
