"""How a pool's services grow and shrink: steps on queue-depth alarms of ten-second metrics."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from math import ceil

from aws_cdk import aws_applicationautoscaling as scaling
from constructs import Construct
from taskfleet.contract import metrics, names

from infra.settings import Pool

# Until the gap that the alarm sees has taken the last change into account. A larger step in between
# still adds the difference.
OUT_COOLDOWN_SECONDS = 3 * metrics.LOOK_SECONDS
# CloudWatch repeats an alarm's scaling action once a minute, so a longer cooldown than this only
# matters where the pool asks for a shorter one.
IN_COOLDOWN_SECONDS = 60


class Adjustment(StrEnum):
    """Application Auto Scaling's ``AdjustmentType``."""

    CHANGE = "ChangeInCapacity"
    EXACT = "ExactCapacity"


@dataclass(frozen=True)
class Step:
    """Do ``adjustment`` when the metric is in [lower, upper), both counted from the alarm's threshold."""

    lower: float | None
    upper: float | None
    adjustment: int


@dataclass(frozen=True, kw_only=True)
class Policy:
    """A step scaling policy; ``kind`` is its alarm's."""

    kind: str
    adjustment: Adjustment
    cooldown_seconds: int
    steps: tuple[Step, ...]


def scale_out() -> Policy:
    """Workers missing (the alarm's threshold is 1): 1 → +1, 2 or 3 → +2, 4 to 7 → +4, 8 and more → +8."""
    return Policy(
        kind="scale-out",
        adjustment=Adjustment.CHANGE,
        cooldown_seconds=OUT_COOLDOWN_SECONDS,
        steps=(Step(0, 1, 1), Step(1, 3, 2), Step(3, 7, 4), Step(7, None, 8)),
    )


def scale_in(pool: Pool) -> Policy:
    """One worker less at a time, as long as there are too many."""
    return Policy(
        kind="scale-in",
        adjustment=Adjustment.CHANGE,
        cooldown_seconds=min(pool.scale_in_after_seconds, IN_COOLDOWN_SECONDS),
        steps=(Step(None, 0, -1),),
    )


def fallback_wake(pool: Pool) -> Policy:
    """As many fallback workers as the backlog is worth, up to the pool's maximum.

    Exact capacities, so that an alarm that repeats its action doesn't add workers for a backlog that
    is being worked off. The threshold is 1 message; steps are at 4, 16 and 64 messages per slot.
    """
    most = max_fallback_workers(pool)
    least = max(1, pool.warm_fallback_workers)
    bounds = [0, *(share * pool.concurrency - 1 for share in (4, 16, 64)), None]
    sizes = [max(least, size) for size in (1, ceil(most / 4), ceil(most / 2), most)]
    steps = tuple(Step(bounds[i], bounds[i + 1], size) for i, size in enumerate(sizes))
    return Policy(
        kind="fallback-wake",
        adjustment=Adjustment.EXACT,
        cooldown_seconds=OUT_COOLDOWN_SECONDS,
        steps=steps,
    )


def fallback_sleep(pool: Pool) -> Policy:
    """Back to the warm workers, usually none."""
    return Policy(
        kind="fallback-sleep",
        adjustment=Adjustment.EXACT,
        cooldown_seconds=min(pool.scale_in_after_seconds, IN_COOLDOWN_SECONDS),
        steps=(Step(None, 0, pool.warm_fallback_workers),),
    )


def max_fallback_workers(pool: Pool) -> int:
    """The most workers of the pool's fallback service."""
    return pool.max_workers if pool.max_fallback_workers is None else pool.max_fallback_workers


class ScaledService(Construct):
    """The scaling target of one ECS service and its policies; `policy_arns` are what alarms act on."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        environment: str,
        service: str,
        min_workers: int,
        max_workers: int,
        policies: tuple[Policy, ...],
    ) -> None:
        super().__init__(scope, id)
        self.target = scaling.CfnScalableTarget(
            self,
            "Target",
            service_namespace="ecs",
            scalable_dimension="ecs:service:DesiredCount",
            resource_id=f"service/{names.cluster(environment)}/{service}",
            min_capacity=min_workers,
            max_capacity=max_workers,
        )
        self.policy_arns = {policy.kind: self._add(policy, service).ref for policy in policies}

    def _add(self, policy: Policy, service: str) -> scaling.CfnScalingPolicy:
        return scaling.CfnScalingPolicy(
            self,
            policy.kind,
            policy_name=f"{policy.kind}-{service}",
            policy_type="StepScaling",
            scaling_target_id=self.target.ref,
            step_scaling_policy_configuration=scaling.CfnScalingPolicy.StepScalingPolicyConfigurationProperty(
                adjustment_type=policy.adjustment,
                cooldown=policy.cooldown_seconds,
                metric_aggregation_type="Maximum",
                step_adjustments=[_rendered(step) for step in policy.steps],
            ),
        )


def _rendered(step: Step) -> scaling.CfnScalingPolicy.StepAdjustmentProperty:
    return scaling.CfnScalingPolicy.StepAdjustmentProperty(
        metric_interval_lower_bound=step.lower,
        metric_interval_upper_bound=step.upper,
        scaling_adjustment=step.adjustment,
    )
