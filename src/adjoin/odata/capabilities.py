"""What `$metadata` says of the service beyond its types: descriptions, permissions, and the capabilities it has.

Every statement is one that a test proves by a request (`tests/conformance/test_capabilities.py`); what can be read
from the model or from what serves a request is read from there. Terms and records are those of the OASIS vocabularies.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from adjoin.odata.edm import EntitySet, Model, Navigation, Property, Singleton
from adjoin.odata.functions import FUNCTIONS
from adjoin.odata.headers import Detail

CORE: Final = "Org.OData.Core.V1"
CAPABILITIES: Final = "Org.OData.Capabilities.V1"

# Graph names its permission schemes so in its own annotations; personal accounts have none (graph-contract 1.4).
_SCHEMES: Final = ("DelegatedWork", "Application")
OPERATORS: Final = ("eq", "ne", "gt", "ge", "lt", "le", "and", "or", "not", "in")
"""The operators that `binding.py` binds."""


@dataclass(frozen=True, slots=True)
class PropertyPath:
    """The path of a property, as the value of an annotation (CSDL XML 4.01 section 14.4.1.6)."""

    text: str


@dataclass(frozen=True, slots=True)
class NavigationPath:
    """A navigation property path, as the value of an annotation (CSDL XML 4.01 section 14.4.1.5)."""

    text: str


@dataclass(frozen=True, slots=True)
class Member:
    """An enumeration member, as the value of an annotation (CSDL XML 4.01 section 14.3.7)."""

    type: str
    name: str


# What an annotation says; CSDL has more kinds of value, nothing here needs them.
Record = Mapping[str, Any]
Value = str | bool | int | PropertyPath | NavigationPath | Member | Record | Sequence[Any]
Annotations = Mapping[str, Value]


def of_type(description: str) -> Annotations:
    """What is said of a type."""
    return {f"{CORE}.Description": description} if description else {}


def of_property(declared: Property) -> Annotations:
    """What is said of a property."""
    # Core: "a value can be provided by the client on insert … if none is provided, a default value is generated".
    said = of_type(declared.description)
    if declared.generated:
        return {**said, f"{CORE}.ComputedDefaultValue": True}
    if declared.computed:
        return {**said, f"{CORE}.Computed": True}
    return {**said, f"{CORE}.Immutable": True} if declared.fixed else said


def of_navigation(navigation: Navigation) -> Annotations:
    """What is said of a navigation property itself: that for which a restriction of its container has no member."""
    return {**of_type(navigation.description), f"{CAPABILITIES}.CountRestrictions": {"Countable": True}}


def of_schema(model: Model) -> Annotations:
    """What is said of the schema: its functions may be called without its namespace in front of their names."""
    return {f"{CORE}.DefaultNamespace": True} if model.functions else {}


def of_container(_: Model) -> Annotations:
    """What is said of the service as a whole."""
    return {
        f"{CORE}.ODataVersions": "4.0",
        f"{CAPABILITIES}.ConformanceLevel": Member(f"{CAPABILITIES}.ConformanceLevelType", "Intermediate"),
        f"{CAPABILITIES}.SupportedFormats": [f"application/json;odata.metadata={each.value}" for each in Detail],
        f"{CAPABILITIES}.SupportedMetadataFormats": ["application/xml", "application/json"],
        f"{CAPABILITIES}.AcceptableEncodings": ["gzip"],
        f"{CAPABILITIES}.KeyAsSegmentSupported": True,
        f"{CAPABILITIES}.QuerySegmentSupported": False,
        f"{CAPABILITIES}.CrossJoinSupported": False,
        f"{CAPABILITIES}.AnnotationValuesInQuerySupported": False,
        f"{CAPABILITIES}.AsynchronousRequestsSupported": False,
        f"{CAPABILITIES}.BatchSupport": {
            "Supported": True,
            "ContinueOnErrorSupported": True,
            "ReferencesInRequestBodiesSupported": False,
            "ReferencesAcrossChangeSetsSupported": False,
            "EtagReferencesSupported": False,
            "RequestDependencyConditionsSupported": False,
            "SupportedFormats": ["application/json", "multipart/mixed"],
        },
    }


def of_singleton(singleton: Singleton) -> Annotations:
    """What may be done with a singleton, and with the collections that it contains."""
    navigations = singleton.type.navigations
    expand: Record = {"Expandable": True, "MaxLevels": 1} if navigations else {"Expandable": False}
    annotations: dict[str, Value] = {
        f"{CAPABILITIES}.ReadRestrictions": {"Readable": True, **_permissions(singleton.read)},
        f"{CAPABILITIES}.UpdateRestrictions": {"Updatable": False},
        f"{CAPABILITIES}.DeleteRestrictions": {"Deletable": False},
        f"{CAPABILITIES}.SelectSupport": {"Supported": True},
        f"{CAPABILITIES}.ExpandRestrictions": expand,
    }
    if navigations:
        restricted = [_restriction(each) for each in navigations]
        annotations[f"{CAPABILITIES}.NavigationRestrictions"] = {"RestrictedProperties": restricted}
    return annotations


def of_entity_set(entity_set: EntitySet) -> Annotations:
    """What may be done with a collection at the root, each restriction as a term of its own."""
    restrictions = _restrictions(entity_set)
    countable = {f"{CAPABILITIES}.CountRestrictions": {"Countable": True}}
    return {
        **of_type(entity_set.description),
        **countable,
        **{f"{CAPABILITIES}.{name}": value for name, value in restrictions.items()},
        f"{CAPABILITIES}.ExpandRestrictions": {"Expandable": False},
    }


def _restriction(navigation: Navigation) -> Record:
    """What may be done with a contained collection; containment has no entity set that could carry it."""
    return {"NavigationProperty": NavigationPath(navigation.name), **_restrictions(navigation)}


def _restrictions(navigation: Navigation) -> Record:
    properties = navigation.target.properties
    # What cannot be compared is neither filtered nor sorted by.
    apart = [PropertyPath(each.name) for each in properties if not each.comparable]
    return {
        "FilterFunctions": [*OPERATORS, *FUNCTIONS],
        "FilterRestrictions": {"Filterable": True, **({"NonFilterableProperties": apart} if apart else {})},
        "SearchRestrictions": {"Searchable": any(each.searchable for each in properties)},
        "SortRestrictions": {"Sortable": True, **({"NonSortableProperties": apart} if apart else {})},
        "TopSupported": True,
        "SkipSupported": True,
        "SelectSupport": {"Supported": True},
        "IndexableByKey": True,
        **_changes(navigation),
        "ReadRestrictions": {"Readable": True, **_permissions(navigation.read)},
    }


def _changes(navigation: Navigation) -> Record:
    needed = _permissions(navigation.write)
    able = bool(navigation.write)
    # `$filter(…)` and `$each` as path segments are assumed unless denied; the path reader has neither.
    each_at_a_time = {"FilterSegmentSupported": False, "TypecastSegmentSupported": False}
    required = [PropertyPath(each.name) for each in navigation.target.properties if each.required]
    insert = {"RequiredProperties": required} if required and able else {}
    update = {"UpdateMethod": Member(f"{CAPABILITIES}.HttpMethod", "PATCH")} if able else {}
    return {
        "InsertRestrictions": {"Insertable": able, **insert, **needed},
        "UpdateRestrictions": {"Updatable": able, **update, **each_at_a_time, **needed},
        "DeleteRestrictions": {"Deletable": able, **each_at_a_time, **needed},
    }


def _permissions(names: tuple[str, ...]) -> Record:
    """One of the scopes of one of the schemes opens the operation; least privileged first."""
    if not names:
        return {}
    scopes = [{"Scope": name} for name in names]
    return {"Permissions": [{"SchemeName": scheme, "Scopes": scopes} for scheme in _SCHEMES]}
