"""What the `publish` benchmark makes of two lists of seconds."""

from __future__ import annotations

import pytest

from benchmarks import bulk, crowds
from benchmarks.publish import compare
from drills.busy_producer import Crowd


@pytest.mark.parametrize(("ours", "holds"), [(0.0011, True), (0.00111, False), (0.0005, True)])
def test_ours_may_take_a_tenth_longer_than_plain(ours: float, holds: bool) -> None:
    report = compare(plain=[0.001] * 100, ours=[ours] * 100, confirmed=[0.003] * 100)

    assert report.holds is holds
    assert report.figures["ours_median_ratio"] == pytest.approx(ours / 0.001)
    assert report.figures["confirmed_p99_ratio"] == pytest.approx(3)


def test_a_slow_tail_alone_fails_it() -> None:
    report = compare(plain=[0.001] * 100, ours=[0.001] * 98 + [0.5] * 2, confirmed=[0.001])

    assert [check.holds for check in report.checks] == [True, False]


def crowd_said(seconds: float, *brokers: str | None) -> crowds.Result:
    publishes = [(n, n * seconds, seconds, 0.0, broker) for n, broker in enumerate(brokers)]
    return crowds.read({"publishes": publishes, "errors": [], "processor": 1.5})


def test_a_crowds_rate_is_that_of_all_its_publishes() -> None:
    result = crowd_said(0.5, "primary", "fallback", None, "primary")

    assert result == crowds.Result(
        per_second=2.0, p99_seconds=0.5, processor_seconds=1.5, to_sqs=1, refused=1
    )


@pytest.mark.parametrize(
    ("ours", "holds"),
    [
        (crowd_said(0.1, "primary", "primary"), [True, True]),
        (crowd_said(1.1, "primary", "primary"), [True, False]),  # slower than plain
        (crowd_said(0.1, "primary", "fallback"), [False, True]),
        (crowd_said(0.1, "primary", None), [False, True]),
    ],
)
def test_a_crowd_is_faster_than_plain_and_stays_on_redis(ours: crowds.Result, holds: list[bool]) -> None:
    _figures, checks = crowds.compare(Crowd(64), crowd_said(1.0, "primary", "primary"), ours)

    assert [check.holds for check in checks] == holds


@pytest.mark.parametrize(
    ("many", "growth", "holds"), [(3000, 100, True), (2990, 100, False), (9000, 20_000, False)]
)
def test_publish_many_is_three_times_as_fast_as_plains_group_and_takes_no_memory(
    many: float, growth: int, holds: bool
) -> None:
    rates = {"plain_group": [900, 1000, 1100], "group": [2000], "publish_many": [many]}

    figures, checks = bulk.compare({"rates": rates, "growth_kib": growth})

    assert all(check.holds for check in checks) is holds
    assert figures["publish_many_rate_ratio"] == many / 1000
    assert figures["group_rate_ratio"] == 2
