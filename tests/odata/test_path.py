"""From a URL's path to the resource it names: spellings that mean the same, and what is refused."""

from __future__ import annotations

from typing import Final
from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from adjoin.model import BETA, CONNECTOR, CONNECTORS, DELTA, V1
from adjoin.odata.errors import Malformed, NotServed, UnknownSegment
from adjoin.odata.path import MAX_SEGMENT_LENGTH, MAX_SEGMENTS, Kind, Resource, parse, segments

ID: Final = "77296cf7-6cf7-7729-f76c-2977f76c2977"
LIST: Final = "/deviceManagement/domainJoinConnectors"
CAST: Final = "microsoft.graph.deviceManagementDomainJoinConnector"


def read(path: str) -> Resource:
    return parse(BETA, segments(path))


class TestSegments:
    @pytest.mark.parametrize(
        ("raw", "expected"),
        [
            ("", ()),
            ("/", ()),
            ("//", ()),
            ("/a/b", ("a", "b")),
            ("a/b", ("a", "b")),
            ("/a//b/", ("a", "b")),
            ("///a///b///", ("a", "b")),
            ("/a%2Fb/c", ("a/b", "c")),
            ("/a%2fb", ("a/b",)),
            ("/%2F", ("/",)),
            ("/%24metadata", ("$metadata",)),
            ("/a%20b", ("a b",)),
            ("/a+b", ("a+b",)),
            ("/%25", ("%",)),
            ("/%2525", ("%25",)),
            ("/%C3%A9", ("é",)),
            ("/%F0%9F%98%80", ("😀",)),
            ("/(%27x%27)", ("('x')",)),
            ("/a?b#c;d=e,f", ("a?b#c;d=e,f",)),
            ("/.", (".",)),
            ("/..", ("..",)),
            ("/%2e%2e/a", ("..", "a")),
        ],
    )
    def test_are_split_before_they_are_decoded(self, raw: str, expected: tuple[str, ...]) -> None:
        assert segments(raw) == expected

    @pytest.mark.parametrize(
        ("raw", "words"),
        [
            ("/%", "two hexadecimal digits"),
            ("/a%2", "two hexadecimal digits"),
            ("/%zz", "two hexadecimal digits"),
            ("/%%41", "two hexadecimal digits"),
            ("/% 41", "two hexadecimal digits"),
            ("/%u0041", "two hexadecimal digits"),
            ("/%FF", "UTF-8"),
            ("/%C3", "UTF-8"),
            ("/%C0%AF", "UTF-8"),
            ("/%ED%A0%80", "UTF-8"),
            ("/%F4%90%80%80", "UTF-8"),
            ("/%00", "U\\+0000"),
            ("/a%00b", "U\\+0000"),
        ],
    )
    def test_that_cannot_be_decoded_are_refused(self, raw: str, words: str) -> None:
        with pytest.raises(Malformed, match=words):
            segments(raw)

    def test_are_bounded_in_number(self) -> None:
        assert len(segments("/a" * MAX_SEGMENTS)) == MAX_SEGMENTS
        with pytest.raises(Malformed, match="segments"):
            segments("/a" * (MAX_SEGMENTS + 1))

    def test_that_are_empty_do_not_count(self) -> None:
        assert segments("/" * 1_000 + "a") == ("a",)

    def test_are_bounded_in_length(self) -> None:
        assert segments("/" + "a" * MAX_SEGMENT_LENGTH) == ("a" * MAX_SEGMENT_LENGTH,)
        with pytest.raises(Malformed, match="longer"):
            segments("/" + "a" * (MAX_SEGMENT_LENGTH + 1))

    @given(
        st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1, max_size=20), max_size=8)
    )
    def test_come_back_as_they_were_before_they_were_encoded(self, parts: list[str]) -> None:
        assert segments("/" + "/".join(quote(part, safe="") for part in parts)) == tuple(parts)


class TestKinds:
    @pytest.mark.parametrize(
        ("path", "kind", "template"),
        [
            ("", Kind.SERVICE, "~/"),
            ("/$metadata", Kind.METADATA, "~/$metadata"),
            ("/$batch", Kind.BATCH, "~/$batch"),
            ("/deviceManagement", Kind.SINGLETON, "~/singleton"),
            ("/deviceManagement/id", Kind.PROPERTY, "~/singleton/property"),
            ("/deviceManagement/id/$value", Kind.VALUE, "~/singleton/property/$value"),
            (LIST, Kind.COLLECTION, "~/singleton/navigation"),
            (f"{LIST}/$count", Kind.COUNT, "~/singleton/navigation/$count"),
            (f"{LIST}/{ID}", Kind.ENTITY, "~/singleton/navigation/key"),
            (f"{LIST}/{ID}/state", Kind.PROPERTY, "~/singleton/navigation/key/property"),
            (f"{LIST}/{ID}/state/$value", Kind.VALUE, "~/singleton/navigation/key/property/$value"),
            (f"{LIST}/delta", Kind.FUNCTION, "~/singleton/navigation/function"),
            ("/subscriptions", Kind.COLLECTION, "~/entityset"),
            ("/subscriptions/$count", Kind.COUNT, "~/entityset/$count"),
            (f"/subscriptions/{ID}", Kind.ENTITY, "~/entityset/key"),
            (f"/subscriptions('{ID}')", Kind.ENTITY, "~/entityset/key"),
            (f"/subscriptions/{ID}/resource", Kind.PROPERTY, "~/entityset/key/property"),
        ],
    )
    def test_each_path_names_its_kind_and_its_route_template(self, path: str, kind: Kind, template: str) -> None:
        found = read(path)
        assert (found.kind, found.template) == (kind, template)

    @pytest.mark.parametrize("call", ["delta", "delta()", "DELTA()", "microsoft.graph.delta", "graph.Delta()"])
    def test_a_function_is_called_in_each_of_its_forms(self, call: str) -> None:
        found = read(f"{LIST}/{CAST}/{call}")
        assert (found.kind, found.function, found.key) == (Kind.FUNCTION, DELTA, None)

    def test_the_trail_names_what_leads_to_the_resource_without_keys(self) -> None:
        assert read(f"{LIST}/{ID}/state").trail == ("deviceManagement", "domainJoinConnectors")

    def test_the_type_is_that_of_the_entities_at_hand(self) -> None:
        assert read(LIST).type is CONNECTOR
        assert read("/deviceManagement").type is BETA.singletons[0].type

    @pytest.mark.parametrize("path", ["", "/$metadata", "/$batch"])
    def test_what_holds_no_entities_has_no_type(self, path: str) -> None:
        with pytest.raises(LookupError):
            _ = read(path).type

    def test_a_property_is_the_declared_one(self) -> None:
        declared = read(f"{LIST}/{ID}/displayName").declared
        assert declared is CONNECTOR.find_property("displayName")


class TestKeys:
    @pytest.mark.parametrize(
        ("below", "key"),
        [
            (f"/{ID}", ID),
            (f"('{ID}')", ID),
            (f"(%27{ID}%27)", ID),
            (f"%28%27{ID}%27%29", ID),
            (f"(id='{ID}')", ID),
            (f"(ID='{ID}')", ID),
            (f"/{ID.upper()}", ID.upper()),
            (f"('{ID.upper()}')", ID.upper()),
            ("/anything", "anything"),
            ("/it's", "it's"),
            ("('it''s')", "it's"),
            ("('')", ""),
            ("('(x)')", "(x)"),
            ("('a%2Fb')", "a/b"),
            ("/a%2Fb", "a/b"),
            ("/state", "state"),
        ],
    )
    def test_both_forms_name_the_entity_with_the_key_as_it_was_written(self, below: str, key: str) -> None:
        found = read(LIST + below)
        assert (found.kind, found.key, found.navigation) == (Kind.ENTITY, key, CONNECTORS)

    @pytest.mark.parametrize(
        "inner", ["", "5", ID, "'", "'a", "a'", "'a'b'", "'a','b'", "id=", 'id="a"', '"a"', "'a')('b'"]
    )
    def test_in_parentheses_is_a_string_in_single_quotes_or_malformed(self, inner: str) -> None:
        with pytest.raises(Malformed) as caught:
            read(f"{LIST}({inner})")
        assert caught.value.position == len("domainJoinConnectors(")

    @given(st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=40))
    @example("it's")
    @example("')('")
    @example("id='x'")
    def test_any_key_survives_in_parentheses(self, key: str) -> None:
        literal = quote(key.replace("'", "''"), safe="")
        assert read(f"{LIST}('{literal}')").key == key


class TestSpellings:
    @pytest.mark.parametrize(
        "path",
        [
            f"/devicemanagement/domainjoinconnectors/{ID}/displayname",
            f"/DEVICEMANAGEMENT/DOMAINJOINCONNECTORS/{ID}/DISPLAYNAME",
            f"//deviceManagement///domainJoinConnectors//{ID}//displayName//",
            f"/%64eviceManagement/domain%4AoinConnectors/{ID}/displayName",
            f"{LIST}('{ID}')/displayName",
            f"{LIST}/{CAST}/{ID}/displayName",
            f"{LIST}/{ID}/{CAST}/displayName",
            f"{LIST}/graph.deviceManagementDomainJoinConnector/{ID}/displayName",
            f"{LIST}/{ID}/microsoft.graph.entity/displayName",
            f"/deviceManagement/microsoft.graph.deviceManagement/domainJoinConnectors/{ID}/displayName",
            f"{LIST}/{CAST.upper()}/{ID}/displayName",
        ],
    )
    def test_of_one_resource_all_name_it(self, path: str) -> None:
        assert read(path) == read(f"{LIST}/{ID}/displayName")

    @pytest.mark.parametrize(
        ("path", "kind"), [("/$METADATA", Kind.METADATA), ("/$Batch", Kind.BATCH), (f"{LIST}/$COUNT", Kind.COUNT)]
    )
    def test_system_segments_count_in_any_case(self, path: str, kind: Kind) -> None:
        assert read(path).kind is kind

    def test_a_cast_of_the_list_can_be_counted(self) -> None:
        assert read(f"{LIST}/{CAST}/$count") == read(f"{LIST}/$count")


class TestRefusals:
    @pytest.mark.parametrize(
        ("path", "segment"),
        [
            ("/x", "x"),
            ("/deviceManagements", "deviceManagements"),
            ("/deviceManagement('x')", "deviceManagement('x')"),
            ("/$metadata/x", "x"),
            ("/$batch/$batch", "$batch"),
            ("/$count", "$count"),
            ("/deviceManagement/$count", "$count"),
            ("/deviceManagement/managedDevices", "managedDevices"),
            ("/deviceManagement/microsoft.graph.user", "microsoft.graph.user"),
            (f"/deviceManagement/{CAST}", CAST),
            (f"{LIST}/$count/x", "x"),
            (f"{LIST}/delta()/$count", "$count"),
            (f"{LIST}/delta(x=1)", "delta(x=1)"),
            ("/deviceManagement/delta", "delta"),
            ("/deviceManagement/auditEvents/delta()", "delta()"),
            ("/subscriptions/delta()", "delta()"),
            ("/subscription", "subscription"),
            (f"{LIST}/x()", "x()"),
            (f"{LIST}/{ID}/x", "x"),
            (f"{LIST}/{ID}/$value", "$value"),
            (f"{LIST}/{ID}/$count", "$count"),
            (f"{LIST}/{ID}/domainJoinConnectors", "domainJoinConnectors"),
            (f"{LIST}/{ID}/state/x", "x"),
            (f"{LIST}/{ID}/state/$count", "$count"),
            (f"{LIST}/{ID}/state/$value/x", "x"),
        ],
    )
    def test_name_the_segment_that_the_model_does_not_have(self, path: str, segment: str) -> None:
        with pytest.raises(UnknownSegment) as caught:
            read(path)
        assert caught.value.segment == segment
        assert caught.value.message == f"Resource not found for the segment '{segment}'."

    @pytest.mark.parametrize(
        "path",
        [
            "/$entity",
            "/$all",
            "/deviceManagement/$ref",
            f"{LIST}/$ref",
            f"{LIST}/$filter(state eq 'error')",
            f"{LIST}(@p)",
        ],
    )
    def test_tell_what_odata_has_and_is_not_served_from_what_is_unknown(self, path: str) -> None:
        with pytest.raises(NotServed):
            read(path)

    def test_v1_has_no_connectors(self) -> None:
        with pytest.raises(UnknownSegment, match="'domainJoinConnectors'"):
            parse(V1, segments(LIST))

    NAMES = st.sampled_from(
        [
            "deviceManagement",
            "domainJoinConnectors",
            f"('{ID}')",
            ID,
            "state",
            "$value",
            "$count",
            "$metadata",
            CAST,
            "",
            "(",
            "%",
        ]
    )

    @given(st.lists(NAMES | st.text(max_size=8), max_size=10).map("/".join) | st.text())
    def test_any_text_is_a_resource_or_a_refusal_of_the_closed_list(self, path: str) -> None:
        try:
            found = read(path)
        except (Malformed, UnknownSegment) as refusal:
            refusal.message.encode()
            return
        assert found.template.startswith("~/")
