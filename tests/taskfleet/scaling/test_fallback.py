"""How many workers a pool needs on SQS: the same gap, with what SQS and Redis say."""

from __future__ import annotations

from dataclasses import replace

import pytest
from taskfleet.measuring.depth import EMPTY, FallbackDepth
from taskfleet.scaling.capacity_gap import capacity_gap
from taskfleet.scaling.fallback import FallbackPool

# 4 slots, late after 15 s, asleep at rest, 10 workers at most.
ASLEEP = FallbackPool(
    depth=EMPTY,
    waited_seconds=0.0,
    slots=4,
    latency_target_seconds=60,
    warm_workers=0,
    max_workers=10,
    desired=0,
    broker_up=True,
    needed=False,
)


def pool(**changes: object) -> FallbackPool:
    return replace(ASLEEP, **changes)  # type: ignore[arg-type]


def depth(waiting: int = 0, in_flight: int = 0, delayed: int = 0) -> FallbackDepth:
    return FallbackDepth(waiting, in_flight, delayed)


GAPS = {
    "asleep, and nothing there": (pool(), 0),
    "warm workers stay": (pool(warm_workers=2, desired=2), 0),
    "one message wakes one": (pool(depth=depth(1)), 1),
    "so does one that is delayed: it must not be late": (pool(depth=depth(delayed=1)), 1),
    "a deep backlog at once": (pool(depth=depth(400)), 10),
    "a shallow one is left to who runs": (pool(depth=depth(30), desired=1), 0),
    "until it has been there too long": (pool(depth=depth(30), desired=1, waited_seconds=15.0), 7),
    "never more than there may be": (pool(depth=depth(10_000), desired=10), 0),
    "what is in flight needs its slots": (pool(depth=depth(in_flight=12), desired=3), 0),
    "a countdown held in flight keeps one awake": (pool(depth=depth(in_flight=1), desired=1), 0),
    "empty, Redis up: to sleep": (pool(desired=3), -3),
    "empty, Redis down: nobody sleeps": (pool(desired=3, broker_up=False), 0),
    "Redis down, and publishes go here: one is woken before the first message": (
        pool(broker_up=False, needed=True),
        1,
    ),
    "SQS unknown: hold": (pool(depth=None, desired=3), None),
    "wanted unknown: hold": (pool(depth=depth(9), desired=None), None),
}


@pytest.mark.parametrize(("seen", "gap"), GAPS.values(), ids=GAPS.keys())
def test_the_gap_on_sqs(seen: FallbackPool, gap: int | None) -> None:
    assert capacity_gap(seen.load()) == gap
