"""Traces: one span a request, in the caller's trace where it names one, and nothing in it that could be a secret."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any, Final

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode
from tests.conftest import Opens
from tests.server import LIST, Server

from adjoin import config
from adjoin.config import BadConfig, Config
from adjoin.web.tracing import Traces

TRACE: Final = "0af7651916cd43dd8448eb211c80319c"
PARENT: Final = f"00-{TRACE}-b7ad6b7169203331-01"


@pytest.fixture
def spans() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def traced(server: Server, spans: InMemorySpanExporter) -> Iterator[Server]:
    """A service whose spans are kept here."""
    server.application._watches = True
    server.application._traces = Traces(SimpleSpanProcessor(spans))
    yield server
    server.application._traces.close()
    server.application._traces = None


def only(spans: InMemorySpanExporter) -> tuple[ReadableSpan, Mapping[str, Any]]:
    (span,) = spans.get_finished_spans()
    return span, dict(span.attributes or {})


def test_a_request_is_a_span(traced: Server, spans: InMemorySpanExporter) -> None:
    answer = traced.call("GET", f"{LIST}?$top=1")
    span, said = only(spans)
    assert (span.name, span.kind, span.parent) == ("domainJoinConnectors.list_entities", SpanKind.SERVER, None)
    assert said["http.request.method"] == "GET"
    assert said["http.response.status_code"] == 200
    assert (said["url.path"], said["url.scheme"]) == (LIST, "http")
    assert said["adjoin.request_id"] == answer.headers["request-id"]
    stages = [said[f"adjoin.{name}.seconds"] for name in ("read", "auth", "store", "write")]
    assert sum(stages) == pytest.approx(said["adjoin.total.seconds"])
    assert span.start_time is not None
    assert span.end_time is not None
    assert span.end_time > span.start_time
    assert span.status.status_code is StatusCode.UNSET


@pytest.mark.parametrize("times", [1, 2])
def test_it_goes_on_with_the_callers_trace(traced: Server, spans: InMemorySpanExporter, times: int) -> None:
    for _ in range(times):
        spans.clear()
        traced.call("GET", LIST, headers={"traceparent": PARENT})
    span, _ = only(spans)
    assert span.parent is not None
    assert f"{span.parent.trace_id:032x}" == f"{span.context.trace_id:032x}" == TRACE


def test_a_refusal_is_one_too_and_only_a_fault_is_an_error(traced: Server, spans: InMemorySpanExporter) -> None:
    assert traced.call("GET", LIST, token=None).status == 401
    span, said = only(spans)
    assert (said["http.response.status_code"], span.status.status_code) == (401, StatusCode.UNSET)


def test_no_query_header_or_body_is_in_it(traced: Server, spans: InMemorySpanExporter) -> None:
    token = traced.token()
    traced.call("POST", LIST, {"displayName": "hidden"}, {"x-own": "hidden"}, token=token)
    traced.call("GET", f"{LIST}?$filter=displayName eq 'hidden'", token=token)
    said = "".join(span.to_json() for span in spans.get_finished_spans())
    assert "hidden" not in said
    assert token not in said


def test_they_are_sent_by_otlp_before_the_service_has_stopped(opens: Opens, monkeypatch: pytest.MonkeyPatch) -> None:
    came: list[tuple[str, bytes]] = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            came.append((self.path, self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Collector) as collector:
        threading.Thread(target=collector.serve_forever, daemon=True).start()
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{collector.server_port}")
        monkeypatch.setenv("OTEL_SERVICE_NAME", "adjoin of the tests")
        server = opens(traces=True)
        answer = server.call("GET", LIST)
        assert "server-timing" not in answer.headers
        server.run(server.application.close())
        collector.shutdown()
    ((path, body),) = came
    assert path == "/v1/traces"
    assert b"domainJoinConnectors.list_entities" in body
    assert b"adjoin of the tests" in body


def test_without_opentelemetry_the_setting_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "_TRACES", "no_such_module")
    config.check(Config())
    with pytest.raises(BadConfig, match=r"pip install 'adjoin\[otel\]'"):
        config.check(Config(traces=True))
