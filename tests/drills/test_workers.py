"""What the drills of workers make of the journal."""

from __future__ import annotations

import pytest

from drills.child_kill import ended_and_killed, still_there
from drills.children import Sample, Scales
from drills.drill import Observed
from drills.load import Load
from drills.scale_in import ended_twice, interrupted
from drills.worker_kill import redelivered

Line = dict[str, object]


def began(task: str, pid: int, at: float = 0.0) -> Line:
    return {"event": "began", "id": task, "pid": pid, "at": at}


def ended(task: str, pid: int, at: float = 1.0) -> Line:
    return {"event": "record", "id": task, "pid": pid, "at": at, "run": "scale-in-1", "n": 1}


def test_a_task_that_began_in_a_stopped_process_and_ended_in_another_was_interrupted() -> None:
    records = [began("a", 7), began("a", 8), ended("a", 8), began("b", 7), ended("b", 7), began("c", 9)]

    assert interrupted(records, frozenset({7})) == {"a"}


def test_a_repeat_is_explained_by_a_kill_after_the_first_end_and_by_nothing_else() -> None:
    records = [ended("a", 7), ended("a", 8), ended("b", 9), ended("b", 8), ended("c", 7)]

    assert ended_and_killed(records, frozenset({7})) == 1


def test_one_that_ended_twice_is_told() -> None:
    records = [ended("a", 7), ended("b", 7), ended("b", 8)]

    assert ended_twice(records) == ["b"]


def test_a_containers_peak_is_the_most_that_it_held_at_once() -> None:
    scales = Scales(list)
    scales.samples = [Sample(0.0, "a", 3), Sample(0.1, "b", 5), Sample(6.0, "a", 4), Sample(11.0, "a", 2)]

    assert scales.peak() == 5
    assert scales.peaks(every_seconds=5.0) == [5, 4, 2]


@pytest.mark.parametrize(
    ("waits", "short", "holds"),
    [([3.0, 19.0], False, True), ([3.0, 21.0], False, False), ([], False, False), ([], True, True)],
)
def test_kills_that_interrupted_nothing_prove_nothing(waits: list[float], short: bool, holds: bool) -> None:
    seen = Observed(load=Load(), publishes=[], executions=[], records=[], parked=0, short=short)

    assert redelivered(seen, waits, 20.0).holds is holds


def test_no_worker_may_be_gone() -> None:
    assert still_there(0).holds
    assert not still_there(1).holds
