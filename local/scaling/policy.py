"""Scalable targets and step scaling policies as they were deployed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from taskfleet.simulation.step_scaling import DEFAULT_COOLDOWN_SECONDS, Policy, Step, Target


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
