"""The one declaration: the entity types served, their enumeration, and where they hang.

Metadata, request reading, answers, filters and columns derive from it; nothing of it is written twice.
Source: the published CSDL (graph-contract 1.2). Lengths are this service's own bounds.
"""

from __future__ import annotations

from typing import Final

from adjoin.odata.edm import EntityType, EnumType, Model, Navigation, Primitive, Property, Singleton

_NAMESPACE: Final = "microsoft.graph"

CONNECTOR_STATE: Final = EnumType(
    "deviceManagementDomainJoinConnectorState",
    _NAMESPACE,
    {"active": 0, "error": 1, "inactive": 2},
    "The ODJ request states.",
)

ENTITY: Final = EntityType(
    "entity",
    _NAMESPACE,
    abstract=True,
    own_key="id",
    own_properties=(
        Property("id", Primitive.STRING, nullable=False, description="Unique identifier.", guid=True, generated=True),
    ),
)

CONNECTOR: Final = EntityType(
    "deviceManagementDomainJoinConnector",
    _NAMESPACE,
    base=ENTITY,
    description=(
        "A Domain Join Connector is a connector that is responsible to allocate (and delete) machine account blobs"
    ),
    own_properties=(
        Property(
            "displayName", Primitive.STRING, description="The connector display name.", max_length=512, searchable=True
        ),
        Property(
            "lastConnectionDateTime",
            Primitive.DATE_TIME_OFFSET,
            nullable=False,
            description="Last time connector contacted Intune.",
        ),
        Property("state", CONNECTOR_STATE, nullable=False, description="The connector state."),
        Property(
            "version",
            Primitive.STRING,
            nullable=False,
            description="The version of the connector.",
            max_length=128,
            searchable=True,
        ),
    ),
)

# graph-contract 1.4: delegated and application permissions go by the same names.
_WRITE: Final = ("DeviceManagementConfiguration.ReadWrite.All",)
_READ: Final = ("DeviceManagementConfiguration.Read.All", *_WRITE)

CONNECTORS: Final = Navigation(
    "domainJoinConnectors", CONNECTOR, description="A list of connector objects.", read=_READ, write=_WRITE
)


def _device_management(*navigations: Navigation) -> EntityType:
    return EntityType(
        "deviceManagement",
        _NAMESPACE,
        base=ENTITY,
        own_navigations=navigations,
        description="Singleton entity that acts as a container for all device management functionality.",
    )


def _version(device_management: EntityType, *more: EntityType, enums: tuple[EnumType, ...] = ()) -> Model:
    return Model(
        namespace=_NAMESPACE,
        alias="graph",
        container="GraphService",
        enums=enums,
        entities=(ENTITY, device_management, *more),
        singletons=(Singleton("deviceManagement", device_management, read=_READ),),
    )


BETA: Final = _version(_device_management(CONNECTORS), CONNECTOR, enums=(CONNECTOR_STATE,))
V1: Final = _version(_device_management())

VERSIONS: Final = {"beta": BETA, "v1.0": V1}
