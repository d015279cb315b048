"""Random histories of deploys, people, producers and two controllers: the plan loses nothing in any of them.

``TASKFLEET_TEST_HISTORIES=10000`` in the environment makes them many.
"""

from __future__ import annotations

import os
from collections import Counter

import pytest
from taskfleet.releases.model import State

from tests.taskfleet.releases.world import World

HISTORIES = int(os.environ.get("TASKFLEET_TEST_HISTORIES", "300"))
ENDS = ("failed its canary: more", "its canary has passed", "failed its bake", "its bake is over: none")
REACHED = frozenset(map(str, State)) - {"registered"}


@pytest.mark.parametrize("block", range(4))
def test_no_history_loses_work_or_has_two_current_releases_or_leaves_one_stuck_in_silence(block: int) -> None:
    became: Counter[str] = Counter()
    ends: Counter[str] = Counter()
    parked = 0
    for seed in range(block, HISTORIES, 4):
        world = World(seed)
        for _ in range(40):
            world.step()
            world.check()
        world.settle()
        became.update(change.after for record in world.records.values() for change in record.history)
        ends.update(
            how
            for record in world.records.values()
            for change in record.history
            for how in ENDS
            if how in change.reason
        )
        parked += world.parked
    many = HISTORIES / 16
    assert {state for state in REACHED if became[state] < many} == set(), "they reach what they are to check"
    assert parked
    assert min(ends[how] for how in ENDS) >= many / 2, ends
