"""What commands read that applications and people have in common: permissions, and texts that are shown to people."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Final

from adjoin import model
from adjoin.odata.errors import Refusal

_LONGEST_PERMISSION: Final = 128


class BadPermission(Refusal):
    """A permission that no token can carry."""


class BadText(Refusal):
    """A text that could not be shown, or is too long to be."""


def check_permissions(given: Sequence[str]) -> tuple[str, ...]:
    """The permissions, each once. Raises BadPermission."""
    for each in given:
        if each.split() != [each] or not each.isprintable() or len(each) > _LONGEST_PERMISSION:
            shown = each[:_LONGEST_PERMISSION].encode("unicode_escape").decode()
            raise BadPermission(
                f"'{shown}' is no permission: a permission is one word of at most {_LONGEST_PERMISSION} characters."
            )
    return tuple(dict.fromkeys(given))


def tell_unknown(permissions: Sequence[str]) -> None:
    """Say on stderr which of these nothing here asks for: they may be meant for clients that want them, or be typos."""
    known = sorted({each for place in (model.CONNECTORS, model.AUDIT_EVENTS) for each in (*place.read, *place.write)})
    unknown = [each for each in permissions if each not in known]
    if unknown:
        sys.stderr.write(f"adjoin: Nothing here asks for {', '.join(unknown)}; known are {', '.join(known)}.\n")


def check_text(text: str, what: str, longest: int) -> str:
    """A text that is shown to people. Raises BadText for one that is empty, too long, or could steer a terminal."""
    if not text.strip() or len(text) > longest or not text.isprintable():
        raise BadText(f"{what} has 1 to {longest} printable characters.")
    return text
