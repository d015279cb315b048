"""What controller and workers serve of a small fleet: their own collectors, on counts that grow."""

from __future__ import annotations

import time
from collections.abc import Mapping

from prometheus_client.registry import Collector
from taskfleet.contract import figures
from taskfleet.controller import prometheus
from taskfleet.controller.fleet_snapshot import (
    FleetSnapshot,
    PoolSnapshot,
    QueueSnapshot,
    ReleaseSnapshot,
    RunsSnapshot,
)
from taskfleet.worker import serving

ENVIRONMENT, RELEASE, POOL, QUEUE, TASK = "dev", "r1", "low", "low", "shop.report"


class Growing:
    """As many more runs with each look at them."""

    def __init__(self) -> None:
        self._scrapes = 0

    def totals(self) -> dict[tuple[str, str], dict[str, int]]:
        """As `taskfleet.worker.tally.Tally.totals`."""
        self._scrapes += 1
        counts = {
            f"{figures.OUTCOME}:{figures.SUCCEEDED}": 20,
            f"{figures.OUTCOME}:{figures.FAILED}": 1,
            f"{figures.OUTCOME}:{figures.RETRIED}": 1,
            f"{figures.EXCEPTION}:KeyError": 1,
            f"{figures.WAIT}:0:8": 22,
            f"{figures.RUNTIME}:16": 22,
            f"{figures.MEMORY}:4": 2,
        }
        return {(QUEUE, TASK): {name: count * self._scrapes for name, count in counts.items()}}


def look() -> FleetSnapshot:
    """All is known, and something waits."""
    runs = RunsSnapshot(ended=100, failed=1, retried=1, wait_p50_seconds=0.2, wait_p95_seconds=1.5)
    queue = QueueSnapshot(
        queue=QUEUE,
        waiting=7,
        unacknowledged=3,
        scheduled=1,
        oldest_age_seconds=4.5,
        fallback=0,
        held_seconds=2.0,
        unfetched_seconds=0.0,
        runs=runs,
    )
    pool = PoolSnapshot(
        pool=POOL,
        slots=4,
        min_workers=2,
        max_workers=10,
        latency_target_seconds=60,
        desired=2,
        running=2,
        fallback_desired=0,
        fallback_running=0,
        gap=1,
        fallback_gap=0,
        failed=0,
        arrivals=2.0,
        completions=1.5,
        runs=runs,
        queues=(queue,),
    )
    release = ReleaseSnapshot(
        release=RELEASE,
        state="current",
        ready=True,
        since=1.0,
        image="i",
        reason="",
        empty_looks=0,
        overdue=False,
        pools=(pool,),
    )
    return FleetSnapshot(
        environment=ENVIRONMENT,
        at=time.time(),
        took_seconds=0.1,
        current=RELEASE,
        published=RELEASE,
        broker_up=True,
        fallback_up=True,
        beat_age_seconds=1.0,
        dead_letters={QUEUE: 0},
        new_dead_letters=0,
        drain_overdue=0,
        releases=(release,),
        etas_late_seconds=0.0,
    )


def controller() -> tuple[Collector, ...]:
    """What `taskfleet.controller.main` serves."""
    growing = Growing()

    def counted() -> Mapping[tuple[str, ...], Mapping[str, int]]:
        return {(ENVIRONMENT, RELEASE, *key): counts for key, counts in growing.totals().items()}

    return prometheus.Looks(look), prometheus.Tasks(counted)


class Settings:
    """Of a worker, as far as `serving.Tasks` reads them."""

    environment, release, pool = ENVIRONMENT, RELEASE, POOL


def worker() -> tuple[Collector, ...]:
    """What `taskfleet.worker.serving` serves."""
    return (serving.Tasks(Settings(), Growing()),)  # type: ignore[arg-type]
