"""The two tables of CloudWatch's documentation, row by row, and the text between them.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarms-and-missing-data.html
"""

from __future__ import annotations

import pytest

from local.alarms.definition import Missing, State
from local.alarms.evaluate import evaluate
from tests.local.alarms.alarms import NOW, alarm, drawn

KEPT = None
OK, ALARM, INSUFFICIENT = State.OK, State.ALARM, State.INSUFFICIENT_DATA
TREATMENTS = (Missing.MISSING, Missing.IGNORE, Missing.BREACHING, Missing.NOT_BREACHING)

# Data points, the most recent on the right: 0 is within the threshold, X is not, - is missing.
THREE_OF_THREE = {
    "0 - X - X": (OK, OK, OK, OK),
    "0 - - - -": (OK, OK, OK, OK),
    "- - - - -": (INSUFFICIENT, KEPT, ALARM, OK),
    "0 X X - X": (ALARM, ALARM, ALARM, ALARM),
    "- - X - -": (ALARM, KEPT, ALARM, OK),
}
TWO_OF_THREE = {
    "0 - X - X": (ALARM, ALARM, ALARM, ALARM),
    "0 0 X 0 X": (ALARM, ALARM, ALARM, ALARM),
    "0 - X - -": (OK, OK, ALARM, OK),
    "- - - - 0": (OK, OK, ALARM, OK),
    "- - - X -": (ALARM, KEPT, ALARM, OK),
}
CASES = [
    pytest.param(m, row, treatment, expected, id=f"{m} of 3, {row}, {treatment.value}")
    for m, table in ((3, THREE_OF_THREE), (2, TWO_OF_THREE))
    for row, states in table.items()
    for treatment, expected in zip(TREATMENTS, states, strict=True)
]


@pytest.mark.parametrize("previous", list(State))
@pytest.mark.parametrize(("m", "row", "treatment", "expected"), CASES)
def test_a_row_of_the_documented_tables(
    m: int, row: str, treatment: Missing, expected: State | None, previous: State
) -> None:
    watching = alarm(evaluation_periods=3, datapoints_to_alarm=m, missing=treatment)

    outcome = evaluate(alarm=watching, datapoints=drawn(row), now=NOW, previous=previous)

    assert outcome.state is (previous if expected is KEPT else expected)


@pytest.mark.parametrize("row", ["- - - - X", "- - - X -"])
@pytest.mark.parametrize("previous", [State.OK, State.INSUFFICIENT_DATA])
def test_premature_transitions_to_alarm_are_avoided(row: str, previous: State) -> None:
    """ "The alarm does not go immediately into ALARM state when the data is either"."""
    watching = alarm(evaluation_periods=3, datapoints_to_alarm=3)

    assert evaluate(alarm=watching, datapoints=drawn(row), now=NOW, previous=previous).state is previous


@pytest.mark.parametrize("row", ["- - - X 0", "- - X - 0"])
def test_the_next_point_within_the_threshold_shows_why(row: str) -> None:
    """ "False positives are avoided when the next data point is non-breaching"."""
    watching = alarm(evaluation_periods=3, datapoints_to_alarm=3)

    assert evaluate(alarm=watching, datapoints=drawn(row), now=NOW, previous=ALARM).state is OK


def test_without_gaps_only_the_last_periods_count() -> None:
    """ "The extra data points from farther back in the evaluation range are not needed and are ignored"."""
    watching = alarm(evaluation_periods=3, datapoints_to_alarm=1)

    assert evaluate(alarm=watching, datapoints=drawn("X X 0 0 0"), now=NOW, previous=ALARM).state is OK


def test_a_datapoint_older_than_the_evaluation_range_is_gone() -> None:
    """ "That non-breaching data point will no longer be in the evaluation range", and the alarm goes off."""
    watching = alarm(evaluation_periods=3, datapoints_to_alarm=3, missing=Missing.BREACHING)
    points = drawn("0 - - - -")

    later = NOW + watching.period
    assert evaluate(alarm=watching, datapoints=points, now=NOW, previous=OK).state is OK
    assert evaluate(alarm=watching, datapoints=points, now=later, previous=OK).state is ALARM


def test_the_datapoint_of_the_unfinished_period_does_not_count_yet() -> None:
    watching = alarm(evaluation_periods=1, datapoints_to_alarm=1)
    unfinished = {int(NOW): 9.0}

    assert evaluate(alarm=watching, datapoints=unfinished, now=NOW + 5, previous=OK).state is INSUFFICIENT


def test_the_breaching_reason_names_what_was_missing() -> None:
    watching = alarm(evaluation_periods=2, datapoints_to_alarm=2, missing=Missing.BREACHING)

    outcome = evaluate(alarm=watching, datapoints={}, now=NOW, previous=OK)

    assert outcome.reason == (
        "Threshold Crossed: no datapoints were received for 2 periods and 2 missing datapoints were "
        "treated as [Breaching]."
    )
