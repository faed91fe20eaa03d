"""Which columns hold which property, and what they hold of a value."""

from __future__ import annotations

import pytest

from adjoin.odata.edm import EntityType, EnumType, Primitive, Property
from adjoin.odata.values import Instant, fold
from adjoin.store.columns import Stored, Table, Value, columns, snake, sort_column, stored
from adjoin.store.schema import METADATA
from adjoin.store.tables import ENTITY_TABLES, table_of

COLOUR = EnumType("colour", "n", {"red": 0, "green": 5})
EVERY = EntityType(
    "every",
    "n",
    (
        Property("id", Primitive.STRING, nullable=False, guid=True),
        Property("displayName", Primitive.STRING),
        Property("theColour", COLOUR),
        Property("lastSeen", Primitive.DATE_TIME_OFFSET),
        Property("isOn", Primitive.BOOLEAN),
        Property("small", Primitive.INT32),
        Property("large", Primitive.INT64),
        Property("otherId", Primitive.GUID),
    ),
    own_key="id",
)
TABLE = Table("every", EVERY)
INSTANT = Instant.parse("2016-12-31T23:58:36.6670033-08:00")


@pytest.mark.parametrize(
    ("name", "column"),
    [
        ("id", "id"),
        ("displayName", "display_name"),
        ("lastConnectionDateTime", "last_connection_date_time"),
        ("aB", "a_b"),
    ],
)
def test_names_are_spelled_as_the_database_spells_them(name: str, column: str) -> None:
    assert snake(name) == column


def test_a_property_has_one_column_but_date_times_and_strings_have_one_more_to_be_compared_by() -> None:
    assert [(column.name, column.kind) for _, column in TABLE.columns] == [
        ("id", "text"),
        ("display_name", "text"),
        ("display_name_folded", "text"),
        ("the_colour", "integer"),
        ("last_seen", "text"),
        ("last_seen_ticks", "ticks"),
        ("is_on", "boolean"),
        ("small", "integer"),
        ("large", "ticks"),
        ("other_id", "text"),
    ]


@pytest.mark.parametrize(
    ("name", "value", "held"),
    [
        ("id", "x", ("x",)),
        ("displayName", "Straße É", ("Straße É", fold("Straße É"))),
        ("displayName", "", ("", "")),
        ("displayName", None, (None, None)),
        ("theColour", "green", (5,)),
        ("theColour", None, (None,)),
        ("lastSeen", INSTANT, ("2016-12-31T23:58:36.6670033-08:00", INSTANT.ticks)),
        ("lastSeen", None, (None, None)),
        ("isOn", True, (True,)),
        ("small", 5, (5,)),
        ("large", 2**63 - 1, (2**63 - 1,)),
        ("otherId", None, (None,)),
    ],
)
def test_a_value_is_held_by_as_many_columns_as_its_property_has(
    name: str, value: Value, held: tuple[object, ...]
) -> None:
    declared = EVERY.find_property(name)
    assert declared is not None
    assert stored(declared, value) == held
    assert len(columns(declared)) == len(held)


def test_a_row_shows_enumerations_by_name() -> None:
    assert TABLE.row(("x", "n", 5, "t", None, None, None, None))[2] == "green"


def test_a_row_shows_no_enumeration_where_there_is_none() -> None:
    assert TABLE.row(("x", "n", None, None, None, None, None, None))[2] is None


def test_a_row_shows_booleans_as_booleans() -> None:
    # Nothing in the model is boolean yet; SQLite gives numbers for them, and `1` is not `true` on the wire.
    assert TABLE.row(("x", "n", 0, None, 1, 1, 1, None))[4] is True


def test_a_stored_row_has_its_version_beside_it() -> None:
    assert TABLE.stored(("x", "n", 0, None, None, None, None, None, 7)) == Stored(
        ("x", "n", "red", None, None, None, None, None), 7
    )


@pytest.mark.parametrize(
    ("name", "column"),
    [
        ("id", "id"),
        ("displayName", "display_name_folded"),
        ("theColour", "the_colour"),
        ("lastSeen", "last_seen_ticks"),
    ],
)
def test_a_property_is_compared_by_the_column_that_orders_as_odata_wants(name: str, column: str) -> None:
    declared = EVERY.find_property(name)
    assert declared is not None
    assert sort_column(declared) == column


def test_the_key_is_named_and_placed() -> None:
    assert (TABLE.key, TABLE.key_at) == ("id", 0)


def test_every_collection_of_the_model_has_its_table() -> None:
    assert [each.name for each in ENTITY_TABLES] == ["domain_join_connectors", "audit_events", "subscriptions"]
    assert all(table_of(each.type) is each for each in ENTITY_TABLES)


@pytest.mark.parametrize("table", ENTITY_TABLES, ids=lambda each: each.name)
def test_the_declared_table_has_the_derived_columns(table: Table) -> None:
    declared = METADATA.tables[table.name].columns
    assert declared.keys() == [
        "tenant",
        *(column.name for _, column in table.columns),
        "row_version",
        *(each.name for each in table.own),
    ]
    assert [each.name for each in declared if each.primary_key] == ["tenant", table.key]
