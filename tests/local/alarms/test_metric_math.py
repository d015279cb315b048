"""Metric math: https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/using-metric-math.html"""

from __future__ import annotations

import pytest

from local.alarms.expressions import ExpressionError
from local.alarms.functions import Calculation, Series

METRICS: dict[str, Series] = {
    "m1": {10: 1.0, 20: 2.0, 30: 3.0},
    "m2": {20: 10.0, 30: 0.0, 40: 20.0},
    "other": {10: 5.0},
}
TIMES = (10, 20, 30, 40)


def calculate(text: str) -> Series:
    calculation = Calculation(metrics=METRICS, expressions={"e1": text, "e2": "m1 * 2"}, times=TIMES)
    return calculation.series("e1")


def constant(value: float) -> Series:
    return dict.fromkeys(TIMES, value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1 + 2 * 3", 7),
        ("(1 + 2) * 3", 9),
        ("8 / 4 / 2", 1),
        ("2 ^ 3 ^ 2", 512),
        ("-2 ^ 2", -4),
        ("2 ^ -1", 0.5),
        ("7 - -2", 9),
        ("1 + 1 > 1 AND 2 <= 2", 1),
        ("0 OR 1 == 2", 0),
        ("1 != 2 && .5 < 1", 1),
    ],
)
def test_operators_bind_as_usual(text: str, value: float) -> None:
    assert calculate(text) == constant(value)


@pytest.mark.parametrize(
    ("text", "series"),
    [
        pytest.param("m1 + m2", {20: 12, 30: 3}, id="only where both have a data point"),
        pytest.param("m1 / m2", {20: 0.2}, id="division by zero gives no data point"),
        pytest.param("e2 - 1", {10: 1, 20: 3, 30: 5}, id="an expression over another"),
        pytest.param("m1 > 1", {10: 0, 20: 1, 30: 1}, id="comparison gives 0 or 1"),
        pytest.param("IF(m1 >= 2, m1, 0)", {10: 0, 20: 2, 30: 3}, id="IF with a number"),
        pytest.param("IF(m1 > 1, m2, m1)", {10: 1, 20: 10, 30: 0}, id="IF with series"),
        pytest.param("IF(m1 > 1, m1)", {20: 2, 30: 3}, id="IF without the third argument drops"),
        pytest.param("FILL(m1, 0)", {10: 1, 20: 2, 30: 3, 40: 0}, id="FILL with a number"),
        pytest.param("if(m1 > 1, m1)", {20: 2, 30: 3}, id="functions in small letters"),
        pytest.param("FILL(m2, m1)", {10: 1, 20: 10, 30: 0, 40: 20}, id="FILL with a series"),
    ],
)
def test_series(text: str, series: Series) -> None:
    assert calculate(text) == pytest.approx(series)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("m1 +", "expected a value at 'its end'"),
        ("m1 m2", "expected an operator"),
        ("m1 ; m2", "expected a number, a name or an operator at '; m2'"),
        ("(m1", r"expected ',' or '\)'"),
        ("m9 + 1", "'m9' is not an id"),
        ("e1 + 1", "'e1' is not an id"),
        ("ANOMALY_DETECTION_BAND(m1)", "is not evaluated here"),
        ("__import__(1)", "is not evaluated here; FILL and IF are"),
        ("m1 + 'a'", "expected a number, a name or an operator at \"'a'"),
    ],
)
def test_what_is_not_metric_math_is_refused(text: str, message: str) -> None:
    with pytest.raises(ExpressionError, match=message):
        calculate(text)
