"""Asking the account: its alarms, and the data points that they need, in few requests."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from local.alarms.definition import Alarm, Metric
from local.alarms.functions import Calculation, Series
from local.alarms.windows import Part, evaluation_range, fold, granule, is_additive

# GetMetricData takes 500 queries at most; DescribeAlarms gives 100 alarms at most.
_QUERIES = 500
_ALARMS = 100
_PARTS = ("SampleCount", "Sum", "Minimum", "Maximum")

# One query: a metric, one of its statistics, and the period in seconds.
Query = tuple[Metric, str, int]


def metric_alarms(cloudwatch: Any) -> list[Mapping[str, Any]]:
    """Every metric alarm of the account, as ``DescribeAlarms`` gives it."""
    pages = cloudwatch.get_paginator("describe_alarms").paginate(
        AlarmTypes=["MetricAlarm"], MaxRecords=_ALARMS
    )
    return [alarm for page in pages for alarm in page["MetricAlarms"]]


def datapoints(cloudwatch: Any, alarms: Sequence[Alarm], now: float) -> dict[Query, Series]:
    """What was received for all queries of these alarms, by each period's start."""
    queries = sorted({query for alarm in alarms for query in needed(alarm)}, key=repr)
    earliest = min((evaluation_range(alarm, now)[0] for alarm in alarms), default=int(now))
    received: dict[Query, Series] = {}
    for first in range(0, len(queries), _QUERIES):
        received |= _ask(cloudwatch, queries[first : first + _QUERIES], earliest, now)
    return received


def needed(alarm: Alarm) -> Iterable[Query]:
    """What to ask for: a period as it is, a longer one than a minute in parts, so that its window slides."""
    for metric in alarm.metrics.values():
        step = granule(alarm.period)
        if step == alarm.period or not is_additive(metric.statistic):
            yield metric, metric.statistic, alarm.period
        else:
            yield from ((metric, part, step) for part in _PARTS)


def watched(alarm: Alarm, received: Mapping[Query, Series], now: float) -> Series:
    """The data points that the alarm compares, from what `datapoints` received."""
    starts = evaluation_range(alarm, now)
    metrics = {name: _series(alarm, metric, received, starts) for name, metric in alarm.metrics.items()}
    calculation = Calculation(metrics=metrics, expressions=alarm.expressions, times=starts)
    return calculation.series(alarm.watches)


def _series(alarm: Alarm, metric: Metric, received: Mapping[Query, Series], starts: Sequence[int]) -> Series:
    step = granule(alarm.period)
    if step == alarm.period or not is_additive(metric.statistic):
        # Percentiles of a long period can't be put together from minutes, and stand on multiples of it.
        points = received.get((metric, metric.statistic, alarm.period), {})
        return {at: points[at - at % alarm.period] for at in starts if at - at % alarm.period in points}
    by_part = [received.get((metric, part, step), {}) for part in _PARTS]
    parts = {at: Part(*(series[at] for series in by_part)) for at in by_part[0]}
    return fold(parts, starts=starts, period=alarm.period, statistic=metric.statistic)


def _ask(cloudwatch: Any, queries: Sequence[Query], earliest: int, now: float) -> dict[Query, Series]:
    asked = {f"q{number}": query for number, query in enumerate(queries)}
    longest = max(period for _, _, period in queries)
    request = {
        "MetricDataQueries": [_query(name, *query) for name, query in asked.items()],
        # On a multiple of every period, or the first data point would be made of a part of its samples.
        "StartTime": datetime.fromtimestamp(earliest - earliest % longest, UTC),
        "EndTime": datetime.fromtimestamp(now, UTC),
    }
    received: dict[Query, Series] = defaultdict(dict)
    while True:
        reply = cloudwatch.get_metric_data(**request)
        for result in reply["MetricDataResults"]:
            times = (int(at.timestamp()) for at in result["Timestamps"])
            received[asked[result["Id"]]].update(zip(times, result["Values"], strict=True))
        if not reply.get("NextToken"):
            return received
        request["NextToken"] = reply["NextToken"]


def _query(name: str, metric: Metric, statistic: str, period: int) -> dict[str, Any]:
    dimensions = [{"Name": name, "Value": value} for name, value in metric.dimensions]
    asked = {"Namespace": metric.namespace, "MetricName": metric.name, "Dimensions": dimensions}
    return {"Id": name, "MetricStat": {"Metric": asked, "Period": period, "Stat": statistic}}
