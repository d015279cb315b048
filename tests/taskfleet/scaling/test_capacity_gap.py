"""The capacity gap, as tables."""

from __future__ import annotations

from dataclasses import replace

import pytest
from taskfleet.scaling.capacity_gap import PoolLoad, capacity_gap
from taskfleet.scaling.rates import Flow

# 4 slots, late after 15 s, 1 to 10 workers, one wanted.
IDLE = PoolLoad(
    waiting=0,
    busy=0,
    oldest_age_seconds=0.0,
    slots=4,
    latency_target_seconds=60,
    min_workers=1,
    max_workers=10,
    desired=1,
)


def load(**changes: object) -> PoolLoad:
    return replace(IDLE, **changes)  # type: ignore[arg-type]


GAPS = {
    "idle": (load(), 0),
    "idle, too many": (load(desired=5), -4),
    "a young, shallow backlog is left to those who run": (
        load(waiting=20, busy=4, oldest_age_seconds=3.0),
        0,
    ),
    "a late one gets a slot for each message": (load(waiting=20, busy=4, oldest_age_seconds=15.0), 5),
    "just not late": (load(waiting=20, busy=4, oldest_age_seconds=14.9), 0),
    "a deep one, however young": (load(waiting=40, busy=0, oldest_age_seconds=0.1), 9),
    "just not deep": (load(waiting=39, busy=0, oldest_age_seconds=0.1), 0),
    "depth is per slot that there is": (load(waiting=40, desired=2, oldest_age_seconds=0.1), 0),
    "an unknown age counts as late": (load(waiting=20, oldest_age_seconds=None), 4),
    "the most there may be": (load(waiting=10_000, oldest_age_seconds=99.0), 9),
    "more than the most": (load(waiting=10_000, oldest_age_seconds=99.0, desired=12), -2),
    "fewer than the least": (load(desired=0), 1),
    "busy slots are needed": (load(busy=12, desired=3), 0),
    "busy with more than its slots (prefetched)": (load(busy=12, desired=2), 1),
    "room to spare, but not after one less": (load(busy=10, desired=3), 0),
    "nearly full after one less: flaps, so stay": (load(busy=7, desired=3), 0),
    "well below after one less": (load(busy=6, desired=3), -1),
    "a backlog in time with room": (load(waiting=3, busy=3, oldest_age_seconds=1.0, desired=4), -2),
    "asleep, nothing to do": (load(min_workers=0, desired=0), 0),
    "asleep, woken by one message": (load(min_workers=0, desired=0, waiting=1, oldest_age_seconds=0.1), 1),
    "to sleep": (load(min_workers=0, desired=2), -2),
    "a release that gates or drains keeps one": (load(min_workers=0, desired=2, keep=1), -1),
    "… and gets one back": (load(min_workers=0, desired=0, keep=1), 1),
    "waiting unknown: hold": (load(waiting=None, desired=7), None),
    "busy unknown: hold": (load(busy=None, desired=7), None),
    "wanted unknown: hold": (load(waiting=500, desired=None), None),
}


@pytest.mark.parametrize(("seen", "gap"), GAPS.values(), ids=GAPS.keys())
def test_the_gap(seen: PoolLoad, gap: int | None) -> None:
    assert capacity_gap(seen) == gap


@pytest.mark.parametrize("busy", range(45))
@pytest.mark.parametrize("waiting", [0, 1, 5, 39, 40, 400])
@pytest.mark.parametrize("age", [0.0, 20.0])
def test_carrying_out_the_gap_leaves_none_so_nothing_flaps(busy: int, waiting: int, age: float) -> None:
    for desired in range(11):
        before = load(busy=busy, waiting=waiting, oldest_age_seconds=age, desired=desired)
        gap = capacity_gap(before)
        assert gap is not None
        after = capacity_gap(replace(before, desired=desired + gap))
        assert after == 0, f"{before}: {gap:+d}, then {after:+d}"


@pytest.mark.parametrize("desired", range(11))
def test_the_gap_never_leads_out_of_the_bounds(desired: int) -> None:
    for busy in range(0, 60, 7):
        for waiting in (0, 1, 50, 5000):
            gap = capacity_gap(load(busy=busy, waiting=waiting, oldest_age_seconds=30.0, desired=desired))
            assert gap is not None
            assert 1 <= desired + gap <= 10


def busy_flow(rate: float, run: float, *, last: float | None = None) -> Flow:
    error = (rate / 600) ** 0.5
    return Flow(
        last=rate if last is None else last,
        fast=rate,
        slow=rate,
        last_error=error * 7.7,
        fast_error=error * 3.2,
        slow_error=error,
        run_seconds=run,
    )


# 4 slots, 60 s, 1 to 40 workers.
FLOWS = {
    "what arrives, and no more": (load(flow=busy_flow(10, 1), busy=10, desired=3, max_workers=40), 0),
    "a worker too few": (load(flow=busy_flow(10, 1), busy=8, desired=2, max_workers=40), 1),
    "two too many": (load(flow=busy_flow(10, 1), busy=10, desired=5, max_workers=40), -2),
    "a short queue is worked off by those who run": (
        load(flow=busy_flow(10, 1), waiting=60, busy=12, desired=3, running=3, max_workers=40),
        0,
    ),
    "one that would be late gets all that it can use": (
        load(flow=busy_flow(10, 1, last=40), waiting=300, busy=12, desired=3, running=3, max_workers=40),
        37,
    ),
    "as many stay as work the queue off within the target": (
        load(flow=busy_flow(1, 1), waiting=4000, busy=160, desired=40, running=40, max_workers=40),
        -23,
    ),
    "after a change one look says nothing": (
        load(flow=busy_flow(10, 1), busy=10, desired=9, max_workers=40, changed=True),
        0,
    ),
}


@pytest.mark.parametrize(("seen", "gap"), FLOWS.values(), ids=FLOWS.keys())
def test_the_gap_with_rates(seen: PoolLoad, gap: int) -> None:
    assert capacity_gap(seen) == gap


@pytest.mark.parametrize("run", [0.1, 2.0, 120.0])
@pytest.mark.parametrize("rate", [0.0, 0.3, 10.0, 300.0])
def test_with_rates_the_gap_stays_in_the_bounds(rate: float, run: float) -> None:
    for desired in range(11):
        for waiting in (0, 1, 50, 5000):
            gap = capacity_gap(load(flow=busy_flow(rate, run), waiting=waiting, busy=4, desired=desired))
            assert gap is not None
            assert 1 <= desired + gap <= 10
