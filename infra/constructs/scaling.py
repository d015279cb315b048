"""How a pool's services grow and shrink: steps on queue-depth alarms of ten-second metrics."""

from __future__ import annotations

from dataclasses import dataclass

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


@dataclass(frozen=True)
class Step:
    """Add ``adjustment`` when the metric is in [lower, upper), both counted from the alarm's threshold."""

    lower: float | None
    upper: float | None
    adjustment: int


@dataclass(frozen=True, kw_only=True)
class Policy:
    """A step scaling policy that adds to the desired count; ``kind`` is its alarm's name.

    Never an exact count: that would take busy workers away, and overrule what a person has set.
    """

    kind: str
    cooldown_seconds: int
    steps: tuple[Step, ...]


def scale_out(kind: str = "scale-out") -> Policy:
    """Workers missing (the alarm's threshold is 1): 1 → +1, 2 or 3 → +2, 4 to 7 → +4, 8 and more → +8."""
    return Policy(
        kind=kind,
        cooldown_seconds=OUT_COOLDOWN_SECONDS,
        steps=(Step(0, 1, 1), Step(1, 3, 2), Step(3, 7, 4), Step(7, None, 8)),
    )


def scale_in(pool: Pool, kind: str = "scale-in") -> Policy:
    """One worker less at a time, as long as there are too many."""
    return Policy(
        kind=kind,
        cooldown_seconds=min(pool.scale_in_after_seconds, IN_COOLDOWN_SECONDS),
        steps=(Step(None, 0, -1),),
    )


def attend() -> Policy:
    """One worker more each minute, for an SQS queue from which nobody fetches; without the controller."""
    return Policy(
        kind="fallback-unattended", cooldown_seconds=OUT_COOLDOWN_SECONDS, steps=(Step(0, None, 1),)
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
                adjustment_type="ChangeInCapacity",
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
