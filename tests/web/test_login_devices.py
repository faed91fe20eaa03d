"""Sign-in on another device: both spellings of the grant, what polls are told, and the pages for the code."""

from __future__ import annotations

import asyncio
import re

import pytest
from tests.web.visitor import DEFAULT, DEVICE_GRANT, GRAPH, ORIGIN, PASSWORD, READ, WRITE, Visitor, claims

from adjoin.service import sign_in_devices


def test_a_device_is_signed_in_by_its_code(visitor: Visitor) -> None:
    client, _ = visitor.add_app(public=True)
    person = visitor.add_user()
    begun = visitor.device(client)
    assert set(begun) == {"user_code", "device_code", "verification_uri", "expires_in", "interval", "message"}
    assert begun["verification_uri"] == f"{ORIGIN}/device"
    assert re.fullmatch(r"[BCDFGHJKLMNPQRSTVWXZ]{4}-[BCDFGHJKLMNPQRSTVWXZ]{4}", begun["user_code"])
    assert begun["user_code"] in begun["message"]
    assert visitor.poll(client, begun["device_code"]).refusal == (400, "authorization_pending", 70016)
    page = visitor.enter(begun["user_code"])
    assert visitor.poll(client, begun["device_code"]).status == 400
    assert "You are signed in" in visitor.sign_in(page).text
    tokens = visitor.poll(client, begun["device_code"]).json
    assert visitor.works(tokens["access_token"]) == 200
    assert claims(tokens["access_token"])["oid"] == person.id
    assert claims(tokens["id_token"])["aud"] == client.id
    assert visitor.refresh(client, tokens["refresh_token"]).status == 200


@pytest.mark.parametrize("form", [{"grant": "device_code"}, {"grant": "device_code", "code": ""}, {"code": "the same"}])
def test_the_grant_has_two_names_and_its_code_too(visitor: Visitor, form: dict[str, str]) -> None:
    client, _ = visitor.add_app(public=True)
    visitor.add_user()
    begun = visitor.device(client)
    visitor.sign_in(visitor.enter(begun["user_code"]))
    if form.get("code") == "the same":
        form["code"] = begun["device_code"]
    assert visitor.poll(client, begun["device_code"], **form).status == 200


def test_a_v1_client_sends_code_alone(visitor: Visitor) -> None:
    client, _ = visitor.add_app(public=True)
    visitor.add_user()
    answer = visitor.post(f"/{visitor.tenant.id}/oauth2/devicecode", client_id=client.id, resource=GRAPH)
    begun = answer.json
    assert begun["verification_url"] == f"{ORIGIN}/device"
    visitor.sign_in(visitor.enter(begun["user_code"]))
    form = {"grant_type": "device_code", "client_id": client.id, "code": begun["device_code"], "resource": GRAPH}
    assert visitor.post(f"/{visitor.tenant.id}/oauth2/token", **form).status == 200


def test_polls_in_a_hurry_are_told(visitor: Visitor) -> None:
    client, _ = visitor.add_app(public=True)
    begun = visitor.device(client)
    errors = []
    for seconds in (0, 1, 5, 3, 5):
        visitor.clock.time += seconds
        errors.append(visitor.poll(client, begun["device_code"]).refusal[1])
    pending, slow = "authorization_pending", "slow_down"
    assert errors == [pending, slow, pending, slow, pending]


def test_a_hurried_poll_gets_its_tokens_all_the_same(visitor: Visitor) -> None:
    client, _ = visitor.add_app(public=True)
    visitor.add_user()
    begun = visitor.device(client)
    visitor.poll(client, begun["device_code"])
    visitor.sign_in(visitor.enter(begun["user_code"]))
    assert visitor.poll(client, begun["device_code"]).status == 200


def test_a_declined_sign_in_is_told(visitor: Visitor) -> None:
    client, _ = visitor.add_app(public=True)
    begun = visitor.device(client)
    page = visitor.sign_in(visitor.enter(begun["user_code"]), name="", password="", act="cancel")
    assert "Declined" in page.text
    assert visitor.poll(client, begun["device_code"]).refusal == (400, "authorization_declined", 65004)


@pytest.mark.parametrize("seconds", [sign_in_devices.LASTS, sign_in_devices.LASTS + 3_599])
def test_a_code_whose_time_is_over(visitor: Visitor, seconds: int) -> None:
    client, _ = visitor.add_app(public=True)
    begun = visitor.device(client)
    visitor.clock.time += seconds - 1 if seconds == sign_in_devices.LASTS else 0
    page = visitor.enter(begun["user_code"])
    visitor.clock.time += 1 if seconds == sign_in_devices.LASTS else seconds
    visitor.device(client)
    assert visitor.poll(client, begun["device_code"]).refusal == (400, "expired_token", 70020)
    late = visitor.enter(begun["user_code"])
    assert (late.status, late.fault) == (400, "That code is wrong, or its time is over.")
    assert visitor.sign_in(page).status == 400


def test_a_device_code_is_good_once_and_for_its_client(visitor: Visitor) -> None:
    client, _ = visitor.add_app(public=True)
    other, _ = visitor.add_app("other", public=True)
    visitor.add_user()
    begun = visitor.device(client)
    visitor.sign_in(visitor.enter(begun["user_code"]))
    assert visitor.poll(other, begun["device_code"]).refusal == (400, "bad_verification_code", 70018)
    assert visitor.poll(client, begun["device_code"][1:]).refusal == (400, "bad_verification_code", 70018)
    assert visitor.poll(client, begun["device_code"]).status == 200
    assert visitor.poll(client, begun["device_code"]).refusal == (400, "invalid_grant", 54005)


def test_of_two_polls_at_once_one_wins(visitor: Visitor) -> None:
    client, _ = visitor.add_app(public=True)
    visitor.add_user()
    begun = visitor.device(client)
    visitor.sign_in(visitor.enter(begun["user_code"]))
    form = {"grant_type": DEVICE_GRANT, "client_id": client.id, "device_code": begun["device_code"]}

    async def at_once() -> list[int]:
        target = f"/{visitor.tenant.id}/oauth2/v2.0/token"
        answers = await asyncio.gather(*(visitor.ask("POST", target, form) for _ in range(4)))
        return sorted(answer.status for answer in answers)

    assert visitor.run(at_once()) == [200, 400, 400, 400]


@pytest.mark.parametrize("typed", ["{}", "{} ", "lower", "spaced", "together"])
def test_a_code_may_be_typed_in_any_way(visitor: Visitor, typed: str) -> None:
    client, _ = visitor.add_app(public=True)
    code: str = visitor.device(client)["user_code"]
    ways = {"lower": code.lower(), "spaced": " ".join(code.replace("-", "")), "together": code.replace("-", "")}
    assert visitor.enter(ways.get(typed, typed.format(code))).status == 200


def test_a_user_code_is_good_once(visitor: Visitor) -> None:
    client, _ = visitor.add_app(public=True)
    visitor.add_user()
    begun = visitor.device(client)
    first, second = visitor.enter(begun["user_code"]), visitor.enter(begun["user_code"])
    visitor.sign_in(first)
    assert visitor.sign_in(second, act="cancel").status == 400
    assert visitor.poll(client, begun["device_code"]).status == 200
    assert visitor.enter(begun["user_code"]).status == 400


def test_wrong_codes_are_counted_by_address(visitor: Visitor) -> None:
    client, _ = visitor.add_app(public=True)
    begun = visitor.device(client)
    for _ in range(20):
        assert visitor.enter("BCDF-BCDF").status == 400
    refused = visitor.enter(begun["user_code"])
    assert (refused.status, refused.headers["retry-after"]) == (429, "60")
    visitor.address = "192.0.2.2"
    assert visitor.enter(begun["user_code"]).status == 200
    visitor.address = "192.0.2.1"
    visitor.clock.time += 60
    assert visitor.enter(begun["user_code"]).status == 200


def test_sign_ins_that_are_begun_are_counted_by_address(visitor: Visitor) -> None:
    client, _ = visitor.add_app(public=True)
    for _ in range(300):
        visitor.device(client)
    target = f"/{visitor.tenant.id}/oauth2/v2.0/devicecode"
    refused = visitor.post(target, client_id=client.id, scope=DEFAULT)
    assert refused.refusal == (429, "temporarily_unavailable", 90055)
    assert refused.headers["retry-after"] == "60"
    visitor.clock.time += 60
    visitor.device(client)


def test_the_page_of_a_tenant_knows_the_codes_of_that_tenant(visitor: Visitor) -> None:
    elsewhere = visitor.add_tenant("elsewhere")
    client, _ = visitor.add_app(public=True)
    visitor.add_user("alice", tenant=elsewhere)
    begun = visitor.device(client)
    assert visitor.enter(begun["user_code"], f"/{visitor.tenant.name}/oauth2/deviceauth").status == 200
    assert visitor.enter(begun["user_code"], "/elsewhere/oauth2/deviceauth").status == 400
    page = visitor.enter(begun["user_code"])
    # A person of another tenant is nobody in this one.
    assert visitor.sign_in(page).fault.startswith("Error validating credentials")


def test_scopes_are_looked_at_before_anybody_is_asked(visitor: Visitor) -> None:
    client, _ = visitor.add_app("reader", READ, public=True)
    target = f"/{visitor.tenant.id}/oauth2/v2.0/devicecode"
    assert visitor.post(target, client_id=client.id, scope=WRITE).refusal == (400, "invalid_scope", 650053)
    assert visitor.post(target, client_id=client.id).refusal == (400, "invalid_request", 900144)
    assert visitor.post(target, scope=READ).refusal == (400, "invalid_request", 900144)


def test_a_person_without_the_permission_is_told_on_the_page(visitor: Visitor) -> None:
    client, _ = visitor.add_app(public=True)
    visitor.add_user("alice", "Other.Read")
    begun = visitor.device(client)
    page = visitor.sign_in(visitor.enter(begun["user_code"]))
    assert page.status == 400
    assert page.fault.startswith("The signed in user has none of the permissions")
    assert visitor.poll(client, begun["device_code"]).refusal[1] == "authorization_pending"


def test_the_code_in_a_link_is_filled_in_and_not_sent(visitor: Visitor) -> None:
    client, _ = visitor.add_app(public=True)
    begun = visitor.device(client)
    page = visitor.get(f"/device?user_code={begun['user_code']}")
    assert f'value="{begun["user_code"]}"' in page.text
    assert client.name not in page.text


def test_a_removed_application_waits_no_longer(visitor: Visitor) -> None:
    client, _ = visitor.add_app(public=True)
    begun = visitor.device(client)
    page = visitor.enter(begun["user_code"])
    visitor.write(lambda session: session.fetch("DELETE FROM applications WHERE id = ?1", (client.id,)))
    assert visitor.sign_in(page, password=PASSWORD).status == 400
    assert visitor.enter(begun["user_code"]).status == 400
