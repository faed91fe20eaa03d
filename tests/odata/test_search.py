"""`$search`: which terms it joins how, and where it stops being one (OData 4.01 part 2, 5.1.8)."""

from __future__ import annotations

from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adjoin.model import CONNECTOR
from adjoin.odata.bound import Bound, Constant, Field, Operation, Sort
from adjoin.odata.errors import Malformed
from adjoin.odata.search import MAX_DEPTH, MAX_LENGTH, MAX_TERMS, bind_search

SEARCHED: Final = ["displayName", "version"]


def shown(bound: Bound) -> str:
    """A search as a text with every parenthesis, each term in brackets."""
    assert isinstance(bound, Operation)
    terms = [each for each in bound.operands if isinstance(each, Operation) and each.name == "holds"]
    if bound.name == "or" and len(terms) == len(bound.operands) == len(SEARCHED):
        fields = [each.operands[0] for each in terms]
        assert [field.declared.name for field in fields if isinstance(field, Field)] == SEARCHED
        (sought,) = {each.operands[1] for each in terms}
        assert isinstance(sought, Constant)
        assert sought.sort is Sort.STRING
        return f"[{sought.value}]"
    if bound.name == "not":
        return f"NOT {shown(bound.operands[0])}"
    return "(" + f" {bound.name.upper()} ".join(map(shown, bound.operands)) + ")"


def search(text: str) -> str:
    return shown(bind_search(text, CONNECTOR))


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("word", "[word]"),
        ("  word  ", "[word]"),
        ("WORD", "[word]"),
        ("ÉTÉ", "[été]"),
        ("a b", "([a] AND [b])"),
        ("a AND b", "([a] AND [b])"),
        ("a OR b", "([a] OR [b])"),
        ("a OR b AND c", "([a] OR ([b] AND [c]))"),
        ("a b OR c d", "(([a] AND [b]) OR ([c] AND [d]))"),
        ("(a OR b) c", "(([a] OR [b]) AND [c])"),
        ("(a)(b)", "([a] AND [b])"),
        ("((a))", "[a]"),
        ("NOT a", "NOT [a]"),
        ("NOT a b", "(NOT [a] AND [b])"),
        ("NOT (a b)", "NOT ([a] AND [b])"),
        ("a NOT b", "([a] AND NOT [b])"),
        ("a OR NOT b", "([a] OR NOT [b])"),
        ("NOT NOT a", "NOT NOT [a]"),
        ("a and b or not c", "([a] AND [and] AND [b] AND [or] AND [not] AND [c])"),
        ("ANDROID ORB NOTE", "([android] AND [orb] AND [note])"),
        ('"a b"', "[a b]"),
        ('"a  b" c', "([a  b] AND [c])"),
        ('" a "', "[ a ]"),
        ('"AND" OR "(" ")"', "([and] OR ([(] AND [)]))"),
        ('"NOT" "OR"', "([not] AND [or])"),
        ('"a\\"b"', '[a"b]'),
        ('"a\\\\b"', "[a\\b]"),
        ("a\\b", "[a\\b]"),
        ('a"b"', "([a] AND [b])"),
        ("O'Neil", "[o'neil]"),
        ("100% a_b c,d e;f", "([100%] AND [a_b] AND [c,d] AND [e;f])"),
        ("a\tb\nc", "([a] AND [b] AND [c])"),
    ],
)  # fmt: skip
def test_words_and_phrases_are_joined_by_their_precedence(text: str, meaning: str) -> None:
    assert search(text) == meaning


@pytest.mark.parametrize(
    ("text", "position"),
    [
        ("", 0),
        ("   ", 3),
        ("AND", 0),
        ("OR a", 0),
        ("a OR", 4),
        ("a AND", 5),
        ("a AND OR b", 6),
        ("NOT", 3),
        ("a NOT", 5),
        ("NOT AND", 4),
        ("()", 1),
        ("(a", 2),
        ("a)", 1),
        ("(a))", 3),
        ("a (b OR) c", 7),
        ('"a', 0),
        ('a "b', 2),
        ('a   "b c', 4),
        ('"a\\"', 0),
        ('"a" "', 4),
        ('""', 0),
        ('a ""', 2),
    ],
)
def test_what_is_no_search_is_refused_where_it_stops_being_one(text: str, position: int) -> None:
    with pytest.raises(Malformed) as caught:
        bind_search(text, CONNECTOR)
    assert caught.value.position == position
    assert caught.value.message.startswith("$search")


def test_its_length_terms_and_depth_are_bounded() -> None:
    bind_search("a" * MAX_LENGTH, CONNECTOR)
    bind_search("a " * MAX_TERMS, CONNECTOR)
    bind_search("(" * MAX_DEPTH + "a" + ")" * MAX_DEPTH, CONNECTOR)
    bind_search("NOT " * (MAX_TERMS - 1) + "a", CONNECTOR)
    for text in (
        "a" * (MAX_LENGTH + 1),
        "a " * (MAX_TERMS + 1),
        "(" * (MAX_DEPTH + 1) + "a" + ")" * (MAX_DEPTH + 1),
        "NOT " * MAX_TERMS + "a",
        "(" * MAX_LENGTH,
        '"' * (MAX_LENGTH - 1),
        '"\\' * (MAX_LENGTH // 2),
    ):
        with pytest.raises(Malformed):
            bind_search(text, CONNECTOR)


@given(st.lists(st.sampled_from(["a", "AND", "OR", "NOT", "(", ")", '"', "\\", " ", "é", "'"]) | st.text(max_size=3)))
def test_any_text_is_a_search_or_malformed(parts: list[str]) -> None:
    text = "".join(parts)
    try:
        bound = bind_search(text, CONNECTOR)
    except Malformed as refusal:
        position = refusal.position
    else:
        assert bound.sort is Sort.BOOLEAN
        position = None
    assert position is None or 0 <= position <= len(text)
