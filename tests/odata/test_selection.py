"""What `$select` names of an event, whose properties have parts: paths, nested selections, and what is refused."""

from __future__ import annotations

from itertools import combinations, permutations
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adjoin.model import AUDIT_ACTOR, AUDIT_EVENT, BETA
from adjoin.odata.errors import Malformed, NotServed, ProtocolRefusal, UnknownName, UnknownOption
from adjoin.odata.selection import MAX_SELECTED, bind_select

ACTOR: Final = tuple(each.name for each in AUDIT_ACTOR.properties)
ALL: Final = tuple(each.name for each in AUDIT_EVENT.properties)
PATHS: Final = (
    *("id", "actor", "actor/userId", "actor/userPermissions", "resources", "resources/displayName"),
    *("resources/modifiedProperties", "resources/modifiedProperties/newValue"),
)


def selected(text: str) -> tuple[str, ...]:
    return bind_select(text, BETA, AUDIT_EVENT)


@pytest.mark.parametrize(
    ("text", "paths"),
    [
        ("actor/userId", ("actor/userId",)),
        ("actor($select=userId)", ("actor/userId",)),
        ("actor(select=userId)", ("actor/userId",)),
        ("ACTOR($SELECT= userID )", ("actor/userId",)),
        ("id,actor/userId,actor/ipAddress", ("id", "actor/ipAddress", "actor/userId")),
        ("actor($select=userId,ipAddress),id", ("id", "actor/ipAddress", "actor/userId")),
        ("actor/userId,actor($select=ipAddress)", ("actor/ipAddress", "actor/userId")),
        ("microsoft.graph.auditEvent/actor/userId", ("actor/userId",)),
        ("actor/microsoft.graph.auditActor/userId", ("actor/userId",)),
        ("actor/graph.auditActor/userId", ("actor/userId",)),
        ("resources/displayName", ("resources/displayName",)),
        ("resources/modifiedProperties/newValue", ("resources/modifiedProperties/newValue",)),
        ("resources($select=modifiedProperties($select=newValue))", ("resources/modifiedProperties/newValue",)),
        ("resources/modifiedProperties($select=newValue)", ("resources/modifiedProperties/newValue",)),
        ("resources($select=modifiedProperties/newValue)", ("resources/modifiedProperties/newValue",)),
        ("resources/modifiedProperties", ("resources/modifiedProperties",)),
    ],
)
def test_parts_are_named_by_path_or_within_parentheses(text: str, paths: tuple[str, ...]) -> None:
    assert selected(text) == paths


@pytest.mark.parametrize(
    ("text", "paths"),
    [
        ("actor,actor/userId", ("actor",)),
        ("actor/userId,actor", ("actor",)),
        ("actor/*", ("actor",)),
        ("actor($select=*)", ("actor",)),
        (",".join(f"actor/{name}" for name in ACTOR), ("actor",)),
        ("resources/modifiedProperties($select=*)", ("resources/modifiedProperties",)),
        ("*,actor/userId", ()),
        ("actor/userId,*", ()),
        (",".join(ALL), ()),
    ],
)
def test_all_and_a_part_of_it_is_all(text: str, paths: tuple[str, ...]) -> None:
    assert selected(text) == paths


@pytest.mark.parametrize(
    ("text", "refusal"),
    [
        *((text, UnknownName) for text in ("actor/foo", "actor/id", "foo/userId", "id/userId", "actor/userId/more")),
        *((text, UnknownName) for text in ("actor($select=foo)", "id($select=userId)", "resources/userId")),
        *((text, UnknownName) for text in ("actor/@odata.type", "actor/microsoft.graph.auditResource/displayName")),
        *((text, UnknownName) for text in ("actor/userId desc", "actor/microsoft.graph.auditActor")),
        *((text, Malformed) for text in ("actor(", "actor($select=userId", "actor)", "actor($select=userId))")),
        *((text, Malformed) for text in ("actor($select=)", "actor($select=userId,)", "actor($select=userId)/more")),
        *((text, Malformed) for text in ("actor($select=userId;$select=ipAddress)", "actor($select=userId)x")),
        *(
            (text, UnknownOption)
            for text in (
                "actor()",
                "actor($foo=1)",
                "actor($select =userId)",
                "actor(userId)",
                "resources($skiptoken=1)",
            )
        ),
        *((f"resources(${name}=1)", NotServed) for name in ("filter", "search", "count", "orderby", "skip", "top")),
        *((text, NotServed) for text in ("resources($compute=1)", "actor/@Core.X", "actor/microsoft.graph.*")),
        (f"actor($select={','.join(['userId'] * MAX_SELECTED)})", Malformed),
        (",".join(["actor/userId"] * (MAX_SELECTED + 1)), Malformed),
    ],
)
def test_what_names_no_part_is_refused(text: str, refusal: type[ProtocolRefusal]) -> None:
    with pytest.raises(ProtocolRefusal) as caught:
        selected(text)
    assert type(caught.value) is refusal, caught.value


@given(st.lists(st.sampled_from(PATHS), min_size=1, max_size=6))
def test_the_order_of_items_tells_nothing(paths: list[str]) -> None:
    assert selected(",".join(paths)) == selected(",".join(reversed(paths)))


@pytest.mark.parametrize("paths", [*combinations(PATHS, 1), *permutations(("id", "actor/userId"), 2)], ids=",".join)
def test_what_is_selected_selects_itself(paths: tuple[str, ...]) -> None:
    once = selected(",".join(paths))
    assert selected(",".join(once)) == once


@given(st.text(alphabet="acdeilrstuoI/$=();,* .@", max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        paths = selected(text)
    except ProtocolRefusal:
        return
    assert all(AUDIT_EVENT.find_property(path.partition("/")[0]) for path in paths)
