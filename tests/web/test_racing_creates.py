"""Creates under one id that race on two nodes of one PostgreSQL: one makes the entity, others hear that it is taken.

Each node has an event loop of its own, in a thread.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import pytest
from tests.conftest import Opens
from tests.server import LIST, PUBLISHED, Answer, Server

IDS: Final = [f"{number:08x}-0000-4000-8000-000000000000" for number in range(20)]
AT_ONCE: Final = 3


@pytest.fixture(scope="module")
def database_kind() -> str:
    return "postgresql"


@pytest.fixture
def nodes(opens: Opens) -> list[Server]:
    return [opens(name="one"), opens(name="two")]


def racing(nodes: list[Server], headers: dict[str, str]) -> list[list[Answer]]:
    """The answers for each id: each node is asked several times, and all of that at once."""

    def create(node: Server) -> list[list[Answer]]:
        token = node.token()

        async def ask(key: str) -> Answer:
            body = {**PUBLISHED, "id": key, "displayName": "x" if headers else node.config.data_dir.name}
            sent = {name: value.format(key) for name, value in headers.items()}
            return await node.answer("POST", LIST, body, sent, token=token)

        async def every() -> list[list[Answer]]:
            answers = await asyncio.gather(*(ask(key) for _ in range(AT_ONCE) for key in IDS))
            return [answers[at :: len(IDS)] for at in range(len(IDS))]

        return node.run(every())

    with ThreadPoolExecutor(len(nodes)) as threads:
        first, second = threads.map(create, nodes)
    return [[*ours, *theirs] for ours, theirs in zip(first, second, strict=True)]


def test_one_is_201_and_the_others_409(nodes: list[Server]) -> None:
    answers = racing(nodes, {})
    for each in answers:
        assert Counter(answer.status for answer in each) == {201: 1, 409: 2 * AT_ONCE - 1}
        assert {answer.error["code"] for answer in each if answer.status == 409} == {"Conflict"}
    listed = {each["id"]: each["displayName"] for each in nodes[0].call("GET", LIST).json["value"]}
    made = [next(answer.json for answer in each if answer.status == 201) for each in answers]
    assert listed == {each["id"]: each["displayName"] for each in made}
    told = nodes[1].call("GET", f"{LIST}/delta").json["value"]
    assert len(told) == len(IDS)


def test_a_request_that_is_sent_to_both_is_carried_out_once(nodes: list[Server]) -> None:
    repeatable = {
        "Repeatability-Request-ID": "{}",
        "Repeatability-First-Sent": "Fri, 15 Jan 2027 08:00:00 GMT",
    }
    for each in racing(nodes, repeatable):
        assert {answer.status for answer in each} == {201}

    assert len(nodes[0].call("GET", LIST).json["value"]) == len(IDS)
    assert len(nodes[1].call("GET", f"{LIST}/delta").json["value"]) == len(IDS)
