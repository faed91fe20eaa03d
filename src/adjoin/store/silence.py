"""What a connector's silence does to its row: the state that the clock gives it, and when it counts as removed.

One rule written twice: over values for what is shown, in SQL for what is filtered, ordered and counted. A test holds
the two equal. Pure; the time is handed in, in the ticks of `Instant`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from adjoin.model import CONNECTOR_STATE
from adjoin.odata.values import TICKS_PER_SECOND

NEVER: Final = 2**62
"""In place of a time: the last word is an administrator's, so no silence counts."""

_HOUR: Final = 3_600 * TICKS_PER_SECOND
_DAY: Final = 24 * _HOUR

Add = Callable[[object], str]
"""Holds a value for a statement and gives its place in it."""

Others = Callable[[Sequence[str]], str]
"""The condition of a row that is among those which one of some conditions holds for, each looked up by itself."""


@dataclass(frozen=True, eq=False)
class Silence:
    """A property whose value is the kept one until silence has lasted for the first of `steps`, then that step's value.

    Steps are (ticks of silence, value), shortest first; what has lasted just as long has lasted long enough. After
    `removed_after` the row counts as removed. The column holds since when there is silence, or NEVER.
    """

    property: str
    column: str
    steps: tuple[tuple[int, int], ...]
    removed_after: int

    def value_at(self, kept: int, since: int, now: int) -> int:
        """The value shown."""
        if now - since < self.steps[0][0]:
            return kept
        return next((value for after, value in reversed(self.steps) if now - since >= after), kept)

    def step_at(self, since: int, now: int) -> int:
        """How many steps silence has taken: what is shown by it is another at each."""
        if now - since < self.steps[0][0]:
            return 0
        return sum(now - since >= after for after, _ in self.steps)

    def removed_at(self, since: int, now: int) -> bool:
        return now - since >= self.removed_after

    def shown(self, now: int, add: Add, write: Callable[[int], str] | None = None, kept: str | None = None) -> str:
        """The value shown, as SQL: by its number, or as `write` has each and the SQL `kept` has the one kept."""
        said = write or add
        cases = (
            f"WHEN {self.column} <= {add(now - after)} THEN {said(value)}" for after, value in reversed(self.steps)
        )
        return f"CASE {' '.join(cases)} ELSE {kept or self.property} END"

    def shows(self, values: Collection[int], now: int, add: Add, others: Others | None) -> str:
        """The condition of a row that shows one of these values.

        What most rows show is looked for in the order of keys, what only silence leads to by the index on silence:
        there a condition of its own on the keys keeps databases from reading all rows in their order. Without
        `others` all of it is looked for in the order of keys.
        """
        lone = "+" if others is None else ""
        fresh = [
            f"{lone}{self.property} = {add(each)} AND +{self.column} > {add(now - self.steps[0][0])}" for each in values
        ]
        ends = (*self.steps, (self.removed_after, None))
        ranges = [
            f"{lone}{self.column} > {add(now - until)} AND {lone}{self.column} <= {add(now - after)}"
            for (after, held), (until, _) in pairwise(ends)
            if held in values
        ]
        if others is not None and {held for _, held in self.steps}.issuperset(values):
            return others([*fresh, *ranges])
        return f"({' OR '.join(f'({each})' for each in (*fresh, *ranges))})"

    def there(self, now: int, add: Add) -> str:
        """The condition of a row that is not removed; its plus keeps databases from looking rows up by it."""
        return f"+{self.column} > {add(now - self.removed_after)}"

    def removed(self, now: int, add: Add) -> str:
        """The condition of a row that is removed."""
        return f"{self.column} <= {add(now - self.removed_after)}"


# DESIGN section 4; graph-contract 1.3 and 5.5.
CONNECTORS: Final = Silence(
    property="state",
    column="silent_since",
    steps=((_HOUR, CONNECTOR_STATE.members["error"]), (5 * _DAY, CONNECTOR_STATE.members["inactive"])),
    removed_after=30 * _DAY,
)
