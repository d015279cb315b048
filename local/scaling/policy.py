"""Scalable targets and step scaling policies as they were deployed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

# API_StepScalingPolicyConfiguration: "If not specified, the default value is 300."
DEFAULT_COOLDOWN_SECONDS = 300


@dataclass(frozen=True, kw_only=True)
class Step:
    """One step adjustment. Bounds are relative to the alarm's threshold; None is infinite."""

    lower: float | None
    upper: float | None
    adjustment: int


@dataclass(frozen=True, kw_only=True)
class Policy:
    """A step scaling policy of one target."""

    arn: str
    name: str
    resource: str
    adjustment_type: str = "ChangeInCapacity"
    steps: tuple[Step, ...]
    min_adjustment_magnitude: int = 0
    cooldown_seconds: int = DEFAULT_COOLDOWN_SECONDS
    aggregation: str = "Average"


@dataclass(frozen=True, kw_only=True)
class Target:
    """What is scaled: ``service/<cluster>/<service>``, between two bounds."""

    resource: str
    minimum: int
    maximum: int
    in_suspended: bool = False
    out_suspended: bool = False

    @property
    def cluster(self) -> str:
        """The ECS cluster's name."""
        return self.resource.split("/")[1]

    @property
    def service(self) -> str:
        """The ECS service's name."""
        return self.resource.split("/")[2]


def read_target(described: Mapping[str, Any]) -> Target:
    """One of ``DescribeScalableTargets``' ``ScalableTargets``."""
    suspended = described.get("SuspendedState") or {}
    return Target(
        resource=described["ResourceId"],
        minimum=int(described["MinCapacity"]),
        maximum=int(described["MaxCapacity"]),
        in_suspended=bool(suspended.get("DynamicScalingInSuspended")),
        out_suspended=bool(suspended.get("DynamicScalingOutSuspended")),
    )


def read_policy(described: Mapping[str, Any]) -> Policy | None:
    """One of ``DescribeScalingPolicies``' ``ScalingPolicies``; None unless it is a step scaling policy."""
    configuration = described.get("StepScalingPolicyConfiguration")
    if described.get("PolicyType") != "StepScaling" or not configuration:
        return None
    cooldown = configuration.get("Cooldown")
    return Policy(
        arn=described["PolicyARN"],
        name=described["PolicyName"],
        resource=described["ResourceId"],
        adjustment_type=configuration.get("AdjustmentType") or "ChangeInCapacity",
        steps=tuple(_step(step) for step in configuration["StepAdjustments"]),
        min_adjustment_magnitude=int(configuration.get("MinAdjustmentMagnitude") or 0),
        cooldown_seconds=DEFAULT_COOLDOWN_SECONDS if cooldown is None else int(cooldown),
        aggregation=configuration.get("MetricAggregationType") or "Average",
    )


def _step(described: Mapping[str, Any]) -> Step:
    lower, upper = described.get("MetricIntervalLowerBound"), described.get("MetricIntervalUpperBound")
    return Step(
        lower=None if lower is None else float(lower),
        upper=None if upper is None else float(upper),
        adjustment=int(described["ScalingAdjustment"]),
    )
