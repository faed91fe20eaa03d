"""The checklist tells the truth about itself: nothing is claimed without a test, and the document is what it says."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.conformance.checklist import BY_ID, CLAUSES, YES, clause_of, collected, document

DOCUMENT = Path(__file__).parents[2] / "docs" / "conformance.md"


def unmet(*levels: str) -> list[str]:
    """The clauses that bind a service of these levels, apply, and are not met."""
    return [
        each.id for each in CLAUSES if each.level in levels and each.force == "MUST" and each.answer.startswith("no:")
    ]


def test_the_document_is_what_is_generated() -> None:
    if os.environ.get("ADJOIN_RENEW_GOLDEN"):
        DOCUMENT.parent.mkdir(exist_ok=True)
        DOCUMENT.write_text(document(), "utf-8")
    assert DOCUMENT.read_text("utf-8") == document(), "renew it with ADJOIN_RENEW_GOLDEN=1, and read the difference"


def test_ids_are_unique() -> None:
    assert len(BY_ID) == len(CLAUSES)


def test_every_answer_has_a_form() -> None:
    for each in CLAUSES:
        assert each.answer == YES or each.answer.startswith(("not applicable: ", "no: ")), each.id
        assert each.force in ("MUST", "SHOULD", "SHOULD NOT", "MAY"), each.id


def test_every_yes_has_a_test() -> None:
    assert [each.id for each in CLAUSES if each.answer == YES and not collected().get(each.id)] == []


def test_every_test_belongs_to_a_clause() -> None:
    assert set(collected()) <= set(BY_ID)


@pytest.mark.parametrize(
    ("name", "clause"),
    [
        ("test_m4_5_1_obeys_accept", "M4.5.1"),
        ("test_m4_7_follows", "M4.7"),
        ("test_m41_9a_casts", "M41.9a"),
        ("test_i41_4_in", "I41.4"),
        ("test_other", None),
    ],
)
def test_ids_are_read_from_names(name: str, clause: str | None) -> None:
    assert clause_of(name) == clause


def test_i4_1_all_of_minimal() -> None:
    assert unmet("M4") == []


def test_a4_1_all_of_intermediate() -> None:
    assert unmet("M4", "I4") == []


def test_m41_1_all_of_minimal() -> None:
    assert unmet("M4") == []


def test_m41_18_all_of_minimal_for_an_updatable_service() -> None:
    assert unmet("M4") == []


def test_i41_1_all_of_minimal() -> None:
    assert unmet("M4", "M41") == []


def test_i41_2_all_of_intermediate() -> None:
    assert unmet("M4", "I4") == []


def test_a41_1_all_of_intermediate() -> None:
    assert unmet("M4", "I4", "M41", "I41") == []
