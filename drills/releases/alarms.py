"""The state of alarms, as CloudWatch's evaluation would set it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


def put_in_state(cloudwatch: Any, names: Iterable[str], state: str) -> None:
    """Make these alarms and have them in ``state``: without data MiniStack changes it within a minute."""
    for name in names:
        cloudwatch.put_metric_alarm(
            AlarmName=name,
            Namespace="Drill",
            MetricName="None",
            Statistic="Maximum",
            Period=60,
            EvaluationPeriods=1,
            Threshold=1,
            ComparisonOperator="GreaterThanThreshold",
        )
        cloudwatch.set_alarm_state(AlarmName=name, StateValue=state, StateReason="as the drill wants it")
