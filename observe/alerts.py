"""Alert rules: the catalogue's alarms on what the controller publishes, as CloudWatch evaluates them.

Those on SQS's and ElastiCache's own metrics, and those that scale, are CloudWatch's alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from taskfleet.contract import metrics
from taskfleet.contract.alarm_catalogue import CATALOGUE
from taskfleet.contract.alarms import MINUTE, Alarm, Comparison, Setting
from taskfleet.controller.prometheus import LOOKED_AT, gauge, pool_gauge

from infra.settings import Limits, Settings

_SIGNS = {Comparison.AT_LEAST: ">=", Comparison.ABOVE: ">", Comparison.AT_MOST: "<=", Comparison.BELOW: "<"}
_OVER_TIME = {"Maximum": "max", "Average": "avg", "Sum": "sum"}


def alarms() -> Iterator[Alarm]:
    """Those that have an alert here."""
    for alarm in CATALOGUE.values():
        if alarm.for_a_person and alarm.metric in metrics.METRICS:
            yield alarm


def rule(alarm: Alarm) -> dict[str, Any]:
    """The alert, as Prometheus reads it from a rule file."""
    return {
        "alert": name(alarm),
        "expr": _silence(alarm) if alarm.metric == metrics.CONTROLLER_TICK else _expression(alarm),
        "for": f"{_pending_seconds(alarm)}s",
        "labels": {"severity": str(alarm.audience)},
        "annotations": {"summary": alarm.meaning, "runbook": alarm.runbook},
    }


def name(alarm: Alarm) -> str:
    """backlog-old → TaskfleetBacklogOld."""
    return "Taskfleet" + "".join(word.capitalize() for word in alarm.name.split("-"))


def _expression(alarm: Alarm) -> str:
    watched = f"{_OVER_TIME[alarm.statistic]}_over_time({gauge(alarm.metric)}[{_period(alarm)}s])"
    expression = f"{watched} {_SIGNS[alarm.comparison]} {_threshold(alarm)}"
    if alarm.needs is None:
        return expression
    return f"{expression} and {pool_gauge(alarm.needs)} >= {alarm.needs_at_least}"


def _period(alarm: Alarm) -> int:
    """Two scrapes are in it, if there is one every 30 s."""
    return max(alarm.period_seconds, MINUTE)


def _threshold(alarm: Alarm) -> str:
    figure = alarm.threshold
    if not isinstance(figure, Setting):
        return f"{figure:g}"
    of, _, field = figure.name.rpartition(".")
    if metrics.POOL in alarm.metric.dimensions and not of:
        return f"{figure.times} * {pool_gauge(field)}"
    # No look knows what the environment, or a pool's limits, say: the default.
    return f"{getattr(Limits if of else Settings, field) * figure.times:g}"


def _silence(alarm: Alarm) -> str:
    """Of one that stands still, whose last look is served for ever, and of one that is gone."""
    lasting = _lasting_seconds(alarm)
    last = f"max by (environment) (max_over_time({LOOKED_AT}[1h]))"
    return f"time() - {last} > {lasting} or absent_over_time({LOOKED_AT}[{lasting}s])"


def _pending_seconds(alarm: Alarm) -> int:
    """The first period is in the expression."""
    silence = alarm.metric == metrics.CONTROLLER_TICK
    return 0 if silence else max(0, _lasting_seconds(alarm) - _period(alarm))


def _lasting_seconds(alarm: Alarm) -> int:
    if isinstance(alarm.lasting_seconds, Setting):
        raise TypeError(
            f"{alarm.name} lasts as long as {alarm.lasting_seconds.name} says, which no look knows"
        )
    return alarm.lasting_seconds
