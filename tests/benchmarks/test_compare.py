"""What the `publish` benchmark makes of two lists of seconds."""

from __future__ import annotations

import pytest

from benchmarks.publish import compare


@pytest.mark.parametrize(("ours", "holds"), [(0.0011, True), (0.00111, False), (0.0005, True)])
def test_ours_may_take_a_tenth_longer_than_plain(ours: float, holds: bool) -> None:
    report = compare(plain=[0.001] * 100, ours=[ours] * 100, confirmed=[0.003] * 100)

    assert report.holds is holds
    assert report.figures["ours_median_ratio"] == pytest.approx(ours / 0.001)
    assert report.figures["confirmed_p99_ratio"] == pytest.approx(3)


def test_a_slow_tail_alone_fails_it() -> None:
    report = compare(plain=[0.001] * 100, ours=[0.001] * 98 + [0.5] * 2, confirmed=[0.001])

    assert [check.holds for check in report.checks] == [True, False]
