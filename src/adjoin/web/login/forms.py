"""What a request to the token service brings: its parameters, and what its client says to be."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qsl, unquote_plus

from adjoin.identity.clouds import Cloud
from adjoin.odata.values import unstorable
from adjoin.service.sign_in import SignInRefusal
from adjoin.service.sign_in_clients import ASSERTION_TYPE, Offered, missing
from adjoin.store.tenants import Tenant
from adjoin.web.exchange import Request
from adjoin.web.login.hosts import OwnHosts

_FORM: Final = "application/x-www-form-urlencoded"
_MAX_FIELDS: Final = 64
# What a request asks for, as against how its client says who it is and what it tells of itself.
_ASKING: Final = (
    "grant_type", "scope", "resource", "claims", "code", "redirect_uri", "code_verifier", "refresh_token", "device_code"
)  # fmt: skip
_SECRETS: Final = ("client_secret", "password")


async def posted(request: Request) -> dict[str, str]:
    """The parameters of a form. Raises SignInRefusal."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _FORM:
        raise SignInRefusal("invalid_request", 900144, f"The request body must be of the type {_FORM}.")
    body = await request.body()
    try:
        return _read(body.decode("utf-8"))
    except ValueError:
        raise SignInRefusal("invalid_request", 900144, "The request body is not a readable form.") from None


def queried(request: Request) -> dict[str, str]:
    """The parameters of a URL. Raises SignInRefusal."""
    try:
        return _read(request.query)
    except ValueError:
        raise SignInRefusal("invalid_request", 900144, "The URL's parameters cannot be read.") from None


def required(form: Mapping[str, str], name: str) -> str:
    value = form.get(name)
    if not value:
        raise missing(name)
    return value


def scope_of(form: Mapping[str, str], v2: bool, person: bool = False) -> str:
    """The `scope` of a request. The v1 endpoints name a resource instead, and sign a person in in any case."""
    if form.get("scope") and (v2 or "resource" not in form):
        return form["scope"]
    whole = f"{required(form, 'resource' if 'resource' in form or not v2 else 'scope').rstrip('/')}/.default"
    return f"{whole} openid profile offline_access" if person else whole


def offered(
    request: Request, form: Mapping[str, str], tenant: Tenant, name: str, cloud: Cloud, hosts: OwnHosts
) -> Offered:
    """What a token request says of its client (RFC 6749, 2.3.1; RFC 7523, 2.2). Raises SignInRefusal."""
    client_id, secret, assertion = form.get("client_id"), form.get("client_secret"), form.get("client_assertion")
    scheme, _, credentials = request.authorization.partition(" ")
    if scheme.lower() == "basic":
        basic_id, basic_secret = _basic(credentials)
        if secret is not None or assertion is not None or client_id not in (None, basic_id):
            raise SignInRefusal("invalid_request", 7000219, "A client proves itself in one way, not in two.")
        client_id, secret = basic_id, basic_secret
    if assertion is not None and form.get("client_assertion_type") != ASSERTION_TYPE:
        raise SignInRefusal("invalid_request", 900144, f"'client_assertion_type' has to be '{ASSERTION_TYPE}'.")
    asking = "\n".join(f"{each}={form[each]}" for each in _ASKING if each in form)
    return Offered(
        client_id or None,
        secret,
        assertion,
        _audiences(request.origin if hosts.hold(request.origin) else None, tenant, name, cloud),
        hashlib.sha256(asking.encode("utf-8", "surrogatepass")).digest(),
    )


def _audiences(origin: str | None, tenant: Tenant, name: str, cloud: Cloud) -> frozenset[str]:
    """What an assertion's `aud` may be: the token endpoints and issuers, as Entra takes them.

    `origin` is our own URL, None where it is only what the client calls it.
    """
    names = () if origin is None else (name, tenant.id, tenant.name)
    ends = ("oauth2/v2.0/token", "oauth2/token", "v2.0")
    ours = {f"{origin}/{each}/{end}" for each in names for end in ends}
    return frozenset({*ours, cloud.issuer("2.0", tenant.id)})


def _basic(credentials: str) -> tuple[str, str]:
    try:
        text = base64.b64decode(credentials.strip(), validate=True).decode("utf-8")
    except ValueError:
        text = ""
    client_id, colon, secret = text.partition(":")
    named = unquote_plus(client_id)
    if not colon or unstorable(named):
        raise SignInRefusal("invalid_client", 7000215, "The Authorization header cannot be read.")
    return named, unquote_plus(secret)


def _read(text: str) -> dict[str, str]:
    """The parameters by name. One that is there twice has two meanings (RFC 6749, 3.1 and 3.2).

    Raises ValueError, also for what no database takes, since what they name is looked for there; a secret is not.
    """
    found: dict[str, str] = {}
    for name, value in parse_qsl(text, keep_blank_values=True, max_num_fields=_MAX_FIELDS):
        if name in found:
            raise SignInRefusal(
                "invalid_request",
                9000411,
                f"The request is not properly formatted. The parameter '{name[:64]}' is duplicated.",
            )
        if name not in _SECRETS and (fault := unstorable(value)):
            raise ValueError(fault)
        found[name] = value
    return found
