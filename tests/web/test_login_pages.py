"""The pages against their enemies: forged forms, names with markup, guessed passwords, and what they must not tell."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Sequence
from html import escape
from typing import Any

import pytest
from tests.web.visitor import CALLBACK, PASSWORD, Visitor

from adjoin.identity import passwords
from adjoin.odata.errors import Refusal
from adjoin.service.sign_in_attempts import Attempts
from adjoin.store.database import Overloaded, Unavailable
from adjoin.web.login.tickets import LASTS

WRONG = "Error validating credentials due to invalid username or password."
MARKUP = "<script>alert(1)</script>\"'&{{7*7}}"


def test_every_page_is_held_to_what_it_needs(visitor: Visitor) -> None:
    client, _ = visitor.add_app(public=True)
    refused = visitor.authorize(client, redirect_uri="https://evil.example")
    for page in (visitor.authorize(client), visitor.get("/device"), refused):
        policy = page.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; style-src 'sha256-")
        assert "frame-ancestors 'none'; base-uri 'none'" in policy
        assert page.headers["x-frame-options"] == "DENY"
        assert page.headers["referrer-policy"] == "no-referrer"
        assert page.headers["cache-control"] == "no-store, no-cache"
        assert page.headers["x-content-type-options"] == "nosniff"
        assert "<script" not in page.text
        assert "evil" not in policy
    policy = visitor.authorize(client).headers["content-security-policy"]
    assert "form-action 'self' https://app.example;" in policy


def test_names_with_markup_are_text(visitor: Visitor) -> None:
    client, _ = visitor.add_app(MARKUP, MARKUP.replace(" ", ""), public=True)
    page = visitor.authorize(client, login_hint=MARKUP, state=MARKUP, scope="openid")
    assert MARKUP not in page.text
    assert "49" not in page.text.replace(page.ticket, "").partition("</style>")[2].partition("<form")[0]
    assert escape("<script>") in page.text
    again = visitor.sign_in(page, name=MARKUP)
    assert "<script" not in again.text
    posted = visitor.sign_in(visitor.authorize(client, state=MARKUP, response_mode="form_post"), act="cancel")
    assert "<script" not in posted.text
    assert posted.fields["state"] == MARKUP
    refused = visitor.authorize(client, redirect_uri=f"https://evil.example/{MARKUP}")
    assert "<script" not in refused.text
    assert "<script" not in visitor.get("/device?user_code=%22%3E%3Cscript%3E").text


class Away:
    """A database that refuses, in words that are for its operator."""

    embedded = False

    def __init__(self, refusal: Refusal) -> None:
        self._refusal = refusal

    async def fetch(self, _sql: str, _parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        raise self._refusal


@pytest.mark.parametrize(
    ("refusal", "said"),
    [
        (Unavailable("The database postgresql://role@inner/name cannot be reached."), "The database is not available"),
        (Overloaded("More reads are waiting than the service takes on."), "More reads are waiting"),
    ],
)
def test_without_the_database_people_see_a_page(
    visitor: Visitor, monkeypatch: pytest.MonkeyPatch, refusal: Refusal, said: str
) -> None:
    client, _ = visitor.add_app(public=True)
    with monkeypatch.context() as patched:
        patched.setattr(type(visitor.database), "reader", Away(refusal))
        page = visitor.authorize(client)
        assert visitor.get("/common/oauth2/deviceauth?user_code=BCDFGHJK").status == 503
    assert (page.status, page.number, page.headers["retry-after"]) == (503, 90033, "2")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert page.fault.startswith(said)
    assert "inner" not in page.text
    assert visitor.authorize(client).status == 200


@pytest.mark.parametrize("target", ["oauth2/v2.0/token", "oauth2/token", "oauth2/v2.0/devicecode"])
def test_without_the_database_programs_hear_it_as_oauth_has_it(
    visitor: Visitor, monkeypatch: pytest.MonkeyPatch, target: str
) -> None:
    client, secret = visitor.add_app()
    monkeypatch.setattr(type(visitor.database), "reader", Away(Unavailable("Nothing at inner answers.")))
    asked = f"/{visitor.tenant.id}/{target}"
    answer = visitor.post(
        asked, client_id=client.id, client_secret=secret, grant_type="client_credentials", scope="openid"
    )
    assert (answer.status, answer.headers["retry-after"]) == (503, "2")
    said = answer.json
    assert (said["error"], said["error_codes"]) == ("temporarily_unavailable", [90033])
    assert said["error_description"].startswith("AADSTS90033: The database is not available now. Try again later.")


# --- forms


def test_a_form_needs_the_browser_that_was_shown_it(visitor: Visitor) -> None:
    client, _ = visitor.add_app(public=True)
    visitor.add_user()
    page = visitor.authorize(client)
    form = {"ticket": page.ticket, "name": "alice", "password": PASSWORD, "act": "accept"}
    mine = dict(visitor.cookies)
    visitor.cookies = {}
    assert visitor.post(page.action, **form).number == 90013
    visitor.cookies = dict.fromkeys(mine, "0" * 32)
    again = visitor.post(page.action, **form)
    assert (again.status, again.fault.partition(".")[0]) == (
        400,
        "Another page of this browser began a sign-in at the same time",
    )
    visitor.cookies = mine
    assert visitor.post(page.action, **form).status == 303


def test_of_two_pages_opened_at_once_both_lead_to_the_end(visitor: Visitor) -> None:
    """Each brought a cookie, and the browser kept that of one: the other page is shown once more, as its own."""
    client, _ = visitor.add_app(public=True)
    visitor.add_user()
    first = visitor.authorize(client, state="first")
    visitor.cookies = {}
    second = visitor.authorize(client, state="second")
    again = visitor.sign_in(first)
    assert "set-cookie" not in again.headers
    assert PASSWORD not in again.text
    assert visitor.sign_in(again).returned["state"] == "first"
    assert visitor.sign_in(second).returned["state"] == "second"


def test_another_browsers_form_declines_nothing(visitor: Visitor) -> None:
    client, _ = visitor.add_app(public=True)
    page = visitor.authorize(client)
    visitor.cookies = dict.fromkeys(visitor.cookies, "0" * 32)
    assert visitor.sign_in(page, act="cancel").status == 400


def test_the_url_that_stays_in_the_address_bar_says_to_begin_again(visitor: Visitor) -> None:
    answer = visitor.get(f"/{visitor.tenant.id}/login")
    assert (answer.status, answer.number) == (400, 900561)
    assert "Go back to the application and start again." in answer.text


@pytest.mark.parametrize("ticket", ["", "x", "é", "A" * 400])
def test_a_form_without_a_ticket_of_ours_is_refused(visitor: Visitor, ticket: str) -> None:
    client, _ = visitor.add_app(public=True)
    page = visitor.authorize(client)
    assert visitor.post(page.action, ticket=ticket, act="cancel").number == 90013
    assert visitor.post("/device", ticket=ticket, user_code="BCDF-BCDF").number == 90013


def test_a_ticket_is_good_for_its_form_alone(visitor: Visitor) -> None:
    client, _ = visitor.add_app(public=True)
    page, code_page = visitor.authorize(client), visitor.get("/device")
    assert visitor.post(page.action, ticket=code_page.ticket, act="cancel").number == 90013
    assert visitor.post("/device", ticket=page.ticket, user_code="BCDF-BCDF").number == 90013
    changed = page.ticket[:-8] + ("A" if page.ticket[-8] != "A" else "B") + page.ticket[-7:]
    assert visitor.post(page.action, ticket=changed, act="cancel").number == 90013


def test_a_form_is_good_for_a_while(visitor: Visitor) -> None:
    client, _ = visitor.add_app(public=True)
    page = visitor.authorize(client)
    visitor.clock.time += LASTS
    assert visitor.sign_in(page, act="cancel").number == 90013


def test_the_cookie_is_for_this_origin_alone(visitor: Visitor) -> None:
    client, _ = visitor.add_app(public=True)
    first = visitor.authorize(client)
    assert re.fullmatch(
        r"__Host-adjoin-sign-in=[0-9a-f]{32}; Path=/; HttpOnly; SameSite=Lax; Secure", first.headers["set-cookie"]
    )
    assert "set-cookie" not in visitor.authorize(client).headers


def test_a_redirect_that_is_not_registered_any_more_is_not_followed(visitor: Visitor) -> None:
    client, _ = visitor.add_app(public=True)
    visitor.add_user()
    page = visitor.authorize(client)
    sql = "UPDATE applications SET redirect_uris = 'https://app.example/new' WHERE id = ?1"
    visitor.write(lambda session: session.fetch(sql, (client.id,)))
    assert visitor.sign_in(page).number == 50011
    assert visitor.sign_in(page, act="cancel").number == 50011


def test_the_password_is_not_sent_on(visitor: Visitor) -> None:
    """303 makes the browser fetch without the form (RFC 9700, 4.12)."""
    client, _ = visitor.add_app(public=True)
    visitor.add_user()
    answer = visitor.sign_in(visitor.authorize(client))
    assert answer.status == 303
    assert PASSWORD not in str(answer)


# --- passwords


@pytest.mark.parametrize("name", ["alice", "Alice", " ALICE ", "alice@default", "ALICE@Default"])
def test_a_name_counts_without_regard_to_case(visitor: Visitor, name: str) -> None:
    client, _ = visitor.add_app(public=True)
    visitor.add_user()
    assert visitor.sign_in(visitor.authorize(client), name=name).status == 303


def test_unknown_and_known_names_are_refused_alike(visitor: Visitor) -> None:
    client, _ = visitor.add_app(public=True)
    visitor.add_user()
    visitor.add_user("quentin", enabled=False)
    page = visitor.authorize(client)

    def refused(name: str) -> tuple[int, str, str]:
        answer = visitor.sign_in(page, name=name, password="not the password")
        text = re.sub(r'name="ticket" value="[^"]*"', "", answer.text).replace(name, "NAME")
        return answer.status, answer.fault, text

    assert refused("alice") == refused("nobody") == refused("quentin")
    assert refused("alice")[1] == WRONG


def test_an_unknown_name_costs_the_same_hash(visitor: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    client, _ = visitor.add_app(public=True)
    visitor.add_user(stored=passwords.hashed(PASSWORD))
    seen: list[str] = []
    verified = passwords.verified

    def counted(password: str, stored: str) -> bool:
        seen.append(stored)
        return verified(password, stored)

    monkeypatch.setattr(passwords, "verified", counted)
    page = visitor.authorize(client)
    for name in ("alice", "nobody"):
        visitor.sign_in(page, name=name, password="not the password")
    assert len(seen) == 2
    costs = [stored.rpartition("$")[0].rpartition("$")[0] for stored in seen]
    assert costs[0] == costs[1] == "$argon2id$v=19$m=65536,t=3,p=4"


def test_only_the_right_password_tells_of_a_disabled_account(visitor: Visitor) -> None:
    client, _ = visitor.add_app(public=True)
    visitor.add_user(enabled=False)
    assert visitor.sign_in(visitor.authorize(client)).fault == "The user account is disabled."


@pytest.mark.parametrize("password", ["", "x", "p" * 100_000, PASSWORD + " ", PASSWORD.upper()])
def test_wrong_passwords(visitor: Visitor, password: str) -> None:
    client, _ = visitor.add_app(public=True)
    visitor.add_user()
    answer = visitor.sign_in(visitor.authorize(client), password=password)
    assert (answer.status, answer.fault) == (400, WRONG)
    assert 'value="alice"' in answer.text
    assert "p" * 300 not in answer.text


@pytest.mark.parametrize("name", ["alice", "nobody"])
def test_after_ten_failures_there_is_a_wait_that_doubles(
    visitor: Visitor, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passwords, "verified", lambda password, _: password == PASSWORD)
    client, _ = visitor.add_app(public=True)
    visitor.add_user()
    page = visitor.authorize(client)
    for _ in range(10):
        assert visitor.sign_in(page, name=name, password="wrong").status == 400
    for wait in (60, 120, 240):
        # The right password, too, has to wait: else the wait would tell it.
        refused = visitor.sign_in(page, name=name)
        assert (refused.status, refused.headers["retry-after"]) == (429, str(wait))
        visitor.clock.time += wait
        page = visitor.authorize(client)
        assert visitor.sign_in(page, name=name, password="wrong").status == 400
    visitor.clock.time += 480
    page = visitor.authorize(client)
    assert visitor.sign_in(page, name="alice").status == 303


def test_a_stranger_elsewhere_locks_nobody_out_at_once(visitor: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "verified", lambda password, _: password == PASSWORD)
    client, _ = visitor.add_app(public=True)
    visitor.add_user()
    page = visitor.authorize(client)
    for _ in range(12):
        visitor.sign_in(page, password="wrong")
    visitor.address = "2001:db8::1"
    assert visitor.sign_in(page).status == 303


def test_one_address_cannot_try_all_accounts(visitor: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "verified", lambda password, _: password == PASSWORD)
    client, _ = visitor.add_app(public=True)
    visitor.add_user()
    page = visitor.authorize(client)
    for number in range(50):
        visitor.address = f"2001:db8::{number:x}"
        assert visitor.sign_in(page, name=f"person{number}", password="wrong").status == 400
    assert visitor.sign_in(page).status == 429


def test_a_password_is_hashed_off_the_event_loop(visitor: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    client, _ = visitor.add_app(public=True)
    visitor.add_user()
    page = visitor.authorize(client)

    def slow(_password: str, _stored: str) -> bool:
        time.sleep(0.3)
        return True

    monkeypatch.setattr(passwords, "verified", slow)
    form = {"ticket": page.ticket, "name": "alice", "password": PASSWORD, "act": "accept"}

    async def both() -> float:
        import asyncio  # noqa: PLC0415

        signing = asyncio.ensure_future(visitor.ask("POST", page.action, form))
        await asyncio.sleep(0.05)
        started = time.perf_counter()
        assert (await visitor.ask("GET", "/healthz")).status == 200
        took = time.perf_counter() - started
        assert (await signing).status == 303
        return took

    assert visitor.run(both()) < 0.2


def test_more_hashes_than_can_wait_are_refused(visitor: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    client, _ = visitor.add_app(public=True)
    visitor.add_user()
    page = visitor.authorize(client)

    def slow(_password: str, _stored: str) -> bool:
        time.sleep(0.01)
        return False

    monkeypatch.setattr(passwords, "verified", slow)

    async def many() -> list[int]:
        import asyncio  # noqa: PLC0415

        forms = [{"ticket": page.ticket, "name": f"n{at}", "password": "x", "act": "accept"} for at in range(40)]
        answers = await asyncio.gather(*(visitor.ask("POST", page.action, form) for form in forms))
        return [answer.status for answer in answers]

    statuses = visitor.run(many())
    assert (statuses.count(400), statuses.count(429)) == (32, 8)


def test_attempts_are_bounded() -> None:
    attempts = Attempts(size=3)
    for at in range(10):
        attempts.count(at, 0.0)
    assert len(attempts._failures) == 3


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH"])
def test_other_methods_are_refused(visitor: Visitor, method: str) -> None:
    for path in ("/device", "/default/oauth2/v2.0/authorize", "/default/login", "/default/oauth2/v2.0/token"):
        assert visitor.run(visitor.ask(method, path)).status == 405


def test_a_page_is_for_people_of_a_tenant_that_is_there(visitor: Visitor) -> None:
    client, _ = visitor.add_app(public=True)
    assert visitor.authorize(client, tenant="nowhere").number == 90002
    assert visitor.authorize(client, tenant="consumers").number == 9002331
    assert visitor.authorize(client, tenant="common").status == 200
    visitor.add_tenant("second")
    assert visitor.authorize(client, tenant="common").number == 50059
    assert visitor.authorize(client, redirect_uri=CALLBACK).status == 200


def _recorded(visitor: Visitor) -> list[tuple[str, str | None, str]]:
    """What was recorded: the words, the person, and the address."""
    found = visitor.run(visitor.database.reader.fetch("SELECT actor, resources FROM audit_events ORDER BY id"))
    events = [(json.loads(actor), json.loads(resources)) for actor, resources in found]
    return [(of[0]["displayName"], actor["userPrincipalName"], actor["ipAddress"]) for actor, of in events]


def test_guesses_are_recorded_without_what_was_guessed(visitor: Visitor) -> None:
    client, _ = visitor.add_app(public=True)
    confidential, _ = visitor.add_app("confidential")
    visitor.add_user()
    page = visitor.authorize(client)
    visitor.sign_in(page, password="guessed 1")
    visitor.clock.time += 1
    visitor.sign_in(page, name="my secret password", password="")
    visitor.clock.time += 1
    form = {
        "grant_type": "client_credentials",
        "client_id": confidential.id,
        "scope": "https://graph.microsoft.com/.default",
    }
    visitor.token(client_secret="guessed 2", **form)
    visitor.token(**form)
    assert _recorded(visitor) == [
        (f"AADSTS50126: {WRONG}", "alice@default", "192.0.2.1"),
        (f"AADSTS50126: {WRONG}", None, "192.0.2.1"),
        (f"AADSTS7000215: Invalid client secret provided for app '{confidential.id}'.", None, "192.0.2.1"),
    ]


def test_no_more_than_so_many_refusals_are_recorded_in_a_minute(visitor: Visitor) -> None:
    client, _ = visitor.add_app()
    form = {"grant_type": "client_credentials", "client_id": client.id, "scope": "https://graph.microsoft.com/.default"}
    for _ in range(70):
        assert visitor.token(client_secret="guessed", **form).status == 401
    assert len(_recorded(visitor)) == 60
    visitor.clock.time += 60
    visitor.token(client_secret="guessed", **form)
    assert len(_recorded(visitor)) == 61
