"""The entity data model as frozen data: types, properties, navigation, and the container that holds them.

`model.py` writes one such value; metadata, OpenAPI, body reader, query binder, answers and columns are read from it.
Names are looked up without regard to case, as Graph does, and given back as declared. Each type is one object, told
from others by identity, so that what is derived from it can be kept beside it at no cost.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property


class Primitive(Enum):
    """The primitive types that the model uses; the value is the name in CSDL."""

    STRING = "Edm.String"
    GUID = "Edm.Guid"
    BOOLEAN = "Edm.Boolean"
    INT32 = "Edm.Int32"
    INT64 = "Edm.Int64"
    DATE_TIME_OFFSET = "Edm.DateTimeOffset"


@dataclass(frozen=True, eq=False)
class EnumType:
    """An enumeration. Members keep their declared order; on the wire they go by name."""

    name: str
    namespace: str
    members: Mapping[str, int]
    description: str = ""

    @property
    def qualified(self) -> str:
        return f"{self.namespace}.{self.name}"

    @cached_property
    def by_value(self) -> Mapping[int, str]:
        return {value: name for name, value in self.members.items()}

    @cached_property
    def _folded(self) -> Mapping[str, str]:
        return {name.lower(): name for name in self.members}

    def find_member(self, name: str) -> str | None:
        """The declared spelling of a member's name, or None."""
        return self._folded.get(name.lower())


@dataclass(frozen=True, eq=False)
class ComplexType:
    """A structured value without a key, held by an entity."""

    name: str
    namespace: str
    properties: tuple[Property, ...]
    description: str = ""

    @property
    def qualified(self) -> str:
        return f"{self.namespace}.{self.name}"

    @cached_property
    def _properties_by_folded_name(self) -> Mapping[str, Property]:
        return {each.name.lower(): each for each in self.properties}

    def find_property(self, name: str) -> Property | None:
        return self._properties_by_folded_name.get(name.lower())


@dataclass(frozen=True, eq=False)
class Property:
    """A structural property.

    `guid` narrows an Edm.String to GUIDs in one spelling; `max_length` counts characters and is this service's
    bound, not part of the published CSDL. `generated` values are made by the service when a create leaves them out,
    and never change. `searchable` strings are where `$search` looks.

    A create may leave out what is `optional`; what is `fixed` stays as it was created; `computed` is the service's
    own, and what a caller sends for it is passed over. A `secret` is written and never shown: it is read as null, and
    can be neither filtered nor ordered by.
    """

    name: str
    type: Primitive | EnumType | ComplexType
    nullable: bool = True
    description: str = ""
    guid: bool = False
    generated: bool = False
    max_length: int | None = None
    searchable: bool = False
    collection: bool = False
    optional: bool = False
    fixed: bool = False
    computed: bool = False
    secret: bool = False

    @property
    def type_name(self) -> str:
        name = self.type.value if isinstance(self.type, Primitive) else self.type.qualified
        return f"Collection({name})" if self.collection else name

    @property
    def scalar(self) -> bool:
        """Whether it is one primitive value."""
        return not self.collection and not isinstance(self.type, ComplexType)

    @property
    def comparable(self) -> bool:
        """Whether it can be filtered and ordered by."""
        return self.scalar and not self.secret

    @property
    def required(self) -> bool:
        """Whether a create must give it."""
        return not (self.generated or self.optional or self.computed)

    @property
    def changeable(self) -> bool:
        """Whether it may be another after the create."""
        return not (self.generated or self.fixed or self.computed)


@dataclass(frozen=True, eq=False)
class Navigation:
    """A contained, collection-valued navigation property, and the permissions that open it.

    `read` and `write` name the permissions of which a caller needs one, least privileged first; without any in `write`
    it is read-only.
    """

    name: str
    target: EntityType
    description: str = ""
    read: tuple[str, ...] = ()
    write: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class EntityType:
    """An entity type. Its properties are its base's, then its own; the key is one property.

    Entities of an `append_only` type are only ever added, in the order of their keys.
    """

    name: str
    namespace: str
    own_properties: tuple[Property, ...] = ()
    own_navigations: tuple[Navigation, ...] = ()
    base: EntityType | None = None
    own_key: str | None = None
    abstract: bool = False
    description: str = ""
    append_only: bool = False

    @property
    def qualified(self) -> str:
        return f"{self.namespace}.{self.name}"

    @cached_property
    def properties(self) -> tuple[Property, ...]:
        return (*(self.base.properties if self.base else ()), *self.own_properties)

    @cached_property
    def navigations(self) -> tuple[Navigation, ...]:
        return (*(self.base.navigations if self.base else ()), *self.own_navigations)

    @cached_property
    def key(self) -> Property:
        name = self.own_key
        if name is None:
            if self.base is None:
                raise LookupError(f"{self.qualified} declares no key")
            return self.base.key
        return next(each for each in self.properties if each.name == name)

    @cached_property
    def by_name(self) -> Mapping[str, Property]:
        """The properties by their exact names."""
        return {each.name: each for each in self.properties}

    @cached_property
    def required(self) -> frozenset[str]:
        """The names of the properties that a create must give."""
        return frozenset(each.name for each in self.properties if each.required)

    @cached_property
    def _properties_by_folded_name(self) -> Mapping[str, Property]:
        return {each.name.lower(): each for each in self.properties}

    def find_property(self, name: str) -> Property | None:
        return self._properties_by_folded_name.get(name.lower())

    def find_navigation(self, name: str) -> Navigation | None:
        folded = name.lower()
        return next((each for each in self.navigations if each.name.lower() == folded), None)

    def ancestry(self) -> Iterator[EntityType]:
        """This type, its base, and so on upwards."""
        this: EntityType | None = self
        while this is not None:
            yield this
            this = this.base


@dataclass(frozen=True, eq=False)
class EntitySet(Navigation):
    """A collection at the service root; `read` and `write` are as in Navigation.

    With `owner`, the property that names the application which an entity belongs to, callers meet those of theirs only.
    """

    owner: str | None = None


@dataclass(frozen=True, eq=False)
class Function:
    """A function without parameters, bound to a collection of entities, that gives entities of the same type.

    Whoever may read the collection may call it.
    """

    name: str
    binding: EntityType
    description: str = ""


@dataclass(frozen=True, eq=False)
class Action:
    """An action without parameters and without a result, bound to an entity. Whoever may change it may call it."""

    name: str
    binding: EntityType
    description: str = ""


@dataclass(frozen=True, eq=False)
class Singleton:
    """A named single entity at the service root, read-only here. `read` is as in Navigation."""

    name: str
    type: EntityType
    read: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Model:
    """One version of the service: its namespace, its types and what stands at its root."""

    namespace: str
    alias: str
    container: str
    enums: tuple[EnumType, ...]
    entities: tuple[EntityType, ...]
    singletons: tuple[Singleton, ...]
    complexes: tuple[ComplexType, ...] = ()
    entity_sets: tuple[EntitySet, ...] = ()
    functions: tuple[Function, ...] = ()
    actions: tuple[Action, ...] = ()
    _by_name: Mapping[str, EnumType | ComplexType | EntityType] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        types: tuple[EnumType | ComplexType | EntityType, ...] = (*self.enums, *self.complexes, *self.entities)
        names = {each.qualified.lower(): each for each in types}
        object.__setattr__(self, "_by_name", names)

    def find_type(self, qualified: str) -> EnumType | ComplexType | EntityType | None:
        """A type by its qualified name, with the namespace or its alias."""
        folded = qualified.lower()
        alias = self.alias.lower() + "."
        if folded.startswith(alias):
            folded = f"{self.namespace.lower()}.{folded[len(alias) :]}"
        return self._by_name.get(folded)

    def find_singleton(self, name: str) -> Singleton | None:
        folded = name.lower()
        return next((each for each in self.singletons if each.name.lower() == folded), None)

    def find_entity_set(self, name: str) -> EntitySet | None:
        folded = name.lower()
        return next((each for each in self.entity_sets if each.name.lower() == folded), None)

    def find_function(self, name: str, binding: EntityType) -> Function | None:
        """A function bound to a collection of this type, by its name alone or behind the namespace or its alias."""
        simple = self._simple(name)
        return next((each for each in self.functions if each.binding is binding and each.name.lower() == simple), None)

    def find_action(self, name: str, binding: EntityType) -> Action | None:
        """An action bound to an entity of this type, by its name as a function's."""
        simple = self._simple(name)
        return next((each for each in self.actions if each.binding is binding and each.name.lower() == simple), None)

    def _simple(self, name: str) -> str | None:
        """A name in small letters without the namespace or its alias; None: it is of another namespace."""
        qualifier, _, simple = name.lower().rpartition(".")
        return simple if qualifier in ("", self.namespace.lower(), self.alias.lower()) else None

    @property
    def collections(self) -> tuple[Navigation, ...]:
        """Every collection of entities: those that singletons contain, and those at the root."""
        return (*(each for root in self.singletons for each in root.type.navigations), *self.entity_sets)
