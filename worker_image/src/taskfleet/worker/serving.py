"""A worker's `/metrics`, where it has a port: what its tasks experienced, since it began."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from taskfleet import scraped
from taskfleet.contract.environment import METRICS_PORT
from taskfleet.logs import logger
from taskfleet.measuring.families import families
from taskfleet.worker.tally import Tally

LABELS = ("environment", "release", "pool", "queue", "task")


class Tasks(Collector):
    """The counts of the main process, which are those of all its children."""

    def __init__(self, settings: Any, tally: Tally) -> None:
        self._of = (settings.environment, settings.release, settings.pool)
        self._tally = tally

    def collect(self) -> Iterator[Metric]:
        """Called by prometheus_client."""
        return families({(*self._of, *key): counts for key, counts in self._tally.totals().items()}, LABELS)


def serve(settings: Any, tally: Tally) -> None:
    """Begin, for as long as the process lives. A port that is taken keeps no worker from its tasks."""
    if settings.metrics_port is None:
        return
    try:
        scraped.serve(Tasks(settings, tally), port=settings.metrics_port)
    except OSError as error:
        logger.error(
            "/metrics is not served: port %d: %s; another port: %s",
            settings.metrics_port,
            error,
            METRICS_PORT.name,
        )
