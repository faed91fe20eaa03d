"""What is remembered of a caller's headers: the next answer is as if nothing were, and no token is among it."""

from __future__ import annotations

from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.server import Server

from adjoin.identity.caller import Caller, Kind
from adjoin.identity.keys import add_key, remove_key
from adjoin.identity.verified import Proof
from adjoin.store import tenants
from adjoin.store.tenants import ACTIVE, SUSPENDED
from adjoin.web import graph
from adjoin.web.heads import Heads, Known, digest_of

READ: Final = "DeviceManagementConfiguration.Read.All"
READ_WRITE: Final = "DeviceManagementConfiguration.ReadWrite.All"
LIST: Final = "/beta/deviceManagement/domainJoinConnectors"
CALLER: Final = Caller(
    tenant_id="t",
    subject="s",
    client_id="c",
    kind=Kind.APPLICATION,
    permissions=frozenset(),
    personal=False,
    not_before=0,
    expires=1,
    issued=0,
    issuer=None,
    can_take_challenge=False,
    name=None,
)
KNOWN: Final = Known(Proof(CALLER, 0, None))
PAIR: Final = st.tuples(
    st.sampled_from([b"accept", b"host", b"prefer", b"authorization"]),
    st.binary(max_size=3).filter(lambda b: b"\n" not in b),
)


class TestDigest:
    @given(st.lists(PAIR, max_size=4), st.lists(PAIR, max_size=4))
    def test_is_the_same_for_the_same_headers_alone(
        self, one: list[tuple[bytes, bytes]], other: list[tuple[bytes, bytes]]
    ) -> None:
        same = digest_of(one, "http", None)[0] == digest_of(other, "http", None)[0]
        assert same == (one == other)

    def test_tells_where_a_request_comes_from(self) -> None:
        places = [("http", None), ("https", None), ("http", ("10.0.0.1", 1)), ("http", ("10.0.0.2", 1))]
        assert len({digest_of([(b"host", b"a")], scheme, client)[0] for scheme, client in places}) == len(places)

    @pytest.mark.parametrize("name", [b"client-request-id", b"traceparent", b"tracestate"])
    def test_passes_over_what_is_new_with_each_request(self, name: bytes) -> None:
        assert (
            digest_of([(name, b"1"), (b"host", b"a")], "http", None)[0]
            == digest_of([(b"host", b"a"), (name, b"2")], "http", None)[0]
        )

    def test_gives_the_requests_own_id_if_there_is_just_one(self) -> None:
        own = (b"client-request-id", b"x")
        assert digest_of([own], "http", None)[1] == b"x"
        assert digest_of([], "http", None)[1] is None
        assert digest_of([own, own], "http", None)[1] is None


class TestHeads:
    def test_hold_no_token_and_nothing_of_one_request_alone(self) -> None:
        heads = Heads()
        said = {"host": "a", "authorization": "Bearer x", "client-request-id": "1", "traceparent": "2", "accept": "b"}
        heads.keep(1, said, "http://a", None, KNOWN)
        found = heads.find(1)
        assert found is not None
        assert found.headers == {"host": "a", "accept": "b"}

    def test_keep_none_that_is_unusually_long(self) -> None:
        heads = Heads()
        heads.keep(1, {"x-own": "x" * 10_000}, "", None, KNOWN)
        assert heads.find(1) is None

    def test_are_a_bounded_number(self) -> None:
        heads = Heads()
        for number in range(2_500):
            heads.keep(number, {}, "", None, KNOWN)
        assert sum(heads.find(number) is not None for number in range(2_500)) <= 1_000
        assert heads.find(2_499) is not None


class TestASecondRequest:
    def test_has_ids_of_its_own(self, server: Server) -> None:
        token = server.token(READ)
        ids = []
        for own in ("first", "second", "third"):
            answer = server.call("GET", LIST, headers={"client-request-id": own}, token=token)
            assert (answer.status, answer.headers["client-request-id"]) == (200, own)
            ids.append(answer.headers["request-id"])
        plain = server.call("GET", LIST, token=token).headers
        assert plain["client-request-id"] == plain["request-id"]
        assert plain["request-id"] not in ids
        assert len(set(ids)) == 3

    def test_with_other_headers_is_another(self, server: Server) -> None:
        token = server.token(READ)
        server.create()
        for host in ("one.example", "two.example"):
            for detail in ("none", "full"):
                headers = {"host": host, "accept": f"application/json;odata.metadata={detail}"}
                for _ in range(2):
                    said = server.call("GET", f"{LIST}?$top=1", headers=headers, token=token).json
                    context = said.get("@odata.context")
                    assert context is None if detail == "none" else context.startswith(f"http://{host}/")

    def test_of_another_caller_is_refused_what_the_first_may(self, server: Server) -> None:
        may, may_not = server.token(READ_WRITE), server.token(READ)
        body = {"displayName": "x", "lastConnectionDateTime": "2026-01-01T00:00:00Z", "state": "active", "version": "1"}
        for _ in range(2):
            assert server.call("POST", LIST, body, token=may).status == 201
            assert server.call("POST", LIST, body, token=may_not).status == 403

    def test_is_refused_once_the_token_has_expired(self, server: Server) -> None:
        token = server.token(READ)
        for _ in range(2):
            assert server.call("GET", LIST, token=token).status == 200
        server.clock.time += 86_400
        refused = server.call("GET", LIST, token=token)
        assert (refused.status, refused.error["code"]) == (401, "InvalidAuthenticationToken")

    @pytest.mark.parametrize("before", [0.0, 0.3, 0.999, 7.5])
    def test_is_refused_from_the_moment_on_at_which_the_token_ends(self, server: Server, before: float) -> None:
        token = server.token(READ, expires_in=600)
        server.clock.time = int(server.clock.time) + 600 - before - 0.001
        assert server.call("GET", LIST, token=token).status == 200
        server.clock.time += before
        assert server.call("GET", LIST, token=token).status == 200
        server.clock.time += 0.001
        assert server.call("GET", LIST, token=token).status == 401

    @pytest.mark.parametrize("before", [0.0, 0.3, 0.999, 7.5])
    def test_is_refused_from_the_moment_on_at_which_the_licence_ends(self, server: Server, before: float) -> None:
        tenant, ends = server.add_tenant("other"), int(server.clock.time) + 100
        server.write(lambda session: tenants.set_licence(session, tenant.number, ACTIVE, ends))
        token = server.token(READ, tenant=tenant)
        server.clock.time = ends - before - 0.001
        for _ in range(2):
            assert server.call("GET", LIST, token=token).status == 200
        server.clock.time += before
        assert server.call("GET", LIST, token=token).status == 200
        server.clock.time += 0.001
        assert server.call("GET", LIST, token=token).status == 403

    def test_is_let_in_though_the_clock_was_set_back(self, server: Server) -> None:
        token = server.token(READ)
        server.clock.time += 100
        assert server.call("GET", LIST, token=token).status == 200
        server.clock.time -= 50
        assert server.call("GET", LIST, token=token).status == 200
        server.clock.time -= 1_000
        assert server.call("GET", LIST, token=token).status == 401

    @pytest.mark.parametrize("looked", [0.0, 0.4, 0.9])
    def test_is_refused_within_a_second_after_its_key_is_gone(self, server: Server, looked: float) -> None:
        token, folder = server.token(READ), server.config.data_dir / "keys"
        assert server.call("GET", LIST, token=token).status == 200
        old = server.application.installation.ring.signing.kid
        add_key(folder, server.clock.time)
        remove_key(folder, old, server.clock.time, at_once=True)
        server.clock.time += looked
        server.call("GET", LIST, token=token)
        server.clock.time += 1 - looked
        assert server.call("GET", LIST, token=token).status == 401

    def test_is_counted_as_one_whose_token_was_verified_before(self, server: Server) -> None:
        token, tokens = server.token(READ), server.application._parties.tokens  # type: ignore[union-attr]
        before = tokens.misses, tokens.hits
        for _ in range(5):
            assert server.call("GET", LIST, token=token).status == 200
        assert (tokens.misses, tokens.hits) == (before[0] + 1, before[1] + 4)

    def test_is_refused_once_the_licence_is_gone(self, server: Server) -> None:
        tenant = server.add_tenant("other")
        token = server.token(READ, tenant=tenant)
        for _ in range(2):
            assert server.call("GET", LIST, token=token).status == 200
        server.set_licence(tenant, SUSPENDED)
        assert server.call("GET", LIST, token=token).status == 403

    def test_may_be_a_batch_and_its_parts_are_let_in_with_it(self, server: Server) -> None:
        token = server.token(READ)
        parts = {"requests": [{"id": "1", "method": "GET", "url": "/deviceManagement/domainJoinConnectors"}]}
        for _ in range(3):
            answer = server.call("POST", "/beta/$batch", parts, token=token)
            assert [each["status"] for each in answer.json["responses"]] == [200]

    def test_that_is_a_batch_asks_nothing_anew_for_its_parts(
        self, server: Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        token, headers = server.token(READ), {"content-type": "application/json"}
        assert server.call("GET", LIST, headers=headers, token=token).status == 200
        parts = {"requests": [{"id": "1", "method": "GET", "url": "/deviceManagement/domainJoinConnectors"}]}

        async def let_in(*_: object) -> None:
            raise AssertionError

        monkeypatch.setattr(graph.Graph, "_let_in", let_in)
        answer = server.call("POST", "/beta/$batch", parts, headers=headers, token=token)
        assert [each["status"] for each in answer.json["responses"]] == [200]

    def test_to_the_connectors_api_is_not_let_in_by_it(self, server: Server) -> None:
        token = server.token(READ_WRITE)
        first = server.call("POST", "/connector/v1/leave", {}, token=token)
        assert server.call("GET", LIST, headers={"content-type": "application/json"}, token=token).status == 200
        again = server.call("POST", "/connector/v1/leave", {}, token=token)
        assert (first.status, first.said) == (again.status, again.said)
        assert first.status == 401
