"""The JSON of requests and answers as JSON Schema 2020-12, for the OpenAPI document.

The schemas are meant to be believed: a body that one of a request takes is one that the service takes, which is why
patterns and lengths stand in them. What no schema can say (that ids in a batch refer to each other) is left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Final

from adjoin.odata import batch
from adjoin.odata.edm import ComplexType, EntityType, EnumType, Model, Primitive, Property

Json = dict[str, Any]

ERROR: Final = "microsoft.graph.ODataErrors.ODataError"
BATCH_REQUEST: Final = "batchRequest"
BATCH_RESPONSE: Final = "batchResponse"
SERVICE_DOCUMENT: Final = "serviceDocument"


def ref(kind: str, name: str) -> Json:
    """A reference to a component of the document."""
    return {"$ref": f"#/components/{kind}/{name}"}


def described(description: str) -> Json:
    """The member that carries a description, if there is one."""
    return {"description": description} if description else {}


def schemas(model: Model) -> Json:
    """The schemas of a model by their names."""
    found: Json = {
        each.qualified: {
            "title": each.name,
            "type": "string",
            "enum": list(each.members),
            **described(each.description),
        }
        for each in model.enums
    }
    found |= {each.qualified: _complex(each) for each in model.complexes}
    found |= {each.qualified: _entity(each) for each in model.entities}
    for navigation in model.collections:
        target = navigation.target
        found[f"{target.qualified}CollectionResponse"] = _collection(target)
        if navigation.write:
            found[f"{target.qualified}Create"] = _create(target)
            found[f"{target.qualified}Update"] = _update(target)
    for function in model.functions:
        found[f"{function.binding.qualified}DeltaResponse"] = _delta(function.binding)
    return found | _FIXED


def value(declared: Property) -> Json:
    """The value of a property."""
    if declared.collection:
        return {"type": "array", "items": value(replace(declared, collection=False, nullable=False))}
    if not isinstance(declared.type, Primitive):
        schema = ref("schemas", declared.type.qualified)
        return {"anyOf": [schema, {"type": "null"}]} if declared.nullable else schema
    schema = dict(_GUID if declared.guid else _PRIMITIVES[declared.type])
    if declared.max_length is not None:
        schema["maxLength"] = declared.max_length
    return schema | ({"type": [schema["type"], "null"]} if declared.nullable else {})


def wrapped(declared: Property) -> Json:
    """The value of a property as it is sent and answered alone (OData JSON 4.01 section 11)."""
    if isinstance(declared.type, ComplexType) and not declared.collection:
        return ref("schemas", declared.type.qualified)
    return _object({"@odata.context": {"type": "string"}, "value": value(declared)}, "value") | _CLOSED


def _object(properties: Json, *required: str) -> Json:
    return {"type": "object", **({"required": list(required)} if required else {}), "properties": properties}


# The types are closed; members with an `@` are annotations, passed over save the one that names the type.
_CLOSED: Final[Json] = {"patternProperties": {"@": {}}, "additionalProperties": False}


def _complex(held: ComplexType) -> Json:
    members = {each.name: value(each) | described(each.description) for each in held.properties}
    return {"title": held.name, **described(held.description), **_object(members)}


def _entity(entity: EntityType) -> Json:
    """An entity as answered. Nothing is required, since `$select` leaves out what it does not name."""
    own = {each.name: value(each) | described(each.description) for each in entity.own_properties}
    own |= {each.name: _related(each.target) | described(each.description) for each in entity.own_navigations}
    named = {"title": entity.name, **described(entity.description)}
    if entity.base is None:
        return named | _object({"@odata.type": {"type": "string"}, **own})
    return {"allOf": [ref("schemas", entity.base.qualified), named | _object(own)]}


def _related(target: EntityType) -> Json:
    return {"type": "array", "items": ref("schemas", target.qualified)}


def _collection(entity: EntityType) -> Json:
    members = {
        "@odata.context": {"type": "string"},
        "@odata.count": {"type": "integer", "minimum": 0},
        "@odata.nextLink": {"type": "string", "format": "uri"},
        "value": _related(entity),
    }
    return {"title": f"Collection of {entity.name}", **_object(members, "value")}


def _delta(entity: EntityType) -> Json:
    """A page of changes (OData JSON 4.01 section 15): entities as they are now, and what is no more."""
    removed = _object({"id": value(entity.key), "@removed": _object({"reason": {"const": "deleted"}}, "reason")}, "id")
    links = {f"@odata.{name}Link": {"type": "string", "format": "uri"} for name in ("next", "delta")}
    items = {"anyOf": [removed | {"required": ["id", "@removed"]}, ref("schemas", entity.qualified)]}
    members = {"@odata.context": {"type": "string"}, **links, "value": {"type": "array", "items": items}}
    return {"title": f"Changes of {entity.name}", **_object(members, "value")}


def _create(entity: EntityType) -> Json:
    example = {each.name: _example(each) for each in entity.properties if each.required}
    given = [each for each in entity.properties if not each.computed]
    return _written(entity, given, tuple(example), example)


def _update(entity: EntityType) -> Json:
    """The body of a change. The key may come back unchanged, which no schema can say, so it is not in this one."""
    changeable = [each for each in entity.properties if each.changeable]
    return _written(entity, changeable, (), {each.name: _example(each) for each in changeable[:1]})


def _written(
    entity: EntityType, properties: Iterable[Property], required: Iterable[str], example: Mapping[str, object]
) -> Json:
    named = {"type": "string", "enum": [f"#{entity.qualified}", entity.qualified]}
    values = {each.name: value(each) | described(each.description) for each in properties}
    return {
        **described(entity.description),
        **_object({"@odata.type": named, "@type": named, **values}, *required),
        **_CLOSED,
        "examples": [{"@odata.type": f"#{entity.qualified}", **example}],
    }


_GUID: Final = {"type": "string", "format": "uuid", "pattern": "^[0-9A-Fa-f]{8}-([0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12}$"}
# The offset is part of the type, and so are seven digits of fraction; `format` looks after the days of a month.
_DATE_TIME: Final = (
    "^(?!0000)[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]"
    r"(\.[0-9]{1,7})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$"
)
_PRIMITIVES: Final[Mapping[Primitive, Json]] = {
    # U+0000 cannot be kept by every database (values.unstorable).
    Primitive.STRING: {"type": "string", "pattern": r"^[^\u0000]*$"},
    Primitive.GUID: _GUID,
    Primitive.BOOLEAN: {"type": "boolean"},
    Primitive.INT32: {"type": "integer", "format": "int32", "minimum": -(2**31), "maximum": 2**31 - 1},
    Primitive.INT64: {"type": "integer", "format": "int64", "minimum": -(2**63), "maximum": 2**63 - 1},
    Primitive.DATE_TIME_OFFSET: {"type": "string", "format": "date-time", "pattern": _DATE_TIME},
}


def _example(declared: Property) -> object:
    """A value like those of the published examples, which come from types and names too (graph-contract 1.4)."""
    if declared.collection:
        return [_example(replace(declared, collection=False))]
    if isinstance(declared.type, ComplexType):
        return {each.name: _example(each) for each in declared.type.properties}
    if isinstance(declared.type, EnumType):
        return list(declared.type.members)[:2][-1]
    if declared.guid or declared.type is Primitive.GUID:
        return "77296cf7-6cf7-7729-f76c-2977f76c2977"
    moment = "2016-12-31T23:58:36.6670033-08:00"
    words = "".join(f" {each}" if each.isupper() else each for each in declared.name)
    texts: dict[object, str] = {
        Primitive.STRING: f"{words[:1].upper()}{words[1:]} value",
        Primitive.DATE_TIME_OFFSET: moment,
    }
    return texts.get(declared.type, declared.type is Primitive.BOOLEAN or 0)


_TEXT: Final[Json] = {"type": "string"}
_TEXT_OR_NULL: Final[Json] = {"type": ["string", "null"]}
_TEXTS: Final[Json] = {"type": "object", "additionalProperties": _TEXT}
_MAIN_ERROR: Final = "microsoft.graph.ODataErrors.MainError"
_INNER_ERROR: Final = "microsoft.graph.ODataErrors.InnerError"
_ERROR_MEMBERS: Final = {"code": _TEXT | {"minLength": 1}, "message": _TEXT, "target": _TEXT_OR_NULL}
_DETAILS: Final = {"type": "array", "items": _object(_ERROR_MEMBERS, "code", "message")}
_MORE: Final = {"details": _DETAILS, "innerError": ref("schemas", _INNER_ERROR)}
_BATCH_ID: Final = {"type": ["string", "integer"], "minLength": 1, "maxLength": 128}
_BATCH_ITEM: Final = _object(
    {
        "id": _BATCH_ID,
        "method": {"type": "string", "enum": ["GET", "POST", "PATCH", "PUT", "DELETE"]},
        "url": _TEXT | {"description": "Relative to the service root."},
        "headers": _TEXTS,
        "body": {"description": "JSON, with a Content-Type among the headers."},
        "dependsOn": {"type": "array", "items": _TEXT, "description": "The ids of those that have to succeed first."},
    },
    *("id", "method", "url"),
)
_BATCH_ANSWER: Final = _object(
    {"id": _BATCH_ID, "status": {"type": "integer"}, "headers": _TEXTS, "body": {}}, "id", "status", "headers"
)
_ROOT_ITEM: Final = _object({"name": _TEXT, "kind": _TEXT, "url": _TEXT}, "name", "url")
_FIXED: Final[Json] = {
    ERROR: _object({"error": ref("schemas", _MAIN_ERROR)}, "error"),
    _MAIN_ERROR: _object(_ERROR_MEMBERS | _MORE, "code", "message"),
    _INNER_ERROR: _object({"date": _TEXT, "request-id": _TEXT, "client-request-id": _TEXT}),
    BATCH_REQUEST: _object(
        {"requests": {"type": "array", "maxItems": batch.MAX_ITEMS, "items": _BATCH_ITEM}}, "requests"
    ),
    BATCH_RESPONSE: _object({"responses": {"type": "array", "items": _BATCH_ANSWER}}, "responses"),
    SERVICE_DOCUMENT: _object(
        {"@odata.context": _TEXT, "value": {"type": "array", "items": _ROOT_ITEM}}, "@odata.context", "value"
    ),
}
