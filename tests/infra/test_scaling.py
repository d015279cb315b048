"""The scaling policies as pure values: what a metric's value does to a service's size."""

from __future__ import annotations

import pytest

from infra.constructs.scaling import Policy, attend, scale_in, scale_out
from infra.settings import Pool

POOL = Pool(name="p", queues=("q",), concurrency=4, max_workers=10)


def adjustment(policy: Policy, value: float, *, threshold: float) -> int | None:
    """What Application Auto Scaling does: the step whose interval, from the threshold on, has the value."""
    found = [
        step.adjustment
        for step in policy.steps
        if (step.lower is None or value - threshold >= step.lower)
        and (step.upper is None or value - threshold < step.upper)
    ]
    assert len(found) <= 1, "steps must not overlap"
    return found[0] if found else None


@pytest.mark.parametrize(
    ("gap", "added"), [(1, 1), (2, 2), (3, 2), (4, 4), (5, 4), (7, 4), (8, 8), (9, 8), (500, 8)]
)
def test_the_more_workers_are_missing_the_more_are_added(gap: int, added: int) -> None:
    assert adjustment(scale_out(), gap, threshold=1) == added


@pytest.mark.parametrize("gap", range(1, 200))
def test_never_more_are_added_than_are_missing(gap: int) -> None:
    added = adjustment(scale_out(), gap, threshold=1)

    assert added is not None
    assert added <= gap


def adjustment_below(policy: Policy, value: float, *, threshold: float) -> int | None:
    """The same for an alarm that fires below its threshold: there the upper bound belongs to the step."""
    found = [
        step.adjustment
        for step in policy.steps
        if (step.lower is None or value - threshold > step.lower)
        and (step.upper is None or value - threshold <= step.upper)
    ]
    assert len(found) <= 1, "steps must not overlap"
    return found[0] if found else None


@pytest.mark.parametrize(("gap", "change"), [(-1, -1), (-2, -1), (-50, -1), (0, None), (3, None)])
def test_one_is_taken_away_at_a_time_and_none_without_need(gap: int, change: int | None) -> None:
    assert adjustment_below(scale_in(POOL), gap, threshold=-1) == change


def test_the_fallback_has_the_steps_of_the_primary_pool_and_none_is_exact() -> None:
    assert scale_out("fallback-wake").steps == scale_out().steps
    assert scale_in(POOL, "fallback-sleep").steps == scale_in(POOL).steps


@pytest.mark.parametrize("visible", [1, 2, 500])
def test_an_unattended_queue_gets_one_worker_at_a_time(visible: int) -> None:
    assert adjustment(attend(), visible, threshold=1) == 1
