"""JSON of tokens, read so that no second reader can take it for something else: RFC 8725 section 2.4, RFC 7519, 4.

Standard readers take the last of two members with one name, and numbers that JSON does not have.
"""

from __future__ import annotations

import json
import math
from contextlib import suppress
from typing import Final, NoReturn


def read_object(data: bytes) -> dict[str, object] | None:
    """The JSON object in `data`; None if it is none, or could be read in two ways."""
    # Nothing is raised from here: the JSON error would hang on a refusal, and it holds the whole text.
    value = None
    with suppress(ValueError, RecursionError):
        value = _JSON.decode(data.decode("utf-8"))
    return value if isinstance(value, dict) else None


def _no_repeats(members: list[tuple[str, object]]) -> dict[str, object]:
    result = dict(members)
    if len(result) != len(members):
        raise ValueError
    return result


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError
    return number


def _not_json(_text: str) -> NoReturn:
    """Python reads NaN and Infinity, which JSON does not have."""
    raise ValueError


# The standard library's reader is the one here that tells of repeated names; each token is read once (see the cache).
_JSON: Final = json.JSONDecoder(object_pairs_hook=_no_repeats, parse_float=_finite, parse_constant=_not_json)
