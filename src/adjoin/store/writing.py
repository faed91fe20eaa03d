"""Entities written as JSON by SQLite itself, from the pattern of their type.

A page is one row then, in place of one for each entity: to fetch each the interpreter is handed over and objects are
made, which costs twice what writing does. What the clock changes is written as it is shown.
"""

from __future__ import annotations

from functools import lru_cache

from adjoin.odata.edm import EnumType, Primitive, Property
from adjoin.odata.written import pattern
from adjoin.store.columns import Table, snake
from adjoin.store.silence import Add
from adjoin.store.where import Parameters


def written(table: Table, parameters: Parameters, now: int) -> str:
    """An entity as SQL, as it is shown at this time (ticks)."""
    text, times = _made(table, len(parameters.values) + 1)
    parameters.values += [now - after for after in times]
    return text


@lru_cache(maxsize=256)
def _made(table: Table, number: int) -> tuple[str, tuple[int, ...]]:
    """The same with its parameters numbered from here on, and the ticks before now that each of them is."""
    times: list[int] = []

    def add(time: object) -> str:
        times.append(-int(str(time)))
        return f"?{number + len(times) - 1}"

    *fronts, end = (each.replace("%", "%%").replace("'", "''") for each in pattern(table.type))
    values = [_value(each, table, add) for each in table.type.properties]
    form = "".join(
        f'{front}"%s"' if _is_plain(each) else f"{front}%s"
        for front, each in zip(fronts, table.type.properties, strict=True)
    )
    return f"format('{form}{end}', {', '.join(values)})", tuple(times)


def _is_plain(declared: Property) -> bool:
    """Whether its values are texts without any sign that JSON writes in another way."""
    return (declared.guid or declared.type is Primitive.DATE_TIME_OFFSET) and declared.scalar and not declared.nullable


def _value(declared: Property, table: Table, add: Add) -> str:
    """The value of a property as JSON, without its quotation marks where it is plain."""
    column, silence = snake(declared.name), table.silence
    if _is_plain(declared):
        return column
    if declared.secret:
        return "'null'"
    if isinstance(declared.type, EnumType):
        names = {value: f"'\"{name}\"'" for value, name in declared.type.by_value.items()}
        cases = " ".join(f"WHEN {value} THEN {name}" for value, name in names.items())
        kept = f"CASE {column} {cases} ELSE 'null' END"
        if silence is None or silence.property != declared.name:
            return kept
        return silence.shown(0, add, names.__getitem__, kept)
    if declared.type is Primitive.BOOLEAN:
        return f"CASE {column} WHEN 1 THEN 'true' WHEN 0 THEN 'false' ELSE 'null' END"
    if not declared.scalar or declared.type in (Primitive.INT32, Primitive.INT64):
        return f"ifnull({column}, 'null')"
    return f"json_quote({column})"
