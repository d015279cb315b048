"""Step scaling, rule by rule.

https://docs.aws.amazon.com/autoscaling/application/userguide/step-scaling-policy-overview.html and
https://docs.aws.amazon.com/autoscaling/application/APIReference/API_StepScalingPolicyConfiguration.html
"""

from __future__ import annotations

from typing import Any

import pytest
from taskfleet.simulation.step_scaling import (
    Activity,
    Decision,
    Policy,
    Step,
    Target,
    adjusted,
    aggregate,
    find_step,
    plan,
)

from local.scaling.policy import read_policy

NOW = 1_800_000_000.0
OUT = (
    Step(lower=0, upper=10, adjustment=1),
    Step(lower=10, upper=20, adjustment=2),
    Step(lower=20, upper=None, adjustment=3),
)
IN = (Step(lower=-10, upper=0, adjustment=-1), Step(lower=None, upper=-10, adjustment=-2))


def decide(
    *,
    steps: tuple[Step, ...] = OUT,
    value: float,
    capacity: int = 4,
    last: Activity | None = None,
    policy: dict[str, Any] | None = None,
    target: dict[str, Any] | None = None,
) -> Decision:
    settings = {"arn": "a", "name": "p", "resource": "service/c/s", "steps": steps, "cooldown_seconds": 60}
    bounds = {"resource": "service/c/s", "minimum": 1, "maximum": 10}
    return plan(
        policy=Policy(**(settings | (policy or {}))),
        target=Target(**(bounds | (target or {}))),
        value=value,
        threshold=50,
        capacity=capacity,
        last=last,
        now=NOW,
    )


def activity(*, ago: float, base: int, capacity: int) -> Activity:
    return Activity(at=NOW - ago, base=base, capacity=capacity, cooldown_seconds=60)


@pytest.mark.parametrize(
    ("delta", "adjustment"),
    [(0, 1), (9.9, 1), (10, 2), (19.9, 2), (20, 3), (1000, 3), (-0.1, None)],
)
def test_above_the_threshold_the_lower_bound_is_inclusive_and_the_upper_exclusive(
    delta: float, adjustment: int | None
) -> None:
    step = find_step(OUT, delta)

    assert (step and step.adjustment) == adjustment


@pytest.mark.parametrize(("delta", "adjustment"), [(0, -1), (-9.9, -1), (-10, -2), (-1000, -2), (0.1, None)])
def test_below_the_threshold_the_lower_bound_is_exclusive_and_the_upper_inclusive(
    delta: float, adjustment: int | None
) -> None:
    step = find_step(IN, delta)

    assert (step and step.adjustment) == adjustment


@pytest.mark.parametrize(
    ("kind", "adjustment", "capacity", "expected"),
    [
        ("ChangeInCapacity", 2, 3, 5),
        ("ChangeInCapacity", -2, 3, 1),
        ("ChangeInCapacity", -5, 3, 0),
        ("ExactCapacity", 7, 3, 7),
        ("ExactCapacity", 0, 3, 0),
        ("PercentChangeInCapacity", 10, 10, 11),
        ("PercentChangeInCapacity", 127, 10, 22),  # 12.7 is rounded to 12
        ("PercentChangeInCapacity", 67, 1, 2),  # 0.67 is rounded to 1
        ("PercentChangeInCapacity", -58, 1, 0),  # -0.58 is rounded to -1
        ("PercentChangeInCapacity", -67, 10, 4),  # -6.7 is rounded to -6
    ],
)
def test_adjustment_types_and_rounding(kind: str, adjustment: int, capacity: int, expected: int) -> None:
    policy = Policy(arn="a", name="p", resource="r", adjustment_type=kind, steps=OUT)

    assert adjusted(policy, adjustment, capacity) == expected


@pytest.mark.parametrize(("percent", "capacity", "expected"), [(25, 4, 6), (-25, 4, 2), (100, 4, 8)])
def test_min_adjustment_magnitude(percent: int, capacity: int, expected: int) -> None:
    """ "25 percent of 4 is 1. However, … MinAdjustmentMagnitude of 2 … scales out the service by 2 tasks"."""
    policy = Policy(
        arn="a",
        name="p",
        resource="r",
        adjustment_type="PercentChangeInCapacity",
        min_adjustment_magnitude=2,
        steps=OUT,
    )

    assert adjusted(policy, percent, capacity) == expected


@pytest.mark.parametrize(("aggregation", "value"), [("Minimum", 1), ("Maximum", 9), ("Average", 4)])
def test_metric_aggregation_type(aggregation: str, value: float) -> None:
    assert aggregate([1, 2, 9], aggregation) == value


def test_a_breach_scales_by_its_size() -> None:
    assert [decide(value=value).capacity for value in (50, 60, 90)] == [5, 6, 7]


def test_capacity_stays_within_the_bounds() -> None:
    assert decide(value=90, capacity=9).capacity == 10
    assert decide(value=90, capacity=10).capacity is None
    assert decide(value=20, steps=IN, capacity=2).capacity == 1
    assert decide(value=20, steps=IN, capacity=1).capacity is None


def test_a_capacity_set_by_hand_beyond_the_bounds_is_not_made_worse() -> None:
    assert decide(value=90, capacity=12).capacity is None


class TestCooldown:
    def test_a_scale_out_counts_what_the_last_one_added(self) -> None:
        """ "The previous increase of 2 is considered part of the current capacity. … only 1 is added"."""
        before = activity(ago=30, base=4, capacity=6)

        assert decide(value=75, capacity=6, last=before).capacity == 7

    def test_the_same_scale_out_does_nothing_until_it_ends(self) -> None:
        """ "… won't increase the desired capacity again unless either a larger scale out is triggered …"."""
        steps_again = [
            decide(value=60, capacity=6, last=activity(ago=ago, base=4, capacity=6)).capacity
            for ago in (1, 59, 60)
        ]

        assert steps_again == [None, None, 8]

    def test_a_third_scale_out_still_counts_from_the_first(self) -> None:
        second = decide(value=75, capacity=6, last=activity(ago=30, base=4, capacity=6))
        assert second.capacity is not None
        then = activity(ago=5, base=second.base, capacity=second.capacity)

        assert decide(value=75, capacity=7, last=then).capacity is None

    def test_a_scale_in_is_blocked_until_it_ends(self) -> None:
        """ "Scale-in activities are blocked until the cooldown period has expired"."""
        answers = [
            decide(value=45, steps=IN, last=activity(ago=ago, base=5, capacity=4)).capacity
            for ago in (59, 60)
        ]

        assert answers == [None, 3]

    def test_a_scale_in_waits_for_a_scale_out_too(self) -> None:
        assert decide(value=45, steps=IN, last=activity(ago=10, base=3, capacity=4)).capacity is None

    def test_a_scale_out_during_a_scale_in_cooldown_is_immediate(self) -> None:
        """ "… scales out the target immediately. In this case, the scale-in cooldown period stops"."""
        assert decide(value=55, last=activity(ago=1, base=5, capacity=4)).capacity == 5

    def test_its_default_is_300_seconds(self) -> None:
        described = {
            "PolicyARN": "a",
            "PolicyName": "p",
            "PolicyType": "StepScaling",
            "ResourceId": "service/c/s",
            "StepScalingPolicyConfiguration": {"StepAdjustments": [{"ScalingAdjustment": 1}]},
        }
        policy = read_policy(described)

        assert policy is not None
        assert policy.cooldown_seconds == 300


def test_suspended_scaling() -> None:
    """https://docs.aws.amazon.com/autoscaling/application/APIReference/API_SuspendedState.html"""
    assert decide(value=55, target={"out_suspended": True}).capacity is None
    assert decide(value=55, target={"in_suspended": True}).capacity == 5
    assert decide(value=45, steps=IN, target={"in_suspended": True}).capacity is None
    assert decide(value=45, steps=IN, target={"out_suspended": True}).capacity == 3


def test_a_value_that_no_step_covers_changes_nothing() -> None:
    assert decide(value=40).reason == "no step covers 40 at a threshold of 50"
