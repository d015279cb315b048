"""From an alarm's value to a capacity: the documented rules of step scaling, and nothing else.

Source: Application Auto Scaling User Guide, "How step scaling for Application Auto Scaling works"
(https://docs.aws.amazon.com/autoscaling/application/userguide/step-scaling-policy-overview.html).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

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


@dataclass(frozen=True, kw_only=True)
class Activity:
    """The last scaling of a target. ``base`` is the capacity before its cooldown began; ``at`` in seconds."""

    at: float
    base: int
    capacity: int
    cooldown_seconds: int

    def is_cooling(self, now: float) -> bool:
        """Whether its cooldown is still in effect."""
        return now < self.at + self.cooldown_seconds


@dataclass(frozen=True, kw_only=True)
class Decision:
    """``capacity`` is None when nothing changes. ``base`` goes into the `Activity` that follows."""

    capacity: int | None
    reason: str
    base: int = 0


def aggregate(values: Sequence[float], aggregation: str) -> float:
    """The one value that the steps are compared with (``MetricAggregationType``)."""
    if aggregation == "Minimum":
        return min(values)
    return max(values) if aggregation == "Maximum" else sum(values) / len(values)


def plan(
    *,
    policy: Policy,
    target: Target,
    value: float,
    threshold: float,
    capacity: int,
    last: Activity | None,
    now: float,
) -> Decision:
    """What an alarm with this value makes of a service with ``capacity`` tasks wanted."""
    step = find_step(policy.steps, value - threshold)
    if step is None:
        return Decision(capacity=None, reason=f"no step covers {value:g} at a threshold of {threshold:g}")
    cooling = last if last is not None and last.is_cooling(now) else None
    wanted = adjusted(policy, step.adjustment, capacity)
    if wanted > capacity:
        return _out(policy, target, step, capacity, cooling)
    if wanted < capacity:
        return _in(target, wanted, capacity, cooling, now)
    return Decision(capacity=None, reason=f"the step wants {wanted}, as many as there are")


def _out(policy: Policy, target: Target, step: Step, capacity: int, cooling: Activity | None) -> Decision:
    """Continuously, but not excessively: what the cooling scale-out added is part of the new increase."""
    if target.out_suspended:
        return Decision(capacity=None, reason="scaling out is suspended")
    still_growing = cooling is not None and cooling.capacity > cooling.base
    base = min(cooling.base, capacity) if cooling is not None and still_growing else capacity
    wanted = adjusted(policy, step.adjustment, base)
    if wanted <= capacity:
        return Decision(capacity=None, reason=f"in cooldown, and {wanted} wanted from {base} is reached")
    if min(wanted, target.maximum) <= capacity:
        return Decision(capacity=None, reason=f"{wanted} wanted, but {target.maximum} is the most")
    return Decision(capacity=min(wanted, target.maximum), base=base, reason=f"{wanted} wanted from {base}")


def _in(target: Target, wanted: int, capacity: int, cooling: Activity | None, now: float) -> Decision:
    """Conservatively: not during a cooldown, whichever way the activity before went."""
    if target.in_suspended:
        return Decision(capacity=None, reason="scaling in is suspended")
    if cooling is not None:
        left = cooling.at + cooling.cooldown_seconds - now
        return Decision(capacity=None, reason=f"{wanted} wanted, but in cooldown for {left:.0f} s more")
    if max(wanted, target.minimum) >= capacity:
        return Decision(capacity=None, reason=f"{wanted} wanted, but {target.minimum} is the least")
    return Decision(
        capacity=max(wanted, target.minimum), base=capacity, reason=f"{wanted} wanted from {capacity}"
    )


def find_step(steps: Sequence[Step], delta: float) -> Step | None:
    """The step whose interval holds the difference of value and threshold.

    Above the threshold the lower bound is inclusive and the upper one exclusive, below it the other way
    round. On the threshold itself both ends are; a step that begins there goes before one that ends there.
    """
    covering = [step for step in steps if _covers(step, delta)]
    return max(covering, key=lambda step: -math.inf if step.lower is None else step.lower, default=None)


def _covers(step: Step, delta: float) -> bool:
    lower = -math.inf if step.lower is None else step.lower
    upper = math.inf if step.upper is None else step.upper
    if delta > 0:
        return lower <= delta < upper
    if delta < 0:
        return lower < delta <= upper
    return lower <= 0 <= upper


def adjusted(policy: Policy, adjustment: int, capacity: int) -> int:
    """The capacity that a step leads to, before the target's bounds; never below 0."""
    if policy.adjustment_type == "ExactCapacity":
        return adjustment
    if policy.adjustment_type == "ChangeInCapacity":
        return max(0, capacity + adjustment)
    change = _rounded(capacity * adjustment / 100)
    if adjustment and abs(change) < policy.min_adjustment_magnitude:
        change = int(math.copysign(policy.min_adjustment_magnitude, adjustment))
    return max(0, capacity + change)


def _rounded(change: float) -> int:
    """Towards zero, but never to zero: 12.7 → 12, 0.67 → 1, -0.58 → -1, -6.67 → -6."""
    if 0 < abs(change) < 1:
        return int(math.copysign(1, change))
    return math.trunc(change)
