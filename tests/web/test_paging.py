"""A list walked by its links is whole: nothing that stood still is lost or comes twice, whatever comes and goes."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import pytest
from tests.conftest import Opens, data_dir, place
from tests.full import FULL
from tests.odata import evaluator
from tests.server import LIST, NOW, ORIGIN, Answer, Server, config_of

from adjoin.model import BETA, CONNECTOR
from adjoin.odata.binding import Surroundings, bind_filter, bind_order
from adjoin.odata.values import Instant
from adjoin.service.entities import PAGE_SIZE
from adjoin.store import rows
from adjoin.store.columns import Value
from adjoin.store.database import Session
from adjoin.store.tables import table_of

AROUND: Final = Surroundings(BETA, CONNECTOR, Instant.from_unix(NOW))

NAMES: Final = (None, "", "a", "A", "b", "ab", "ß", "É", "é", "zz", "z\U0010ffff", "100%", "O'Neil")
TIMES: Final = (
    "2016-12-31T23:58:36.6670033-08:00",
    "2017-01-01T07:58:36.6670033Z",
    "2016-12-31T23:58:36.6670034-08:00",
    "0001-01-01T00:00:00Z",
    "9999-12-31T23:59:59.9999999Z",
)
STATES: Final = ("active", "error", "inactive")
VERSIONS: Final = ("1.0", "1.1", "2.0")

ORDERS: Final = (
    *("", "id desc", "displayName", "displayName desc", "state", "state desc,displayName", "version,id desc"),
    *("lastConnectionDateTime desc", "lastConnectionDateTime,displayName desc", "length(displayName) desc,state"),
    *("displayName eq null desc", "substring(displayName,1)", "state eq 'error' desc,displayName desc,version desc"),
)
FILTERS: Final = (
    *("", "state eq 'error'", "displayName ne null", "displayName eq null or version gt '1.0'"),
    *("contains(displayName,'a')", "not(state in ('active','error'))", "lastConnectionDateTime ge 2017-01-01"),
)


def query(**options: object) -> str:
    """The list with options; those that are empty are left out."""
    given = [f"${name}={quote(str(text), safe='')}" for name, text in options.items() if text not in ("", None)]
    return f"{LIST}?{'&'.join(given)}" if given else LIST


def page_size(size: int | None) -> dict[str, str]:
    return {} if size is None else {"prefer": f"odata.maxpagesize={size}"}


def walk(server: Server, target: str, headers: Mapping[str, str]) -> Iterator[Answer]:
    """The pages of a list, each asked for when it is wanted."""
    answer = server.call("GET", target, headers=headers)
    while True:
        assert answer.status == 200, answer.body
        yield answer
        link = answer.json.get("@odata.nextLink")
        if link is None:
            return
        answer = server.follow(link)


def ids(answer: Answer) -> list[str]:
    return [each["id"] for each in answer.json["value"]]


def every(server: Server, target: str, size: int | None = None) -> list[str]:
    return [each for page in walk(server, target, page_size(size)) for each in ids(page)]


class Changing:
    """The rows of a list while they change at random, and what became of each."""

    def __init__(self, server: Server, seed: int) -> None:
        self.server = server
        self.random = random.Random(seed)
        self.rows: dict[str, dict[str, Any]] = {}
        self.changed: set[str] = set()
        for _ in range(40):
            self.insert()

    def _any(self) -> dict[str, Any]:
        pick = self.random.choice
        times = {"lastConnectionDateTime": pick(TIMES), "state": pick(STATES), "version": pick(VERSIONS)}
        return {"displayName": pick(NAMES), **times}

    def insert(self) -> None:
        # Ids at random, so that new rows fall anywhere among the others.
        key = f"{self.random.getrandbits(32):08x}-0000-4000-8000-{self.random.getrandbits(48):012x}"
        self.rows[key] = self.server.create(id=key, **self._any())
        self.changed.add(key)

    def change(self) -> None:
        key = self.random.choice(list(self.rows))
        answer = self.server.call("PATCH", f"{LIST}/{key}", self._any())
        assert answer.status == 200
        self.rows[key] = answer.json
        self.changed.add(key)

    def delete(self) -> None:
        key = self.random.choice(list(self.rows))
        assert self.server.call("DELETE", f"{LIST}/{key}").status == 204
        del self.rows[key]
        self.changed.add(key)

    def go_on(self) -> None:
        for _ in range(self.random.randrange(6)):
            self.random.choice((self.insert, self.change, self.delete))()

    def wanted(self, filter_: str, order: str) -> list[str]:
        """The rows there are, as the evaluator filters and orders them."""
        held = [
            {**row, "lastConnectionDateTime": Instant.parse(row["lastConnectionDateTime"])}
            for row in self.rows.values()
        ]
        where = bind_filter(filter_ or "true", AROUND)
        keys = bind_order(order, AROUND) if order else ()
        return [row["id"] for row in evaluator.ordered(held, keys, "id") if evaluator.holds(where, row)]


@pytest.mark.parametrize("seed", range(24 if FULL else 6))
def test_what_stands_still_is_shown_once_and_in_order_while_others_come_and_go(server: Server, seed: int) -> None:
    changing = Changing(server, seed)
    pick = changing.random.choice
    for _ in range(4):
        order, filter_, size = pick(ORDERS), pick(FILTERS), pick((1, 2, 3, 7, 13))
        changing.changed.clear()
        gone: set[str] = set()
        shown: list[str] = []
        since: dict[str, set[str]] = {}  # what changed after a row was shown
        for page in walk(server, query(filter=filter_, orderby=order), page_size(size)):
            found = ids(page)
            assert len(found) <= size
            assert not gone & set(found)
            for each in found:
                assert each not in since or each in since[each], "a row was shown again that had not changed"
                since[each] = set()
            shown += found
            before = set(changing.rows)
            changing.changed, earlier = set(), changing.changed
            changing.go_on()
            gone |= before - set(changing.rows)
            for seen in since.values():
                seen.update(changing.changed)
            changing.changed |= earlier
        still = [each for each in changing.wanted(filter_, order) if each not in changing.changed]
        assert [each for each in shown if each not in changing.changed] == still


@pytest.mark.parametrize("order", ORDERS)
def test_without_changes_the_pages_together_are_the_list(server: Server, order: str) -> None:
    changing = Changing(server, 99)
    for filter_ in FILTERS:
        wanted = changing.wanted(filter_, order)
        assert every(server, query(filter=filter_, orderby=order), 7) == wanted
        assert every(server, query(filter=filter_, orderby=order, top=11, skip=3), 4) == wanted[3:14]
        assert every(server, query(filter=filter_, orderby=order, skip=5), 6) == wanted[5:]


@pytest.fixture(scope="module")
def filled(shared: Server) -> Server:
    """A service with 23 connectors."""
    for number in range(23):
        shared.create(displayName=f"connector {number:02}", state=STATES[number % 3])
    return shared


class TestTop:
    @pytest.mark.parametrize(
        ("top", "size", "pages"),
        [
            (0, None, [0]),
            (1, None, [1]),
            (5, 2, [2, 2, 1]),
            (4, 2, [2, 2]),
            (23, 10, [10, 10, 3]),
            (23, 23, [23]),
            (24, 23, [23]),
            (100, 20, [20, 3]),
            (2**31 - 1, 12, [12, 11]),
            (3, 5, [3]),
        ],
    )
    def test_goes_across_pages(self, filled: Server, top: int, size: int | None, pages: list[int]) -> None:
        assert [len(ids(page)) for page in walk(filled, query(top=top), page_size(size))] == pages

    def test_counts_from_behind_what_is_skipped_and_skips_once(self, filled: Server) -> None:
        whole = every(filled, query(orderby="displayName"))
        pages = list(walk(filled, query(orderby="displayName", skip=4, top=7), page_size(3)))
        assert [ids(page) for page in pages] == [whole[4:7], whole[7:10], whole[10:11]]

    def test_skipping_everything_gives_an_empty_page(self, filled: Server) -> None:
        assert every(filled, query(skip=23)) == every(filled, query(skip=2**31 - 1)) == []


class TestCount:
    @pytest.mark.parametrize("options", [{}, {"top": 9}, {"skip": 6}, {"top": 5, "skip": 5, "orderby": "state desc"}])
    def test_is_on_every_page_and_heeds_neither_top_nor_skip(self, filled: Server, options: dict[str, Any]) -> None:
        pages = list(walk(filled, query(count="true", **options), page_size(4)))
        assert {page.json["@odata.count"] for page in pages} == {23}
        assert len(pages) > 1

    def test_heeds_the_filter_and_the_search(self, filled: Server) -> None:
        for options in ({"filter": "state eq 'error'"}, {"search": "01 OR 02 OR 12"}):
            found = every(filled, query(**options))
            counts = {page.json["@odata.count"] for page in walk(filled, query(count="true", **options), page_size(2))}
            assert counts == {len(found)}

    def test_is_not_there_unless_it_was_asked_for(self, filled: Server) -> None:
        for target in (query(), query(count="false")):
            assert not any("@odata.count" in page.json for page in walk(filled, target, page_size(9)))


class TestLink:
    def test_keeps_what_was_asked_and_carries_its_own_page_size(self, filled: Server) -> None:
        target = query(select="displayName", orderby="displayName desc", count="true", top=9)
        first, *rest = walk(filled, target, page_size(4))
        link = first.json["@odata.nextLink"]
        assert link.startswith(f"{ORIGIN}{target}&$skiptoken=")
        assert [len(ids_) for ids_ in ([each["displayName"] for each in page.json["value"]] for page in rest)] == [4, 1]
        assert all({*each} <= {"@odata.type", "displayName"} for page in rest for each in page.json["value"])

    def test_is_followed_with_another_page_size_as_the_answer_says(self, filled: Server) -> None:
        first = filled.call("GET", LIST, headers=page_size(4))
        second = filled.call("GET", first.json["@odata.nextLink"].removeprefix(ORIGIN), headers=page_size(9))
        assert (
            second.headers.get("preference-applied", "odata.maxpagesize=4") == f"odata.maxpagesize={len(ids(second))}"
        )

    def test_is_followed_by_clients_that_decode_or_encode_its_options(self, filled: Server) -> None:
        first = filled.call("GET", query(filter="state ne 'error'", orderby="displayName"), headers=page_size(3))
        link = first.json["@odata.nextLink"]
        second = ids(filled.follow(link))
        assert ids(filled.follow(link.replace("$", "%24"))) == second
        assert ids(filled.follow(link.replace("%20", "+").replace("%27", "'"))) == second
        assert ids(filled.follow(link.replace("$filter", "filter"))) == second

    @pytest.mark.parametrize(
        ("options", "others"),
        [
            ({"orderby": "displayName"}, {"orderby": "displayName desc"}),
            ({"orderby": "displayName"}, {"orderby": "state"}),
            ({"orderby": "displayName"}, {"orderby": "displayName,state"}),
            ({"orderby": "displayName"}, {}),
            ({}, {"orderby": "displayName"}),
            ({"filter": "state eq 'error'"}, {"filter": "state ne 'error'"}),
            ({"filter": "state eq 'error'"}, {}),
            ({}, {"filter": "state eq 'error'"}),
            ({"search": "connector"}, {"search": "0"}),
            ({"filter": "true"}, {"search": "true"}),
        ],
    )  # fmt: skip
    def test_of_another_query_is_refused(self, filled: Server, options: dict[str, Any], others: dict[str, Any]) -> None:
        token = self._token(filled, query(**options))
        answer = filled.call("GET", query(**others, skiptoken=token))
        assert (answer.status, answer.error["code"]) == (400, "BadRequest")

    @pytest.mark.parametrize(
        "changed", [{"select": "id"}, {"count": "true"}, {"format": "json"}, {"top": 1}, {"top": 2**31 - 1}]
    )
    def test_is_followed_with_other_options_that_choose_no_rows(self, filled: Server, changed: dict[str, Any]) -> None:
        target = query(orderby="displayName", top=9)
        token = self._token(filled, target)
        followed = ids(filled.call("GET", f"{target}&$skiptoken={token}"))
        assert ids(filled.call("GET", query(**{"orderby": "displayName", **changed}, skiptoken=token))) == followed

    def test_with_rows_to_skip_is_refused(self, filled: Server) -> None:
        target = query(skip=3)
        answer = filled.call("GET", f"{target}&$skiptoken={self._token(filled, target)}")
        assert (answer.status, answer.error["code"]) == (400, "BadRequest")
        assert "$skip and $skiptoken" in answer.error["message"]

    @pytest.mark.parametrize(
        ("option", "first", "second"),
        [
            ("orderby", "displayName", "state"),
            ("orderby", "displayName", "'x'"),
            ("orderby", "'x'", "displayName"),
            ("orderby", "displayName", "displayName desc"),
            ("filter", "true", "state eq 'error'"),
        ],
    )
    def test_of_a_query_whose_alias_has_another_value_is_refused(
        self, filled: Server, option: str, first: str, second: str
    ) -> None:
        target = query(**{option: "@p"})
        token = self._token(filled, f"{target}&@p={quote(first)}")
        answer = filled.call("GET", f"{target}&@p={quote(second)}&$skiptoken={token}")
        assert (answer.status, answer.error["code"]) == (400, "BadRequest")

    def test_of_another_tenant_is_refused(self, filled: Server) -> None:
        other = filled.token(tenant=filled.add_tenant("another tenant"))
        token = self._token(filled, LIST)
        assert filled.call("GET", query(skiptoken=token)).status == 200
        assert filled.call("GET", query(skiptoken=token), token=other).status == 400

    @pytest.mark.parametrize("token", ["", "x", "A" * 4_000, "%00", "é", "../../"])
    def test_that_was_made_up_is_refused(self, filled: Server, token: str) -> None:
        answer = filled.call("GET", f"{LIST}?$skiptoken={quote(token)}")
        assert answer.status == 400

    @staticmethod
    def _token(server: Server, target: str) -> str:
        link: str = server.call("GET", target, headers=page_size(2)).json["@odata.nextLink"]
        return link.rpartition("$skiptoken=")[2]


LONG: Final[Sequence[str]] = ["x" * 512, "é" * 512, "語" * 512, "😀" * 512]


@pytest.mark.parametrize(
    "order",
    ["displayName", "displayName,version,displayName desc,state", "concat(displayName,displayName)"],
)
@pytest.mark.parametrize("name", LONG, ids=["ASCII", "two bytes", "three bytes", "four bytes"])
def test_a_list_goes_on_behind_the_longest_of_names(server: Server, name: str, order: str) -> None:
    for _ in range(3):
        server.create(displayName=name, version="9" * 128)
    assert len(every(server, query(orderby=order), 1)) == 3


@pytest.fixture(scope="module")
def full(
    tmp_path_factory: pytest.TempPathFactory, keys: Path, database_kind: str, request: pytest.FixtureRequest
) -> Iterator[Server]:
    """A service with more connectors than a page holds: all but one of the same name, and one of another version."""
    table = table_of(CONNECTOR)
    with ExitStack() as stack:
        folder = data_dir(tmp_path_factory.mktemp("full") / "data", keys)
        server = stack.enter_context(Server(config_of(folder, **place(database_kind, request, stack))))
        tenant = server.tenant().number

        async def act(session: Session) -> None:
            for number in range(PAGE_SIZE + 4):
                values: dict[str, Value] = {
                    "id": f"eeeeeeee-0000-4000-8000-{number:012x}",
                    "displayName": "the & other's" if number else "odd; one (out)",
                    "lastConnectionDateTime": Instant.from_unix(NOW - number),
                    "state": "error",
                    "version": "expanded" if number != 1 else "other",
                }
                assert await rows.insert(session, table, tenant, values, 1)

        server.run(server.application.installation.database.write(act))
        yield server


class TestExpanded:
    """A list inside its parent's answer goes on at the list's own address."""

    @pytest.mark.parametrize(
        ("nested", "aliases", "number"),
        [
            ("$filter=version eq 'expanded'", "", PAGE_SIZE + 3),
            ("$filter=version eq 'expanded';$orderby=lastConnectionDateTime desc", "", PAGE_SIZE + 3),
            ("$filter=displayName eq 'the & other''s';$select=id", "", PAGE_SIZE + 3),
            ("filter=version eq 'expanded' and displayName ne 'odd; one (out)';skip=1", "", PAGE_SIZE + 1),
            ("", "", PAGE_SIZE + 4),
            ("$top=1001;$filter=version eq 'expanded'", "", PAGE_SIZE + 1),
            ("$search=expanded", "", PAGE_SIZE + 3),
            ("$filter=version eq @p;$orderby=@q", "@p='expanded'&@q=displayName", PAGE_SIZE + 3),
        ],
    )
    def test_is_whole(self, full: Server, nested: str, aliases: str, number: int) -> None:
        options = f"$expand={quote(f'domainJoinConnectors({nested})' if nested else 'domainJoinConnectors')}&{aliases}"
        first = full.call("GET", f"/beta/deviceManagement?{options}").json
        found = [each["id"] for each in first["domainJoinConnectors"]]
        assert len(found) == PAGE_SIZE
        link = first["domainJoinConnectors@odata.nextLink"]
        found += [each for page in walk(full, link.removeprefix(ORIGIN), {}) for each in ids(page)]
        assert len(found) == len(set(found)) == number


def test_a_page_is_of_a_thousand_at_most(opens: Opens) -> None:
    server = opens()
    answer = server.call("GET", LIST, headers=page_size(PAGE_SIZE + 1))
    assert answer.headers["preference-applied"] == f"odata.maxpagesize={PAGE_SIZE}"
