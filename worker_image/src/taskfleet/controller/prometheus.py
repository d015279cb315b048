"""`/metrics` for Prometheus: every figure of the last look, queue by queue."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from taskfleet.contract import metrics as contract
from taskfleet.controller.datapoints import datapoints
from taskfleet.controller.fleet_snapshot import FleetSnapshot
from taskfleet.measuring.families import families

LOOKED_AT = "taskfleet_look_timestamp_seconds"
RELEASES = "taskfleet_release_info"

_QUEUE_FIGURES = {
    "waiting": "messages that could run now, of all priorities",
    "unacknowledged": "fetched and not yet acknowledged",
    "scheduled": "waiting for their ETA",
    "parked": "kept in Redis until the dead-letter store has them",
    "oldest_age_seconds": "age of the oldest waiting message",
    "fallback": "messages in the fallback queue on SQS, in flight and delayed ones included",
    "fallback_waited_seconds": "for how long some of them could be fetched in every look",
    "held_seconds": "since the oldest unacknowledged message was fetched",
    "unfetched_seconds": "for how long nobody has fetched what waits, although slots are free",
}
_POOL_FIGURES = {
    "latency_target_seconds": ("latency_target_seconds", "how long a task may wait, by the settings"),
    "min_workers": ("min_workers", "the fewest workers, by the settings"),
    "max_workers": ("max_workers", "the most workers, by the settings"),
    "arrivals_per_second": ("arrivals", "tasks that arrive on Redis, over half a minute"),
    "completions_per_second": ("completions", "tasks that come to their end on Redis, over half a minute"),
    "busy_slots": ("unacknowledged", "tasks that keep a slot busy, a helping pool's too"),
    "slots": ("total_slots", "of the pool's running workers on Redis"),
}
_RUNS_FIGURES = {
    "recent_runs": ("ended", "runs that came to their end in the last five minutes"),
    "recent_runs_failed": ("failed", "of these: failed, rejected or lost"),
    "recent_runs_retried": ("retried", "of these: to be tried again"),
    "recent_wait_p50_seconds": ("wait_p50_seconds", "half of them waited no longer"),
    "recent_wait_p95_seconds": ("wait_p95_seconds", "95 in 100 of them waited no longer"),
}
_POOL_LABELS = ("environment", "release", "pool")
_QUEUE_LABELS = (*_POOL_LABELS, "queue")


def gauge(metric: contract.Metric) -> str:
    """What a metric of CloudWatch is called here."""
    return "taskfleet" + re.sub("([A-Z])", lambda m: f"_{m[1].lower()}", metric.name)


def pool_gauge(figure: str) -> str:
    """The series of one of a pool's figures."""
    if figure not in _POOL_FIGURES:
        raise ValueError(f"no figure of a pool is called {figure!r}: {', '.join(_POOL_FIGURES)}")
    return f"taskfleet_pool_{figure}"


class Tasks(Collector):
    """What workers counted of their tasks, since this controller began (``counted``)."""

    def __init__(self, counted: Callable[[], Mapping[tuple[str, ...], Mapping[str, int]]]) -> None:
        self._counted = counted

    def collect(self) -> Iterator[Metric]:
        """Called by prometheus_client."""
        return families(self._counted())


class Looks(Collector):
    """Turns the last look into gauges at each scrape. What is not known has no sample."""

    def __init__(self, last: Callable[[], FleetSnapshot | None]) -> None:
        self._last = last

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Called by prometheus_client."""
        look = self._last()
        if look is None:
            return
        taken = GaugeMetricFamily(LOOKED_AT, "when the look was taken", labels=("environment",))
        taken.add_metric([look.environment], look.at)
        yield taken
        yield from _contract_metrics(look)
        yield from _queues(look)
        yield from _pools(look)
        states = GaugeMetricFamily(
            RELEASES,
            "1 for the state of each release",
            labels=("environment", "release", "state"),
        )
        for release in look.releases:
            states.add_metric([look.environment, release.release, release.state], 1)
        yield states


def _contract_metrics(look: FleetSnapshot) -> Iterator[GaugeMetricFamily]:
    """The series that CloudWatch gets, under Prometheus' kind of names."""
    families: dict[str, GaugeMetricFamily] = {}
    for point in datapoints(look):
        name = gauge(point.metric)
        labels = [label.lower() for label in point.metric.dimensions]
        family = families.setdefault(name, GaugeMetricFamily(name, point.metric.help, labels=labels))
        family.add_metric(list(point.dimensions.values()), point.value)
    yield from families.values()


def _queues(look: FleetSnapshot) -> Iterator[GaugeMetricFamily]:
    queues = [
        ((look.environment, release.release, pool.pool, queue.queue), queue)
        for release in look.releases
        for pool in release.pools
        for queue in pool.queues
    ]
    for figure, help_text in _QUEUE_FIGURES.items():
        yield _family(f"queue_{figure}", help_text, _QUEUE_LABELS, figure, queues)
    runs = [(labels, queue.runs) for labels, queue in queues]
    for name, (figure, help_text) in _RUNS_FIGURES.items():
        yield _family(f"queue_{name}", help_text, _QUEUE_LABELS, figure, runs)


def _pools(look: FleetSnapshot) -> Iterator[GaugeMetricFamily]:
    pools = [
        ((look.environment, release.release, pool.pool), pool)
        for release in look.releases
        for pool in release.pools
    ]
    for name, (figure, help_text) in _POOL_FIGURES.items():
        yield _family(f"pool_{name}", help_text, _POOL_LABELS, figure, pools)
    runs = [(labels, pool.runs) for labels, pool in pools]
    for name, (figure, help_text) in _RUNS_FIGURES.items():
        yield _family(f"pool_{name}", help_text, _POOL_LABELS, figure, runs)


def _family(
    name: str,
    help_text: str,
    labels: tuple[str, ...],
    figure: str,
    of: Iterable[tuple[tuple[str, ...], object]],
) -> GaugeMetricFamily:
    """A sample of each that knows the figure."""
    family = GaugeMetricFamily(f"taskfleet_{name}", help_text, labels=labels)
    for values, each in of:
        value = getattr(each, figure, None)  # also where nothing of its runs is known
        if value is not None:
            family.add_metric(values, value)
    return family
