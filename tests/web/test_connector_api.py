"""The connectors' API over HTTP: enrolment, tokens, check-ins, keys, and what becomes of one that is removed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, MutableMapping
from typing import Any, Final

import pytest
from tests.server import HOST, LIST, NOW, PUBLISHED, Server
from tests.web.machine import API, AUDIENCE, FIRST, SECOND, VERSION, Machine, enrolled, invited

from adjoin.connector import keys
from adjoin.service.connectors import DOUBLED
from adjoin.store import tenants
from adjoin.store.schema import METADATA
from adjoin.store.statements import Everywhere
from adjoin.web import connector_api

DAY: Final = 86_400
TRAIL: Final = "/beta/deviceManagement/auditEvents"


def entry(server: Server, machine: Machine) -> Any:
    return server.call("GET", f"{LIST}/{machine.id}").json


def trail(server: Server) -> list[tuple[str, list[tuple[str, str | None, str | None]]]]:
    """The audit trail: each activity, with what it changed."""
    found = server.call("GET", TRAIL, token=server.token("DeviceManagementApps.Read.All")).json["value"]
    return [
        (
            each["activity"].replace("DeviceManagementDomainJoinConnector", "it"),
            [
                (one["displayName"], one["oldValue"], one["newValue"])
                for one in each["resources"][0]["modifiedProperties"]
            ],
        )
        for each in found
    ]


def activities(server: Server) -> list[str]:
    """What was done, in the order of the alphabet."""
    return sorted(activity for activity, _ in trail(server))


def set_least(server: Server, version: str | None) -> None:
    number = server.tenant().number
    write = server.application.installation.database.write
    server.run(write(lambda session: tenants.set_least_connector_version(session, number, version)))


class TestHello:
    def test_tells_the_time_to_anyone(self, server: Server) -> None:
        answer = server.call("GET", API, token=None)
        assert (answer.status, answer.json["product"], answer.json["time"]) == (
            200,
            "adjoin",
            "2027-01-15T08:00:00.000Z",
        )

    @pytest.mark.parametrize(
        "target", ["/connector", "/connector/v2", f"{API}/other", f"{API}/work/1/2", f"{API}/key/1"]
    )
    def test_there_is_nothing_beside(self, server: Server, target: str) -> None:
        assert server.call("POST", target, {}).status == 404

    @pytest.mark.parametrize(("method", "target"), [("POST", API), ("GET", f"{API}/check-in"), ("PUT", f"{API}/key")])
    def test_other_methods_are_refused(self, server: Server, method: str, target: str) -> None:
        assert server.call(method, target).status == 405

    def test_all_of_it_is_in_the_openapi_document(self, server: Server) -> None:
        document = server.call("GET", "/openapi.json").json
        named = {path.removeprefix(API) for path in document["paths"] if path.startswith("/connector/")}
        assert named == {"", "/enroll", "/check-in", "/key", "/work/{id}", "/leave"}


class TestEnrolment:
    def test_makes_an_entry_that_graph_shows(self, server: Server) -> None:
        machine = enrolled(server)
        shown = entry(server, machine)
        assert (shown["displayName"], shown["version"], shown["state"]) == ("ODJ-SRV01", VERSION, "active")
        assert shown["lastConnectionDateTime"] == "2027-01-15T08:00:00Z"
        assert activities(server) == ["Create it"]

    def test_lands_in_the_tenant_of_the_invitation(self, server: Server) -> None:
        other = server.add_tenant("other")
        machine = enrolled(server, other)
        assert machine.belongs["tenant"] == other.id
        assert server.call("GET", f"{LIST}/{machine.id}").status == 404
        assert server.call("GET", f"{LIST}/{machine.id}", token=server.token(tenant=other)).status == 200
        assert machine.check_in().status == 200

    def test_a_code_works_once(self, server: Server) -> None:
        code = invited(server)
        assert Machine(server).enrol(code).status == 200
        again = Machine(server).enrol(code)
        assert (again.status, again.error["code"]) == (403, "InvitationRefused")
        assert len(server.call("GET", LIST).json["value"]) == 1

    def test_the_same_machine_may_ask_again_after_a_lost_answer(self, server: Server) -> None:
        code, machine = invited(server), Machine(server)
        first, second = machine.enrol(code), machine.enrol(code)
        assert (second.status, second.json) == (200, first.json)
        assert len(server.call("GET", LIST).json["value"]) == 1

    def test_a_code_ends(self, server: Server) -> None:
        code = invited(server, lasts=60)
        server.clock.time = NOW + 60
        assert Machine(server).enrol(code).status == 403

    def test_a_code_may_be_typed_without_its_strokes_and_in_small_letters(self, server: Server) -> None:
        code = invited(server).replace("-", "").lower()
        assert Machine(server).enrol(code).status == 200

    def test_a_code_of_a_removed_connector_brings_nobody_back(self, server: Server) -> None:
        code, machine = invited(server), Machine(server)
        machine.enrol(code)
        server.call("DELETE", f"{LIST}/{machine.id}")
        assert machine.enrol(code).status == 410

    def test_guessing_is_throttled_and_an_invited_machine_elsewhere_is_not(self, server: Server) -> None:
        refused = [Machine(server).enrol(f"guess-{number}") for number in range(21)]
        assert [each.status for each in refused] == [403] * 20 + [429]
        assert int(refused[-1].headers["retry-after"]) > 0
        server.clock.time = NOW + 61
        assert Machine(server).enrol(invited(server)).status == 200

    def test_the_code_is_kept_as_a_digest_alone(self, server: Server) -> None:
        code = invited(server, domain="corp.example")
        reader = server.application.installation.database.reader
        if server.config.database_url is None:
            server.run(reader.fetch("PRAGMA wal_checkpoint(TRUNCATE)"))
            held = server.config.database_file.read_bytes()
        else:
            held = b"".join(
                repr(server.run(reader.fetch(Everywhere(f"SELECT * FROM {name}")))).encode() for name in METADATA.tables
            )
        assert code.encode() not in held
        assert code.replace("-", "").encode() not in held

    def test_needs_the_proof_of_the_key_for_this_code(self, server: Server) -> None:
        code = invited(server)
        one, other = keys.new_key(), keys.new_key()
        head, claims, signature = keys.proof(one, code=keys.digest_of_code(code)).split(".")
        forged = ".".join([keys.proof(other, code="x").split(".")[0], claims, signature])
        for proof in ("", "a.b.c", keys.proof(one, code="another"), forged, f"{head}.{claims}.AAAA", "é.é.é"):
            answer = Machine(server).enrol(code, proof=proof or " ")
            assert (answer.status, answer.error["code"]) == (400, "NotProven")
        assert Machine(server).enrol(code).status == 200

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("version", "1.2.3"),
            ("version", "1.2.3.x"),
            ("name", ""),
            ("name", "a\nb"),
            ("name", " "),
            ("name", 7),
        ],
    )
    def test_needs_a_name_and_a_version_of_four_numbers(self, server: Server, name: str, value: Any) -> None:
        answer = Machine(server).enrol(invited(server), **{name: value})
        assert (answer.status, answer.error["code"]) == (400, "ModelValidationFailure")

    def test_needs_a_licence(self, server: Server) -> None:
        code = invited(server)
        server.set_licence(server.tenant(), "none")
        assert Machine(server).enrol(code).status == 403

    def test_takes_json_alone(self, server: Server) -> None:
        assert server.call("POST", f"{API}/enroll", b"{", {"content-type": "application/json"}).status == 400
        assert server.call("POST", f"{API}/enroll", b"{}", {"content-type": "text/plain"}).status == 400


class TestTokens:
    def test_are_good_for_the_connector_api_alone(self, server: Server) -> None:
        machine = enrolled(server)
        machine.ask_token()
        assert server.call("GET", LIST, token=machine.bearer).status == 401
        assert server.call("POST", "/beta/$batch", {"requests": []}, token=machine.bearer).status == 401

    def test_of_graph_are_of_no_use_here(self, server: Server) -> None:
        assert server.call("POST", f"{API}/check-in", {}).status == 401
        assert server.call("POST", f"{API}/check-in", {}, token=None).status == 401

    def test_of_this_audience_need_the_permission(self, server: Server) -> None:
        token = server.token("Other", audience="api://adjoin/connector")
        assert server.call("POST", f"{API}/check-in", {}, token=token).status == 403

    def test_are_not_had_for_graph(self, server: Server) -> None:
        machine = enrolled(server)
        refused = machine.ask_token(scope="https://graph.microsoft.com/.default")
        assert (refused.status, refused.json["error"]) == (400, "invalid_scope")

    def test_are_had_by_no_other_grant(self, server: Server) -> None:
        machine = enrolled(server)
        refused = machine.ask_token(grant_type="refresh_token", refresh_token="x")
        assert (refused.status, refused.json["error"]) == (400, "unauthorized_client")

    def test_are_not_had_by_another_key(self, server: Server) -> None:
        machine = enrolled(server)
        assert machine.ask_token(keys.new_key()).status == 401

    def test_are_not_had_with_another_tenants_entry(self, server: Server) -> None:
        machine = enrolled(server, server.add_tenant("other"))
        machine.belongs["tokenPath"] = f"/{server.tenant().id}/oauth2/v2.0/token"
        assert machine.ask_token().json["error_codes"] in ([700016], [700023])

    def test_of_an_entry_that_an_administrator_made_there_are_none(self, server: Server) -> None:
        machine = enrolled(server)
        machine.belongs["connector"] = server.create()["id"]
        assert machine.ask_token().json["error_codes"] == [700016]


class TestCheckIn:
    def test_moves_what_graph_shows(self, server: Server) -> None:
        machine = enrolled(server)
        server.clock.time = NOW + 300
        answer = machine.check_in(version="1.2.3.5").json
        assert (answer["state"], answer["reasons"], answer["tooOld"], answer["work"]) == ("active", [], False, [])
        assert (answer["time"], answer["interval"]) == ("2027-01-15T08:05:00.000Z", 300)
        shown = entry(server, machine)
        assert (shown["lastConnectionDateTime"], shown["version"]) == ("2027-01-15T08:05:00Z", "1.2.3.5")

    def test_a_repeat_changes_nothing(self, server: Server) -> None:
        machine = enrolled(server)
        first = machine.check_in(health=[{"name": "clock", "ok": False, "detail": "slow"}]).json
        before = server.call("GET", f"{LIST}/{machine.id}")
        server.clock.time = NOW + 100
        again = machine.check_in(again=True, health=[]).json
        after = server.call("GET", f"{LIST}/{machine.id}")
        assert (after.body, after.headers["etag"]) == (before.body, before.headers["etag"])
        assert (again["state"], again["reasons"]) == (first["state"], first["reasons"])

    def test_what_it_reports_shows_at_once_with_its_reason(self, server: Server) -> None:
        machine = enrolled(server)
        answer = machine.check_in(
            health=[{"name": "clock", "ok": False, "detail": "a day off"}, {"name": "b", "ok": True}]
        )
        assert (answer.json["state"], answer.json["reasons"]) == ("error", ["clock: a day off"])
        assert entry(server, machine)["state"] == "error"
        changed = dict(trail(server))["Patch it"]
        assert ("state", "active", "error") in changed
        assert ("reason", None, "clock: a day off") in changed

    def test_is_in_the_audit_trail_only_where_state_or_version_change(self, server: Server) -> None:
        machine = enrolled(server)
        for _ in range(3):
            machine.check_in()
        machine.check_in(version="9.0.0.0")
        server.clock.time += 3_600
        machine.bearer = None
        machine.check_in(version="9.0.0.0")  # it was in error meanwhile
        assert activities(server) == ["Create it", "Patch it", "Patch it"]

    def test_after_silence_brings_it_back(self, server: Server) -> None:
        machine = enrolled(server)
        server.clock.time = NOW + 6 * DAY
        assert entry(server, machine)["state"] == "inactive"
        assert machine.check_in().status == 200
        assert entry(server, machine)["state"] == "active"

    def test_overrules_an_administrators_word(self, server: Server) -> None:
        machine = enrolled(server)
        server.call("PATCH", f"{LIST}/{machine.id}", {"state": "inactive", "displayName": "new name"})
        machine.check_in()
        assert (entry(server, machine)["state"], entry(server, machine)["displayName"]) == ("active", "new name")

    def test_after_thirty_days_it_is_told_that_it_is_gone(self, server: Server) -> None:
        machine = enrolled(server)
        server.clock.time = NOW + 30 * DAY
        assert machine.ask_token().json["error_codes"] == [700016]

    @pytest.mark.parametrize(
        "change",
        [
            {"instance": "x"},
            {"sequence": 0},
            {"sequence": "1"},
            {"version": "1.0"},
            {"health": [{"name": "x"}]},
            {"health": [{"name": "x", "ok": True}] * 17},
            {"load": {"x": "y"}},
            {"load": {str(at): 1 for at in range(17)}},
            {"wait": 31},
            {"other": 1},
        ],
    )
    def test_has_to_be_as_described(self, server: Server, change: dict[str, Any]) -> None:
        machine = enrolled(server)
        assert machine.check_in(**change).status == 400
        assert machine.check_in(again=True).status == 200

    def test_needs_a_licence(self, server: Server) -> None:
        machine = enrolled(server)
        server.set_licence(server.tenant(), "suspended")
        machine.bearer = server.token("Connector.Act", audience="api://adjoin/connector", client_id=machine.id)
        assert machine.check_in().status == 403

    def test_there_is_no_work_yet_to_report_on(self, server: Server) -> None:
        answer = enrolled(server).post("/work/1", {})
        assert (answer.status, answer.error["code"]) == (404, "UnknownWork")


class TestVersionPolicy:
    @pytest.mark.parametrize(
        ("version", "least", "state"),
        [("1.2.3.4", "1.2.3.4", "active"), ("1.2.3.4", "1.2.3.5", "error"), ("1.10.0.0", "1.9.0.0", "active")],
    )
    def test_compares_numbers(self, server: Server, version: str, least: str, state: str) -> None:
        machine = enrolled(server)
        set_least(server, least)
        answer = machine.check_in(version=version).json
        assert (answer["state"], answer["tooOld"], answer["leastVersion"]) == (state, state == "error", least)
        assert entry(server, machine)["state"] == state

    def test_says_what_is_wrong(self, server: Server) -> None:
        set_least(server, "2.0.0.0")
        machine = enrolled(server)
        assert entry(server, machine)["state"] == "error"
        assert machine.check_in().json["reasons"] == [
            "Version 1.2.3.4 is older than 2.0.0.0, the least that is accepted."
        ]
        set_least(server, None)
        assert machine.check_in().json["reasons"] == []


class TestStolenKeys:
    def test_a_restart_is_none(self, server: Server) -> None:
        machine = enrolled(server)
        machine.check_in()
        machine.restart()
        assert [machine.check_in().status for _ in range(2)] == [200, 200]

    @pytest.mark.parametrize("thief_goes_on", [False, True])
    def test_two_programs_with_one_key_are_noticed(self, server: Server, thief_goes_on: bool) -> None:
        machine = enrolled(server)
        machine.check_in()
        thief = Machine(server, machine.key, machine.belongs, instance=SECOND)
        assert thief.check_in().status == 200
        noticed = (thief if thief_goes_on else machine).check_in()
        if thief_goes_on:
            assert noticed.status == 200
            noticed = machine.check_in()
        assert (noticed.status, noticed.error["code"]) == (409, "ConnectorUsedElsewhere")
        assert entry(server, machine)["state"] == "error"
        assert ("Patch it", [("state", "active", "error"), ("reason", None, DOUBLED)]) in trail(server)

    def test_the_entry_stays_in_error_whoever_checks_in(self, server: Server) -> None:
        machine = enrolled(server)
        machine.check_in()
        thief = Machine(server, machine.key, machine.belongs, instance=SECOND)
        thief.check_in()
        machine.check_in()
        events = len(trail(server))
        assert thief.check_in().json["reasons"] == [DOUBLED]
        assert machine.check_in().status == 409
        assert len(trail(server)) == events
        server.call("PATCH", f"{LIST}/{machine.id}", {"state": "active"})
        assert thief.check_in().json["state"] == "active"

    def test_a_count_that_goes_backwards_is_noticed(self, server: Server) -> None:
        machine = enrolled(server)
        for _ in range(3):
            machine.check_in()
        machine.sequence = 0
        assert machine.check_in().status == 409
        assert entry(server, machine)["state"] == "error"

    def test_one_that_comes_late_is_none(self, server: Server) -> None:
        """It was on its way to a server that stalled, while another took it, and the next."""
        machine = enrolled(server)
        machine.check_in()
        machine.check_in()
        before = server.call("GET", f"{LIST}/{machine.id}")
        late = Machine(server, machine.key, machine.belongs, machine.bearer)
        health = [{"name": "own", "ok": False}]
        assert late.check_in(health=health).json["state"] == "active"
        after = server.call("GET", f"{LIST}/{machine.id}")
        assert (after.body, after.headers["etag"]) == (before.body, before.headers["etag"])
        assert "Patch it" not in activities(server)
        assert machine.check_in().json["reasons"] == []

    def test_a_copy_that_counts_on_in_the_same_run_is_noticed_once_it_is_two_behind(self, server: Server) -> None:
        machine = enrolled(server)
        machine.check_in()
        copy = Machine(server, machine.key, machine.belongs, machine.bearer, sequence=1)
        for _ in range(3):
            assert [machine.check_in().status, copy.check_in().status] == [200, 200]
            assert [machine.check_in().status, copy.check_in().status] == [200, 200]
        machine.check_in()
        assert copy.check_in(again=True).status == 200
        machine.check_in()
        assert copy.check_in(again=True).status == 409
        assert machine.check_in().json["reasons"] == [DOUBLED]


class TestRemoval:
    def test_ends_a_connector_at_once(self, server: Server) -> None:
        machine = enrolled(server)
        machine.check_in()
        assert server.call("DELETE", f"{LIST}/{machine.id}").status == 204
        for below, body in (
            ("/check-in", None),
            ("/key", {"proof": keys.proof(keys.new_key(), connector=machine.id), "approval": "a.b.c"}),
            ("/work/1", {}),
        ):
            answer = machine.check_in() if body is None else machine.post(below, body)
            assert (answer.status, answer.error["code"]) == (410, "ConnectorRemoved")
            assert "adjoin connector enroll" in answer.error["message"]
        assert machine.ask_token().json["error_codes"] == [700016]
        assert server.call("GET", LIST).json["value"] == []

    @pytest.mark.parametrize("first", ["check-in", "delete"])
    def test_while_it_checks_in_leaves_nothing_behind(self, server: Server, first: str) -> None:
        machine = enrolled(server)
        machine.ask_token()
        token = server.token()

        async def act() -> list[int]:
            body = {"instance": FIRST, "sequence": 1, "version": VERSION}
            acts = {
                "check-in": server.answer("POST", f"{API}/check-in", body, token=machine.bearer),
                "delete": server.answer("DELETE", f"{LIST}/{machine.id}", token=token),
            }
            order = sorted(acts, key=lambda name: name != first)
            return [answer.status for answer in await asyncio.gather(*(acts[name] for name in order))]

        statuses = server.run(act())
        assert statuses in ([200, 204], [204, 410], [410, 204], [204, 200])
        assert server.call("GET", LIST).json["value"] == []
        assert machine.check_in().status == 410

    def test_by_silence_is_carried_out_with_the_next_change(self, server: Server) -> None:
        silent = enrolled(server, name="silent")
        server.clock.time = NOW + 30 * DAY
        enrolled(server, name="new")
        assert activities(server) == ["Create it", "Create it", "Delete it"]
        held = server.run(
            server.application.installation.database.reader.fetch(Everywhere("SELECT id FROM domain_join_connectors"))
        )
        assert (silent.id,) not in held

    def test_an_entry_of_the_same_id_is_another(self, server: Server) -> None:
        machine = enrolled(server)
        machine.check_in()
        server.call("DELETE", f"{LIST}/{machine.id}")
        server.call("POST", LIST, {**PUBLISHED, "id": machine.id})
        assert machine.check_in().status == 410
        assert machine.ask_token().status == 400
        assert entry(server, machine)["version"] == "Version value"

    def test_leaving_removes_the_entry_once(self, server: Server) -> None:
        machine = enrolled(server)
        assert [machine.post("/leave").status for _ in range(2)] == [204, 204]
        assert server.call("GET", LIST).json["value"] == []
        assert activities(server) == ["Create it", "Delete it"]


class TestNewKeys:
    def test_count_from_their_first_use_and_end_the_old_one(self, server: Server) -> None:
        machine = enrolled(server)
        new = keys.new_key()
        assert machine.renew(new).json["keyExpires"] == "2027-04-15T08:00:00.000Z"
        assert machine.ask_token().status == 200
        assert machine.ask_token(new).status == 200
        assert machine.ask_token().json["error_codes"] == [700027]
        assert machine.ask_token(new).status == 200
        assert activities(server) == ["Create it", "Renew key of it", "Sign-in"]

    def test_are_known_once_however_often_they_are_sent(self, server: Server) -> None:
        machine = enrolled(server)
        new = keys.new_key()
        assert machine.renew(new).body == machine.renew(new).body
        machine.ask_token(new)
        machine.key = new
        assert machine.renew(new).status == 200
        assert machine.ask_token(new).status == 200
        assert activities(server).count("Renew key of it") == 1

    def test_only_the_last_one_waits_for_its_use(self, server: Server) -> None:
        machine = enrolled(server)
        one, other = keys.new_key(), keys.new_key()
        machine.renew(one)
        machine.renew(other)
        assert machine.ask_token(one).json["error_codes"] == [700027]
        assert machine.ask_token(other).status == 200

    def test_need_the_proof_for_this_connector(self, server: Server) -> None:
        machine = enrolled(server)
        new = keys.new_key()
        answer = machine.renew(new, proof=keys.proof(new, connector="another"))
        assert (answer.status, answer.error["code"]) == (400, "NotProven")

    def refused(self, machine: Machine, key: str, approval: str) -> str:
        """Why a next key is not taken, after which it is none."""
        answer = machine.renew(key, approval=approval)
        assert (answer.status, answer.error["code"]) == (400, "NotProven")
        bearer = machine.bearer
        assert machine.ask_token(key).json["error_codes"] == [700027]
        machine.bearer = bearer
        return str(answer.error["message"])

    def test_are_not_had_by_a_token_alone(self, server: Server) -> None:
        machine = enrolled(server)
        thief = keys.new_key()
        answer = machine.post("/key", {"proof": keys.proof(thief, connector=machine.id)})
        assert (answer.status, answer.error["code"]) == (400, "ModelValidationFailure")
        assert "in use" in self.refused(machine, thief, machine.approval(thief, by=thief))
        assert machine.ask_token().status == 200
        assert "Renew key of it" not in activities(server)

    def test_are_not_approved_by_a_key_that_a_renewal_ended(self, server: Server) -> None:
        machine = enrolled(server)
        machine.ask_token()
        token, new, third = machine.bearer, keys.new_key(), keys.new_key()
        machine.renew(new)
        machine.ask_token(new)
        machine.bearer = token
        assert "in use" in self.refused(machine, third, machine.approval(third))
        assert machine.ask_token(new).status == 200

    def test_are_not_approved_by_one_that_waits_for_its_use(self, server: Server) -> None:
        machine = enrolled(server)
        new, third = keys.new_key(), keys.new_key()
        machine.renew(new)
        assert "in use" in self.refused(machine, third, machine.approval(third, by=new))
        answer = machine.renew(new, approval=machine.approval(new, by=new))
        assert (answer.status, answer.error["code"]) == (400, "NotProven")

    def test_are_not_approved_by_a_key_whose_time_is_over(self, server: Server) -> None:
        machine = enrolled(server)
        for _ in range(5):
            server.clock.time += 20 * DAY
            machine.bearer = server.token("Connector.Act", audience=AUDIENCE, client_id=machine.id)
            machine.check_in()
        new = keys.new_key()
        assert "in use" in self.refused(machine, new, machine.approval(new))

    @pytest.mark.parametrize(
        ("changes", "reason"),
        [
            ({"key": "another"}, "something else"),
            ({"client": "another"}, "something else"),
            ({"audience": "https://elsewhere.example"}, "audience"),
            ({"now": NOW - 601.0}, "time"),
            ({"now": NOW + 301.0}, "time"),
        ],
    )
    def test_are_approved_for_this_and_now(self, server: Server, changes: dict[str, Any], reason: str) -> None:
        machine = enrolled(server)
        new = keys.new_key()
        assert reason in self.refused(machine, new, machine.approval(new, **changes))

    def test_need_the_signature_under_the_approval(self, server: Server) -> None:
        machine = enrolled(server)
        new = keys.new_key()
        head, claims, signature = machine.approval(new).split(".")
        forged = machine.approval(new, by=new).split(".")[2]
        assert "signed by the key" in self.refused(machine, new, f"{head}.{claims}.{forged}")
        for approval in ("a.b.c", "é", keys.proof(machine.key, connector=machine.id), f"{claims}.{head}.{signature}"):
            assert "names its key" in self.refused(machine, new, approval)

    def test_are_approved_once(self, server: Server) -> None:
        machine = enrolled(server)
        new = keys.new_key()
        approval = machine.approval(new)
        assert [machine.renew(new, approval=approval).status for _ in range(2)] == [200, 200]
        assert activities(server) == ["Create it", "Renew key of it"]
        # Of use again it would be where another key took this one's place meanwhile.
        machine.renew(keys.new_key())
        assert "before" in self.refused(machine, new, approval)

    def test_are_approved_by_nothing_that_gets_a_token_nor_does_an_approval(self, server: Server) -> None:
        machine = enrolled(server)
        new = keys.new_key()
        assertion = machine.approval(new, audience=machine.belongs["audience"])
        assert "audience" in self.refused(machine, new, assertion)
        assert machine.ask_token(client_assertion=machine.approval(new)).json["error_codes"] == [700023]

    def test_end_by_age(self, server: Server) -> None:
        machine = enrolled(server)
        for _ in range(5):
            server.clock.time += 20 * DAY
            machine.bearer = server.token("Connector.Act", audience="api://adjoin/connector", client_id=machine.id)
            assert machine.check_in().status == 200
        assert machine.ask_token().json["error_codes"] == [700027]


class TestWaiting:
    """A connector may wait for work: no longer than it asks for, than it stays, or than the service goes on."""

    class Held:
        """A check-in that waits; `leave` breaks its connection off."""

        def __init__(self, server: Server, machine: Machine) -> None:
            body = {"instance": FIRST, "sequence": 1, "version": VERSION, "wait": 30}
            self.sent: list[Mapping[str, Any]] = []
            self.left = asyncio.Event()
            self._body: list[MutableMapping[str, Any]] = [{"type": "http.request", "body": json.dumps(body).encode()}]
            head = [("host", HOST), ("content-type", "application/json"), ("authorization", f"Bearer {machine.bearer}")]
            scope = {
                "type": "http",
                "method": "POST",
                "scheme": "http",
                "path": f"{API}/check-in",
                "query_string": b"",
                "headers": [(name.encode(), value.encode()) for name, value in head],
            }
            self.task = asyncio.ensure_future(server.application(scope, self._receive, self._send))

        async def _receive(self) -> MutableMapping[str, Any]:
            if self._body:
                return self._body.pop()
            await self.left.wait()
            return {"type": "http.disconnect"}

        async def _send(self, message: Mapping[str, Any]) -> None:
            self.sent.append(message)

        @property
        def status(self) -> int | None:
            return int(self.sent[0]["status"]) if self.sent else None

    @staticmethod
    async def until_held(server: Server, count: int) -> None:
        api = server.application._connectors
        assert api is not None
        while api._holding.held != count:  # noqa: ASYNC110 - the moment has no event of its own
            await asyncio.sleep(0)

    def test_ends_when_the_service_stops(self, server: Server) -> None:
        machine = enrolled(server)
        machine.ask_token()

        async def act() -> int | None:
            held = self.Held(server, machine)
            await self.until_held(server, 1)
            server.application.release()
            await held.task
            return held.status

        assert server.run(act()) == 200

    def test_ends_when_the_connector_is_gone(self, server: Server) -> None:
        machine = enrolled(server)
        machine.ask_token()

        async def act() -> int | None:
            held = self.Held(server, machine)
            await self.until_held(server, 1)
            held.left.set()
            await held.task
            await self.until_held(server, 0)
            return held.status

        assert server.run(act()) is None

    def test_ends_when_it_is_removed(self, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(connector_api, "_LOOK_SECONDS", 0.0)
        machine = enrolled(server)
        machine.ask_token()
        token = server.token()

        async def act() -> int | None:
            held = self.Held(server, machine)
            await self.until_held(server, 1)
            assert (await server.answer("DELETE", f"{LIST}/{machine.id}", token=token)).status == 204
            await held.task
            return held.status

        assert server.run(act()) == 410

    def test_is_for_so_many_at_once(self, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(connector_api, "HELD", 0)
        answer = enrolled(server).check_in(wait=30)
        assert (answer.status, answer.json["wait"]) == (200, 0)
