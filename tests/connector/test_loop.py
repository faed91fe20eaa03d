"""The connector's program: through lost requests and answers, other servers, wrong clocks, and new keys."""

from __future__ import annotations

import asyncio
import itertools
import json
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest
from tests.connector.program import FIRST, SECOND, Program
from tests.server import LIST, Server

from adjoin.connector import keys, settings
from adjoin.connector.api import NO_KEY, REMOVED
from adjoin.connector.faults import Refused, Unreachable
from adjoin.connector.loop import Connector

DAY: Final = 86_400.0


@pytest.fixture
def program(server: Server, tmp_path: Path) -> Program:
    made = Program(server, tmp_path)
    made.enrol()
    return made


def entries(server: Server) -> list[tuple[str, str]]:
    return [(each["displayName"], each["state"]) for each in server.call("GET", LIST).json["value"]]


def audited(server: Server) -> list[str]:
    token = server.token("DeviceManagementApps.Read.All")
    found = server.call("GET", "/beta/deviceManagement/auditEvents", token=token).json["value"]
    return sorted(each["activity"].split(" Device")[0] for each in found)


def last_seen(program: Program) -> str:
    return str(program.server.call("GET", f"{LIST}/{program.held.connector}").json["lastConnectionDateTime"])


class Times:
    """Loses so many of the requests for a path."""

    def __init__(self, path: str, what: str, count: int = 1) -> None:
        self.path, self.what, self.left = path, what, count

    def __call__(self, _: str, path: str) -> str:
        if path.endswith(self.path) and self.left:
            self.left -= 1
            return self.what
        return ""


async def until_checked_in(connector: Connector, count: int = 1) -> None:
    """Run until so many check-ins were taken."""

    async def watch() -> None:
        while connector.status.check_ins < count:  # noqa: ASYNC110 - seen at each turn of the loop
            await asyncio.sleep(0)
        connector.stop()

    await asyncio.gather(connector.run(), watch())


class TestChecksIn:
    def test_and_says_how_it_stands(self, program: Program) -> None:
        answer = program.with_program(Connector.once)
        assert (answer.state, answer.reasons, answer.interval) == ("active", (), 300.0)
        assert program.said == ["The server shows this connector as active."]

    def test_again_and_again(self, program: Program) -> None:
        began = program.server.clock()
        # Here nothing can be held, so the program sleeps until the next one is due.
        program.server.application.release()
        program.with_program(lambda connector: until_checked_in(connector, 4))
        assert 2 * 270 <= program.server.clock() - began <= 3 * 330
        assert entries(program.server) == [("odj01", "active")]
        assert audited(program.server) == ["Create"]

    def test_with_one_token_for_an_hour(self, program: Program) -> None:
        program.server.application.release()
        program.with_program(lambda connector: until_checked_in(connector, 20))
        assert 1 <= [path for _, path in program.network.sent if path.endswith("/token")].__len__() <= 3


class TestComesThrough:
    @pytest.mark.parametrize("path", ["/v1", "/token", "/check-in"])
    @pytest.mark.parametrize(
        "what", ["request", "answer", "200", "302", "400", "401", "404", "413", "415", "422", "429", "503", "host"]
    )
    def test_what_is_lost_on_the_way(self, program: Program, path: str, what: str) -> None:
        program.network.lose = Times(path, what, 3)
        program.with_program(until_checked_in)
        assert entries(program.server) == [("odj01", "active")]
        assert audited(program.server) == ["Create"]
        assert len(program.said) == 2  # that it tries again, and how it stands: not one line for each attempt

    def test_with_pauses_that_grow_by_chance(self, program: Program) -> None:
        program.network.lose = Times("/v1", "request", 12)
        program.with_program(until_checked_in)
        pauses = program.pauses[:12]
        for at, pause in enumerate(pauses):
            assert min(2**at, 120) <= pause <= 1.5 * min(2**at, 120)
        assert len(set(pauses)) == 12

    @pytest.mark.parametrize(("told", "least"), [("7", 7), ("60", 60), ("120", 120), ("99999", 120), ("soon", 1)])
    @pytest.mark.parametrize("servers", [(FIRST,), (FIRST, SECOND)])
    def test_and_waits_as_long_as_it_is_told(
        self, program: Program, servers: tuple[str, ...], told: str, least: int
    ) -> None:
        settings.save(program.file, replace(program.held, servers=servers))
        program.network.servers[SECOND] = program.server
        program.network.retry_after = told
        program.network.lose = Times("/v1", "503", 4 * len(servers))
        program.with_program(until_checked_in)
        assert all(max(least, 2**at) <= pause <= 1.5 * max(least, 2**at) for at, pause in enumerate(program.pauses[:4]))

    def test_and_waits_as_long_as_it_is_told_while_it_waits_for_work(self, program: Program) -> None:
        program.network.retry_after = "60"
        asked = 0

        def lose(_: str, path: str) -> str:
            nonlocal asked
            asked += path.endswith("/check-in")
            return "503" if asked == 3 else ""

        program.network.lose = lose
        program.with_program(lambda connector: until_checked_in(connector, 3))
        assert 60 <= program.pauses[0] <= 90

    def test_a_lost_answer_is_not_counted_twice(self, program: Program) -> None:
        program.network.lose = Times("/check-in", "answer", 1)
        program.server.application.release()
        program.with_program(lambda connector: until_checked_in(connector, 2))
        assert entries(program.server) == [("odj01", "active")]
        assert [path for _, path in program.network.sent].count("/connector/v1/check-in") >= 3

    def test_a_restart_of_the_service(self, program: Program, server: Server) -> None:
        program.with_program(until_checked_in)
        server.run(server.application.close())
        server.application.__init__(server.config, server.world)  # type: ignore[misc]
        server.run(server.application.open())
        program.with_program(until_checked_in)
        assert entries(server) == [("odj01", "active")]


class TestServers:
    def test_are_asked_in_their_order(self, server: Server, tmp_path: Path) -> None:
        program = Program(server, tmp_path)
        program.enrol(SECOND, FIRST)
        program.with_program(until_checked_in)
        assert [url for url, _ in program.network.sent[1:3]] == [SECOND, FIRST]
        assert {url for url, _ in program.network.sent[3:]} == {FIRST}

    def test_another_node_goes_on_where_one_fails(self, server: Server, tmp_path: Path) -> None:
        program = Program(server, tmp_path)
        program.enrol(FIRST, SECOND)
        program.with_program(until_checked_in)
        with Server(server.config, seed=99) as other:
            other.clock.time = server.clock() + 60
            program.server = other
            program.network.servers = {SECOND: other}
            program.with_program(until_checked_in)
            assert entries(other) == [("odj01", "active")]
        assert program.connector is not None
        assert program.connector.status.server == SECOND

    @pytest.mark.parametrize("what", ["400", "host"])
    def test_are_passed_over_where_a_proxy_answers(self, server: Server, tmp_path: Path, what: str) -> None:
        program = Program(server, tmp_path)
        program.enrol(SECOND, FIRST)
        program.network.servers[SECOND] = server
        program.network.lose = lambda url, _: what if url == SECOND else ""
        assert program.with_program(Connector.once).state == "active"
        assert program.pauses == []

    def test_none_of_which_answers_are_all_named(self, server: Server, tmp_path: Path) -> None:
        program = Program(server, tmp_path)
        program.enrol(FIRST, SECOND)
        program.network.servers = {}
        with pytest.raises(Unreachable) as caught:
            program.with_program(Connector.once)
        assert FIRST in caught.value.message
        assert SECOND in caught.value.message


class TestClocks:
    @pytest.mark.parametrize("ahead", [DAY, -DAY])
    def test_a_day_off_it_works_and_says_what_is_wrong(self, program: Program, ahead: float) -> None:
        program.ahead = ahead
        answer = program.with_program(Connector.once)
        side = "ahead of" if ahead > 0 else "behind"
        assert answer.state == "error"
        assert answer.reasons == (
            f"clock: This machine's clock is 24 hours {side} the server's; at most 5 minutes are tolerated.",
        )
        assert last_seen(program).startswith("2027-01-15T08:0")

    @pytest.mark.parametrize("ahead", [0.0, DAY])
    def test_after_it_was_suspended_it_says_what_is_wrong_now(self, program: Program, ahead: float) -> None:
        async def act(connector: Connector) -> list[str]:
            first = await connector.once()
            program.suspended += 1_200.0
            program.server.clock.time += 1_200.0
            program.ahead = ahead
            return [first.state, (await connector.once()).state, (await connector.once()).state]

        assert program.with_program(act) == ["active", *["error" if ahead else "active"] * 2]

    def test_set_right_it_is_active_again(self, program: Program) -> None:
        program.ahead = DAY
        program.with_program(Connector.once)
        program.ahead = 0
        assert program.with_program(Connector.once).state == "active"


class TestEnds:
    def test_when_it_is_removed(self, program: Program) -> None:
        program.with_program(Connector.once)
        program.server.call("DELETE", f"{LIST}/{program.held.connector}")
        with pytest.raises(Refused) as caught:
            program.with_program(Connector.run)
        assert caught.value.message == REMOVED
        noted = json.loads(program.file.with_name(f".{program.file.name}.status").read_text("utf-8"))
        assert (noted["state"], noted["fault"]) == ("unknown", REMOVED)

    def test_when_it_is_removed_between_two_check_ins(self, program: Program) -> None:
        async def act(connector: Connector) -> None:
            await connector.once()
            token = program.server.token()
            await program.server.answer("DELETE", f"{LIST}/{program.held.connector}", token=token)
            await connector.run()

        program.server.token()
        with pytest.raises(Refused, match="removed from the registry"):
            program.with_program(act)

    def test_when_another_program_uses_its_key(self, program: Program, tmp_path: Path) -> None:
        thief = Program(program.server, tmp_path / "elsewhere")
        settings.save(thief.file, program.held)

        async def act(connector: Connector) -> None:
            await connector.once()
            async with thief.started() as other:
                await other.once()
            await connector.once()

        with pytest.raises(Refused, match="used by another program"):
            program.with_program(act)
        assert entries(program.server) == [("odj01", "error")]
        assert audited(program.server) == ["Create", "Patch"]

    def test_when_it_was_used_elsewhere_for_a_single_check_in(self, program: Program, tmp_path: Path) -> None:
        thief = Program(program.server, tmp_path / "elsewhere")
        settings.save(thief.file, program.held)
        program.server.application.release()

        async def act(connector: Connector) -> None:
            async def steal() -> None:
                while connector.status.check_ins < 2:  # noqa: ASYNC110 - seen at each turn of the loop
                    await asyncio.sleep(0)
                async with thief.started() as other:
                    await other.once()

            await asyncio.gather(connector.run(), steal())

        with pytest.raises(Refused, match="used by another program"):
            program.with_program(act)

    def test_when_the_service_does_not_take_what_it_says(self, program: Program) -> None:
        async def act() -> None:
            async with program.service(FIRST) as service:
                await service.check_in(program.held, {"instance": "none", "sequence": 1, "version": "1.2.3.4"}, 0)

        with pytest.raises(Refused, match="does not take what this version sends"):
            program.server.run(act())

    def test_in_order_when_it_is_told_to(self, program: Program) -> None:
        async def act(connector: Connector) -> None:
            connector.stop()
            await connector.run()

        program.with_program(act)
        assert entries(program.server) == [("odj01", "active")]

    def test_when_it_leaves(self, program: Program) -> None:
        async def act() -> None:
            async with program.service(FIRST) as service:
                await service.leave(program.held)

        program.server.run(act())
        assert entries(program.server) == []

    def test_but_not_where_another_than_the_service_says_that_it_left(self, program: Program) -> None:
        async def act() -> None:
            async with program.service(FIRST) as service:
                await service.sign_in(program.held, program.held.key)
                program.network.lose = Times("/leave", "200", 1)
                with pytest.raises(Unreachable, match="as an adjoin server does"):
                    await service.leave(program.held)

        program.server.run(act())
        assert entries(program.server) == [("odj01", "active")]

    def test_nor_enrols_by_the_word_of_another(self, program: Program) -> None:
        async def act() -> None:
            async with program.service(FIRST) as service:
                program.network.lose = Times("/enroll", "200", 1)
                with pytest.raises(Unreachable, match="as an adjoin server does"):
                    await service.enrol("A" * 32, "odj02", "1.0.0.0", keys.new_key())

        program.server.run(act())


class TestNewKeys:
    def grow_old(self, program: Program) -> None:
        """Two check-ins later the key is due."""
        for _ in range(2):
            program.server.clock.time += 20 * DAY
            program.with_program(Connector.once)

    def test_are_made_when_it_is_time(self, program: Program) -> None:
        before = program.held
        self.grow_old(program)
        after = program.held
        assert after.key != before.key
        assert after.next_key == ""
        assert after.renew_key_after > program.server.clock()
        assert audited(program.server) == ["Create", "Patch", "Patch", "Renew key of"]

    @pytest.mark.parametrize(
        ("path", "what"), list(itertools.product(["/key", "/token"], ["request", "answer", "200", "503"]))
    )
    def test_come_through_what_is_lost(self, program: Program, path: str, what: str) -> None:
        old = program.held.key
        program.server.clock.time += 20 * DAY
        program.with_program(Connector.once)
        program.server.clock.time += 20 * DAY
        for count in (1, 2):
            program.network.lose = Times(path, what, count)
            program.with_program(until_checked_in)
        assert program.held.key != old
        assert program.held.next_key == ""
        assert entries(program.server) == [("odj01", "active")]

    @pytest.mark.parametrize("crash", ["before it is offered", "after it is offered", "after it was used"])
    def test_come_through_a_crash(self, program: Program, crash: str) -> None:
        new = keys.new_key()
        begun = replace(program.held, next_key=new)
        settings.save(program.file, begun)

        async def act() -> None:
            async with program.service(FIRST) as service:
                if crash != "before it is offered":
                    await service.offer_key(begun, new)
                if crash == "after it was used":
                    await service.sign_in(begun, new)

        program.server.run(act())
        assert program.with_program(Connector.once).state == "active"
        assert (program.held.key, program.held.next_key) == (new, "")
        assert program.with_program(Connector.once).state == "active"

    def test_come_through_a_request_that_two_servers_got(self, program: Program) -> None:
        """The first server takes the key but its answer is lost, and the second has another clock."""
        settings.save(program.file, replace(program.held, servers=(FIRST, SECOND), next_key=keys.new_key()))
        program.network.servers[SECOND] = program.server
        old, ahead = program.held.key, 0.0
        times = Times("/key", "answer")

        def lose(url: str, path: str) -> str:
            nonlocal ahead
            lost = times(url, path)
            if lost:
                ahead = 1_000.0
                program.server.clock.time += ahead
            return lost

        program.network.lose = lose
        program.with_program(until_checked_in)
        assert ahead
        assert program.held.key != old
        assert entries(program.server) == [("odj01", "active")]

    def test_that_another_made_end_this_one(self, program: Program) -> None:
        async def act() -> None:
            async with program.service(FIRST) as service:
                stolen = keys.new_key()
                await service.offer_key(program.held, stolen)
                await service.sign_in(program.held, stolen)

        program.server.run(act())
        with pytest.raises(Refused) as caught:
            program.with_program(Connector.once)
        assert caught.value.message == NO_KEY
