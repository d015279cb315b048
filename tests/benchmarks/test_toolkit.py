"""What the benchmarks `toolkit` and `ratelimit` make of what they measured."""

from __future__ import annotations

import pytest

from benchmarks import ratelimit, toolkit
from benchmarks.toolkit import Used


@pytest.mark.parametrize(("reads", "holds"), [(1.0, True), (1.05, True), (2.0, False)])
def test_round_trips_are_those_that_are_documented(reads: float, holds: bool) -> None:
    report = toolkit.compare({"single": Used(reads, 2.0, 0.0, bytes=812.4, microseconds=2000.0)})
    assert report.holds is holds
    assert report.figures["single_request_bytes"] == 812
    assert report.figures["single_dollars_per_million"] == pytest.approx(reads * 0.125 + 2 * 0.625)


@pytest.mark.parametrize(("rate", "holds"), [(70.0, True), (72.0, True), (72.2, False), (67.8, False)])
def test_a_rate_is_within_three_percent(rate: float, holds: bool) -> None:
    assert ratelimit.compare({"ours": {4: rate}, "plain": {4: 280.0}}).holds is holds


def test_a_steady_rate_leaves_out_the_begin() -> None:
    moments = [10.0] * 50 + [13 + n / 10 for n in range(100)]
    assert ratelimit.steady(moments, after=3, seconds=5) == pytest.approx(10)
