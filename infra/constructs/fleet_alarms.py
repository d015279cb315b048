"""The alarms of the environment itself; all of them for a person."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from aws_cdk import aws_ecs as ecs
from constructs import Construct
from taskfleet.contract import metrics, names

from infra.constructs.alarms import Alarms, Comparison, Missing, Watch
from infra.settings import Settings

MINUTE = 60
SILENT_MINUTES = 2
DOWN_LOOKS = 3  # half a minute: longer than a failover's first seconds
BEAT_SILENT_SECONDS = 180
# maxmemory is what is left after the reserved quarter; at noeviction a full broker refuses publishes.
MEMORY_PERCENT = 75
MEMORY_MINUTES = 5
CPU_PERCENT = 80  # of the one core that runs commands
CPU_MINUTES = 5


@dataclass(frozen=True)
class _Alarm:
    kind: str
    scope: tuple[str, ...]
    watch: Watch


def add_fleet_alarms(
    scope: Construct, *, settings: Settings, alarms: Alarms, controller: ecs.FargateService
) -> None:
    """Add them all. Those on what ``controller`` publishes come after it: its start is no silence."""
    for alarm in _ours(settings):
        alarms.add(scope, alarm.kind, *alarm.scope, watch=alarm.watch).node.add_dependency(controller)
    for alarm in _nodes(settings):
        alarms.add(scope, alarm.kind, *alarm.scope, watch=alarm.watch)


def _ours(settings: Settings) -> Iterator[_Alarm]:
    """On what the controller publishes."""

    def watch(metric: metrics.Metric, comparison: Comparison, threshold: float, **rest: object) -> Watch:
        return Watch(
            metric=metric.name,
            dimensions=metric.values(**{metrics.ENVIRONMENT: settings.name}),
            comparison=comparison,
            threshold=threshold,
            **rest,  # type: ignore[arg-type]  # fields of Watch, written below
        )

    yield _Alarm(
        "controller-silent",
        (),
        watch(
            metrics.CONTROLLER_TICK,
            Comparison.BELOW,
            1,
            statistic="Sum",
            period_seconds=MINUTE,
            datapoints=SILENT_MINUTES,
            missing=Missing.ALARM,
        ),
    )
    yield _Alarm("broker-down", (), watch(metrics.BROKER_UP, Comparison.BELOW, 1, datapoints=DOWN_LOOKS))
    yield _Alarm("fallback-down", (), watch(metrics.FALLBACK_UP, Comparison.BELOW, 1, datapoints=DOWN_LOOKS))
    yield _Alarm(
        "beat-silent",
        (),
        watch(metrics.BEAT_AGE, Comparison.ABOVE, BEAT_SILENT_SECONDS, period_seconds=MINUTE),
    )
    yield _Alarm(
        "drain-overdue", (), watch(metrics.DRAIN_OVERDUE, Comparison.AT_LEAST, 1, period_seconds=MINUTE)
    )
    yield _Alarm(
        "dead-letters", (), watch(metrics.DEAD_LETTERS, Comparison.AT_LEAST, 1, period_seconds=MINUTE)
    )


def _nodes(settings: Settings) -> Iterator[_Alarm]:
    """On what ElastiCache publishes, which it does per node: the replication group has no metrics."""
    for node in names.broker_nodes(settings.name, settings.broker.nodes):
        number = node.rpartition("-")[2]
        for kind, metric, percent, minutes in (
            ("broker-memory", "DatabaseMemoryUsagePercentage", MEMORY_PERCENT, MEMORY_MINUTES),
            ("broker-cpu", "EngineCPUUtilization", CPU_PERCENT, CPU_MINUTES),
        ):
            yield _Alarm(
                kind,
                (number,),
                Watch(
                    namespace="AWS/ElastiCache",
                    metric=metric,
                    dimensions={"CacheClusterId": node},
                    comparison=Comparison.AT_LEAST,
                    threshold=percent,
                    period_seconds=MINUTE,
                    datapoints=minutes,
                ),
            )
