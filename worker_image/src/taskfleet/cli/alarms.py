"""The environment's alarms that are in ALARM now, with the page that says what to do."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from pathlib import PurePosixPath
from typing import Any

from taskfleet.contract import names

_RUNBOOK = re.compile(r"runbooks/[a-z0-9-]+\.md")
# The ARN of a step scaling policy: such an alarm is the fleet at work, nobody has to act on it.
_POLICY = ":scalingPolicy:"


@dataclass(frozen=True)
class Alarm:
    """One alarm in ALARM. ``since`` is in seconds since the epoch; ``scaling``: only a policy acts on it."""

    name: str
    since: float
    runbook: str | None
    scaling: bool

    @property
    def kind(self) -> str:
        """The name of its runbook."""
        return PurePosixPath(self.runbook).stem if self.runbook else self.name

    def as_json(self) -> dict[str, Any]:
        """For scripts."""
        return asdict(self)


def firing(cloudwatch: Any, environment: str) -> list[Alarm]:
    """All of them, those for a person first."""
    pages = cloudwatch.get_paginator("describe_alarms").paginate(
        AlarmNamePrefix=f"{names.PROJECT}-{environment}-", StateValue="ALARM"
    )
    found = [_alarm(raw) for page in pages for raw in page["MetricAlarms"]]
    return sorted(found, key=lambda alarm: (alarm.scaling, alarm.name))


def _alarm(raw: dict[str, Any]) -> Alarm:
    runbook = _RUNBOOK.search(raw.get("AlarmDescription", ""))
    return Alarm(
        name=raw["AlarmName"],
        since=raw["StateUpdatedTimestamp"].timestamp(),
        runbook=runbook[0] if runbook else None,
        scaling=any(_POLICY in action for action in raw.get("AlarmActions", [])),
    )
