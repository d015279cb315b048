"""What the `consume` benchmark makes of its rounds."""

from __future__ import annotations

import pytest

from benchmarks.consume import compare

WAITS = {"plain": [[0.004] * 100] * 3, "ours": [[0.004] * 100] * 3}
COSTS = {"plain": [0.001], "ours": [0.001]}


@pytest.mark.parametrize(("ours", "holds"), [(1100.0, True), (1090.0, False)])
def test_ours_must_run_a_tenth_more_tasks(ours: float, holds: bool) -> None:
    assert compare({"plain": [1000.0] * 3, "ours": [ours] * 3}, WAITS, COSTS).holds is holds


def test_rounds_are_compared_each_with_its_own() -> None:
    report = compare({"plain": [1000.0, 500.0, 800.0], "ours": [1200.0, 600.0, 960.0]}, WAITS, COSTS)

    assert report.figures["consume_ratio"] == pytest.approx(1.2)


def test_an_idle_worker_may_not_be_slower_to_begin() -> None:
    slow = [0.004] * 98 + [0.05] * 2
    waits = {"plain": WAITS["plain"], "ours": [slow] * 3}
    report = compare({"plain": [1000.0], "ours": [1200.0]}, waits, COSTS)

    assert [check.holds for check in report.checks] == [True, True, False]


def test_one_bad_round_decides_nothing() -> None:
    waits = {"plain": WAITS["plain"], "ours": [[0.004] * 100, [0.004] * 100, [0.5] * 100]}

    assert compare({"plain": [1000.0], "ours": [1200.0]}, waits, COSTS).holds
