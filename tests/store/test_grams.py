"""What is asked of the index of grams for a condition: enough that no row of it is missed."""

from __future__ import annotations

import re

import pytest

from adjoin.model import BETA, CONNECTOR
from adjoin.odata.binding import Surroundings, bind_filter
from adjoin.odata.search import bind_search
from adjoin.odata.values import Instant
from adjoin.store.grams import alternatives, fts5, sought

AROUND = Surroundings(BETA, CONNECTOR, Instant.parse("2026-11-24T02:53:07Z"))
NAMES = frozenset({"displayName", "version"})


def asked(text: str) -> str | None:
    found = sought(bind_filter(text, AROUND), NAMES)
    return None if found is None else fts5(found)


def alternatives_of(text: str) -> tuple[str, ...]:
    found = sought(bind_filter(text, AROUND), NAMES)
    assert found is not None
    return alternatives(found)


@pytest.mark.parametrize(
    ("text", "grams"),
    [
        ("contains(displayName,'abc')", '("abc")'),
        ("contains(displayName,'ABCde')", '("abc" AND "bcd" AND "cde")'),
        ("contains(displayName,'aaaaa')", '("aaa")'),
        ("contains(version,'1.0')", '("1.0")'),
        ("startswith(displayName,'abc')", '("abc")'),
        ("endswith(displayName,'abc')", '("abc")'),
        ("displayName eq 'abc'", '("abc")'),
        ("'abc' eq displayName", '("abc")'),
        ("contains(displayName,'a\"b')", '("a""b")'),
        ("contains(displayName,'a''b')", '("a\'b")'),
        ("contains(displayName,'abc') and state eq 'error'", '(("abc"))'),
        ("contains(displayName,'abc') and contains(displayName,'xyz')", '(("abc") AND ("xyz"))'),
        ("contains(displayName,'abc') or contains(displayName,'xyz')", '(("abc") OR ("xyz"))'),
        ("contains(displayName,'abc') or contains(displayName,'xy')", None),
        ("contains(displayName,'abc') and (contains(displayName,'xyz') or state eq 'error')", '(("abc"))'),
        ("contains(displayName,'ab')", None),
        ("contains(displayName,'')", None),
        ("contains(displayName,null)", None),
        ("not contains(displayName,'abc')", None),
        ("displayName ne 'abc'", None),
        ("contains('abcdef',displayName)", None),
        ("contains(id,'abc')", None),
        ("contains(concat(displayName,'x'),'abc')", None),
        ("contains(displayName,'abc') eq true", None),
        ("state eq 'error'", None),
    ],
)
def test_a_condition_asks_for_the_grams_that_it_implies(text: str, grams: str | None) -> None:
    assert asked(text) == grams


def test_nothing_asks_for_nothing() -> None:
    assert sought(None, NAMES) is None


def test_a_search_term_may_be_in_either() -> None:
    assert sought(bind_search("abc NOT xyz", CONNECTOR), NAMES) is not None
    assert sought(bind_search("NOT abc", CONNECTOR), NAMES) is None


def test_of_a_long_text_a_few_grams_from_all_over_it() -> None:
    text = "".join(map(chr, range(0x4E00, 0x4E00 + 500)))
    grams = re.findall(r'"(.*?)"', asked(f"contains(displayName,'{text}')") or "")
    assert len(grams) == 12
    assert all(each in text for each in grams)
    assert text.index(grams[-1]) > 450


def test_of_many_texts_none() -> None:
    long = "".join(map(chr, range(0x4E00, 0x4E00 + 600)))
    many = " or ".join(f"contains(displayName,'{long[at : at + 15]}')" for at in range(0, 600, 15))
    assert asked(many) is None


@pytest.mark.parametrize(
    ("text", "texts"),
    [
        ("contains(displayName,'abcd')", ("abcbcd",)),
        ("contains(displayName,'aaaa')", ("aaa",)),
        ("contains(displayName,'abc') and contains(displayName,'xyz')", ("abcxyz",)),
        ("contains(displayName,'abc') and contains(version,'abc')", ("abc",)),
        ("contains(displayName,'abc') or contains(displayName,'xyz')", ("abc", "xyz")),
        (
            "(displayName eq 'abc' or contains(version,'def')) and (displayName eq 'ghi' or contains(version,'jkl'))",
            ("abcghi", "abcjkl", "defghi", "defjkl"),
        ),
    ],
)
def test_it_comes_as_alternatives_too(text: str, texts: tuple[str, ...]) -> None:
    assert alternatives_of(text) == texts


def test_which_are_never_many_more_than_are_asked_for() -> None:
    five = " or ".join(f"contains(displayName,'a{each}')" for each in ("bc", "de", "fg", "hi", "jk"))
    assert alternatives_of(f"({five}) and ({five}) and contains(version,'1.0')") == (
        "1.0abc",
        "1.0ade",
        "1.0afg",
        "1.0ahi",
        "1.0ajk",
    )
