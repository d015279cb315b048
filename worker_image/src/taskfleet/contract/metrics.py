"""CloudWatch metrics that the controller publishes, and that alarms and the dashboard watch."""

from __future__ import annotations

from dataclasses import dataclass

NAMESPACE = "Taskfleet"

# High resolution (StorageResolution=1), or alarms with a period of 10 s have nothing to look at.
LOOK_SECONDS = 10

ENVIRONMENT = "Environment"
POOL = "Pool"
RELEASE = "Release"
QUEUE = "Queue"

_FLEET = (ENVIRONMENT,)
_POOL = (ENVIRONMENT, POOL, RELEASE)


@dataclass(frozen=True)
class Metric:
    """One metric: its name, CloudWatch unit, dimensions in order, and what it says."""

    name: str
    unit: str
    dimensions: tuple[str, ...]
    help: str

    def values(self, **dimensions: str) -> dict[str, str]:
        """The dimensions as a mapping, e.g. ``WAITING.values(Environment="dev", Pool=…, Release=…)``."""
        if set(dimensions) != set(self.dimensions):
            raise ValueError(f"{self.name} has the dimensions {self.dimensions}, not {tuple(dimensions)}")
        return {name: dimensions[name] for name in self.dimensions}


WAITING = Metric("Waiting", "Count", _POOL, "messages in the pool's own queues, all priority lists")
UNACKNOWLEDGED = Metric("Unacknowledged", "Count", _POOL, "fetched and not yet acknowledged, ETA included")
OLDEST_AGE = Metric("OldestAge", "Seconds", _POOL, "age of the oldest waiting message; 0 when none waits")
CAPACITY_GAP = Metric("CapacityGap", "Count", _POOL, "workers needed less workers wanted now; < 0: too many")
RUNNING_WORKERS = Metric("RunningWorkers", "Count", _POOL, "workers of the pool that ECS reports running")
FALLBACK_WAITING = Metric("FallbackWaiting", "Count", _POOL, "messages in the pool's SQS queues, in flight included")

CONTROLLER_TICK = Metric("ControllerTick", "Count", _FLEET, "1 for every look that the controller took")
BROKER_UP = Metric("BrokerUp", "Count", _FLEET, "1 if the primary broker answered, else 0")
FALLBACK_UP = Metric("FallbackUp", "Count", _FLEET, "1 if SQS answered, else 0")
BEAT_AGE = Metric("BeatAge", "Seconds", _FLEET, "since beat's last tick")
DRAIN_OVERDUE = Metric("DrainOverdue", "Count", _FLEET, "releases that drain longer than their deadline")
DEAD_LETTERS = Metric("DeadLetters", "Count", _FLEET, "messages in the dead-letter queues")

METRICS: tuple[Metric, ...] = tuple(m for m in list(globals().values()) if isinstance(m, Metric))
