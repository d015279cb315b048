"""A look as metrics, each typed by the contract. What is not known has no datapoint: alarms then hold."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from taskfleet.contract import metrics
from taskfleet.contract.metrics import ENVIRONMENT, NAMESPACE, POOL, RELEASE, Metric
from taskfleet.controller.fleet_snapshot import FleetSnapshot, PoolSnapshot, total

_AT_ONCE = 1000  # PutMetricData
_RESOLUTION_SECONDS = 1  # high resolution, or alarms with a period of 10 s have nothing to look at


@dataclass(frozen=True)
class Datapoint:
    """One value of one metric."""

    metric: Metric
    dimensions: dict[str, str]
    value: float


def datapoints(look: FleetSnapshot) -> list[Datapoint]:
    """All that is known."""
    fleet = {ENVIRONMENT: look.environment}
    found = [(metric, fleet, value) for metric, value in _fleet(look)]
    for release in look.releases:
        for pool in release.pools:
            dimensions = {ENVIRONMENT: look.environment, POOL: pool.pool, RELEASE: release.release}
            found += [(metric, dimensions, value) for metric, value in _pool(pool)]
    return [Datapoint(m, m.values(**d), float(value)) for m, d, value in found if value is not None]


def _fleet(look: FleetSnapshot) -> Iterator[tuple[Metric, float | None]]:
    yield metrics.CONTROLLER_TICK, 1
    yield metrics.BROKER_UP, look.broker_up
    yield metrics.FALLBACK_UP, look.fallback_up
    yield metrics.BEAT_AGE, look.beat_age_seconds
    yield metrics.ETAS_LATE, look.etas_late_seconds
    yield metrics.DRAIN_OVERDUE, look.drain_overdue
    yield metrics.NEW_DEAD_LETTERS, look.new_dead_letters
    yield metrics.DEAD_LETTERS, total(look.dead_letters.values())


def _pool(pool: PoolSnapshot) -> Iterator[tuple[Metric, float | None]]:
    yield metrics.WAITING, pool.waiting
    yield metrics.UNACKNOWLEDGED, pool.unacknowledged
    yield metrics.OLDEST_AGE, pool.oldest_age_seconds
    yield metrics.CAPACITY_GAP, pool.gap
    yield metrics.RUNNING_WORKERS, pool.running
    yield metrics.FALLBACK_WAITING, pool.fallback
    yield metrics.FALLBACK_GAP, pool.fallback_gap
    yield metrics.FAILED_WORKERS, pool.failed
    yield metrics.OLDEST_HELD, pool.held_seconds
    yield metrics.UNFETCHED, pool.unfetched_seconds
    runs = pool.runs
    if runs is not None and runs.ended >= metrics.ENOUGH_RUNS:
        yield metrics.FAILED_RUNS, 100 * runs.failed / runs.ended
        yield metrics.RETRIED_RUNS, 100 * runs.retried / runs.ended


def put(cloudwatch: Any, points: list[Datapoint], *, at: float) -> None:
    """Publish them in one call (a thousand at most in each). Errors of AWS pass through."""
    when = datetime.fromtimestamp(at, UTC)
    for start in range(0, len(points), _AT_ONCE):
        data = [_datum(point, when) for point in points[start : start + _AT_ONCE]]
        cloudwatch.put_metric_data(Namespace=NAMESPACE, MetricData=data)


def _datum(point: Datapoint, when: datetime) -> dict[str, Any]:
    return {
        "MetricName": point.metric.name,
        "Dimensions": [{"Name": name, "Value": value} for name, value in point.dimensions.items()],
        "Timestamp": when,
        "Value": point.value,
        "Unit": point.metric.unit,
        "StorageResolution": _RESOLUTION_SECONDS,
    }
