"""`$metadata` and the service document: the published facts one by one, the rules of CSDL, and golden files."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import pairwise
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import pytest
from hypothesis import given, settings
from tests.odata.csdl import EDM, EDMX, check_golden, json_of_xml, model_of_json, models, published

from adjoin.model import BETA, V1
from adjoin.odata.edm import Model
from adjoin.odata.metadata import csdl_json, csdl_xml, service_document

VERSIONS = pytest.mark.parametrize("model", [BETA, V1], ids=["beta", "v1.0"])
NAMESPACES = {"edmx": EDMX[1:-1], "": EDM[1:-1]}
CONNECTOR = "deviceManagementDomainJoinConnector"


def find(path: str, model: Model = BETA) -> Element:
    (found,) = ElementTree.fromstring(csdl_xml(model)).findall(path, NAMESPACES)
    return found


def attributes(path: str) -> dict[str, str]:
    return dict(find(path).attrib)


def test_xml_is_as_it_was() -> None:
    check_golden("metadata.xml", csdl_xml(BETA))


def test_json_is_as_it_was() -> None:
    check_golden("metadata.json", csdl_json(BETA))


class TestPublishedFacts:
    """graph-contract 1.2, fact by fact."""

    def test_the_wrapper(self) -> None:
        document = ElementTree.fromstring(csdl_xml(BETA))
        assert (document.tag, document.attrib) == (f"{EDMX}Edmx", {"Version": "4.0"})
        assert attributes("edmx:DataServices/Schema") == {"Namespace": "microsoft.graph", "Alias": "graph"}

    def test_the_enumeration(self) -> None:
        enum = find(f".//EnumType[@Name='{CONNECTOR}State']")
        assert dict(enum.attrib) == {"Name": f"{CONNECTOR}State"}
        members = [(each.get("Name"), each.get("Value")) for each in enum.findall("Member", NAMESPACES)]
        assert members == [("active", "0"), ("error", "1"), ("inactive", "2")]

    def test_the_connector(self) -> None:
        assert attributes(f".//EntityType[@Name='{CONNECTOR}']") == {"Name": CONNECTOR, "BaseType": "graph.entity"}

    def test_the_properties_of_the_connector(self) -> None:
        properties = find(f".//EntityType[@Name='{CONNECTOR}']").findall("Property", NAMESPACES)
        assert [dict(each.attrib) for each in properties] == [
            {"Name": "displayName", "Type": "Edm.String"},
            {"Name": "lastConnectionDateTime", "Type": "Edm.DateTimeOffset", "Nullable": "false"},
            {"Name": "state", "Type": f"graph.{CONNECTOR}State", "Nullable": "false"},
            {"Name": "version", "Type": "Edm.String", "Nullable": "false"},
        ]

    def test_the_entity(self) -> None:
        entity = ".//EntityType[@Name='entity']"
        assert attributes(entity) == {"Name": "entity", "Abstract": "true"}
        assert attributes(f"{entity}/Key/PropertyRef") == {"Name": "id"}
        assert attributes(f"{entity}/Property") == {"Name": "id", "Type": "Edm.String", "Nullable": "false"}

    def test_the_navigation_property(self) -> None:
        management = ".//EntityType[@Name='deviceManagement']"
        assert attributes(management) == {"Name": "deviceManagement", "BaseType": "graph.entity"}
        subscription = f"{management}/Property[@Name='subscriptionState']"
        state = "graph.deviceManagementSubscriptionState"
        assert attributes(subscription) == {"Name": "subscriptionState", "Type": state, "Nullable": "false"}
        assert attributes(f"{management}/NavigationProperty[@Name='domainJoinConnectors']") == {
            "Name": "domainJoinConnectors",
            "Type": f"Collection(graph.{CONNECTOR})",
            "ContainsTarget": "true",
        }
        assert attributes(f"{management}/NavigationProperty[@Name='auditEvents']") == {
            "Name": "auditEvents",
            "Type": "Collection(graph.auditEvent)",
            "ContainsTarget": "true",
        }
        names = [each.get("Name") for each in find(management).findall("NavigationProperty", NAMESPACES)]
        assert names == ["domainJoinConnectors", "auditEvents"]

    def test_the_audit_event(self) -> None:
        event = find(".//EntityType[@Name='auditEvent']")
        assert dict(event.attrib) == {"Name": "auditEvent", "BaseType": "graph.entity"}
        properties = {each.get("Name"): each.get("Type") for each in event.findall("Property", NAMESPACES)}
        texts = ("displayName", "componentName", "activity", "activityType", "activityOperationType", "activityResult")
        assert properties == {
            **dict.fromkeys((*texts, "category"), "Edm.String"),
            "actor": "graph.auditActor",
            "activityDateTime": "Edm.DateTimeOffset",
            "correlationId": "Edm.Guid",
            "resources": "Collection(graph.auditResource)",
        }

    @pytest.mark.parametrize(
        ("name", "declared"),
        [
            (
                "auditActor",
                {
                    "auditActorType": "Edm.String",
                    "userPermissions": "Collection(Edm.String)",
                    "applicationId": "Edm.String",
                    "applicationDisplayName": "Edm.String",
                    "userPrincipalName": "Edm.String",
                    "servicePrincipalName": "Edm.String",
                    "ipAddress": "Edm.String",
                    "userId": "Edm.String",
                },
            ),
            ("auditProperty", dict.fromkeys(("displayName", "oldValue", "newValue"), "Edm.String")),
            (
                "auditResource",
                {
                    "displayName": "Edm.String",
                    "modifiedProperties": "Collection(graph.auditProperty)",
                    "auditResourceType": "Edm.String",
                    "resourceId": "Edm.String",
                },
            ),
        ],
    )
    def test_the_complex_types(self, name: str, declared: dict[str, str]) -> None:
        held = find(f".//ComplexType[@Name='{name}']")
        assert dict(held.attrib) == {"Name": name}
        assert {each.get("Name"): each.get("Type") for each in held.findall("Property", NAMESPACES)} == declared

    def test_the_container(self) -> None:
        assert attributes(".//EntityContainer") == {"Name": "GraphService"}
        singleton = {"Name": "deviceManagement", "Type": "microsoft.graph.deviceManagement"}
        assert attributes(".//EntityContainer/Singleton") == singleton

    def test_the_entity_set(self) -> None:
        entity_set = {"Name": "subscriptions", "EntityType": "microsoft.graph.subscription"}
        assert attributes(".//EntityContainer/EntitySet") == entity_set

    def test_the_action(self) -> None:
        """As Graph declares it: POST /subscriptions/{id}/reauthorize, with no body and no result."""
        action = ".//Action[@Name='reauthorize']"
        assert attributes(action) == {"Name": "reauthorize", "IsBound": "true"}
        assert attributes(f"{action}/Parameter") == {"Name": "bindingParameter", "Type": "graph.subscription"}

    def test_the_function(self) -> None:
        """As Graph declares delta functions, which it has for other types (graph-contract 3.11)."""
        function = ".//Function[@Name='delta']"
        collection = f"Collection(graph.{CONNECTOR})"
        assert attributes(function) == {"Name": "delta", "IsBound": "true"}
        assert attributes(f"{function}/Parameter") == {"Name": "bindingParameter", "Type": collection}
        assert attributes(f"{function}/ReturnType") == {"Type": collection}

    @pytest.mark.parametrize(
        ("path", "text"),
        [
            (
                f".//EntityType[@Name='{CONNECTOR}']",
                (
                    "A Domain Join Connector is a connector that is responsible to allocate (and delete) "
                    "machine account blobs"
                ),
            ),
            (".//NavigationProperty[@Name='domainJoinConnectors']", "A list of connector objects."),
            (".//NavigationProperty[@Name='auditEvents']", "The Audit Events"),
            (f".//EntityType[@Name='{CONNECTOR}']/Property[@Name='displayName']", "The connector display name."),
            (".//EntityType[@Name='auditEvent']/Property[@Name='displayName']", "Event display name."),
            (".//Property[@Name='lastConnectionDateTime']", "Last time connector contacted Intune."),
            (".//Property[@Name='state']", "The connector state."),
            (".//Property[@Name='version']", "The version of the connector."),
        ],
    )
    def test_the_descriptions(self, path: str, text: str) -> None:
        assert find(f"{path}/Annotation[@Term='Org.OData.Core.V1.Description']").get("String") == text

    def test_v1_knows_no_connector(self) -> None:
        # graph-contract 1.1: the type is absent from the v1.0 schema.
        assert CONNECTOR.encode() not in csdl_xml(V1)
        assert b"domainJoinConnectors" not in csdl_xml(V1)


class TestCapabilities:
    """What the container says may be done."""

    def stated(self, name: str = "domainJoinConnectors") -> dict[str, dict[str, object]]:
        container = json.loads(csdl_json(BETA))["microsoft.graph"]["GraphService"]
        restrictions = container["deviceManagement"]["@Capabilities.NavigationRestrictions"]
        names = [each["NavigationProperty"] for each in restrictions["RestrictedProperties"]]
        assert names == ["domainJoinConnectors", "auditEvents"]
        return dict(restrictions["RestrictedProperties"][names.index(name)])

    @pytest.mark.parametrize(
        ("restriction", "able", "scopes"),
        [
            ("ReadRestrictions", "Readable", ["Read.All", "ReadWrite.All"]),
            ("InsertRestrictions", "Insertable", ["ReadWrite.All"]),
            ("UpdateRestrictions", "Updatable", ["ReadWrite.All"]),
            ("DeleteRestrictions", "Deletable", ["ReadWrite.All"]),
        ],
    )
    def test_connectors_with_their_permissions(self, restriction: str, able: str, scopes: list[str]) -> None:
        stated = self.stated()[restriction]
        assert stated[able] is True
        assert stated["Permissions"] == [
            {"SchemeName": scheme, "Scopes": [{"Scope": f"DeviceManagementConfiguration.{each}"} for each in scopes]}
            for scheme in ("DelegatedWork", "Application")
        ]

    def test_audit_events_are_for_reading_with_their_permissions(self) -> None:
        stated = self.stated("auditEvents")
        scopes = [{"Scope": f"DeviceManagementApps.{each}"} for each in ("Read.All", "ReadWrite.All")]
        permissions = [{"SchemeName": scheme, "Scopes": scopes} for scheme in ("DelegatedWork", "Application")]
        assert stated["ReadRestrictions"] == {"Readable": True, "Permissions": permissions}
        assert stated["InsertRestrictions"] == {"Insertable": False}
        for restriction, able in (("UpdateRestrictions", "Updatable"), ("DeleteRestrictions", "Deletable")):
            assert stated[restriction][able] is False
            assert not {"Permissions", "UpdateMethod"} & set(stated[restriction])

    def test_what_cannot_be_compared_is_said_to_be_no_filter_and_no_order(self) -> None:
        stated = self.stated("auditEvents")
        apart = ["actor", "resources"]
        assert stated["FilterRestrictions"] == {"Filterable": True, "NonFilterableProperties": apart}
        assert stated["SortRestrictions"] == {"Sortable": True, "NonSortableProperties": apart}

    def test_subscriptions_are_written_by_whoever_may_read_connectors(self) -> None:
        stated = json.loads(csdl_json(BETA))["microsoft.graph"]["GraphService"]["subscriptions"]
        for restriction in ("ReadRestrictions", "InsertRestrictions", "UpdateRestrictions", "DeleteRestrictions"):
            (scopes, _) = (each["Scopes"] for each in stated[f"@Capabilities.{restriction}"]["Permissions"])
            assert [each["Scope"].rpartition("Configuration.")[2] for each in scopes] == ["Read.All", "ReadWrite.All"]
        required = stated["@Capabilities.InsertRestrictions"]["RequiredProperties"]
        assert required == ["changeType", "expirationDateTime", "notificationUrl", "resource"]
        assert stated["@Capabilities.FilterRestrictions"]["NonFilterableProperties"] == ["clientState"]

    def test_put_is_not_served(self) -> None:
        assert self.stated()["UpdateRestrictions"]["UpdateMethod"] == "PATCH"

    def test_the_singleton_is_for_reading(self) -> None:
        singleton = json.loads(csdl_json(BETA))["microsoft.graph"]["GraphService"]["deviceManagement"]
        assert singleton["@Capabilities.ReadRestrictions"]["Readable"] is True
        assert singleton["@Capabilities.UpdateRestrictions"] == {"Updatable": False}
        assert singleton["@Capabilities.DeleteRestrictions"] == {"Deletable": False}


@VERSIONS
def test_json_says_the_same_as_xml(model: Model) -> None:
    assert json_of_xml(csdl_xml(model)) == json.loads(csdl_json(model))


@VERSIONS
def test_xml_reads_back_into_the_same_model(model: Model) -> None:
    assert published(model_of_json(json_of_xml(csdl_xml(model)))) == published(model)


@settings(max_examples=50, deadline=None)
@given(models())
def test_any_model_reads_back_from_both_forms(model: Model) -> None:
    xml = csdl_xml(model)
    assert list(faults(xml)) == []
    assert json_of_xml(xml) == json.loads(csdl_json(model))
    assert published(model_of_json(json_of_xml(xml))) == published(model)


def test_the_same_bytes_each_time() -> None:
    assert csdl_xml.__wrapped__(BETA) == csdl_xml.__wrapped__(BETA)
    assert csdl_json.__wrapped__(BETA) == csdl_json.__wrapped__(BETA)


def test_service_document() -> None:
    assert json.loads(service_document(BETA, "http://host/beta")) == {
        "@odata.context": "http://host/beta/$metadata",
        "value": [
            {"name": "subscriptions", "kind": "EntitySet", "url": "subscriptions"},
            {"name": "deviceManagement", "kind": "Singleton", "url": "deviceManagement"},
        ],
    }


@VERSIONS
def test_xml_keeps_the_rules_of_csdl(model: Model) -> None:
    assert list(faults(csdl_xml(model))) == []


@pytest.mark.parametrize(
    ("right", "wrong", "fault"),
    [
        ('Version="4.0"', 'Version="3.0"', "Edmx: Version is '3.0'"),
        ("<Key>", "<Keys>", "EntityType: child Keys"),
        ("<ComplexType ", "<ComplexType BaseType='' ", "ComplexType: BaseType is ''"),
        ('ComplexType Name="auditActor"', 'ComplexType Name="auditOther"', "graph.auditActor does not resolve"),
        (' Type="Edm.DateTimeOffset"', "", "Property: Type is missing"),
        ('Nullable="false"', 'Nullable="no"', "Property: Nullable is 'no'"),
        ('Name="displayName"', 'Name="display-name"', "Property: Name is 'display-name'"),
        ('Name="displayName"', 'Name="VERSION"', "version is declared twice"),
        ('BaseType="graph.entity"', 'BaseType="graph.thing"', "graph.thing does not resolve"),
        ('EntityType="microsoft.graph.subscription"', 'EntityType="graph.other"', "graph.other does not resolve"),
        ('Parameter Name="bindingParameter"', 'Parameter Name="binding.parameter"', "Parameter: Name is"),
        ('PropertyRef Name="id"', 'PropertyRef Name="key"', "entity: key key is no property"),
        ('Type="Edm.String"', 'Type="Edm.Text"', "Edm.Text does not resolve"),
        ('Value="1"', 'Value="0"', "two members of one value"),
        ("Org.OData.Capabilities.V1.ReadR", "Org.OData.Other.V1.ReadR", "Org.OData.Other.V1 is not included"),
        ('Path="domainJoinConnectors"', 'Path="other"', "navigation path other does not resolve"),
    ],
)
def test_the_rules_find_what_is_wrong(right: str, wrong: str, fault: str) -> None:
    text = csdl_xml(BETA).decode()
    assert right in text
    broken = text.replace(right, wrong).replace("</Key>", "</Keys>" if wrong == "<Keys>" else "</Key>")
    assert fault in "\n".join(faults(broken.encode()))


# The rules: CSDL XML 4.01, as far as the elements that stand in our documents go.

_IDENTIFIER = r"[^\W\d]\w{0,127}"
_QUALIFIED = rf"{_IDENTIFIER}(\.{_IDENTIFIER})+"
_BOOLEAN = "true|false"
_TYPE = rf"{_QUALIFIED}|Collection\({_QUALIFIED}\)"
_PATH = rf"{_IDENTIFIER}(/{_IDENTIFIER})*"
_EXPRESSIONS = {
    "String": ".*",
    "Bool": _BOOLEAN,
    "Int": r"-?\d+",
    "NavigationPropertyPath": _PATH,
    "EnumMember": rf"{_QUALIFIED}/{_IDENTIFIER}",
}

# Of each element: the attributes it must have, those it may have, and its children: at least, at most.
_ELEMENTS: dict[str, tuple[dict[str, str], dict[str, str], dict[str, tuple[int, float]]]] = {
    "Edmx": ({"Version": r"4\.0|4\.01"}, {}, {"Reference": (0, 99), "DataServices": (1, 1)}),
    "Reference": ({"Uri": r"https?://\S+"}, {}, {"Include": (1, 99)}),
    "Include": ({"Namespace": _QUALIFIED}, {"Alias": _IDENTIFIER}, {}),
    "DataServices": ({}, {}, {"Schema": (1, 99)}),
    "Schema": (
        {"Namespace": _QUALIFIED},
        {"Alias": _IDENTIFIER},
        {
            "EnumType": (0, 99),
            "ComplexType": (0, 99),
            "EntityType": (0, 99),
            "Function": (0, 99),
            "Action": (0, 99),
            "EntityContainer": (0, 1),
            "Annotation": (0, 99),
        },
    ),
    "Function": (
        {"Name": _IDENTIFIER},
        {"IsBound": _BOOLEAN, "IsComposable": _BOOLEAN},
        {"Parameter": (0, 99), "ReturnType": (1, 1), "Annotation": (0, 99)},
    ),
    "Action": (
        {"Name": _IDENTIFIER},
        {"IsBound": _BOOLEAN},
        {"Parameter": (0, 99), "ReturnType": (0, 1), "Annotation": (0, 99)},
    ),
    "Parameter": ({"Name": _IDENTIFIER, "Type": _TYPE}, {"Nullable": _BOOLEAN}, {"Annotation": (0, 99)}),
    "ReturnType": ({"Type": _TYPE}, {"Nullable": _BOOLEAN}, {"Annotation": (0, 99)}),
    "EnumType": ({"Name": _IDENTIFIER}, {}, {"Member": (1, 99), "Annotation": (0, 99)}),
    "Member": ({"Name": _IDENTIFIER}, {"Value": r"-?\d+"}, {"Annotation": (0, 99)}),
    "EntityType": (
        {"Name": _IDENTIFIER},
        {"BaseType": _QUALIFIED, "Abstract": _BOOLEAN, "OpenType": _BOOLEAN},
        {"Key": (0, 1), "Property": (0, 99), "NavigationProperty": (0, 99), "Annotation": (0, 99)},
    ),
    "ComplexType": (
        {"Name": _IDENTIFIER},
        {"BaseType": _QUALIFIED, "Abstract": _BOOLEAN, "OpenType": _BOOLEAN},
        {"Property": (0, 99), "NavigationProperty": (0, 99), "Annotation": (0, 99)},
    ),
    "Key": ({}, {}, {"PropertyRef": (1, 99)}),
    "PropertyRef": ({"Name": _PATH}, {"Alias": _IDENTIFIER}, {}),
    "Property": ({"Name": _IDENTIFIER, "Type": _TYPE}, {"Nullable": _BOOLEAN}, {"Annotation": (0, 99)}),
    "NavigationProperty": (
        {"Name": _IDENTIFIER, "Type": _TYPE},
        {"Nullable": _BOOLEAN, "ContainsTarget": _BOOLEAN},
        {"Annotation": (0, 99)},
    ),
    "EntityContainer": (
        {"Name": _IDENTIFIER},
        {},
        {"EntitySet": (0, 99), "Singleton": (0, 99), "Annotation": (0, 99)},
    ),
    "EntitySet": ({"Name": _IDENTIFIER, "EntityType": _QUALIFIED}, {}, {"Annotation": (0, 99)}),
    "Singleton": ({"Name": _IDENTIFIER, "Type": _QUALIFIED}, {}, {"Annotation": (0, 99)}),
    "Annotation": ({"Term": _QUALIFIED}, _EXPRESSIONS, {"Record": (0, 1), "Collection": (0, 1)}),
    "PropertyValue": ({"Property": _IDENTIFIER}, _EXPRESSIONS, {"Record": (0, 1), "Collection": (0, 1)}),
    "Record": ({}, {"Type": _QUALIFIED}, {"PropertyValue": (0, 99)}),
    "Collection": ({}, {}, {"Record": (0, 99), "String": (0, 99), "PropertyPath": (0, 99)}),
}
_DECLARING = (f"{EDM}EntityType", f"{EDM}ComplexType", f"{EDM}EnumType")
_PRIMITIVE_TYPES = {f"Edm.{each}" for each in ("String", "Guid", "Boolean", "Int32", "Int64", "DateTimeOffset")}


def faults(text: bytes) -> Iterator[str]:
    """Everything in a CSDL XML document that breaks a rule."""
    edmx = ElementTree.fromstring(text)
    for element in edmx.iter():
        yield from _shape_faults(element)
    yield from _annotation_faults(edmx)
    for schema in edmx.iter(f"{EDM}Schema"):
        yield from _name_faults(schema)
        yield from _reference_faults(schema)
        yield from _key_faults(schema)


def _shape_faults(element: Element) -> Iterator[str]:
    name = element.tag.rpartition("}")[2]
    if name not in _ELEMENTS:
        return
    wrapper = name in ("Edmx", "Reference", "Include", "DataServices")
    if not element.tag.startswith(EDMX if wrapper else EDM):
        yield f"{name}: in the wrong namespace"
    required, optional, children = _ELEMENTS[name]
    yield from (f"{name}: {each} is missing" for each in required if each not in element.attrib)
    for attribute, value in element.attrib.items():
        pattern = (required | optional).get(attribute)
        if pattern is None or not re.fullmatch(pattern, value, re.DOTALL):
            yield f"{name}: {attribute} is {value!r}"
    found = [each.tag.rpartition("}")[2] for each in element]
    yield from (f"{name}: child {each}" for each in found if each not in children)
    for child, (least, most) in children.items():
        if not least <= found.count(child) <= most:
            yield f"{name}: {found.count(child)} of {child}"


def _annotation_faults(edmx: Element) -> Iterator[str]:
    included = {each.get("Namespace") for each in edmx.iter(f"{EDMX}Include")}
    for element in edmx.iter():
        terms = [each.attrib["Term"] for each in element.findall(f"{EDM}Annotation")]
        if len(set(terms)) < len(terms):
            yield f"{element.get('Name')}: a term is applied twice"
        for term in terms:
            vocabulary = term.rpartition(".")[0]
            if vocabulary not in included:
                yield f"{vocabulary} is not included"
        if element.tag in (f"{EDM}Annotation", f"{EDM}PropertyValue"):
            said = len(element) + sum(name in _EXPRESSIONS for name in element.attrib)
            if said != 1:
                yield f"{element.get('Term') or element.get('Property')}: says {said} things"


def _name_faults(schema: Element) -> Iterator[str]:
    """Names that are one name without regard to case, which is how they match here; values that are one value."""
    for element in schema.iter():
        names = sorted(each.attrib["Name"].lower() for each in element if "Name" in each.attrib)
        yield from (f"{one} is declared twice" for one, other in pairwise(names) if one == other)
        values = [each.get("Value") for each in element.findall(f"{EDM}Member")]
        if len(set(values)) < len(values):
            yield f"{element.get('Name')}: two members of one value"


def _types(schema: Element) -> dict[str, Element]:
    prefixes = (schema.get("Alias"), schema.get("Namespace"))
    declared = [each for each in schema if each.tag in _DECLARING]
    return {f"{prefix}.{each.get('Name')}": each for prefix in prefixes for each in declared}


def _reference_faults(schema: Element) -> Iterator[str]:
    types = _types(schema)
    for element in schema.iter():
        named = element.get("BaseType") or element.get("Type") or element.get("EntityType")
        single = named and named.removeprefix("Collection(").removesuffix(")")
        if single and single not in types and single not in _PRIMITIVE_TYPES:
            yield f"{single} does not resolve"
    for singleton in schema.iter(f"{EDM}Singleton"):
        entity = types.get(singleton.get("Type", ""))
        navigations = [] if entity is None else [each.get("Name") for each in entity.iter(f"{EDM}NavigationProperty")]
        for value in singleton.iter(f"{EDM}PropertyValue"):
            path = value.get("NavigationPropertyPath")
            if path is not None and path not in navigations:
                yield f"navigation path {path} does not resolve"


def _key_faults(schema: Element) -> Iterator[str]:
    """Each type has one key, its own or inherited, made of properties that are there and not nullable."""
    types = _types(schema)
    for entity in schema.findall(f"{EDM}EntityType"):
        name, line, this = entity.get("Name"), [entity], types.get(entity.get("BaseType", ""))
        while this is not None and this not in line:
            line.append(this)
            this = types.get(this.get("BaseType", ""))
        if this is not None:
            yield f"{name}: derives from itself"
        properties = {each.get("Name"): each for ancestor in line for each in ancestor.iter(f"{EDM}Property")}
        keys = [key for ancestor in line for key in ancestor.findall(f"{EDM}Key/{EDM}PropertyRef")]
        if len(keys) != 1:
            yield f"{name}: {len(keys)} keys"
        for key in keys:
            declared = properties.get(key.get("Name"))
            if declared is None or declared.get("Nullable") != "false":
                yield f"{name}: key {key.get('Name')} is no property, or nullable"
