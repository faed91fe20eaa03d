"""Filters and orders in SQL mean what OData says they mean: by hand, and against an evaluator in plain Python.

The entity type here has a property of every kind, nullable and not. `ADJOIN_FULL=1` runs the same properties longer.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, Protocol, TypeVar

import apsw
import pytest
from tests.full import FULL
from tests.odata import evaluator
from tests.odata.evaluator import Row

from adjoin.odata.binding import Surroundings, bind_filter, bind_order
from adjoin.odata.bound import Bound, Order
from adjoin.odata.edm import EntityType, EnumType, Model, Primitive, Property
from adjoin.odata.errors import Malformed, NotServed, UnknownName, WrongType
from adjoin.odata.search import bind_search
from adjoin.odata.values import Instant
from adjoin.store.columns import Table, stored
from adjoin.store.link import connect
from adjoin.store.statements import Everywhere
from adjoin.store.where import Parameters, condition, following, order, value

T = TypeVar("T")

REFUSALS: Final = (Malformed, UnknownName, WrongType, NotServed)
CHUNKS: Final = range(10)
FILTERS: Final = (200_000 if FULL else 2_000) // len(CHUNKS)
ORDERS: Final = (10_000 if FULL else 150) // len(CHUNKS)

MOOD: Final = EnumType("mood", "test", {"calm": 0, "Cross": 1, "glad": 5})
SAMPLE: Final = EntityType(
    "sample",
    "test",
    own_key="id",
    own_properties=(
        Property("id", Primitive.STRING, nullable=False, guid=True),
        Property("name", Primitive.STRING, searchable=True),
        Property("fullTitle", Primitive.STRING, nullable=False, searchable=True),
        Property("seenDateTime", Primitive.DATE_TIME_OFFSET),
        Property("madeDateTime", Primitive.DATE_TIME_OFFSET, nullable=False),
        Property("mood", MOOD),
        Property("need", MOOD, nullable=False),
        Property("size", Primitive.INT64),
        Property("weight", Primitive.INT32, nullable=False),
        Property("open", Primitive.BOOLEAN),
        Property("kept", Primitive.BOOLEAN, nullable=False),
    ),
)
MODEL: Final = Model("test", "t", "Container", (MOOD,), (SAMPLE,), ())
TABLE: Final = Table("samples", SAMPLE)
NOW: Final = Instant.parse("2026-11-24T02:53:07.1234567Z")
AROUND: Final = Surroundings(MODEL, SAMPLE, NOW)

HERE: Final = "2026-11-24T03:53:07.1234567+01:00"  # now, as it is called elsewhere
EARLY: Final = "2016-12-31T23:58:36.6670033-08:00"
LATE: Final = "2016-12-31T23:58:36.6670034-08:00"  # 100 ns later
LAST: Final = "9999-12-31T23:59:59.9999999Z"
EARLY_UTC: Final = "2017-01-01T07:58:36.6670033Z"  # the moment of EARLY, elsewhere

# name, fullTitle, seenDateTime, madeDateTime, mood, need, size, weight, open, kept
_VALUES: Final[Sequence[tuple[Any, ...]]] = [
    (None, "", None, EARLY, None, "calm", None, 0, None, False),
    ("", "", EARLY, EARLY_UTC, "calm", "calm", 0, 0, False, False),
    ("abc", "ABC", EARLY_UTC, LATE, "Cross", "glad", 3, 3, True, True),
    ("ABC", "abc", LATE, EARLY, "glad", "Cross", -1, 5, False, True),
    ("abcabc", "bca", None, "2016-12-31T23:58:36.667Z", "Cross", "Cross", 6, -6, True, False),
    ("100% sure_thing\\", "%", "0001-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00", None, "glad", 2**40, 1, None, True),
    ("a_c", "_", LAST, "9999-12-31T23:59:59.9999999-12:00", "glad", "glad", -(2**40), 2, True, 1),
    ("a%c", "\\", "2024-02-29T12:00:00+01:30", "2024-02-29T10:30:00Z", None, "calm", 5, 7, False, False),
    ("Straße", "STRASSE", "2024-02-29T23:30:00-05:00", "2024-03-01T04:30:00Z", "calm", "Cross", 6, 7, None, False),
    ("İstanbul", "ıstanbul", "1999-12-31T23:59:59.9Z", "2000-01-01T00:00:00Z", "Cross", "calm", 8, 8, True, True),
    ("ΣΊΣΥΦΟΣ", "σίσυφος", "2000-01-01T00:00:00.0000001Z", "2000-01-01T00:00:00Z", "glad", "calm", 7, 7, False, True),
    ("É", "é", "2026-11-24T02:53:07.1234567Z", "2026-11-24T02:53:07.1234568Z", "calm", "glad", 1, 1, True, True),
    (" \u00a0abc\u2003\t", "\u001cabc\u001c", None, HERE, None, "glad", 6, 2**31 - 1, None, 0),
    ("😀 grin", "z\U0010ffff", "2016-12-31T00:00:00Z", "2016-12-31T00:00:00+00:01", "Cross", "calm", 6, -(2**31), 1, 0),
    ("O'Neil", '"quoted"', "2016-12-30T23:00:00-01:00", "2017-01-01T00:00:00Z", "calm", "Cross", None, 6, False, True),
    ("z\U0010ffff", "zz", EARLY_UTC, EARLY, None, "calm", 0, 2, None, True),
    ("\ud7ff", "\ue000", None, LATE, "glad", "Cross", None, 1, None, False),
    ("true", "null", "2016-12-31T23:58:36.667+00:00", LATE, "Cross", "glad", 1, 4, True, True),
]  # fmt: skip


def guid(number: int) -> str:
    return f"0000000{number % 7}-0000-4000-8000-{number:012x}"


def _value(declared: Property, given: Any) -> Any:
    if given is not None and declared.type is Primitive.DATE_TIME_OFFSET:
        return Instant.parse(given)
    return bool(given) if given is not None and declared.type is Primitive.BOOLEAN else given


ROWS: Final[Sequence[Row]] = [
    {each.name: _value(each, given) for each, given in zip(SAMPLE.properties, (guid(number), *values), strict=True)}
    for number, values in enumerate(_VALUES)
]
NUMBERS: Final = {guid(number): number for number in range(len(ROWS))}


class Rows(Protocol):
    """The rows in a table whose columns are those that the store would give it."""

    def fetch(self, sql: str, parameters: Sequence[object]) -> list[tuple[Any, ...]]: ...


class InSQLite:
    def __init__(self) -> None:
        self._connection = apsw.Connection(":memory:", statementcachesize=0)
        self.fetch(
            _table({"text": "TEXT", "integer": "INTEGER", "ticks": "INTEGER", "boolean": "INTEGER"}) + " STRICT", ()
        )
        for row in CELLS:
            self.fetch(f"INSERT INTO {TABLE.name} VALUES ({', '.join('?' * len(row))})", row)

    def fetch(self, sql: str, parameters: Sequence[object]) -> list[tuple[Any, ...]]:
        return self._connection.execute(sql, parameters).fetchall()


class InPostgreSQL:
    def __init__(self, url: str) -> None:
        self._runner = asyncio.Runner()
        self._link = self._runner.run(connect(url))
        kinds = {"text": 'TEXT COLLATE "C"', "integer": "INTEGER", "ticks": "BIGINT", "boolean": "BOOLEAN"}
        self._runner.run(self._link.run(_table(kinds)))
        for row in CELLS:
            self.fetch(f"INSERT INTO {TABLE.name} VALUES ({', '.join(f'?{at + 1}' for at in range(len(row)))})", row)

    def fetch(self, sql: str, parameters: Sequence[object]) -> list[tuple[Any, ...]]:
        return self._runner.run(self._link.fetch(Everywhere(sql), parameters))

    def close(self) -> None:
        self._runner.run(self._link.close())
        self._runner.close()


CELLS: Final = [[cell for each in SAMPLE.properties for cell in stored(each, row[each.name])] for row in ROWS]


def _table(kinds: Mapping[str, str]) -> str:
    columns = ", ".join(f"{column.name} {kinds[column.kind]}" for _, column in TABLE.columns)
    return f"CREATE TABLE {TABLE.name} ({columns})"


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest) -> Iterator[Rows]:
    if request.param == "sqlite":
        yield InSQLite()
        return
    opened = InPostgreSQL(request.getfixturevalue("postgresql").new())
    yield opened
    opened.close()


def found(database: Rows, bound: Bound) -> list[int]:
    """The rows that SQL finds for a filter, by their numbers."""
    parameters = Parameters()
    where = condition(bound, parameters)
    fetched = database.fetch(f"SELECT id FROM {TABLE.name} WHERE {where} ORDER BY id", parameters.values)
    return sorted(NUMBERS[row[0]] for row in fetched)


def values(database: Rows, bound: Bound) -> list[Any]:
    """What SQL makes of an expression, null included, in the order of the rows' numbers."""
    parameters = Parameters()
    text = value(bound, parameters)
    fetched = dict(database.fetch(f"SELECT id, {text} FROM {TABLE.name}", parameters.values))
    return [fetched[guid(number)] for number in range(len(ROWS))]


def expected(bound: Bound) -> list[int]:
    return [number for number, row in enumerate(ROWS) if evaluator.holds(bound, row)]


# --- by hand

ALL: Final = list(range(len(ROWS)))


def but(*numbers: int) -> list[int]:
    return [each for each in ALL if each not in numbers]


NAMELESS = 0
UNSEEN = (0, 4, 12, 16)
MOODLESS = (0, 5, 7, 12, 15)
SIZELESS = (0, 14, 16)
UNKNOWN = (0, 5, 8, 12, 15, 16)  # whether they are open
OPEN = (2, 4, 6, 9, 11, 13, 17)
SHUT = (1, 3, 7, 10, 14)

CASES: Final[Sequence[tuple[str, Sequence[int]]]] = [
    # Comparison with null is true or false (5.1.1.1): nothing else that is null is lost or won.
    ("name eq null", [NAMELESS]),
    ("null eq name", [NAMELESS]),
    ("name ne null", but(NAMELESS)),
    ("null ne name", but(NAMELESS)),
    ("name ne 'abc'", but(2, 3)),
    ("'abc' ne name", but(2, 3)),
    ("not(name eq 'abc')", but(2, 3)),
    ("not(name ne 'abc')", [2, 3]),
    ("fullTitle eq null", []),
    ("fullTitle ne null", ALL),
    ("null eq null", ALL),
    ("null ne null", []),
    ("mood eq null", MOODLESS),
    ("mood ne null", but(*MOODLESS)),
    ("mood ne 'calm'", but(1, 8, 11, 14)),
    ("need ne 'calm'", [2, 3, 4, 5, 6, 8, 11, 12, 14, 16, 17]),
    ("seenDateTime eq null", UNSEEN),
    ("seenDateTime ne null", but(*UNSEEN)),
    ("size eq null", SIZELESS),
    ("size ne 6", but(4, 8, 12, 13)),
    ("open eq null", UNKNOWN),
    ("open ne true", but(*OPEN)),
    ("open eq false", SHUT),
    # gt, ge, lt and le are false with null on either side, and their opposite true.
    ("name gt null", []),
    ("null ge null", []),
    ("null lt name", []),
    ("not(name gt null)", ALL),
    ("size gt 5", [4, 5, 8, 9, 10, 12, 13]),
    ("not(size gt 5)", but(4, 5, 8, 9, 10, 12, 13)),
    ("size le 0", [1, 3, 6, 15]),
    ("not(size le 0)", but(1, 3, 6, 15)),
    ("seenDateTime lt 2016-12-31T00:00:00.0000001Z", [5, 9, 10, 13, 14]),
    ("(size gt 5) eq false", but(4, 5, 8, 9, 10, 12, 13)),
    ("(size gt 5) eq null", []),
    ("size gt weight", [4, 5, 13]),
    ("size ge weight", [1, 2, 4, 5, 9, 10, 11, 13]),
    ("name lt fullTitle", [4, 9, 16]),
    # and, or, not with null (5.1.1.1.7 to 5.1.1.1.9).
    ("open", OPEN),
    ("not open", SHUT),
    ("not(not open)", OPEN),
    ("null", []),
    ("not null", []),
    ("open and null", []),
    ("not(open and null)", SHUT),
    ("open or null", OPEN),
    ("not(open or null)", []),
    ("(open and null) eq null", [*sorted({*ALL} - {*SHUT})]),
    ("(open or null) eq null", [*sorted({*ALL} - {*OPEN})]),
    ("(null and false) eq false", ALL),
    ("(null or true) eq true", ALL),
    ("open or kept", [2, 3, 4, 5, 6, 9, 10, 11, 13, 14, 15, 17]),
    ("open and kept", [2, 6, 9, 11, 17]),
    ("not(open and kept)", [0, 1, 3, 4, 7, 8, 10, 12, 13, 14, 16]),
    ("true", ALL),
    ("false", []),
    ("not false", ALL),
    ("true gt false", ALL),
    ("open gt false", OPEN),
    # in
    ("name in ('abc','É')", [2, 3, 11]),
    ("name in ('abc',null)", [0, 2, 3]),
    ("not(name in ('abc',null))", but(0, 2, 3)),
    ("not(name in ('abc'))", but(2, 3)),
    ("name in (null)", [0]),
    ("name in ()", []),
    ("not(name in ())", ALL),
    ("null in (null,1)", ALL),
    ("null in ('a')", []),
    ("(size in (6,null)) eq true", [0, 4, 8, 12, 13, 14, 16]),
    ("need in ('cross',5)", [2, 3, 4, 5, 6, 8, 11, 12, 14, 16, 17]),
    ("seenDateTime in (2016-12-31,2017-01-01T07:58:36.6670033Z)", [1, 2, 13, 14, 15]),
    ("'5' in ('5',6)", ALL),
    # A function of null is null.
    ("contains(name,'')", but(0)),
    ("not contains(name,'a')", [1, 5, 10, 11, 13, 14, 15, 16, 17]),
    ("contains(name,null)", []),
    ("not contains(name,null)", []),
    ("contains(name,null) eq null", ALL),
    ("startswith(name,'') eq null", [0]),
    ("length(name) eq null", [0]),
    ("length(name) gt 0", but(0, 1)),
    ("concat(name,'x') eq null", [0]),
    ("indexof(name,'zz') eq -1", but(0)),
    ("substring(name,0) eq null", [0]),
    ("substring('abc',size) eq null", SIZELESS),
    ("substring(fullTitle,length(name)) eq null", [0]),
    ("substring('abc',0,size) eq null", SIZELESS),
    ("year(seenDateTime) eq null", UNSEEN),
    ("date(seenDateTime) eq null", UNSEEN),
    ("time(seenDateTime) ne null", but(*UNSEEN)),
    ("trim(name) eq null", [0]),
    # Strings, by their characters and without regard to case.
    ("name eq 'ABC'", [2, 3]),
    ("name eq 'abc' and fullTitle eq 'abc'", [2, 3]),
    ("name eq fullTitle", [1, 2, 3, 10, 11]),
    ("name eq 'STRAßE'", [8]),
    ("contains(name,'ẞ')", [8]),
    ("name eq 'strasse'", []),
    ("contains(name,'σίσ')", [10]),
    ("endswith(fullTitle,'ΟΣ')", [10]),
    ("startswith(name,'i')", []),
    ("startswith(name,'İ')", [9]),
    ("startswith(fullTitle,'I')", []),
    ("startswith(fullTitle,'ı')", [9]),
    ("name eq 'é'", [11]),
    ("name eq 'o''neil'", [14]),
    ("contains(name,'%')", [5, 7]),
    ("contains(name,'_')", [5, 6]),
    ("contains(name,'\\')", [5]),
    ("startswith(name,'a_')", [6]),
    ("startswith(name,'a%')", [7]),
    ("endswith(name,'\\')", [5]),
    ("fullTitle eq '%'", [5]),
    ("startswith(name,'abcabcabc')", []),
    ("endswith(name,'abcabcabc')", []),
    ("startswith(name,'z\U0010ffff')", [15]),
    ("startswith(name,'\U0010ffff')", []),
    ("startswith(name,'\ud7ff')", [16]),
    ("startswith('abcdef',name)", [1, 2, 3]),
    ("endswith('zabc',name)", [1, 2, 3]),
    ("contains(concat(name,fullTitle),'bcab')", [2, 3, 4]),
    ("length(name) eq 6", [4, 8, 13, 14]),
    ("length('😀') eq 1", ALL),
    ("indexof(name,'bc') eq 1", [2, 3, 4]),
    ("indexof(name,'') eq 0", but(0)),
    ("indexof(name,'grin') eq 2", [13]),
    ("tolower(name) eq 'ABC'", [2, 3]),
    ("toupper(name) eq 'abc'", [2, 3]),
    ("trim(name) eq 'abc'", [2, 3, 12]),
    ("trim(fullTitle) eq 'abc'", [2, 3]),
    ("substring(name,1) eq 'bc'", [2, 3]),
    ("substring(name,1,1) eq 'b'", [2, 3, 4]),
    ("substring(name,3) eq 'ABC'", [4]),
    ("substring(name,-3) eq 'abc'", [2, 3, 4]),
    ("substring(name,-4,2) eq 'ca'", [4]),
    ("substring(name,-100) eq 'abc'", [2, 3]),
    ("substring(name,-100,2) eq 'ab'", [2, 3, 4]),
    ("substring(name,100) eq ''", but(0)),
    ("substring(name,0,0) eq ''", but(0)),
    ("substring(name,0,-1) eq ''", but(0)),
    ("substring(name,4294967296) eq ''", but(0)),
    ("substring(name,4294967297) eq ''", but(0)),
    ("substring(name,2147483647) eq ''", but(0)),
    ("substring(name,-4294967296) eq 'abc'", [2, 3]),
    ("substring(name,0,4294967296) eq 'abc'", [2, 3]),
    ("substring(name,1,4294967295) eq 'bc'", [2, 3]),
    # Moments: by instant to 100 ns, parts at the value's own offset.
    (f"madeDateTime eq {EARLY}", [0, 1, 3, 15]),
    (f"madeDateTime eq {EARLY_UTC}", [0, 1, 3, 15]),
    (f"madeDateTime eq {LATE}", [2, 16, 17]),
    (f"madeDateTime gt {EARLY} and madeDateTime lt 2018-01-01T00:00:00Z", [2, 16, 17]),
    ("madeDateTime eq '2017-01-01T07:58:36.6670034Z'", [2, 16, 17]),
    ("madeDateTime eq seenDateTime", [1, 7, 8, 15]),
    ("madeDateTime eq now()", [12]),
    ("seenDateTime ge now()", [6, 11]),
    ("madeDateTime eq 2017-01-01", [14]),
    ("madeDateTime lt 0001-01-01T00:00:00Z", [5]),
    ("madeDateTime gt 9999-12-31T23:59:59.9999999Z", [6]),
    ("year(madeDateTime) eq 2016", [0, 2, 3, 4, 13, 15, 16, 17]),
    ("year(madeDateTime) eq 1", [5]),
    ("year(madeDateTime) eq 9999", [6]),
    ("month(seenDateTime) eq 2 and day(seenDateTime) eq 29", [7, 8]),
    ("hour(madeDateTime) eq 23", [0, 2, 3, 4, 6, 15, 16, 17]),
    ("minute(seenDateTime) eq 30", [8]),
    ("second(seenDateTime) eq 36", [1, 2, 3, 15, 17]),
    ("date(seenDateTime) eq 2016-12-31", [1, 3, 13, 17]),
    ("date(seenDateTime) eq '2016-12-31'", [1, 3, 13, 17]),
    ("date(seenDateTime) lt 0001-01-02", [5]),
    ("time(madeDateTime) eq 00:00:00", [5, 9, 10, 13, 14]),
    ("time(madeDateTime) eq 00:00", [5, 9, 10, 13, 14]),
    ("time(seenDateTime) eq 23:58:36.667", [17]),
    ("time(seenDateTime) gt 23:58:36.667", [1, 3, 6, 9]),
    ("time(seenDateTime) lt 00:00:00.0000002", [5, 10, 13]),
    ("hour(12:30:00) eq 12", ALL),
    ("minute(12:30:00) eq 30", ALL),
    ("hour(2016-12-31T23:58:36-08:00) eq 23", ALL),
    ("year(2016-12-31) eq 2016", ALL),
    # Enumerations go by their numbers.
    ("need eq 'cross'", [3, 4, 8, 14, 16]),
    ("need eq test.mood'Cross'", [3, 4, 8, 14, 16]),
    ("need eq t.MOOD'cross'", [3, 4, 8, 14, 16]),
    ("need eq 1", [3, 4, 8, 14, 16]),
    ("need eq '1'", [3, 4, 8, 14, 16]),
    ("need gt 'Cross'", [2, 5, 6, 11, 12, 17]),
    ("mood eq need", [1, 4, 6]),
    ("mood ne need", but(1, 4, 6)),
    ("mood lt need", [2, 8, 11, 14, 17]),
    # Keys
    (f"id eq '{guid(8)}'", [8]),
    (f"id eq {guid(8).upper()}", [8]),
    ("startswith(id,'00000001')", [1, 8, 15]),
    # Paths
    ("$it/name eq 'abc'", [2, 3]),
    ("test.sample/name eq 'abc'", [2, 3]),
    ("$it/t.sample/NAME eq 'abc'", [2, 3]),
]  # fmt: skip


@pytest.mark.parametrize(("text", "numbers"), CASES, ids=[ascii(text) for text, _ in CASES])
def test_a_filter_finds_the_rows_that_a_reader_of_odata_would(
    database: Rows, text: str, numbers: Sequence[int]
) -> None:
    bound = bind_filter(text, AROUND)
    assert found(database, bound) == sorted(numbers)
    assert expected(bound) == sorted(numbers)


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("abc", [2, 3, 4, 12]),
        ("NOT abc", but(2, 3, 4, 12)),
        ("NOT 100%", but(5)),
        ('"abc" NOT bca', [2, 3, 12]),
        ("é OR o'neil", [11, 14]),
        ("%", [5, 7]),
        ('"\\"quoted\\""', [14]),
        ("abc AND (ABC OR x) AND NOT abcabc", [2, 3, 12]),
    ],
)  # fmt: skip
def test_a_search_term_is_held_or_not_held_by_every_row(database: Rows, text: str, numbers: Sequence[int]) -> None:
    bound = bind_search(text, SAMPLE)
    assert found(database, bound) == numbers
    assert expected(bound) == numbers


def test_text_of_a_caller_never_enters_the_sql(database: Rows) -> None:
    text = "startswith(name,'zzz'' or 1=1 --') or name in ('x'') --') or substring(name,1) eq ''';drop'"
    parameters = Parameters()
    sql = condition(bind_filter(text, AROUND), parameters)
    assert not any(part in sql for part in ("'", "--", "zzz", "drop"))
    assert found(database, bind_filter(text, AROUND)) == []


# --- generated


Kind = Callable[["Writer", int], str]


@dataclass
class Writer:
    """Writes filters at random, from all that is served; now and then of the wrong type, or as no one would."""

    random: random.Random
    aliases: dict[str, str] = field(default_factory=dict)

    STRINGS: ClassVar[Sequence[str]] = (
        "", "a", "abc", "ABC", "b", "%", "_", "\\", "ß", "SS", "İ", "ı", "i", "Σ", "ς", "é", " abc", "\u00a0", "😀",
        "z\U0010ffff", "\U0010ffff", "\ud7ff", "O''Neil", "0", "00000001", "cross", "2016-12-31", EARLY, "zz", "null",
    )  # fmt: skip
    NUMBERS: ClassVar[Sequence[str]] = (
        *("0", "1", "2", "3", "5", "6", "7", "8", "-1", "-2", "-3", "-100", "100", "12", "23", "31", "58", "2016"),
        *("9999", "2147483647", "2147483648", "4294967295", "4294967296", "-4294967296", "9007199254740992", "5.0"),
    )
    INSTANTS: ClassVar[Sequence[str]] = (
        EARLY, LATE, EARLY_UTC, "2016-12-31T00:00:00Z", "2000-01-01T00:00Z", "0001-01-01T00:00:00+14:00", "now()",
        "9999-12-31T23:59:59.9999999-12:00", "2024-02-29T23:30:00-05:00", "0001-01-01T00:00Z", "1999-12-31T23:59:59.9z",
    )  # fmt: skip
    DATES: ClassVar[Sequence[str]] = (
        "2016-12-31",
        "2017-01-01",
        "2024-02-29",
        "0001-01-01",
        "9999-12-31",
        "2000-01-01",
    )
    TIMES: ClassVar[Sequence[str]] = (
        "00:00",
        "23:58:36.667",
        "23:58:36.6670033",
        "12:30:00",
        "00:00:00.0000001",
        "23:59:59.9999999",
    )
    ENUMS: ClassVar[Sequence[str]] = ("'calm'", "'CROSS'", "test.mood'glad'", "t.Mood'5'", "1", "'5'")

    def any_of(self, things: Sequence[T]) -> T:
        return self.random.choice(things)

    def chance(self, of: float) -> bool:
        return self.random.random() < of

    def filter(self) -> str:
        return self.boolean(self.any_of((1, 2, 2, 3, 4)))

    def order(self) -> str:
        keys = [self.key() + self.any_of(("", " asc", " desc", " DESC")) for _ in range(self.random.randint(1, 4))]
        return self.any_of((",", " , ", ", ")).join(keys)

    def key(self) -> str:
        if self.chance(0.6):
            return self.name(self.any_of([each.name for each in SAMPLE.properties]))
        return self.any_of(self.KINDS)(self, 2)

    def name(self, name: str) -> str:
        """A property, as it may be spelled, or an alias that stands for it."""
        text = self.any_of((name, name, name, name, name.upper(), f"$it/{name}", f"test.sample/{name}"))
        return self.aliased(text) if self.chance(0.05) else text

    def aliased(self, text: str) -> str:
        alias = f"@p{len(self.aliases)}"
        self.aliases[alias] = text
        return alias

    def call(self, name: str, *arguments: str) -> str:
        return f"{self.any_of((name, name, name.upper()))}({self.any_of((',', ', ', ' , ')).join(arguments)})"

    # Each kind of expression, at most so deep.

    def boolean(self, depth: int) -> str:
        if depth <= 0:
            return self.any_of(("true", "false", "null", self.name("open"), self.name("kept")))
        write = self.any_of((self.comparison,) * 6 + (self.logic,) * 3 + (self.test,) * 3 + (self.membership,) * 2)
        return write(depth)

    def comparison(self, depth: int) -> str:
        kind = self.any_of(self.KINDS)
        left = kind(self, depth - 1)
        right = (self.any_of(self.KINDS) if self.chance(0.04) else kind)(self, depth - 1)
        if self.chance(0.06):
            right = "null"
        if self.chance(0.5):
            left, right = right, left
        operator = self.any_of(("eq", "ne", "gt", "ge", "lt", "le", "eq", "ne", "EQ", "Ne"))
        return f"{left} {operator} {right}" if kind is not Writer.boolean else f"({left}) {operator} ({right})"

    def logic(self, depth: int) -> str:
        if self.chance(0.35):
            return f"{self.any_of(('not', 'NOT'))}({self.boolean(depth - 1)})"
        parts = [f"({self.boolean(depth - 1)})" for _ in range(self.random.randint(2, 3))]
        return self.any_of((" and ", " or ", " AND ", " Or ")).join(parts)

    def test(self, depth: int) -> str:
        name = self.any_of(("contains", "startswith", "endswith", "startsWith"))
        return self.call(name, self.string(depth - 1), self.string(depth - 1))

    def membership(self, depth: int) -> str:
        kind, literals = self.any_of(self.LITERALS)
        items = [self.any_of(literals) if self.chance(0.9) else "null" for _ in range(self.random.randint(0, 3))]
        items = [f"'{each}'" if kind is Writer.string and each != "null" else each for each in items]
        items = [each for each in items if each != "now()"]
        return f"{kind(self, depth - 1)} in ({','.join(items)})"

    def string(self, depth: int) -> str:
        if depth <= 0 or self.chance(0.4):
            literal = f"'{self.any_of(self.STRINGS)}'"
            return self.any_of((literal, literal, self.name("name"), self.name("fullTitle"), self.name("id"), "null"))
        write = self.random.randrange(5)
        if write == 0:
            return self.call("concat", self.string(depth - 1), self.string(depth - 1))
        if write == 1:
            return self.call(self.any_of(("trim", "tolower", "toupper")), self.string(depth - 1))
        arguments = [self.integer(depth - 1) for _ in range(write - 1 if write < 4 else 1)]
        return self.call("substring", self.string(depth - 1), *arguments)

    def integer(self, depth: int) -> str:
        if depth <= 0 or self.chance(0.4):
            return self.any_of(
                (self.any_of(self.NUMBERS), self.any_of(self.NUMBERS), self.name("size"), self.name("weight"))
            )
        write = self.random.randrange(4)
        if write == 0:
            return self.call("length", self.string(depth - 1))
        if write == 1:
            return self.call("indexof", self.string(depth - 1), self.string(depth - 1))
        if write == 2:
            return self.call(self.any_of(("year", "month", "day")), self.any_of((self.instant, self.date))(depth - 1))
        return self.call(self.any_of(("hour", "minute", "second")), self.any_of((self.instant, self.time))(depth - 1))

    def instant(self, _: int) -> str:
        literal = self.any_of(self.INSTANTS)
        return self.any_of((literal, self.name("seenDateTime"), self.name("madeDateTime")))

    def date(self, depth: int) -> str:
        return self.any_of(self.DATES) if depth <= 0 or self.chance(0.3) else self.call("date", self.instant(depth - 1))

    def time(self, depth: int) -> str:
        return self.any_of(self.TIMES) if depth <= 0 or self.chance(0.3) else self.call("time", self.instant(depth - 1))

    def enum(self, _: int) -> str:
        return self.any_of((self.any_of(self.ENUMS), self.name("mood"), self.name("need")))

    KINDS: ClassVar[Sequence[Kind]] = (string, string, integer, integer, instant, date, time, enum, boolean)
    LITERALS: ClassVar[Sequence[tuple[Kind, Sequence[str]]]] = (
        (string, STRINGS), (integer, NUMBERS), (instant, INSTANTS), (date, DATES), (time, TIMES), (enum, ENUMS),
        (string, ENUMS), (instant, DATES),
    )  # fmt: skip

    def mutated(self, text: str) -> str:
        """The text with a few characters lost, doubled, moved or put in."""
        for _ in range(self.random.randint(1, 3)):
            at, to = sorted(self.random.randrange(len(text) + 1) for _ in "ab")
            bit = self.any_of(
                ("'", "''", "(", ")", ",", " ", "-", "/", "@p", "$it", "null", " eq ", "not ", "\x00", "é", "1")
            )
            text = self.any_of(
                (
                    text[:at] + bit + text[at:],
                    text[:at] + text[at + 1 :],
                    text[:at] + text[min(to, at + 4) :],
                    text[:to] + text[at:],
                    text[to:] + text[:to],
                )
            )
        return text


def accepted(text: str, aliases: dict[str, str]) -> Bound | None:
    """What a filter means, if it is accepted as far as its SQL; only the closed list of refusals keeps it from that."""
    try:
        bound = bind_filter(text, Surroundings(MODEL, SAMPLE, NOW, aliases))
        condition(bound, Parameters())
        value(bound, Parameters())
    except REFUSALS:
        return None
    return bound


def as_sql(given: Any) -> Any:
    """A value of the evaluator's as SQL gives it."""
    return int(given) if isinstance(given, bool) else given


def agree(database: Rows, text: str, aliases: dict[str, str]) -> bool:
    """Whether a filter is accepted; if it is, SQL and the evaluator find the same rows, and the same truth in each."""
    bound = accepted(text, aliases)
    if bound is None:
        return False
    assert found(database, bound) == expected(bound), (text, aliases)
    assert values(database, bound) == [as_sql(evaluator.evaluate(bound, row)) for row in ROWS], (text, aliases)
    return True


@pytest.mark.parametrize("chunk", CHUNKS)
def test_sql_and_the_evaluator_agree_on_every_filter(database: Rows, chunk: int) -> None:
    writer, taken = Writer(random.Random(chunk)), 0
    for _ in range(FILTERS):
        writer.aliases.clear()
        text = writer.filter()
        taken += agree(database, text, writer.aliases)
        agree(database, writer.mutated(text), writer.aliases)
    assert taken > FILTERS * 3 // 4


# --- orders


def in_order(
    database: Rows, keys: Sequence[Order], behind: tuple[Sequence[Any], str] | None = None
) -> Iterator[tuple[int, tuple[Any, ...]]]:
    """The rows' numbers in an order, with their values of the sort keys; all, or what comes behind one of them."""
    parameters = Parameters()
    marks = "".join(f", {value(each.by, parameters)}" for each in keys)
    where = f" WHERE {following(keys, behind[0], 'id', behind[1], parameters)}" if behind else ""
    sql = f"SELECT id{marks} FROM {TABLE.name}{where} ORDER BY {order(keys, 'id', parameters)}"
    for key, *held in database.fetch(sql, parameters.values):
        yield NUMBERS[key], tuple(held)


def check_order(database: Rows, text: str, aliases: dict[str, str]) -> bool:
    try:
        keys = bind_order(text, Surroundings(MODEL, SAMPLE, NOW, aliases))
        order(keys, "id", Parameters())
    except REFUSALS:
        return False
    shown = list(in_order(database, keys))
    wanted = [NUMBERS[row["id"]] for row in evaluator.ordered(ROWS, keys, "id")]
    assert [number for number, _ in shown] == wanted, (text, aliases)
    for at, (number, held) in enumerate(shown):
        rest = [each for each, _ in in_order(database, keys, (held, guid(number)))]
        assert rest == wanted[at + 1 :], (text, aliases, number)
    return True


@pytest.mark.parametrize(
    ("text", "begins", "ends"),
    [
        ("name", [0, 1], [16, 13]),
        ("name desc", [13, 16], [1, 0]),
        ("mood", [0, 7], [10, 6]),
        ("mood desc,need", [10, 16], [5, 12]),
        ("seenDateTime,id", [0, 16], [11, 6]),
        ("madeDateTime desc", [6, 11], [9, 5]),
        ("length(name) desc", [5, 9], [1, 0]),
        ("open desc,kept desc,id desc", [6, 11], [8, 0]),
        ("name eq null desc,size", [0, 14], [9, 5]),
        ("null,now(),'a'", [0, 7], [6, 13]),
    ],
)
def test_null_is_lowest_and_the_key_breaks_ties(database: Rows, text: str, begins: list[int], ends: list[int]) -> None:
    shown = [number for number, _ in in_order(database, bind_order(text, AROUND))]
    assert (shown[:2], shown[-2:]) == (begins, ends)
    assert check_order(database, text, {})


@pytest.mark.parametrize("chunk", CHUNKS)
def test_every_order_is_the_comparators_and_goes_on_behind_any_row(database: Rows, chunk: int) -> None:
    writer, taken = Writer(random.Random(chunk)), 0
    for _ in range(ORDERS):
        writer.aliases.clear()
        taken += check_order(database, writer.order(), writer.aliases)
    assert taken > ORDERS * 3 // 4


# --- limits: what is accepted stays small, however it is written


NESTS: Final[dict[str, tuple[Callable[[str], str], str]]] = {
    "substring": (lambda text: f"substring({text},1)", "name"),
    "substring from the end": (lambda text: f"substring({text},-1)", "name"),
    "substring of a length": (lambda text: f"substring({text},0,2)", "name"),
    "substring at a length": (lambda text: f"substring(name,length({text}))", "name"),
    "substring for a length": (lambda text: f"substring(name,0,length({text}))", "name"),
    "substring at an index": (lambda text: f"substring(name,indexof({text},{text}))", "name"),
    "concat": (lambda text: f"concat('a',{text})", "name"),
    "concat doubled": (lambda text: f"concat({text},{text})", "name"),
    "trim": (lambda text: f"trim({text})", "name"),
    "not": (lambda text: f"not({text})", "open"),
    "and": (lambda text: f"(open and ({text}))", "open"),
    "and or": (lambda text: f"(open and (kept or ({text})))", "open"),
    "eq": (lambda text: f"((open) eq ({text}))", "open"),
    "gt": (lambda text: f"((open) gt ({text}))", "open"),
    "in": (lambda text: f"(({text}) in (true,false))", "open"),
    "in with null": (lambda text: f"(({text}) in (true,null))", "open"),
    "contains eq": (lambda text: f"(contains(name,'a') eq ({text}))", "open"),
}


SEVEN: Final = "name desc,size,open desc,mood desc,seenDateTime,weight desc,kept"


@pytest.mark.parametrize("nest", NESTS)
def test_what_lies_deep_is_refused_before_its_sql_grows_or_no_database_can_read_it(database: Rows, nest: str) -> None:
    function, text = NESTS[nest]
    for _ in range(50):
        text = function(text)
        bound = accepted(f"({text}) eq null", {})
        if bound is None:
            return
        assert len(condition(bound, Parameters())) < 100_000
        assert found(database, bound) == expected(bound)
        keys = bind_order(f"{SEVEN},{text} desc", AROUND)
        order(keys, "id", Parameters())
        (_, held), *_ = in_order(database, keys)
        assert len(list(in_order(database, keys, (held, guid(0))))) < len(ROWS)
    raise AssertionError("it was never refused")
