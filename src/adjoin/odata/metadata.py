"""The model in OData's own words: `$metadata` as CSDL XML and as CSDL JSON, and the service document.

Both forms print one list of declarations and one set of annotations, so neither can say what the other does not.
Types stand exactly as Graph publishes them (graph-contract 1.2); what this service adds is in annotations.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from adjoin.odata import capabilities
from adjoin.odata.capabilities import (
    CAPABILITIES,
    CORE,
    Annotations,
    Member,
    NavigationPath,
    PropertyPath,
    Value,
)
from adjoin.odata.edm import (
    Action,
    ComplexType,
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

_EDMX: Final = "http://docs.oasis-open.org/odata/ns/edmx"
_EDM: Final = "http://docs.oasis-open.org/odata/ns/edm"
_VOCABULARIES: Final = "https://oasis-tcs.github.io/odata-vocabularies/vocabularies"
_BINDING: Final = "bindingParameter"
_ALIASES: Final = {CORE: "Core", CAPABILITIES: "Capabilities"}


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
    schema.extend(_xml_complex(model, each) for each in model.complexes)
    schema.extend(_xml_entity(model, each) for each in model.entities)
    schema.extend(_xml_function(model, each) for each in model.functions)
    schema.extend(_xml_action(model, each) for each in model.actions)
    container = SubElement(schema, "EntityContainer", Name=model.container)
    container.extend(_xml_entity_set(each) for each in model.entity_sets)
    container.extend(_xml_singleton(each) for each in model.singletons)
    _xml_annotated(container, capabilities.of_container(model))
    _xml_annotated(schema, capabilities.of_schema(model))
    ElementTree.indent(edmx)
    text: bytes = ElementTree.tostring(edmx, encoding="utf-8", xml_declaration=True)
    return text + b"\n"


@lru_cache(maxsize=8)
def csdl_json(model: Model) -> bytes:
    """`$metadata` as CSDL JSON. `$Version` is 4.0, the version of the answers (CSDL JSON 4.01 section 3.1)."""
    container = {each.name: _json_entity_set(each) for each in model.entity_sets}
    container |= {each.name: _json_singleton(each) for each in model.singletons}
    container |= _json_annotations(capabilities.of_container(model))
    schema: dict[str, Any] = {"$Alias": model.alias, **_json_annotations(capabilities.of_schema(model))}
    schema |= {each.name: _json_enum(each) for each in model.enums}
    schema |= {each.name: _json_complex(model, each) for each in model.complexes}
    schema |= {each.name: _json_entity(model, each) for each in model.entities}
    for each in model.functions:
        # Functions of one name are one member (CSDL JSON 4.01 section 12).
        schema.setdefault(each.name, []).append(_json_function(model, each))
    for action in model.actions:
        schema.setdefault(action.name, []).append(_json_action(model, action))
    schema[model.container] = {"$Kind": "EntityContainer", **container}
    document = {
        "$Version": "4.0",
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
    entries = [{"name": each.name, "kind": "EntitySet", "url": each.name} for each in model.entity_sets]
    entries += [{"name": each.name, "kind": "Singleton", "url": each.name} for each in model.singletons]
    document = {"@odata.context": f"{root}/$metadata", "value": entries}
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()


# Type names are written as Graph writes them: with the alias in the schema, in full in the container.


def _type_name(model: Model, named: EntityType | EnumType | ComplexType | Primitive) -> str:
    return named.value if isinstance(named, Primitive) else f"{model.alias}.{named.name}"


def _xml_enum(enum: EnumType) -> Element:
    element = Element("EnumType", Name=enum.name)
    for name, value in enum.members.items():
        SubElement(element, "Member", Name=name, Value=str(value))
    return _xml_annotated(element, capabilities.of_type(enum.description))


def _xml_complex(model: Model, held: ComplexType) -> Element:
    element = Element("ComplexType", Name=held.name)
    element.extend(_xml_property(model, each) for each in held.properties)
    return _xml_annotated(element, capabilities.of_type(held.description))


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
    return _xml_annotated(element, capabilities.of_type(entity.description))


def _xml_property(model: Model, declared: Property) -> Element:
    name = _type_name(model, declared.type)
    element = Element("Property", Name=declared.name, Type=f"Collection({name})" if declared.collection else name)
    if not declared.nullable:
        element.set("Nullable", "false")
    return _xml_annotated(element, capabilities.of_property(declared))


def _xml_navigation(model: Model, navigation: Navigation) -> Element:
    collection = f"Collection({_type_name(model, navigation.target)})"
    element = Element("NavigationProperty", Name=navigation.name, Type=collection, ContainsTarget="true")
    return _xml_annotated(element, capabilities.of_navigation(navigation))


def _xml_function(model: Model, function: Function) -> Element:
    collection = f"Collection({_type_name(model, function.binding)})"
    element = Element("Function", Name=function.name, IsBound="true")
    SubElement(element, "Parameter", Name=_BINDING, Type=collection)
    SubElement(element, "ReturnType", Type=collection)
    return _xml_annotated(element, capabilities.of_type(function.description))


def _xml_action(model: Model, action: Action) -> Element:
    element = Element("Action", Name=action.name, IsBound="true")
    SubElement(element, "Parameter", Name=_BINDING, Type=_type_name(model, action.binding))
    return _xml_annotated(element, capabilities.of_type(action.description))


def _xml_entity_set(entity_set: EntitySet) -> Element:
    element = Element("EntitySet", Name=entity_set.name, EntityType=entity_set.target.qualified)
    return _xml_annotated(element, capabilities.of_entity_set(entity_set))


def _xml_singleton(singleton: Singleton) -> Element:
    element = Element("Singleton", Name=singleton.name, Type=singleton.type.qualified)
    return _xml_annotated(element, capabilities.of_singleton(singleton))


def _xml_annotated(element: Element, annotations: Annotations) -> Element:
    for term, value in annotations.items():
        _xml_value(SubElement(element, "Annotation", Term=term), value)
    return element


def _xml_value(holder: Element, value: Value) -> None:
    """Put a value into an Annotation or a PropertyValue: constants as an attribute, the others as an element."""
    match value:
        case Mapping():
            _xml_record(holder, value)
        case list():
            collection = SubElement(holder, "Collection")
            for each in value:
                if isinstance(each, Mapping):
                    _xml_record(collection, each)
                else:
                    name, text = _xml_constant(each)
                    SubElement(collection, name).text = text
        case _:
            holder.set(*_xml_constant(value))


def _xml_constant(value: Value) -> tuple[str, str]:
    """The name of a constant's kind, which is that of its attribute and of its element, and its text."""
    match value:
        case bool():
            return "Bool", "true" if value else "false"
        case int():
            return "Int", str(value)
        case PropertyPath(path):
            return "PropertyPath", path
        case NavigationPath(path):
            return "NavigationPropertyPath", path
        case Member(enum, name):
            return "EnumMember", f"{enum}/{name}"
        case _:
            return "String", str(value)


def _xml_record(holder: Element, members: Mapping[str, Any]) -> None:
    record = SubElement(holder, "Record")
    for name, value in members.items():
        _xml_value(SubElement(record, "PropertyValue", Property=name), value)


# JSON: what is left out means not nullable, Edm.String, not abstract (CSDL JSON 4.01 sections 7.2.1 and 7).


def _json_enum(enum: EnumType) -> dict[str, Any]:
    return {"$Kind": "EnumType", **enum.members, **_json_annotations(capabilities.of_type(enum.description))}


def _json_complex(model: Model, held: ComplexType) -> dict[str, Any]:
    members: dict[str, Any] = {"$Kind": "ComplexType"}
    members |= {each.name: _json_property(model, each) for each in held.properties}
    return {**members, **_json_annotations(capabilities.of_type(held.description))}


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
    return {**members, **_json_annotations(capabilities.of_type(entity.description))}


def _json_property(model: Model, declared: Property) -> dict[str, Any]:
    members: dict[str, Any] = {"$Collection": True} if declared.collection else {}
    if declared.type is not Primitive.STRING:
        members["$Type"] = _type_name(model, declared.type)
    if declared.nullable:
        members["$Nullable"] = True
    return {**members, **_json_annotations(capabilities.of_property(declared))}


def _json_navigation(model: Model, navigation: Navigation) -> dict[str, Any]:
    members = {
        "$Kind": "NavigationProperty",
        "$Collection": True,
        "$Type": _type_name(model, navigation.target),
        "$ContainsTarget": True,
    }
    return {**members, **_json_annotations(capabilities.of_navigation(navigation))}


def _json_function(model: Model, function: Function) -> dict[str, Any]:
    collection = {"$Collection": True, "$Type": _type_name(model, function.binding)}
    members = {
        "$Kind": "Function",
        "$IsBound": True,
        "$Parameter": [{"$Name": _BINDING, **collection}],
        "$ReturnType": collection,
    }
    return {**members, **_json_annotations(capabilities.of_type(function.description))}


def _json_action(model: Model, action: Action) -> dict[str, Any]:
    parameter = {"$Name": _BINDING, "$Type": _type_name(model, action.binding)}
    members = {"$Kind": "Action", "$IsBound": True, "$Parameter": [parameter]}
    return {**members, **_json_annotations(capabilities.of_type(action.description))}


def _json_entity_set(entity_set: EntitySet) -> dict[str, Any]:
    members = {"$Collection": True, "$Type": entity_set.target.qualified}
    return {**members, **_json_annotations(capabilities.of_entity_set(entity_set))}


def _json_singleton(singleton: Singleton) -> dict[str, Any]:
    return {"$Type": singleton.type.qualified, **_json_annotations(capabilities.of_singleton(singleton))}


def _json_annotations(annotations: Annotations) -> dict[str, Any]:
    """Terms in JSON go by the alias that `$Include` gives their vocabulary."""
    members = {}
    for term, value in annotations.items():
        namespace, _, name = term.rpartition(".")
        members[f"@{_ALIASES[namespace]}.{name}"] = _json_value(value)
    return members


def _json_value(value: Value) -> object:
    match value:
        case PropertyPath(text) | NavigationPath(text) | Member(_, text):
            return text
        case Mapping():
            return {name: _json_value(each) for name, each in value.items()}
        case list():
            return [_json_value(each) for each in value]
        case _:
            return value
