"""What commands read that applications and people have in common: permissions."""

from __future__ import annotations

from collections.abc import Sequence

from adjoin.odata.errors import Refusal


class BadPermission(Refusal):
    """A permission that no token can carry."""


def check_permissions(given: Sequence[str]) -> tuple[str, ...]:
    """The permissions, each once. Raises BadPermission."""
    for each in given:
        if not each or each.split() != [each]:
            raise BadPermission(f"'{each}' is no permission: a permission is one word.")
    return tuple(dict.fromkeys(given))
