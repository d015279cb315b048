"""The scaling policies as pure values: what a metric's value does to a service's size."""

from __future__ import annotations

import pytest
from taskfleet.contract.scaling import MOST_STEPS

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


@pytest.mark.parametrize("most", [1, 2, 10, 40, 1000])
def test_all_that_may_be_missing_is_added_at_once_and_never_more(most: int) -> None:
    policy = scale_out(POOL, most=most)
    added = [adjustment(policy, gap, threshold=1) or 0 for gap in range(1, most + 1)]
    assert all(some <= gap for gap, some in enumerate(added, 1))
    assert added[-1] == most
    assert min(some / gap for gap, some in enumerate(added, 1)) > 0.7
    assert len(policy.steps) <= MOST_STEPS


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


@pytest.mark.parametrize("gap", range(1, 60))
def test_what_is_too_much_is_taken_away_as_it_is_added(gap: int) -> None:
    taken = adjustment_below(scale_in(POOL, most=40), -gap, threshold=-1)
    added = adjustment(scale_out(POOL, most=40), gap, threshold=1)
    assert added is not None
    assert taken == -added


@pytest.mark.parametrize("gap", [0, 3])
def test_nothing_is_taken_away_without_need(gap: int) -> None:
    assert adjustment_below(scale_in(POOL), gap, threshold=-1) is None


def test_the_fallback_has_the_steps_of_the_primary_pool_and_none_is_exact() -> None:
    assert scale_out(POOL, "fallback-wake").steps == scale_out(POOL).steps
    assert scale_in(POOL, "fallback-sleep").steps == scale_in(POOL).steps


@pytest.mark.parametrize("visible", [1, 2, 500])
def test_an_unattended_queue_gets_one_worker_at_a_time(visible: int) -> None:
    assert adjustment(attend(), visible, threshold=1) == 1
