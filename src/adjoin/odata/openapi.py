"""The model as an OpenAPI 3.1 document, in the names that Graph's own documents use, so that generators find the
same operations here.

Every operation that the service carries out stands in it, with what can come back; what needs an expression language
is marked by a `format` of its own. The bodies are in `json_schema.py`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from adjoin.odata import json_schema, permissions
from adjoin.odata.edm import Action, EntitySet, EntityType, Function, Model, Navigation, Property, Singleton
from adjoin.odata.json_schema import Json, ref

# Where a collection hangs; an entity set stands by itself.
Root = Singleton | EntitySet

# Every refusal that occurs, by status: the component's name, and when it is given.
_REFUSALS: Final = {
    400: ("badRequest", "The path, a query option, a header or the body is not valid."),
    401: ("unauthorized", "The bearer token is missing or not valid."),
    403: ("forbidden", "The token carries none of the permissions needed, or the tenant has no active licence."),
    404: ("notFound", "There is no entity with this key."),
    406: ("notAcceptable", "No representation served here is among those that Accept names."),
    409: ("conflict", "There is an entity with this key already."),
    410: ("gone", "The token is too old, or not of this database: begin again."),
    412: ("preconditionFailed", "If-Match, If-None-Match or a Repeatability header does not hold."),
    413: ("contentTooLarge", "The body is larger than the service takes."),
    415: ("unsupportedMediaType", "The body is in a Content-Encoding other than gzip."),
    501: ("notServed", "The request is valid OData that this service does not carry out."),
}
_ANY: Final = (400, 401, 403, 406)
_QUERY: Final = (*_ANY, 501)
_REMOVAL: Final = (400, 401, 403, 404, 412)
_BODY: Final = (*_ANY, 412, 413, 415)


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
            "schemas": json_schema.schemas(model),
            "parameters": _PARAMETERS,
            "headers": _HEADERS,
            "responses": {name: _refusal(status, text) for status, (name, text) in _REFUSALS.items()},
            "securitySchemes": permissions.schemes(model, token_url),
        },
    }


def _capital(name: str) -> str:
    return name[:1].upper() + name[1:]


def _paths(model: Model) -> Json:
    paths: Json = {
        "/": {"get": _get_service_document()},
        "/$metadata": {"get": _get_metadata()},
        "/$batch": {"post": _batch()},
    }
    for root in model.singletons:
        paths[f"/{root.name}"] = {"get": _get_singleton(root)}
        for declared in root.type.properties:
            paths |= _property_paths(f"/{root.name}/{declared.name}", root, None, declared)
        for navigation in root.type.navigations:
            paths |= _collection_paths(model, f"/{root.name}/{navigation.name}", root, navigation)
    for entity_set in model.entity_sets:
        paths |= _collection_paths(model, f"/{entity_set.name}", entity_set, entity_set)
    return paths


def _collection_paths(model: Model, path: str, root: Root, navigation: Navigation) -> Json:
    """The collection, its count and functions, an entity, its actions and properties; no write without permission."""
    target = navigation.target
    key = {"name": f"{target.name}-{target.key.name}", "in": "path", "required": True}
    key |= {"schema": json_schema.value(target.key), "x-ms-docs-key-type": target.name}
    collection: Json = {"description": navigation.description, "get": _list(root, navigation)}
    entity: Json = {"parameters": [key], "get": _get(root, navigation)}
    if navigation.write:
        collection |= {"post": _create(root, navigation)}
        entity |= {"patch": _update(root, navigation), "delete": _delete(root, navigation)}
    at = f"{path}/{{{key['name']}}}"
    paths = {path: collection, f"{path}/$count": {"get": _get_count(root, navigation)}, at: entity}
    for function in model.functions:
        if function.binding is target:
            paths[f"{path}/{model.namespace}.{function.name}()"] = {"get": _call_function(root, navigation, function)}
    for action in model.actions:
        if action.binding is target:
            paths[f"{at}/{action.name}"] = {"parameters": [key], "post": _call_action(root, navigation, action)}
    for declared in target.properties:
        for name, item in _property_paths(f"{at}/{declared.name}", root, navigation, declared).items():
            paths[name] = {"parameters": [key], **item}
    return paths


def _property_paths(path: str, root: Root, navigation: Navigation | None, declared: Property) -> Json:
    """A property in its forms: raw only where it is one primitive value. What the service makes never changes."""
    wrapped = {"application/json": {"schema": json_schema.wrapped(declared)}}
    bare = {"text/plain": {"schema": {"type": "string"}}}
    item = {"get": _get_property(root, navigation, declared, "", wrapped)}
    if navigation is not None and navigation.write and declared.changeable:
        item["put"] = _set_property(root, navigation, declared, "Set", wrapped)
        item["patch"] = _set_property(root, navigation, declared, "Update", wrapped)
        if declared.nullable:
            item["delete"] = _clear_property(root, navigation, declared)
    if declared.collection:
        return {path: item, f"{path}/$count": {"get": _get_property(root, navigation, declared, "Count", bare)}}
    if not declared.scalar:
        return {path: item}
    return {path: item, f"{path}/$value": {"get": _get_property(root, navigation, declared, "Value", bare)}}


def _get_service_document() -> Json:
    content = {"application/json": {"schema": ref("schemas", json_schema.SERVICE_DOCUMENT)}}
    return _description_of_service("Get the service document", "serviceDocument.Get", "What is at the root.", content)


def _get_metadata() -> Json:
    content = {"application/xml": {"schema": {"type": "string"}}, "application/json": {"schema": {"type": "object"}}}
    return _description_of_service("Get the entity data model as CSDL", "metadata.Get", "The model.", content)


def _description_of_service(summary: str, operation_id: str, text: str, content: Json) -> Json:
    return {
        "tags": ["metadata"],
        "summary": summary,
        "operationId": operation_id,
        "parameters": _parameters(),
        "responses": {"200": _answer(text, content), **_refusals(400, 406)},
        "security": [],
    }


def _batch() -> Json:
    multipart = {"schema": {"type": "string"}}
    asked = {"application/json": {"schema": ref("schemas", json_schema.BATCH_REQUEST)}, "multipart/mixed": multipart}
    told = {"application/json": {"schema": ref("schemas", json_schema.BATCH_RESPONSE)}, "multipart/mixed": multipart}
    return {
        "tags": ["batch"],
        "summary": "Send several requests in one; each needs its own permission",
        "operationId": "batch.Post",
        "parameters": _parameters("Prefer.continue"),
        "requestBody": {"required": True, "content": asked},
        "responses": {"200": _answer("An answer to each.", told), **_refusals(400, 401, 406, 413, 415)},
        "security": [{"oauth2": []}, {"bearer": []}],
    }


def _get_singleton(root: Singleton) -> Json:
    return {
        "tags": [f"{root.name}.{root.type.name}"],
        "summary": f"Get {root.name}",
        "operationId": f"{root.name}.{root.type.name}.Get{_capital(root.name)}",
        "parameters": [*_projection(root.type), *_parameters()],
        "responses": {"200": _entity_answer(root.type), **_refusals(*_QUERY)},
        "security": permissions.needed(root.read),
    }


def _operation(root: Root, navigation: Navigation, verb: str, more: Json, *, writes: bool = False) -> Json:
    """What all operations on a contained collection have; tags and ids are formed as in Graph's documents."""
    return {
        "tags": [f"{root.name}.{navigation.target.name}"],
        "operationId": f"{root.name}.{verb}{_capital(navigation.name)}",
        **more,
        "security": permissions.needed(navigation.write if writes else navigation.read),
    }


def _list(root: Root, navigation: Navigation) -> Json:
    target = navigation.target
    scalars = [each.name for each in target.properties if each.comparable]
    by = [f"{name}{direction}" for name in scalars for direction in ("", " asc", " desc")]
    shared = _parameters(
        "top", "skip", *_searching(target), "filter", "count", "skiptoken", "ConsistencyLevel", "Prefer.page"
    )
    schema = {"application/json": {"schema": ref("schemas", f"{target.qualified}CollectionResponse")}}
    page = _answer("A page of the collection.", schema, "Preference-Applied")
    more = {
        "summary": f"List {navigation.name}",
        "parameters": [*shared, _among("$orderby", "Order items by property values.", by), *_projection(target)],
        "responses": {"200": page, **_refusals(*_QUERY)},
    }
    return _operation(root, navigation, "List", more)


def _searching(entity: EntityType) -> tuple[str, ...]:
    return ("search",) if any(each.searchable for each in entity.properties) else ()


def _create(root: Root, navigation: Navigation) -> Json:
    target = navigation.target
    created = _entity_answer(target, "ETag", "Location", "Preference-Applied", "Repeatability-Result", whole=True)
    key = {f"{target.name}-{target.key.name}": f"$response.body#/{target.key.name}"}
    created["links"] = {
        verb: {"operationId": f"{root.name}.{verb}{_capital(navigation.name)}", "parameters": key}
        for verb in ("Get", "Update", "Delete")
    }
    minimal = _nothing("Prefer was for it.", "Location", "OData-EntityId", "Preference-Applied", "Repeatability-Result")
    more = {
        "summary": f"Create {target.name}",
        "parameters": _parameters("Prefer.return", *_REPEATABLE),
        "requestBody": _body(f"{target.qualified}Create"),
        "responses": {"201": created, "204": minimal, **_refusals(*_BODY, 409)},
    }
    return _operation(root, navigation, "Create", more, writes=True)


def _get(root: Root, navigation: Navigation) -> Json:
    target = navigation.target
    same = {"description": "It is as If-None-Match says.", "headers": _headers("ETag")}
    more = {
        "summary": f"Get {target.name}",
        "parameters": [*_projection(target), *_parameters("If-None-Match")],
        "responses": {"200": _entity_answer(target, "ETag"), "304": same, **_refusals(*_QUERY, 404)},
    }
    return _operation(root, navigation, "Get", more)


def _update(root: Root, navigation: Navigation) -> Json:
    target = navigation.target
    told = ("ETag", "Preference-Applied", "Repeatability-Result")
    answers = {"200": _entity_answer(target, *told, whole=True), "204": _nothing("Prefer was for it.", *told)}
    more = {
        "summary": f"Update {target.name}",
        "parameters": _parameters("If-Match", "If-None-Match", "Prefer.return", *_REPEATABLE),
        "requestBody": _body(f"{target.qualified}Update"),
        "responses": {**answers, **_refusals(*_BODY, 404)},
    }
    return _operation(root, navigation, "Update", more, writes=True)


def _delete(root: Root, navigation: Navigation) -> Json:
    more = {
        "summary": f"Delete {navigation.target.name}",
        "parameters": _parameters("If-Match", "If-None-Match", *_REPEATABLE),
        "responses": {"204": _nothing("Deleted.", "Repeatability-Result"), **_refusals(*_REMOVAL)},
    }
    return _operation(root, navigation, "Delete", more, writes=True)


def _get_count(root: Root, navigation: Navigation) -> Json:
    content = {"text/plain": {"schema": {"type": "integer", "minimum": 0}}}
    more = {
        "summary": f"Count {navigation.name}",
        "operationId": f"{root.name}.{navigation.name}.GetCount",
        "parameters": _parameters(*_searching(navigation.target), "filter", "ConsistencyLevel"),
        "responses": {"200": _answer("The number of entities.", content), **_refusals(*_QUERY)},
    }
    return _operation(root, navigation, "Count", more)


def _get_property(root: Root, navigation: Navigation | None, declared: Property, form: str, content: Json) -> Json:
    answers = {"200": _answer("The value.", content)}
    if declared.nullable:
        # A null has no representation of its own (OData 4.01 part 1, 11.2.4 and 11.2.4.1).
        answers["204"] = _nothing("The value is null.")
    missing = () if navigation is None else (404,)
    return {
        "tags": [f"{root.name}.{_type_of(root, navigation).name}"],
        "operationId": f"{_below(root, navigation)}.Get{_capital(declared.name)}{form}",
        "summary": f"Get {declared.name}",
        "parameters": _parameters(),
        "responses": {**answers, **_refusals(*_QUERY, *missing)},
        "security": permissions.needed(root.read if navigation is None else navigation.read),
    }


def _type_of(root: Root, navigation: Navigation | None) -> EntityType:
    if navigation is not None:
        return navigation.target
    return root.type if isinstance(root, Singleton) else root.target


def _below(root: Root, navigation: Navigation | None) -> str:
    return f"{root.name}.{_type_of(root, None).name if navigation is None else navigation.name}"


def _call_function(root: Root, navigation: Navigation, function: Function) -> Json:
    target = navigation.target
    schema = {"application/json": {"schema": ref("schemas", f"{target.qualified}DeltaResponse")}}
    page = _answer("A page of changes.", schema, "Preference-Applied")
    more = {
        "summary": f"Call {function.name} on {navigation.name}",
        "operationId": f"{root.name}.{navigation.name}.{function.name}",
        "description": function.description,
        "parameters": [*_parameters("top", "deltatoken", "skiptoken", "Prefer.page"), *_projection(target)[:1]],
        "responses": {"200": page, **_refusals(*_QUERY, 410)},
    }
    return _operation(root, navigation, "Call", more)


def _call_action(root: Root, navigation: Navigation, action: Action) -> Json:
    more = {
        "summary": f"Call {action.name} on {navigation.target.name}",
        "operationId": f"{root.name}.{navigation.name}.{action.name}",
        "description": action.description,
        "parameters": _parameters(*_REPEATABLE),
        "responses": {"204": _nothing("Done.", "Repeatability-Result"), **_refusals(400, 404, 412)},
    }
    return _operation(root, navigation, "Call", more, writes=True)


def _set_property(root: Root, navigation: Navigation, declared: Property, verb: str, content: Json) -> Json:
    more = {
        "summary": f"Set {declared.name}",
        "operationId": f"{_below(root, navigation)}.{verb}{_capital(declared.name)}",
        "parameters": _parameters("If-Match", "If-None-Match", *_REPEATABLE),
        "requestBody": {"required": True, "content": content},
        "responses": {"204": _nothing("Set.", "ETag", "Repeatability-Result"), **_refusals(*_REMOVAL, 413, 415)},
    }
    return _operation(root, navigation, verb, more, writes=True)


def _clear_property(root: Root, navigation: Navigation, declared: Property) -> Json:
    more = {
        "summary": f"Set {declared.name} to null",
        "operationId": f"{_below(root, navigation)}.Clear{_capital(declared.name)}",
        "parameters": _parameters("If-Match", "If-None-Match", *_REPEATABLE),
        "responses": {"204": _nothing("It is null.", "ETag", "Repeatability-Result"), **_refusals(*_REMOVAL)},
    }
    return _operation(root, navigation, "Clear", more, writes=True)


def _in_query(name: str, description: str, schema: Json, **more: object) -> Json:
    return {"name": name, "in": "query", "description": description, "schema": schema, **more}


def _in_header(name: str, description: str, **schema: object) -> Json:
    return {"name": name, "in": "header", "description": description, "schema": {"type": "string", **schema}}


_COUNTING: Final = {"type": "integer", "minimum": 0, "maximum": 2**31 - 1}
_WORDS: Final = {"type": "string", "minLength": 1}
_REPEATABLE: Final = ("Repeatability-Request-ID", "Repeatability-First-Sent")
_PARAMETERS: Final[Json] = {
    "top": _in_query("$top", "Show at most the first n items.", _COUNTING, example=50),
    "skip": _in_query("$skip", "Pass over the first n items.", _COUNTING, example=0),
    "count": _in_query("$count", "Include the number of items.", {"type": "boolean"}),
    "filter": _in_query("$filter", "Filter items by an expression.", _WORDS | {"format": "odata-filter"}),
    "search": _in_query("$search", "Search items by phrases.", _WORDS | {"format": "odata-search"}),
    "deltatoken": _in_query(
        "$deltatoken", "Since when, from a link; or latest.", _WORDS | {"format": "odata-skiptoken"}
    ),
    "skiptoken": _in_query("$skiptoken", "Where a list goes on, from a link.", _WORDS | {"format": "odata-skiptoken"}),
    "ConsistencyLevel": _in_header("ConsistencyLevel", "Taken as clients send it; changes nothing, such as eventual."),
    "client-request-id": _in_header("client-request-id", "A GUID of the caller's; it comes back."),
    "Prefer.page": _in_header("Prefer", "The page size wished for, such as odata.maxpagesize=100."),
    "Prefer.return": _in_header("Prefer", "What comes back: return=minimal or return=representation."),
    "Prefer.continue": _in_header("Prefer", "odata.continue-on-error, for a multipart batch."),
    "If-Match": _in_header("If-Match", "ETags one of which the entity must have, or *.", format="odata-etags"),
    "If-None-Match": _in_header("If-None-Match", "ETags none of which it may have, or *.", format="odata-etags"),
    "Repeatability-Request-ID": _in_header(
        "Repeatability-Request-ID", "The name of a request that may be sent again; with First-Sent.", maxLength=128
    ),
    "Repeatability-First-Sent": _in_header(
        "Repeatability-First-Sent", "When it was first sent, as an HTTP date.", format="http-date"
    ),
}


def _parameters(*names: str) -> list[Json]:
    return [ref("parameters", name) for name in (*names, "client-request-id")]


def _projection(entity: EntityType) -> list[Json]:
    """`$select`, and `$expand` where there is something to expand: of nothing it is refused."""
    parameters = [_among("$select", "Select properties to be returned.", (each.name for each in entity.properties))]
    if entity.navigations:
        names = "|".join(each.name for each in entity.navigations)
        nested = {"type": "string", "pattern": rf"^({names})(\(.+\))?$", "format": "odata-expand"}
        text = "Expand related entities, with options of theirs in parentheses."
        parameters.append(_list_of("$expand", text, nested))
    return parameters


def _among(name: str, description: str, items: Iterable[str]) -> Json:
    """A query option that lists some of these items, parted by commas."""
    return _list_of(name, description, {"type": "string", "enum": list(items)})


def _list_of(name: str, description: str, item: Json) -> Json:
    schema = {"type": "array", "minItems": 1, "items": item}
    return _in_query(name, description, schema, style="form", explode=False)


def _body(schema: str) -> Json:
    return {"required": True, "content": {"application/json": {"schema": ref("schemas", schema)}}}


def _answer(description: str, content: Json, *headers: str) -> Json:
    return {"description": description, "headers": _headers("OData-Version", *headers), "content": content}


def _nothing(description: str, *headers: str) -> Json:
    return {"description": f"No content. {description}", "headers": _headers(*headers)}


def _entity_answer(entity: EntityType, *headers: str, whole: bool = False) -> Json:
    """An answer with one entity; where nothing could be selected, `whole` promises every property."""
    schema = ref("schemas", entity.qualified)
    if whole:
        schema = {"allOf": [schema, {"required": [each.name for each in entity.properties]}]}
    return _answer("The entity.", {"application/json": {"schema": schema}}, *headers)


def _refusals(*statuses: int) -> Json:
    return {str(status): ref("responses", _REFUSALS[status][0]) for status in sorted(statuses)}


def _refusal(status: int, description: str) -> Json:
    headers = _headers(*{401: ("WWW-Authenticate",), 412: ("Repeatability-Result",)}.get(status, ()))
    content = {"application/json": {"schema": ref("schemas", json_schema.ERROR)}}
    return {"description": description, "headers": headers, "content": content}


def _header(description: str, *, always: bool = True, **more: object) -> Json:
    return {"description": description, "required": always, "schema": {"type": "string", **more}}


_HEADERS: Final[Json] = {
    "request-id": _header("The GUID of this request.", format="uuid"),
    "client-request-id": _header("The caller's, or else the GUID of this request."),
    "OData-Version": _header("The version of the answer.", enum=["4.0"]),
    "ETag": _header("The version of the entity, for If-Match and If-None-Match.", pattern='^W/".+"$'),
    "Location": _header("The URL of the entity created.", format="uri"),
    "OData-EntityId": _header("The id of the entity created, which is its URL.", format="uri"),
    "Preference-Applied": _header("The preference that was followed.", always=False),
    "Repeatability-Result": _header("Of a repeatable request.", always=False, enum=["accepted", "rejected"]),
    "WWW-Authenticate": _header("Where a token is to be had."),
}


def _headers(*more: str) -> Json:
    return {name: ref("headers", name) for name in ("request-id", "client-request-id", *more)}
