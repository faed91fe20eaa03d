"""Who may call what, as an OpenAPI document says it: by which tokens, with which permissions in them."""

from __future__ import annotations

from adjoin.odata.edm import Model
from adjoin.odata.json_schema import Json


def schemes(model: Model, token_url: str) -> Json:
    """The ways to have a token; `token_url` gives one for a secret."""
    every = [*(root.read for root in model.singletons), *(each.read + each.write for each in model.collections)]
    scopes = dict.fromkeys(sorted({name for names in every for name in names}), "As Microsoft Graph's of this name.")
    return {
        "oauth2": {"type": "oauth2", "flows": {"clientCredentials": {"tokenUrl": token_url, "scopes": scopes}}},
        "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
    }


def needed(permissions: tuple[str, ...]) -> list[Json]:
    """One of the permissions is enough, and either way to hold it; roles of a bearer token may stand since 3.1."""
    return [{scheme: [name]} for scheme in ("oauth2", "bearer") for name in permissions]
