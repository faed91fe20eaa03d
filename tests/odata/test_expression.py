"""The grammar of `$filter` and `$orderby` as rules: what is accepted, what is refused and where, and which tree it is.

`expression_cases.json` holds the OASIS cases for decoded expressions and this project's own.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path as File
from time import thread_time
from typing import Any, Final

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from adjoin.odata.errors import Malformed
from adjoin.odata.expression import MAX_DEPTH, parse, parse_orderby
from adjoin.odata.tokens import MAX_LENGTH, MAX_TOKENS
from adjoin.odata.tree import (
    Annotation,
    Binary,
    Call,
    Case,
    Collection,
    Count,
    Filter,
    Invocation,
    Key,
    Kind,
    Lambda,
    Literal,
    Logic,
    Name,
    Node,
    Path,
    Record,
    Type,
    Unary,
    Variable,
    print_tree,
)

CASES: Final[dict[str, Any]] = json.loads(File(__file__).with_name("expression_cases.json").read_text(encoding="utf-8"))
VALID: Final[list[str]] = [case["expr"] for case in CASES["oasis"] if case["valid"]] + CASES["accept"]
INVALID: Final = [case for case in CASES["oasis"] if not case["valid"]]


def refused(text: str, read: Callable[[str], object] = parse) -> Malformed:
    with pytest.raises(Malformed) as caught:
        read(text)
    position = caught.value.position
    assert position is not None
    assert 0 <= position <= len(text)
    assert caught.value.message.startswith("expected ")
    assert caught.value.message.endswith(f" at {position}")
    caught.value.message.encode()
    return caught.value


def integer(text: str) -> Literal:
    return Literal(Kind.INTEGER, text)


def string(text: str) -> Literal:
    return Literal(Kind.STRING, f"'{text}'")


# What is judged


def test_the_cases_are_all_there() -> None:
    assert (len(CASES["oasis"]), len(INVALID)) == (274, 11)
    assert len(CASES["accept"]) >= 60
    assert len(CASES["refuse"]) >= 40


@pytest.mark.parametrize("text", VALID, ids=ascii)
def test_well_formed_text_is_accepted_and_printing_its_tree_gives_that_tree_again(text: str) -> None:
    tree = parse(text)
    assert parse(print_tree(tree)) == tree


@pytest.mark.parametrize("case", INVALID, ids=lambda case: ascii(case["expr"]))
def test_what_oasis_calls_invalid_is_refused_no_later_than_its_grammar_fails(case: dict[str, Any]) -> None:
    position = refused(case["expr"]).position
    assert position is not None
    assert position <= case["fail_at"]


@pytest.mark.parametrize("text", CASES["refuse"], ids=lambda text: ascii(text[:60]))
def test_malformed_text_is_refused_with_its_place(text: str) -> None:
    refused(text)


NO_DATE_TIME: Final = "expected a date-time that there is (months to 12, hours to 23, at most 12 digits of a fraction)"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected a name, a literal or '(', found the end at 0"),
        ("state eq 'a", "expected a quote that closes the one at 9, found the end at 11"),
        ("state = 'a'", "expected an operator or the end, found '=' at 6"),
        ("(state eq 'a'", "expected an operator or ')', found the end at 13"),
        ('state eq "a"', "expected a string in single quotes, found '\"a\"' at 9"),
        ("(a eq 1)and b eq 2", "expected a blank before 'and', found 'and' at 8"),
        ("state in ('a',)", "expected a literal, found ')' at 14"),
        ("startsWit(a,'b')", "expected a function that OData defines, found 'startsWit' at 0"),
        ("nosuch(1,2)", "expected a function that OData defines, found 'nosuch' at 0"),
        ("a eq nosuch('x' , 2)", "expected a function that OData defines, found 'nosuch' at 5"),
        ("nosuch(1", "expected ')' after the key, found the end at 8"),
        ("contains(a)", "expected an operator, or a comma and argument 2 of contains, found ')' at 10"),
        ("contains(a,'b','c')", "expected ')', as contains takes 2 arguments, found ',' at 14"),
        ("length(a,'b')", "expected ')', as length takes 1 argument, found ',' at 8"),
        (
            "at gt 2016-12-31T23:58:36 01:00",
            "expected a date-time with its offset, such as Z, -08:00 or %2B01:00, found '2016-12-31T23:58:36' at 6",
        ),
        *(
            (f"at gt {text}", f"{NO_DATE_TIME}, found '{text}' at 6")
            for text in (
                *("2020-01-01T24:00:00Z", "2020-13-01T00:00:00Z", "2020-01-01t00:60Z", "2020-01-01T00:00:00-24:00"),
                "2020-01-01T00:00:00.1234567890123+01:00",
            )
        ),
        ("a eq \ud800\x00", "expected a name, a literal or '(', found '\\ud800' at 5"),
    ],
)
def test_a_refusal_says_what_was_expected_what_was_found_and_where(text: str, message: str) -> None:
    assert refused(text).message == message


# Trees

TREES: Final[list[tuple[str, Node]]] = [
    ("state eq 'error'", Binary("eq", Name("state"), string("error"))),
    (" state EQ 'error'\t", Binary("eq", Name("state"), string("error"))),
    (
        "state eq 'error' and contains(displayName,'abc')",
        Logic(
            "and",
            (
                Binary("eq", Name("state"), string("error")),
                Call("contains", (Name("displayName"), string("abc"))),
            ),
        ),
    ),
    ("startsWith(a,'b')", Call("startsWith", (Name("a"), string("b")))),
    ("not(state eq 'a')", Unary("not", Binary("eq", Name("state"), string("a")))),
    ("state in ('a')", Binary("in", Name("state"), Collection((string("a"),)))),
    ("state in ['a']", Binary("in", Name("state"), Collection((string("a"),)))),
    ("state in (first)", Binary("in", Name("state"), Name("first"))),
    ("state eq Ns.E'a'", Binary("eq", Name("state"), Literal(Kind.ENUM, "Ns.E'a'"))),
    ("a has 'x,y'", Binary("has", Name("a"), string("x,y"))),
    ("a eq @p", Binary("eq", Name("a"), Variable("@p"))),
    ("a eq NULL", Binary("eq", Name("a"), Name("NULL"))),
    ("$it/a", Path((Variable("$it"), Name("a")))),
    ("a/Ns.T/b", Path((Name("a"), Name("Ns.T"), Name("b")))),
    ("a/@Ns.T#q", Path((Name("a"), Annotation("Ns.T", "q")))),
    ("a/ANY()", Path((Name("a"), Lambda("any", None, None)))),
    ("a/all(x:x gt 1)", Path((Name("a"), Lambda("all", "x", Binary("gt", Name("x"), integer("1")))))),
    ("a/$count", Path((Name("a"), Count(None, None)))),
    ("a/$count($search=b  (c  d);$filter=e)", Path((Name("a"), Count(Name("e"), "b (c d)")))),
    ("a/$filter(b)(1)", Path((Name("a"), Filter(Name("b")), Key(((None, integer("1")),))))),
    ("a('k')/b", Path((Name("a"), Key(((None, string("k")),)), Name("b")))),
    ("a/1", Path((Name("a"), Key(((None, integer("1")),))))),
    ("N.f(a=1,b=c)", Invocation("N.f", (("a", integer("1")), ("b", Name("c"))))),
    ("N.f()", Invocation("N.f", ())),
    ("cast(a,N.T)", Call("cast", (Name("a"), Type("N.T", collection=False)))),
    ("isof(Collection(N.T))", Call("isof", (Type("N.T", collection=True),))),
    ("case(a:1,true:2)", Case(((Name("a"), integer("1")), (Literal(Kind.BOOLEAN, "true"), integer("2"))))),
    ('{"a\\n":["b",c]}', Record((("a\n", Collection((Literal(Kind.JSON_STRING, '"b"'), Name("c")))),))),
    ("-5", integer("-5")),
    ("- 5", Unary("-", integer("5"))),
]


@pytest.mark.parametrize(("text", "tree"), TREES, ids=[text for text, _ in TREES])
def test_usual_text_gives_this_tree(text: str, tree: Node) -> None:
    assert parse(text) == tree


@pytest.mark.parametrize(
    ("text", "explicit"),
    [
        ("not a eq b", "(not a) eq b"),
        ("not a and b", "(not a) and b"),
        ("not a in (1)", "not (a in (1))"),
        ("- a mul b", "(-a) mul b"),
        ("-a in (1)", "-(a in (1))"),
        ("a or b and c", "a or (b and c)"),
        ("a and b or c and d", "(a and b) or (c and d)"),
        ("a eq b and c ne d", "(a eq b) and (c ne d)"),
        ("a eq b gt c", "a eq (b gt c)"),
        ("a gt b eq c lt d", "(a gt b) eq (c lt d)"),
        ("a add b mul c eq d", "(a add (b mul c)) eq d"),
        ("a mul b add c", "(a mul b) add c"),
        ("a sub b sub c", "(a sub b) sub c"),
        ("a div b mod c divby d", "((a div b) mod c) divby d"),
        ("a eq b eq c", "(a eq b) eq c"),
        ("a add b in (1)", "a add (b in (1))"),
        ("a has 'x' eq true", "(a has 'x') eq true"),
        ("a mul -b add c", "(a mul (-b)) add c"),
    ],
)
def test_operators_bind_as_odata_says(text: str, explicit: str) -> None:
    assert parse(text) == parse(explicit)


def test_a_chain_of_one_logical_operator_is_flat_and_parentheses_in_it_are_kept() -> None:
    a, b, c = Name("a"), Name("b"), Name("c")
    assert parse("a or b OR c") == Logic("or", (a, b, c))
    assert parse("(a or b) or c") == Logic("or", (Logic("or", (a, b)), c))


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("null", Kind.NULL),
        ("TRUE", Kind.BOOLEAN),
        ("'x'", Kind.STRING),
        ("+1", Kind.INTEGER),
        ("1.50", Kind.DECIMAL),
        ("1E5", Kind.DOUBLE),
        ("-INF", Kind.DOUBLE),
        ("NaN", Kind.DOUBLE),
        ("77296CF7-6cf7-7729-f76c-2977f76c2977", Kind.GUID),
        ("2016-12-31", Kind.DATE),
        ("2016-12-31T23:58:36.6670033-08:00", Kind.DATE_TIME),
        ("23:58:60.5", Kind.TIME),
        ("duration'-P1DT2H'", Kind.DURATION),
        ("a.b.C'd,-1'", Kind.ENUM),
        ("binary'Zg=='", Kind.BINARY),
        ("geography'SRID=0;Point(1 2)'", Kind.GEOGRAPHY),
        ("Geometry'srid=0;MultiPoint()'", Kind.GEOMETRY),
    ],
)
def test_a_literal_keeps_its_kind_and_its_exact_text(text: str, kind: Kind) -> None:
    assert parse(text) == Literal(kind, text)


@pytest.mark.parametrize(
    ("text", "prefix", "content"),
    [
        ("'O''Brien'", "", "O'Brien"),
        ("a.B'c,d'", "a.B", "c,d"),
        ("duration'P1D'", "duration", "P1D"),
        ("5.0", "", "5.0"),
    ],
)
def test_a_literal_gives_what_stands_before_and_between_its_quotes(text: str, prefix: str, content: str) -> None:
    literal = parse(text)
    assert isinstance(literal, Literal)
    assert (literal.prefix, literal.content) == (prefix, content)


def test_a_json_string_is_unescaped() -> None:
    assert Literal(Kind.JSON_STRING, '"a\'\\u00e9\\"\t"').content == "a'é\"\t"


# $orderby


def test_orderby_has_expressions_with_a_direction_each() -> None:
    name, state = Name("displayName"), Name("state")
    assert parse_orderby("displayName") == ((name, False),)
    assert parse_orderby("displayName desc") == ((name, True),)
    assert parse_orderby(" state ASC , displayName  Desc ") == ((state, False), (name, True))
    assert parse_orderby("length(displayName) desc") == ((Call("length", (name,)), True),)
    assert parse_orderby("desc desc,asc") == ((Name("desc"), True), (Name("asc"), False))


@pytest.mark.parametrize("text", ["", ",", "a,", ",a", "a desc desc", "a down", "a;b", "'a'desc", "a b", "a eq"])
def test_orderby_refuses_anything_else(text: str) -> None:
    refused(text, parse_orderby)


# Limits

NESTED: Final = [("(", "a", ")"), ("not ", "a", ""), ("-", "a", ""), ("length(", "a", ")"), ("[", "1", "]")]
NESTED_TWICE: Final = [
    ("a/any(x:", "b", ")"),
    ("a/$filter(", "b", ")"),
    ('{"a":', "1", "}"),
    ("f(a=", "b", ")"),
    ("case(a:", "b", ")"),
    ("cast(", "a", ",T)"),
    ("a/$count($filter=", "b", ")"),
]


@pytest.mark.parametrize(("before", "middle", "after"), NESTED + NESTED_TWICE)
def test_nesting_is_limited(before: str, middle: str, after: str) -> None:
    deepest = before * MAX_DEPTH + middle + after * MAX_DEPTH
    tree = parse(deepest)
    assert parse(print_tree(tree)) == tree
    assert f"at most {MAX_DEPTH} levels" in refused(before + deepest + after).message


@pytest.mark.parametrize("operator", ["add", "eq", "in"])
def test_a_chain_that_makes_a_deep_tree_is_limited_too(operator: str) -> None:
    assert parse("a" + f" {operator} a" * MAX_DEPTH)
    assert f"at most {MAX_DEPTH} levels" in refused("a" + f" {operator} a" * (MAX_DEPTH + 1)).message


def test_what_walks_the_deepest_tree_by_recursion_has_room() -> None:
    tree = parse("a/any(x:" * MAX_DEPTH + "b" + ")" * MAX_DEPTH)
    assert hash(tree) == hash(parse(print_tree(tree)))
    assert repr(tree)


def test_length_is_limited() -> None:
    assert parse("'" + "x" * (MAX_LENGTH - 2) + "'")
    assert f"at most {MAX_LENGTH} characters" in refused("'" + "x" * (MAX_LENGTH - 1) + "'").message


def test_the_number_of_words_is_limited() -> None:
    assert parse(" or ".join(["a"] * (MAX_TOKENS // 2)))
    assert f"at most {MAX_TOKENS} words" in refused(" or ".join(["a"] * (MAX_TOKENS // 2 + 1))).message
    assert parse("a in (" + ",".join(["1"] * (MAX_TOKENS // 2 - 2)) + ")")


@pytest.mark.parametrize(
    "text",
    [
        *("(" * 8_192, "-" * 8_192, "'" * 8_191, '"' * 8_191, "a." * 4_096, "1" * 8_192, "/" * 8_192, "[" * 8_192),
        *(
            "1" * 8_191 + "x",
            "a/" * 4_096,
            "a-" * 4_096,
            "e." * 4_000 + "'x",
            "binary'" + "A" * 8_000,
            "\ud800" * 8_192,
        ),
        *(
            "not " * 2_048,
            "'" + "''" * 4_000,
            '"' + "\\n" * 4_000,
            "@a" * 4_096,
            "é" * 8_192,
            " " * 8_192,
            "\x00" * 8_192,
        ),
        "geography'SRID=0;" + "GeometryCollection(" * 400 + "'",
        "geography'SRID=0;LineString(" + "1 2," * 2_000 + "'",
        "duration'P" + "1" * 8_000,
        "x in (" + "1," * 4_000,
    ],
    ids=lambda text: ascii(text[:20]),
)
def test_the_worst_text_is_judged_quickly(text: str) -> None:
    def took() -> float:
        begin = thread_time()
        for length in (len(text), len(text) // 2, len(text) // 4, 990, 980):
            with suppress(Malformed):
                parse(text[:length])
        return thread_time() - begin

    # Some milliseconds each; only what is not linear takes longer every time, however busy the machine.
    assert any(took() < 0.25 for _ in range(3))


# Any text, and any tree

WORDS: Final = st.sampled_from(
    [word for text in VALID for word in text.replace("(", " ( ").replace(",", " , ").split(" ")]
    + list("()[]{},:;/'\"@$-. ")
)


@settings(max_examples=600, deadline=None)
@given(st.text() | st.lists(WORDS, max_size=30).map(" ".join) | st.lists(WORDS, max_size=30).map("".join))
@example("\ud800")
@example("'\x00")
@example("((((")
def test_any_text_gives_a_tree_or_a_refusal_with_its_place(text: str) -> None:
    for read in (parse, parse_orderby):
        try:
            assert read(text)
        except Malformed:
            refused(text, read)


IDENTIFIERS: Final = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,8}", fullmatch=True) | st.sampled_from(
    ["nullable", "allowed", "anyone", "trueName", "notes", "inner", "größe", "asc", "in_"]
)
RESERVED: Final = frozenset({"not", "true", "false", "null", "nan", "inf", "any", "all", "case", "cast", "isof"})
NAMES: Final = IDENTIFIERS.filter(lambda name: name.lower() not in RESERVED)
LITERALS: Final = st.one_of(
    st.text(max_size=8).map(lambda text: Literal(Kind.STRING, "'" + text.replace("'", "''") + "'")),
    st.integers().map(lambda value: integer(str(value))),
    st.uuids().map(lambda value: Literal(Kind.GUID, str(value))),
    st.datetimes().map(lambda value: Literal(Kind.DATE_TIME, value.isoformat() + "+05:30")),
    st.dates().map(lambda value: Literal(Kind.DATE, value.isoformat())),
    st.booleans().map(lambda value: Literal(Kind.BOOLEAN, str(value).lower())),
    st.tuples(NAMES, NAMES, NAMES).map(lambda parts: Literal(Kind.ENUM, "{}.{}'{}'".format(*parts))),
    st.just(Literal(Kind.NULL, "null")),
)
COMPARISONS: Final = st.sampled_from(["eq", "ne", "gt", "ge", "lt", "le", "add", "sub", "mul", "div", "divby", "mod"])
LEAVES: Final[st.SearchStrategy[Node]] = st.one_of(
    LITERALS, NAMES.map(Name), NAMES.map(lambda name: Variable(f"@{name}"))
)


def branches(nodes: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
    pairs = st.tuples(nodes, nodes)
    steps = st.one_of(
        NAMES.map(Name),
        st.tuples(st.sampled_from(["any", "all"]), NAMES, nodes).map(lambda parts: Lambda(*parts)),
        nodes.map(Filter),
        st.just(Count(None, None)),
    )
    return st.one_of(
        st.builds(Binary, COMPARISONS, nodes, nodes),
        st.builds(Logic, st.sampled_from(["and", "or"]), st.lists(nodes, min_size=2, max_size=4).map(tuple)),
        st.builds(Unary, st.sampled_from(["not", "-"]), nodes),
        st.builds(Call, st.sampled_from(["contains", "startsWith", "concat", "geo.distance"]), pairs),
        st.builds(Binary, st.just("in"), nodes, st.lists(LITERALS, max_size=3).map(tuple).map(Collection)),
        st.builds(
            Invocation, NAMES.map(lambda name: f"Ns.{name}"), st.lists(st.tuples(NAMES, nodes), max_size=2).map(tuple)
        ),
        st.builds(Path, st.tuples(NAMES.map(Name), steps)),
        st.builds(Case, st.lists(pairs, min_size=1, max_size=2).map(tuple)),
        st.builds(Record, st.lists(st.tuples(st.text(max_size=5), nodes), max_size=2).map(tuple)),
        st.builds(Collection, st.lists(nodes, max_size=3).map(tuple)),
    )


@settings(max_examples=400, deadline=None)
@given(st.recursive(LEAVES, branches, max_leaves=12))
def test_a_printed_tree_parses_to_the_same_tree(tree: Node) -> None:
    assert parse(print_tree(tree)) == tree
