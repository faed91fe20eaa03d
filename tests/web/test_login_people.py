"""People sign in: authorization codes with PKCE, refresh tokens, and what each of them is refused for."""

from __future__ import annotations

import asyncio
import base64
import json

import pytest
from tests.web.visitor import CALLBACK, CHALLENGE, DEFAULT, GRAPH, NOW, ORIGIN, READ, VERIFIER, WRITE, Visitor, claims

from adjoin.service import sign_in_people, sign_in_refresh
from adjoin.store import users


def test_a_code_becomes_all_that_a_client_needs(visitor: Visitor) -> None:
    client, _ = visitor.add_app(public=True)
    person = visitor.add_user()
    page = visitor.authorize(client)
    assert page.status == 200
    back = visitor.sign_in(page)
    assert back.headers["location"].startswith(f"{CALLBACK}&code=")
    assert back.returned["state"] == "st&te"
    tokens = visitor.redeem(client, back.returned["code"]).json
    assert set(tokens) == {
        "token_type",
        "scope",
        "expires_in",
        "ext_expires_in",
        "access_token",
        "refresh_token",
        "id_token",
        "client_info",
    }
    assert tokens["scope"] == f"{GRAPH}/{WRITE} {GRAPH}/.default openid profile offline_access"
    assert visitor.works(tokens["access_token"]) == 200
    access = claims(tokens["access_token"])
    assert (access["idtyp"], access["scp"], access["oid"], access["appidacr"]) == ("user", WRITE, person.id, "0")
    said = claims(tokens["id_token"])
    assert (said["aud"], said["tid"], said["oid"], said["nonce"]) == (client.id, visitor.tenant.id, person.id, "n-0")
    assert (said["preferred_username"], said["name"], said["auth_time"]) == ("alice@default", "Alice", NOW)
    assert said["iss"] == f"https://login.microsoftonline.com/{visitor.tenant.id}/v2.0"
    info = json.loads(base64.urlsafe_b64decode(tokens["client_info"] + "=="))
    assert info == {"uid": person.id, "utid": visitor.tenant.id}


def test_an_id_token_opens_nothing(visitor: Visitor) -> None:
    client, _ = visitor.add_app(public=True)
    visitor.add_user()
    tokens = visitor.redeem(client, visitor.code(client)).json
    assert visitor.works(tokens["id_token"]) == 401


def test_only_what_was_asked_for_comes_back(visitor: Visitor) -> None:
    client, _ = visitor.add_app(public=True)
    visitor.add_user()
    tokens = visitor.redeem(client, visitor.code(client, scope=READ), client_info="0").json
    assert set(tokens) == {"token_type", "scope", "expires_in", "ext_expires_in", "access_token"}
    assert tokens["scope"] == READ
    assert claims(tokens["access_token"])["scp"] == READ


@pytest.mark.parametrize(
    ("application", "person", "scope", "granted"),
    [
        ((WRITE,), (READ,), f"{GRAPH}/.default", READ),
        ((WRITE,), (READ,), WRITE, READ),
        ((READ,), (WRITE,), f"{GRAPH}/.default", READ),
        ((WRITE,), (WRITE,), READ, READ),
        ((WRITE, READ), (WRITE,), f"{GRAPH}/.default", f"{READ} {WRITE}"),
        ((WRITE, "Other.Read"), (WRITE,), f"{GRAPH}/.default", WRITE),
        ((WRITE,), (READ,), "openid", ""),
    ],
)
def test_a_token_holds_what_application_and_person_may_both(
    visitor: Visitor, application: tuple[str, ...], person: tuple[str, ...], scope: str, granted: str
) -> None:
    client, _ = visitor.add_app("client", *application, public=True)
    visitor.add_user("alice", *person)
    tokens = visitor.redeem(client, visitor.code(client, scope=scope)).json
    assert claims(tokens["access_token"])["scp"] == granted


def test_a_person_without_any_of_the_permissions_is_told_on_the_page(visitor: Visitor) -> None:
    client, _ = visitor.add_app(public=True)
    visitor.add_user("alice", "Other.Read")
    answer = visitor.sign_in(visitor.authorize(client))
    assert (answer.status, answer.fault) == (
        400,
        "The signed in user has none of the permissions that the application asks for.",
    )


def test_a_confidential_client_redeems_with_its_secret_alone(visitor: Visitor) -> None:
    client, secret = visitor.add_app()
    visitor.add_user()
    code = visitor.code(client)
    assert visitor.redeem(client, code).refusal == (401, "invalid_client", 7000218)
    assert visitor.redeem(client, code, client_secret="wrong").refusal == (401, "invalid_client", 7000215)
    tokens = visitor.redeem(client, code, client_secret=secret).json
    assert claims(tokens["access_token"])["appidacr"] == "1"
    assert visitor.refresh(client, tokens["refresh_token"]).refusal == (401, "invalid_client", 7000218)
    assert visitor.refresh(client, tokens["refresh_token"], client_secret=secret).status == 200


def test_the_claims_parameter_declares_a_capability(visitor: Visitor) -> None:
    client, _ = visitor.add_app(public=True)
    visitor.add_user()
    wanted = '{"access_token":{"xms_cc":{"values":["CP1"]}}}'
    tokens = visitor.redeem(client, visitor.code(client, claims=wanted)).json
    assert claims(tokens["access_token"])["xms_cc"] == ["cp1"]
    assert claims(visitor.refresh(client, tokens["refresh_token"]).json["access_token"])["xms_cc"] == ["cp1"]


# --- codes


def test_a_code_that_comes_again_ends_what_came_of_it(visitor: Visitor) -> None:
    client, _ = visitor.add_app(public=True)
    visitor.add_user()
    code = visitor.code(client)
    tokens = visitor.redeem(client, code).json
    assert visitor.redeem(client, code).refusal == (400, "invalid_grant", 54005)
    assert visitor.refresh(client, tokens["refresh_token"]).refusal == (400, "invalid_grant", 70000)


def test_of_two_redemptions_at_once_one_wins(visitor: Visitor) -> None:
    client, _ = visitor.add_app(public=True)
    visitor.add_user()
    code = visitor.code(client)
    form = {
        "grant_type": "authorization_code",
        "client_id": client.id,
        "code": code,
        "redirect_uri": CALLBACK,
        "code_verifier": VERIFIER,
    }

    async def at_once() -> list[int]:
        target = f"/{visitor.tenant.id}/oauth2/v2.0/token"
        answers = await asyncio.gather(*(visitor.ask("POST", target, form) for _ in range(5)))
        return sorted(answer.status for answer in answers)

    assert visitor.run(at_once()) == [200, 400, 400, 400, 400]


@pytest.mark.parametrize(("seconds", "status"), [(599, 200), (600, 400), (100_000, 400)])
def test_a_code_is_good_for_ten_minutes(visitor: Visitor, seconds: int, status: int) -> None:
    client, _ = visitor.add_app(public=True)
    visitor.add_user()
    code = visitor.code(client)
    visitor.clock.time += seconds
    answer = visitor.redeem(client, code)
    assert answer.status == status
    if status == 400:
        assert answer.refusal == (400, "invalid_grant", 70008)


def test_a_code_is_good_for_its_client_redirect_verifier_and_tenant_alone(visitor: Visitor) -> None:
    client, _ = visitor.add_app(public=True, uris=(CALLBACK, "https://app.example/other"))
    other, _ = visitor.add_app("other", public=True)
    elsewhere = visitor.add_tenant("elsewhere")
    visitor.add_app("client", public=True, tenant=elsewhere)
    visitor.add_user()
    code = visitor.code(client)
    assert visitor.redeem(other, code).refusal == (400, "invalid_grant", 70000)
    wrong = visitor.redeem(client, code, redirect_uri="https://app.example/other")
    assert wrong.refusal == (400, "invalid_grant", 500112)
    assert visitor.redeem(client, code, code_verifier="w" * 43).refusal == (400, "invalid_grant", 501481)
    assert visitor.redeem(client, code, code_verifier="v" * 42).refusal == (400, "invalid_grant", 50148)
    assert visitor.redeem(client, code, tenant=elsewhere.id).refusal == (400, "unauthorized_client", 700016)
    assert visitor.redeem(client, code[:-1]).refusal == (400, "invalid_grant", 70000)
    assert visitor.redeem(client, code).status == 200


def test_a_verifier_without_a_challenge_is_refused(visitor: Visitor) -> None:
    client, secret = visitor.add_app()
    visitor.add_user()
    code = visitor.code(client, code_challenge=None, code_challenge_method=None)
    assert visitor.redeem(client, code, client_secret=secret).refusal == (400, "invalid_grant", 50148)
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": CALLBACK}
    assert visitor.token(client_id=client.id, client_secret=secret, **form).status == 200


# --- authorization requests


@pytest.mark.parametrize(
    ("changes", "error", "number"),
    [
        ({"response_type": "token"}, "unsupported_response_type", 70005),
        ({"response_type": None}, "unsupported_response_type", 70005),
        ({"response_mode": "web_message"}, "invalid_request", 900144),
        ({"code_challenge": None}, "invalid_request", 9002325),
        ({"code_challenge_method": "plain"}, "invalid_request", 501491),
        ({"code_challenge_method": None}, "invalid_request", 501491),
        ({"code_challenge": CHALLENGE[:-1]}, "invalid_request", 50149),
        ({"prompt": "none"}, "login_required", 50058),
        ({"request": "e30."}, "request_not_supported", 900144),
        ({"scope": "https://other.example/.default"}, "invalid_resource", 500011),
        ({"scope": "User.Read"}, "invalid_scope", 650053),
        ({"scope": f"{GRAPH}/.default {WRITE}"}, "invalid_scope", 70011),
        ({"scope": None}, "invalid_request", 900144),
        ({"scope": "x" * 2_049}, "invalid_scope", 70011),
        ({"state": "s" * 4_097}, "invalid_request", 90015),
    ],
)
def test_a_refusal_goes_back_to_the_client(
    visitor: Visitor, changes: dict[str, str | None], error: str, number: int
) -> None:
    client, _ = visitor.add_app(public=True)
    answer = visitor.authorize(client, **changes)
    assert answer.headers["location"].startswith(f"{CALLBACK}&error=")
    assert answer.returned["error"] == error
    assert answer.returned["error_description"].startswith(f"AADSTS{number}: ")
    assert answer.returned["state"] == changes.get("state", "st&te")


@pytest.mark.parametrize(
    ("changes", "number"),
    [
        ({"redirect_uri": "https://evil.example/"}, 50011),
        ({"redirect_uri": CALLBACK + "&more=1"}, 50011),
        ({"redirect_uri": "https://app.example/back"}, 50011),
        ({"redirect_uri": "https://app.example@evil.example/back?kept=1"}, 50011),
        ({"redirect_uri": "//app.example/back?kept=1"}, 50011),
        ({"redirect_uri": None}, 900144),
        ({"client_id": "00000000-0000-4000-8000-000000000000"}, 700016),
        ({"client_id": None}, 900144),
    ],
)
def test_nothing_is_sent_to_an_address_that_is_not_registered(
    visitor: Visitor, changes: dict[str, str | None], number: int
) -> None:
    client, _ = visitor.add_app(public=True)
    answer = visitor.authorize(client, **changes)
    assert (answer.status, answer.number) == (400, number)
    assert "location" not in answer.headers


@pytest.mark.parametrize(
    ("registered", "asked", "status"),
    [
        ("http://localhost", "http://localhost:5001", 200),
        ("http://localhost", "http://localhost:5001/", 200),
        ("http://127.0.0.1:1/x", "http://127.0.0.1:2/x", 200),
        ("http://[::1]/x", "http://[::1]:9/x", 200),
        ("http://localhost", "http://127.0.0.1:5001", 400),
        ("http://localhost/x", "http://localhost:5001/y", 400),
        ("http://localhost", "https://localhost:5001", 400),
        ("http://localhost", "http://localhost.evil.example:5001", 400),
        ("http://localhost", "http://localhost:5001/?a=b", 400),
        ("http://localhost", "http://user@localhost:5001", 400),
        ("https://app.example:1/", "https://app.example:2/", 400),
        ("com.example.app:/back", "com.example.app:/back", 200),
    ],
)
def test_the_port_of_loopback_is_free_for_public_clients(
    visitor: Visitor, registered: str, asked: str, status: int
) -> None:
    client, _ = visitor.add_app(public=True, uris=(registered,))
    assert visitor.authorize(client, redirect_uri=asked).status == status


def test_the_port_of_loopback_is_not_free_for_confidential_clients(visitor: Visitor) -> None:
    client, _ = visitor.add_app(uris=("http://localhost:5000/",))
    assert visitor.authorize(client, redirect_uri="http://localhost:5001/").number == 50011
    assert visitor.authorize(client, redirect_uri="http://localhost:5000/").status == 200


def test_a_parameter_given_twice_is_refused(visitor: Visitor) -> None:
    client, _ = visitor.add_app(public=True)
    url = f"/{visitor.tenant.id}/oauth2/v2.0/authorize?client_id={client.id}&scope=a&scope=b"
    assert visitor.get(url).number == 9000411


def test_the_answer_comes_in_the_mode_that_is_asked_for(visitor: Visitor) -> None:
    client, _ = visitor.add_app(public=True)
    visitor.add_user()
    back = visitor.sign_in(visitor.authorize(client, response_mode="fragment"))
    assert back.headers["location"].startswith(f"{CALLBACK}#code=")
    page = visitor.sign_in(visitor.authorize(client, response_mode="form_post"))
    assert (page.status, page.action) == (200, CALLBACK)
    assert page.fields["state"] == "st&te"
    assert "form-action https://app.example;" in page.headers["content-security-policy"]
    assert visitor.redeem(client, page.fields["code"]).status == 200


def test_an_authorization_request_may_be_posted(visitor: Visitor) -> None:
    client, _ = visitor.add_app(public=True)
    form = {"client_id": client.id, "redirect_uri": CALLBACK, "response_type": "code", "scope": DEFAULT}
    target = f"/{visitor.tenant.id}/oauth2/v2.0/authorize"
    page = visitor.post(target, code_challenge=CHALLENGE, code_challenge_method="S256", **form)
    assert (page.status, page.action) == (200, f"/{visitor.tenant.id}/login")


def test_the_v1_endpoint_takes_a_resource(visitor: Visitor) -> None:
    client, secret = visitor.add_app()
    visitor.add_user()
    query = f"client_id={client.id}&response_type=code&redirect_uri={CALLBACK}&resource={GRAPH}/"
    page = visitor.get(f"/{visitor.tenant.id}/oauth2/authorize?{query}")
    form = {"grant_type": "authorization_code", "code": visitor.sign_in(page).returned["code"]}
    answer = visitor.post(
        f"/{visitor.tenant.id}/oauth2/token",
        client_id=client.id,
        client_secret=secret,
        redirect_uri=CALLBACK,
        **form,
    )
    assert visitor.works(answer.json["access_token"]) == 200


def test_cancel_goes_back_without_a_name(visitor: Visitor) -> None:
    client, _ = visitor.add_app(public=True)
    returned = visitor.sign_in(visitor.authorize(client), name="", password="", act="cancel").returned
    assert (returned["error"], returned["state"]) == ("access_denied", "st&te")
    assert returned["error_description"].startswith("AADSTS65004: ")


# --- refresh tokens


def test_a_refresh_token_is_good_once_and_its_copy_ends_the_sign_in(visitor: Visitor) -> None:
    client, _ = visitor.add_app(public=True)
    visitor.add_user()
    first = visitor.redeem(client, visitor.code(client)).json["refresh_token"]
    second = visitor.refresh(client, first).json["refresh_token"]
    assert second != first
    assert visitor.refresh(client, first).refusal == (400, "invalid_grant", 50173)
    assert visitor.refresh(client, second).refusal == (400, "invalid_grant", 70000)


def test_of_two_refreshes_at_once_one_wins(visitor: Visitor) -> None:
    client, _ = visitor.add_app(public=True)
    visitor.add_user()
    token = visitor.redeem(client, visitor.code(client)).json["refresh_token"]
    form = {"grant_type": "refresh_token", "client_id": client.id, "refresh_token": token}

    async def at_once() -> list[int]:
        target = f"/{visitor.tenant.id}/oauth2/v2.0/token"
        answers = await asyncio.gather(*(visitor.ask("POST", target, form) for _ in range(4)))
        return sorted(answer.status for answer in answers)

    assert visitor.run(at_once()) == [200, 400, 400, 400]


def test_a_refresh_token_lasts_from_its_last_use(visitor: Visitor) -> None:
    client, _ = visitor.add_app(public=True)
    visitor.add_user()
    token = visitor.redeem(client, visitor.code(client)).json["refresh_token"]
    visitor.clock.time += sign_in_refresh.LASTS - 1
    token = visitor.refresh(client, token).json["refresh_token"]
    visitor.clock.time += sign_in_refresh.LASTS
    assert visitor.refresh(client, token).refusal == (400, "invalid_grant", 700082)


def test_a_refresh_token_is_good_for_its_client_alone(visitor: Visitor) -> None:
    client, _ = visitor.add_app(public=True)
    other, _ = visitor.add_app("other", public=True)
    visitor.add_user()
    token = visitor.redeem(client, visitor.code(client)).json["refresh_token"]
    assert visitor.refresh(other, token).refusal == (400, "invalid_grant", 70000)
    assert visitor.refresh(client, token).status == 200


@pytest.mark.parametrize("token", ["x", ".", "a.b", "\ud800", "x" * 5_000])
def test_what_is_no_refresh_token_is_refused(visitor: Visitor, token: str) -> None:
    client, _ = visitor.add_app(public=True)
    encoded = token.encode("utf-8", "replace").decode()
    assert visitor.refresh(client, encoded).refusal == (400, "invalid_grant", 70000)


def test_a_refresh_gives_no_more_than_the_person_allowed(visitor: Visitor) -> None:
    client, _ = visitor.add_app(public=True)
    visitor.add_user()
    scope = f"{GRAPH}/{READ} offline_access"
    token = visitor.redeem(client, visitor.code(client, scope=scope)).json["refresh_token"]
    assert visitor.refresh(client, token, scope=f"{GRAPH}/{WRITE}").refusal == (400, "invalid_grant", 65001)
    answer = visitor.refresh(client, token, scope=f"{GRAPH}/.default").json
    assert claims(answer["access_token"])["scp"] == READ
    assert answer["scope"] == f"{GRAPH}/{READ} {GRAPH}/.default offline_access"
    token = visitor.redeem(client, visitor.code(client, scope="openid offline_access")).json["refresh_token"]
    assert visitor.refresh(client, token, scope=f"{GRAPH}/.default").refusal == (400, "invalid_grant", 65001)


@pytest.mark.parametrize("change", ["disable", "remove", "end"])
def test_what_ends_a_person_ends_the_persons_tokens(visitor: Visitor, change: str) -> None:
    client, _ = visitor.add_app(public=True)
    person = visitor.add_user()
    tokens = visitor.redeem(client, visitor.code(client)).json
    code = visitor.code(client)
    visitor.clock.time += 5
    number = visitor.tenant.number

    async def act(session: object) -> None:
        if change == "disable":
            await users.set_enabled(session, number, person.id, enabled=False)  # type: ignore[arg-type]
        await sign_in_people.end_sign_ins(session, number, person.id, visitor.clock())  # type: ignore[arg-type]
        if change == "remove":
            await users.remove(session, number, person.id)  # type: ignore[arg-type]

    visitor.write(act)
    assert visitor.refresh(client, tokens["refresh_token"]).refusal == (400, "invalid_grant", 70000)
    assert visitor.redeem(client, code).refusal == (400, "invalid_grant", 70000)
    if change == "end":
        # Signing in again counts at once, in the very second.
        assert visitor.works(visitor.redeem(client, visitor.code(client)).json["access_token"]) == 200


def test_what_a_person_loses_is_gone_with_the_next_refresh(visitor: Visitor) -> None:
    client, _ = visitor.add_app(public=True)
    person = visitor.add_user()
    token = visitor.redeem(client, visitor.code(client)).json["refresh_token"]

    async def act(session: object) -> None:
        sql = "UPDATE users SET permissions = ?2 WHERE id = ?1"
        await session.fetch(sql, (person.id, READ))  # type: ignore[attr-defined]

    visitor.write(act)
    answer = visitor.refresh(client, token).json
    assert claims(answer["access_token"])["scp"] == READ


def test_the_database_holds_nothing_that_could_be_redeemed(visitor: Visitor) -> None:
    client, _ = visitor.add_app(public=True)
    visitor.add_user()
    code = visitor.code(client)
    token = visitor.redeem(client, visitor.code(client)).json["refresh_token"]
    device = visitor.device(client)
    kept = repr(visitor.run(visitor.database.reader.fetch("SELECT * FROM grants")))
    for secret in (code, token, *token.split("."), device["device_code"], device["user_code"].replace("-", "")):
        assert secret not in kept
    assert ORIGIN not in kept
