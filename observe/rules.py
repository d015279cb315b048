"""The rule file: recorded series, then alerts."""

from __future__ import annotations

from typing import Any

from observe import alerts
from observe.queries import RECORDED


def rules() -> dict[str, Any]:
    """As Prometheus reads it; JSON is YAML."""
    recorded = [{"record": each.name, "expr": each.expression} for each in RECORDED]
    return {
        "groups": [
            {"name": "taskfleet", "rules": recorded},
            {"name": "taskfleet-alarms", "rules": [alerts.rule(alarm) for alarm in alerts.alarms()]},
        ]
    }
