"""The functions of OData that are run here, by what they take and give (OData 4.01 part 2, 5.1.1.5 to 5.1.1.9)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from adjoin.odata.bound import NULL, Bound, Constant, Operation, Sort
from adjoin.odata.errors import WrongType
from adjoin.odata.values import Instant


@dataclass(frozen=True, slots=True)
class Signature:
    """The types of a function's parameters, of which the last `optional` may be left out, and of its result."""

    parameters: tuple[frozenset[Sort], ...]
    result: Sort
    optional: int = 0

    def fits(self, given: tuple[Bound, ...]) -> bool:
        if not len(self.parameters) - self.optional <= len(given) <= len(self.parameters):
            return False
        return all(
            each.sort in wanted or each.sort is Sort.NULL for each, wanted in zip(given, self.parameters, strict=False)
        )


_STRING: Final = frozenset({Sort.STRING})
_INTEGER: Final = frozenset({Sort.INTEGER})
_INSTANT: Final = frozenset({Sort.INSTANT})
_DAY: Final = frozenset({Sort.INSTANT, Sort.DATE})
_CLOCK: Final = frozenset({Sort.INSTANT, Sort.TIME})
_TEST: Final = Signature((_STRING, _STRING), Sort.BOOLEAN)
_CHANGE: Final = Signature((_STRING,), Sort.STRING)

FUNCTIONS: Final[Mapping[str, Signature]] = {
    "contains": _TEST,
    "startswith": _TEST,
    "endswith": _TEST,
    "length": Signature((_STRING,), Sort.INTEGER),
    "indexof": Signature((_STRING, _STRING), Sort.INTEGER),
    "substring": Signature((_STRING, _INTEGER, _INTEGER), Sort.STRING, optional=1),
    "tolower": _CHANGE,
    "toupper": _CHANGE,
    "trim": _CHANGE,
    "concat": Signature((_STRING, _STRING), Sort.STRING),
    "year": Signature((_DAY,), Sort.INTEGER),
    "month": Signature((_DAY,), Sort.INTEGER),
    "day": Signature((_DAY,), Sort.INTEGER),
    "hour": Signature((_CLOCK,), Sort.INTEGER),
    "minute": Signature((_CLOCK,), Sort.INTEGER),
    "second": Signature((_CLOCK,), Sort.INTEGER),
    "date": Signature((_INSTANT,), Sort.DATE),
    "time": Signature((_INSTANT,), Sort.TIME),
    "now": Signature((), Sort.INSTANT),
}


def apply(name: str, arguments: tuple[Bound, ...], now: Instant) -> Bound:
    """A served function over bound arguments. Raises WrongType where they do not fit it."""
    signature = FUNCTIONS[name]
    if not signature.fits(arguments):
        wanted = ", ".join(" or ".join(sorted(each.value for each in kinds)) for kinds in signature.parameters)
        raise WrongType(
            f"No function signature for the function with name '{name}' matches the specified arguments. "
            f"The function signatures considered are: {name}({wanted})."
        )
    if name == "now":
        return Constant(Sort.INSTANT, now)
    # A canonical function of null is null (OData 4.01 part 2, 5.1.1.4).
    if any(each.sort is Sort.NULL for each in arguments):
        return NULL
    # Strings are compared without regard to case, so that changing it changes nothing.
    if name in ("tolower", "toupper"):
        return arguments[0]
    return Operation(name, signature.result, arguments)
