"""What this service has of OData 4.0 Advanced, A4.2 to A4.16, and of 4.01 Advanced; the rest is answered 501."""

from __future__ import annotations

import json
from email.parser import BytesParser
from xml.etree import ElementTree

import pytest
from tests.conformance.conftest import ROWS
from tests.conformance.service import BODY, EVENTS, LIST, MANAGEMENT, Answer, Service

ALPHA, BETA, GAMMA, NEIL, NULL = (row[0] for row in ROWS)
ALL = [ALPHA, BETA, GAMMA, NEIL, NULL]
NAME = "domainJoinConnectors"


def expanded(service: Service, options: str) -> list[str | None]:
    answer = service.get(MANAGEMENT, expand=f"{NAME}({options})")
    assert answer.status == 200, answer.text
    return [each["displayName"] for each in answer.json[NAME]]


def test_a4_2_metadata_as_xml(service: Service) -> None:
    assert ElementTree.fromstring(service.get("/beta/$metadata", {"Accept": "application/xml"}).body) is not None


def test_a4_3_json(service: Service) -> None:
    assert service.get(LIST).values("displayName") == ALL


def test_a4_4_count_of_a_collection(service: Service) -> None:
    assert service.get(f"{LIST}/$count").text == "5"
    event = service.get(EVENTS, top="1").values("id")[0]
    assert service.get(f"{EVENTS}/{event}/resources/$count").text == "1"


@pytest.mark.parametrize("expression", ["resources/any()", "resources/all(r:r/resourceId ne null)"])
def test_a4_5_any_and_all_are_not_implemented(service: Service, expression: str) -> None:
    assert service.get(EVENTS, filter=expression).status == 501


def test_a4_6_skip(service: Service) -> None:
    assert service.get(LIST, skip="3").values("displayName") == [NEIL, NULL]


def test_a4_7_count(service: Service) -> None:
    assert service.get(LIST, count="true").json["@odata.count"] == 5


def test_a4_8_orderby(service: Service) -> None:
    assert service.get(LIST, orderby="version desc,displayName asc").values("displayName")[:2] == [NULL, NEIL]


def test_a4_9_expand(service: Service) -> None:
    assert expanded(service, "$select=displayName") == ALL


def test_a4_9_1_references_are_not_implemented(service: Service) -> None:
    assert service.get(MANAGEMENT, expand=f"{NAME}/$ref").status == 501


def test_a4_9_2_filter(service: Service) -> None:
    assert expanded(service, "$filter=contains(displayName,'East') and state ne 'error'") == [ALPHA]


def test_a4_9_4_orderby(service: Service) -> None:
    assert expanded(service, "$orderby=displayName desc") == [NEIL, GAMMA, BETA, ALPHA, NULL]


def test_a4_9_5_count(service: Service) -> None:
    answer = service.get(MANAGEMENT, expand=f"{NAME}($count=true;$top=1;$filter=state eq 'active')").json
    assert answer[f"{NAME}@odata.count"] == 2


def test_a4_9_6_top_and_skip(service: Service) -> None:
    assert expanded(service, "$skip=1;$top=2") == [BETA, GAMMA]


def test_a4_9_7_search(service: Service) -> None:
    assert expanded(service, '$search="alpha east" OR gamma') == [ALPHA, GAMMA]


def test_a4_9_8_levels_are_not_implemented(service: Service) -> None:
    assert service.get(MANAGEMENT, expand=f"{NAME}($levels=max)").status == 501


def test_a4_9_9_compute_is_not_implemented(service: Service) -> None:
    assert service.get(MANAGEMENT, expand=f"{NAME}($compute=1 as x)").status == 501


def test_a4_10_search(service: Service) -> None:
    assert service.get(LIST, search="east NOT beta").values("displayName") == [ALPHA]


class TestMultipartBatch:
    """11.7.7."""

    def send(self, service: Service, *parts: str, prefer: str = "") -> tuple[Answer, list[tuple[int, str]]]:
        """Send the parts; the status and body of each answer."""
        body = "".join(f"--b\r\n{part}\r\n" for part in parts) + "--b--\r\n"
        headers = {"Content-Type": "multipart/mixed; boundary=b", "Accept": "multipart/mixed", "Prefer": prefer}
        answer = service.ask("POST", "/beta/$batch", body.encode(), headers)
        assert answer.status == 200, answer.text
        head = f"Content-Type: {answer.headers['content-type']}\r\n\r\n".encode()
        message = BytesParser().parsebytes(head + answer.body)
        texts = [each.get_payload() for each in message.walk() if each.get_content_type() == "application/http"]
        return answer, [(int(str(each).split()[1]), str(each).replace("\r", "").partition("\n\n")[2]) for each in texts]

    def one(self, method: str, url: str, body: object = None, name: str = "1") -> str:
        content = "" if body is None else json.dumps(body)
        head = f"Content-Type: application/http\r\nContent-Transfer-Encoding: binary\r\nContent-ID: {name}\r\n"
        return f"{head}\r\n{method} {url} HTTP/1.1\r\nContent-Type: application/json\r\n\r\n{content}"

    def change_set(self, *parts: str) -> str:
        inner = "".join(f"--c\r\n{part}\r\n" for part in parts)
        return f"Content-Type: multipart/mixed; boundary=c\r\n\r\n{inner}--c--\r\n"

    def test_a4_11_reads_and_changes(self, service: Service) -> None:
        answer, (read, made, count) = self.send(
            service,
            self.one("GET", f"{LIST}?$top=1&$select=displayName"),
            self.change_set(self.one("POST", "deviceManagement/domainJoinConnectors", dict(BODY))),
            self.one("GET", "http://graph.test" + LIST + "/$count"),
        )
        assert answer.headers["content-type"].startswith("multipart/mixed")
        assert (read[0], json.loads(read[1])["value"][0]["displayName"]) == (200, ALPHA)
        assert made[0] == 201
        assert count == (200, "6")

    def test_a4_11_a_change_set_is_carried_out_whole_or_not_at_all(self, service: Service) -> None:
        _, answers = self.send(
            service, self.change_set(self.one("POST", LIST, dict(BODY)), self.one("POST", LIST, {"state": "x"}, "2"))
        )
        assert [status for status, _ in answers] == [400]
        assert service.get(f"{LIST}/$count").text == "5"

    def test_a4_11_a_change_refers_to_an_earlier_one(self, service: Service) -> None:
        _, answers = self.send(
            service, self.change_set(self.one("POST", LIST, dict(BODY)), self.one("PATCH", "$1", {"version": "9"}, "2"))
        )
        assert [status for status, _ in answers] == [201, 200]
        assert service.get(LIST, filter="version eq '9'").values("displayName") == [BODY["displayName"]]

    @pytest.mark.parametrize(
        ("prefer", "statuses"),
        [
            ("", [404]),
            ("odata.continue-on-error", [404, 200]),
            ("continue-on-error", [404, 200]),
            ("continue-on-error=true", [404, 200]),
            ("continue-on-error=false", [404]),
        ],
    )
    def test_a4_11_goes_on_after_an_error_if_asked(self, service: Service, prefer: str, statuses: list[int]) -> None:
        missing = f"{LIST}/00000000-0000-0000-0000-000000000000"
        _, answers = self.send(service, self.one("GET", missing), self.one("GET", LIST), prefer=prefer)
        assert [status for status, _ in answers] == statuses

    def test_a41_7_both_batch_formats(self, service: Service) -> None:
        body = {"requests": [{"id": "a", "method": "GET", "url": f"/deviceManagement/{NAME}/$count"}]}
        (answer,) = service.ask("POST", "/beta/$batch", body).json["responses"]
        assert (answer["id"], answer["status"]) == ("a", 200)
        assert self.send(service, self.one("GET", f"{LIST}/$count"))[1] == [(200, "5")]

    def test_a41_7_no_groups_and_no_references_in_json(self, service: Service) -> None:
        first = {"id": "a", "method": "GET", "url": f"/deviceManagement/{NAME}"}
        group = {"requests": [{**first, "atomicityGroup": "g"}]}
        assert service.ask("POST", "/beta/$batch", group).status == 501
        reference = {"id": "b", "method": "GET", "url": "$a/$count", "dependsOn": ["a"]}
        answers = service.ask("POST", "/beta/$batch", {"requests": [first, reference]}).json["responses"]
        assert [(each["id"], each["status"]) for each in answers] == [("a", 200), ("b", 400)]


@pytest.mark.parametrize("path", [f"{LIST}/$ref", f"{LIST}/$each", "/beta/$all", "/beta/$entity?$id=x"])
def test_a4_12_what_is_not_served_of_resource_paths(service: Service, path: str) -> None:
    assert service.get(path).status == 501


def test_a4_13_requests_are_answered_at_once(service: Service) -> None:
    assert service.get(LIST, {"Prefer": "respond-async"}).status == 200


def test_a4_14_no_change_tracking(service: Service) -> None:
    answer = service.get(LIST, {"Prefer": "odata.track-changes"})
    assert "deltaLink" not in answer.text
    assert service.get(LIST, deltatoken="x").status == 501


def test_a4_15_no_crossjoin(service: Service) -> None:
    assert service.get("/beta/$crossjoin(deviceManagement)").status == 501


def test_a4_16_no_compute(service: Service) -> None:
    assert service.get(LIST, compute="length(version) as x").status == 501


def test_a41_4_no_compute(service: Service) -> None:
    assert service.get(MANAGEMENT, compute="id as x").status == 501


@pytest.mark.parametrize("option", ["$filter", "$search"])
def test_a41_3_count_of_a_part_of_a_collection_is_not_implemented(service: Service, option: str) -> None:
    within = "resourceId ne null" if option == "$filter" else "a"
    assert service.get(EVENTS, filter=f"resources/$count({option}={within}) gt 0").status == 501


@pytest.mark.parametrize("option", ["$filter=true", "$search=a", "$count=true", "$orderby=a", "$skip=1", "$top=1"])
def test_a41_5_options_within_select_are_not_implemented(service: Service, option: str) -> None:
    assert service.get(EVENTS, select=f"resources({option})").status == 501


def test_a41_6_metadata_as_json(service: Service) -> None:
    for answer in (service.get("/beta/$metadata"), service.get("/beta/$metadata?$format=json", {"Accept": "*/*"})):
        assert answer.headers["content-type"] == "application/json"
        assert answer.json["$EntityContainer"] == "microsoft.graph.GraphService"


def test_a41_8_no_filter_segment(service: Service) -> None:
    assert service.get(f"{LIST}/$filter(true)").status == 501


def test_a41_9_no_aliases_within_an_option(service: Service) -> None:
    assert service.get(MANAGEMENT, expand=f"{NAME}(@a='x';$filter=displayName eq @a)").status in (400, 501)


@pytest.mark.parametrize("path", [LIST.upper().replace("/BETA", "/Beta"), LIST.lower()])
def test_a41_10_names_in_any_case(service: Service, path: str) -> None:
    answer = service.get(path, filter="STATE eq 'ACTIVE'", select="DISPLAYNAME", orderby="Version DESC")
    assert answer.values("displayName") == [NEIL, ALPHA]
