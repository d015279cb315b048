"""Counting what became of every task of a drill."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from drills.report import Check, Report
from drills.tally import Execution, Publish, first_after, longest_wait, percentile, tally
from drills.worker_kill import redeliveries


def published(n: int, broker: str | None = "primary", *, at: float = 0.0) -> Publish:
    return Publish(n=n, at=at, seconds=0.01, broker=broker)


def executed(n: int, broker: str = "primary", *, at: float = 1.0) -> Execution:
    return Execution(n=n, at=at, broker=broker, pid=7)


def test_lost_is_what_was_accepted_and_never_executed() -> None:
    counted = tally([published(1), published(2, "fallback"), published(3, None)], [executed(1)])

    assert (counted.submitted, counted.accepted, counted.accepted_by_fallback) == (3, 2, 1)
    assert counted.lost == (2,)
    assert counted.refused == 1


def test_every_execution_after_the_first_is_a_duplicate() -> None:
    counted = tally([published(1), published(2)], [executed(1), executed(1), executed(1), executed(2)])

    assert (counted.executed, counted.duplicates, counted.lost) == (2, 2, ())


def test_a_publish_that_was_refused_and_yet_executed_is_told() -> None:
    counted = tally([published(1, None)], [executed(1)])

    assert (counted.refused_but_executed, counted.lost) == (1, ())


@pytest.mark.parametrize(
    ("values", "percent", "expected"),
    [
        ([], 99, None),
        ([3.0], 99, 3.0),
        ([float(n) for n in range(1, 101)], 99, 99.0),
        ([1.0, 2.0, 3.0], 50, 2.0),
    ],
)
def test_percentile(values: list[float], percent: float, expected: float | None) -> None:
    assert percentile(values, percent) == expected


def test_times_after_a_moment_are_of_one_broker() -> None:
    executions = [executed(1, at=5), executed(2, "fallback", at=7), executed(3, "fallback", at=9)]

    assert first_after(executions, 4, "fallback") == 3
    assert first_after(executions, 10, "fallback") is None


def test_the_longest_wait_is_to_the_first_execution() -> None:
    assert longest_wait([published(1, at=1), published(2, at=2)], [executed(1, at=9), executed(1, at=3)]) == 2


def test_redelivery_is_timed_for_what_ran_in_a_killed_worker() -> None:
    records = [
        {"event": "began", "id": "a", "pid": 7, "at": 1.0},
        {"event": "began", "id": "b", "pid": 7, "at": 2.0},
        {"event": "began", "id": "c", "pid": 8, "at": 2.0},
        {"event": "record", "id": "a", "pid": 7, "at": 1.5},
        {"event": "record", "id": "b", "pid": 9, "at": 12.0},
        {"event": "record", "id": "c", "pid": 8, "at": 3.0},
        # Process 7 is somebody else by now, and a lost task has no time.
        {"event": "began", "id": "d", "pid": 7, "at": 30.0},
        {"event": "record", "id": "d", "pid": 7, "at": 31.0},
        {"event": "began", "id": "e", "pid": 7, "at": 2.4},
    ]

    assert redeliveries(records, [(2.5, frozenset({7}))]) == [9.5]


def test_a_report_holds_only_if_every_check_does_and_is_kept(tmp_path: Path) -> None:
    report = Report(
        name="worker-kill",
        checks=[Check("lost 0: 0", True), Check("redelivered within 20 s: 31.0 s", False)],
        figures={"submitted": 10, "longest_publish_seconds": 0.25, "parked": None},
    )

    assert report.table().splitlines() == [
        "worker-kill: DOES NOT HOLD",
        "  submitted                10",
        "  longest publish seconds  0.250",
        "  parked                   none",
        "  holds  lost 0: 0",
        "  FAILS  redelivered within 20 s: 31.0 s",
    ]
    kept = json.loads(report.write(tmp_path).read_text())
    assert (kept["name"], kept["holds"], kept["submitted"]) == ("worker-kill", False, 10)
