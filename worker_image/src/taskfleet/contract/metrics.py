"""CloudWatch metrics that the controller and the workers publish, and that alarms and the dashboard watch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

NAMESPACE = "Taskfleet"

# High resolution (StorageResolution=1), or alarms with a period of 10 s have nothing to look at.
LOOK_SECONDS = 10

ENVIRONMENT = "Environment"
POOL = "Pool"
RELEASE = "Release"
QUEUE = "Queue"

# What counts events (failed workers, new dead letters) counts those of so long before a look: every event is
# in thirty looks, whatever some of them missed.
WINDOW_SECONDS = 300

# Shares of runs that failed or were retried say something from so many runs within that time on.
ENOUGH_RUNS = 20

_FLEET = (ENVIRONMENT,)
_POOL = (ENVIRONMENT, POOL, RELEASE)


@dataclass(frozen=True)
class Metric:
    """One metric: its name, CloudWatch unit, dimensions in order, and what it says."""

    name: str
    unit: str
    dimensions: tuple[str, ...]
    help: str
    namespace: str = NAMESPACE

    def values(self, **dimensions: str) -> dict[str, str]:
        """The dimensions as a mapping, e.g. ``WAITING.values(Environment="dev", Pool=…, Release=…)``."""
        if set(dimensions) != set(self.dimensions):
            raise ValueError(f"{self.name} has the dimensions {self.dimensions}, not {tuple(dimensions)}")
        return {name: dimensions[name] for name in self.dimensions}


# What the controller publishes.
WAITING = Metric("Waiting", "Count", _POOL, "messages in the pool's own queues, all priority lists")
UNACKNOWLEDGED = Metric("Unacknowledged", "Count", _POOL, "fetched and not yet acknowledged")
OLDEST_AGE = Metric("OldestAge", "Seconds", _POOL, "age of the oldest waiting message; 0 when none waits")
CAPACITY_GAP = Metric("CapacityGap", "Count", _POOL, "workers needed less workers wanted now; < 0: too many")
RUNNING_WORKERS = Metric("RunningWorkers", "Count", _POOL, "workers of the pool that ECS reports running")
FALLBACK_WAITING = Metric(
    "FallbackWaiting", "Count", _POOL, "messages in the pool's SQS queues, in flight included"
)
FALLBACK_GAP = Metric("FallbackGap", "Count", _POOL, "as CapacityGap, for the pool's workers on SQS")
FAILED_WORKERS = Metric(
    "FailedWorkers", "Count", _POOL, "workers that ended unasked in the five minutes before the look"
)

OLDEST_HELD = Metric(
    "OldestHeld",
    "Seconds",
    _POOL,
    "since the oldest unacknowledged message was fetched; 0 when there is none",
)
UNFETCHED = Metric(
    "Unfetched", "Seconds", _POOL, "for how long nobody has fetched what waits, although slots are free"
)
_OF_RUNS = f"of the runs that ended within five minutes, if {ENOUGH_RUNS} or more did"
FAILED_RUNS = Metric("FailedRuns", "Percent", _POOL, f"{_OF_RUNS}: those that failed")
RETRIED_RUNS = Metric("RetriedRuns", "Percent", _POOL, f"{_OF_RUNS}: those that are to be tried again")

CONTROLLER_TICK = Metric("ControllerTick", "Count", _FLEET, "1 for every look that the controller took")
BROKER_UP = Metric("BrokerUp", "Count", _FLEET, "1 if the primary broker answered, else 0")
FALLBACK_UP = Metric("FallbackUp", "Count", _FLEET, "1 if SQS answered, else 0")
BEAT_AGE = Metric("BeatAge", "Seconds", _FLEET, "since beat's last tick")
ETAS_LATE = Metric("EtasLate", "Seconds", _FLEET, "since the oldest far ETA that was not sent was due")
DRAIN_OVERDUE = Metric("DrainOverdue", "Count", _FLEET, "releases that drain longer than their deadline")
NEW_DEAD_LETTERS = Metric(
    "NewDeadLetters", "Count", _FLEET, "dead letters of the five minutes before the look"
)
DEAD_LETTERS = Metric("DeadLetters", "Count", _FLEET, "dead letters: in the store, and on SQS")

# All that the controller publishes.
METRICS: tuple[Metric, ...] = tuple(m for m in list(globals().values()) if isinstance(m, Metric))

# Written by the workers into their JSON logs in CloudWatch's embedded metric format (`embedded`), one
# line for each finished task: no call to AWS, and CloudWatch makes percentiles of them.
TASK_RUNTIME = Metric("TaskRuntime", "Seconds", _POOL, "from a task's start to its end")
TASK_WAIT = Metric("TaskWait", "Seconds", _POOL, "from a message's publishing (or its ETA) to its start")

# One line for each task that its team's own ``expires`` ended; the line has the task's name.
TASKS_EXPIRED = Metric("TasksExpired", "Count", _POOL, "tasks that were not run because they had expired")

WORKER_METRICS: tuple[Metric, ...] = (TASK_RUNTIME, TASK_WAIT)


# What AWS publishes itself, each minute.
_SQS, _ELASTICACHE, _ECS = "AWS/SQS", "AWS/ElastiCache", "AWS/ECS"
SQS_QUEUE, NODE = "QueueName", "CacheClusterId"
CLUSTER, SERVICE = "ClusterName", "ServiceName"
SQS_SENT = Metric("NumberOfMessagesSent", "Count", (SQS_QUEUE,), "messages sent to the queue", _SQS)
SQS_VISIBLE = Metric(
    "ApproximateNumberOfMessagesVisible", "Count", (SQS_QUEUE,), "messages that can be fetched", _SQS
)
SQS_IN_FLIGHT = Metric(
    "ApproximateNumberOfMessagesNotVisible", "Count", (SQS_QUEUE,), "messages that a worker holds", _SQS
)
NODE_MEMORY = Metric(
    "DatabaseMemoryUsagePercentage", "Percent", (NODE,), "of maxmemory, one node's use", _ELASTICACHE
)
NODE_CPU = Metric("EngineCPUUtilization", "Percent", (NODE,), "of the core that runs commands", _ELASTICACHE)

NODE_LAG = Metric("ReplicationLag", "Seconds", (NODE,), "a replica behind its primary", _ELASTICACHE)
NODE_CONNECTIONS = Metric("CurrConnections", "Count", (NODE,), "clients of one node", _ELASTICACHE)
# Maximum: of the task that uses most of what it is given (ECS Developer Guide, "service utilization").
SERVICE_MEMORY = Metric("MemoryUtilization", "Percent", (CLUSTER, SERVICE), "of a service's memory", _ECS)

AWS_METRICS: tuple[Metric, ...] = (
    SQS_SENT,
    SQS_VISIBLE,
    SQS_IN_FLIGHT,
    NODE_MEMORY,
    NODE_CPU,
    NODE_LAG,
    NODE_CONNECTIONS,
    SERVICE_MEMORY,
)


def embedded(
    values: Mapping[Metric, float], dimensions: Mapping[str, str], *, at: float
) -> dict[str, object]:
    """Fields that make a JSON log line carry metrics; ``at`` is in seconds since the epoch.

    All metrics must have exactly these dimensions; ``ValueError`` if one hasn't.
    """
    for metric in values:
        metric.values(**dimensions)
    return {
        "_aws": {
            "Timestamp": int(at * 1000),
            "CloudWatchMetrics": [
                {
                    "Namespace": NAMESPACE,
                    "Dimensions": [list(dimensions)],
                    "Metrics": [{"Name": metric.name, "Unit": metric.unit} for metric in values],
                }
            ],
        },
        **dimensions,
        **{metric.name: value for metric, value in values.items()},
    }
