"""From a request body to typed values of an entity type, or to a refusal in Graph's words.

The body is checked against the model: closed types, exact member names, each value by its type. Control information
(`@odata.…` and `name@…` members) is understood where it matters and passed over elsewhere, since clients send back
what they were given (clients.md item 13). Words of refusals: graph-contract 3.2, where it has them.
"""

from __future__ import annotations

import json
import re
from codecs import BOM_UTF8
from collections import Counter
from collections.abc import Callable, Mapping
from functools import cache, lru_cache
from typing import Any, Final, NoReturn

import msgspec

from adjoin.odata.edm import EntityType, EnumType, Model, Primitive, Property
from adjoin.odata.errors import InvalidValue, MalformedBody, UnknownProperty, UnknownType
from adjoin.odata.values import BadValue, Instant, parse_guid, unstorable

_UNREADABLE: Final = (
    "Unable to read JSON request payload. Please ensure Content-Type header is set and payload is of valid JSON format."
)
_ENTITY_TAG: Final = re.compile(r'(?:W/)?"[!#-~]*"')
_LITERAL_SHOWN: Final = 128
_SMALL_NUMBER: Final = re.compile(r"[0-9]{1,9}")

Value = str | int | bool | Instant | None


def read_create(model: Model, entity: EntityType, body: bytes) -> dict[str, Value]:
    """The values of a new entity. Every property that a create requires must be there."""
    values = _read(model, entity, body)
    if not entity.required <= values.keys():
        missing = [each.name for each in entity.properties if each.name not in values and each.required]
        names = ", ".join(f"'{name}'" for name in missing)
        noun = "property is" if len(missing) == 1 else "properties are"
        raise InvalidValue(f"The following {noun} required to create a {entity.qualified}: {names}.")
    return values


def read_patch(model: Model, entity: EntityType, key: str, body: bytes) -> dict[str, Value]:
    """The values to change. The key may be repeated, not changed; it is left out of what is given back."""
    values = _read(model, entity, body)
    named = values.pop(entity.key.name, key)
    constant = [each.name for each in entity.properties if each.name in values and not each.changeable]
    if named != key:
        constant = [entity.key.name]
    if constant:
        raise InvalidValue(f"The property '{constant[0]}' of an entity cannot be changed.")
    return values


def read_etag(body: bytes) -> str | None:
    """The entity tag that a body carries as control information; what is none is passed over, as other control is."""
    if b"etag" not in body:
        return None
    members = read_object(body)
    tag = members.get("@odata.etag", members.get("@etag"))
    return tag if isinstance(tag, str) and _ENTITY_TAG.fullmatch(tag) else None


def read_single(declared: Property, body: bytes) -> Value:
    """The new value of one property, from its wrapped form `{"value": …}` (OData JSON 4.01 section 11)."""
    check_changeable(declared)
    members = {name: value for name, value in read_object(body).items() if "@" not in name}
    if set(members) != {"value"}:
        raise MalformedBody(_UNREADABLE, 'The new value of a property is sent as {"value": …}.')
    return read_value(declared, members["value"])


def check_changeable(declared: Property) -> None:
    """Refuse to change what stays as it was created. Raises InvalidValue."""
    if not declared.changeable:
        raise InvalidValue(f"The property '{declared.name}' of an entity cannot be changed.")


def _read(model: Model, entity: EntityType, body: bytes) -> dict[str, Value]:
    values: dict[str, Value] = {}
    declarations = entity.by_name
    for name, value in read_object(body).items():
        declared = declarations.get(name)
        if declared is None:
            _check_other(model, entity, name, value)
        # OData 4.01 part 1, 11.4.2 and 11.4.3: values of computed properties are passed over.
        elif not declared.computed:
            values[name] = read_value(declared, value)
    return values


def _check_other(model: Model, entity: EntityType, name: str, value: object) -> None:
    """Look at a member that is no property: control information, or a mistake."""
    if "@" not in name:
        raise UnknownProperty(
            f"The property '{_shown(name)}' does not exist on type '{entity.qualified}'. "
            "Make sure to only use property names that are defined by the type."
        )
    if name in ("@odata.type", "@type"):
        _check_type(model, entity, value)
    if name.endswith(("@odata.bind", "@bind")):
        # No answer has it, so nobody sends it back: it asks for a link, and nothing would be linked.
        raise UnknownProperty(
            f"The property '{_shown(name.partition('@')[0])}' of type '{entity.qualified}' takes no '@odata.bind': "
            "it is no navigation property."
        )


def read_object(body: bytes) -> Mapping[str, Any]:
    """The members of a body that is a JSON object. Raises MalformedBody."""
    return _plain_object(body) or _any_object(body)


def _plain_object(body: bytes) -> Mapping[str, Any] | None:
    """The members of an object of nothing but text, truth and null, as most are; None: it has to be read with care.

    The quick reader passes over a name that is given twice, whose quotes are then too many; and it has no words for
    what is wrong.
    """
    try:
        members = _QUICK.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    texts = sum([isinstance(each, str) for each in members.values()])
    return members if body.count(b'"') == 2 * (len(members) + texts) else None


def _any_object(body: bytes) -> Mapping[str, Any]:
    try:
        # PowerShell writes a byte order mark; RFC 8259 section 8.1 lets a reader pass over it.
        value = _JSON.decode(body.removeprefix(BOM_UTF8).decode())
    except UnicodeDecodeError:
        raise MalformedBody(_UNREADABLE, "The body is not valid UTF-8.") from None
    except json.JSONDecodeError as error:
        raise MalformedBody(_UNREADABLE, f"{error.msg} at line {error.lineno}, column {error.colno}.") from None
    except RecursionError:
        raise MalformedBody(_UNREADABLE, "The body is nested too deeply.") from None
    except ValueError:
        raise MalformedBody(_UNREADABLE, "The body holds a number that is too long.") from None
    if not isinstance(value, dict):
        raise MalformedBody(_UNREADABLE, "The body is not a JSON object.")
    return value


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        double = Counter(name for name, _ in pairs).most_common(1)[0][0]
        raise MalformedBody(
            f"Multiple properties with the name '{_shown(double)}' were detected in a resource. "
            "In OData, duplicate property names are not allowed."
        )
    return members


def _no_constant(text: str) -> NoReturn:
    raise MalformedBody(_UNREADABLE, f"{text} is not JSON.")


_QUICK: Final = msgspec.json.Decoder(dict[str, str | bool | None])
_JSON: Final = json.JSONDecoder(object_pairs_hook=_members, parse_constant=_no_constant)


def _check_type(model: Model, entity: EntityType, named: object) -> None:
    if not isinstance(named, str):
        raise UnknownType("The value of '@odata.type' is not a string.")
    _check_type_name(model, entity, named)


# Clients write the same few names; one that is refused is not kept.
@lru_cache(maxsize=256)
def _check_type_name(model: Model, entity: EntityType, named: str) -> None:
    name = named.removeprefix("#")
    found = model.find_type(name)
    if found is None:
        raise UnknownType(
            f"A type named '{_shown(name)}' could not be resolved by the model. "
            "When a model is available, each type name must resolve to a valid type."
        )
    # A generic client names the base type; the declared type is then what it means (clients.md item 12).
    if not any(found is each for each in entity.ancestry()):
        raise UnknownType(f"The type '{found.qualified}' is not assignable to the expected type '{entity.qualified}'.")


def read_value(declared: Property, value: object) -> Value:
    """A property's value from its JSON. Raises InvalidValue."""
    if isinstance(value, str):
        return _reader_of(declared)(declared, value)
    if value is None:
        if declared.nullable:
            return None
        expected = f"{declared.type_name}[Nullable=False]"
        raise InvalidValue(
            f"A null value was found for the property named '{declared.name}', which has the expected type "
            f"'{expected}'. The expected type '{expected}' does not allow null values."
        )
    if isinstance(value, dict | list):
        node = "StartObject" if isinstance(value, dict) else "StartArray"
        raise InvalidValue(
            f"An unexpected '{node}' node was found for the property named '{declared.name}' when reading from the "
            "JSON reader. A 'PrimitiveValue' node was expected."
        )
    return _reader_of(declared)(declared, value)


@cache
def _reader_of(declared: Property) -> Callable[[Property, object], Value]:
    """What reads a property's values, chosen once."""
    if isinstance(declared.type, EnumType):
        return _enum
    if not isinstance(declared.type, Primitive):
        raise LookupError(f"values of {declared.type_name} are not read from requests")
    return _PRIMITIVES[declared.type]


def _enum(declared: Property, value: object) -> str:
    enum = declared.type
    if not isinstance(enum, EnumType):
        raise LookupError(f"{declared.name} is no enumeration")
    # OData JSON 4.01 section 7.1 lets a member go by its number, as a string.
    if isinstance(value, str) and value in enum.members:
        return value
    if isinstance(value, str) and _SMALL_NUMBER.fullmatch(value) and int(value) in enum.by_value:
        return enum.by_value[int(value)]
    return _cannot_convert(declared, value, f"its members are {', '.join(enum.members)}")


def _string(declared: Property, value: object) -> str:
    if not isinstance(value, str):
        _cannot_convert(declared, value)
    if fault := unstorable(value):
        raise InvalidValue(f"The value of the property '{declared.name}' cannot be kept: {fault}.")
    if declared.guid:
        try:
            return parse_guid(value)
        except BadValue as error:
            _cannot_convert(declared, value, str(error))
    if declared.max_length is not None and len(value) > declared.max_length:
        raise InvalidValue(
            f"The value of the property '{declared.name}' has {len(value)} characters; "
            f"at most {declared.max_length} are allowed."
        )
    return value


def _date_time_offset(declared: Property, value: object) -> Instant:
    if not isinstance(value, str):
        _cannot_convert(declared, value)
    try:
        return Instant.parse(value)
    except BadValue as error:
        _cannot_convert(declared, value, str(error))


def _boolean(declared: Property, value: object) -> bool:
    if not isinstance(value, bool):
        _cannot_convert(declared, value)
    return value


def _integer(declared: Property, value: object) -> int:
    limit = 2**31 if declared.type is Primitive.INT32 else 2**63
    if not isinstance(value, int) or isinstance(value, bool) or not -limit <= value < limit:
        _cannot_convert(declared, value)
    return value


_PRIMITIVES: Final[Mapping[Primitive, Callable[[Property, object], Value]]] = {
    Primitive.STRING: _string,
    Primitive.GUID: _string,
    Primitive.BOOLEAN: _boolean,
    Primitive.INT32: _integer,
    Primitive.INT64: _integer,
    Primitive.DATE_TIME_OFFSET: _date_time_offset,
}


def _cannot_convert(declared: Property, value: object, why: str | None = None) -> NoReturn:
    literal = value if isinstance(value, str) else json.dumps(value)
    message = f"Cannot convert the literal '{_shown(literal)}' to the expected type '{declared.type_name}'."
    raise InvalidValue(
        message, f"The property '{declared.name}': {why}." if why else f"The property '{declared.name}'."
    )


def _shown(text: str) -> str:
    """Text of the caller's as it may stand in a message: short, and printable everywhere."""
    short = text if len(text) <= _LITERAL_SHOWN else text[:_LITERAL_SHOWN] + "…"
    return short.encode("utf-8", "replace").decode("utf-8").replace("\x00", "\ufffd")
