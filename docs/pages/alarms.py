"""`docs/alarms.md`: every alarm, from the catalogue."""

from __future__ import annotations

import json

from taskfleet.contract.alarm_catalogue import CATALOGUE
from taskfleet.contract.alarms import Alarm, Comparison, Setting

from infra.constructs.topic import NEWS

_SIGNS = {Comparison.AT_LEAST: "≥", Comparison.ABOVE: ">", Comparison.AT_MOST: "≤", Comparison.BELOW: "<"}
_HEAD = """# Alarms

Every alarm that a deployment makes. The entries are in `taskfleet.contract.alarm_catalogue`; this page is
written from them by `make docs`. A *page* and a *ticket* go to the SNS topic of the
environment: a subscription can tell them apart by the first word of the alarm's description. *Scaling* alarms
call nobody.

The topic is `taskfleet-<env>-alarms`; `alarm_email` subscribes an address to it. An environment that keeps
its data is refused at synth if it notifies nobody: `alarms_elsewhere=True` says that you subscribe what
pages you yourself (a chat, a service). Give that subscription the filter policy that the address has, of
scope `MessageBody`: {news}.
CloudWatch notifies of every alarm that becomes OK, also of a new one, and each release brings new ones.

A deploy of everything pages nobody: what watches the controller and beat waits longer than they take to be
replaced.

Figures in `code` are settings of the environment or of the pool.

| alarm | for | one for each | goes off when | why so |
| --- | --- | --- | --- | --- |
"""


def render() -> str:
    """The page's text."""
    return _HEAD.format(news=f"`{json.dumps(NEWS)}`") + "".join(
        f"{_row(alarm)}\n" for alarm in CATALOGUE.values()
    )


def _row(alarm: Alarm) -> str:
    cells = (f"[{alarm.name}](../{alarm.runbook})", alarm.audience, alarm.scope, _when(alarm), alarm.reason)
    return f"| {' | '.join(cells)} |"


def _when(alarm: Alarm) -> str:
    unless = f" while {alarm.only_without.name} is 0" if alarm.only_without else ""
    watched = f"{alarm.statistic.lower()} of {alarm.metric.name} in {alarm.period_seconds} s"
    return f"{watched} {_SIGNS[alarm.comparison]} {_figure(alarm.threshold)}{unless}, {_lasting(alarm)}"


def _lasting(alarm: Alarm) -> str:
    if isinstance(alarm.lasting_seconds, Setting):
        return f"for {_figure(alarm.lasting_seconds)}"
    periods = max(1, alarm.lasting_seconds // alarm.period_seconds)
    if alarm.breaching:
        return f"in {alarm.breaching} of {periods} periods"
    return "once" if periods == 1 else f"{periods} times in a row"


def _figure(value: float | Setting) -> str:
    if not isinstance(value, Setting):
        return f"{value:g}"
    return f"`{value.name}`" if value.times == 1 else f"{value.times} times `{value.name}`"
