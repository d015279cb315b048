"""The scaling policies as pure values: what a metric's value does to a service's size."""

from __future__ import annotations

import pytest

from infra.constructs.pool_alarms import looks
from infra.constructs.scaling import Policy, fallback_sleep, fallback_wake, scale_in, scale_out
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


@pytest.mark.parametrize(
    ("waiting", "workers"),
    [(1, 1), (15, 1), (16, 3), (63, 3), (64, 5), (255, 5), (256, 10), (100_000, 10)],
)
def test_the_fallback_gets_workers_by_its_backlog_per_slot(waiting: int, workers: int) -> None:
    assert adjustment(fallback_wake(POOL), waiting, threshold=1) == workers


def test_waking_never_goes_below_the_warm_workers_nor_above_the_maximum() -> None:
    warm = Pool(
        name="p", queues=("q",), max_workers=3, warm_fallback_workers=2, max_fallback_workers=2, concurrency=1
    )

    assert {step.adjustment for step in fallback_wake(warm).steps} == {2}
    assert [step.adjustment for step in fallback_sleep(warm).steps] == [2]


@pytest.mark.parametrize(("waiting", "workers"), [(0, 0), (1, None)])
def test_the_fallback_sleeps_when_nothing_waits(waiting: int, workers: int | None) -> None:
    assert adjustment_below(fallback_sleep(POOL), waiting, threshold=0) == workers


@pytest.mark.parametrize("concurrency", [1, 2, 4, 100])
def test_every_backlog_has_exactly_one_step(concurrency: int) -> None:
    policy = fallback_wake(Pool(name="p", queues=("q",), concurrency=concurrency))

    for waiting in (*range(1, 300), 6399, 6400, 6401, 10**6):
        assert adjustment(policy, waiting, threshold=1) is not None


@pytest.mark.parametrize(("seconds", "datapoints"), [(5, 1), (10, 1), (20, 2), (25, 2), (300, 30)])
def test_times_become_looks(seconds: int, datapoints: int) -> None:
    assert looks(seconds) == datapoints
