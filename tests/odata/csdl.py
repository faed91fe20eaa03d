"""Reads our CSDL back, for tests: XML to CSDL JSON by the rules of CSDL JSON 4.01, and CSDL JSON to a model.

Written apart from the printers, so that what both agree on is said by the documents. Models to print, and the
comparison with golden files, are here too.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from enum import Enum
from pathlib import Path
from typing import Any
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from hypothesis import strategies as st

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

EDMX = "{http://docs.oasis-open.org/odata/ns/edmx}"
EDM = "{http://docs.oasis-open.org/odata/ns/edm}"

Json = dict[str, Any]


def check_golden(name: str, actual: bytes) -> None:
    """Compare with a golden file, or write it when ADJOIN_RENEW_GOLDEN is set."""
    path = Path(__file__).parent / "golden" / name
    if os.environ.get("ADJOIN_RENEW_GOLDEN"):
        path.write_bytes(actual)
    assert actual.decode() == path.read_text("utf-8"), (
        f"{path.name} is no longer what is printed. If that is meant, renew it and read the difference:\n"
        "    ADJOIN_RENEW_GOLDEN=1 .venv/bin/pytest tests/odata/test_metadata.py tests/odata/test_openapi.py"
    )


def json_of_xml(text: bytes) -> Json:
    """The CSDL JSON that says the same as this CSDL XML."""
    edmx = ElementTree.fromstring(text)
    includes = {each.attrib["Namespace"]: each.attrib["Alias"] for each in edmx.iter(f"{EDMX}Include")}
    schema = _only(edmx, f"{EDMX}DataServices/{EDM}Schema")
    namespace = schema.attrib["Namespace"]
    container = _only(schema, f"{EDM}EntityContainer").attrib["Name"]
    document: Json = {
        "$Version": edmx.attrib["Version"],
        "$EntityContainer": f"{namespace}.{container}",
        "$Reference": {},
    }
    for reference in edmx.iter(f"{EDMX}Reference"):
        include = [{"$Namespace": each.attrib["Namespace"], "$Alias": each.attrib["Alias"]} for each in reference]
        document["$Reference"][reference.attrib["Uri"].removesuffix(".xml") + ".json"] = {"$Include": include}
    members: Json = {"$Alias": schema.attrib["Alias"]}
    for each in schema:
        match each.tag.removeprefix(EDM):
            case "Annotation":
                members |= _annotation(each, includes)
            case "Function" | "Action":
                members.setdefault(each.attrib["Name"], []).append(_function(each, includes))
            case _:
                members[each.attrib["Name"]] = _element(each, includes)
    return document | {namespace: members}


def _annotation(element: Element, includes: Mapping[str, str]) -> Json:
    namespace, _, term = element.attrib["Term"].rpartition(".")
    return {f"@{includes[namespace]}.{term}": _value(element)}


def _function(element: Element, includes: Mapping[str, str]) -> Json:
    members: Json = {"$Kind": element.tag.removeprefix(EDM), "$Parameter": []}
    if element.attrib.get("IsBound") == "true":
        members["$IsBound"] = True
    for child in element:
        match child.tag.removeprefix(EDM):
            case "Parameter":
                members["$Parameter"].append({"$Name": child.attrib["Name"], **_attributes("Parameter", child.attrib)})
            case "ReturnType":
                members["$ReturnType"] = _attributes("ReturnType", child.attrib)
            case _:
                members |= _annotation(child, includes)
    return members


def _only(element: Element, path: str) -> Element:
    (found,) = element.findall(path)
    return found


def _element(element: Element, includes: Mapping[str, str]) -> Json:
    kind = element.tag.removeprefix(EDM)
    members: Json = {} if kind in ("Property", "Singleton", "EntitySet") else {"$Kind": kind}
    for child in element:
        match child.tag.removeprefix(EDM):
            case "Member":
                members[child.attrib["Name"]] = int(child.attrib["Value"])
            case "Key":
                members["$Key"] = [each.attrib["Name"] for each in child]
            case "Annotation":
                members |= _annotation(child, includes)
            case _:
                members[child.attrib["Name"]] = _element(child, includes)
    return members | _attributes(kind, element.attrib)


def _attributes(kind: str, attributes: Mapping[str, str]) -> Json:
    members: Json = {}
    if "BaseType" in attributes:
        members["$BaseType"] = attributes["BaseType"]
    for name in ("Abstract", "ContainsTarget"):
        if attributes.get(name) == "true":
            members[f"${name}"] = True
    if kind == "EntitySet":
        return {"$Collection": True, "$Type": attributes["EntityType"]}
    named = attributes.get("Type")
    if named is not None and named.startswith("Collection("):
        members["$Collection"] = True
        named = named[len("Collection(") : -1]
    # Of a property, absent means Edm.String (CSDL JSON 4.01 section 7.1).
    if named not in (None, "Edm.String"):
        members["$Type"] = named
    # Absent means nullable in XML and not nullable in JSON (section 7.2.1 of CSDL XML 4.01 and of CSDL JSON 4.01).
    if kind == "Property" and attributes.get("Nullable", "true") == "true":
        members["$Nullable"] = True
    return members


def _value(holder: Element) -> object:
    if "Bool" in holder.attrib:
        return holder.attrib["Bool"] == "true"
    if "Int" in holder.attrib:
        return int(holder.attrib["Int"])
    if "EnumMember" in holder.attrib:
        return holder.attrib["EnumMember"].partition("/")[2]
    for name in ("String", "NavigationPropertyPath"):
        if name in holder.attrib:
            return holder.attrib[name]
    (child,) = holder
    if child.tag == f"{EDM}Record":
        return _record(child)
    return [_record(each) if each.tag == f"{EDM}Record" else each.text for each in child]


def _record(record: Element) -> Json:
    return {each.attrib["Property"]: _value(each) for each in record}


def model_of_json(document: Json) -> Model:
    """The model that a CSDL JSON document describes, permissions included."""
    namespace, _, container = document["$EntityContainer"].rpartition(".")
    return _Reader(namespace, container, document[namespace]).model()


class _Reader:
    """One schema being read. Types are made when they are first referred to."""

    def __init__(self, namespace: str, container: str, schema: Json) -> None:
        self.namespace, self.container, self.schema = namespace, container, schema
        self.made: dict[str, EnumType | ComplexType | EntityType] = {}

    def model(self) -> Model:
        types = [self._type(name) for name, each in self.schema.items() if self._kind(each).endswith("Type")]
        roots = {name: each for name, each in self.schema[self.container].items() if name[0] not in "$@"}
        sets = {name: each for name, each in roots.items() if each.get("$Collection")}
        overloads = [(name, each) for name, group in self.schema.items() if isinstance(group, list) for each in group]
        return Model(
            namespace=self.namespace,
            alias=self.schema["$Alias"],
            container=self.container,
            enums=tuple(each for each in types if isinstance(each, EnumType)),
            complexes=tuple(each for each in types if isinstance(each, ComplexType)),
            entities=tuple(each for each in types if isinstance(each, EntityType)),
            singletons=tuple(self._singleton(name, each) for name, each in roots.items() if name not in sets),
            entity_sets=tuple(self._entity_set(name, each) for name, each in sets.items()),
            functions=tuple(self._function(name, each) for name, each in overloads if each["$Kind"] == "Function"),
            actions=tuple(self._action(name, each) for name, each in overloads if each["$Kind"] == "Action"),
        )

    def _entity_set(self, name: str, declared: Json) -> EntitySet:
        return EntitySet(
            name,
            self._entity_type(declared["$Type"]),
            declared.get("@Core.Description", ""),
            read=_scopes(declared["@Capabilities.ReadRestrictions"]),
            write=_scopes(declared["@Capabilities.InsertRestrictions"]),
        )

    def _function(self, name: str, declared: Json) -> Function:
        (parameter,) = declared["$Parameter"]
        assert declared["$IsBound"]
        assert {**declared["$ReturnType"], "$Name": parameter["$Name"]} == parameter
        return Function(name, self._entity_type(parameter["$Type"]), declared.get("@Core.Description", ""))

    def _action(self, name: str, declared: Json) -> Action:
        (parameter,) = declared["$Parameter"]
        assert declared["$IsBound"]
        assert "$ReturnType" not in declared
        return Action(name, self._entity_type(parameter["$Type"]), declared.get("@Core.Description", ""))

    def _kind(self, member: object) -> str:
        return str(member.get("$Kind", "")) if isinstance(member, dict) else ""

    def _type(self, qualified: str) -> EnumType | ComplexType | EntityType:
        name = qualified.rpartition(".")[2]
        if name not in self.made:
            declared = self.schema[name]
            match declared["$Kind"]:
                case "EnumType":
                    self.made[name] = self._enum(name, declared)
                case "ComplexType":
                    self.made[name] = self._complex(name, declared)
                case _:
                    self.made[name] = self._entity(name, declared)
        return self.made[name]

    def _entity_type(self, qualified: str) -> EntityType:
        found = self._type(qualified)
        assert isinstance(found, EntityType)
        return found

    def _enum(self, name: str, declared: Json) -> EnumType:
        members = {each: value for each, value in declared.items() if each[0] not in "$@"}
        return EnumType(name, self.namespace, members, declared.get("@Core.Description", ""))

    def _complex(self, name: str, declared: Json) -> ComplexType:
        members = {each: value for each, value in declared.items() if each[0] not in "$@"}
        properties = tuple(self._property(each, value) for each, value in members.items())
        return ComplexType(name, self.namespace, properties, declared.get("@Core.Description", ""))

    def _entity(self, name: str, declared: Json) -> EntityType:
        members = {each: value for each, value in declared.items() if each[0] not in "$@"}
        navigations = {each: value for each, value in members.items() if self._kind(value) == "NavigationProperty"}
        return EntityType(
            name,
            self.namespace,
            own_properties=tuple(self._property(e, value) for e, value in members.items() if e not in navigations),
            own_navigations=tuple(self._navigation(e, value) for e, value in navigations.items()),
            base=self._entity_type(declared["$BaseType"]) if "$BaseType" in declared else None,
            own_key=declared["$Key"][0] if "$Key" in declared else None,
            abstract=declared.get("$Abstract", False),
            description=declared.get("@Core.Description", ""),
        )

    def _property(self, name: str, declared: Json) -> Property:
        named = declared.get("$Type", "Edm.String")
        found = Primitive(named) if named.startswith("Edm.") else self._type(named)
        assert not isinstance(found, EntityType)
        return Property(
            name,
            found,
            nullable=declared.get("$Nullable", False),
            description=declared.get("@Core.Description", ""),
            generated=declared.get("@Core.ComputedDefaultValue", False),
            collection=declared.get("$Collection", False),
            fixed=declared.get("@Core.Immutable", False),
            computed=declared.get("@Core.Computed", False),
        )

    def _navigation(self, name: str, declared: Json) -> Navigation:
        assert declared["$Collection"]
        assert declared["$ContainsTarget"]
        restriction = self._restriction(name)
        return Navigation(
            name,
            self._entity_type(declared["$Type"]),
            declared.get("@Core.Description", ""),
            read=_scopes(restriction["ReadRestrictions"]),
            write=_scopes(restriction["InsertRestrictions"]),
        )

    def _restriction(self, navigation: str) -> Json:
        """What the container says of a navigation property; its name is enough to find it in these models."""
        singletons = [each for each in self.schema[self.container].values() if isinstance(each, dict)]
        stated = [each.get("@Capabilities.NavigationRestrictions", {}) for each in singletons]
        records: list[Json] = [record for each in stated for record in each.get("RestrictedProperties", [])]
        return next(each for each in records if each["NavigationProperty"] == navigation)

    def _singleton(self, name: str, declared: Json) -> Singleton:
        read = _scopes(declared["@Capabilities.ReadRestrictions"])
        return Singleton(name, self._entity_type(declared["$Type"]), read)


def _scopes(restriction: Json) -> tuple[str, ...]:
    schemes = [tuple(s["Scope"] for s in each["Scopes"]) for each in restriction.get("Permissions", [])]
    assert len(set(schemes)) < 2, "the schemes differ"
    return schemes[0] if schemes else ()


# What this service adds to a property or a type, which CSDL does not say.
_OWN = ("guid", "max_length", "searchable", "append_only", "optional", "secret", "owner")


def published(model: Model) -> Any:
    """A model as plain data, without what CSDL does not publish: this service's own bounds."""
    return _plain(model)


def _plain(value: object) -> Any:
    """Types have no equality of their own (edm: they are told by identity), so plain data is compared."""
    if isinstance(value, Enum):
        return value.value
    if is_dataclass(value) and not isinstance(value, type):
        names = [each.name for each in fields(value) if each.init and each.name not in _OWN]
        return {name: _plain(getattr(value, name)) for name in names}
    if isinstance(value, Mapping):
        return [(name, _plain(each)) for name, each in value.items()]
    return [_plain(each) for each in value] if isinstance(value, tuple) else value


# Text that XML 1.0 can hold (section 2.2 of it).
_TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"], exclude_characters="\ufffe\uffff"))
_PERMISSIONS = st.lists(st.sampled_from(["A.Read.All", "A.ReadWrite.All", "B.Read"]), unique=True).map(tuple)


def _properties(
    draw: st.DrawFn, types: Sequence[Primitive | EnumType | ComplexType], most: int
) -> tuple[Property, ...]:
    return tuple(
        Property(
            f"p{number}",
            draw(st.sampled_from(types)),
            draw(st.booleans()),
            draw(_TEXT),
            generated=draw(st.booleans()),
            collection=draw(st.booleans()),
        )
        for number in range(draw(st.integers(0, most)))
    )


@st.composite
def models(draw: st.DrawFn) -> Model:
    """A singleton with two contained collections, one of them read-only, an entity set, perhaps functions, actions."""
    namespace = "example.model"
    state = EnumType("state", namespace, {"on": 0, "off": draw(st.integers(1, 2**31 - 1))}, draw(_TEXT))
    inner = ComplexType("inner", namespace, _properties(draw, [*Primitive, state], 3), draw(_TEXT))
    outer = ComplexType("outer", namespace, _properties(draw, [*Primitive, state, inner], 3), draw(_TEXT))
    properties = _properties(draw, [*Primitive, state, inner, outer], 6)
    key = Property("id", Primitive.STRING, nullable=False, guid=True, generated=True)
    base = EntityType("thing", namespace, (key,), abstract=True, own_key="id", description=draw(_TEXT))
    item = EntityType("item", namespace, properties, base=base, description=draw(_TEXT))
    items = Navigation("items", item, draw(_TEXT), draw(_PERMISSIONS), draw(_PERMISSIONS))
    event = EntityType(
        "event", namespace, _properties(draw, [*Primitive, state, inner, outer], 6), base=base, append_only=True
    )
    events = Navigation("events", event, draw(_TEXT), draw(_PERMISSIONS))
    root = EntityType("root", namespace, own_navigations=(items, events), base=base)
    singleton = Singleton("root", root, draw(_PERMISSIONS))
    entities = (base, root, item, event)
    sets = (EntitySet("all", item, draw(_TEXT), draw(_PERMISSIONS), draw(_PERMISSIONS)),)
    functions = (Function("newest", draw(st.sampled_from([item, event])), draw(_TEXT)),) if draw(st.booleans()) else ()
    actions = (Action("wake", draw(st.sampled_from([item, event])), draw(_TEXT)),) if draw(st.booleans()) else ()
    return Model(
        namespace, "m", "Container", (state,), entities, (singleton,), (inner, outer), sets, functions, actions
    )
