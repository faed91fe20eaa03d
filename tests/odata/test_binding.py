"""What names, literals and operators mean against an entity type, and with what words the rest is refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import pytest

from adjoin.model import BETA, CONNECTOR, CONNECTOR_STATE
from adjoin.odata.binding import MAX_ORDER_KEYS, Surroundings, bind_filter, bind_order
from adjoin.odata.bound import NULL, Bound, Constant, Field, Operation, Order, Sort
from adjoin.odata.errors import Malformed, NotServed, ProtocolRefusal, UnknownName, WrongType
from adjoin.odata.values import Instant

NOW: Final = Instant.parse("2026-11-24T02:53:07Z")
ID, NAME, TIME, STATE, VERSION = (Field(each) for each in CONNECTOR.properties)
QUALIFIED: Final = "microsoft.graph.deviceManagementDomainJoinConnector"
STATE_TYPE: Final = "microsoft.graph.deviceManagementDomainJoinConnectorState"


def around(aliases: Mapping[str, str] | None = None) -> Surroundings:
    return Surroundings(BETA, CONNECTOR, NOW, aliases or {})


def bind(text: str, **aliases: str) -> Bound:
    """A filter bound; `p="1"` is the alias `@p=1`."""
    return bind_filter(text, around({f"@{name}": value for name, value in aliases.items()}))


def operands(text: str, **aliases: str) -> tuple[Bound, ...]:
    bound = bind(text, **aliases)
    assert isinstance(bound, Operation)
    return bound.operands


def string(value: str) -> Constant:
    return Constant(Sort.STRING, value)


def member(number: int) -> Constant:
    return Constant(Sort.ENUM, number, CONNECTOR_STATE)


def instant(text: str) -> Constant:
    return Constant(Sort.INSTANT, Instant.parse(text))


def refused(text: str, kind: type[ProtocolRefusal], **aliases: str) -> str:
    with pytest.raises(ProtocolRefusal) as caught:
        bind(text, **aliases)
    assert type(caught.value) is kind, caught.value
    return caught.value.message


# --- names


@pytest.mark.parametrize(
    "name",
    [
        *("displayName", "DisplayName", "displayname", "DISPLAYNAME", "$it/displayName", f"{QUALIFIED}/displayName"),
        *(f"$it/{QUALIFIED}/displayName", "graph.deviceManagementDomainJoinConnector/displayName"),
        "MICROSOFT.GRAPH.DEVICEMANAGEMENTDOMAINJOINCONNECTOR/DISPLAYNAME",
    ],
)
def test_a_property_is_found_in_any_case_and_behind_a_cast_to_its_own_type(name: str) -> None:
    assert operands(f"{name} eq 'x'") == (NAME, string("x"))


def test_a_property_of_the_base_type_is_found_behind_a_cast_to_it() -> None:
    assert operands("microsoft.graph.entity/id eq 'x'") == (ID, string("x"))


@pytest.mark.parametrize("operator", ["eq", "EQ", "Eq"])
def test_operators_and_functions_go_in_any_case(operator: str) -> None:
    assert bind(f"STARTSWITH(displayName,'a') {operator} TRUE") == bind("startswith(displayName,'a') eq true")


@pytest.mark.parametrize(
    "text", ["foo eq 1", "$it/foo eq 1", "foo", "displayNam eq 'x'", "contains(foo,'a')", "foo/bar eq 1"]
)
def test_an_unknown_property_is_named(text: str) -> None:
    found = refused(text, UnknownName)
    name = "displayNam" if "displayNam" in text else "foo"
    assert found == f"Could not find a property named '{name}' on type '{QUALIFIED}'."


@pytest.mark.parametrize("text", ["microsoft.graph.deviceManagement/id eq 'x'", "no.such/id eq 'x'"])
def test_a_cast_to_another_type_is_unknown(text: str) -> None:
    refused(text, UnknownName)


@pytest.mark.parametrize(
    "text", ["displayName/length eq 1", "state/x eq 1", "displayName/any()", "displayName/$count eq 1"]
)
def test_nothing_follows_a_single_value(text: str) -> None:
    assert "is a single value" in refused(text, WrongType)


# --- literals in the type of what they are compared with (4.01: M41.9a, M41.9b)


@pytest.mark.parametrize(
    "literal",
    [
        *(
            "'error'",
            "'Error'",
            "'ERROR'",
            f"{STATE_TYPE}'error'",
            f"{STATE_TYPE}'Error'",
            f"{STATE_TYPE.upper()}'error'",
        ),
        *("graph.deviceManagementDomainJoinConnectorState'error'", "1", "'1'", f"{STATE_TYPE}'1'"),
    ],
)
def test_a_member_of_an_enumeration_goes_by_name_or_number_with_or_without_its_type(literal: str) -> None:
    assert operands(f"state eq {literal}") == (STATE, member(1))
    assert operands(f"{literal} eq state") == (member(1), STATE)
    assert operands(f"state in ({literal},'active')") == (STATE, member(1), member(0))


@pytest.mark.parametrize(
    "literal", ["'lost'", "''", "3", "-1", "'err'", f"{STATE_TYPE}'lost'", "'0x1'", "'error,active'"]
)
def test_an_unknown_member_is_refused_with_the_known_ones(literal: str) -> None:
    said = refused(f"state eq {literal}", WrongType)
    assert "is not a valid enumeration type constant" in said
    assert "active, error, inactive" in said


def test_an_unknown_enumeration_type_is_named() -> None:
    assert "'no.such'" in refused("state eq no.such'error'", UnknownName)
    refused("state eq microsoft.graph.entity'error'", UnknownName)


@pytest.mark.parametrize(
    ("text", "constant"),
    [
        ("displayName eq 'ÉABC'", string("éabc")),
        ("displayName eq 'O''Neil'", string("o'neil")),
        ("id eq 77296CF7-6cf7-7729-f76c-2977f76c2977", string("77296cf7-6cf7-7729-f76c-2977f76c2977")),
        ("lastConnectionDateTime eq 2016-12-31T23:58:36.6670033-08:00", instant("2016-12-31T23:58:36.6670033-08:00")),
        ("lastConnectionDateTime eq '2016-12-31T23:58:36Z'", instant("2016-12-31T23:58:36Z")),
        ("lastConnectionDateTime eq 2016-12-31", instant("2016-12-31T00:00:00Z")),
        ("lastConnectionDateTime eq now()", Constant(Sort.INSTANT, NOW)),
        ("date(lastConnectionDateTime) eq 2016-12-31", Constant(Sort.DATE, "2016-12-31")),
        ("date(lastConnectionDateTime) eq '2016-12-31'", Constant(Sort.DATE, "2016-12-31")),
        ("time(lastConnectionDateTime) eq 23:58", Constant(Sort.TIME, "23:58:00")),
        ("time(lastConnectionDateTime) eq '23:58:00.5000'", Constant(Sort.TIME, "23:58:00.5")),
        ("length(displayName) eq 5", Constant(Sort.INTEGER, 5)),
        ("length(displayName) eq '5'", Constant(Sort.INTEGER, 5)),
        ("length(displayName) eq 5.00", Constant(Sort.INTEGER, 5)),
        ("length(displayName) eq -5", Constant(Sort.INTEGER, -5)),
        ("length(displayName) eq 9223372036854775807", Constant(Sort.INTEGER, 2**63 - 1)),
        ("length(displayName) eq -9223372036854775808", Constant(Sort.INTEGER, -(2**63))),
        ("length(displayName) eq '9223372036854775807'", Constant(Sort.INTEGER, 2**63 - 1)),
        ("length(displayName) eq 9223372036854775807.0", Constant(Sort.INTEGER, 2**63 - 1)),
        ("contains(displayName,'a') eq 'True'", Constant(Sort.BOOLEAN, True)),
        ("contains(displayName,'a') eq FALSE", Constant(Sort.BOOLEAN, False)),
        ("displayName eq null", NULL),
    ],
)
def test_a_literal_becomes_a_value_of_the_other_sides_type(text: str, constant: Constant) -> None:
    assert operands(text)[1] == constant


@pytest.mark.parametrize("items", ["'5',6", "6,'5'", "'5',null,6"])
def test_a_literal_left_of_in_takes_one_type_with_all_of_the_list(items: str) -> None:
    sorts = {each.sort for each in operands(f"'5' in ({items})")} - {Sort.NULL}
    assert sorts == {Sort.INTEGER}


@pytest.mark.parametrize(
    "text",
    [
        *("displayName eq 5", "displayName eq true", "displayName eq 2016-12-31", "displayName eq state"),
        *("lastConnectionDateTime eq 5", "lastConnectionDateTime eq '2016-12-31'", "lastConnectionDateTime gt 'soon'"),
        *("lastConnectionDateTime eq '2016-12-31T23:58:36'", "lastConnectionDateTime eq 23:58", "state eq true"),
        *("length(displayName) eq 'five'", "length(displayName) eq true", "length(displayName) eq displayName"),
        *("date(lastConnectionDateTime) eq 'today'", "date(lastConnectionDateTime) eq lastConnectionDateTime"),
        *("state in ('error',true)", "displayName in (1)", "displayName and true", "not displayName", "true or 1"),
        *("not state eq 'error'", "state has 'error'", "displayName has 'error'", f"state has {STATE_TYPE}'error'"),
        *("true eq 1", "displayName", "1", "'true'", "length(displayName)", "2016-12-31", "now()"),
        "contains(displayName,'a') and displayName",
    ],
)  # fmt: skip
def test_operands_of_other_types_are_refused(text: str) -> None:
    refused(text, WrongType)


def test_refusals_of_types_are_in_the_words_that_graph_uses() -> None:
    assert refused("displayName eq 5", WrongType) == (
        "A binary operator with incompatible types was detected. "
        "Found operand types 'Edm.String' and 'Edm.Int64' for operator kind 'Equal'."
    )
    assert "for operator kind 'And'" in refused("displayName and true", WrongType)
    assert STATE_TYPE in refused("state gt displayName", WrongType)
    assert refused("displayName", WrongType) == "The $filter expression must evaluate to a single boolean value."
    assert "write not(a eq b)" in refused("not displayName eq 'x'", WrongType)


@pytest.mark.parametrize("right", ["'alpha'", "5", "true", "2016-12-31", "@p", "@q"])
def test_in_takes_no_single_value_on_its_right(right: str) -> None:
    assert "a list of values" in refused(f"displayName in {right}", WrongType, p="'alpha'", q="@p")


@pytest.mark.parametrize("right", ["(displayName)", "null", "tolower('x')", '{"a":1}'])
def test_in_is_served_with_a_list_of_literals(right: str) -> None:
    refused(f"displayName in {right}", NotServed)


@pytest.mark.parametrize("text", ["not", "NOT", "(not)", "not eq true", "state eq 'error' and not", "not(not)"])
def test_a_not_without_an_operand_is_malformed(text: str) -> None:
    assert "expected an operand after 'not'" in refused(text, Malformed).lower()


@pytest.mark.parametrize(
    "text",
    [
        *("lastConnectionDateTime gt 2016-02-30", "lastConnectionDateTime gt 2016-02-30T00:00:00Z"),
        *("lastConnectionDateTime gt 0000-01-01", "lastConnectionDateTime gt 10000-01-01T00:00:00Z"),
        *("lastConnectionDateTime gt -0001-01-01", "time(lastConnectionDateTime) gt 23:59:60"),
        *("length(displayName) gt 9223372036854775808", "length(displayName) gt " + "9" * 400, "displayName eq '\x00'"),
        *("displayName eq '\ud800'", 'displayName in ["\\ud800"]', "length(displayName) eq -9223372036854775809.0"),
    ],
)  # fmt: skip
def test_a_value_that_there_cannot_be_is_malformed(text: str) -> None:
    refused(text, Malformed)


# --- parameter aliases


@pytest.mark.parametrize(
    ("text", "aliases", "same"),
    [
        ("displayName eq @p", {"p": "'x'"}, "displayName eq 'x'"),
        ("@p", {"p": "displayName eq 'x' or state eq 'error'"}, "displayName eq 'x' or state eq 'error'"),
        ("@p eq @q", {"p": "displayName", "q": "'x'"}, "displayName eq 'x'"),
        ("displayName eq @p", {"p": "@q", "q": "@r", "r": "'x'"}, "displayName eq 'x'"),
        ("displayName eq @p and version eq @p", {"p": "'x'"}, "displayName eq 'x' and version eq 'x'"),
        ("displayName eq @p", {}, "displayName eq null"),
        ("displayName eq @P", {"p": "'x'"}, "displayName eq null"),
        ("state eq @p", {"p": "'Error'"}, "state eq 'error'"),
        ("contains(displayName,@p)", {"p": "'x'"}, "contains(displayName,'x')"),
        ("displayName in @p", {"p": "['x',null]"}, "displayName in ('x',null)"),
        ("displayName in @p", {"p": '["x","y"]'}, "displayName in ('x','y')"),
        ("displayName in @p", {"p": "@q", "q": "['x']"}, "displayName in ('x')"),
        ("displayName in ['x',@p]", {"p": "'y'"}, "displayName in ('x','y')"),
    ],
)  # fmt: skip
def test_an_alias_stands_for_its_expression_and_without_one_for_null(
    text: str, aliases: dict[str, str], same: str
) -> None:
    assert bind(text, **aliases) == bind(same)


@pytest.mark.parametrize(
    "aliases",
    [{"p": "@p"}, {"p": "@q", "q": "@p"}, {"p": "not(@q)", "q": "@r", "r": "true and @p"}, {"p": "(@p)"}],
)
@pytest.mark.parametrize("text", ["@p", "displayName eq @p", "displayName in @p"])
def test_an_alias_that_holds_itself_is_malformed(text: str, aliases: dict[str, str]) -> None:
    with pytest.raises((Malformed, NotServed)) as caught:
        bind(text, **aliases)
    assert isinstance(caught.value, Malformed) or text == "displayName in @p"


@pytest.mark.parametrize("text", ["'x", "", "a eq", "('x'", ")"])
def test_an_alias_that_cannot_be_read_is_malformed(text: str) -> None:
    refused("displayName eq @p", Malformed, p=text)


@pytest.mark.parametrize(
    ("link", "times"),
    [
        (lambda below: f"{below} and {below}", 14),
        (lambda below: " or ".join([below] * 100), 2),
        (lambda below: f"contains(concat(displayName,{below}),concat({below},{below}))", 9),
        (lambda below: "not(" * 20 + below + ")" * 20, 60),
        (lambda below: "trim(" * 40 + below + ")" * 40, 60),
    ],
    ids=["twice", "wide", "in functions", "deep", "deep functions"],
)
def test_aliases_cannot_make_an_expression_larger_than_could_be_written_out(
    link: Callable[[str], str], times: int
) -> None:
    aliases = {f"p{number}": link(f"@p{number + 1}") for number in range(times)}
    with pytest.raises(ProtocolRefusal) as caught:
        bind("@p0", **aliases)
    assert type(caught.value) in (Malformed, NotServed)


@pytest.mark.parametrize(
    "text", ["$it", "$it eq null", "$this eq null", "displayName in $it", "$root/deviceManagement/id eq 'x'"]
)
def test_a_variable_alone_is_not_served(text: str) -> None:
    refused(text, NotServed)


# --- what OData has and this service does not run


@pytest.mark.parametrize(
    "text",
    [
        *("length(displayName) add 1 eq 2", "length(displayName) sub 1 eq 2", "length(displayName) mul 1 eq 2"),
        *("length(displayName) div 1 eq 2", "length(displayName) divby 1 eq 2", "length(displayName) mod 1 eq 2"),
        *("-length(displayName) eq 2", "now() lt now() sub duration'P1D'", "1.5 eq length(displayName)"),
        *("length(displayName) eq 1e3", "length(displayName) eq INF", "length(displayName) eq NaN"),
        *("lastConnectionDateTime eq duration'P1D'", "displayName eq binary'AAAA'", "cast(displayName,Edm.Int32) eq 1"),
        *("isof(microsoft.graph.entity)", "isof(displayName,Edm.String)", "case(true:true)", "round(1.5) eq 2"),
        *("floor(1.5) eq 1", "ceiling(1.5) eq 2", "maxdatetime() eq now()", "mindatetime() eq now()"),
        *("fractionalseconds(now()) eq 0", "totaloffsetminutes(now()) eq 0"),
        "totalseconds(duration'P1D') eq 1",
        *("matchespattern(displayName,'^a')", "hassubset([1],[1])", "hassubsequence([1],[1])"),
        *("geo.distance(geography'SRID=0;Point(1 1)',geography'SRID=0;Point(1 1)') eq 1", "displayName in (version)"),
        *("displayName in [version]", "displayName in [['x']]", "displayName eq ['x']", 'displayName eq {"a":1}'),
        *("displayName in version", "no.such.function(a=1)", "@Core.Term eq 1"),
    ],
)  # fmt: skip
def test_well_formed_odata_that_is_not_run_says_so(text: str) -> None:
    refused(text, NotServed)


# --- $orderby


def test_an_order_is_its_keys_with_their_directions() -> None:
    assert bind_order("displayName,STATE desc, $it/version ASC", around()) == (
        Order(NAME),
        Order(STATE, descending=True),
        Order(VERSION),
    )
    (key,) = bind_order("contains(displayName,'A') desc", around())
    assert key == Order(Operation("contains", Sort.BOOLEAN, (NAME, string("a"))), descending=True)


@pytest.mark.parametrize("text", ["null", "'x'", "1 desc", "now()", "@p", "true,false"])
def test_what_is_the_same_for_every_row_is_no_key(text: str) -> None:
    assert bind_order(f"{text},id", around()) == (Order(ID),)


@pytest.mark.parametrize(
    "text", ["", ",", "displayName,", "displayName up", "displayName desc desc", "displayName asc,,id"]
)
def test_an_order_that_cannot_be_read_is_malformed(text: str) -> None:
    with pytest.raises(Malformed):
        bind_order(text, around())


def test_an_order_has_a_limit_of_keys() -> None:
    keys = [f"length(displayName) eq {number}" for number in range(MAX_ORDER_KEYS)]
    assert len(bind_order(",".join(keys), around())) == MAX_ORDER_KEYS
    with pytest.raises(Malformed, match=f"more than {MAX_ORDER_KEYS} keys"):
        bind_order(",".join([*keys, "id"]), around())


def test_a_key_that_is_there_again_orders_nothing_more() -> None:
    assert bind_order("state,ID desc,State desc,id", around()) == (Order(STATE), Order(ID, descending=True))


@pytest.mark.parametrize(
    ("text", "kind"), [("foo", UnknownName), ("state add 1", NotServed), ("length(state)", WrongType)]
)
def test_an_order_is_refused_as_a_filter_is(text: str, kind: type[Any]) -> None:
    with pytest.raises(kind):
        bind_order(text, around())


# --- messages


@pytest.mark.parametrize(
    "text",
    [
        *("x" * 5_000 + " eq 1", "displayName/" + "y" * 99, "state eq '" + "é" * 5_000 + "'"),
        f"state eq x.{'y' * 90}'z'",
        "displayName eq " + "9" * 5_000,
        "length(displayName) add " + " add ".join(["1"] * 40) + " eq 2",
    ],
)  # fmt: skip
def test_messages_stay_short_whatever_was_written(text: str) -> None:
    with pytest.raises(ProtocolRefusal) as caught:
        bind(text)
    assert len(caught.value.message) < 400
