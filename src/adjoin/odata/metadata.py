"""The model in OData's own words: `$metadata` as CSDL XML and as CSDL JSON, and the service document.

Both forms print one list of declarations and one set of annotations, so neither can say what the other does not.
Types stand exactly as Graph publishes them (graph-contract 1.2); what this service adds is in annotations.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from adjoin.odata.edm import EntityType, EnumType, Model, Navigation, Primitive, Property, Singleton

CORE: Final = "Org.OData.Core.V1"
CAPABILITIES: Final = "Org.OData.Capabilities.V1"

_EDMX: Final = "http://docs.oasis-open.org/odata/ns/edmx"
_EDM: Final = "http://docs.oasis-open.org/odata/ns/edm"
_VOCABULARIES: Final = "https://oasis-tcs.github.io/odata-vocabularies/vocabularies"
_ALIASES: Final = {CORE: "Core", CAPABILITIES: "Capabilities"}

# Graph names its permission schemes so in its own annotations; personal accounts have none (graph-contract 1.4).
_SCHEMES: Final = ("DelegatedWork", "Application")


@dataclass(frozen=True, slots=True)
class _Path:
    """A navigation property path, as the value of an annotation (CSDL XML 4.01 section 14.4.1.5)."""

    text: str


@dataclass(frozen=True, slots=True)
class _Member:
    """An enumeration member, as the value of an annotation (CSDL XML 4.01 section 14.3.7)."""

    type: str
    name: str


# What an annotation says: a constant, a record, or a collection of records; CSDL has more, nothing here needs it.
_Value = str | bool | _Path | _Member | Mapping[str, Any] | Sequence[Mapping[str, Any]]
_Annotations = Mapping[str, _Value]


@lru_cache(maxsize=8)
def csdl_xml(model: Model) -> bytes:
    """`$metadata` as CSDL XML. `Version` is 4.0, the version of the answers (CSDL XML 4.01 section 3.1)."""
    edmx = Element("edmx:Edmx", {"xmlns:edmx": _EDMX, "Version": "4.0"})
    for namespace, alias in _ALIASES.items():
        reference = SubElement(edmx, "edmx:Reference", Uri=f"{_VOCABULARIES}/{namespace}.xml")
        SubElement(reference, "edmx:Include", Namespace=namespace, Alias=alias)
    services = SubElement(edmx, "edmx:DataServices")
    schema = SubElement(services, "Schema", {"xmlns": _EDM, "Namespace": model.namespace, "Alias": model.alias})
    schema.extend(_xml_enum(each) for each in model.enums)
    schema.extend(_xml_entity(model, each) for each in model.entities)
    container = SubElement(schema, "EntityContainer", Name=model.container)
    container.extend(_xml_singleton(each) for each in model.singletons)
    ElementTree.indent(edmx)
    text: bytes = ElementTree.tostring(edmx, encoding="utf-8", xml_declaration=True)
    return text + b"\n"


@lru_cache(maxsize=8)
def csdl_json(model: Model) -> bytes:
    """`$metadata` as CSDL JSON, a form that exists since 4.01 only (CSDL JSON 4.01 section 3.1)."""
    container = {each.name: _json_singleton(each) for each in model.singletons}
    schema: dict[str, Any] = {"$Alias": model.alias}
    schema |= {each.name: _json_enum(each) for each in model.enums}
    schema |= {each.name: _json_entity(model, each) for each in model.entities}
    schema[model.container] = {"$Kind": "EntityContainer", **container}
    document = {
        "$Version": "4.01",
        "$EntityContainer": f"{model.namespace}.{model.container}",
        "$Reference": {
            f"{_VOCABULARIES}/{namespace}.json": {"$Include": [{"$Namespace": namespace, "$Alias": alias}]}
            for namespace, alias in _ALIASES.items()
        },
        model.namespace: schema,
    }
    return json.dumps(document, indent=2, ensure_ascii=False).encode() + b"\n"


def service_document(model: Model, root: str) -> bytes:
    """What stands at the service root, in the JSON of OData 4.0 (OData JSON 4.01 section 5)."""
    entries = [{"name": each.name, "kind": "Singleton", "url": each.name} for each in model.singletons]
    document = {"@odata.context": f"{root}/$metadata", "value": entries}
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()


def _described(description: str) -> _Annotations:
    return {f"{CORE}.Description": description} if description else {}


def _property_annotations(declared: Property) -> _Annotations:
    # Core: "a value can be provided by the client on insert … if none is provided, a default value is generated".
    computed = {f"{CORE}.ComputedDefaultValue": True} if declared.generated else {}
    return {**_described(declared.description), **computed}


def _singleton_annotations(singleton: Singleton) -> _Annotations:
    annotations: dict[str, _Value] = {
        f"{CAPABILITIES}.ReadRestrictions": {"Readable": True, **_permissions(singleton.read)},
        f"{CAPABILITIES}.UpdateRestrictions": {"Updatable": False},
        f"{CAPABILITIES}.DeleteRestrictions": {"Deletable": False},
    }
    restricted = [_navigation_restriction(each) for each in singleton.type.navigations]
    if restricted:
        annotations[f"{CAPABILITIES}.NavigationRestrictions"] = {"RestrictedProperties": restricted}
    return annotations


def _navigation_restriction(navigation: Navigation) -> Mapping[str, _Value]:
    """What may be done with a contained collection; containment has no entity set that could carry it.

    Restrictions on query options (FilterRestrictions, SortRestrictions, TopSupported …) belong in this record too.
    """
    needed = _permissions(navigation.write)
    writable = bool(navigation.write)
    # `$filter(…)` and `$each` as path segments are assumed unless denied; the path reader has neither.
    each_at_a_time = {"FilterSegmentSupported": False}
    patch = {"UpdateMethod": _Member(f"{CAPABILITIES}.HttpMethod", "PATCH")} if writable else {}
    return {
        "NavigationProperty": _Path(navigation.name),
        "ReadRestrictions": {"Readable": True, **_permissions(navigation.read)},
        "InsertRestrictions": {"Insertable": writable, **needed},
        "UpdateRestrictions": {"Updatable": writable, **patch, **each_at_a_time, **needed},
        "DeleteRestrictions": {"Deletable": writable, **each_at_a_time, **needed},
    }


def _permissions(names: tuple[str, ...]) -> Mapping[str, _Value]:
    """One of the scopes of one of the schemes opens the operation; least privileged first."""
    if not names:
        return {}
    scopes = [{"Scope": name} for name in names]
    return {"Permissions": [{"SchemeName": scheme, "Scopes": scopes} for scheme in _SCHEMES]}


# Type names are written as Graph writes them: with the alias in the schema, in full in the container.


def _type_name(model: Model, named: EntityType | EnumType | Primitive) -> str:
    return named.value if isinstance(named, Primitive) else f"{model.alias}.{named.name}"


def _xml_enum(enum: EnumType) -> Element:
    element = Element("EnumType", Name=enum.name)
    for name, value in enum.members.items():
        SubElement(element, "Member", Name=name, Value=str(value))
    return _xml_annotated(element, _described(enum.description))


def _xml_entity(model: Model, entity: EntityType) -> Element:
    element = Element("EntityType", Name=entity.name)
    if entity.base is not None:
        element.set("BaseType", _type_name(model, entity.base))
    if entity.abstract:
        element.set("Abstract", "true")
    if entity.own_key is not None:
        SubElement(SubElement(element, "Key"), "PropertyRef", Name=entity.own_key)
    element.extend(_xml_property(model, each) for each in entity.own_properties)
    element.extend(_xml_navigation(model, each) for each in entity.own_navigations)
    return _xml_annotated(element, _described(entity.description))


def _xml_property(model: Model, declared: Property) -> Element:
    element = Element("Property", Name=declared.name, Type=_type_name(model, declared.type))
    if not declared.nullable:
        element.set("Nullable", "false")
    return _xml_annotated(element, _property_annotations(declared))


def _xml_navigation(model: Model, navigation: Navigation) -> Element:
    collection = f"Collection({_type_name(model, navigation.target)})"
    element = Element("NavigationProperty", Name=navigation.name, Type=collection, ContainsTarget="true")
    return _xml_annotated(element, _described(navigation.description))


def _xml_singleton(singleton: Singleton) -> Element:
    element = Element("Singleton", Name=singleton.name, Type=singleton.type.qualified)
    return _xml_annotated(element, _singleton_annotations(singleton))


def _xml_annotated(element: Element, annotations: _Annotations) -> Element:
    for term, value in annotations.items():
        _xml_value(SubElement(element, "Annotation", Term=term), value)
    return element


def _xml_value(holder: Element, value: _Value) -> None:
    """Put a value into an Annotation or a PropertyValue: constants as an attribute, the others as an element."""
    match value:
        case bool():
            holder.set("Bool", "true" if value else "false")
        case str():
            holder.set("String", value)
        case _Path(path):
            holder.set("NavigationPropertyPath", path)
        case _Member(enum, name):
            holder.set("EnumMember", f"{enum}/{name}")
        case Mapping():
            _xml_record(holder, value)
        case _:
            collection = SubElement(holder, "Collection")
            for each in value:
                _xml_record(collection, each)


def _xml_record(holder: Element, members: Mapping[str, Any]) -> None:
    record = SubElement(holder, "Record")
    for name, value in members.items():
        _xml_value(SubElement(record, "PropertyValue", Property=name), value)


# JSON: what is left out means not nullable, Edm.String, not abstract (CSDL JSON 4.01 sections 7.2.1 and 7).


def _json_enum(enum: EnumType) -> dict[str, Any]:
    return {"$Kind": "EnumType", **enum.members, **_json_annotations(_described(enum.description))}


def _json_entity(model: Model, entity: EntityType) -> dict[str, Any]:
    members: dict[str, Any] = {"$Kind": "EntityType"}
    if entity.base is not None:
        members["$BaseType"] = _type_name(model, entity.base)
    if entity.abstract:
        members["$Abstract"] = True
    if entity.own_key is not None:
        members["$Key"] = [entity.own_key]
    members |= {each.name: _json_property(model, each) for each in entity.own_properties}
    members |= {each.name: _json_navigation(model, each) for each in entity.own_navigations}
    return {**members, **_json_annotations(_described(entity.description))}


def _json_property(model: Model, declared: Property) -> dict[str, Any]:
    members: dict[str, Any] = {}
    if declared.type is not Primitive.STRING:
        members["$Type"] = _type_name(model, declared.type)
    if declared.nullable:
        members["$Nullable"] = True
    return {**members, **_json_annotations(_property_annotations(declared))}


def _json_navigation(model: Model, navigation: Navigation) -> dict[str, Any]:
    members = {
        "$Kind": "NavigationProperty",
        "$Collection": True,
        "$Type": _type_name(model, navigation.target),
        "$ContainsTarget": True,
    }
    return {**members, **_json_annotations(_described(navigation.description))}


def _json_singleton(singleton: Singleton) -> dict[str, Any]:
    return {"$Type": singleton.type.qualified, **_json_annotations(_singleton_annotations(singleton))}


def _json_annotations(annotations: _Annotations) -> dict[str, Any]:
    """Terms in JSON go by the alias that `$Include` gives their vocabulary."""
    members = {}
    for term, value in annotations.items():
        namespace, _, name = term.rpartition(".")
        members[f"@{_ALIASES[namespace]}.{name}"] = _json_value(value)
    return members


def _json_value(value: _Value) -> object:
    match value:
        case bool() | str():
            return value
        case _Path(path):
            return path
        case _Member(_, name):
            return name
        case Mapping():
            return {name: _json_value(each) for name, each in value.items()}
        case _:
            return [_json_value(each) for each in value]
