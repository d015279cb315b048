"""`/metrics` for Prometheus: every figure of the last look, queue by queue."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from taskfleet.controller.datapoints import datapoints
from taskfleet.controller.fleet_snapshot import FleetSnapshot
from taskfleet.measuring.families import families

_QUEUE_FIGURES = {
    "waiting": "messages that could run now, of all priorities",
    "unacknowledged": "fetched and not yet acknowledged",
    "scheduled": "waiting for their ETA",
    "parked": "kept in Redis until the dead-letter store has them",
    "oldest_age_seconds": "age of the oldest waiting message",
    "fallback": "messages in the fallback queue on SQS, in flight and delayed ones included",
}
_QUEUE_LABELS = ("environment", "release", "pool", "queue")


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
        taken = GaugeMetricFamily("taskfleet_look_timestamp_seconds", "when the look was taken")
        taken.add_metric([], look.at)
        yield taken
        yield from _contract_metrics(look)
        yield from _queues(look)
        states = GaugeMetricFamily(
            "taskfleet_release_info",
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
        name = "taskfleet" + re.sub("([A-Z])", lambda m: f"_{m[1].lower()}", point.metric.name)
        labels = [label.lower() for label in point.metric.dimensions]
        family = families.setdefault(name, GaugeMetricFamily(name, point.metric.help, labels=labels))
        family.add_metric(list(point.dimensions.values()), point.value)
    yield from families.values()


def _queues(look: FleetSnapshot) -> Iterator[GaugeMetricFamily]:
    for figure, help_text in _QUEUE_FIGURES.items():
        family = GaugeMetricFamily(f"taskfleet_queue_{figure}", help_text, labels=_QUEUE_LABELS)
        for release in look.releases:
            for pool in release.pools:
                for queue in pool.queues:
                    value = getattr(queue, figure)
                    if value is not None:
                        labels = [look.environment, release.release, pool.pool, queue.queue]
                        family.add_metric(labels, value)
        yield family
