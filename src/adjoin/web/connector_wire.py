"""What goes over the wire between a connector and the service, and its place in the OpenAPI document.

The connector's side of it is `connector/api.py`, which knows it by this wire alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, TypeVar

import msgspec
from msgspec import Meta

from adjoin.odata.errors import InvalidValue, MalformedBody
from adjoin.odata.values import BadValue, parse_guid
from adjoin.service.connectors import Finding

T = TypeVar("T")

ROOT: Final = "connector"
VERSION: Final = "v1"
LONGEST_WAIT: Final = 30
_SCHEME: Final = "connector"

_Version = Annotated[str, Meta(max_length=64, description="Four whole numbers with dots between.")]
_Proof = Annotated[str, Meta(max_length=4_096, description="A JWT signed by the new key, which it carries.")]
_Approval = Annotated[
    str,
    Meta(
        max_length=4_096,
        description="A JWT signed by the key in use, as a client assertion for this API; its `key` is the thumbprint "
        "of the next key.",
    ),
]
_Number = Annotated[float, Meta(ge=-1e15, le=1e15)]


class Health(Finding, frozen=True, forbid_unknown_fields=True):
    """What one of the connector's own checks found."""

    name: Annotated[str, Meta(min_length=1, max_length=64)]
    ok: bool
    detail: Annotated[str, Meta(max_length=512)] = ""


class Enrolment(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """A machine that wants to be a connector."""

    code: Annotated[str, Meta(min_length=1, max_length=128, description="The invitation code.")]
    name: Annotated[str, Meta(max_length=255, description="What the machine is called.")]
    version: _Version
    proof: _Proof


class NewKey(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """A connector's next key, and the word of the one in use for it."""

    proof: _Proof
    approval: _Approval


class Report(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """A check-in."""

    instance: Annotated[str, Meta(max_length=36, description="A GUID that the program makes when it starts.")]
    sequence: Annotated[
        int,
        Meta(ge=1, le=2**53, description="Counts the check-ins of the instance from 1; the same again is a repeat."),
    ]
    version: _Version
    health: Annotated[tuple[Health, ...], Meta(max_length=16)] = ()
    load: Annotated[dict[Annotated[str, Meta(max_length=64)], _Number], Meta(max_length=16)] = {}
    wait: Annotated[int, Meta(ge=0, le=LONGEST_WAIT, description="How many seconds to wait for work.")] = 0


class Belonging(msgspec.Struct, rename="camel"):
    """Where an enrolled connector belongs, and how it gets tokens there."""

    connector: str
    tenant: str
    token_path: str
    audience: str
    scope: str
    key_expires: str
    renew_key_after: str
    time: str


class KeyTaken(msgspec.Struct, rename="camel"):
    """A connector's next key is known; it counts from its first use on."""

    key_expires: str
    renew_key_after: str


class Answer(msgspec.Struct, rename="camel"):
    """The answer to a check-in."""

    time: str
    state: str
    reasons: tuple[str, ...]
    too_old: bool
    least_version: str | None
    interval: int
    wait: int
    work: tuple[dict[str, Any], ...] = ()


class Hello(msgspec.Struct, rename="camel"):
    """Whom one talks to, and what time it is there."""

    product: str
    version: str
    time: str


def read(body: bytes, kind: type[T]) -> T:
    """A request's body. Raises MalformedBody or InvalidValue."""
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as fault:
        raise InvalidValue(f"The request is not as it has to be: {fault}.") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise MalformedBody("The request body is not JSON.") from None


def instance_of(report: Report) -> str:
    """A report's instance in its one spelling. Raises InvalidValue."""
    try:
        return parse_guid(report.instance)
    except BadValue as fault:
        raise InvalidValue(f"The instance is wrong: {fault}.") from None


_OPERATIONS: Final[Mapping[tuple[str, str], tuple[str, Any, Any, tuple[int, ...]]]] = {
    ("", "get"): ("Ask who answers here, and the time. Needs no token.", None, Hello, ()),
    ("/enroll", "post"): (
        "Become a connector, by an invitation. Needs no token.",
        Enrolment,
        Belonging,
        (403, 410, 429),
    ),
    ("/key", "post"): ("Have the next key known.", NewKey, KeyTaken, (401, 403, 410)),
    ("/check-in", "post"): ("Check in, and wait for work.", Report, Answer, (401, 403, 409, 410)),
    ("/work/{id}", "post"): ("Report on work.", dict[str, Any], None, (401, 403, 404, 410)),
    ("/leave", "post"): ("Remove the caller's own entry.", None, None, (401, 403)),
}


def describe(document: dict[str, Any], origin: str) -> None:
    """Add the connector API to an OpenAPI document."""
    kinds = (Enrolment, NewKey, Report, Belonging, KeyTaken, Answer, Hello)
    _, schemas = msgspec.json.schema_components(kinds, ref_template="#/components/schemas/connector.{name}")
    document["components"].setdefault("securitySchemes", {})[_SCHEME] = {
        "type": "http",
        "scheme": "bearer",
        "description": "For the scope api://adjoin/connector/.default, by client credentials with an assertion.",
    }
    document["components"]["schemas"] |= {f"connector.{name}": schema for name, schema in schemas.items()}
    for (below, method), (summary, asked, answered, refusals) in _OPERATIONS.items():
        operation: dict[str, Any] = {
            "operationId": f"{ROOT}.{_operation_name(below)}",
            "summary": summary,
            "tags": ["connector"],
            "responses": _responses(answered, refusals),
        }
        operation["security"] = [] if below in ("", "/enroll") else [{_SCHEME: []}]
        if asked is not None:
            operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": _schema(asked)}}}
        item: dict[str, Any] = {"servers": [{"url": origin}], method: operation}
        if "{id}" in below:
            item["parameters"] = [{"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}]
        document["paths"][f"/{ROOT}/{VERSION}{below}"] = item


def _operation_name(below: str) -> str:
    """As those of Graph's paths are named: `/check-in` is CheckIn, and the root, which says who is there, Hello."""
    return "".join(each.capitalize() for each in below.strip("/").partition("/")[0].split("-")) or "Hello"


def _schema(kind: Any) -> dict[str, Any]:
    is_struct = isinstance(kind, type) and issubclass(kind, msgspec.Struct)
    return {"$ref": f"#/components/schemas/connector.{kind.__name__}"} if is_struct else {"type": "object"}


def _responses(answered: Any, refusals: tuple[int, ...]) -> dict[str, Any]:
    good: dict[str, Any] = {"204": {"description": "Done."}}
    if answered is not None:
        content = {"application/json": {"schema": _schema(answered)}}
        good = {"200": {"description": answered.__doc__ or "", "content": content}}
    refused = {"description": "Refused.", "content": {"application/json": {"schema": {"type": "object"}}}}
    return good | {str(status): refused for status in (400, *refusals)} | {"4XX": refused, "5XX": refused}
