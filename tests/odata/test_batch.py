"""Graph's JSON batch: what clients were recorded to send is understood (clients.md 24 to 26), in an order to run in."""

from __future__ import annotations

import json
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Sequence
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adjoin.odata.batch import MAX_ITEMS, Answer, Item, parse, write
from adjoin.odata.errors import MalformedBody, NotServed, TooManyItems

LIST: Final = "/deviceManagement/domainJoinConnectors"


def request(id_: object = "1", **members: object) -> dict[str, object]:
    return {"id": id_, "method": "GET", "url": LIST, **members}


def read(*requests: object) -> list[Item]:
    return parse(json.dumps({"requests": requests}).encode())


def one(**members: object) -> Item:
    (item,) = read({**request(), **members})
    return item


def refused(*requests: object) -> str:
    with pytest.raises(MalformedBody) as caught:
        read(*requests)
    return caught.value.message


def order(*requests: tuple[object, Sequence[object]]) -> list[object]:
    return [item.id for item in read(*(request(id_, dependsOn=before) for id_, before in requests))]


# --- one request


def test_a_request_is_read_as_it_is_written() -> None:
    item = one(method="post", headers={"Content-Type": "application/json", "PREFER": "x"}, body={"a": [1, None, "é"]})
    assert (item.id, item.method, item.url) == ("1", "POST", LIST)
    assert item.headers == {"content-type": "application/json", "prefer": "x"}
    assert json.loads(item.body) == {"a": [1, None, "é"]}
    assert item.depends_on == ()


@pytest.mark.parametrize("id_", ["1", "g", "ddb5cc1f-0000", "é", "A b", 1, 0, -7, 10**30])
def test_an_id_is_text_or_a_number_and_is_kept_as_it_came(id_: object) -> None:
    (item,) = read(request(id_))
    assert item.id == id_
    assert type(item.id) is type(id_)


@pytest.mark.parametrize("id_", [None, "", True, 1.5, ["1"], {}, "x" * 129])
def test_an_id_is_nothing_else(id_: object) -> None:
    assert "'id'" in refused(request(id_))


@pytest.mark.parametrize("ids", [("1", "1"), ("a", "A"), (1, "1"), ("É", "é")])
def test_ids_are_told_apart_without_regard_to_case_and_type(ids: tuple[object, object]) -> None:
    assert "not unique" in refused(*(request(each) for each in ids))


@pytest.mark.parametrize(
    "members",
    [
        {"headers": None},
        {"headers": {}},
        {"dependsOn": None},
        {"dependsOn": []},
        {"depends_on": []},
        {"depends_on": None},
        {"atomicityGroup": None},
        {"if": None},
    ],
)
def test_what_is_empty_is_as_if_left_out(members: dict[str, object]) -> None:
    assert one(**members) == one()


def test_members_that_are_not_known_are_passed_over() -> None:
    assert one(foo=1, Url="/x") == one()


@pytest.mark.parametrize("condition", ["$1/succeeded", "", True, False, 1, {}])
def test_a_condition_is_seen_whatever_it_says(condition: object) -> None:
    assert one(**{"if": condition}).conditional
    assert not one().conditional


@pytest.mark.parametrize("group", ["g", "", 1, ["g"], False])
def test_a_group_to_be_kept_whole_or_not_is_not_served(group: object) -> None:
    with pytest.raises(NotServed, match="all or nothing"):
        read(request("1"), request("2", atomicityGroup=group))


@pytest.mark.parametrize(
    "members",
    [
        *({"method": None}, {"method": 1}, {"url": None}, {"url": 5}, {"url": ["/x"]}, {"headers": []}),
        *({"headers": {"a": 1}}, {"headers": {"a": None}}, {"headers": "x"}, {"dependsOn": "1"}),
        *({"dependsOn": {"a": "1"}}, {"dependsOn": [None]}),
        *({"dependsOn": [1.5]}, {"dependsOn": [["1"]]}, {"depends_on": "1"}),
    ],
)  # fmt: skip
def test_members_of_other_types_are_refused(members: dict[str, object]) -> None:
    refused({**request(), **members})


@pytest.mark.parametrize("missing", ["id", "method", "url"])
def test_what_a_request_needs_is_named(missing: str) -> None:
    whole = request()
    del whole[missing]
    assert f"'{missing}'" in refused(whole)


# --- bodies

JSON: Final = b'{"displayName":"\xc3\xa9?>~~"}'


@pytest.mark.parametrize(
    "text",
    [b64encode(JSON).decode(), urlsafe_b64encode(JSON).decode(), b64encode(JSON).decode().rstrip("=")],
    ids=["base64", "base64url", "without padding"],
)
@pytest.mark.parametrize("headers", [None, {"content-type": "application/json"}], ids=["no headers", "headers"])
def test_a_body_may_be_base64_and_say_nothing_of_it(text: str, headers: object) -> None:
    item = one(body=text, headers=headers)
    assert item.body == JSON
    assert item.headers["content-type"] == "application/json"


@pytest.mark.parametrize("text", ['{"displayName":"x"}', "not base64!", "a b", "é", "[]", '{"a":"b"}=='])
def test_a_text_that_is_not_base64_is_the_body_itself(text: str) -> None:
    assert one(body=text).body == text.encode()


@pytest.mark.parametrize("value", [{}, [], {"a": 1}, 5, True, False, 1.5])
def test_any_other_body_is_json(value: object) -> None:
    item = one(body=value)
    assert json.loads(item.body) == value
    assert item.headers["content-type"] == "application/json"


def test_no_body_is_empty_and_has_no_type() -> None:
    for item in (one(), one(body=None)):
        assert (item.body, item.headers) == (b"", {})


@pytest.mark.parametrize("method", ["POST", "patch", "PUT"])
def test_a_body_that_is_missing_is_missing_json(method: str) -> None:
    for item in (one(method=method), one(method=method, body=None)):
        assert (item.body, item.headers) == (b"", {"content-type": "application/json"})
    assert one(method=method, headers={"Content-Type": "text/plain"}).headers == {"content-type": "text/plain"}


def test_a_body_keeps_the_type_that_its_headers_give() -> None:
    assert one(body="AAAA", headers={"CONTENT-TYPE": "text/plain"}).headers == {"content-type": "text/plain"}


@pytest.mark.parametrize("depth", [*range(900, 1_000, 9), 5_000, 100_000])
def test_a_body_nested_however_deep_is_read_or_refused(depth: int) -> None:
    nested = b"[" * depth + b"]" * depth
    try:
        items = parse(b'{"requests":[{"id":"1","method":"POST","url":"/x","body":' + nested + b"}]}")
    except MalformedBody:
        items = []
    assert len(items) < 2


# --- order


@pytest.mark.parametrize(
    ("requests", "ordered"),
    [
        ([("1", []), ("2", []), ("3", [])], ["1", "2", "3"]),
        ([("1", []), ("2", ["1"]), ("3", ["2"])], ["1", "2", "3"]),
        ([("3", ["2"]), ("2", ["1"]), ("1", [])], ["1", "2", "3"]),
        ([("a", ["c"]), ("b", []), ("c", [])], ["b", "c", "a"]),
        ([("a", ["B"]), ("b", [])], ["b", "a"]),
        ([("a", [1]), (1, [])], [1, "a"]),
        ([(2, ["1"]), ("1", [])], ["1", 2]),
        ([("a", ["b", "c", "b"]), ("b", ["c"]), ("c", [])], ["c", "b", "a"]),
        ([("d", ["b", "c"]), ("b", ["a"]), ("c", ["a"]), ("a", [])], ["a", "b", "c", "d"]),
        ([], []),
    ],
)
def test_each_request_stands_behind_those_it_depends_on(
    requests: list[tuple[object, list[object]]], ordered: list[object]
) -> None:
    assert order(*requests) == ordered


@pytest.mark.parametrize(
    "requests",
    [
        [("1", ["1"])],
        [("1", ["2"]), ("2", ["1"])],
        [("0", []), ("1", ["3"]), ("2", ["1"]), ("3", ["2"])],
    ],
)
def test_a_circle_is_refused(requests: list[tuple[object, list[object]]]) -> None:
    assert "in a circle" in refused(*(request(id_, dependsOn=before) for id_, before in requests))


def test_depending_on_what_is_not_there_is_refused_by_its_name() -> None:
    assert "'9'" in refused(request("1", dependsOn=["9"]), request("2"))
    assert "'9'" in refused(request("1", depends_on=["9"]))


def test_twenty_requests_are_taken_and_no_more() -> None:
    assert len(read(*(request(number) for number in range(MAX_ITEMS)))) == MAX_ITEMS == 20
    with pytest.raises(TooManyItems, match=r"^Number of batch request steps exceeds the maximum value of 20\.$"):
        read(*(request(number) for number in range(MAX_ITEMS + 1)))
    with pytest.raises(TooManyItems):
        read(*([{}] * (MAX_ITEMS + 1)))


@given(st.permutations(range(8)), st.sets(st.tuples(st.integers(0, 7), st.integers(0, 7)), max_size=12))
def test_any_order_without_circles_is_found(names: list[int], pairs: set[tuple[int, int]]) -> None:
    before = {each: [low for low, high in pairs if high == each and low < high] for each in range(8)}
    ordered = order(*((each, before[each]) for each in names))
    assert sorted(map(str, ordered)) == sorted(map(str, names))
    at = {each: place for place, each in enumerate(ordered)}
    assert all(at[low] < at[high] for high, lows in before.items() for low in lows)


# --- the batch itself


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"[]", b"{}", b"null", b"{", b"\xff", b'{"Requests":[]}', b'{"requests":[],"requests":[]}'),
        *(b'{"requests":{}}', b'{"requests":null}', b'{"requests":[1]}', b'{"requests":["x"]}', b'{"requests":[[]]}'),
        b'{"requests":[null]}',
    ],
)  # fmt: skip
def test_what_is_no_batch_is_refused(body: bytes) -> None:
    with pytest.raises(MalformedBody):
        parse(body)


VALUES: Final[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just("1"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)
MEMBERS: Final = st.sampled_from(["id", "method", "url", "headers", "body", "dependsOn", "depends_on"])


@given(st.lists(st.dictionaries(MEMBERS, VALUES, max_size=7) | VALUES, max_size=4))
def test_any_json_is_a_batch_or_malformed(requests: list[object]) -> None:
    try:
        items = read(*requests)
    except MalformedBody:
        items = []
    assert all(isinstance(item.body, bytes) for item in items)


# --- answers


def test_json_stands_in_an_answer_as_it_is_and_other_content_in_base64() -> None:
    kind = {"Content-Type": "application/json;odata.metadata=minimal"}
    text = {"Content-Type": "text/plain", "Cache-Control": "no-cache"}
    answers = [Answer("a", 200, kind, b'{"x":1}'), Answer(2, 200, text, b"23"), Answer("c", 204, {}, b"")]
    assert json.loads(write(answers)) == {
        "responses": [
            {"id": "a", "status": 200, "headers": kind, "body": {"x": 1}},
            {"id": 2, "status": 200, "headers": text, "body": "MjM="},
            {"id": "c", "status": 204, "headers": {}},
        ]
    }


def test_no_requests_have_no_answers() -> None:
    assert json.loads(write([])) == {"responses": []}
