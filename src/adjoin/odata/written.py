"""Entities of a page that are JSON already: the pattern for whoever writes them, and what came of it.

They are as `writer.collection` shows whole entities at minimal detail; a test holds the two equal.
"""

from __future__ import annotations

from functools import lru_cache

import msgspec

from adjoin.odata.edm import EntityType


@lru_cache(maxsize=64)
def pattern(of: EntityType) -> tuple[str, ...]:
    """What stands in front of the value of each property, in declared order, and what stands behind the last."""
    names = [msgspec.json.encode(each.name).decode() for each in of.properties]
    first = f'{{"@odata.type":"#{of.qualified}",{names[0]}:'
    return (first, *(f",{name}:" for name in names[1:]), "}")


class Written(msgspec.Struct, frozen=True):
    """So many entities of a type, one behind the other with commas between."""

    of: EntityType
    number: int
    text: bytes

    def __len__(self) -> int:
        return self.number

    def first(self, number: int) -> Written:
        """The first of them, as far as there are so many."""
        text = self.text
        for _ in range(number, self.number):
            text = text[: max(self._last(text) - 1, 0)]
        return Written(self.of, min(number, self.number), text)

    @property
    def last_key(self) -> str:
        """The key of the last one."""
        return str(msgspec.json.decode(self.text[self._last(self.text) :])[self.of.key.name])

    def _last(self, text: bytes) -> int:
        # No value holds what an entity begins with: its quotation marks would be escaped there.
        return text.rindex(pattern(self.of)[0].encode())
