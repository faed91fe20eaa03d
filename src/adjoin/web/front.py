"""What stands beside the API: the page at the root, the health checks, and the OpenAPI document."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from html import escape
from typing import Final

import msgspec

from adjoin import __version__, model
from adjoin.service.installation import FIRST_TENANT, Installation
from adjoin.store import tenants
from adjoin.web import connector_wire
from adjoin.web.exchange import Request, Response

_PAGE: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>adjoin</title><style>body{{font:16px/1.5 system-ui,sans-serif;max-width:42rem;margin:3rem auto;padding:0 1rem}}
code{{background:#8882;padding:.1em .3em;border-radius:.2em}}</style></head><body>
<h1>adjoin {version}</h1>
<p>This is an API: domain join connectors, as Microsoft Graph has them.</p>
<ul>
<li><a href="/beta/$metadata"><code>/beta/$metadata</code></a>: what is served, as CSDL
 (<a href="/beta/$metadata?$format=json">JSON</a>)</li>
<li><a href="/openapi.json"><code>/openapi.json</code></a>: the same as OpenAPI 3.1</li>
<li><code>{origin}/beta/deviceManagement/domainJoinConnectors</code>: the connectors, for callers with a token;
 <code>adjoin token</code> prints one</li>
<li><a href="/readyz"><code>/readyz</code></a>: whether the service can do its work</li>
</ul></body></html>
"""


async def _root(request: Request, _: Installation) -> Response:
    page = _PAGE.format(version=escape(__version__), origin=escape(request.origin))
    return Response(200, page.encode(), "text/html; charset=utf-8")


async def _alive(_request: Request, _: Installation) -> Response:
    return Response(200, b"ok\n", "text/plain; charset=utf-8")


async def _ready(_request: Request, installation: Installation) -> Response:
    """Whether the database answers; its refusal is the answer when it does not."""
    await tenants.every(installation.database.reader)
    return Response(200, b"ok\n", "text/plain; charset=utf-8")


async def _openapi(request: Request, _: Installation) -> Response:
    from adjoin.odata import openapi  # noqa: PLC0415 - few ask for it

    document = openapi.openapi(
        model.BETA,
        title="adjoin",
        version=__version__,
        server_url=f"{request.origin}/beta",
        token_url=f"{request.origin}/{FIRST_TENANT}/oauth2/v2.0/token",
    )
    connector_wire.describe(document, request.origin)
    return Response(200, msgspec.json.encode(document), "application/json")


Page = Callable[[Request, Installation], Awaitable[Response]]

PAGES: Final[Mapping[str, Page]] = {
    "": _root,
    "healthz": _alive,
    "readyz": _ready,
    "openapi.json": _openapi,
}
"""The pages by the one segment of their path, in small letters."""

ALWAYS: Final = frozenset({"/healthz", "/metrics"})
"""What is answered however much is under way: it tells of just that."""

WITHOUT_HOST: Final = frozenset({"/healthz", "/readyz"})
