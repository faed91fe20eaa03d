"""What the request headers ask for: Accept and $format, Prefer, the OData versions, the type of a body."""

from __future__ import annotations

import time
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adjoin.odata.errors import (
    Malformed,
    NotAcceptable,
    PreconditionFailed,
    UnsupportedMediaType,
    UnsupportedVersion,
)
from adjoin.odata.headers import (
    Detail,
    Preferences,
    Return,
    accepts_multipart,
    accepts_text,
    check_json_body,
    check_versions,
    conditions,
    entity_tag,
    json_form,
    media_ranges,
    preferences,
    prefers_csdl_json,
    repeat,
)

ANY_HEADER = st.none() | st.text(st.characters(max_codepoint=255)) | st.text("aj/son;=,q.0*\"' 1metadata", max_size=60)


class TestAccept:
    @pytest.mark.parametrize(
        ("accept", "detail"),
        [
            (None, Detail.MINIMAL),
            ("", Detail.MINIMAL),
            ("*/*", Detail.MINIMAL),
            ("application/*", Detail.MINIMAL),
            ("application/json", Detail.MINIMAL),
            ("APPLICATION/JSON", Detail.MINIMAL),
            ("application/json;charset=utf-8", Detail.MINIMAL),
            ("application/json;odata.metadata=none", Detail.NONE),
            ("application/json;odata.metadata=minimal", Detail.MINIMAL),
            ("application/json;odata.metadata=full", Detail.FULL),
            ("application/json; ODATA.METADATA=FULL ; q=0.5", Detail.FULL),
            ('application/json;odata.metadata="full"', Detail.FULL),
            ("application/json;metadata=none", Detail.NONE),
            ("application/json;odata.streaming=true;IEEE754Compatible=false;odata.metadata=none", Detail.NONE),
            ("application/json, text/plain, */*", Detail.MINIMAL),
            ("text/plain", Detail.MINIMAL),
            ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", Detail.MINIMAL),
            ("application/json;odata.metadata=full;q=0.1, application/json;odata.metadata=none;q=0.2", Detail.NONE),
            ("application/xml, application/json;odata.metadata=none;q=0.1", Detail.NONE),
        ],
    )
    def test_asks_for_a_detail_of_json(self, accept: str | None, detail: Detail) -> None:
        assert json_form(accept).detail is detail

    @pytest.mark.parametrize(
        "accept",
        [
            "application/xml",
            "application/atom+xml",
            "image/*",
            "json",
            "application/jsonx",
            "application/json;q=0",
            "*/*;q=0.000",
            "application/json;odata.metadata=verbose",
            "application/json;odata.metadata=",
            ",",
        ],
    )
    def test_for_what_is_not_served_is_refused(self, accept: str) -> None:
        with pytest.raises(NotAcceptable):
            json_form(accept)

    def test_of_a_detail_that_is_not_served_falls_back_to_the_next_that_is(self) -> None:
        assert (
            json_form("application/json;odata.metadata=verbose, application/json;odata.metadata=none").detail
            is Detail.NONE
        )

    def test_that_rules_json_out_is_heeded_beside_a_wildcard(self) -> None:
        # RFC 9110, 12.5.1: the most specific range that matches decides, and q=0 is "not acceptable".
        with pytest.raises(NotAcceptable):
            json_form("application/json;q=0, */*")

    @pytest.mark.parametrize(
        ("accept", "detail"),
        [
            ("text/plain", Detail.MINIMAL),
            ("text/*, image/png", Detail.MINIMAL),
            ("text/plain, application/json;odata.metadata=full", Detail.FULL),
            ("text/plain, application/json;odata.metadata=full;q=0.1", Detail.FULL),
            ("text/plain, application/json;odata.metadata=verbose", Detail.MINIMAL),
        ],
    )
    def test_for_text_is_answered_with_json_at_last(self, accept: str, detail: Detail) -> None:
        assert json_form(accept).detail is detail

    @pytest.mark.parametrize(
        "accept", ["text/plain, application/json;q=0", "text/plain;q=0", "text/plain;charset=utf-16"]
    )
    def test_for_text_is_not_answered_with_json_that_is_ruled_out(self, accept: str) -> None:
        with pytest.raises(NotAcceptable):
            json_form(accept)

    @pytest.mark.parametrize(
        ("accept", "exact"),
        [
            ("application/json", False),
            ("application/json;IEEE754Compatible=true", True),
            ('application/json; odata.ieee754compatible="True"', True),
            ("application/*;IEEE754Compatible=true", True),
            ("application/json;IEEE754Compatible=false, application/json;IEEE754Compatible=true;q=0.5", False),
            ("application/json;IEEE754Compatible=false;q=0.5, application/json;IEEE754Compatible=true", True),
            ("application/json, application/json;IEEE754Compatible=true;q=0.1", False),
            ("application/json;q=0.1, application/json;IEEE754Compatible=true", True),
            ("application/json;IEEE754Compatible=true, */*", True),
            ("text/html;IEEE754Compatible=true, application/json", False),
            ("application/json;odata.metadata=all;IEEE754Compatible=true, application/json", False),
            ("application/json;IEEE754Compatible=true;q=0, application/json", False),
            ("application/json;IEEE754Compatible=false;q=0, application/json", True),
        ],
    )
    def test_wants_counts_as_strings_if_the_range_that_is_chosen_says_so(self, accept: str, exact: bool) -> None:
        assert json_form(accept).counts_as_text is exact

    @pytest.mark.parametrize(
        ("accept", "detail"),
        [
            ("*/*, application/json;q=0.1, application/json;odata.metadata=none;q=0.5", Detail.NONE),
            ("application/json, application/json;odata.metadata=full", Detail.MINIMAL),
            ("application/json;odata.metadata=full, application/json", Detail.FULL),
            ("application/json;odata.metadata=minimal;q=0, application/json", Detail.FULL),
        ],
    )
    def test_is_judged_by_the_range_that_names_a_form_most_closely(self, accept: str, detail: Detail) -> None:
        # RFC 9110, 12.5.1: the most specific range that matches decides.
        assert json_form(accept) == (detail, False)

    @pytest.mark.parametrize(
        ("option", "detail"),
        [
            ("json", Detail.MINIMAL),
            ("JSON", Detail.MINIMAL),
            ("application/json", Detail.MINIMAL),
            ("json;odata.metadata=full", Detail.FULL),
            ("application/json;odata.metadata=none", Detail.NONE),
        ],
    )
    def test_loses_to_format(self, option: str, detail: Detail) -> None:
        assert json_form("application/xml", option).detail is detail

    @pytest.mark.parametrize(
        "option",
        [
            *("", "xml", "atom", "application/xml", "json;odata.metadata=most", "text"),
            # What is let through in Accept, which SDKs send of themselves.
            *("text/plain", "text/json", "text/*", "application/*", "*/*"),
            *("application/xml,application/json", "json,xml", "application/json,"),
        ],
    )
    def test_a_format_that_is_not_served_is_refused(self, option: str) -> None:
        with pytest.raises(NotAcceptable):
            json_form("application/json", option)

    @pytest.mark.parametrize(
        ("accept", "option", "as_json"),
        [
            (None, None, False),
            ("", None, False),
            ("*/*", None, False),
            ("application/xml", None, False),
            ("application/json", None, True),
            ("application/json, */*", None, True),
            ("application/json;q=0.5, application/xml", None, False),
            ("application/json", "xml", False),
            ("application/xml", "json", True),
            (None, "application/json", True),
            ("application/json;q=0, */*", None, False),
            ("application/xml;q=0, */*", None, True),
            ("application/json;odata.metadata=full;charset=utf-8", None, True),
            ("application/json;charset=utf-16, application/xml;q=0.1", None, False),
            ("text/plain", None, False),
            ("text/plain, application/json;q=0.1", None, True),
        ],
    )
    def test_chooses_the_form_of_the_metadata(self, accept: str | None, option: str | None, as_json: bool) -> None:
        assert prefers_csdl_json(accept, option) is as_json

    @pytest.mark.parametrize(
        ("accept", "option"),
        [
            *(("image/png", None), ("application/xml;q=0", None), ("application/xml;q=0, text/plain", None)),
            *(("application/json;unknown=1", None), ("application/json;odata=verbose", None)),
            *(("application/xml;charset=utf-16", None), (None, "json;unknown=1"), (None, "xml;charset=utf-16")),
            *((None, "atom"), (None, "text/plain"), (None, "*/*"), (None, "xml,json")),
        ],
    )
    def test_metadata_in_another_form_is_refused(self, accept: str | None, option: str | None) -> None:
        with pytest.raises(NotAcceptable):
            prefers_csdl_json(accept, option)

    @pytest.mark.parametrize(
        ("accept", "taken"),
        [
            (None, True),
            ("", True),
            ("*/*", True),
            ("text/plain", True),
            ("text/plain;charset=utf-8", True),
            ("application/json", True),
            ("application/octet-stream", True),
            ("application/xml", False),
            ("image/png, text/html", False),
            ("text/plain;q=0", False),
            ("text/plain;q=0, application/json", False),
            ("text/plain;q=0, */*", False),
            ("application/json;odata.metadata=minimal;odata.streaming=False;IEEE754Compatible=False", True),
            ("application/json;unknown=1", False),
            ("text/plain;charset=utf-16", False),
            ("text/plain;charset=utf-16, application/octet-stream;q=0.1", True),
        ],
    )
    def test_takes_text_for_a_plain_value(self, accept: str | None, taken: bool) -> None:
        assert accepts_text(accept) is taken

    @pytest.mark.parametrize(
        ("accept", "taken"),
        [
            (None, True),
            ("*/*", True),
            ("multipart/*", True),
            ("multipart/mixed;boundary=b;charset=utf-16", True),
            ("application/json", False),
            ("multipart/mixed;q=0, */*", False),
        ],
    )
    def test_takes_multipart_for_a_batch(self, accept: str | None, taken: bool) -> None:
        assert accepts_multipart(accept) is taken

    @pytest.mark.parametrize(
        ("option", "taken"),
        [
            ("text/plain", True),
            ("Text/Plain;charset=UTF-8", True),
            ("json", False),
            ("application/json", False),
            ("application/octet-stream", False),
            ("xml", False),
            ("text/plain;charset=utf-16", False),
        ],
    )
    def test_loses_to_a_format_for_a_plain_value(self, option: str, taken: bool) -> None:
        assert accepts_text("text/plain", option) is taken
        assert accepts_text("application/xml", option) is taken

    @pytest.mark.parametrize("option", ["text/*", "*/*", "text/plain,application/json"])
    def test_a_format_for_a_plain_value_is_one_media_type(self, option: str) -> None:
        with pytest.raises(NotAcceptable):
            accepts_text(None, option)

    def test_entries_come_in_their_order_and_with_their_quality(self) -> None:
        ranges = media_ranges("A/a;q=0.1, b/b, c/c;q=0.5;X=Y, d/d;q=1.000, e/e;q=0, , ;q=1, f/f;q=best")
        qualities = {"a/a": 0.1, "b/b": 1, "c/c": 0.5, "d/d": 1, "e/e": 0, "f/f": 1}
        assert {each.type: each.quality for each in ranges} == qualities
        assert [each.parameters for each in ranges if each.parameters] == [(("x", "y"),)]

    @given(ANY_HEADER, ANY_HEADER)
    def test_any_text_is_understood_or_refused(self, accept: str | None, option: str | None) -> None:
        with suppress(NotAcceptable):
            assert json_form(accept, option).detail in Detail
        with suppress(NotAcceptable):
            assert prefers_csdl_json(accept, option) in (True, False)
        assert accepts_text(accept) in (True, False)
        with suppress(NotAcceptable):
            assert accepts_text(accept, option) in (True, False)


class TestPrefer:
    @pytest.mark.parametrize(
        ("prefer", "understood"),
        [
            (None, Preferences()),
            ("", Preferences()),
            ("return=minimal", Preferences(Return.MINIMAL)),
            ("return=representation", Preferences(Return.REPRESENTATION)),
            ("RETURN=Minimal", Preferences(Return.MINIMAL)),
            ('return="minimal"', Preferences(Return.MINIMAL)),
            (" return = minimal ; x=y", Preferences(Return.MINIMAL)),
            ("return=minimal, return=representation", Preferences(Return.MINIMAL)),
            ("return=everything", Preferences()),
            ("odata.maxpagesize=5", Preferences(None, 5)),
            ("maxpagesize=5", Preferences(None, 5)),
            ("OData.MaxPageSize=5", Preferences(None, 5)),
            ("maxpagesize=5,odata.maxpagesize=6", Preferences(None, 5)),
            ("maxpagesize=0", Preferences()),
            ("maxpagesize=-1", Preferences()),
            ("maxpagesize=1.5", Preferences()),
            ("maxpagesize=1e3", Preferences()),
            ("maxpagesize=", Preferences()),
            ("maxpagesize=9999999999", Preferences()),
            ("maxpagesize=999999999", Preferences(None, 999_999_999)),
            ("return=minimal,odata.maxpagesize=2", Preferences(Return.MINIMAL, 2)),
            ("respond-async, wait=10, include-unknown-enum-members", Preferences()),
            ('odata.include-annotations="*", return=minimal', Preferences(Return.MINIMAL)),
            ("create-if-missing;return=minimal", Preferences()),
        ],
    )
    def test_is_understood_as_far_as_it_is_known(self, prefer: str | None, understood: Preferences) -> None:
        assert preferences(prefer) == understood

    @given(ANY_HEADER | st.text('maxpgesiz=0123456789,;odat.retun "\u0661\u00b2', max_size=40))
    def test_of_any_text_is_never_refused(self, prefer: str | None) -> None:
        size = preferences(prefer).max_page_size
        assert size is None or size > 0


class TestVersions:
    @pytest.mark.parametrize(
        ("version", "max_version"),
        [
            (None, None),
            ("4.0", None),
            ("4.01", None),
            (" 4.0 ", None),
            (None, "4.0"),
            (None, "4.01"),
            ("4.0", "4.01"),
            (None, "4"),
            (None, "5.0"),
        ],
    )
    def test_that_allow_an_answer_in_4_0_are_taken(self, version: str | None, max_version: str | None) -> None:
        check_versions(version, max_version)

    @pytest.mark.parametrize(
        ("version", "max_version"),
        [
            ("3.0", None),
            ("4", None),
            ("4.02", None),
            ("5.0", None),
            ("", None),
            ("x", None),
            ("4.0;x", None),
            (None, "3.0"),
            (None, "2.0"),
            (None, ""),
            (None, "x"),
            (None, "4."),
            (None, "4.x"),
            (None, "-4.0"),
            ("4.0", "3.0"),
        ],
    )
    def test_that_do_not_are_refused(self, version: str | None, max_version: str | None) -> None:
        with pytest.raises(UnsupportedVersion):
            check_versions(version, max_version)

    @given(ANY_HEADER, ANY_HEADER)
    def test_of_any_text_are_taken_or_refused(self, version: str | None, max_version: str | None) -> None:
        with suppress(UnsupportedVersion):
            check_versions(version, max_version)


class TestConditions:
    """If-Match and If-None-Match: lists of entity tags, compared as weak ones (RFC 9110, 8.8.3.2 and 13.1)."""

    MINE = entity_tag(7)

    @pytest.mark.parametrize("named", ['W/"7"', '"7"', ' W/"7" ', 'W/"1", W/"7"', '"1","7"', "*", " * "])
    def test_name_what_is_there(self, named: str) -> None:
        conditions(named, None).check(self.MINE)
        assert conditions(None, named).unchanged(self.MINE)
        with pytest.raises(PreconditionFailed):
            conditions(None, named).check(self.MINE)

    @pytest.mark.parametrize("named", ['W/"8"', '"70"', 'W/"1", W/"8"', '"*"'])
    def test_name_something_else(self, named: str) -> None:
        conditions(None, named).check(self.MINE)
        assert not conditions(None, named).unchanged(self.MINE)
        for look in (conditions(named, None).check, conditions(named, None).unchanged):
            with pytest.raises(PreconditionFailed):
                look(self.MINE)

    def test_ask_nothing_where_there_are_none(self) -> None:
        conditions(None, None).check(self.MINE)
        assert not conditions(None, None).unchanged(self.MINE)

    @pytest.mark.parametrize("text", ["", "7", '"7', 'w/"7"', 'W/"7" W/"8"', 'W/"7",', "*, *", '"a b"'])
    def test_are_refused_where_they_are_no_list_of_tags(self, text: str) -> None:
        for pair in ((text, None), (None, text)):
            with pytest.raises(Malformed, match=r"neither \* nor a list of entity tags"):
                conditions(*pair)


class TestBodyType:
    @pytest.mark.parametrize(
        "content_type",
        [
            "application/json",
            "Application/JSON",
            "application/json;charset=utf-8",
            'application/json; charset="UTF-8"',
            "application/json;odata.metadata=minimal;charset=utf-8",
            "application/json; IEEE754Compatible=true",
        ],
    )
    def test_json_in_utf_8_is_read(self, content_type: str) -> None:
        check_json_body(content_type)

    @pytest.mark.parametrize(
        "content_type",
        [
            None,
            "",
            "text/plain",
            "application/xml",
            "text/json",
            "application/json+x",
            "application/problem+json",
            "json",
            "application/json, text/plain",
        ],
    )
    def test_anything_else_is_refused_in_graphs_words(self, content_type: str | None) -> None:
        with pytest.raises(
            UnsupportedMediaType, match=r"^Entity only allows writes with a JSON Content-Type header\.$"
        ):
            check_json_body(content_type)

    @pytest.mark.parametrize("charset", ["utf-16", "iso-8859-1", "windows-1252", ""])
    def test_json_in_another_charset_is_refused(self, charset: str) -> None:
        with pytest.raises(UnsupportedMediaType, match="UTF-8"):
            check_json_body(f"application/json;charset={charset}")

    @given(ANY_HEADER)
    def test_any_text_is_taken_or_refused(self, content_type: str | None) -> None:
        with suppress(UnsupportedMediaType):
            check_json_body(content_type)


class TestRepeat:
    @pytest.mark.parametrize("name", ["", "a b", "a\0b", "a\x1fb", "é", "x" * 129])
    def test_a_name_is_visible_ascii(self, name: str) -> None:
        with pytest.raises(Malformed, match="Repeatability-Request-ID"):
            repeat(name, "Fri, 15 Jan 2027 08:00:00 GMT")
        assert repeat("~!" * 64, "Fri, 15 Jan 2027 08:00:00 GMT") is not None

    @pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Pacific/Auckland"])
    @pytest.mark.parametrize(
        "text",
        [
            "Fri, 15 Jan 2027 08:00:00 GMT",
            "Fri, 15 Jan 2027 08:00:00 -0000",
            "Fri Jan 15 08:00:00 2027",
            "Friday, 15-Jan-27 08:00:00 GMT",
        ],
    )
    def test_a_time_without_a_zone_is_utc_wherever_the_service_runs(
        self, monkeypatch: pytest.MonkeyPatch, text: str, zone: str
    ) -> None:
        monkeypatch.setenv("TZ", zone)
        time.tzset()
        try:
            assert repeat("name", text) == ("name", 1_800_000_000)
        finally:
            monkeypatch.undo()
            time.tzset()
