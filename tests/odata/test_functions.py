"""The functions that are run: what each takes, what it gives, and what null does to it."""

from __future__ import annotations

from itertools import product
from typing import Final

import pytest

from adjoin.odata.bound import NULL, Bound, Constant, Operation, Sort
from adjoin.odata.errors import WrongType
from adjoin.odata.functions import FUNCTIONS, apply
from adjoin.odata.values import Instant

NOW: Final = Instant.parse("2026-11-24T02:53:07Z")

TEXT: Final = Constant(Sort.STRING, "abc")
NUMBER: Final = Constant(Sort.INTEGER, 1)
LETTERS: Final[dict[str, Bound]] = {
    "S": TEXT,
    "I": NUMBER,
    "B": Constant(Sort.BOOLEAN, True),
    "T": Constant(Sort.INSTANT, NOW),
    "D": Constant(Sort.DATE, "2026-11-24"),
    "C": Constant(Sort.TIME, "02:53:07"),
    "E": Constant(Sort.ENUM, 1),
}

# Every call that fits (OData 4.01 part 2, 5.1.1.7 and 5.1.1.8), by the letters above; all others are refused.
FITS: Final = {
    "contains": (["SS"], Sort.BOOLEAN),
    "startswith": (["SS"], Sort.BOOLEAN),
    "endswith": (["SS"], Sort.BOOLEAN),
    "length": (["S"], Sort.INTEGER),
    "indexof": (["SS"], Sort.INTEGER),
    "substring": (["SI", "SII"], Sort.STRING),
    "tolower": (["S"], Sort.STRING),
    "toupper": (["S"], Sort.STRING),
    "trim": (["S"], Sort.STRING),
    "concat": (["SS"], Sort.STRING),
    "year": (["T", "D"], Sort.INTEGER),
    "month": (["T", "D"], Sort.INTEGER),
    "day": (["T", "D"], Sort.INTEGER),
    "hour": (["T", "C"], Sort.INTEGER),
    "minute": (["T", "C"], Sort.INTEGER),
    "second": (["T", "C"], Sort.INTEGER),
    "date": (["T"], Sort.DATE),
    "time": (["T"], Sort.TIME),
    "now": ([""], Sort.INSTANT),
}
CALLS: Final = ["".join(letters) for count in range(4) for letters in product("SIBTDCE", repeat=count)]


def test_every_function_that_is_run_is_told_of_here() -> None:
    assert set(FUNCTIONS) == set(FITS)


@pytest.mark.parametrize("name", FITS)
def test_a_function_takes_its_types_and_no_others(name: str) -> None:
    calls, sort = FITS[name]
    for letters in CALLS:
        arguments = tuple(LETTERS[each] for each in letters)
        if letters in calls:
            assert apply(name, arguments, NOW).sort is sort
        else:
            with pytest.raises(WrongType, match=f"No function signature for the function with name '{name}'"):
                apply(name, arguments, NOW)


@pytest.mark.parametrize("name", [name for name in FITS if name != "now"])
def test_a_function_of_null_is_null_and_only_null_of_a_fitting_number_is_taken(name: str) -> None:
    calls, _ = FITS[name]
    for letters in calls:
        for at in range(len(letters)):
            arguments: list[Bound] = [LETTERS[each] for each in letters]
            arguments[at] = NULL
            assert apply(name, tuple(arguments), NOW) is NULL
    with pytest.raises(WrongType):
        apply(name, (NULL,) * 4, NOW)
    with pytest.raises(WrongType):
        apply(name, (), NOW)


def test_an_operation_keeps_its_operands() -> None:
    assert apply("concat", (TEXT, TEXT), NOW) == Operation("concat", Sort.STRING, (TEXT, TEXT))
    assert apply("substring", (TEXT, NUMBER, NUMBER), NOW) == Operation(
        "substring", Sort.STRING, (TEXT, NUMBER, NUMBER)
    )


@pytest.mark.parametrize("name", ["tolower", "toupper"])
def test_changing_case_changes_nothing_since_none_is_told_apart(name: str) -> None:
    assert apply(name, (TEXT,), NOW) is TEXT


def test_now_is_the_time_of_the_request() -> None:
    assert apply("now", (), NOW) == Constant(Sort.INSTANT, NOW)


def test_a_refusal_shows_what_would_fit() -> None:
    with pytest.raises(WrongType) as caught:
        apply("substring", (NUMBER, NUMBER), NOW)
    assert caught.value.message.endswith("are: substring(Edm.String, Edm.Int64, Edm.Int64).")
    with pytest.raises(WrongType) as caught:
        apply("year", (TEXT,), NOW)
    assert caught.value.message.endswith("are: year(Edm.Date or Edm.DateTimeOffset).")
