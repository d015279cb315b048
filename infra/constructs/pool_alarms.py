"""The alarms of one pool in one release: four that scale it, three that a person gets."""

from __future__ import annotations

from dataclasses import dataclass

from aws_cdk import aws_cloudwatch as cloudwatch
from constructs import Construct
from taskfleet.contract import metrics

from infra.constructs.alarms import Alarms, Comparison, Missing, Watch
from infra.constructs.scaling import ScaledService
from infra.settings import Pool

MINUTE = 60  # the resolution of ordinary alarms, a third of the price of those below
NO_WORKER_MINUTES = 2
OLD_TARGETS = 5  # a backlog is old at this many times the pool's latency target
OLD_MINUTES = 5
FALLBACK_MINUTES = 5


@dataclass(frozen=True, kw_only=True)
class PoolAlarms:
    """Makes them for ``pool`` in ``release``."""

    alarms: Alarms
    pool: Pool
    release: str

    def scale(self, scope: Construct, service: ScaledService) -> None:
        """On the capacity gap, measured every ten seconds."""
        pool = self.pool
        out_after = looks(pool.scale_out_after_seconds)
        in_after = looks(pool.scale_in_after_seconds)
        self._add(
            scope, "scale-out", metrics.CAPACITY_GAP, Comparison.AT_LEAST, 1, datapoints=out_after, on=service
        )
        self._add(
            scope, "scale-in", metrics.CAPACITY_GAP, Comparison.AT_MOST, -1, datapoints=in_after, on=service
        )

    def wake(self, scope: Construct, service: ScaledService) -> None:
        """On what waits in SQS: one look wakes, since whatever is there has no other consumer."""
        waiting = metrics.FALLBACK_WAITING
        in_after = looks(self.pool.scale_in_after_seconds)
        self._add(scope, "fallback-wake", waiting, Comparison.AT_LEAST, 1, on=service)
        self._add(scope, "fallback-sleep", waiting, Comparison.AT_MOST, 0, datapoints=in_after, on=service)

    def tell(self, scope: Construct) -> None:
        """What a person must know."""
        old = OLD_TARGETS * self.pool.latency_target_seconds
        self._add(
            scope,
            "backlog-old",
            metrics.OLDEST_AGE,
            Comparison.ABOVE,
            old,
            datapoints=OLD_MINUTES,
            period_seconds=MINUTE,
        )
        self._add(
            scope,
            "fallback-in-use",
            metrics.FALLBACK_WAITING,
            Comparison.ABOVE,
            0,
            datapoints=FALLBACK_MINUTES,
            period_seconds=MINUTE,
        )
        if self.pool.min_workers >= 1:  # else no worker is what an idle pool looks like
            self._add(
                scope,
                "no-worker",
                metrics.RUNNING_WORKERS,
                Comparison.BELOW,
                1,
                datapoints=NO_WORKER_MINUTES,
                period_seconds=MINUTE,
            )

    def _add(
        self,
        scope: Construct,
        kind: str,
        metric: metrics.Metric,
        comparison: Comparison,
        threshold: float,
        *,
        datapoints: int = 1,
        period_seconds: int = metrics.LOOK_SECONDS,
        on: ScaledService | None = None,
    ) -> cloudwatch.CfnAlarm:
        watch = Watch(
            metric=metric.name,
            dimensions=metric.values(
                **{
                    metrics.ENVIRONMENT: self.alarms.environment,
                    metrics.POOL: self.pool.name,
                    metrics.RELEASE: self.release,
                }
            ),
            comparison=comparison,
            threshold=threshold,
            datapoints=datapoints,
            period_seconds=period_seconds,
            missing=Missing.OK if on else Missing.HOLD,
        )
        actions = (on.policy_arns[kind],) if on else ()
        return self.alarms.add(scope, kind, self.pool.name, self.release, watch=watch, actions=actions)


def looks(seconds: int) -> int:
    """How many of the controller's looks fit into a time; at least one."""
    return max(1, seconds // metrics.LOOK_SECONDS)
