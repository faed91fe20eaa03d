"""From a request body to values, or to a refusal in Graph's words (graph-contract 3.2)."""

from __future__ import annotations

import json
from time import process_time
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adjoin.model import BETA, CONNECTOR, CONNECTOR_STATE
from adjoin.odata import reader
from adjoin.odata.edm import Primitive, Property
from adjoin.odata.errors import InvalidValue, MalformedBody, UnknownProperty, UnknownType
from adjoin.odata.reader import Value, read_create, read_patch, read_value
from adjoin.odata.values import Instant

ID: Final = "77296cf7-6cf7-7729-f76c-2977f76c2977"
NAME: Final = "microsoft.graph.deviceManagementDomainJoinConnector"
PUBLISHED: Final = {
    "@odata.type": f"#{NAME}",
    "displayName": "Display Name value",
    "lastConnectionDateTime": "2016-12-31T23:58:36.6670033-08:00",
    "state": "error",
    "version": "Version value",
}
UNREADABLE: Final = (
    "Unable to read JSON request payload. Please ensure Content-Type header is set and payload is of valid JSON format."
)


def create(body: object) -> dict[str, Value]:
    return read_create(BETA, CONNECTOR, body if isinstance(body, bytes) else json.dumps(body).encode())


def patch(body: object) -> dict[str, Value]:
    return read_patch(BETA, CONNECTOR, ID, body if isinstance(body, bytes) else json.dumps(body).encode())


class TestCreate:
    def test_of_the_published_body_gives_its_values(self) -> None:
        assert create(PUBLISHED) == {
            "displayName": "Display Name value",
            "lastConnectionDateTime": Instant.parse("2016-12-31T23:58:36.6670033-08:00"),
            "state": "error",
            "version": "Version value",
        }

    @pytest.mark.parametrize("name", ["displayName", "lastConnectionDateTime", "state", "version"])
    def test_without_a_required_property_is_refused_by_its_name(self, name: str) -> None:
        with pytest.raises(InvalidValue) as caught:
            create({key: value for key, value in PUBLISHED.items() if key != name})
        assert caught.value.message == f"The following property is required to create a {NAME}: '{name}'."

    def test_without_several_names_them_all(self) -> None:
        with pytest.raises(InvalidValue) as caught:
            create({})
        assert caught.value.message.endswith(": 'displayName', 'lastConnectionDateTime', 'state', 'version'.")

    def test_takes_an_id_of_the_callers(self) -> None:
        assert create({**PUBLISHED, "id": ID.upper()})["id"] == ID

    def test_takes_a_display_name_of_null(self) -> None:
        assert create({**PUBLISHED, "displayName": None})["displayName"] is None

    def test_takes_no_type_at_all(self) -> None:
        assert create({key: value for key, value in PUBLISHED.items() if key != "@odata.type"}) == create(PUBLISHED)

    def test_passes_over_control_information_of_what_it_was_given_before(self) -> None:
        annotated = {
            "@odata.context": "https://x/$metadata#deviceManagement/domainJoinConnectors/$entity",
            "@odata.id": 5,
            "@odata.etag": None,
            "state@odata.type": "#microsoft.graph.x",
            "state@odata.context": {"deep": [1]},
            "@microsoft.graph.tips": "…",
        }
        assert create({**annotated, **PUBLISHED}) == create(PUBLISHED)

    @pytest.mark.parametrize("name", ["displayName@odata.bind", "nosuch@odata.bind", "nosuch@bind"])
    def test_takes_no_link_where_nothing_can_be_linked(self, name: str) -> None:
        with pytest.raises(UnknownProperty, match="is no navigation property"):
            create({**PUBLISHED, name: ["https://x/1"]})

    def test_passes_over_a_byte_order_mark(self) -> None:
        assert create(b"\xef\xbb\xbf" + json.dumps(PUBLISHED).encode()) == create(PUBLISHED)


class TestPatch:
    @pytest.mark.parametrize(
        ("body", "changes"),
        [
            ({}, {}),
            ({"state": "active"}, {"state": "active"}),
            ({"displayName": None}, {"displayName": None}),
            ({"id": ID}, {}),
            ({"id": ID.upper(), "version": "2"}, {"version": "2"}),
            ({"@odata.type": f"#{NAME}", "@odata.context": "x", "id": ID, "state": "error"}, {"state": "error"}),
        ],
    )
    def test_gives_what_changes_and_not_the_key(self, body: dict[str, Any], changes: dict[str, Value]) -> None:
        assert patch(body) == changes

    def test_of_another_id_is_refused(self) -> None:
        with pytest.raises(InvalidValue, match=r"^The property 'id' of an entity cannot be changed\.$"):
            patch({"id": "88296cf7-6cf7-7729-f76c-2977f76c2977"})

    @pytest.mark.parametrize("name", ["lastConnectionDateTime", "state", "version", "id"])
    def test_to_null_is_refused_where_null_is_not_allowed(self, name: str) -> None:
        with pytest.raises(InvalidValue) as caught:
            patch({name: None})
        assert caught.value.message.startswith(f"A null value was found for the property named '{name}', which has ")
        assert caught.value.message.endswith("[Nullable=False]' does not allow null values.")


class TestType:
    @pytest.mark.parametrize(
        "named",
        [f"#{NAME}", NAME, "#graph.deviceManagementDomainJoinConnector", f"#{NAME.upper()}", "#microsoft.graph.entity"],
    )
    def test_may_be_the_declared_one_or_its_base_in_any_form(self, named: str) -> None:
        assert create({**PUBLISHED, "@odata.type": named}) == create(PUBLISHED)

    def test_goes_by_its_4_01_name_as_well(self) -> None:
        with pytest.raises(UnknownType):
            patch({"@type": "#microsoft.graph.x"})

    @pytest.mark.parametrize("named", ["#microsoft.graph.user", "user", "", "#", f"##{NAME}", "a.b" * 100])
    def test_that_the_model_does_not_have_is_refused_in_graphs_words(self, named: str) -> None:
        with pytest.raises(UnknownType) as caught:
            patch({"@odata.type": named})
        assert caught.value.message.startswith("A type named '")
        assert caught.value.message.endswith(
            "' could not be resolved by the model. "
            "When a model is available, each type name must resolve to a valid type."
        )

    @pytest.mark.parametrize("named", ["#microsoft.graph.deviceManagement", f"#{CONNECTOR_STATE.qualified}"])
    def test_that_does_not_fit_here_is_refused(self, named: str) -> None:
        with pytest.raises(UnknownType, match=f"is not assignable to the expected type '{NAME}'"):
            patch({"@odata.type": named})

    @pytest.mark.parametrize("named", [None, 5, True, [], {}])
    def test_that_is_no_string_is_refused(self, named: object) -> None:
        with pytest.raises(UnknownType):
            patch({"@odata.type": named})


class TestUnknownProperties:
    @pytest.mark.parametrize(
        "name", ["foo", "", "DisplayName", "displayname", " displayName", "ID", "domainJoinConnectors", "$filter"]
    )
    def test_are_refused_in_graphs_words(self, name: str) -> None:
        with pytest.raises(UnknownProperty) as caught:
            create({**PUBLISHED, name: "x"})
        assert caught.value.message == (
            f"The property '{name}' does not exist on type '{NAME}'. "
            "Make sure to only use property names that are defined by the type."
        )

    def test_are_shown_in_a_form_that_can_be_printed_and_not_too_long(self) -> None:
        with pytest.raises(UnknownProperty) as caught:
            patch(b'{"\\ud800\\u0000' + b"a" * 10_000 + b'": 1}')
        caught.value.message.encode()
        assert "\x00" not in caught.value.message
        assert len(caught.value.message) < 500


STRING: Final = Property("p", Primitive.STRING, max_length=5)
GUID_STRING: Final = Property("p", Primitive.STRING, guid=True)
DATE_TIME: Final = Property("p", Primitive.DATE_TIME_OFFSET)
BOOLEAN: Final = Property("p", Primitive.BOOLEAN)
INT32: Final = Property("p", Primitive.INT32)
INT64: Final = Property("p", Primitive.INT64)
ENUM: Final = Property("p", CONNECTOR_STATE)
BY_TYPE: Final = {
    "String": STRING, "guid": GUID_STRING, "DateTimeOffset": DATE_TIME, "Boolean": BOOLEAN,
    "Int32": INT32, "Int64": INT64, "enum": ENUM,
}  # fmt: skip


class TestValues:
    @pytest.mark.parametrize(
        ("type_", "value", "read"),
        [
            ("String", "", ""),
            ("String", "12345", "12345"),
            ("String", "😀😀😀😀😀", "😀😀😀😀😀"),
            ("guid", ID, ID),
            ("guid", ID.upper(), ID),
            ("DateTimeOffset", "2016-12-31T23:58:36Z", Instant.parse("2016-12-31T23:58:36Z")),
            ("Boolean", True, True),
            ("Boolean", False, False),
            ("Int32", 2**31 - 1, 2**31 - 1),
            ("Int32", -(2**31), -(2**31)),
            ("Int64", 2**63 - 1, 2**63 - 1),
            ("Int64", -(2**63), -(2**63)),
            ("enum", "active", "active"),
            ("enum", "inactive", "inactive"),
            ("enum", "0", "active"),
            ("enum", "2", "inactive"),
        ],
    )
    def test_of_each_type_are_read(self, type_: str, value: object, read: Value) -> None:
        assert read_value(BY_TYPE[type_], value) == read

    @pytest.mark.parametrize("type_", BY_TYPE)
    def test_may_be_null_where_the_type_is_nullable(self, type_: str) -> None:
        assert read_value(BY_TYPE[type_], None) is None

    @pytest.mark.parametrize(
        ("type_", "value", "literal"),
        [
            ("String", 3, "3"),
            ("String", 1.5, "1.5"),
            ("String", True, "true"),
            ("guid", "x", "x"),
            ("guid", f"{{{ID}}}", f"{{{ID}}}"),
            ("guid", 5, "5"),
            ("DateTimeOffset", "yesterday", "yesterday"),
            ("DateTimeOffset", "2016-12-31T23:58:36", "2016-12-31T23:58:36"),
            ("DateTimeOffset", 1483228716, "1483228716"),
            ("Boolean", "true", "true"),
            ("Boolean", 1, "1"),
            ("Int32", "5", "5"),
            ("Int32", 5.0, "5.0"),
            ("Int32", True, "true"),
            ("Int32", 2**31, str(2**31)),
            ("Int32", -(2**31) - 1, str(-(2**31) - 1)),
            ("Int64", 2**63, str(2**63)),
            ("Int64", -(2**63) - 1, str(-(2**63) - 1)),
            ("enum", "broken", "broken"),
            ("enum", "", ""),
            ("enum", "ACTIVE", "ACTIVE"),
            ("enum", "active,error", "active,error"),
            ("enum", "3", "3"),
            ("enum", "-1", "-1"),
            ("enum", "\u0660", "\u0660"),
            ("enum", 1, "1"),
            ("enum", True, "true"),
        ],
    )
    def test_of_another_type_are_refused_in_graphs_words(self, type_: str, value: object, literal: str) -> None:
        with pytest.raises(InvalidValue) as caught:
            read_value(BY_TYPE[type_], value)
        expected = BY_TYPE[type_].type_name
        assert caught.value.message == f"Cannot convert the literal '{literal}' to the expected type '{expected}'."
        assert caught.value.detail is not None
        assert "'p'" in caught.value.detail

    @pytest.mark.parametrize("type_", BY_TYPE)
    @pytest.mark.parametrize(("value", "node"), [({}, "StartObject"), ([], "StartArray"), (["active"], "StartArray")])
    def test_that_are_objects_or_arrays_are_refused(self, type_: str, value: object, node: str) -> None:
        with pytest.raises(InvalidValue, match=f"^An unexpected '{node}' node was found for the property named 'p'"):
            read_value(BY_TYPE[type_], value)

    @pytest.mark.parametrize("text", ["\x00", "a\x00", "\ud800", "\udc00\ud800"])
    def test_that_no_database_keeps_are_refused(self, text: str) -> None:
        with pytest.raises(InvalidValue, match="cannot be kept"):
            read_value(STRING, text)

    def test_that_are_too_long_are_refused(self) -> None:
        with pytest.raises(InvalidValue, match=r"'p' has 6 characters; at most 5 are allowed"):
            read_value(STRING, "123456")

    def test_are_shown_in_a_form_that_can_be_printed_and_not_too_long(self) -> None:
        with pytest.raises(InvalidValue) as caught:
            read_value(DATE_TIME, "\ud800\x00" + "a" * 10_000)
        caught.value.message.encode()
        assert "\x00" not in caught.value.message
        assert len(caught.value.message) < 300


class TestJson:
    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b" ",
            b"{",
            b"}",
            b"{}{}",
            b"{} x",
            b"{'a':1}",
            b'{"a":1,}',
            b'{"a" 1}',
            b'{"state": error}',
            b'{"state": undefined}',
            b'{"state": NaN}',
            b'{"state": Infinity}',
            b'{"state": -Infinity}',
            b'{"state": 01}',
            b'{"state": "a\nb"}',
            b'{"state": "\\x41"}',
            b"// comment\n{}",
            b"[]",
            b"[{}]",
            b"null",
            b"5",
            b'"x"',
            b"\xff\xfe{\x00}\x00",
            b'{"displayName": "\xff"}',
            b'{"displayName": "\xed\xa0\x80"}',
            b"[" * 100_000,
            b'{"a":' * 100_000,
            b'{"state": ' + b"9" * 10_000 + b"}",
            b"<xml/>",
            b"displayName=x",
        ],
        ids=lambda body: body[:20].decode("latin-1").encode("unicode_escape").decode(),
    )
    def test_that_is_none_is_refused_in_graphs_words(self, body: bytes) -> None:
        with pytest.raises(MalformedBody) as caught:
            create(body)
        assert caught.value.message == UNREADABLE
        assert caught.value.detail

    @pytest.mark.parametrize(
        "body",
        [b'{"state":"error","state":"error"}', b'{"@odata.type":1,"@odata.type":2}', b'{"state":{"a":1,"\\u0061":2}}'],
    )
    def test_with_a_member_twice_is_refused(self, body: bytes) -> None:
        with pytest.raises(MalformedBody, match="duplicate property names are not allowed"):
            create(body)

    def test_with_many_members_is_refused_without_delay(self) -> None:
        members = [f'"{number}":0' for number in range(20_000)] + ['"twice":0', '"twice":0']
        body = f"{{{','.join(members)}}}".encode()
        started = process_time()
        with pytest.raises(MalformedBody, match="'twice'"):
            create(body)
        assert process_time() - started < 1


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=10,
)
MEMBERS = st.sampled_from([*PUBLISHED, "id", "@type", "state@odata.type"]) | st.text(max_size=10)
VALUES = st.sampled_from([*PUBLISHED.values(), ID, "0", f"#{NAME}"]) | JSON


@given(
    st.dictionaries(MEMBERS, VALUES, max_size=8).map(lambda body: json.dumps(body).encode())
    | JSON.map(lambda body: json.dumps(body).encode())
    | st.binary()
)
def test_any_body_is_values_or_a_refusal_of_the_closed_list(body: bytes) -> None:
    for read in (create, patch):
        try:
            values = read(body)
        except (InvalidValue, MalformedBody, UnknownProperty, UnknownType) as refusal:
            f"{refusal.message} {refusal.detail}".encode()
            continue
        assert set(values) <= {each.name for each in CONNECTOR.properties}


TEXTS: Final = st.text(st.characters(codec=None), max_size=5)
FLAT: Final = st.dictionaries(TEXTS, st.one_of(TEXTS, st.booleans(), st.none(), st.integers()), max_size=4)


class TestTheTwoReadersOfObjects:
    """What is read quickly is read as with care, and what is left to care is refused in its words."""

    @staticmethod
    def check(body: bytes) -> None:
        quick = reader._plain_object(body)
        if quick is not None:
            assert quick == reader._any_object(body)

    @given(FLAT, st.booleans(), st.sampled_from([None, 1, "\t"]))
    def test_agree_on_objects(self, members: dict[str, object], ascii_only: bool, indent: str | None) -> None:
        text = json.dumps(members, ensure_ascii=ascii_only, indent=indent)
        self.check(text.encode("utf-8", "surrogatepass"))

    @given(FLAT, st.data())
    def test_agree_on_objects_with_a_byte_of_another(self, members: dict[str, object], data: st.DataObject) -> None:
        body = bytearray(json.dumps(members, ensure_ascii=False).encode("utf-8", "surrogatepass"))
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
        try:
            self.check(bytes(body))
        except MalformedBody as refused:
            pytest.fail(f"{bytes(body)!r} was read quickly, and is refused: {refused}")

    @pytest.mark.parametrize(
        "body",
        [
            b'{"a":"1","a":"2"}',
            b'{"a":"1","\\u0061":"2"}',
            b'{"a":null,"a":null}',
            b'{"a":"\\"","a":""}',
            b'{"":"",  "":""}',
            b'{"a":"\\u0022\\u0022","a":null}',
        ],
    )
    def test_a_name_that_is_given_twice_is_left_to_care(self, body: bytes) -> None:
        assert reader._plain_object(body) is None

    @pytest.mark.parametrize("body", [b"{}", b' {"a": "b", "c": null,"d" :true}\n', '{"ä":"\\u0022ü"}'.encode()])
    def test_what_is_plain_is_read_quickly(self, body: bytes) -> None:
        assert reader._plain_object(body) == json.loads(body)
