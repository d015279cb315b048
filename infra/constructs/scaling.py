"""How a pool's services grow and shrink: steps on queue-depth alarms of ten-second metrics."""

from __future__ import annotations

from dataclasses import dataclass

from aws_cdk import aws_applicationautoscaling as scaling
from constructs import Construct
from taskfleet.contract import names
from taskfleet.contract import scaling as steps
from taskfleet.contract.scaling import Step

from infra.settings import Pool


@dataclass(frozen=True, kw_only=True)
class Policy:
    """A step scaling policy that adds to the desired count; ``kind`` is its alarm's name.

    Never an exact count: that would take busy workers away, and overrule what a person has set.
    """

    kind: str
    cooldown_seconds: int
    steps: tuple[Step, ...]


def scale_out(pool: Pool, kind: str = "scale-out", *, most: int | None = None) -> Policy:
    """As many workers as are missing (the alarm's threshold is 1); of many nearly as many, in one step."""
    return Policy(
        kind=kind,
        cooldown_seconds=steps.OUT_COOLDOWN_SECONDS,
        steps=steps.out_steps(pool.max_workers - pool.min_workers if most is None else most),
    )


def scale_in(pool: Pool, kind: str = "scale-in", *, most: int | None = None) -> Policy:
    """As many workers less as were too many all the time; busy ones are protected, and end first."""
    after = pool.scale_in_after_seconds if kind == "scale-in" else pool.fallback_sleep_after_seconds
    return Policy(
        kind=kind,
        cooldown_seconds=steps.in_cooldown_seconds(after),
        steps=steps.in_steps(pool.max_workers - pool.min_workers if most is None else most),
    )


def attend() -> Policy:
    """One worker more each minute, for an SQS queue from which nobody fetches; without the controller."""
    return Policy(
        kind="fallback-unattended", cooldown_seconds=steps.OUT_COOLDOWN_SECONDS, steps=(Step(0, None, 1),)
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
