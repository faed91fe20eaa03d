"""What is measured: the same things asked of each server, verified before anything is timed."""

from __future__ import annotations

import json
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from benchmarks import load, peers, servers
from benchmarks.load import Result, Work
from benchmarks.servers import BODY, LIST, Row, Running

KINDS: Final = ("get", "list of 100", "state eq, 100", "page at depth", "contains, 100", "create")
# How many ask at once: fewer where an answer costs more (performance.md, head).
_CONNECTIONS: Final = {"list of 100": 32, "state eq, 100": 16, "page at depth": 4, "contains, 100": 4}
_KEYS: Final = 1_000
_PLAIN: Final = {name: value for name, value in BODY.items() if "@" not in name}


@dataclass(slots=True)
class Scenario:
    """One line of the table: what is asked of which server, and what came of it in each round."""

    kind: str
    of: str
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


def prepare(folder: Path, count: int, seconds: float, stack: ExitStack, *, peers: bool) -> list[Scenario]:
    """Start and fill the servers, and give what is to be measured."""
    rows = list(servers.made_up(count))
    data_dir = folder / "adjoin"
    servers.fill(data_dir, rows)
    server = stack.enter_context(servers.adjoin(data_dir))
    token = servers.token(data_dir, server)
    found = _bare(stack, seconds) + _of_adjoin(server, rows, token, seconds)
    if peers:
        found += _with_text_index(folder / "indexed", rows, seconds, stack)
        found += _of_peers(folder, rows, token, servers.public_key(data_dir), seconds, stack)
    return found


def _bare(stack: ExitStack, seconds: float) -> list[Scenario]:
    bare = stack.enter_context(servers.bare())
    token = "x" * 1_000  # a header of the usual size
    return [
        Scenario("get", "bare", bare, Work(bare.port, "GET", ["/"], token, seconds)),
        Scenario("create", "bare", bare, Work(bare.port, "POST", ["/"], token, seconds, json.dumps(BODY))),
    ]


def _of_adjoin(server: Running, rows: list[Row], token: str, seconds: float) -> list[Scenario]:
    some = rows[:: max(1, len(rows) // _KEYS)]
    page: Any = json.loads(server.ask("GET", f"{LIST}?$top=100&$count=true", token)[1])
    _hold(page["@odata.count"] == len(rows), "the list has all rows")
    _hold(server.ask("GET", f"{LIST}?$top=1", token[:-4] + "AAAA")[0] == 401, "a forged token is refused")
    asked = {
        "get": [f"{LIST}/{row[0]}" for row in some],
        "list of 100": [f"{LIST}?$top=100"],
        "state eq, 100": [f"{LIST}?$filter=state%20eq%20'error'&$top=100"],
        "page at depth": [deep_page(server, token, len(rows))],
        "contains, 100": [f"{LIST}?$filter=contains(displayName,'zebra')&$top=100"],
    }
    return _scenarios("adjoin", server, asked, BODY, token, seconds)


def _with_text_index(data_dir: Path, rows: list[Row], seconds: float, stack: ExitStack) -> list[Scenario]:
    """What the text index is for, and what it costs, at a service of its own."""
    servers.fill(data_dir, rows)
    servers.index_texts(data_dir)
    server = stack.enter_context(servers.adjoin(data_dir))
    found = _of_adjoin(server, rows, servers.token(data_dir, server), seconds)
    chosen = [each for each in found if each.kind in ("contains, 100", "create")]
    return [Scenario(each.kind, "adjoin, text index", each.server, each.work) for each in chosen]


def deep_page(server: Running, token: str, count: int) -> str:
    """A nextLink nine tenths down the list, for a page of 100."""
    headers = {"Prefer": "odata.maxpagesize=100"}
    _, body = server.ask("GET", f"{LIST}?$skip={count * 9 // 10 - 100}", token, headers=headers)
    link = urlsplit(json.loads(body)["@odata.nextLink"])
    return f"{link.path}?{link.query}"


def _of_peers(folder: Path, rows: list[Row], token: str, key: str, seconds: float, stack: ExitStack) -> list[Scenario]:
    rows = peers.own_keys(rows)
    some, deep = rows[:: max(1, len(rows) // _KEYS)], len(rows) * 9 // 10
    cap = stack.enter_context(peers.cap(folder, rows, key))
    asked = {
        "get": [f"{LIST}/{row[0]}" for row in some],
        "list of 100": [f"{LIST}?$top=100"],
        "state eq, 100": [f"{LIST}?$filter=state%20eq%20'error'&$top=100"],
        "page at depth": [f"{LIST}?$top=100&$skip={deep}"],
        "contains, 100": [f"{LIST}?$filter=contains(displayName,'zebra')&$top=100"],
    }
    found = _scenarios("CAP", cap, asked, _PLAIN, token, seconds)
    fastapi = stack.enter_context(peers.fastapi(folder, rows, key))
    asked |= {
        "list of 100": [f"{LIST}?top=100"],
        "state eq, 100": [f"{LIST}?state=error&top=100"],
        "page at depth": [f"{LIST}?top=100&skip={deep}"],
        "contains, 100": [f"{LIST}?contains=zebra&top=100"],
    }
    return found + _scenarios("FastAPI", fastapi, asked, _PLAIN, token, seconds)


def _scenarios(
    of: str,
    server: Running,
    asked: dict[str, list[str]],
    body: dict[str, str],
    token: str,
    seconds: float,
) -> list[Scenario]:
    """The scenarios of one server, each asked once to see that the answer is right."""
    _hold(server.ask("GET", asked["get"][0])[0] == 401, f"{of} wants a token")
    found = []
    for kind, paths in asked.items():
        status, answer = server.ask("GET", paths[0], token)
        _hold(status == 200, f"{of} answers {kind}")
        content: Any = json.loads(answer)
        if kind == "get":
            _hold(content["id"] == paths[0].rpartition("/")[2], f"{of} gives the row that was asked for")
        else:
            shown = content if isinstance(content, list) else content["value"]
            _hold(0 < len(shown) <= 100, f"{of} gives a page of {kind}")
        work = Work(server.port, "GET", paths, token, seconds, connections=_CONNECTIONS.get(kind, load.CONNECTIONS))
        found.append(Scenario(kind, of, server, work))
    status, answer = server.ask("POST", LIST, token, body)
    made: Any = json.loads(answer)
    _hold(status == 201 and {**made, **_PLAIN} == made, f"{of} creates what was sent")
    create = Work(server.port, "POST", [LIST], token, seconds, json.dumps(body), 201)
    return [*found, Scenario("create", of, server, create)]


def _hold(true: bool, words: str) -> None:
    if not true:
        raise SystemExit(f"Not measured, for this does not hold: {words}.")
