"""The authorization endpoint and its page: a person signs in, allows or declines, and goes back to the client."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlencode

import msgspec

from adjoin.service import sign_in_codes, sign_in_redirects
from adjoin.service.sign_in import SignInRefusal, known_tenant
from adjoin.service.sign_in_codes import Asked
from adjoin.store import tenants
from adjoin.store.applications import Application
from adjoin.store.tenants import Tenant
from adjoin.web.exchange import Request, Response
from adjoin.web.login import pages
from adjoin.web.login.desk import Desk, allow, remember
from adjoin.web.login.forms import posted, queried, scope_of
from adjoin.web.login.tickets import Browser

_PURPOSE: Final = "authorize"
_ASKED: Final = msgspec.msgpack.Decoder(Asked)


@dataclass(frozen=True, slots=True)
class _Shown:
    """A request that a person is asked about."""

    tenant: Tenant
    application: Application
    asked: Asked
    browser: Browser


async def authorize(desk: Desk, request: Request, name: str, v2: bool) -> Response:
    """Show the page for an authorization request (RFC 6749, 4.1.1), or send its refusal back to the client.

    Raises SignInRefusal while it is not certain where that may go.
    """
    allow(request, "GET", "POST")
    parameters = await posted(request) if request.method == "POST" else queried(request)
    tenant = await known_tenant(desk.service, name)
    application, uri, mode, state = await sign_in_codes.returning(desk.service, tenant, parameters)
    try:
        scope = scope_of(parameters, v2, person=True)
        delegation = sign_in_codes.asked(desk.service, application, parameters, scope, request.origin)
    except SignInRefusal as refusal:
        return _returned(uri, mode, _refused(refusal, state))
    asked = Asked(application.id, uri, mode, state, parameters.get("code_challenge"), delegation)
    shown = _Shown(tenant, application, asked, desk.browser(request))
    return remember(_page(desk, shown, parameters.get("login_hint", "")[:256]), request, shown.browser)


async def decided(desk: Desk, request: Request, _name: str) -> Response:
    """What a person decided on the page. Raises SignInRefusal.

    Two pages that were opened before there was a cookie brought one each, and the browser kept one. The other page is
    shown once more and nothing done, which is no more than a link to the authorization endpoint does.
    """
    if request.method in ("GET", "HEAD"):
        raise _not_a_place()
    allow(request, "POST")
    form = await posted(request)
    browser = desk.browser(request)
    ticket = desk.key.read(form.get("ticket", ""), desk.service.now)
    tenant = None
    if browser.known and ticket is not None and ticket.purpose == _PURPOSE:
        tenant = await tenants.find_by_number(desk.service.installation.database.reader, ticket.tenant)
    if ticket is None or tenant is None:
        raise stale()
    asked = _ASKED.decode(ticket.content)
    # Once more: the application may have been changed or removed while the page was open.
    parameters = {"client_id": asked.client_id, "redirect_uri": asked.redirect_uri}
    application, uri, _, _ = await sign_in_codes.returning(desk.service, tenant, parameters)
    if not browser.was_shown(ticket):
        return _page(desk, _Shown(tenant, application, asked, browser), form.get("name", "")[:256], _shown_again())
    if form.get("act") != "accept":
        declined = SignInRefusal("access_denied", 65004, "User declined to consent to access the app.")
        return _returned(uri, asked.mode, _refused(declined, asked.state))
    return await _signed_in(desk, request, _Shown(tenant, application, asked, browser), form)


async def _signed_in(desk: Desk, request: Request, shown: _Shown, form: Mapping[str, str]) -> Response:
    reader, name = desk.service.installation.database.reader, form.get("name", "")
    try:
        person = await desk.people.signed_in(
            reader, shown.tenant, name, form.get("password", ""), request.address, desk.service.world.now()
        )
        code = await sign_in_codes.issue(desk.service, shown.tenant, shown.asked, person)
    except SignInRefusal as refusal:
        await desk.refused(request, shown.tenant, refusal, shown.application.id, name)
        return _page(desk, shown, name[:256], refusal)
    answer = [("code", code), *([("state", shown.asked.state)] if shown.asked.state is not None else [])]
    return _returned(shown.asked.redirect_uri, shown.asked.mode, answer)


def _page(desk: Desk, shown: _Shown, name: str, refusal: SignInRefusal | None = None) -> Response:
    content = msgspec.msgpack.encode(shown.asked)
    # A sign-in page leads on to the client, and Chromium holds redirects of a form's answer to `form-action`, too.
    leads_to = sign_in_redirects.source(shown.asked.redirect_uri)
    answer = pages.page(
        "sign_in",
        "Sign in",
        status=pages.status_of(refusal) if refusal else 200,
        forms_to=f"'self' {leads_to}",
        tenant=shown.tenant.name,
        application=shown.application.name,
        leads_to=pages.place(shown.asked.redirect_uri),
        device=False,
        permissions=pages.permissions(shown.asked.delegation.scopes, shown.application.permissions),
        action=f"/{shown.tenant.id}/login",
        ticket=desk.ticket(_PURPOSE, shown.tenant.number, shown.browser, content),
        name=name,
        fault=pages.said(refusal) if refusal else "",
    )
    if refusal is not None and refusal.retry_after is not None:
        answer.headers.append(("retry-after", str(refusal.retry_after)))
    return answer


def stale() -> SignInRefusal:
    """The refusal of a form that this browser was not shown, or too long ago."""
    return SignInRefusal(
        "invalid_request",
        90013,
        "This page was open for too long, or your browser sent no cookie. Go back to the application and start again.",
    )


def _shown_again() -> SignInRefusal:
    return SignInRefusal(
        "invalid_request",
        90013,
        "Another page of this browser began a sign-in at the same time. Please enter it again.",
    )


def _not_a_place() -> SignInRefusal:
    """The refusal of the URL that stands in the address bar after a form was sent, when it is opened by itself."""
    return SignInRefusal(
        "invalid_request", 900561, "This page cannot be opened by itself. Go back to the application and start again."
    )


def _refused(refusal: SignInRefusal, state: str | None) -> list[tuple[str, str]]:
    answer = [("error", refusal.error), ("error_description", refusal.message)]
    return [*answer, ("state", state)] if state is not None else answer


def _returned(uri: str, mode: str, answer: list[tuple[str, str]]) -> Response:
    """The way back to the client, in the mode that it asked for. `uri` is a registered one."""
    if mode == "form_post":
        return pages.page(
            "post",
            "Go on",
            forms_to=sign_in_redirects.source(uri),
            leads_to=pages.place(uri),
            action=uri,
            fields=answer,
        )
    mark = "#" if mode == "fragment" else "&" if "?" in uri else "?"
    headers = [*pages.NO_STORE, ("location", f"{uri}{mark}{urlencode(answer)}"), ("referrer-policy", "no-referrer")]
    # 303, so that the form with the password is not sent on (RFC 9700, 4.12).
    return Response(303, b"", None, headers)
