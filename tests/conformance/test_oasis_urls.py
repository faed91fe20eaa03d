"""The URL cases of the OASIS grammar, sent raw to the application: none brings it down, no malformed one succeeds.

A case is a rule of the grammar and a text. The text is put where the rule stands in a URL (`PLACES`): a resource path
below the service root, a query behind the list, an expression into `$filter`, a literal onto one side of a comparison
or, if it may hold an `&`, into a key. Rules that describe decoded text (`…Value`, but for those of JSON) are
percent-encoded first; all others go to the last character as they are. Every text goes twice: with the names of the
OASIS model, which are unknown here, and with ours in their place, so that it is read further.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Final
from urllib.parse import quote

import pytest
from tests.conformance.service import LIST, MANAGEMENT, Service

CASES: Final = json.loads(Path(__file__).with_name("oasis_cases.json").read_text("utf-8"))["cases"]
RULES: Final = sorted({each["rule"] for each in CASES})

Place = Callable[[str], str]


def _filter(before: str, after: str = "") -> Place:
    return lambda text: f"{LIST}?$filter={before}{text}{after}"


def _encoded(place: Place) -> Place:
    return lambda text: place(quote(text, safe=""))


def _uri(text: str) -> str:
    """A whole URL: what stands behind its service root goes behind ours; one that is no URL is a path."""
    root = re.match(
        r"https?://(host/service|services\.odata\.org/OData/OData\.svc|serviceRoot|[^/]*/MyService|[^/]*)/", text
    )
    return "/beta/" + text[root.end() :] if root else f"/{text}"


def _below_root(text: str) -> str:
    return f"/beta/{text}"


def _query(text: str) -> str:
    return f"{LIST}?{text}"


def _expansion(text: str) -> str:
    return f"{MANAGEMENT}?{text}"


_COMPARED: Final = _filter("displayName%20eq%20")
_MOMENT: Final = _filter("lastConnectionDateTime%20eq%20")
_LENGTH: Final = _filter("length(displayName)%20eq%20")
_DAY: Final = _filter("date(lastConnectionDateTime)%20eq%20")
_HOUR: Final = _filter("time(lastConnectionDateTime)%20eq%20")
_KEY: Final[Place] = lambda text: f"{LIST}({text})"  # noqa: E731 - a place like the others

PLACES: Final[dict[str, Place]] = {
    # resource paths
    **dict.fromkeys(("odataRelativeUri", "resourcePath", "entitySetName", "odataIdentifier"), _below_root),
    "odataUri": _uri,
    "context": lambda text: f"/beta/$metadata{text}",
    "functionParameter": lambda text: f"{LIST}/microsoft.graph.f({text})",
    "primitiveValue": _encoded(lambda text: f"{LIST}/{text}"),
    "stringLiteral": _KEY,
    # queries
    **dict.fromkeys(("queryOptions", "systemQueryOption", "customQueryOption", "compute", "search", "select"), _query),
    **dict.fromkeys(("filter", "orderby", "orderBy", "skiptoken", "deltatoken"), _query),
    "expand": _expansion,
    "searchExpr": lambda text: f"{LIST}?$search={text}",
    # expressions
    **dict.fromkeys(("commonExpr", "boolCommonExpr", "boolcommonExpr", "notExpr", "isofExpr"), _filter("")),
    **dict.fromkeys(("firstMemberExpr", "propertyPathExpr"), _filter("", "%20eq%201")),
    "anyExpr": _filter("displayName/"),
    # literals as they stand in a URL
    **dict.fromkeys(("primitiveLiteral", "null", "guid", "binaryLiteral", "enumLiteral"), _COMPARED),
    "stringInUrl": _filter("displayName%20in%20[", "]"),
    "boolean": _filter("true%20eq%20"),
    "date": _DAY,
    "dateTimeOffsetLiteral": _MOMENT,
    "dateTimeOffsetValueInUrl": _MOMENT,
    "timeOfDayLiteral": _HOUR,
    "durationLiteral": _filter("duration'P1D'%20eq%20"),
    **{f"{kind}Literal": _LENGTH for kind in ("decimal", "double", "single", "sbyte", "int16", "int32", "int64")},
    **{
        f"{space}{shape}": _filter("null%20eq%20")
        for space in ("geography", "geometry")
        for shape in ("Collection", "LineString", "MultiLineString", "MultiPoint", "MultiPolygon", "Point", "Polygon")
    },
    # decoded values
    "booleanValue": _encoded(_filter("true%20eq%20")),
    "dateValue": _encoded(_DAY),
    "dateTimeOffsetValue": _encoded(_MOMENT),
    "timeOfDayValue": _encoded(_HOUR),
    "durationValue": _encoded(_filter("duration'P1D'%20eq%20duration'", "'")),
    "enumValue": _encoded(_filter("displayName%20has%20Sales.Pattern'", "'")),
    **{
        f"{kind}Value": _encoded(_LENGTH)
        for kind in ("byte", "decimal", "double", "single", "sbyte", "int16", "int32", "int64")
    },
}

# Malformed by their rule alone; the URL they make is well-formed.
WELL_FORMED_HERE: Final = frozenset(
    {
        # booleanValue is that of a payload, in small letters; the URL's rule `boolean` takes any case.
        ("booleanValue", "tRUe"),
        # `more` is a custom query option; the suite refuses it since it is none of the names that it knows.
        ("queryOptions", "$search=more&more"),
    }
)

# Names of the OASIS model to ours; a list, a text, a number.
_NAMES: Final = {
    **dict.fromkeys(("Categories", "Products", "Customers", "Suppliers", "People", "Employees", "Items"), LIST[6:]),
    **dict.fromkeys(("Name", "Street", "CompanyName", "FirstName", "LastName", "City", "Title"), "displayName"),
    **dict.fromkeys(("Price", "Rating", "Age", "Size", "Cost", "Revenue"), "length(version)"),
    **dict.fromkeys(("style", "Status"), "state"),
    **dict.fromkeys(("BirthDate", "ReleaseDate"), "lastConnectionDateTime"),
    **dict.fromkeys(("Completed", "Color"), "version"),
    "Sales.Pattern": "microsoft.graph.deviceManagementDomainJoinConnectorState",
    "Yellow": "active",
    "Model.BestSellingProduct": "microsoft.graph.deviceManagementDomainJoinConnector",
    "Manager": "domainJoinConnectors",
}
_WORD: Final = re.compile("|".join(rf"(?<![\w.]){re.escape(name)}(?![\w.])" for name in sorted(_NAMES, key=len)[::-1]))


def translated(text: str) -> str:
    """A case with our names in it. A list has two segments, which an expression cannot hold: there it is one name."""
    return _WORD.sub(lambda match: _NAMES[match.group()], text)


def test_every_rule_has_its_place() -> None:
    assert set(RULES) == set(PLACES)
    assert len(CASES) == 783


@pytest.mark.parametrize("translate", [str, translated], ids=["their-names", "our-names"])
@pytest.mark.parametrize("rule", RULES)
def test_cases(service: Service, rule: str, translate: Callable[[str], str]) -> None:
    wrong = []
    for case in CASES:
        if case["rule"] != rule:
            continue
        target = PLACES[rule](translate(case["input"]))
        status = service.get(target, {"Accept": "*/*"}).status
        malformed = not case["valid"] and (rule, case["input"]) not in WELL_FORMED_HERE
        if (status >= 500 and status != 501) or (malformed and status < 400):
            wrong.append((status, target))
    assert wrong == []
