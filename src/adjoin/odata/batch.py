"""The JSON batch format as Graph has it: the requests of a batch in an order to run them in, and their answers.

Clients differ in nearly every detail of it, and all that were recorded are understood (clients.md items 24 to 26).
Source: graph-contract 3.9.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from adjoin.odata.errors import MalformedBody, NotServed, TooManyItems
from adjoin.odata.reader import read_object
from adjoin.odata.values import unstorable

MAX_ITEMS: Final = 20
_MAX_ID: Final = 128
_WITH_BODY: Final = frozenset({"PATCH", "POST", "PUT"})


@dataclass(frozen=True, slots=True)
class Item:
    """One request of a batch. `id` is given back as it came; header names are in small letters.

    `conditional`: it is to run under a condition on others' answers, the member `if` (OData JSON 4.01, 19.1).
    """

    id: str | int
    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes
    depends_on: tuple[str, ...]
    conditional: bool = False

    @property
    def name(self) -> str:
        """The id as others refer to it: without regard to case or type."""
        return str(self.id).lower()


@dataclass(frozen=True, slots=True)
class Answer:
    """What a request of a batch was answered. Header names are as they are shown."""

    id: str | int
    status: int
    headers: Mapping[str, str]
    body: bytes


def parse(body: bytes) -> list[Item]:
    """The requests of a JSON batch, each behind what it depends on. Raises MalformedBody, NotServed, TooManyItems."""
    requests = read_object(body).get("requests")
    if not isinstance(requests, list):
        raise MalformedBody("A batch is a JSON object with the array 'requests'.")
    if len(requests) > MAX_ITEMS:
        raise TooManyItems(MAX_ITEMS)
    items = [_item(each) for each in requests]
    names = [each.name for each in items]
    if len(set(names)) < len(names):
        raise MalformedBody("The ids of a batch's requests are not unique.")
    return _ordered(items)


def _item(value: object) -> Item:
    if not isinstance(value, dict):
        raise MalformedBody("A request of a batch is a JSON object.")
    members: dict[str, Any] = {"depends_on": [], **value}
    method, url, item_id = members.get("method"), members.get("url"), members.get("id")
    if not isinstance(item_id, str | int) or isinstance(item_id, bool) or not 0 < len(str(item_id)) <= _MAX_ID:
        raise MalformedBody("A request of a batch has an 'id', which is a string.")
    if unstorable(str(item_id)):
        raise MalformedBody("The 'id' of a request of the batch is not valid text.")
    if not isinstance(method, str) or not isinstance(url, str):
        raise MalformedBody(f"The batch's request '{item_id}' needs 'method' and 'url', which are strings.")
    headers = _headers(members.get("headers"), item_id)
    # The Python SDK spells the member in its own way, and leaves it empty (clients.md item 24).
    depends_on = members.get("dependsOn", members["depends_on"]) or []
    if not isinstance(depends_on, list) or not all(isinstance(each, str | int) for each in depends_on):
        raise MalformedBody(f"'dependsOn' of the batch's request '{item_id}' is an array of ids.")
    # Passed over, as Graph does, part of a group could be kept (OData JSON 4.01, 19.1: all of it or nothing).
    if members.get("atomicityGroup") is not None:
        raise NotServed(
            "Requests of a JSON batch cannot be made all or nothing here ('atomicityGroup'); a multipart batch has "
            "change sets."
        )
    body = _body(members.get("body"), headers, method.upper() in _WITH_BODY)
    names = tuple(str(each).lower() for each in depends_on)
    return Item(item_id, method.upper(), url, headers, body, names, members.get("if") is not None)


def _headers(value: object, item_id: str | int) -> dict[str, str]:
    if value is None:
        return {}
    if not isinstance(value, dict) or not all(isinstance(each, str) for each in value.values()):
        raise MalformedBody(f"'headers' of the batch's request '{item_id}' is an object of strings.")
    return {name.lower(): text for name, text in value.items()}


def _body(value: object, headers: dict[str, str], wanted: bool) -> bytes:
    """A body as bytes. kiota for TypeScript sends JSON in base64 and says nothing of it (clients.md item 25)."""
    # Where a body is `wanted`, one that is missing would otherwise be refused for a type that it cannot have.
    if value is not None or wanted:
        headers.setdefault("content-type", "application/json")
    if value is None:
        return b""
    if isinstance(value, str):
        try:
            text = value.replace("-", "+").replace("_", "/")
            return b64decode(text + "=" * (-len(text) % 4), validate=True)
        except (Base64Error, ValueError):
            return value.encode("utf-8", "replace")
    return json.dumps(value).encode()


def _ordered(items: Sequence[Item]) -> list[Item]:
    """The items, each behind all that it depends on; otherwise as they came."""
    done: set[str] = set()
    known = {each.name for each in items}
    waiting = list(items)
    ordered: list[Item] = []
    while waiting:
        ready = [each for each in waiting if done.issuperset(each.depends_on)]
        if not ready:
            stuck = waiting[0]
            unknown = [each for each in stuck.depends_on if each not in known]
            why = f"an id that is not there, '{unknown[0]}'" if unknown else "itself, directly or in a circle"
            raise MalformedBody(f"The batch's request '{stuck.id}' depends on {why}.")
        ordered += ready
        done.update(each.name for each in ready)
        waiting = [each for each in waiting if each.name not in done]
    return ordered


def write(answers: Sequence[Answer]) -> bytes:
    """The answer to a batch. JSON stands in it as it is; other content goes in base64, as Graph does."""
    return msgspec.json.encode({"responses": [_shown(each) for each in answers]})


def _shown(answer: Answer) -> dict[str, object]:
    shown: dict[str, object] = {"id": answer.id, "status": answer.status, "headers": answer.headers}
    if answer.body:
        is_json = answer.headers.get("Content-Type", "").startswith("application/json")
        shown["body"] = msgspec.Raw(answer.body) if is_json else b64encode(answer.body).decode()
    return shown
