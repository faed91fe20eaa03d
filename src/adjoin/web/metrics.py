"""`/metrics` in Prometheus' text form.

The client library only writes it: its own counters cost several times what plain numbers do, on each request.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import accumulate

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.registry import Collector

from adjoin import __version__
from adjoin.identity.parties import Parties
from adjoin.store.commits import Commits, Histogram
from adjoin.web.exchange import Response
from adjoin.web.meter import Meter


def page(meter: Meter, commits: Commits, parties: Parties) -> Response:
    """The numbers of an application, and those of its process."""
    registry = CollectorRegistry()
    registry.register(_Own([*_requests(meter), *_commits(commits), *_others(parties)]))
    for collector in (ProcessCollector, PlatformCollector, GCCollector):
        collector(registry=registry)
    return Response(200, generate_latest(registry), CONTENT_TYPE_PLAIN_0_0_4)


class _Own(Collector):
    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


def _requests(meter: Meter) -> Iterator[Metric]:
    answers = CounterMetricFamily("adjoin_requests", "Requests answered.", labels=["operation", "status"])
    for (operation, status), number in meter.answers.items():
        answers.add_metric([operation, str(status)], number)
    yield answers
    name, said = "adjoin_request_duration_seconds", "From the request's head to the answer's end."
    seconds = HistogramMetricFamily(name, said, labels=["operation"])
    for operation, times in meter.seconds.items():
        seconds.add_metric([operation], _buckets(times), times.total)
    yield seconds
    yield GaugeMetricFamily("adjoin_requests_under_way", "Requests begun and not answered.", meter.under_way)
    yield GaugeMetricFamily("adjoin_requests_waiting", "Those that wait for their body, or for work.", meter.waiting)
    yield GaugeMetricFamily("adjoin_requests_limit", "Requests worked on at a time; more get 503.", meter.limit)


def _commits(commits: Commits) -> Iterator[Metric]:
    sizes = HistogramMetricFamily("adjoin_commit_writes", "Writes that share a commit.")
    sizes.add_metric([], _buckets(commits.sizes), commits.sizes.total)
    yield sizes
    seconds = HistogramMetricFamily("adjoin_commit_duration_seconds", "A commit with its writes.")
    seconds.add_metric([], _buckets(commits.seconds), commits.seconds.total)
    yield seconds
    yield CounterMetricFamily("adjoin_commits_refused", "Commits that the database did not take.", commits.refused)
    yield GaugeMetricFamily("adjoin_writes_waiting", "Writes queued or being done.", commits.waiting())


def _others(parties: Parties) -> Iterator[Metric]:
    lookups = CounterMetricFamily("adjoin_token_cache_lookups", "Tokens sought among verified ones.", labels=["result"])
    lookups.add_metric(["hit"], parties.tokens.hits)
    lookups.add_metric(["miss"], parties.tokens.misses)
    yield lookups
    version = GaugeMetricFamily("adjoin_info", "The version that runs.", labels=["version"])
    version.add_metric([__version__], 1)
    yield version


def _buckets(histogram: Histogram) -> list[tuple[str, float]]:
    """Each bound with how many values were at most it, as Prometheus has them."""
    bounds = [*(str(float(bound)) for bound in histogram.bounds), "+Inf"]
    return list(zip(bounds, accumulate(histogram.counts), strict=True))
