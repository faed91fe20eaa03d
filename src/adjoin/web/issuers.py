"""External issuers of an installation: from the settings to what fetches their keys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from adjoin.identity import oidc
from adjoin.identity.claims import is_guid
from adjoin.identity.discovery import Fetch, Fetcher
from adjoin.identity.sources import KeySource
from adjoin.store import tenants
from adjoin.store.database import Session


async def sources(given: Sequence[Mapping[str, Any]], session: Session, fetch: Fetch | None) -> tuple[KeySource, ...]:
    """The issuers of the settings; `fetch` is used in place of HTTP, in tests. Raises BadIssuer.

    A tenant that is named must be there now. One that is given by its GUID may come later: until then its callers are
    refused, as those of any tenant that is not there.
    """
    if not given:
        return ()
    by_name = {each.name: each.id for each in await tenants.every(session)}

    def home(name: str) -> str | None:
        return name.lower() if is_guid(name) else by_name.get(name)

    return tuple(
        KeySource(
            each,
            oidc.external(each, home),
            fetch or Fetcher(each.ca_file, direct=each.allow_http_loopback),
        )
        for each in oidc.read(given)
    )
