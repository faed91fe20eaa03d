"""The pages that people see, from templates: every value escaped, no script, and headers that hold a page to that."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from adjoin.service.sign_in import SignInRefusal
from adjoin.service.sign_in_scopes import Scopes
from adjoin.web.exchange import Request, Response

_FOLDER: Final = Path(__file__).parent / "templates"
_STYLE: Final = (_FOLDER / "style.css").read_text("utf-8")
_STYLE_HASH: Final = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()

_HTML: Final = "text/html; charset=utf-8"
NO_STORE: Final = [("cache-control", "no-store, no-cache"), ("pragma", "no-cache")]

# What permissions mean, in the words of Graph's own consent page (graph-contract 4.4).
_WORDS: Final = {
    "DeviceManagementConfiguration.Read.All": "Read Microsoft Intune device configuration and policies",
    "DeviceManagementConfiguration.ReadWrite.All": "Read and write Microsoft Intune device configuration and policies",
}


@cache
def _template(name: str) -> Callable[..., str]:
    """What writes a page. Jinja is loaded for the first: a service that only programs call never pays for it."""
    import jinja2  # noqa: PLC0415
    from markupsafe import Markup  # noqa: PLC0415

    templates = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_FOLDER), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True
    )
    templates.globals["style"] = Markup(_STYLE)  # noqa: S704 - our own file
    return templates.get_template(f"{name}.html").render


def page(template: str, title: str, *, status: int = 200, forms_to: str = "'self'", **values: object) -> Response:
    """A page. `forms_to` is where its forms may lead, redirects of their answers included (Chromium's reading)."""
    text = _template(template)({"title": title, "tenant": "", "fault": "", **values})
    policy = (
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; form-action {forms_to}; frame-ancestors 'none'; "
        "base-uri 'none'"
    )
    headers = [
        *NO_STORE,
        ("content-security-policy", policy),
        ("x-frame-options", "DENY"),
        ("referrer-policy", "no-referrer"),
    ]
    return Response(status, text.encode(), _HTML, headers)


def refusal(refused: SignInRefusal, status: int, request: Request, now: int) -> Response:
    """The page of a refusal that may go nowhere else."""
    answer = page(
        "message",
        "You cannot sign in",
        status=status,
        text=said(refused),
        number=f"AADSTS{refused.number}",
        request_id=request.id,
        stamp=stamp(now),
    )
    if refused.retry_after is not None:
        answer.headers.append(("retry-after", str(refused.retry_after)))
    return answer


def message(title: str, text: str, tenant: str = "") -> Response:
    return page("message", title, text=text, tenant=tenant, number="")


def said(refused: SignInRefusal) -> str:
    """A refusal's sentence without its number."""
    return refused.message.partition(": ")[2]


def status_of(refused: SignInRefusal) -> int:
    """The HTTP status of a refusal in either form (RFC 6749, 5.2; RFC 6585, 4)."""
    if refused.retry_after is not None:
        return 429
    return 401 if refused.error == "invalid_client" else 400


def stamp(now: int) -> str:
    """The time as Entra writes it."""
    return datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def permissions(scopes: Scopes, application: tuple[str, ...]) -> list[dict[str, str]]:
    """What a client asks for, in words."""
    listed = [{"name": each, "words": _WORDS.get(each, "Use the permission")} for each in scopes.named(application)]
    listed += [{"name": "", "words": "Know who you are"}] if "openid" in scopes.openid else []
    listed += (
        [{"name": "", "words": "Keep this access while you are away"}] if "offline_access" in scopes.openid else []
    )
    return listed


def place(uri: str) -> str:
    """Where a redirect URI leads, for people to read."""
    parts = urlsplit(uri)
    return parts.netloc or f"{parts.scheme}:"
