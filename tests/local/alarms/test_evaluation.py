"""Evaluating an alarm: comparison, M out of N, periods.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarm-evaluation.html
"""

from __future__ import annotations

import pytest

from local.alarms.definition import State, UnsupportedAlarmError, read
from local.alarms.evaluate import evaluate
from local.alarms.windows import Part, evaluation_range, fold, is_due
from tests.local.alarms.alarms import NOW, alarm, drawn


@pytest.mark.parametrize(
    ("comparison", "below", "equal", "above"),
    [
        ("GreaterThanThreshold", False, False, True),
        ("GreaterThanOrEqualToThreshold", False, True, True),
        ("LessThanThreshold", True, False, False),
        ("LessThanOrEqualToThreshold", True, True, False),
    ],
)
def test_the_value_is_the_first_operand(comparison: str, below: bool, equal: bool, above: bool) -> None:
    watching = alarm(comparison=comparison, threshold=5)

    assert [watching.breaches(value) for value in (4.9, 5.0, 5.1)] == [below, equal, above]


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ("0 0 X X X", State.ALARM),
        ("X 0 X 0 X", State.ALARM),  # "the breaching data points don't have to be consecutive"
        ("X X 0 0 X", State.ALARM),
        ("X X 0 0 0", State.OK),
        ("X 0 0 0 0", State.OK),
    ],
)
def test_m_out_of_n(row: str, expected: State) -> None:
    watching = alarm(evaluation_periods=5, datapoints_to_alarm=3)

    assert evaluate(alarm=watching, datapoints=drawn(row), now=NOW, previous=State.OK).state is expected


def test_one_breach_of_one_period_is_enough_for_one_of_one() -> None:
    outcome = evaluate(alarm=alarm(), datapoints=drawn("0 0 X"), now=NOW, previous=State.OK)

    assert (outcome.state, outcome.recent) == (State.ALARM, (9.0,))


@pytest.mark.parametrize(("period", "every"), [(10, 10), (20, 20), (30, 30), (60, 60), (300, 60)])
def test_an_alarm_is_evaluated_every_period_and_at_least_every_minute(period: int, every: int) -> None:
    """ "For any period of one minute or longer, an alarm is evaluated every minute"."""
    watching = alarm(period=period)
    moments = [NOW + second for second in range(0, 600, 10)]

    due, last = [], None
    for moment in moments:
        if is_due(watching, moment, last):
            due.append(moment - NOW)
            last = moment

    assert due == list(range(0, 600, every))


@pytest.mark.parametrize(
    ("period", "now", "starts"),
    [
        (10, NOW + 9, [-30, -20, -10]),
        (10, NOW + 10, [-20, -10, 0]),
        (60, NOW + 59, [-180, -120, -60]),
        (300, NOW, [-900, -600, -300]),
        (300, NOW + 119, [-840, -540, -240]),  # the window slides by minutes, not by its own length
    ],
)
def test_the_window_ends_with_the_last_full_granule(period: int, now: float, starts: list[int]) -> None:
    """ "A sliding window advances each time the alarm is evaluated, forming a rolling time window"."""
    assert [at - int(NOW) for at in evaluation_range(alarm(period=period), now)] == starts


@pytest.mark.parametrize(
    ("statistic", "value"),
    [("Sum", 16.0), ("SampleCount", 4.0), ("Average", 4.0), ("Minimum", 1.0), ("Maximum", 8.0)],
)
def test_a_long_period_is_put_together_from_its_minutes(statistic: str, value: float) -> None:
    """Statistics: https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/Statistics-definitions.html"""
    parts = {0: Part(3, 8, 1, 5), 120: Part(1, 8, 8, 8), 300: Part(9, 99, 0, 99)}

    assert fold(parts, starts=[0, 600], period=300, statistic=statistic) == {0: value}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"Period": 15}, "10, 20, 30 or a multiple of 60"),
        ({"Period": 90}, "10, 20, 30 or a multiple of 60"),
        ({"ComparisonOperator": "GreaterThanUpperThreshold"}, "only GreaterThanThreshold"),
        ({"MetricName": None}, "neither a metric nor a list"),
        ({"EvaluateLowSampleCountPercentile": "ignore"}, "EvaluateLowSampleCountPercentile"),
    ],
)
def test_what_is_not_evaluated_is_said(changed: dict[str, object], message: str) -> None:
    described = {
        "AlarmName": "odd",
        "Namespace": "Taskfleet",
        "MetricName": "Waiting",
        "Statistic": "Sum",
        "Period": 60,
        "EvaluationPeriods": 1,
        "Threshold": 1.0,
        "ComparisonOperator": "GreaterThanThreshold",
    }

    with pytest.raises(UnsupportedAlarmError, match=message):
        read(described | changed)
