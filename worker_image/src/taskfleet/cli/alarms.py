"""The environment's alarms that are in ALARM now, with the page that says what to do."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from pathlib import PurePosixPath
from typing import Any

from taskfleet.contract import names
from taskfleet.contract.alarm_catalogue import CATALOGUE

# A page in the repository, or where a team reads it.
_PAGE = re.compile(r"(?P<page>[a-z0-9-]+)\.md$")


@dataclass(frozen=True)
class Alarm:
    """One alarm in ALARM. ``since`` is in seconds since the epoch; ``scaling``: nobody has to act on it."""

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
    found = _PAGE.search(raw.get("AlarmDescription", ""))
    # One that is not in the catalogue is the team's own.
    kind = CATALOGUE.get(found["page"]) if found else None
    return Alarm(
        name=raw["AlarmName"],
        since=raw["StateUpdatedTimestamp"].timestamp(),
        runbook=kind.runbook if kind else None,
        scaling=kind is not None and not kind.for_a_person,
    )
