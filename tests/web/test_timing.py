"""`Server-Timing`: which stages it names, and that nobody pays for it who does not want it."""

from __future__ import annotations

import re

from tests.conftest import Opens
from tests.server import LIST, PUBLISHED, Answer, Server


def stages(answer: Answer) -> dict[str, float]:
    found = re.findall(r"(\w+);dur=([\d.]+)", answer.headers["server-timing"])
    return {name: float(milliseconds) for name, milliseconds in found}


def test_is_off_by_default(server: Server) -> None:
    assert "server-timing" not in server.call("GET", LIST).headers


def test_names_the_stages_of_a_read_and_of_a_write(opens: Opens) -> None:
    server = opens(server_timing=True)
    for answer in (server.call("GET", LIST), server.call("POST", LIST, PUBLISHED)):
        assert answer.status < 300
        found = stages(answer)
        assert list(found) == ["read", "auth", "store", "write", "total"]
        assert found["store"] > 0
        assert abs(sum(found.values()) - 2 * found["total"]) < 0.01


def test_a_refused_request_has_its_times_too(opens: Opens) -> None:
    assert stages(opens(server_timing=True).call("GET", LIST, token=None))["store"] == 0


def test_batches_go_as_before(opens: Opens) -> None:
    server = opens(server_timing=True)
    items = [{"id": "1", "method": "GET", "url": LIST.removeprefix("/beta")}]
    answer = server.call("POST", "/beta/$batch", {"requests": items})
    assert answer.json["responses"][0]["status"] == 200
    assert "server-timing" not in answer.json["responses"][0]["headers"]
