"""Who is calling, as a verified token says it. Nothing here reads tokens or decides what a caller may do."""

from __future__ import annotations

from enum import Enum

import msgspec


class Kind(Enum):
    """Whether a program calls as itself or for a person who signed in (graph-contract 4.3)."""

    APPLICATION = "application"
    DELEGATED = "delegated"


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """The caller of one request. Ids are GUIDs in small letters; times are Unix seconds.

    Data are keyed by `tenant_id` and `subject` together: `subject` (the `oid` claim) is unique in its tenant only.
    """

    tenant_id: str
    subject: str
    client_id: str
    kind: Kind
    permissions: frozenset[str]
    """Names in the exact case of the token: the roles of an application, or the scopes granted for a person."""
    personal: bool
    """A personal Microsoft account, which the resource doesn't serve (graph-contract 3.2)."""
    not_before: int
    expires: int
    issued: int | None
    """None: the token doesn't say when it was issued."""
    issuer: str | None
    """The name of the external issuer, as the settings give it; None: the built-in one."""
    can_take_challenge: bool
    """The client declared `cp1`: only such a client may be sent a claims challenge (graph-contract 4.5)."""
    name: str | None
    """Who it is in words, for logs only: chosen by the caller's own tenant, so never to be decided upon."""
