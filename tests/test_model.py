"""The declaration as published (graph-contract 1.2 to 1.4): what the CSDL says, and who may do what."""

from __future__ import annotations

import pytest

from adjoin.model import (
    AUDIT_EVENT,
    AUDIT_EVENTS,
    BETA,
    CONNECTOR,
    CONNECTOR_STATE,
    CONNECTORS,
    ENTITY,
    SUBSCRIPTION,
    SUBSCRIPTION_STATE,
    SUBSCRIPTIONS,
    V1,
    VERSIONS,
)
from adjoin.odata.edm import Primitive, Property


def test_the_states_have_the_published_names_and_numbers() -> None:
    assert CONNECTOR_STATE.qualified == "microsoft.graph.deviceManagementDomainJoinConnectorState"
    assert CONNECTOR_STATE.members == {"active": 0, "error": 1, "inactive": 2}


def test_a_connector_has_the_published_properties_in_the_published_order() -> None:
    assert CONNECTOR.qualified == "microsoft.graph.deviceManagementDomainJoinConnector"
    assert [(each.name, each.type_name, each.nullable) for each in CONNECTOR.properties] == [
        ("id", "Edm.String", False),
        ("displayName", "Edm.String", True),
        ("lastConnectionDateTime", "Edm.DateTimeOffset", False),
        ("state", "microsoft.graph.deviceManagementDomainJoinConnectorState", False),
        ("version", "Edm.String", False),
    ]


def test_a_connector_derives_from_entity_and_is_known_by_its_id() -> None:
    assert CONNECTOR.base is ENTITY
    assert ENTITY.abstract
    assert CONNECTOR.key.name == "id"


def test_the_id_is_a_guid_that_the_service_makes() -> None:
    assert CONNECTOR.key.guid
    assert CONNECTOR.key.generated
    assert [each.name for each in CONNECTOR.properties if each.generated] == ["id"]


STRINGS = [each for each in CONNECTOR.properties if each.type is Primitive.STRING]


@pytest.mark.parametrize("declared", STRINGS, ids=[each.name for each in STRINGS])
def test_every_string_that_a_caller_may_choose_is_bounded(declared: Property) -> None:
    assert declared.guid or (declared.max_length or 0) > 0


def test_beta_has_connectors_and_audit_events_below_device_management() -> None:
    (root,) = BETA.singletons
    assert root.name == "deviceManagement"
    assert root.type.navigations == (CONNECTORS, AUDIT_EVENTS)
    assert CONNECTORS.name == "domainJoinConnectors"
    assert CONNECTORS.target is CONNECTOR
    assert AUDIT_EVENTS.name == "auditEvents"
    assert AUDIT_EVENTS.target is AUDIT_EVENT


def test_device_management_shows_the_published_state_of_the_subscription() -> None:
    states = {"pending": 0, "active": 1, "warning": 2, "disabled": 3, "deleted": 4, "blocked": 5, "lockedOut": 8}
    assert SUBSCRIPTION_STATE.qualified == "microsoft.graph.deviceManagementSubscriptionState"
    assert states == SUBSCRIPTION_STATE.members
    for version in (BETA, V1):
        (root,) = version.singletons
        assert [(each.name, each.type_name, each.nullable) for each in root.type.properties] == [
            ("id", "Edm.String", False),
            ("subscriptionState", "microsoft.graph.deviceManagementSubscriptionState", False),
        ]


def test_an_audit_event_has_the_published_properties_in_the_published_order() -> None:
    assert AUDIT_EVENT.base is ENTITY
    assert AUDIT_EVENT.append_only
    assert [(each.name, each.type_name, each.nullable) for each in AUDIT_EVENT.properties] == [
        ("id", "Edm.String", False),
        ("displayName", "Edm.String", True),
        ("componentName", "Edm.String", True),
        ("actor", "microsoft.graph.auditActor", True),
        ("activity", "Edm.String", True),
        ("activityDateTime", "Edm.DateTimeOffset", False),
        ("activityType", "Edm.String", True),
        ("activityOperationType", "Edm.String", True),
        ("activityResult", "Edm.String", True),
        ("correlationId", "Edm.Guid", False),
        ("resources", "Collection(microsoft.graph.auditResource)", False),
        ("category", "Edm.String", True),
    ]


def test_audit_events_are_read_with_the_permissions_of_apps_and_never_written() -> None:
    assert AUDIT_EVENTS.read == ("DeviceManagementApps.Read.All", "DeviceManagementApps.ReadWrite.All")
    assert AUDIT_EVENTS.write == ()


def test_subscriptions_stand_at_the_root_for_whoever_reads_connectors() -> None:
    assert BETA.entity_sets == (SUBSCRIPTIONS,)
    assert (SUBSCRIPTIONS.name, SUBSCRIPTIONS.target, SUBSCRIPTIONS.owner) == (
        "subscriptions",
        SUBSCRIPTION,
        "applicationId",
    )
    assert SUBSCRIPTIONS.read == SUBSCRIPTIONS.write == CONNECTORS.read
    assert V1.entity_sets == ()


def test_a_subscription_has_graphs_names_and_types() -> None:
    assert [(each.name, each.type_name, each.nullable) for each in SUBSCRIPTION.own_properties] == [
        ("applicationId", "Edm.String", True),
        ("changeType", "Edm.String", False),
        ("clientState", "Edm.String", True),
        ("creatorId", "Edm.String", True),
        ("expirationDateTime", "Edm.DateTimeOffset", False),
        ("includeResourceData", "Edm.Boolean", True),
        ("latestSupportedTlsVersion", "Edm.String", True),
        ("lifecycleNotificationUrl", "Edm.String", True),
        ("notificationUrl", "Edm.String", False),
        ("resource", "Edm.String", False),
    ]
    assert [each.name for each in SUBSCRIPTION.properties if each.secret] == ["clientState"]
    assert [each.name for each in SUBSCRIPTION.properties if each.changeable] == ["expirationDateTime"]
    assert all(
        each.max_length or each.computed for each in SUBSCRIPTION.own_properties if each.type is Primitive.STRING
    )


def test_the_function_is_bound_to_connectors() -> None:
    assert [(each.name, each.binding) for each in BETA.functions] == [("delta", CONNECTOR)]
    assert V1.functions == ()


def test_v1_has_device_management_without_connectors() -> None:
    (root,) = V1.singletons
    assert root.name == "deviceManagement"
    assert root.type.navigations == ()
    assert V1.find_type("microsoft.graph.deviceManagementDomainJoinConnector") is None


def test_the_versions_are_found_by_their_segment() -> None:
    assert VERSIONS == {"beta": BETA, "v1.0": V1}


def test_writing_takes_the_published_permission_and_reading_takes_it_or_the_lesser_one() -> None:
    assert CONNECTORS.write == ("DeviceManagementConfiguration.ReadWrite.All",)
    assert CONNECTORS.read == (
        "DeviceManagementConfiguration.Read.All",
        "DeviceManagementConfiguration.ReadWrite.All",
    )
