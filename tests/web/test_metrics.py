"""`/metrics`, as Prometheus' own reader understands it."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families
from tests.conftest import Opens
from tests.server import LIST, Server

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def samples(server: Server) -> Samples:
    answer = server.call("GET", "/metrics", token=None)
    assert (answer.status, answer.headers["content-type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(answer.body.decode())
        for sample in family.samples
    }


def value(found: Samples, name: str, **labels: str) -> float:
    return found[name, frozenset(labels.items())]


def test_shows_requests_commits_tokens_and_the_process(opens: Opens) -> None:
    server = opens(metrics="public")
    for _ in range(3):
        server.create()
    server.call("GET", LIST)
    found = samples(server)
    create, listing = "domainJoinConnectors.create_entity", "domainJoinConnectors.list_entities"
    assert value(found, "adjoin_requests_total", operation=create, status="201") == 3
    assert value(found, "adjoin_requests_total", operation=listing, status="200") == 1
    assert value(found, "adjoin_request_duration_seconds_count", operation=create) == 3
    assert value(found, "adjoin_request_duration_seconds_bucket", operation=create, le="+Inf") == 3
    assert value(found, "adjoin_requests_under_way") == 1
    assert value(found, "adjoin_requests_limit") == 1_024
    # The first start wrote, too.
    assert value(found, "adjoin_commit_writes_sum") == 4
    assert value(found, "adjoin_commit_writes_bucket", le="1.0") == 4
    assert value(found, "adjoin_commit_duration_seconds_count") == 4
    assert value(found, "adjoin_commits_refused_total") == 0
    assert value(found, "adjoin_writes_waiting") == 0
    assert value(found, "adjoin_token_cache_lookups_total", result="miss") == 1
    assert value(found, "adjoin_token_cache_lookups_total", result="hit") == 3
    assert value(found, "process_resident_memory_bytes") > 0
    assert value(found, "process_open_fds") > 0


def test_buckets_only_grow(opens: Opens) -> None:
    server = opens(metrics="public")
    server.create()
    buckets = [
        (float(dict(labels)["le"]), number)
        for (name, labels), number in samples(server).items()
        if name == "adjoin_commit_duration_seconds_bucket"
    ]
    numbers = [number for _, number in sorted(buckets)]
    assert numbers == sorted(numbers)


def test_two_applications_count_apart(opens: Opens) -> None:
    first, second = opens(metrics="public"), opens(metrics="public")
    first.create()
    assert not [name for name, _ in samples(second) if name == "adjoin_requests_total"]
    assert [name for name, _ in samples(first) if name == "adjoin_requests_total"]


def test_shows_nothing_that_a_client_chose(opens: Opens) -> None:
    server = opens(metrics="public")
    server.call("GET", "/evil-path", headers={"client-request-id": "evil-id", "user-agent": "evil-agent"})
    server.call("BREW", f"{LIST}/evil-key")
    assert b"evil" not in server.call("GET", "/metrics", token=None).body


def test_only_reading_is_allowed(opens: Opens) -> None:
    assert opens(metrics="public").call("POST", "/metrics", token=None).status == 405
