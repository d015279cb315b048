"""What was counted of tasks, as Prometheus' counters and histograms: for all who serve `/metrics`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric

from taskfleet.contract import figures
from taskfleet.measuring.histogram import LAST, PER_DOUBLING, Histogram, bound
from taskfleet.measuring.tasks import Figures, parsed

# Prometheus gets every eighth bound: from a millisecond on, each four times the one before.
_BOUNDS = range(0, LAST + 1, 2 * PER_DOUBLING)
_GIB = 1024**3

ENDED = "taskfleet_tasks"
EXCEPTIONS = "taskfleet_task_exceptions"
UNSURE = "taskfleet_task_unsure_waits"
RUNTIME = "taskfleet_task_runtime_seconds"
WAIT = "taskfleet_task_wait_seconds"
MEMORY = "taskfleet_task_memory_bytes"

LABELS = ("environment", "release", "queue", "task")


def families(
    counts: Mapping[tuple[str, ...], Mapping[str, int]], labels: tuple[str, ...] = LABELS
) -> Iterator[Metric]:
    """The families of counts by the values of ``labels``."""
    known = {key: parsed(each) for key, each in sorted(counts.items())}
    yield _ended(known, labels)
    yield _exceptions(known, labels)
    unsure = CounterMetricFamily(UNSURE, "waits that two machines' clocks measured", labels=labels)
    runtime = HistogramMetricFamily(RUNTIME, "from a task's start to its end", labels=labels)
    priority = (*labels, "priority")
    wait = HistogramMetricFamily(
        WAIT, "from a message's publishing, or its ETA, to its start", labels=priority
    )
    memory = HistogramMetricFamily(
        MEMORY, "of the child that ran a task, after it; looked at now and then", labels=labels
    )
    for key, each in known.items():
        unsure.add_metric(key, each.unsure_waits)
        runtime.add_metric(key, *_buckets(each.runtime))
        for step, waited in each.waits.items():
            wait.add_metric([*key, str(step)], *_buckets(waited))
        if each.memory_gib.count:
            memory.add_metric(key, *_buckets(each.memory_gib, unit=_GIB))
    yield from (unsure, runtime, wait, memory)


def _ended(known: Mapping[tuple[str, ...], Figures], labels: tuple[str, ...]) -> Metric:
    family = CounterMetricFamily(ENDED, "runs of tasks, by how they ended", labels=(*labels, "outcome"))
    for key, each in known.items():
        for outcome in figures.OUTCOMES:
            family.add_metric([*key, outcome], getattr(each, outcome))
    return family


def _exceptions(known: Mapping[tuple[str, ...], Figures], labels: tuple[str, ...]) -> Metric:
    family = CounterMetricFamily(
        EXCEPTIONS, "runs that failed, were retried or rejected", labels=(*labels, "exception")
    )
    for key, each in known.items():
        for exception, count in sorted(each.exceptions.items()):
            family.add_metric([*key, exception], count)
    return family


def _buckets(histogram: Histogram, *, unit: float = 1.0) -> tuple[list[tuple[str, float]], float]:
    """As prometheus_client takes them: how many are not above each bound, and the sum."""
    below = [
        (f"{bound(at) * unit:.12g}", sum(n for number, n in histogram.counts.items() if number <= at))
        for at in _BOUNDS
        if at < LAST
    ]
    return [*below, ("+Inf", histogram.count)], histogram.sum * unit
