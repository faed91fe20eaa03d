"""Takes apart what has lists within lists: the items of $select and $expand, and the options in their parentheses."""

from __future__ import annotations

import re
from typing import Final

from adjoin.odata.errors import Malformed

# In words of a search an apostrophe is a letter.
_SEARCH: Final = re.compile(r"\s*\$?search\s*=", re.IGNORECASE)


def split(text: str, sign: str, option_name: str) -> list[str]:
    """The parts between signs that stand outside quotes and parentheses. Raises Malformed where those do not pair.

    `option_name` is the query option that the text is the value of, for what is said of a fault.
    """
    parts, depth, quote, start, option, escaped = [], 0, "", 0, 0, False
    for at, char in enumerate(text):
        if escaped:
            escaped = False
        elif quote:
            # Strings in double quotes are those of JSON and of $search.
            escaped = char == "\\" and quote == '"'
            quote = "" if char == quote else quote
        elif char == '"' or (char == "'" and not _SEARCH.match(text, option)):
            quote = char
        elif char in "()":
            depth += 1 if char == "(" else -1
            option = at + 1 if depth == 1 and char == "(" else option
        elif char in ",;":
            option = at + 1 if char == ";" else option
            if char == sign and depth == 0:
                parts.append(text[start:at])
                start = at + 1
        if depth < 0:
            raise Malformed(f"A parenthesis in {option_name} is closed that was not opened.", at)
    if depth or quote:
        raise Malformed(f"A parenthesis or quote in {option_name} is not closed.")
    return [*parts, text[start:]]
