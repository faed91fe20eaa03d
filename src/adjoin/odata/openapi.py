"""The model as an OpenAPI 3.1 document, in the names that Graph's own documents use, so that generators find the
same operations here.

The schemas are meant to be believed: a body that a request schema takes is one that the service takes, which is why
patterns and lengths stand in them; what needs an expression language is marked by a `format` of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from adjoin.odata.edm import EntityType, EnumType, Model, Navigation, Primitive, Property, Singleton

Json = dict[str, Any]

# Every refusal that occurs, by status: the component's name, and when it is given.
_REFUSALS: Final = {
    400: ("badRequest", "The path, a query option, a header or the body is not valid."),
    401: ("unauthorized", "The bearer token is missing or not valid."),
    403: ("forbidden", "The token carries none of the permissions needed, or the tenant has no active licence."),
    404: ("notFound", "There is no entity with this key."),
    406: ("notAcceptable", "No representation served here is among those that Accept names."),
    409: ("conflict", "There is an entity with this key already."),
    412: ("preconditionFailed", "If-Match does not hold for the entity as it is."),
    413: ("contentTooLarge", "The body is larger than the service takes."),
    415: ("unsupportedMediaType", "The body is not declared as JSON in UTF-8."),
    501: ("notServed", "The request is valid OData that this service does not carry out."),
}
_ANY: Final = (400, 401, 403, 406)
_QUERY: Final = (*_ANY, 501)
_BODY: Final = (*_ANY, 413, 415)


def openapi(model: Model, *, title: str, version: str, server_url: str, token_url: str) -> Json:
    """The OpenAPI document of one version of the service.

    `server_url` is its root with the version segment, such as `http://127.0.0.1:8365/beta`.
    """
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": version},
        "servers": [{"url": server_url}],
        "paths": _paths(model),
        "components": {
            "schemas": _schemas(model),
            "parameters": _PARAMETERS,
            "headers": _HEADERS,
            "responses": {name: _refusal(status, text) for status, (name, text) in _REFUSALS.items()},
            "securitySchemes": _security_schemes(model, token_url),
        },
    }


def _ref(kind: str, name: str) -> Json:
    return {"$ref": f"#/components/{kind}/{name}"}


def _capital(name: str) -> str:
    return name[:1].upper() + name[1:]


def _described(description: str) -> Json:
    return {"description": description} if description else {}


def _paths(model: Model) -> Json:
    paths: Json = {"/$metadata": {"get": _get_metadata()}}
    for root in model.singletons:
        paths[f"/{root.name}"] = {"get": _get_singleton(root)}
        for navigation in root.type.navigations:
            paths |= _paths_below(root, navigation)
    return paths


def _paths_below(root: Singleton, navigation: Navigation) -> Json:
    """The collection, its count, an entity, and a property in both its forms; no write without a permission for it."""
    target = navigation.target
    key = {"name": f"{target.name}-{target.key.name}", "in": "path", "required": True}
    key |= {"schema": _value_schema(target.key), "x-ms-docs-key-type": target.name}
    collection: Json = {"description": navigation.description, "get": _list(root, navigation)}
    entity: Json = {"parameters": [key], "get": _get(root, navigation)}
    if navigation.write:
        collection |= {"post": _create(root, navigation)}
        entity |= {"patch": _update(root, navigation), "delete": _delete(root, navigation)}
    values = {"anyOf": [_value_schema(each) for each in target.properties]}
    wrapped = {"schema": _object({"@odata.context": {"type": "string"}, "value": values}, "value")}
    wrapped_value = _get_property(root, navigation, "GetProperty", {"application/json": wrapped})
    bare_value = _get_property(root, navigation, "GetPropertyValue", {"text/plain": {"schema": {"type": "string"}}})
    path = f"/{root.name}/{navigation.name}"
    return {
        path: collection,
        f"{path}/$count": {"get": _get_count(root, navigation)},
        f"{path}/{{{key['name']}}}": entity,
        f"{path}/{{{key['name']}}}/{{property}}": {"parameters": [key], "get": wrapped_value},
        f"{path}/{{{key['name']}}}/{{property}}/$value": {"parameters": [key], "get": bare_value},
    }


def _get_metadata() -> Json:
    content = {"application/xml": {"schema": {"type": "string"}}, "application/json": {"schema": {"type": "object"}}}
    return {
        "tags": ["metadata"],
        "summary": "Get the entity data model as CSDL",
        "operationId": "metadata.Get",
        "parameters": _parameters(),
        "responses": {"200": _answer("The model.", content), **_refusals(400, 406)},
        "security": [],
    }


def _get_singleton(root: Singleton) -> Json:
    return {
        "tags": [f"{root.name}.{root.type.name}"],
        "summary": f"Get {root.name}",
        "operationId": f"{root.name}.{root.type.name}.Get{_capital(root.name)}",
        "parameters": [*_projection(root.type), *_parameters()],
        "responses": {"200": _entity_answer(root.type), **_refusals(*_QUERY)},
        "security": _security(root.read),
    }


def _operation(root: Singleton, navigation: Navigation, verb: str, more: Json) -> Json:
    """What all operations on a contained collection have; tags and ids are formed as in Graph's documents."""
    writes = verb in ("Create", "Update", "Delete")
    return {
        "tags": [f"{root.name}.{navigation.target.name}"],
        "operationId": f"{root.name}.{verb}{_capital(navigation.name)}",
        **more,
        "security": _security(navigation.write if writes else navigation.read),
    }


def _list(root: Singleton, navigation: Navigation) -> Json:
    target = navigation.target
    by = [f"{each.name}{direction}" for each in target.properties for direction in ("", " asc", " desc")]
    shared = _parameters("top", "skip", "search", "filter", "count", "ConsistencyLevel", "Prefer.page")
    schema = {"application/json": {"schema": _ref("schemas", f"{target.qualified}CollectionResponse")}}
    more = {
        "summary": f"List {navigation.name}",
        "parameters": [*shared, _among("$orderby", "Order items by property values.", by), *_projection(target)],
        "responses": {"200": _answer("A page of the collection.", schema), **_refusals(*_QUERY)},
    }
    return _operation(root, navigation, "List", more)


def _create(root: Singleton, navigation: Navigation) -> Json:
    target = navigation.target
    created = _entity_answer(target, whole=True)
    created["headers"] |= {"Location": _ref("headers", "Location")}
    key = {f"{target.name}-{target.key.name}": f"$response.body#/{target.key.name}"}
    created["links"] = {
        verb: {"operationId": f"{root.name}.{verb}{_capital(navigation.name)}", "parameters": key}
        for verb in ("Get", "Update", "Delete")
    }
    more = {
        "summary": f"Create {target.name}",
        "parameters": _parameters(),
        "requestBody": _body(f"{target.qualified}Create"),
        "responses": {"201": created, **_refusals(*_BODY, 409)},
    }
    return _operation(root, navigation, "Create", more)


def _get(root: Singleton, navigation: Navigation) -> Json:
    target = navigation.target
    more = {
        "summary": f"Get {target.name}",
        "parameters": [*_projection(target), *_parameters()],
        "responses": {"200": _entity_answer(target), **_refusals(*_QUERY, 404)},
    }
    return _operation(root, navigation, "Get", more)


def _update(root: Singleton, navigation: Navigation) -> Json:
    target = navigation.target
    answers = {"200": _entity_answer(target, whole=True), "204": _nothing("Prefer was for it.", "Preference-Applied")}
    more = {
        "summary": f"Update {target.name}",
        "parameters": _parameters("If-Match", "Prefer.return"),
        "requestBody": _body(f"{target.qualified}Update"),
        "responses": {**answers, **_refusals(*_BODY, 404, 412)},
    }
    return _operation(root, navigation, "Update", more)


def _delete(root: Singleton, navigation: Navigation) -> Json:
    more = {
        "summary": f"Delete {navigation.target.name}",
        "parameters": _parameters("If-Match"),
        "responses": {"204": _nothing("Deleted."), **_refusals(400, 401, 403, 404, 412)},
    }
    return _operation(root, navigation, "Delete", more)


def _get_count(root: Singleton, navigation: Navigation) -> Json:
    content = {"text/plain": {"schema": {"type": "integer", "minimum": 0}}}
    more = {
        "summary": f"Count {navigation.name}",
        "operationId": f"{root.name}.{navigation.name}.GetCount",
        "parameters": _parameters("search", "filter", "ConsistencyLevel"),
        "responses": {"200": _answer("The number of entities.", content), **_refusals(*_QUERY)},
    }
    return _operation(root, navigation, "Count", more)


def _get_property(root: Singleton, navigation: Navigation, verb: str, content: Json) -> Json:
    properties = navigation.target.properties
    names = {"type": "string", "enum": [each.name for each in properties]}
    answers = {"200": _answer("The value.", content)}
    if any(each.nullable for each in properties):
        # A null has no representation of its own (OData 4.01 part 1, 11.2.4 and 11.2.4.1).
        answers["204"] = _nothing("The value is null.")
    more = {
        "summary": "Get the value of a property",
        "operationId": f"{root.name}.{navigation.name}.{verb}",
        "parameters": [{"name": "property", "in": "path", "required": True, "schema": names}, *_parameters()],
        "responses": {**answers, **_refusals(*_ANY, 404)},
    }
    return _operation(root, navigation, "Get", more)


def _in_query(name: str, description: str, schema: Json, **more: object) -> Json:
    return {"name": name, "in": "query", "description": description, "schema": schema, **more}


def _in_header(name: str, description: str, **schema: object) -> Json:
    return {"name": name, "in": "header", "description": description, "schema": {"type": "string", **schema}}


_COUNTING: Final = {"type": "integer", "minimum": 0, "maximum": 2**31 - 1}
_WORDS: Final = {"type": "string", "minLength": 1}
_PARAMETERS: Final[Json] = {
    "top": _in_query("$top", "Show at most the first n items.", _COUNTING, example=50),
    "skip": _in_query("$skip", "Pass over the first n items.", _COUNTING, example=0),
    "count": _in_query("$count", "Include the number of items.", {"type": "boolean"}),
    "filter": _in_query("$filter", "Filter items by an expression.", _WORDS | {"format": "odata-filter"}),
    "search": _in_query("$search", "Search items by phrases.", _WORDS | {"format": "odata-search"}),
    "ConsistencyLevel": _in_header("ConsistencyLevel", "Taken as clients send it; changes nothing, such as eventual."),
    "client-request-id": _in_header("client-request-id", "A GUID of the caller's; it comes back."),
    "Prefer.page": _in_header("Prefer", "The page size wished for, such as odata.maxpagesize=100."),
    "Prefer.return": _in_header("Prefer", "What comes back: return=minimal or return=representation."),
    # These entities carry no ETag, so that `*` (it must exist) is the one condition that can hold.
    "If-Match": _in_header("If-Match", "Whether the entity must exist.", enum=["*"]),
}


def _parameters(*names: str) -> list[Json]:
    return [_ref("parameters", name) for name in (*names, "client-request-id")]


def _projection(entity: EntityType) -> list[Json]:
    """`$select`, and `$expand` where there is something to expand: of nothing it is refused."""
    parameters = [_among("$select", "Select properties to be returned.", (each.name for each in entity.properties))]
    if entity.navigations:
        parameters.append(_among("$expand", "Expand related entities.", (each.name for each in entity.navigations)))
    return parameters


def _among(name: str, description: str, items: Iterable[str]) -> Json:
    """A query option that lists some of these items, parted by commas."""
    schema = {"type": "array", "minItems": 1, "items": {"type": "string", "enum": list(items)}}
    return _in_query(name, description, schema, style="form", explode=False)


def _body(schema: str) -> Json:
    return {"required": True, "content": {"application/json": {"schema": _ref("schemas", schema)}}}


def _answer(description: str, content: Json) -> Json:
    return {"description": description, "headers": _headers("OData-Version"), "content": content}


def _nothing(description: str, *headers: str) -> Json:
    return {"description": f"No content. {description}", "headers": _headers(*headers)}


def _entity_answer(entity: EntityType, *, whole: bool = False) -> Json:
    """An answer with one entity; where nothing could be selected, `whole` promises every property."""
    schema = _ref("schemas", entity.qualified)
    if whole:
        schema = {"allOf": [schema, {"required": [each.name for each in entity.properties]}]}
    return _answer("The entity.", {"application/json": {"schema": schema}})


def _refusals(*statuses: int) -> Json:
    return {str(status): _ref("responses", _REFUSALS[status][0]) for status in sorted(statuses)}


def _refusal(status: int, description: str) -> Json:
    headers = _headers("WWW-Authenticate") if status == 401 else _headers()
    content = {"application/json": {"schema": _ref("schemas", _ERROR)}}
    return {"description": description, "headers": headers, "content": content}


def _text_header(description: str, **more: object) -> Json:
    return {"description": description, "required": True, "schema": {"type": "string", **more}}


_HEADERS: Final[Json] = {
    "request-id": _text_header("The GUID of this request.", format="uuid"),
    "client-request-id": _text_header("The caller's, or else the GUID of this request."),
    "OData-Version": _text_header("The version of the answer.", enum=["4.0"]),
    "Location": _text_header("The URL of the entity created.", format="uri"),
    "Preference-Applied": _text_header("The preference that was followed.", enum=["return=minimal"]),
    "WWW-Authenticate": _text_header("Where a token is to be had."),
}


def _headers(*more: str) -> Json:
    return {name: _ref("headers", name) for name in ("request-id", "client-request-id", *more)}


def _schemas(model: Model) -> Json:
    schemas: Json = {
        each.qualified: {
            "title": each.name,
            "type": "string",
            "enum": list(each.members),
            **_described(each.description),
        }
        for each in model.enums
    }
    schemas |= {each.qualified: _entity_schema(each) for each in model.entities}
    for navigation in (navigation for root in model.singletons for navigation in root.type.navigations):
        target = navigation.target
        schemas[f"{target.qualified}CollectionResponse"] = _collection_schema(target)
        if navigation.write:
            schemas[f"{target.qualified}Create"] = _create_schema(target)
            schemas[f"{target.qualified}Update"] = _update_schema(target)
    return schemas | _ERROR_SCHEMAS


def _object(properties: Json, *required: str) -> Json:
    return {"type": "object", **({"required": list(required)} if required else {}), "properties": properties}


def _entity_schema(entity: EntityType) -> Json:
    """An entity as answered. Nothing is required, since `$select` leaves out what it does not name."""
    own = {each.name: _value_schema(each) | _described(each.description) for each in entity.own_properties}
    named = {"title": entity.name, **_described(entity.description)}
    if entity.base is None:
        return named | _object({"@odata.type": {"type": "string"}, **own})
    return {"allOf": [_ref("schemas", entity.base.qualified), named | _object(own)]}


def _collection_schema(entity: EntityType) -> Json:
    members = {
        "@odata.context": {"type": "string"},
        "@odata.count": {"type": "integer", "minimum": 0},
        "@odata.nextLink": {"type": "string", "format": "uri"},
        "value": {"type": "array", "items": _ref("schemas", entity.qualified)},
    }
    return {"title": f"Collection of {entity.name}", **_object(members, "value")}


def _create_schema(entity: EntityType) -> Json:
    example = {each.name: _example(each) for each in entity.properties if not each.generated}
    return _written_schema(entity, entity.properties, tuple(example), example)


def _update_schema(entity: EntityType) -> Json:
    """The body of a change. The key may come back unchanged, which no schema can say, so it is not in this one."""
    changeable = [each for each in entity.properties if not each.generated and each is not entity.key]
    return _written_schema(entity, changeable, (), {each.name: _example(each) for each in changeable[:1]})


def _written_schema(
    entity: EntityType, properties: Iterable[Property], required: Iterable[str], example: Mapping[str, object]
) -> Json:
    named = {"type": "string", "enum": [f"#{entity.qualified}", entity.qualified]}
    values = {each.name: _value_schema(each) | _described(each.description) for each in properties}
    return {
        **_described(entity.description),
        **_object({"@odata.type": named, "@type": named, **values}, *required),
        # The type is closed; members with an `@` are annotations, passed over save the one that names the type.
        "patternProperties": {"@": {}},
        "additionalProperties": False,
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


def _value_schema(declared: Property) -> Json:
    if isinstance(declared.type, EnumType):
        schema = _ref("schemas", declared.type.qualified)
        return {"anyOf": [schema, {"type": "null"}]} if declared.nullable else schema
    schema = dict(_GUID if declared.guid else _PRIMITIVES[declared.type])
    if declared.max_length is not None:
        schema["maxLength"] = declared.max_length
    return schema | ({"type": [schema["type"], "null"]} if declared.nullable else {})


def _example(declared: Property) -> object:
    """A value like those of the published examples, which come from types and names too (graph-contract 1.4)."""
    if isinstance(declared.type, EnumType):
        return list(declared.type.members)[:2][-1]
    if declared.guid or declared.type is Primitive.GUID:
        return "77296cf7-6cf7-7729-f76c-2977f76c2977"
    moment = "2016-12-31T23:58:36.6670033-08:00"
    words = "".join(f" {each}" if each.isupper() else each for each in declared.name)
    texts = {Primitive.STRING: f"{_capital(words)} value", Primitive.DATE_TIME_OFFSET: moment}
    return texts.get(declared.type, declared.type is Primitive.BOOLEAN or 0)


_TEXT: Final[Json] = {"type": "string"}
_TEXT_OR_NULL: Final[Json] = {"type": ["string", "null"]}
_ERROR: Final = "microsoft.graph.ODataErrors.ODataError"
_MAIN_ERROR: Final = "microsoft.graph.ODataErrors.MainError"
_INNER_ERROR: Final = "microsoft.graph.ODataErrors.InnerError"
_ERROR_MEMBERS: Final = {"code": _TEXT | {"minLength": 1}, "message": _TEXT, "target": _TEXT_OR_NULL}
_DETAILS: Final = {"type": "array", "items": _object(_ERROR_MEMBERS, "code", "message")}
_MORE: Final = {"details": _DETAILS, "innerError": _ref("schemas", _INNER_ERROR)}
_ERROR_SCHEMAS: Final[Json] = {
    _ERROR: _object({"error": _ref("schemas", _MAIN_ERROR)}, "error"),
    _MAIN_ERROR: _object(_ERROR_MEMBERS | _MORE, "code", "message"),
    _INNER_ERROR: _object({"date": _TEXT, "request-id": _TEXT, "client-request-id": _TEXT}),
}


def _security_schemes(model: Model, token_url: str) -> Json:
    navigations = [navigation for root in model.singletons for navigation in root.type.navigations]
    needed = [*(root.read for root in model.singletons), *(each.read + each.write for each in navigations)]
    scopes = dict.fromkeys(sorted({name for names in needed for name in names}), "As Microsoft Graph's of this name.")
    return {
        "oauth2": {"type": "oauth2", "flows": {"clientCredentials": {"tokenUrl": token_url, "scopes": scopes}}},
        "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
    }


def _security(needed: tuple[str, ...]) -> list[Json]:
    """One of the permissions is enough, and either way to hold it; roles of a bearer token may stand since 3.1."""
    return [{scheme: [name]} for scheme in ("oauth2", "bearer") for name in needed]
