"""Values of complex types as an answer shows them: the selected members only, and at full detail with their types.

They are kept as JSON, and go out as they are kept unless less of them is asked for, or more is to be said.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from adjoin.odata.edm import ComplexType, Primitive, Property

Show = Callable[[object], object]
"""From a value as a row has it to the value as it is shown."""


def annotation(declared: Property) -> str | None:
    """The type annotation that odata.metadata=full puts beside values whose JSON form does not tell their type.

    An object tells it within itself (OData JSON 4.01 section 4.6.3).
    """
    if declared.collection:
        return f"#{declared.type_name.replace('Edm.', '')}"
    if isinstance(declared.type, ComplexType) or declared.type in (Primitive.STRING, Primitive.BOOLEAN):
        return None
    return f"#{declared.type_name.removeprefix('Edm.')}"


def heads(paths: Iterable[str]) -> frozenset[str]:
    """The properties that these paths begin with."""
    return frozenset(each.partition("/")[0] for each in paths)


def below(name: str, paths: Iterable[str]) -> tuple[str, ...]:
    """What these paths select of the property; nothing where they select all of it."""
    return tuple(each.removeprefix(f"{name}/") for each in paths if each.startswith(f"{name}/"))


def show(declared: Property, paths: tuple[str, ...], full: bool) -> Show | None:
    """How values of the property are shown, with `paths` selected of them; None where they are shown as they are."""
    if not isinstance(declared.type, ComplexType) or not (paths or full):
        return None
    one = _members(declared.type, paths, full)

    def shown(value: object) -> object:
        decoded = msgspec.json.decode(value) if isinstance(value, msgspec.Raw) else value
        if decoded is None:
            return None
        return [one(each) for each in decoded] if isinstance(decoded, list) else one(decoded)

    return shown


def _members(held: ComplexType, paths: tuple[str, ...], full: bool) -> Show:
    wanted = heads(paths)
    parts = [
        (each.name, annotation(each) if full else None, show(each, below(each.name, paths), full))
        for each in held.properties
        if not paths or each.name in wanted
    ]

    def shown(value: object) -> object:
        members: dict[str, object] = {"@odata.type": f"#{held.qualified}"} if full else {}
        for name, told, within in parts:
            part = value.get(name) if isinstance(value, dict) else None
            if told is not None and part is not None:
                members[f"{name}@odata.type"] = told
            members[name] = part if within is None else within(part)
        return members

    return shown
