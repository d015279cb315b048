"""An alarm as it was deployed, and the reading of ``DescribeAlarms``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class State(StrEnum):
    """The three states of an alarm."""

    OK = "OK"
    ALARM = "ALARM"
    INSUFFICIENT_DATA = "INSUFFICIENT_DATA"


class Missing(StrEnum):
    """What a data point that was not received counts as (``TreatMissingData``)."""

    MISSING = "missing"
    IGNORE = "ignore"
    BREACHING = "breaching"
    NOT_BREACHING = "notBreaching"


class UnsupportedAlarmError(ValueError):
    """An alarm of a kind that is not evaluated here. The message says which part of it."""


# `ComparisonOperator` → the words that CloudWatch puts into its reasons.
COMPARISONS = {
    "GreaterThanThreshold": "greater than",
    "GreaterThanOrEqualToThreshold": "greater than or equal to",
    "LessThanThreshold": "less than",
    "LessThanOrEqualToThreshold": "less than or equal to",
}


@dataclass(frozen=True, kw_only=True)
class Metric:
    """One metric in one statistic: `Sum`, `Average`, `Minimum`, `Maximum`, `SampleCount` or `pNN`."""

    namespace: str
    name: str
    dimensions: tuple[tuple[str, str], ...] = ()
    statistic: str = "Average"


@dataclass(frozen=True, kw_only=True)
class Alarm:
    """A metric alarm. One that names a single metric has it as ``m1``, and no expressions."""

    name: str
    metrics: Mapping[str, Metric]
    expressions: Mapping[str, str]
    watches: str  # the id in `metrics` or `expressions` that is compared
    period: int
    evaluation_periods: int
    datapoints_to_alarm: int
    comparison: str
    threshold: float
    missing: Missing = Missing.MISSING
    state: State = State.INSUFFICIENT_DATA
    actions: Mapping[State, tuple[str, ...]]

    def breaches(self, value: float) -> bool:
        """Whether one data point violates the threshold; the value is the first operand."""
        if self.comparison == "GreaterThanThreshold":
            return value > self.threshold
        if self.comparison == "GreaterThanOrEqualToThreshold":
            return value >= self.threshold
        if self.comparison == "LessThanThreshold":
            return value < self.threshold
        return value <= self.threshold


def read(described: Mapping[str, Any]) -> Alarm:
    """One of `DescribeAlarms`' `MetricAlarms`. Raises `UnsupportedAlarmError` for what is not evaluated."""
    comparison = described["ComparisonOperator"]
    if comparison not in COMPARISONS:
        raise UnsupportedAlarmError(f"comparison {comparison!r}: only {', '.join(COMPARISONS)} are evaluated")
    if described.get("EvaluateLowSampleCountPercentile") == "ignore":
        raise UnsupportedAlarmError("EvaluateLowSampleCountPercentile 'ignore': only 'evaluate' is")
    metrics, expressions, watches, period = _watched(described)
    _check_period(period)
    periods = int(described["EvaluationPeriods"])
    return Alarm(
        name=described["AlarmName"],
        metrics=metrics,
        expressions=expressions,
        watches=watches,
        period=period,
        evaluation_periods=periods,
        datapoints_to_alarm=int(described.get("DatapointsToAlarm") or periods),
        comparison=comparison,
        threshold=float(described["Threshold"]),
        missing=Missing(described.get("TreatMissingData") or "missing"),
        state=State(described.get("StateValue") or State.INSUFFICIENT_DATA),
        actions=_actions(described),
    )


def _watched(described: Mapping[str, Any]) -> tuple[dict[str, Metric], dict[str, str], str, int]:
    queries = described.get("Metrics")
    if queries:
        return _watched_by_math(queries)
    if not described.get("MetricName"):
        raise UnsupportedAlarmError("it names neither a metric nor a list of metrics")
    metric = Metric(
        namespace=described["Namespace"],
        name=described["MetricName"],
        dimensions=_dimensions(described.get("Dimensions")),
        statistic=described.get("ExtendedStatistic") or described.get("Statistic") or "Average",
    )
    return {"m1": metric}, {}, "m1", int(described["Period"])


def _watched_by_math(
    queries: Sequence[Mapping[str, Any]],
) -> tuple[dict[str, Metric], dict[str, str], str, int]:
    metrics, expressions, periods = {}, {}, set()
    watches = [query["Id"] for query in queries if query.get("ReturnData", True)]
    if len(watches) != 1:
        raise UnsupportedAlarmError(f"exactly one of its metrics must return data, not {watches}")
    for query in queries:
        if query.get("Expression"):
            expressions[query["Id"]] = query["Expression"]
            periods |= {int(query["Period"])} if query.get("Period") else set()
            continue
        stat = query["MetricStat"]
        periods.add(int(stat["Period"]))
        metrics[query["Id"]] = Metric(
            namespace=stat["Metric"]["Namespace"],
            name=stat["Metric"]["MetricName"],
            dimensions=_dimensions(stat["Metric"].get("Dimensions")),
            statistic=stat["Stat"],
        )
    if len(periods) != 1:
        raise UnsupportedAlarmError(f"its metrics must have one period, not {sorted(periods)}")
    return metrics, expressions, watches[0], periods.pop()


def _check_period(period: int) -> None:
    if period not in (10, 20, 30) and (period < 60 or period % 60):
        raise UnsupportedAlarmError(f"period {period} s: 10, 20, 30 or a multiple of 60 is allowed")


def _dimensions(described: Sequence[Mapping[str, str]] | None) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((item["Name"], item["Value"]) for item in described or ()))


def _actions(described: Mapping[str, Any]) -> dict[State, tuple[str, ...]]:
    if not described.get("ActionsEnabled", True):
        return {}
    lists = {
        State.ALARM: "AlarmActions",
        State.OK: "OKActions",
        State.INSUFFICIENT_DATA: "InsufficientDataActions",
    }
    return {state: tuple(described.get(name) or ()) for state, name in lists.items()}
