"""The query of a URL: every option in each of its spellings, or a refusal; none is ever passed over."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import quote

import pytest
from hypothesis import given as drawn
from hypothesis import strategies as st

from adjoin.model import BETA, CONNECTOR
from adjoin.odata.binding import Surroundings, bind_filter, bind_order
from adjoin.odata.bound import Bound, Operation, Sort
from adjoin.odata.edm import EntityType
from adjoin.odata.errors import Malformed, NotServed, OptionNotAllowed, ProtocolRefusal, UnknownName, UnknownOption
from adjoin.odata.path import Kind
from adjoin.odata.query import MAX_LENGTH, MAX_OPTIONS, Query, check_no_options, given, parse
from adjoin.odata.search import bind_search
from adjoin.odata.selection import MAX_SELECTED
from adjoin.odata.values import Instant

NOW: Final = Instant.parse("2026-11-24T02:53:07Z")
ALL: Final = tuple(each.name for each in CONNECTOR.properties)
PARENT: Final[EntityType] = BETA.entities[1]
ERROR: Final = "state eq 'error'"


def read(raw: str, kind: Kind = Kind.COLLECTION) -> Query:
    entity = {Kind.SINGLETON: PARENT, Kind.SERVICE: None, Kind.METADATA: None}.get(kind, CONNECTOR)
    return parse(raw, kind, BETA, entity, lambda: NOW)


def bound(text: str, **aliases: str) -> Bound:
    return bind_filter(text, Surroundings(BETA, CONNECTOR, NOW, {f"@{name}": each for name, each in aliases.items()}))


def refused(raw: str, refusal: type[ProtocolRefusal], kind: Kind = Kind.COLLECTION) -> str:
    with pytest.raises(ProtocolRefusal) as caught:
        read(raw, kind)
    assert type(caught.value) is refusal, caught.value
    return caught.value.message


def test_no_query_asks_for_everything() -> None:
    assert read("") == read("&&") == Query()


# --- spelling


@pytest.mark.parametrize(
    "raw",
    [
        *("$filter=state eq 'error'", "filter=state%20eq%20'error'", "%24filter=state+eq+'error'"),
        "$FILTER=state eq 'error'",
        *("Filter=state%20eq%20%27error%27", "%24Filter=state%09eq+'error'", "%66ilter=state+eq+'error'"),
        *("&$filter=state+eq+'error'&", "$filter=state eq 'error'&mine=1&other"),
    ],
)  # fmt: skip
def test_an_option_goes_with_or_without_its_dollar_in_any_case_and_encoding(raw: str) -> None:
    assert read(raw).where == bound(ERROR)


@pytest.mark.parametrize(
    ("encoded", "text"),
    [
        ("a+b", "a b"),
        ("a%20b", "a b"),
        ("a%2Bb", "a+b"),
        ("a%26b%3Dc", "a&b=c"),
        ("a=b", "a=b"),
        ("a%2Cb", "a,b"),
        ("a%252Cb", "a%2cb"),
        ("%C3%A9", "é"),
        ("%F0%9F%98%80", "😀"),
        ("O''Neil", "O''Neil"),
        ("O%27%27Neil", "O''Neil"),
        ("a/b?c;d", "a/b?c;d"),
        ("100%25", "100%"),
    ],
)
def test_a_query_is_split_first_and_decoded_after(encoded: str, text: str) -> None:
    assert read(f"$filter=displayName+eq+'{encoded}'&$top=1") == Query(
        where=bound(f"displayName eq '{text}'"),
        top=1,
        fingerprint=read(f"$filter=displayName+eq+'{encoded}'").fingerprint,
    )


@pytest.mark.parametrize(
    "name", ["count", "expand", "filter", "orderby", "search", "select", "skip", "skiptoken", "top"]
)
@pytest.mark.parametrize("value", ["", "=", "=+", "=%20%20"])
def test_an_option_without_a_value_is_malformed(name: str, value: str) -> None:
    refused(f"${name}{value}", Malformed)


@pytest.mark.parametrize(
    "bad", ["%", "%2", "%zz", "%%", "a%2", "%u0041", "%C3", "%FF", "%ED%A0%80", "%C0%80", "%00", "a%00b"]
)
@pytest.mark.parametrize("where", ["$filter={}", "{}=1", "mine={}", "@p={}"])
def test_what_cannot_be_decoded_is_malformed(bad: str, where: str) -> None:
    refused(where.format(bad), Malformed)


@pytest.mark.parametrize(
    "raw",
    [
        *("$top=1&$top=1", "$top=1&top=2", "$top=1&%24TOP=2", "filter=true&$filter=false", "$select=id&select=id"),
        *("$filter=@p&@p=true&@p=false", "$filter=@p&@p=true&%40p=true", "@p=1&@p=1"),
    ],
)
def test_an_option_that_is_given_twice_is_malformed(raw: str) -> None:
    assert "is given twice" in refused(raw, Malformed)


def test_aliases_are_told_apart_by_case() -> None:
    assert read("$filter=@P&@p=false&@P=true").where == bound("true")


@pytest.mark.parametrize(
    "name", ["$foo", "%24foo", "$", "$filters", "$Foo", "$$filter", "$@p", "$skip token", "$ſelect"]
)
def test_an_unknown_option_with_a_dollar_is_refused(name: str) -> None:
    refused(f"{name}=1", UnknownOption)


@pytest.mark.parametrize("raw", ["+$filter=false", "$filter+=false", "%20filter=false", "$top%09=0", "+$skiptoken=x"])
def test_a_system_option_with_blanks_about_its_name_is_never_passed_over(raw: str) -> None:
    with pytest.raises(ProtocolRefusal):
        read(raw)


@pytest.mark.parametrize("raw", ["mine=1", "mine", "=1", "api-version=2024", "f$ilter=x", "x=$filter=1", "@p=1", "@p"])
def test_the_callers_own_options_are_passed_over(raw: str) -> None:
    assert read(raw) == Query()


def test_its_length_and_number_of_options_are_bounded() -> None:
    assert read("a" * MAX_LENGTH) == Query()
    assert "longer" in refused("a" * (MAX_LENGTH + 1), Malformed)
    assert read("&".join(["a=1"] * MAX_OPTIONS)) == Query()
    assert "more than" in refused("&".join(["a=1"] * (MAX_OPTIONS + 1)), Malformed)


# --- which resource takes which

LIST: Final = {"filter", "search", "select", "orderby", "top", "skip", "skiptoken", "count", "format", "expand"}
LISTS_ONLY: Final = {"apply", "compute", "deltatoken", "index", "schemaversion"}
TAKEN: Final[dict[Kind, tuple[set[str], set[str]]]] = {
    # what is carried out, and what is known and not carried out
    Kind.COLLECTION: (LIST, LISTS_ONLY),
    Kind.COUNT: ({"filter", "search"}, {"apply"}),
    Kind.ENTITY: ({"select", "expand", "format"}, {"compute", "schemaversion"}),
    Kind.SINGLETON: ({"select", "expand", "format"}, {"compute", "schemaversion"}),
    Kind.PROPERTY: ({"format"}, {"schemaversion"}),
    Kind.VALUE: ({"format"}, {"schemaversion"}),
    Kind.SERVICE: ({"format"}, {"schemaversion"}),
    Kind.METADATA: ({"format"}, {"schemaversion"}),
    Kind.BATCH: ({"format"}, set()),
}
SYSTEM: Final = sorted(LIST | LISTS_ONLY | {"id", "levels"})
VALUES: Final = {
    "filter": "true",
    "search": "a",
    "orderby": "id",
    "top": "1",
    "skip": "1",
    "count": "true",
    "select": "id",
}


@pytest.mark.parametrize("kind", TAKEN, ids=[kind.name.lower() for kind in TAKEN])
@pytest.mark.parametrize("name", SYSTEM)
def test_each_kind_of_resource_takes_its_options_and_refuses_the_rest(name: str, kind: Kind) -> None:
    carried_out, known = TAKEN[kind]
    raw = f"${name}={VALUES.get(name, 'x')}"
    if name in known:
        refused(raw, NotServed, kind)
    elif name not in carried_out:
        assert f"Query option '{name.capitalize()}'".lower() in refused(raw, OptionNotAllowed, kind).lower()
    elif name == "expand":
        refused(raw, UnknownName, kind)
    elif (name, kind) != ("select", Kind.SINGLETON):  # whose id is all there is
        assert read(raw, kind) != Query()


def test_a_change_takes_no_system_option() -> None:
    check_no_options("")
    check_no_options("mine=1&@p=2")
    for name in SYSTEM:
        with pytest.raises(OptionNotAllowed):
            check_no_options(f"${name}=x")
        with pytest.raises(OptionNotAllowed):
            check_no_options(f"{name.upper()}=x")
    with pytest.raises(UnknownOption):
        check_no_options("$foo=1")


@pytest.mark.parametrize(
    ("name", "shown"), [("filter", "Filter"), ("orderby", "OrderBy"), ("skiptoken", "SkipToken"), ("top", "Top")]
)
def test_a_refused_option_is_named_as_graph_names_it(name: str, shown: str) -> None:
    assert f"Query option '{shown}' is not allowed." in refused(f"${name}=1", OptionNotAllowed, Kind.ENTITY)


# --- each option


@pytest.mark.parametrize("name", ["top", "skip"])
class TestNumbers:
    @pytest.mark.parametrize(("text", "number"), [("0", 0), ("1", 1), ("007", 7), ("2147483647", 2**31 - 1), ("5+", 5)])
    def test_are_whole_and_not_negative(self, name: str, text: str, number: int) -> None:
        assert getattr(read(f"${name}={text}"), name) == number

    @pytest.mark.parametrize(
        "text", ["-1", "1.0", "1e3", "0x1", "five", "2147483648", "9" * 500, "%D9%A1", "1_0", "%2B1", "1,2", "null"]
    )
    def test_are_refused_otherwise(self, name: str, text: str) -> None:
        message = refused(f"${name}={text}", Malformed)
        assert f"for ${name} query option found" in message
        assert len(message) < 300


@pytest.mark.parametrize(
    ("text", "asked"), [("true", True), ("false", False), ("TRUE", True), ("False", False), ("true+", True)]
)
def test_a_count_is_asked_for_or_not(text: str, asked: bool) -> None:
    assert read(f"$count={text}").count is asked


@pytest.mark.parametrize("text", ["", "1", "yes", "null", "'true'", "true,false"])
def test_a_count_is_true_or_false(text: str) -> None:
    refused(f"$count={text}", Malformed)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("id", ("id",)),
        ("displayName,id", ("id", "displayName")),
        ("DISPLAYNAME, Id", ("id", "displayName")),
        ("id,id,ID", ("id",)),
        ("*", ()),
        ("id,*", ()),
        ("*,*", ()),
        (",".join(ALL), ()),
        ("id%2Cstate", ("id", "state")),
        ("microsoft.graph.entity/id", ("id",)),
        ("microsoft.graph.deviceManagementDomainJoinConnector/state,version", ("state", "version")),
        ("graph.entity/id", ("id",)),
    ],
)
def test_a_selection_is_declared_names_in_declared_order_or_none_for_all(text: str, names: tuple[str, ...]) -> None:
    assert read(f"$select={text}").select == names


@pytest.mark.parametrize(
    "text",
    ["foo", "id,foo", "id/foo", "foo/id", "microsoft.graph.deviceManagement/id", "@odata.etag", "'id'", "id desc"],
)
def test_an_unknown_selection_is_named(text: str) -> None:
    assert "Could not find a property named" in refused(f"$select={text}", UnknownName)


@pytest.mark.parametrize("text", ["", ",", "id,", ",id", "id,,state", "+", ",".join(["id"] * (MAX_SELECTED + 1))])
def test_a_selection_with_an_empty_item_or_too_many_is_malformed(text: str) -> None:
    refused(f"$select={text}", Malformed)


def test_a_navigation_property_may_be_selected_and_selects_nothing_more() -> None:
    assert read("$select=id,domainJoinConnectors", Kind.SINGLETON).select == ("id", "domainJoinConnectors")
    assert read("$select=auditEvents,ID,domainjoinconnectors", Kind.SINGLETON).select == (
        *("id", "auditEvents", "domainJoinConnectors"),
    )
    assert read("$select=id,subscriptionState,domainJoinConnectors", Kind.SINGLETON).select == ()


def test_filter_and_search_are_joined() -> None:
    both = read(f"$filter={ERROR}&$search=abc").where
    assert both == Operation("and", Sort.BOOLEAN, (bound(ERROR), bind_search("abc", CONNECTOR)))
    assert read("$search=abc").where == bind_search("abc", CONNECTOR)


def test_aliases_reach_filter_and_order() -> None:
    found = read("$filter=displayName eq @p&$orderby=@q desc&@p='x'&@q=state")
    assert found.where == bound("displayName eq 'x'")
    assert found.order == bind_order("state desc", Surroundings(BETA, CONNECTOR, NOW))


@pytest.mark.parametrize(
    ("raw", "name"), [("$filter=state eq", "$filter"), ("$filter=)", "$filter"), ("$orderby=,", "$orderby")]
)
def test_what_is_said_of_syntax_names_the_option(raw: str, name: str) -> None:
    assert refused(raw, Malformed).startswith(f"Invalid {name} clause: expected ")


def test_a_continuation_token_is_given_back_as_it_came() -> None:
    assert read("$skiptoken=a%2Bb").token == "a+b"
    assert read("").token is None


@pytest.mark.parametrize("raw", ["$skip=3&$skiptoken=x", "skiptoken=x&$SKIP=0", "$top=1&$skiptoken=x&$skip=3"])
def test_what_goes_on_skips_nothing(raw: str) -> None:
    assert "exclude each other" in refused(raw, Malformed)


# --- fingerprints


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("$filter=true", ""),
        ("$filter=true", "$filter=false"),
        ("$filter=true", "$search=true"),
        ("$orderby=id", "$orderby=state"),
        ("$orderby=@p&@p=id", "$orderby=@p&@p=state"),
        ("$orderby=@p&@p=id", "$orderby=@p"),
        ("$filter=@p&@p=true", "$filter=@p&@p=false"),
        ("$filter=@p&@p=@q&@q=true", "$filter=@p&@p=@q&@q=false"),
    ],
)
def test_queries_whose_pages_must_not_be_mixed_are_told_apart(first: str, second: str) -> None:
    assert read(first).fingerprint != read(second).fingerprint


@pytest.mark.parametrize(
    "more", ["$top=5", "$skip=5", "$count=true", "$select=id", "$skiptoken=x", "mine=1", "$format=json"]
)
def test_what_does_not_change_which_rows_come_next_is_not_in_a_fingerprint(more: str) -> None:
    for raw in ("$filter=true&$orderby=id", "$search=a"):
        assert read(f"{raw}&{more}").fingerprint == read(raw).fingerprint
    assert read(more).fingerprint == ""


def test_the_spelling_of_a_query_does_not_change_its_fingerprint() -> None:
    assert read("$filter=state+eq+'error'").fingerprint == read("FILTER=state%20eq%20%27error%27").fingerprint


# --- $expand


def expanded(text: str, more: str = "") -> Query:
    (only,) = read(f"$expand={quote(text)}{more}", Kind.SINGLETON).expand
    assert only.navigation.name == "domainJoinConnectors"
    return only.query


@pytest.mark.parametrize(
    "text", ["domainJoinConnectors", "DOMAINJOINCONNECTORS", "domainJoinConnectors ", "domainJoinConnectors()"]
)
def test_an_expansion_names_a_navigation_property(text: str) -> None:
    assert expanded(text) == Query()


@pytest.mark.parametrize("text", ["*", "domainJoinConnectors,auditEvents", "DomainJoinConnectors(), auditevents"])
def test_an_expansion_of_everything_names_every_navigation_property(text: str) -> None:
    found = read(f"$expand={quote(text)}", Kind.SINGLETON).expand
    assert [each.navigation.name for each in found] == ["domainJoinConnectors", "auditEvents"]
    assert all(each.query == Query() for each in found)


@pytest.mark.parametrize(
    ("nested", "options"),
    [
        ("$top=1", {"top": 1}),
        ("top=1", {"top": 1}),
        ("$TOP=1;$Skip=2", {"top": 1, "skip": 2}),
        (" $top=1 ; $skip=2 ", {"top": 1, "skip": 2}),
        ("$select=id,displayName", {"select": ("id", "displayName")}),
        ("$count=true", {"count": True}),
        ("$filter=displayName eq 'a;b'", {"where": bound("displayName eq 'a;b'")}),
        ("$filter=displayName eq 'a)b'", {"where": bound("displayName eq 'a)b'")}),
        ("$filter=displayName eq '(('", {"where": bound("displayName eq '(('")}),
        ("$filter=displayName eq 'a,b''c'", {"where": bound("displayName eq 'a,b''c'")}),
        ("$filter=displayName eq '\"'", {"where": bound("displayName eq '\"'")}),
        ("$filter=contains(displayName,'a') and (true)", {"where": bound("contains(displayName,'a') and (true)")}),
        ("$filter=displayName in ('a','b');$top=3", {"where": bound("displayName in ('a','b')"), "top": 3}),
        ('$search="a;b)" OR c', {"where": bind_search('"a;b)" OR c', CONNECTOR)}),
        ('$search="a\\"b"', {"where": bind_search('"a\\"b"', CONNECTOR)}),
        ("$search=O'Neil", {"where": bind_search("O'Neil", CONNECTOR)}),
        ("$search=(a OR b) c;$top=1", {"where": bind_search("(a OR b) c", CONNECTOR), "top": 1}),
        ("$orderby=state desc,id", {"order": bind_order("state desc,id", Surroundings(BETA, CONNECTOR, NOW))}),
    ],
)  # fmt: skip
def test_an_expansion_takes_options_of_its_own(nested: str, options: dict[str, Any]) -> None:
    found = expanded(f"domainJoinConnectors({nested})")
    assert {name: getattr(found, name) for name in options} == options
    plain = Query()
    rest = {"where", "order", "select", "top", "skip", "count"} - set(options)
    assert all(getattr(found, name) == getattr(plain, name) for name in rest)


def test_aliases_of_the_url_reach_into_an_expansion() -> None:
    found = expanded("domainJoinConnectors($filter=displayName eq @p)", "&@p='x'")
    assert found.where == bound("displayName eq 'x'")


@pytest.mark.parametrize(
    ("text", "refusal"),
    [
        ("foo", UnknownName),
        ("domainJoinConnectors,foo", UnknownName),
        ("id", UnknownName),
        ("domainJoinConnectors($select=foo)", UnknownName),
        ("domainJoinConnectors($expand=foo)", UnknownName),
        ("domainJoinConnectors($filter=foo eq 1)", UnknownName),
        ("domainJoinConnectors($foo=1)", UnknownOption),
        ("domainJoinConnectors(foo=1)", UnknownOption),
        ("domainJoinConnectors(@p=1)", UnknownOption),
        ("domainJoinConnectors(x)", UnknownOption),
        ("domainJoinConnectors($skiptoken=x)", OptionNotAllowed),
        ("domainJoinConnectors($format=json)", OptionNotAllowed),
        ("domainJoinConnectors($levels=2)", NotServed),
        ("domainJoinConnectors($compute=1)", NotServed),
        ("domainJoinConnectors/$ref", NotServed),
        ("domainJoinConnectors/$count", NotServed),
        ("domainJoinConnectors,domainJoinConnectors", Malformed),
        ("domainJoinConnectors,*", Malformed),
        ("domainJoinConnectors(", Malformed),
        ("domainJoinConnectors)", Malformed),
        ("domainJoinConnectors($top=1", Malformed),
        ("domainJoinConnectors($top=1))", Malformed),
        ("domainJoinConnectors($top=1)x", Malformed),
        ("domainJoinConnectors($top=1)($top=2)", Malformed),
        ("domainJoinConnectors($top=1;$top=2)", Malformed),
        ("domainJoinConnectors($top=1;top=2)", Malformed),
        ("domainJoinConnectors($top=-1)", Malformed),
        ("domainJoinConnectors($filter=displayName eq 'x)", Malformed),
        ("domainJoinConnectors($filter=)", Malformed),
        ('domainJoinConnectors($search="a)', Malformed),
    ],
)
def test_an_expansion_that_is_none_is_refused(text: str, refusal: type[ProtocolRefusal]) -> None:
    refused(f"$expand={quote(text)}", refusal, Kind.SINGLETON)


# --- anything


PARTS: Final = [
    *("$filter", "filter", "$top", "$skip", "$select", "$expand", "$orderby", "$search", "$count", "@p", "$foo"),
    *("=", "=", "&", "%", "%2", "%27", "'", "(", ")", ";", ",", "*", "+", "%00", "%FF", "\xff", "state eq 'error'"),
    *("domainJoinConnectors", "id", "displayName eq @p", "1", "-1", '"', "\\", "/"),
]  # fmt: skip


@drawn(st.lists(st.sampled_from(PARTS) | st.text(st.characters(max_codepoint=255), max_size=4), max_size=12))
def test_any_text_is_a_query_or_a_refusal(parts: list[str]) -> None:
    raw = "".join(parts)
    for kind in TAKEN:
        try:
            read(raw, kind)
        except ProtocolRefusal as refusal:
            said = refusal.message
        else:
            said = "taken"
        said.encode()
    assert raw == "" or given("mine=1").system == {}
