"""Who may use a data directory at the same time."""

from __future__ import annotations

from pathlib import Path

import pytest

from adjoin.service.claim import Claim, InUse
from adjoin.store.database import Unusable


def test_many_use_it_at_once(tmp_path: Path) -> None:
    with Claim(tmp_path, alone=False), Claim(tmp_path, alone=False):
        pass


def test_alone_is_not_beside_others(tmp_path: Path) -> None:
    with Claim(tmp_path, alone=False), pytest.raises(InUse, match="in use; stop the service"):
        Claim(tmp_path, alone=True)


def test_nobody_comes_in_while_one_is_alone(tmp_path: Path) -> None:
    with Claim(tmp_path, alone=True), pytest.raises(InUse, match="is under way; wait until it is done"):
        Claim(tmp_path, alone=False)


def test_what_is_let_go_of_is_free(tmp_path: Path) -> None:
    claim = Claim(tmp_path, alone=True)
    claim.release()
    claim.release()
    with Claim(tmp_path, alone=False):
        pass


def test_a_directory_that_is_not_there_cannot_be_claimed(tmp_path: Path) -> None:
    with pytest.raises(Unusable, match="cannot be opened"):
        Claim(tmp_path / "nowhere", alone=False)
