"""Where a list goes on: tokens that only this installation can make, and links that keep what the caller wrote."""

from __future__ import annotations

from typing import Final
from urllib.parse import quote

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from adjoin.odata.errors import Malformed, ProtocolRefusal
from adjoin.odata.paging import Continuation, TokenKey, next_link, read, write
from adjoin.odata.query import given as options_of

KEY: Final = TokenKey(b"k" * 32)
SCOPE: Final = "5e7a0000-0000-4000-8000-000000000001/deviceManagement/domainJoinConnectors"
HERE: Final = Continuation("77296cf7-6cf7-7729-f76c-2977f76c2977", ("a", 5, None), 5, 1_000)
TOKEN: Final = write(HERE, KEY, SCOPE)
URL: Final = "https://host:8365/beta/deviceManagement/domainJoinConnectors"

CONTINUATIONS = st.builds(
    Continuation,
    st.text(st.characters(codec="utf-8"), max_size=100),
    st.lists(
        st.none() | st.integers(-(2**63), 2**63 - 1) | st.text(st.characters(codec="utf-8"), max_size=20), max_size=4
    ).map(tuple),
    st.none() | st.integers(0, 2**53),
    st.integers(1, 1_000),
)


def is_taken(query: str) -> bool:
    """Whether the query reader takes these options at all."""
    try:
        options_of(query)
    except ProtocolRefusal:
        return False
    return True


class TestToken:
    @given(CONTINUATIONS, st.binary(min_size=1), st.text(st.characters(codec="utf-8")))
    def test_is_read_as_it_was_written(self, continuation: Continuation, secret: bytes, scope: str) -> None:
        key = TokenKey(secret)
        assert read(write(continuation, key, scope), key, scope) == continuation

    @given(CONTINUATIONS)
    def test_stands_in_a_url_as_it_is(self, continuation: Continuation) -> None:
        token = write(continuation, KEY, SCOPE)
        assert quote(token, safe="") == token

    @given(CONTINUATIONS, st.data())
    def test_with_any_character_changed_is_refused(self, continuation: Continuation, data: st.DataObject) -> None:
        token = write(continuation, KEY, SCOPE)
        at = data.draw(st.integers(0, len(token) - 1))
        other = data.draw(st.characters(codec="utf-8").filter(lambda each: each != token[at]))
        with pytest.raises(Malformed):
            read(token[:at] + other + token[at + 1 :], KEY, SCOPE)

    def test_with_its_last_character_changed_to_any_other_is_refused(self) -> None:
        taken = []
        for other in "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_+/=":
            if other != TOKEN[-1]:
                try:
                    read(TOKEN[:-1] + other, KEY, SCOPE)
                except Malformed:
                    continue
                taken.append(other)
        assert taken == []

    @given(st.integers(0, len(TOKEN)), st.text(min_size=1, max_size=8))
    def test_with_anything_added_is_refused(self, at: int, added: str) -> None:
        with pytest.raises(Malformed):
            read(TOKEN[:at] + added + TOKEN[at:], KEY, SCOPE)

    @pytest.mark.parametrize("length", range(len(TOKEN)))
    def test_cut_short_is_refused(self, length: int) -> None:
        with pytest.raises(Malformed):
            read(TOKEN[:length], KEY, SCOPE)

    @pytest.mark.parametrize("added", ["=", "====", "!!!!", "\n", " ", "."])
    def test_with_what_base64_passes_over_is_refused(self, added: str) -> None:
        with pytest.raises(Malformed):
            read(TOKEN + added, KEY, SCOPE)

    @pytest.mark.parametrize("scope", ["", SCOPE[:-1], SCOPE + "s", SCOPE.replace("1", "2", 1), SCOPE.upper()])
    def test_of_another_scope_is_refused(self, scope: str) -> None:
        with pytest.raises(Malformed):
            read(TOKEN, KEY, scope)

    @pytest.mark.parametrize("secret", [b"", b"k" * 31, b"j" * 32])
    def test_of_another_installation_is_refused(self, secret: bytes) -> None:
        with pytest.raises(Malformed):
            read(TOKEN, TokenKey(secret), SCOPE)

    @given(st.text() | st.text("ABCabc019-_=", max_size=200) | st.just("A" * 100_000))
    def test_that_is_any_other_text_is_refused(self, text: str) -> None:
        with pytest.raises(Malformed):
            read(text, KEY, SCOPE)


class TestNextLink:
    @pytest.mark.parametrize(
        ("query", "kept"),
        [
            ("", ""),
            ("$top=5", "$top=5&"),
            ("$select=id,state&$top=5&$count=true", "$select=id,state&$top=5&$count=true&"),
            ("%24select=displayName%2Cid", "%24select=displayName%2Cid&"),
            ("$filter=a%20eq%20'b%26c'", "$filter=a%20eq%20'b%26c'&"),
            ("custom=a+b&x", "custom=a+b&x&"),
            ("$skip=5", ""),
            ("skip=5", ""),
            ("%24skip=5", ""),
            ("%24SKIP=5&$top=9", "$top=9&"),
            ("$skiptoken=old", ""),
            ("skiptoken=old", ""),
            ("$SkipToken=old&$top=9", "$top=9&"),
            ("%20$skip=5", ""),
            ("+$skiptoken=old", ""),
            ("%24%73%6B%69%70token=old", ""),
            ("$skip%09=5", ""),
            ("&&$top=5&&", "$top=5&"),
            ("$skipper=5", "$skipper=5&"),
            ("custom=$skip=5", "custom=$skip=5&"),
        ],
    )
    def test_keeps_the_options_byte_for_byte_but_those_that_say_where_the_list_was(self, query: str, kept: str) -> None:
        assert next_link(URL, query, "T") == f"{URL}?{kept}$skiptoken=T"

    LETTERS = st.sampled_from(["$", "%24"]) | st.just("")
    NAMES = st.sampled_from(["skip", "skiptoken", "SkipToken", "top", "select", "x", "%73kiptoken", "s%6bip"])

    @given(st.lists(st.builds("{}{}=1".format, LETTERS, NAMES), max_size=4, unique=True))
    def test_names_the_token_once_however_the_query_was_spelled(self, parts: list[str]) -> None:
        assume(is_taken("&".join(parts)))
        query = next_link(URL, "&".join(parts), "T").partition("?")[2]
        found = options_of(query).system  # which refuses an option that is given twice
        assert found["skiptoken"] == "T"
        assert "skip" not in found

    def test_is_read_by_the_query_reader(self) -> None:
        query = next_link(URL, "$skip=7&%24top=5", TOKEN).partition("?")[2]
        assert options_of(query).system == {"top": "5", "skiptoken": TOKEN}
