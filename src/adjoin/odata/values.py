"""Primitive values as OData writes them: date-times with offset to 100 nanoseconds, and GUIDs.

Python's own `datetime` drops the seventh fraction digit and `uuid` accepts braces and URNs, so both are read here
from text to text (odata.md 2.7). Nothing here knows the time; it is told.
"""

from __future__ import annotations

import re
from datetime import date
from functools import cache, lru_cache
from typing import Final

import msgspec

TICKS_PER_SECOND: Final = 10_000_000
_TICKS_PER_MINUTE: Final = 60 * TICKS_PER_SECOND
_TICKS_PER_DAY: Final = 86_400 * TICKS_PER_SECOND
_UNIX_EPOCH: Final = (date(1970, 1, 1).toordinal() - 1) * _TICKS_PER_DAY

# OData ABNF dateTimeOffsetValue: seconds may be left out, "T" and "Z" may be small letters, years here are 0001-9999.
_DATE_TIME_OFFSET: Final = re.compile(
    r"(\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])[Tt](?:[01]\d|2[0-3]):[0-5]\d)(?::([0-5]\d)(?:\.(\d{1,12}))?)?"
    r"(?:[Zz]|([+-](?:[01]\d|2[0-3]):[0-5]\d))",
    re.ASCII,
)
_WITHOUT_OFFSET: Final = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d(?::\d\d(?:\.\d{1,12})?)?", re.ASCII)
_GUID: Final = re.compile(r"[0-9A-Fa-f]{8}-(?:[0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12}", re.ASCII)

GUID_VARIANT: Final = {digit: "89ab"[int(digit, 16) & 3] for digit in "0123456789abcdef"}
"""The two bits that say which kind of GUID it is, put in place of a random digit's upper two (RFC 9562, 4.1)."""


def ticks_of(seconds: float) -> int:
    """The ticks of a Unix time."""
    return _UNIX_EPOCH + int(seconds * TICKS_PER_SECOND)


class BadValue(ValueError):
    """Text that is not a value of the type it was read as. Its words say what is missing."""


class Instant(msgspec.Struct, frozen=True):
    """A date-time with its offset.

    `ticks` counts 100 ns since 0001-01-01T00:00:00Z and may be negative or beyond 9999 by the offset alone;
    `offset` is in minutes east of UTC. Two instants that differ only in offset are the same moment: compare `ticks`.
    """

    ticks: int
    offset: int = 0

    @classmethod
    def parse(cls, text: str) -> Instant:
        """Read an Edm.DateTimeOffset; fraction digits beyond the seventh are cut off. Raises BadValue."""
        match = _DATE_TIME_OFFSET.fullmatch(text)
        if match is None:
            if _WITHOUT_OFFSET.fullmatch(text):
                raise BadValue("the offset from UTC is missing (such as 'Z' or '+02:00')")
            raise BadValue("it is not a date and time such as 2016-12-31T23:58:36.6670033-08:00")
        minute, second, fraction, offset_text = match.groups()
        ticks = _minute(minute)
        if second is not None:
            ticks += int(second) * TICKS_PER_SECOND
        if fraction is not None:
            ticks += int(fraction[:7].ljust(7, "0"))
        if offset_text is None:
            return cls(ticks)
        offset = _offset(offset_text)
        return cls(ticks - offset * _TICKS_PER_MINUTE, offset)

    @classmethod
    def from_unix(cls, seconds: float) -> Instant:
        """The instant of a Unix time, in UTC."""
        return cls(ticks_of(seconds))

    def __str__(self) -> str:
        """As Graph prints it: fraction without trailing zeros, none when it is zero, `Z` for a zero offset."""
        ticks, zone = self.ticks, "Z"
        if self.offset:
            ticks, zone = ticks + self.offset * _TICKS_PER_MINUTE, _offset_text(self.offset)
        minute = _minute_text(ticks // _TICKS_PER_MINUTE)
        second, fraction = ticks // TICKS_PER_SECOND % 60, ticks % TICKS_PER_SECOND
        if not fraction:
            return f"{minute}:{second:02}{zone}"
        if fraction % 10:
            return f"{minute}:{second:02}.{fraction:07}{zone}"
        return f"{minute}:{second:02}." + f"{fraction:07}".rstrip("0") + zone


# Date-times that come one after the other mostly tell of the same minutes.
@lru_cache(maxsize=4_096)
def _minute(text: str) -> int:
    """The ticks of `2016-12-31T23:58`. Raises BadValue."""
    try:
        days = date(int(text[:4]), int(text[5:7]), int(text[8:10])).toordinal() - 1
    except ValueError:
        raise BadValue("the calendar has no such day") from None
    return days * _TICKS_PER_DAY + (int(text[11:13]) * 60 + int(text[14:16])) * _TICKS_PER_MINUTE


@lru_cache(maxsize=4_096)
def _minute_text(number: int) -> str:
    """The text of a minute, counted from year 1."""
    days, minute = divmod(number, 1_440)
    return f"{date.fromordinal(days + 1).isoformat()}T{minute // 60:02}:{minute % 60:02}"


@cache
def _offset(text: str) -> int:
    """The minutes of `-08:00`."""
    minutes = int(text[1:3]) * 60 + int(text[4:])
    return -minutes if text[0] == "-" else minutes


@cache
def _offset_text(offset: int) -> str:
    hours, minutes = divmod(abs(offset), 60)
    return f"{'-' if offset < 0 else '+'}{hours:02}:{minutes:02}"


def parse_guid(text: str) -> str:
    """A GUID in its one spelling here: 36 characters, small letters. Anything else is a BadValue."""
    if not _GUID.fullmatch(text):
        raise BadValue("it is not a GUID such as 77296cf7-6cf7-7729-f76c-2977f76c2977")
    return text.lower()


def time_ordered_guid(unix_ms: int, random: bytes) -> str:
    """A version 7 GUID (RFC 9562, 5.7) of a time in Unix milliseconds and 10 random bytes.

    Ids that follow each other land beside each other in an index, which halves the cost of an insert
    (performance.md section 4).
    """
    time, rest = f"{unix_ms & 0xFFFF_FFFF_FFFF:012x}", random[:10].hex()
    return f"{time[:8]}-{time[8:]}-7{rest[1:4]}-{GUID_VARIANT[rest[4]]}{rest[5:8]}-{rest[8:]}"


def _simple_fold(char: str) -> str:
    folded = char.casefold()
    return folded if len(folded) == 1 else char.lower() if len(char.lower()) == 1 else char


@cache
def _folded() -> dict[int, str]:
    """The characters that folding changes, found at first need: `str.translate` then folds at the speed of C."""
    return {code: _simple_fold(chr(code)) for code in range(0x20000) if _simple_fold(chr(code)) != chr(code)}


def fold(text: str) -> str:
    """Text as it is compared: without regard to case, character by character.

    Unlike `str.casefold` it keeps the length, so that positions in folded and written text are the same; .NET's
    ordinal comparison without case, which Graph's answers show, works so too.
    """
    return text.lower() if text.isascii() else text.translate(_folded())


def unstorable(text: str) -> str | None:
    """What keeps a string from being stored and given back unchanged in every database, or None."""
    if "\x00" in text:
        return "it holds the character U+0000"
    if text.isascii():
        return None
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return "it holds half of a surrogate pair"
    return None
