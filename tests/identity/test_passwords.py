"""Passwords: what is stored of them, what it costs to try one, and that the way they were typed makes no difference."""

from __future__ import annotations

import pytest
from argon2 import extract_parameters
from argon2.low_level import Type

from adjoin.identity.passwords import LONGEST, NOBODY, hashed, verified

STORED = hashed("correct horse battery")


def test_the_password_is_verified_and_no_other() -> None:
    assert verified("correct horse battery", STORED)
    for other in ("", "correct horse", "Correct horse battery", "correct horse battery "):
        assert not verified(other, STORED)


def test_two_hashes_of_a_password_differ() -> None:
    assert hashed("correct horse battery") != STORED


@pytest.mark.parametrize("stored", [STORED, NOBODY], ids=["somebody", "nobody"])
def test_a_try_costs_what_rfc_9106_recommends(stored: str) -> None:
    """Also where there is no such person, whose hash is nobody's."""
    found = extract_parameters(stored)
    assert (found.type, found.memory_cost, found.time_cost, found.parallelism) == (Type.ID, 65_536, 3, 4)


def test_letters_may_arrive_composed_or_not() -> None:
    assert verified("caf\u00e9 au lait", hashed("cafe\u0301 au lait"))


@pytest.mark.parametrize("password", ["x" * LONGEST, "\ud800" * 8, "\0" * 8])
def test_any_characters_can_be_of_a_password(password: str) -> None:
    assert verified(password, hashed(password))


@pytest.mark.parametrize("stored", ["", "x", "$argon2id$", "correct horse battery"])
def test_what_is_no_hash_is_nobodys(stored: str) -> None:
    assert not verified("correct horse battery", stored)
