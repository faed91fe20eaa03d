"""Date-times and GUIDs as text: what is read, what is given back to the character, and what is refused."""

from __future__ import annotations

import calendar
import uuid
from datetime import UTC, datetime, timedelta, timezone
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adjoin.odata.values import (
    TICKS_PER_SECOND,
    BadValue,
    Instant,
    fold,
    parse_guid,
    time_ordered_guid,
    unstorable,
)

FURTHEST_OFFSET: Final = 23 * 60 + 59


def offset_text(minutes: int) -> str:
    sign = "-" if minutes < 0 else "+"
    return f"{sign}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}"


@st.composite
def written_instants(draw: st.DrawFn) -> tuple[str, str]:
    """Any date-time with an offset as a client may write it, and as it is given back."""
    year = draw(st.integers(1, 9999))
    month = draw(st.integers(1, 12))
    day = draw(st.integers(1, calendar.monthrange(year, month)[1]))
    hour, minute, second = draw(st.integers(0, 23)), draw(st.integers(0, 59)), draw(st.integers(0, 59))
    digits = draw(st.text("0123456789", max_size=7))
    offset = draw(st.none() | st.integers(-FURTHEST_OFFSET, FURTHEST_OFFSET))
    start = f"{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}"
    fraction, kept = (f".{digits}" if digits else ""), digits.rstrip("0")
    zone = "Z" if offset is None else offset_text(offset)
    return start + fraction + zone, start + (f".{kept}" if kept else "") + (zone if offset else "Z")


class TestDateTime:
    @given(written_instants())
    def test_comes_back_to_the_character_but_for_trailing_zeros_and_a_zero_offset(self, pair: tuple[str, str]) -> None:
        written, given_back = pair
        assert str(Instant.parse(written)) == given_back

    @given(written_instants())
    def test_given_back_and_read_again_is_the_same_value(self, pair: tuple[str, str]) -> None:
        instant = Instant.parse(pair[0])
        assert Instant.parse(str(instant)) == instant

    @pytest.mark.parametrize(
        ("written", "given_back"),
        [
            ("2016-12-31T23:58:36.6670033-08:00", "2016-12-31T23:58:36.6670033-08:00"),
            ("2016-12-31T23:58:36.6670000Z", "2016-12-31T23:58:36.667Z"),
            ("2016-12-31T23:58:36.0000000+02:00", "2016-12-31T23:58:36+02:00"),
            ("2016-12-31T23:58:36.0000001Z", "2016-12-31T23:58:36.0000001Z"),
            ("2016-12-31T23:58:36+00:00", "2016-12-31T23:58:36Z"),
            ("2016-12-31T23:58:36-00:00", "2016-12-31T23:58:36Z"),
            ("2016-12-31t23:58:36z", "2016-12-31T23:58:36Z"),
            ("2016-12-31T23:58Z", "2016-12-31T23:58:00Z"),
            ("2016-12-31T23:58-08:00", "2016-12-31T23:58:00-08:00"),
            ("2016-12-31T23:58:36.66700339Z", "2016-12-31T23:58:36.6670033Z"),
            ("2016-12-31T23:58:36.999999999999Z", "2016-12-31T23:58:36.9999999Z"),
            ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"),
            ("0001-01-01T00:00:00+23:59", "0001-01-01T00:00:00+23:59"),
            ("9999-12-31T23:59:59.9999999Z", "9999-12-31T23:59:59.9999999Z"),
            ("9999-12-31T23:59:59.9999999-23:59", "9999-12-31T23:59:59.9999999-23:59"),
            ("2024-02-29T00:00:00Z", "2024-02-29T00:00:00Z"),
            ("2000-02-29T00:00:00Z", "2000-02-29T00:00:00Z"),
        ],
    )
    def test_prints_as_graph_prints_it(self, written: str, given_back: str) -> None:
        assert str(Instant.parse(written)) == given_back

    @pytest.mark.parametrize(
        "text",
        ["2016-12-31T23:58:36", "2016-12-31T23:58:36.6670033", "2016-12-31T23:58", "2016-12-31t23:58:36"],
    )
    def test_without_an_offset_is_refused_in_words_that_say_so(self, text: str) -> None:
        with pytest.raises(BadValue, match="offset"):
            Instant.parse(text)

    @pytest.mark.parametrize(
        "text",
        [
            "2016-02-30T00:00:00Z",
            "2016-04-31T00:00:00Z",
            "2023-02-29T00:00:00Z",
            "1900-02-29T00:00:00Z",
            "0000-01-01T00:00:00Z",
        ],
    )
    def test_of_a_day_that_no_calendar_has_is_refused(self, text: str) -> None:
        with pytest.raises(BadValue, match="no such day"):
            Instant.parse(text)

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "now",
            "null",
            "2016-12-31",
            "2016-12-31Z",
            "23:58:36Z",
            "2016-13-31T23:58:36Z",
            "2016-00-31T23:58:36Z",
            "2016-12-00T23:58:36Z",
            "2016-12-32T23:58:36Z",
            "2016-12-31T24:00:00Z",
            "2016-12-31T23:60:00Z",
            "2016-12-31T23:58:60Z",
            "2016-12-31T23Z",
            "2016-12-31T23:58:Z",
            "2016-12-31T23:58:36.Z",
            "2016-12-31T23:58:36,667Z",
            "2016-12-31T23:58.5Z",
            "2016-12-31T23:58:36.1234567890123Z",
            "2016-12-31T23:58:36+24:00",
            "2016-12-31T23:58:36+08:60",
            "2016-12-31T23:58:36+0800",
            "2016-12-31T23:58:36+8:00",
            "2016-12-31T23:58:36+08",
            "2016-12-31T23:58:36Z+08:00",
            "2016-12-31T23:58:36ZZ",
            "2016-12-31T23:58:36 Z",
            "2016-12-31 23:58:36Z",
            " 2016-12-31T23:58:36Z",
            "2016-12-31T23:58:36Z ",
            "2016-12-31T23:58:36Z\n",
            "2016-12-31T23:58:36\u221208:00",
            "2016-12-31T23:58:36.\u0661Z",
            "\uff12016-12-31T23:58:36Z",
            "216-12-31T23:58:36Z",
            "12016-12-31T23:58:36Z",
            "-2016-12-31T23:58:36Z",
            "+2016-12-31T23:58:36Z",
            "20161231T235836Z",
            "2016-W52-6T23:58:36Z",
            "1483228716",
        ],
    )
    def test_in_any_other_form_is_refused(self, text: str) -> None:
        with pytest.raises(BadValue):
            Instant.parse(text)

    @given(st.text() | st.from_regex(r"\A[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9:.]{0,20}[Zz+-]?[0-9:]{0,6}\Z"))
    def test_any_text_is_a_value_or_a_refusal(self, text: str) -> None:
        try:
            instant = Instant.parse(text)
        except BadValue:
            return
        assert Instant.parse(str(instant)) == instant

    @given(st.data(), st.integers(-FURTHEST_OFFSET, FURTHEST_OFFSET), st.integers(-FURTHEST_OFFSET, FURTHEST_OFFSET))
    def test_orders_by_the_moment_whatever_the_offsets(self, data: st.DataObject, one: int, other: int) -> None:
        moments = st.datetimes(datetime(2, 1, 1), datetime(9998, 12, 31))  # noqa: DTZ001 - the offset comes below
        first, second = data.draw(moments).replace(tzinfo=UTC), data.draw(moments).replace(tzinfo=UTC)
        ticks = [
            Instant.parse(moment.astimezone(timezone(timedelta(minutes=offset))).isoformat()).ticks
            for moment, offset in ((first, one), (second, other))
        ]
        assert (ticks[0] < ticks[1]) == (first < second)
        assert (ticks[0] == ticks[1]) == (first == second)

    @pytest.mark.parametrize(
        ("one", "other"),
        [
            ("2016-12-31T23:58:36-08:00", "2017-01-01T07:58:36Z"),
            ("2016-12-31T23:58:36+05:45", "2016-12-31T18:13:36Z"),
            ("2016-02-29T00:00:00+00:01", "2016-02-28T23:59:00Z"),
        ],
    )
    def test_of_the_same_moment_have_the_same_ticks(self, one: str, other: str) -> None:
        assert Instant.parse(one).ticks == Instant.parse(other).ticks

    def test_one_tick_is_100_nanoseconds(self) -> None:
        later, sooner = Instant.parse("2016-12-31T23:58:36.0000001Z"), Instant.parse("2016-12-31T23:58:36Z")
        assert later.ticks - sooner.ticks == 1
        assert TICKS_PER_SECOND == 10_000_000

    def test_ticks_begin_with_the_year_1(self) -> None:
        assert Instant.parse("0001-01-01T00:00:00Z").ticks == 0
        assert Instant.parse("0001-01-01T00:00:00+00:01").ticks == -60 * TICKS_PER_SECOND

    @given(st.integers(-62_135_596_800, 253_402_300_799))
    def test_of_a_unix_time_is_the_same_moment_in_utc(self, seconds: int) -> None:
        moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
        assert Instant.from_unix(seconds) == Instant.parse(moment.isoformat())


class TestGuid:
    @given(st.uuids())
    def test_comes_back_in_small_letters_however_it_was_written(self, guid: uuid.UUID) -> None:
        assert parse_guid(str(guid)) == parse_guid(str(guid).upper()) == str(guid)

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "77296cf76cf77729f76c2977f76c2977",
            "{77296cf7-6cf7-7729-f76c-2977f76c2977}",
            "urn:uuid:77296cf7-6cf7-7729-f76c-2977f76c2977",
            "'77296cf7-6cf7-7729-f76c-2977f76c2977'",
            "77296cf7-6cf7-7729-f76c-2977f76c297",
            "77296cf7-6cf7-7729-f76c-2977f76c29777",
            "77296cf7-6cf7-7729-f76c-2977f76c297g",
            "77296cf-76cf7-7729-f76c-2977f76c2977",
            " 77296cf7-6cf7-7729-f76c-2977f76c2977",
            "77296cf7-6cf7-7729-f76c-2977f76c2977\n",
            "77296cf7\u20106cf7-7729-f76c-2977f76c2977",
            "\u0667\u0667296cf7-6cf7-7729-f76c-2977f76c2977",
        ],
    )
    def test_in_any_other_form_is_refused(self, text: str) -> None:
        with pytest.raises(BadValue, match="GUID"):
            parse_guid(text)


class TestTimeOrderedGuid:
    TIMES = st.integers(0, 2**48 - 1)
    RANDOM = st.binary(min_size=10, max_size=10)

    @given(TIMES, RANDOM)
    def test_is_a_valid_version_7_guid_of_its_time(self, unix_ms: int, random: bytes) -> None:
        text = time_ordered_guid(unix_ms, random)
        guid = uuid.UUID(text)
        assert parse_guid(text) == text == str(guid)
        assert guid.version == 7
        assert guid.variant == uuid.RFC_4122
        assert guid.int >> 80 == unix_ms

    @given(TIMES, TIMES, RANDOM, RANDOM)
    def test_text_orders_by_time(self, one: int, other: int, random: bytes, more: bytes) -> None:
        sooner, later = sorted((one, other))
        if sooner < later:
            assert time_ordered_guid(sooner, random) < time_ordered_guid(later, more)

    @given(TIMES)
    def test_every_random_bit_but_the_six_fixed_ones_shows(self, unix_ms: int) -> None:
        none = uuid.UUID(time_ordered_guid(unix_ms, bytes(10))).int
        every = uuid.UUID(time_ordered_guid(unix_ms, b"\xff" * 10)).int
        assert (none ^ every).bit_count() == 74

    def test_is_that_of_the_standard(self) -> None:
        # RFC 9562 appendix A.6: 2022-02-22T19:22:22Z
        random = bytes.fromhex("0cc318c4dc0c0c07398f")
        assert time_ordered_guid(0x017F22E279B0, random) == "017f22e2-79b0-7cc3-98c4-dc0c0c07398f"


class TestFold:
    @pytest.mark.parametrize(
        ("text", "folded"),
        [("", ""), ("ABC xyz", "abc xyz"), ("ÄÖÜ", "äöü"), ("ПРИВЕТ", "привет"), ("ΣΑΣ", "σασ"), ("😀", "😀")],
    )
    def test_is_the_text_without_regard_to_case(self, text: str, folded: str) -> None:
        assert fold(text) == folded

    @given(st.text())
    def test_keeps_the_length(self, text: str) -> None:
        assert len(fold(text)) == len(text)

    @given(st.text())
    def test_of_what_was_folded_changes_nothing(self, text: str) -> None:
        assert fold(fold(text)) == fold(text)

    @given(st.text(st.characters(codec="utf-8")))
    def test_of_what_can_be_stored_can_be_stored(self, text: str) -> None:
        fold(text).encode()


class TestUnstorable:
    @pytest.mark.parametrize("text", ["\x00", "a\x00b", "\ud800", "a\udfff", "\udc00\ud800"])
    def test_says_what_keeps_a_string_from_being_stored(self, text: str) -> None:
        assert unstorable(text)

    @given(st.text(st.characters(codec="utf-8", exclude_characters="\x00")))
    def test_takes_every_other_string(self, text: str) -> None:
        assert unstorable(text) is None
