"""Passwords of people: kept as Argon2id hashes, checked in the same time whether there is such a person or not.

Slow by intent, so callers run these in a thread. The library is loaded for the first password there is.
"""

from __future__ import annotations

import unicodedata
from functools import cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from argon2 import PasswordHasher

SHORTEST: Final = 8
LONGEST: Final = 256
"""Characters; what is longer is refused before it is hashed, so that nobody sends work."""

# A hash of the same cost that no password has: checked for people who are not there.
NOBODY: Final = f"$argon2id$v=19$m=65536,t=3,p=4${'A' * 22}${'A' * 43}"


def hashed(password: str) -> str:
    """What is stored of a password: its hash with a salt of its own and the cost it was made at."""
    return _hasher().hash(_normal(password))


def verified(password: str, stored: str) -> bool:
    """Whether `stored` is a hash of `password`."""
    from argon2.exceptions import Argon2Error, InvalidHashError  # noqa: PLC0415

    try:
        return _hasher().verify(stored, _normal(password))
    except (Argon2Error, InvalidHashError):
        return False


@cache
def _hasher() -> PasswordHasher:
    from argon2 import PasswordHasher, profiles  # noqa: PLC0415

    # RFC 9106 section 4, second recommended option: 64 MiB, three passes.
    return PasswordHasher.from_parameters(profiles.RFC_9106_LOW_MEMORY)


def _normal(password: str) -> bytes:
    # The same letters arrive composed or not, as the keyboard has it (NIST SP 800-63B, 5.1.1.2).
    return unicodedata.normalize("NFKC", password)[: 4 * LONGEST].encode("utf-8", "surrogatepass")
