"""Alarms and data points for tests: `alarm` with defaults, `drawn` from a row of the documentation."""

from __future__ import annotations

from typing import Any

from local.alarms.definition import Alarm, Metric

NOW = 1_800_000_000.0  # on a multiple of every period used
WITHIN, BREACHING = 0.0, 9.0


def alarm(**changes: Any) -> Alarm:
    """Ten-second periods, greater than 5, 1 out of 1."""
    settings: dict[str, Any] = {
        "name": "watching",
        "metrics": {"m1": Metric(namespace="Taskfleet", name="CapacityGap", statistic="Maximum")},
        "expressions": {},
        "watches": "m1",
        "period": 10,
        "evaluation_periods": 1,
        "datapoints_to_alarm": 1,
        "comparison": "GreaterThanThreshold",
        "threshold": 5.0,
        "actions": {},
    }
    return Alarm(**(settings | changes))


def drawn(row: str, *, period: int = 10, end: float = NOW) -> dict[int, float]:
    """``"0 - X"``: values by their period's start, the last one in the period that ended at ``end``."""
    signs = row.split()
    values = {"0": WITHIN, "X": BREACHING}
    return {
        int(end) - period * (len(signs) - place): values[sign]
        for place, sign in enumerate(signs)
        if sign in values
    }
