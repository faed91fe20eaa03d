"""The page for sign-in on another device: the code, then name and password, then a word that it worked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from adjoin.service import sign_in_devices
from adjoin.service.sign_in import SignInRefusal, known_tenant
from adjoin.service.sign_in_devices import Request as Waiting
from adjoin.store import tenants
from adjoin.store.tenants import Tenant
from adjoin.web.exchange import Request, Response
from adjoin.web.login import pages
from adjoin.web.login.authorize import stale
from adjoin.web.login.desk import CODES, Desk, allow, remember, source
from adjoin.web.login.forms import posted, queried
from adjoin.web.login.tickets import Browser, Ticket

_CODE: Final = "device code"
_WORD: Final = "device"


async def page(desk: Desk, request: Request, name: str | None) -> Response:
    """Ask for the code, then for a person's word. `name` is the tenant's in the path, if any. Raises SignInRefusal."""
    allow(request, "GET", "POST")
    tenant = await known_tenant(desk.service, name) if name is not None else None
    browser = desk.browser(request)
    if request.method == "GET":
        asked = queried(request)
        typed = (asked.get("user_code") or asked.get("otc") or "")[:32]
        return remember(_ask_code(desk, request, browser, typed), request, browser)
    form = await posted(request)
    ticket = desk.key.opened(form.get("ticket", ""), browser, desk.service.now)
    if ticket is not None and ticket.purpose == _CODE:
        return await _found(desk, request, browser, form.get("user_code", ""), tenant)
    if ticket is not None and ticket.purpose == _WORD:
        return await _decided(desk, request, browser, form, ticket)
    raise stale()


async def _found(desk: Desk, request: Request, browser: Browser, typed: str, tenant: Tenant | None) -> Response:
    """The page for the sign-in with this code. Codes are short, so guesses are counted."""
    now, counted = desk.service.world.now(), ("user code", source(request))
    wait = desk.codes.wait(counted, CODES, now)
    if wait:
        raise SignInRefusal("temporarily_unavailable", 90055, "There were too many wrong codes. Try again later.", wait)
    desk.codes.count(counted, now)
    waiting = await sign_in_devices.waiting(desk.service, typed, tenant)
    if waiting is None:
        return _ask_code(desk, request, browser, typed[:32], "That code is wrong, or its time is over.")
    desk.codes.forgive(counted)
    return _ask_word(desk, request, browser, waiting)


async def _decided(desk: Desk, request: Request, browser: Browser, form: Mapping[str, str], ticket: Ticket) -> Response:
    reader = desk.service.installation.database.reader
    tenant = await tenants.find_by_number(reader, ticket.tenant)
    waiting = await sign_in_devices.find(desk.service, tenant, ticket.content) if tenant is not None else None
    if waiting is None:
        return _ask_code(desk, request, browser, "", "That sign-in waits no longer. Start it again on your device.")
    if form.get("act") != "accept":
        await sign_in_devices.decide(desk.service, waiting, None)
        return pages.message("Declined", f"{waiting.application.name} gets no access. You can close this page.")
    name, now = form.get("name", ""), desk.service.world.now()
    try:
        person = await desk.people.signed_in(
            reader, waiting.tenant, name, form.get("password", ""), request.address, now
        )
        still = await sign_in_devices.decide(desk.service, waiting, person)
    except SignInRefusal as refusal:
        await desk.refused(request, waiting.tenant, refusal, waiting.application.id, name)
        return _ask_word(desk, request, browser, waiting, name[:256], refusal)
    if not still:
        return _ask_code(desk, request, browser, "", "That sign-in waits no longer. Start it again on your device.")
    return pages.message(
        "You are signed in",
        f"{waiting.application.name} goes on on your other device. You can close this page.",
        waiting.tenant.name,
    )


def _ask_code(desk: Desk, request: Request, browser: Browser, typed: str, fault: str = "") -> Response:
    return pages.page(
        "device",
        "Enter a code",
        status=400 if fault else 200,
        action=_action(request),
        ticket=desk.ticket(_CODE, 0, browser, b""),
        user_code=typed,
        fault=fault,
    )


def _ask_word(
    desk: Desk,
    request: Request,
    browser: Browser,
    waiting: Waiting,
    name: str = "",
    refusal: SignInRefusal | None = None,
) -> Response:
    answer = pages.page(
        "sign_in",
        "Sign in",
        status=pages.status_of(refusal) if refusal else 200,
        tenant=waiting.tenant.name,
        application=waiting.application.name,
        device=True,
        leads_to="",
        permissions=pages.permissions(waiting.delegation.scopes, waiting.application.permissions),
        action=_action(request),
        ticket=desk.ticket(_WORD, waiting.tenant.number, browser, waiting.device),
        name=name,
        fault=pages.said(refusal) if refusal else "",
    )
    if refusal is not None and refusal.retry_after is not None:
        answer.headers.append(("retry-after", str(refusal.retry_after)))
    return answer


def _action(request: Request) -> str:
    """The page's own path, which is percent-encoded; never another host's (`//`)."""
    return "/" + request.path.lstrip("/")
