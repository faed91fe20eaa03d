"""The conformance clauses of OData, one by one, and this service's answer to each: the source of docs/conformance.md.

Ids are those of part 1, section 13: M4, I4, A4 for OData 4.0 Minimal, Intermediate, Advanced (13.1.1 to 13.1.3), and
M41, I41, A41 for 4.01 (13.2.1 to 13.2.3). A test belongs to the clause that its name begins with, `test_m4_5_1_…`.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).parent
YES: Final = "yes"


@dataclass(frozen=True, slots=True)
class Clause:
    """One clause. `answer` is YES, or begins with "not applicable: " or "no: " and says why."""

    id: str
    force: str
    requirement: str
    answer: str = YES

    @property
    def level(self) -> str:
        return self.id.partition(".")[0]


def _clauses(level: str, text: str) -> Iterator[Clause]:
    """Lines of `number | force | requirement | answer`; without an answer it is yes."""
    for line in text.strip().splitlines():
        number, force, requirement, *rest = (part.strip() for part in line.split(" | "))
        yield Clause(f"{level}.{number}", force, requirement, rest[0] if rest else YES)


_NO_RELATION: Final = "not applicable: connectors are contained in deviceManagement and refer to nothing"
_NO_ACTION: Final = "not applicable: the model has no actions"
_NO_ASYNC: Final = "not applicable: every request is answered at once"

CLAUSES: Final[tuple[Clause, ...]] = (
    *_clauses(
        "M4",
        f"""
1 | MUST | service document at the service root
2 | MUST | data as OData JSON
3 | MUST | partial results by server-driven paging only
4 | MUST | the right OData-Version header
5.1 | MUST | obey Accept or fail
5.2 | MUST | obey OData-MaxVersion or fail
6 | MUST | extend in the allowed places only
7 | MUST | read supported query options by the grammar; follow them or answer 501
8 | MUST | data types of CSDL only
9 | MUST | clients need not understand annotations, custom headers or custom content
10 | MUST | break no rule of updates
11 | MUST | break no other rule of OData
12 | SHOULD | $expand
13 | SHOULD | $metadata as CSDL XML
14 | MUST | headers and preferences with their prefix
15 | MUST | enumeration and duration literals with the type before them
16 | MUST | final asynchronous answer as an HTTP message | {_NO_ASYNC}
17 | MAY | AsyncResult header | {_NO_ASYNC}
18 | MUST | edit links, explicit or implied
19 | MUST | POST of new entities to insertable collections
20 | MUST | POST of related entities to updatable navigation properties
21 | MUST | POST to $ref | {_NO_RELATION}
22 | MUST | PUT to $ref | {_NO_RELATION}
23 | MUST | PATCH on all edit URLs
24 | MUST | DELETE on all edit URLs
25 | MUST | DELETE of $ref | {_NO_RELATION}
26 | MUST | If-Match on what was returned with an ETag
27 | MUST | Location on create
28 | MUST | OData-EntityId when a create answers 204
29 | MUST | upsert: carried out as a create, or failed altogether (11.4.4)
30 | SHOULD | PUT and PATCH of a single property
31 | SHOULD | DELETE of a property sets it to null
32 | SHOULD | deep insert | {_NO_RELATION}
33 | MAY | change or delete members of a collection as a set | no: one at a time, or many in a batch
""",
    ),
    *_clauses(
        "I4",
        """
1 | MUST | all of 4.0 Minimal
2 | MUST | read the whole grammar; follow or answer 501
3 | MUST | $select
4 | MUST | cast to a derived type
5 | MUST | $top
6 | MUST | /$value of single properties
7 | MUST | $filter
7.1 | MUST | eq and ne on properties
7.2 | MUST | parameter aliases
7.3 | SHOULD | other operators; MUST 501 for the rest
7.4 | SHOULD | canonical functions; MUST 501 for the rest
7.5 | SHOULD | $filter inside $expand
8 | SHOULD | $metadata as CSDL XML
9 | SHOULD | OData JSON
10 | SHOULD | consider Basic authentication over HTTPS | no: bearer tokens, as Graph
11 | SHOULD | $search
12 | SHOULD | $skip
13 | SHOULD | $count
14 | SHOULD | $expand
15 | SHOULD | any and all on collections | no: 501
16 | SHOULD | /$count of collections
17 | SHOULD | $orderby with asc and desc
""",
    ),
    *_clauses(
        "A4",
        """
1 | MUST | all of 4.0 Intermediate
2 | MUST | $metadata as CSDL XML
3 | MUST | OData JSON
4 | MUST | /$count of collections
5 | MUST | any and all on collections | no: 501
6 | MUST | $skip
7 | MUST | $count
8 | MUST | $orderby with asc and desc
9 | MUST | $expand
9.1 | MUST | references in $expand | no: 501
9.2 | MUST | $filter in $expand
9.3 | MUST | casts to derived types in $expand | not applicable: no type derives from the connector's
9.4 | SHOULD | $orderby in $expand
9.5 | SHOULD | $count in $expand
9.6 | SHOULD | $top and $skip in $expand
9.7 | SHOULD | $search in $expand
9.8 | SHOULD | $levels in $expand | not applicable: no relation leads back to its own type
9.9 | MAY | $compute in $expand | no: 501
10 | MUST | $search
11 | MUST | multipart batch
12 | MUST | all conventions of resource paths | no: $ref, $entity, $all, $each, $filter and $query as segments are 501
13 | SHOULD | asynchronous requests | no: every request is answered at once
14 | SHOULD | change tracking | no: as Graph, by the function delta and not by a preference
15 | SHOULD | $crossjoin | no: 501
16 | MAY | $compute | no: 501
""",
    ),
    *_clauses(
        "M41",
        f"""
1 | MUST | all of 4.0 Minimal
2 | MUST | the rules of 4.01 JSON
3 | MUST | AsyncResult on final asynchronous answers | {_NO_ASYNC}
4 | MUST | headers and preferences with and without prefix
5 | MUST | refuse an incompatible $schemaversion | not applicable: the schema has no SchemaVersion
6 | MUST | query options with and without $
7 | MUST | options, operators and functions in any case
8 | MUST | names come back in the case of $metadata
9 | MUST | 4.0 and 4.01 syntax of URLs, whatever version is asked for
9a | MUST | strings cast to primitive types in URLs
9b | MUST | enumeration and duration literals with and without the type before them
9c | MUST | parameterless function imports without parentheses
9d | MUST | actions with an empty or no body | {_NO_ACTION}
9e | MUST | functions and actions of a default namespace unqualified
9f | MUST | aliases for keys that may hold NUL, / or \\\\ | not applicable: keys are GUIDs
9g | SHOULD | implicit aliases of parameters | not applicable: no function has a parameter
9h | SHOULD | eq and ne null on single-valued navigation | {_NO_RELATION}
9i | SHOULD | in
9j | SHOULD | divby | no: 501, as all arithmetic
9k | SHOULD | negative index in substring
9l | MAY | key as segment, and canonical URLs too
9m | MAY | count of a filtered collection in an expression | no: 501
9n | MAY | structural comparison | no: 501
10 | SHOULD | $metadata as CSDL XML and CSDL JSON
11 | SHOULD NOT | names that differ only in case
12 | SHOULD | Core.ODataVersions
13 | SHOULD | the Capabilities vocabulary
14 | MAY | filter on annotations | no: 501
15 | MAY | $compute | no: 501
16 | MAY | $search on all collections
17 | MAY | 4.01 behaviour unless OData-MaxVersion is 4.0 | no: answers are 4.0, as Graph's are
18 | MUST | all of 4.0 Minimal for an updatable service
19 | MUST | DELETE of a member's reference by its key | {_NO_RELATION}
20 | SHOULD | PUT of an entity with nested content | {_NO_RELATION}
21 | SHOULD | deep update and insert | {_NO_RELATION}
22 | SHOULD | PUT and DELETE of $ref of a collection | {_NO_RELATION}
23 | MAY | POST to collections of values | no: those of audit events never change
24 | MAY | PATCH and DELETE of a collection | no: one at a time, or many in a batch
25 | MAY | PATCH and DELETE of a collection through a cast | no: one at a time, or many in a batch
26 | MAY | PATCH of a collection with a delta payload | no: one at a time, or many in a batch
27 | MAY | $select and $expand on changes | no: refused with 400, as Graph does
""",
    ),
    *_clauses(
        "I41",
        f"""
1 | MUST | all of 4.01 Minimal
2 | MUST | all of 4.0 Intermediate
3 | MUST | eq and ne null on single-valued navigation | {_NO_RELATION}
4 | MUST | in
5 | MUST | $select within $select
6 | SHOULD | count of a filtered collection in an expression | no: 501
7 | SHOULD | structural comparison | no: 501
8 | SHOULD | $compute | no: 501
9 | SHOULD | options within $select | no: 501, but for $select
10 | MAY | aliases assigned within an option | no: refused with 400
11 | MAY | /$filter as a segment | no: 501
""",
    ),
    *_clauses(
        "A41",
        """
1 | MUST | all of 4.01 Intermediate
2 | MUST | all of 4.0 Advanced | no: see A4.5, A4.9.1 and A4.12
3 | MUST | count of a filtered or searched collection in an expression | no: 501
4 | MUST | $compute | no: 501
5 | MUST | options within $select | no: 501, but for $select
6 | MUST | $metadata as CSDL JSON
7 | MUST | both batch formats | no: JSON has no groups (501), conditions (424) and references `$<id>` (400)
8 | SHOULD | /$filter as a segment | no: 501
9 | SHOULD | aliases assigned within an option | no: refused with 400
10 | MAY | names in any case
""",
    ),
)
BY_ID: Final = {each.id: each for each in CLAUSES}

_NAME: Final = re.compile(r"test_(m41|i41|a41|m4|i4|a4)_(\d+[a-n]?)(?:_(\d+))?_[a-z].*")


def clause_of(test: str) -> str | None:
    """The id that a test's name begins with."""
    match = _NAME.fullmatch(test)
    if match is None:
        return None
    level, number, part = match.groups()
    return f"{level.upper()}.{number}" + (f".{part}" if part else "")


@cache
def collected() -> dict[str, list[str]]:
    """The tests that are collected here, by clause: `module::name`."""
    found: dict[str, list[str]] = {}
    for path in sorted(HERE.glob("test_*.py")):
        for node in ast.parse(path.read_text("utf-8")).body:
            within = node.body if isinstance(node, ast.ClassDef) and node.name.startswith("Test") else [node]
            for each in within:
                clause = clause_of(each.name) if isinstance(each, ast.FunctionDef) else None
                if isinstance(each, ast.FunctionDef) and clause is not None:
                    found.setdefault(clause, []).append(f"{path.name}::{each.name}")
    return found


_TITLES: Final = {
    "M4": "OData 4.0 Minimal, with what an updatable service adds (13.1.1)",
    "I4": "OData 4.0 Intermediate (13.1.2)",
    "A4": "OData 4.0 Advanced (13.1.3)",
    "M41": "OData 4.01 Minimal, with what an updatable service adds (13.2.1)",
    "I41": "OData 4.01 Intermediate (13.2.2)",
    "A41": "OData 4.01 Advanced (13.2.3)",
}


def document() -> str:
    """docs/conformance.md."""
    by_clause = collected()
    lines = [
        "# Conformance",
        "",
        "The conformance clauses of OData 4.01 part 1, section 13, in our words, and this service's answers.",
        "Every *yes* is held by the tests named beside it, in `tests/conformance/`. The service conforms to OData 4.0",
        "Intermediate and OData 4.01 Intermediate, as an updatable service; of Advanced it has what is marked below.",
        "",
        "Made from `tests/conformance/checklist.py`; this makes it anew:",
        "",
        "    ADJOIN_RENEW_GOLDEN=1 .venv/bin/pytest tests/conformance/test_checklist.py",
    ]
    for level, title in _TITLES.items():
        of_level = [each for each in CLAUSES if each.level == level]
        yes = sum(each.answer == YES for each in of_level)
        other = sum(each.answer.startswith("not applicable") for each in of_level)
        lines += ["", f"## {title}", ""]
        lines += [f"{len(of_level)} clauses: {yes} yes, {other} not applicable, {len(of_level) - yes - other} no.", ""]
        lines += ["| id | force | requirement | answer | tests |", "|---|---|---|---|---|"]
        for each in of_level:
            named = "<br>".join(f"`{name}`" for name in by_clause.get(each.id, ()))
            lines.append(f"| {each.id} | {each.force} | {each.requirement} | {each.answer} | {named} |")
    return "\n".join(lines) + "\n"
