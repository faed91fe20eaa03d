"""The one declaration: the entity types served, their enumeration, and where they hang.

Metadata, request reading, answers, filters and columns derive from it; nothing of it is written twice.
Source: the published CSDL (graph-contract 1.2). Lengths are this service's own bounds.
"""

from __future__ import annotations

from typing import Final

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

_NAMESPACE: Final = "microsoft.graph"

SUBSCRIPTION_STATE: Final = EnumType(
    "deviceManagementSubscriptionState",
    _NAMESPACE,
    {"pending": 0, "active": 1, "warning": 2, "disabled": 3, "deleted": 4, "blocked": 5, "lockedOut": 8},
    "Tenant mobile device management subscription state.",
)

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

AUDIT_ACTOR: Final = ComplexType(
    "auditActor",
    _NAMESPACE,
    (
        Property("auditActorType", Primitive.STRING, description="Actor Type."),
        Property(
            "userPermissions",
            Primitive.STRING,
            nullable=False,
            collection=True,
            description="List of user permissions when the audit was performed.",
        ),
        Property("applicationId", Primitive.STRING, description="AAD Application Id."),
        Property("applicationDisplayName", Primitive.STRING, description="Name of the Application."),
        Property("userPrincipalName", Primitive.STRING, description="User Principal Name (UPN)."),
        Property("servicePrincipalName", Primitive.STRING, description="Service Principal Name (SPN)."),
        Property("ipAddress", Primitive.STRING, description="IPAddress."),
        Property("userId", Primitive.STRING, description="User Id."),
    ),
    "A class containing the properties for Audit Actor.",
)

AUDIT_PROPERTY: Final = ComplexType(
    "auditProperty",
    _NAMESPACE,
    (
        Property("displayName", Primitive.STRING, description="Display name."),
        Property("oldValue", Primitive.STRING, description="Old value."),
        Property("newValue", Primitive.STRING, description="New value."),
    ),
    "A class containing the properties for Audit Property.",
)

AUDIT_RESOURCE: Final = ComplexType(
    "auditResource",
    _NAMESPACE,
    (
        Property("displayName", Primitive.STRING, description="Display name."),
        Property(
            "modifiedProperties",
            AUDIT_PROPERTY,
            nullable=False,
            collection=True,
            description="List of modified properties.",
        ),
        Property("auditResourceType", Primitive.STRING, description="Audit resource's type."),
        Property("resourceId", Primitive.STRING, description="Audit resource's Id."),
    ),
    "A class containing the properties for Audit Resource.",
)

# Source: the published resource auditEvent of Intune's auditing, whose members and order these are.
AUDIT_EVENT: Final = EntityType(
    "auditEvent",
    _NAMESPACE,
    base=ENTITY,
    append_only=True,
    description="A class containing the properties for Audit Event.",
    own_properties=(
        Property("displayName", Primitive.STRING, description="Event display name.", searchable=True),
        Property("componentName", Primitive.STRING, description="Component name."),
        Property(
            "actor", AUDIT_ACTOR, description="The user and application that are associated with the audit event."
        ),
        Property("activity", Primitive.STRING, description="Friendly name of the activity.", searchable=True),
        Property(
            "activityDateTime",
            Primitive.DATE_TIME_OFFSET,
            nullable=False,
            description="The date time in UTC when the activity was performed.",
        ),
        Property("activityType", Primitive.STRING, description="The type of activity that was being performed."),
        Property("activityOperationType", Primitive.STRING, description="The HTTP operation type of the activity."),
        Property("activityResult", Primitive.STRING, description="The result of the activity."),
        Property(
            "correlationId",
            Primitive.GUID,
            nullable=False,
            description="The client request Id that is used to correlate activity within the system.",
        ),
        Property("resources", AUDIT_RESOURCE, nullable=False, collection=True, description="Resources being modified."),
        Property("category", Primitive.STRING, description="Audit category."),
    ),
)

# Source: the published resource subscription; what is left out of it would always be null here.
SUBSCRIPTION: Final = EntityType(
    "subscription",
    _NAMESPACE,
    base=ENTITY,
    description="A subscription allows a client app to receive change notifications.",
    own_properties=(
        Property(
            "applicationId",
            Primitive.STRING,
            computed=True,
            description="Identifier of the application used to create the subscription.",
        ),
        Property(
            "changeType",
            Primitive.STRING,
            nullable=False,
            fixed=True,
            max_length=64,
            description="The type of change that raises a notification: created, updated, deleted, parted by commas.",
        ),
        Property(
            "clientState",
            Primitive.STRING,
            fixed=True,
            optional=True,
            secret=True,
            max_length=128,
            description="What the service sends in each notification, so that the client can tell where it came from.",
        ),
        Property(
            "creatorId",
            Primitive.STRING,
            computed=True,
            description="Identifier of the user or service principal that created the subscription.",
        ),
        Property(
            "expirationDateTime",
            Primitive.DATE_TIME_OFFSET,
            nullable=False,
            description="When the subscription ends.",
        ),
        Property(
            "includeResourceData",
            Primitive.BOOLEAN,
            fixed=True,
            optional=True,
            description="Whether notifications hold the data of the resource; they do not.",
        ),
        Property(
            "latestSupportedTlsVersion",
            Primitive.STRING,
            fixed=True,
            optional=True,
            max_length=8,
            description="The latest version of TLS that the notification endpoint supports.",
        ),
        Property(
            "lifecycleNotificationUrl",
            Primitive.STRING,
            fixed=True,
            optional=True,
            max_length=2_048,
            description="The URL of the endpoint that receives lifecycle notifications.",
        ),
        Property(
            "notificationUrl",
            Primitive.STRING,
            nullable=False,
            fixed=True,
            max_length=2_048,
            description="The URL of the endpoint that receives the change notifications.",
        ),
        Property(
            "resource",
            Primitive.STRING,
            nullable=False,
            fixed=True,
            max_length=256,
            description="The resource that is monitored for changes, without the base URL.",
        ),
    ),
)

# graph-contract 1.4: delegated and application permissions go by the same names.
_WRITE: Final = ("DeviceManagementConfiguration.ReadWrite.All",)
_READ: Final = ("DeviceManagementConfiguration.Read.All", *_WRITE)

CONNECTORS: Final = Navigation(
    "domainJoinConnectors", CONNECTOR, description="A list of connector objects.", read=_READ, write=_WRITE
)


# As Microsoft lists them for auditEvent.
AUDIT_EVENTS: Final = Navigation(
    "auditEvents",
    AUDIT_EVENT,
    description="The Audit Events",
    read=("DeviceManagementApps.Read.All", "DeviceManagementApps.ReadWrite.All"),
)


# Whoever may read connectors may hear of their changes.
SUBSCRIPTIONS: Final = EntitySet(
    "subscriptions",
    SUBSCRIPTION,
    description="Subscriptions to change notifications of the calling application.",
    read=_READ,
    write=_READ,
    owner="applicationId",
)

DELTA: Final = Function("delta", CONNECTOR, "Connectors that were created, changed or deleted since the last call.")

REAUTHORIZE: Final = Action(
    "reauthorize", SUBSCRIPTION, "Reauthorize a subscription when you receive a reauthorizationRequired challenge."
)


def _device_management(*navigations: Navigation) -> EntityType:
    return EntityType(
        "deviceManagement",
        _NAMESPACE,
        base=ENTITY,
        own_properties=(
            Property(
                "subscriptionState",
                SUBSCRIPTION_STATE,
                nullable=False,
                description="Tenant mobile device management subscription state.",
            ),
        ),
        own_navigations=navigations,
        description="Singleton entity that acts as a container for all device management functionality.",
    )


def _version(
    device_management: EntityType,
    *more: EntityType,
    enums: tuple[EnumType, ...] = (),
    complexes: tuple[ComplexType, ...] = (),
    entity_sets: tuple[EntitySet, ...] = (),
    functions: tuple[Function, ...] = (),
    actions: tuple[Action, ...] = (),
) -> Model:
    return Model(
        namespace=_NAMESPACE,
        alias="graph",
        container="GraphService",
        enums=(SUBSCRIPTION_STATE, *enums),
        complexes=complexes,
        entities=(ENTITY, device_management, *more),
        singletons=(Singleton("deviceManagement", device_management, read=_READ),),
        entity_sets=entity_sets,
        functions=functions,
        actions=actions,
    )


BETA: Final = _version(
    _device_management(CONNECTORS, AUDIT_EVENTS),
    CONNECTOR,
    AUDIT_EVENT,
    SUBSCRIPTION,
    enums=(CONNECTOR_STATE,),
    complexes=(AUDIT_ACTOR, AUDIT_PROPERTY, AUDIT_RESOURCE),
    entity_sets=(SUBSCRIPTIONS,),
    functions=(DELTA,),
    actions=(REAUTHORIZE,),
)
V1: Final = _version(_device_management())

VERSIONS: Final = {"beta": BETA, "v1.0": V1}
