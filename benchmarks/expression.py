"""How long a filter takes to read, to bind and to write as SQL, beside a fixed yardstick; and what hostile URLs cost.

Run it as `python -m benchmarks.expression`. Rounds of every measurement are interleaved, so that all meet the same
machine; what is shown are medians. The yardstick is `json.loads` of a fixed document of 1 KB.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final
from urllib.parse import quote

from adjoin.model import BETA, CONNECTOR
from adjoin.odata import expression, query
from adjoin.odata.binding import Surroundings, bind_filter
from adjoin.odata.errors import Refusal
from adjoin.odata.path import Kind
from adjoin.odata.values import Instant
from adjoin.store.where import Parameters, condition, following, order

SAFE: Final = "()',/*-"
NOW: Final = Instant.parse("2026-11-24T00:00:00Z")
AROUND: Final = Surroundings(BETA, CONNECTOR, NOW)
REFERENCE: Final = "state eq 'error' and contains(displayName,'abc')"
DOCUMENT: Final = json.dumps(
    {"value": [{"id": f"{number:036}", "displayName": f"connector {number}", "n": number} for number in range(11)]}
)
LIMIT_MS: Final = 50.0
"""What any one URL may cost before the database is asked, or until it is refused."""

_REPEATS: Final = 20


def reference() -> Mapping[str, Callable[[], object]]:
    """What is measured of the reference filter, each step alone; the yardstick is first."""
    bound = bind_filter(REFERENCE, AROUND)
    raw = f"$filter={quote(REFERENCE)}"
    return {
        f"json.loads of {len(DOCUMENT)} bytes": lambda: json.loads(DOCUMENT),
        "parse": lambda: expression.parse(REFERENCE),
        "parse and bind": lambda: bind_filter(REFERENCE, AROUND),
        "write as SQL": lambda: condition(bound, Parameters(1)),
        "query to SQL, whole": lambda: sql_of(raw),
    }


def sql_of(raw: str) -> int:
    """The length of the SQL that a list's query becomes, with what goes on behind a row. Raises a Refusal."""
    asked = query.parse(raw, Kind.COLLECTION, BETA, CONNECTOR, lambda: NOW)
    parameters = Parameters(1)
    text = order(asked.order, "id", parameters)
    if asked.where is not None:
        text += condition(asked.where, parameters)
    if asked.order:
        text += following(asked.order, ["x"] * len(asked.order), "id", "x", parameters)
    return len(text)


def nested(before: str, inner: str, after: str, times: int) -> str:
    return before * times + inner + after * times


def chain(link: str, times: int) -> str:
    """Aliases each of which is written in terms of the next."""
    aliases = "&".join(f"@a{at}={quote(link.replace('*', f'@a{at + 1}'), safe=SAFE + '@')}" for at in range(times))
    return f"$filter=@a0&{aliases}&@a{times}=true"


def of(filter_: str) -> str:
    return f"$filter={quote(filter_, safe=SAFE)}"


def hostile() -> Mapping[str, str]:
    """Queries made to cost as much as they can."""
    words = 498
    return {
        "or of 499": of(" or ".join(["true"] * 499)),
        "ands of comparisons": of(" and ".join(["state eq 'error'"] * 249)),
        "functions beside each other": of(" or ".join(["contains(displayName,'a')"] * 142)),
        "in a list of 490": of(f"displayName in ({','.join(['1'.join(chr(39) * 2)] * 490)})"),
        "a long string": of(f"displayName eq '{'é' * 2_600}'"),
        "doubled quotes": of(f"displayName eq '{chr(39) * 8_000}'"),
        "not in not": of(nested("not(", "true", ")", 24)),
        "trim in trim": of(nested("trim(", "displayName", ")", 45) + " eq 'a'"),
        "substring in substring": of(nested("substring(", "displayName", ",1)", 45) + " eq 'a'"),
        "substring from the end": of(nested("substring(", "displayName", ",-1)", 8) + " eq 'a'"),
        "substring at substring": of(nested("substring(version,length(", "displayName", "))", 22) + " eq 'a'"),
        "in null in in null": of(nested("(", "true", ") in (true,null)", 24)),
        "parentheses": of(nested("(", "true", ")", 4_000)),
        "open parentheses": of("(" * 8_000),
        "minus signs": of("-" * 8_000 + "1 eq 1"),
        "a path": of("/".join(["a"] * 4_000)),
        "digits": of("9" * 8_000 + " eq 1"),
        "words": of("a " * words),
        "open quotes": of("'" * 7_999),
        "beyond ASCII": of("é" * 2_600),
        "geometry": of(f"geo.length(geometry'SRID=0;{'GeometryCollection(' * 400}') eq 1"),
        "base64": of(f"displayName eq binary'{'A' * 8_000}"),
        "a duration": of(f"displayName eq duration'P{'1' * 8_000}"),
        "aliases that double": chain("* and *", 60),
        "aliases that multiply": chain(" or ".join(["*"] * 50), 25),
        "aliases in depth": chain("not(not(not(not(*))))", 60),
        "aliases in a circle": "$filter=@a&@a=@b&@b=@a",
        "eight keys": "$orderby=" + quote(",".join(["concat(displayName,substring(version,1)) desc"] * 8)),
        "nine keys": "$orderby=" + ",".join(["id"] * 9),
        "a search": "$search=" + quote("(" * 20 + " OR ".join(["a"] * 5) + ")" * 20),
        "an open phrase": "$search=" + quote('"' + "\\" * 1_000),
        "many options": "&".join(["a=1"] * 4_000),
        "escapes": "$filter=" + "%41" * 5_000,
        "bad escapes": "$filter=" + "%" * 16_000,
        "a selection": "$select=" + ",".join(["id"] * 5_000),
        "expansions": "$expand=" + "(" * 16_000,
    }


@dataclass(frozen=True, slots=True)
class Cost:
    """What became of a hostile query, and the milliseconds it took."""

    shape: str
    outcome: str
    ms: float


def cost(shape: str, raw: str, rounds: int) -> Cost:
    times, outcome = [], ""
    for _ in range(rounds):
        started = time.perf_counter()
        try:
            outcome = f"{sql_of(raw):,} characters of SQL"
        except Refusal as refusal:
            outcome = type(refusal).__name__
        times.append((time.perf_counter() - started) * 1_000)
        if times[-1] > 20 * LIMIT_MS:
            break
    return Cost(shape, outcome, median(times))


def interleaved(acts: Mapping[str, Callable[[], object]], rounds: int) -> Mapping[str, float]:
    """The median time of each act in microseconds."""
    times: dict[str, list[float]] = {name: [] for name in acts}
    for _ in range(rounds):
        for name, act in acts.items():
            started = time.perf_counter()
            for _ in range(_REPEATS):
                act()
            times[name].append((time.perf_counter() - started) / _REPEATS * 1_000_000)
    return {name: median(each) for name, each in times.items()}


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in [head, ["---"] * len(head), *rows])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--skip", nargs="*", default=[], help="hostile shapes to leave out")
    options = parser.parse_args()
    figures = interleaved(reference(), options.rounds)
    yardstick = next(iter(figures.values()))
    print(f"`{REFERENCE}`, medians of {options.rounds} interleaved rounds\n")
    print(table(["step", "µs", "yardsticks"], [[n, f"{us:.1f}", f"{us / yardstick:.2f}"] for n, us in figures.items()]))
    costs = [cost(shape, raw, 7) for shape, raw in hostile().items() if shape not in options.skip]
    costs.sort(key=lambda each: -each.ms)
    print(f"\nHostile queries, slowest first; none may take {LIMIT_MS:.0f} ms\n")
    print(table(["shape", "outcome", "ms"], [[each.shape, each.outcome, f"{each.ms:.2f}"] for each in costs]))


if __name__ == "__main__":
    main()
