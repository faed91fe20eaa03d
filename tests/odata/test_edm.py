"""The entity data model: names found without regard to case, inheritance, keys."""

from __future__ import annotations

import pytest

from adjoin.odata.edm import (
    EntitySet,
    EntityType,
    EnumType,
    Function,
    Model,
    Navigation,
    Primitive,
    Property,
    Singleton,
)

COLOUR = EnumType("colour", "a.b", {"red": 0, "green": 5, "blue": 2})
ENTITY = EntityType("entity", "a.b", (Property("id", Primitive.STRING, nullable=False),), own_key="id", abstract=True)
THING = EntityType("thing", "a.b", (Property("displayName", Primitive.STRING), Property("hue", COLOUR)), base=ENTITY)
THINGS = Navigation("allThings", THING)
ROOT = EntityType("root", "a.b", own_navigations=(THINGS,), base=ENTITY)
SPECIAL = EntityType("special", "a.b", (Property("extra", Primitive.INT32),), base=ROOT)
SET = EntitySet("theThings", THING)
NEWEST = Function("newest", THING)
MODEL = Model(
    "a.b", "s", "Container", (COLOUR,), (ENTITY, THING, ROOT), (Singleton("theRoot", ROOT),), (), (SET,), (NEWEST,)
)


class TestEnumeration:
    @pytest.mark.parametrize("written", ["green", "GREEN", "Green"])
    def test_members_are_found_in_any_case_and_come_back_as_declared(self, written: str) -> None:
        assert COLOUR.find_member(written) == "green"

    @pytest.mark.parametrize("written", ["", "5", "gre", "green "])
    def test_what_is_no_member_is_none(self, written: str) -> None:
        assert COLOUR.find_member(written) is None

    def test_members_are_found_by_number(self) -> None:
        assert COLOUR.by_value == {0: "red", 5: "green", 2: "blue"}

    def test_is_named_with_its_namespace(self) -> None:
        assert COLOUR.qualified == "a.b.colour"


class TestEntityType:
    def test_properties_are_the_bases_then_its_own(self) -> None:
        assert [each.name for each in THING.properties] == ["id", "displayName", "hue"]

    def test_navigations_are_inherited(self) -> None:
        assert SPECIAL.navigations == (THINGS,)

    def test_the_key_is_inherited(self) -> None:
        assert SPECIAL.key is THING.key is ENTITY.properties[0]

    def test_without_a_key_anywhere_says_so(self) -> None:
        with pytest.raises(LookupError, match=r"a\.b\.keyless"):
            _ = EntityType("keyless", "a.b").key

    @pytest.mark.parametrize("written", ["displayName", "displayname", "DISPLAYNAME"])
    def test_properties_are_found_in_any_case(self, written: str) -> None:
        found = THING.find_property(written)
        assert found is not None
        assert found.name == "displayName"

    @pytest.mark.parametrize("written", ["", "display", "display_name", "id "])
    def test_an_unknown_property_is_none(self, written: str) -> None:
        assert THING.find_property(written) is None

    @pytest.mark.parametrize(("written", "found"), [("allThings", THINGS), ("ALLTHINGS", THINGS), ("things", None)])
    def test_navigations_are_found_in_any_case(self, written: str, found: Navigation | None) -> None:
        assert ROOT.find_navigation(written) is found

    def test_ancestry_goes_upwards(self) -> None:
        assert list(SPECIAL.ancestry()) == [SPECIAL, ROOT, ENTITY]

    def test_two_types_that_say_the_same_are_still_two(self) -> None:
        assert EntityType("thing", "a.b") != EntityType("thing", "a.b")


class TestProperty:
    @pytest.mark.parametrize(
        ("of", "name"),
        [
            (COLOUR, "a.b.colour"),
            (Primitive.STRING, "Edm.String"),
            (Primitive.GUID, "Edm.Guid"),
            (Primitive.BOOLEAN, "Edm.Boolean"),
            (Primitive.INT32, "Edm.Int32"),
            (Primitive.INT64, "Edm.Int64"),
            (Primitive.DATE_TIME_OFFSET, "Edm.DateTimeOffset"),
        ],
    )
    def test_names_its_type_as_csdl_does(self, of: Primitive | EnumType, name: str) -> None:
        assert Property("p", of).type_name == name


class TestModel:
    @pytest.mark.parametrize(
        ("written", "found"),
        [
            ("a.b.thing", THING),
            ("A.B.Thing", THING),
            ("s.thing", THING),
            ("S.THING", THING),
            ("a.b.colour", COLOUR),
            ("thing", None),
            ("b.thing", None),
            ("s.s.thing", None),
            ("a.b.", None),
            ("", None),
        ],
    )
    def test_types_are_found_by_namespace_or_alias_in_any_case(self, written: str, found: object) -> None:
        assert MODEL.find_type(written) is found

    @pytest.mark.parametrize("written", ["theRoot", "theroot", "THEROOT"])
    def test_singletons_are_found_in_any_case(self, written: str) -> None:
        assert MODEL.find_singleton(written) is MODEL.singletons[0]

    def test_an_unknown_singleton_is_none(self) -> None:
        assert MODEL.find_singleton("root") is None

    @pytest.mark.parametrize(("written", "found"), [("theThings", SET), ("THETHINGS", SET), ("allThings", None)])
    def test_entity_sets_are_found_in_any_case(self, written: str, found: EntitySet | None) -> None:
        assert MODEL.find_entity_set(written) is found

    @pytest.mark.parametrize("written", ["newest", "NEWEST", "a.b.newest", "s.newest", "A.B.Newest"])
    def test_functions_are_found_with_and_without_their_namespace(self, written: str) -> None:
        assert MODEL.find_function(written, THING) is NEWEST

    @pytest.mark.parametrize("written", ["", "new", "other.newest", "a.newest", ".newest."])
    def test_what_is_no_function_is_none(self, written: str) -> None:
        assert MODEL.find_function(written, THING) is None

    def test_a_function_is_of_its_own_type_alone(self) -> None:
        assert MODEL.find_function("newest", ROOT) is None

    def test_collections_are_those_within_singletons_and_those_at_the_root(self) -> None:
        assert MODEL.collections == (THINGS, SET)


@pytest.mark.parametrize(
    ("declared", "required", "changeable", "comparable"),
    [
        (Property("p", Primitive.STRING), True, True, True),
        (Property("p", Primitive.STRING, optional=True), False, True, True),
        (Property("p", Primitive.STRING, fixed=True), True, False, True),
        (Property("p", Primitive.STRING, computed=True), False, False, True),
        (Property("p", Primitive.STRING, generated=True), False, False, True),
        (Property("p", Primitive.STRING, secret=True), True, True, False),
        (Property("p", Primitive.STRING, collection=True), True, True, False),
    ],
)
def test_what_may_be_done_with_a_property(
    declared: Property, required: bool, changeable: bool, comparable: bool
) -> None:
    assert (declared.required, declared.changeable, declared.comparable) == (required, changeable, comparable)
