"""`$batch`: several requests in one, in Graph's JSON form or in OData's multipart form.

Each goes the same way as a request of its own, with the token of the batch; a change set goes inside one transaction.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import urlsplit

import msgspec

from adjoin.model import VERSIONS
from adjoin.odata import batch, headers, multipart, path
from adjoin.odata.batch import Item
from adjoin.odata.errors import FailedDependency, Malformed, MalformedBody, NotAcceptable
from adjoin.odata.multipart import ChangeSet
from adjoin.odata.values import unstorable
from adjoin.store.database import Database, Session
from adjoin.store.within import Within
from adjoin.web.exchange import Request, Response
from adjoin.web.heads import Known

# What a batch says once for all its requests; a request of it cannot be another caller's.
_OUTER: Final = ("authorization", "host", "x-forwarded-host", "x-forwarded-proto")

Respond = Callable[[Request, str, tuple[str, ...], Database], Awaitable[Response]]
"""Answers a request below a version on a database, refusals included."""


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch on its way: the request that carries it, its version, and what answers each of its requests.

    `format` is the option `$format` of the batch, which wins over its Accept.
    """

    request: Request
    version: str
    database: Database
    respond: Respond
    refuse: Callable[[Exception, Request], Response]
    new_id: Callable[[], str]
    format: str | None = None

    async def run(self) -> Response:
        """Answer the batch. Raises what is wrong with it as a whole."""
        content_type = self.request.headers.get("content-type")
        accept = self.request.headers.get("accept")
        if content_type is not None and multipart.is_multipart(content_type):
            if not headers.accepts_multipart(accept if self.format is None else self.format):
                raise NotAcceptable("A multipart batch is answered as multipart/mixed.")
            return await self._multipart(content_type)
        headers.check_json_body(content_type)
        headers.json_form(accept, self.format)
        return await self._json()

    async def _json(self) -> Response:
        items = batch.parse(await self.request.body())
        answers: dict[str, batch.Answer] = {}
        waiting = items
        while waiting:
            ready = [each for each in waiting if answers.keys() >= set(each.depends_on)]
            done = await asyncio.gather(*(self._item(each, answers) for each in ready))
            answers |= {each.name: answer for each, answer in zip(ready, done, strict=True)}
            waiting = [each for each in waiting if each.name not in answers]
        body = batch.write([answers[each.name] for each in items])
        return Response(200, body, "application/json")

    async def _item(self, item: Item, answers: Mapping[str, batch.Answer]) -> batch.Answer:
        failed = next((name for name in item.depends_on if answers[name].status >= 400), None)
        if failed is not None:
            said = FailedDependency(f"The request '{failed}', on which this one depends, failed.")
            return _answer(item, self.refuse(said, self.request))
        # OData JSON 4.01, 19.1: a condition that is not looked at counts as one that failed.
        if item.conditional:
            said = FailedDependency("A request of a batch is not run under a condition ('if') here.")
            return _answer(item, self.refuse(said, self.request))
        response = await self._one(item.method, item.url, item.headers, item.body, self.database)
        return _answer(item, response)

    async def _one(self, method: str, url: str, given: Mapping[str, str], body: bytes, database: Database) -> Response:
        outer = {name: self.request.headers[name] for name in _OUTER if name in self.request.headers}
        own = {name: value for name, value in given.items() if name not in _OUTER}
        request = msgspec.structs.replace(
            self.request,
            method=method,
            path="",
            query="",
            headers={"accept": "application/json", **own, **outer},
            id=self.new_id(),
            content=body,
            digest=None,
            known=_apart(self.request.known),
        )
        try:
            version = self._locate(request, url)
            parts = path.segments(request.path)[1:]
            if parts and parts[0].lower() == "$batch":
                raise MalformedBody("A batch cannot be inside a batch.")
        except (Malformed, MalformedBody) as refusal:
            return self.refuse(refusal, request)
        return await self.respond(request, version, parts, database)

    def _locate(self, request: Request, url: str) -> str:
        """Put the path and query of an item's URL into its request, and give its version. Raises Malformed.

        Relative with and without a slash, with the version, or absolute on this host (clients.md, before item 24).
        """
        # As the bytes of a URL that came by itself would be held.
        if unstorable(url):
            raise Malformed("The URL of a request of the batch is not valid text.")
        held = url.encode("utf-8", "replace").decode("latin-1")
        try:
            split = urlsplit(held if "://" in held.partition("?")[0] else f"//-/{held.lstrip('/')}")
        except ValueError:
            raise Malformed("The URL of a request of the batch is malformed.") from None
        if split.scheme and split.netloc.lower() != urlsplit(self.request.origin).netloc.lower():
            raise Malformed("A request of a batch goes to the host of the batch.")
        first, _, rest = split.path.lstrip("/").partition("/")
        version = first.lower() if first.lower() in VERSIONS else self.version
        below = rest if first.lower() in VERSIONS else split.path.lstrip("/")
        request.path = f"/{version}/{below.lstrip('/')}"
        request.query = split.query
        return version

    async def _multipart(self, content_type: str) -> Response:
        parts = multipart.parse(content_type, await self.request.body())
        goes_on = headers.preferences(self.request.headers.get("prefer")).continue_on_error
        answers: list[multipart.Answer | list[multipart.Answer]] = []
        for part in parts:
            done = (
                await self._change_set(part) if isinstance(part, ChangeSet) else await self._part(part, self.database)
            )
            answers.append(done)
            # Without the preference, the first failure ends the batch (OData 4.01 part 1, 8.2.8.3).
            if isinstance(done, multipart.Answer) and done.status >= 400 and not goes_on:
                break
        boundary = f"batch_{self.new_id()}"
        return Response(200, multipart.write(answers, boundary), f"multipart/mixed; boundary={boundary}")

    async def _part(self, part: multipart.Request, database: Database) -> multipart.Answer:
        response = await self._one(part.method, part.url, part.headers, part.body, database)
        return multipart.Answer(response.status, _shown(response), response.body, part.content_id)

    async def _change_set(self, changes: ChangeSet) -> multipart.Answer | list[multipart.Answer]:
        async def act(session: Session) -> list[multipart.Answer]:
            locations: dict[str, str] = {}
            done = []
            for each in changes.requests:
                answer = await self._part(_resolved(each, locations), Within(session))
                if answer.status >= 400:
                    raise _Failed(answer)
                if each.content_id is not None:
                    locations[each.content_id] = dict(answer.headers).get("Location", each.url)
                done.append(answer)
            return done

        try:
            return await self.database.write(act)
        except _Failed as failed:
            return replace(failed.answer, content_id=None)


class _Failed(Exception):
    """A request of a change set was refused, and with it the change set."""

    def __init__(self, answer: multipart.Answer) -> None:
        super().__init__(answer.status)
        self.answer = answer


def _resolved(request: multipart.Request, locations: Mapping[str, str]) -> multipart.Request:
    """A request whose URL begins with `$name` goes to what the request of that name made."""
    name, slash, rest = request.url.removeprefix("/").partition("/")
    if name.startswith("$") and name[1:] in locations:
        return replace(request, url=f"{locations[name[1:]]}{slash}{rest}")
    return request


def _answer(item: Item, response: Response) -> batch.Answer:
    return batch.Answer(item.id, response.status, dict(_shown(response)), response.body)


def _shown(response: Response) -> Sequence[tuple[str, str]]:
    """The headers of a request inside a batch, in the spelling that clients look for (clients.md item 26)."""
    shown = [("ETag" if name == "etag" else name.title(), value) for name, value in response.headers]
    if response.content_type is not None:
        shown.append(("Content-Type", response.content_type))
    if not any(name == "Cache-Control" for name, _ in shown):
        shown.append(("Cache-Control", "no-cache"))
    return shown


def _apart(known: Known | None) -> Known | None:
    """The caller of a part. Which ways the batch's own headers may go says nothing of a part's."""
    return None if known is None else msgspec.structs.replace(known, passages={})
