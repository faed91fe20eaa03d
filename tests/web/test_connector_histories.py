"""Random histories of check-ins, administrators' writes and time: what is shown, found, ordered and counted agree.

A model of a few lines says what is to be seen after each step (DESIGN section 4).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.server import LIST, NOW, PUBLISHED, Server
from tests.web.machine import Machine, enrolled

HOUR: Final = 3_600
DAY: Final = 24 * HOUR
STATES: Final = ("active", "error", "inactive")
SPANS: Final = st.sampled_from([1, 300, HOUR - 1, HOUR, DAY, 4 * DAY, 5 * DAY, 25 * DAY, 30 * DAY]) | st.integers(
    1, 10 * DAY
)

STEPS: Final = st.lists(
    st.one_of(
        st.tuples(st.just("wait"), SPANS),
        st.tuples(st.just("check in"), st.integers(0, 2), st.booleans(), st.sampled_from(["1.0.0.0", "2.0.0.0"])),
        st.tuples(st.just("repeat"), st.integers(0, 2)),
        st.tuples(st.just("write"), st.integers(0, 3), st.sampled_from(STATES)),
        st.tuples(st.just("rename"), st.integers(0, 3)),
        st.tuples(st.just("delete"), st.integers(0, 3)),
    ),
    min_size=3,
    max_size=14,
)


@dataclass
class Seen:
    """What the model knows of an entry: the last word, when it was spoken (None: by an administrator), its version."""

    word: str
    heard: float | None
    version: str
    gone: bool = False
    machine: Machine | None = field(default=None, repr=False)

    def state(self, now: float) -> str | None:
        """What is to be shown; None: nothing."""
        if self.gone:
            return None
        if self.heard is None:
            return self.word
        silent = now - self.heard
        if silent >= 30 * DAY:
            return None
        return "inactive" if silent >= 5 * DAY else "error" if silent >= HOUR else self.word


def play(server: Server, entries: dict[str, Seen], step: tuple[Any, ...]) -> None:
    """Take a step on both sides, and hold what the service answers to what the model knows."""
    now = server.clock()
    if step[0] == "wait":
        server.clock.time += step[1]
        return
    key, seen = list(entries.items())[step[1]]
    there = seen.state(now) is not None
    if step[0] in ("check in", "repeat") and seen.machine is not None:
        check_in(server, seen, step, there)
    elif step[0] == "write":
        assert server.call("PATCH", f"{LIST}/{key}", {"state": step[2]}).status == (200 if there else 404)
        if there:
            seen.word, seen.heard = step[2], None
    elif step[0] == "rename":
        assert server.call("PATCH", f"{LIST}/{key}", {"displayName": "x"}).status == (200 if there else 404)
    elif step[0] == "delete":
        assert server.call("DELETE", f"{LIST}/{key}").status == (204 if there else 404)
        seen.gone = True


def check_in(server: Server, seen: Seen, step: tuple[Any, ...], there: bool) -> None:
    machine, again = seen.machine, step[0] == "repeat"
    assert machine is not None
    if again and machine.sequence == 0:
        return
    machine.bearer = server.token("Connector.Act", audience="api://adjoin/connector", client_id=machine.id)
    well, version = (True, "1.0.0.0") if again else step[2:]
    health = [{"name": "own", "ok": well}]
    answer = machine.check_in(again=again, health=health, version=version)
    assert answer.status == (200 if there else 410)
    if there and not again:
        seen.word, seen.heard, seen.version = "active" if well else "error", server.clock(), version


def hold(server: Server, entries: dict[str, Seen]) -> None:
    """Everything that shows, finds, orders or counts says what the model says."""
    now = server.clock()
    shown = {key: state for key, seen in entries.items() if (state := seen.state(now)) is not None}
    listed = server.call("GET", LIST).json["value"]
    assert {each["id"]: each["state"] for each in listed} == shown
    assert {each["id"]: each["version"] for each in listed} == {key: entries[key].version for key in shown}
    for state in STATES:
        wanted = sorted(key for key, each in shown.items() if each == state)
        found = server.call("GET", f"{LIST}?$filter=state%20eq%20'{state}'&$count=true").json
        assert ([each["id"] for each in found["value"]], found["@odata.count"]) == (wanted, len(wanted))
        counted = server.call("GET", f"{LIST}/$count?$filter=not(state%20eq%20'{state}')")
        assert int(counted.body) == len(shown) - len(wanted)
    for direction in ("", "%20desc"):
        pages, target = [], f"{LIST}?$orderby=state{direction}"
        while target:
            page = server.call("GET", target, headers={"prefer": "odata.maxpagesize=1"}).json
            pages += page["value"]
            target = page.get("@odata.nextLink", "").partition("8365")[2]
        ordered = sorted(shown, key=lambda key: (STATES.index(shown[key]), key), reverse=bool(direction))
        assert [each["id"] for each in pages] == ordered
    for key, seen in entries.items():
        one = server.call("GET", f"{LIST}/{key}")
        assert (one.json["state"] if one.status == 200 else None) == seen.state(now)


@settings(
    max_examples=12,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(steps=STEPS)
def test_all_that_is_said_agrees(server: Server, steps: list[tuple[Any, ...]]) -> None:
    server.clock.time = NOW
    for each in server.call("GET", LIST).json["value"]:
        server.call("DELETE", f"{LIST}/{each['id']}")
    machines = [enrolled(server) for _ in range(3)]
    entries = {each.id: Seen("active", NOW, "1.2.3.4", machine=each) for each in machines}
    made = server.call("POST", LIST, {**PUBLISHED, "version": "written"}).json
    entries[made["id"]] = Seen("error", None, "written")
    for step in steps:
        play(server, entries, step)
        hold(server, entries)
