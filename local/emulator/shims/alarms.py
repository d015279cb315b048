"""CloudWatch: alarms with metric math and composite alarms are kept whole; `local.alarms` judges metrics."""

from __future__ import annotations

import time
from typing import Any

from ministack.core.responses import get_account_id, get_region
from ministack.services import cloudwatch

from local.emulator.shims import table
from local.emulator.shims.table import Made, Properties

_ALARM = "AWS::CloudWatch::Alarm"
_COMPOSITE = "AWS::CloudWatch::CompositeAlarm"

# CloudWatch keeps high-resolution data points for three hours; so does this, and stays quick.
_KEPT_SECONDS = 3 * 3600

# The defaults that DescribeAlarms shows for what PutMetricAlarm was not given.
_DEFAULTS: Properties = {
    "ActionsEnabled": True,
    "OKActions": [],
    "AlarmActions": [],
    "InsufficientDataActions": [],
    "TreatMissingData": "missing",
}


def _put(store: Any, operation: str, name: str, properties: Properties) -> Made:
    """Store an alarm as the API would show it. Its state survives a change of its configuration."""
    wanted = table.api_input("cloudwatch", operation, {**properties, "AlarmName": name})
    tags = {tag["Key"]: tag["Value"] for tag in wanted.pop("Tags", [])}
    arn = f"arn:aws:cloudwatch:{get_region()}:{get_account_id()}:alarm:{name}"
    known = store.get(name)
    kept = {} if known is None else {key: value for key, value in known.items() if key.startswith("State")}
    now = int(time.time())
    initial = {
        "StateValue": "INSUFFICIENT_DATA",
        "StateReason": "Unchecked: Initial alarm creation",
        "StateUpdatedTimestamp": now,
    }
    defaults = _DEFAULTS if "Metrics" in wanted or "MetricName" in wanted else {"ActionsEnabled": True}
    if "MetricName" in wanted or "Metrics" in wanted:
        wanted.setdefault("Dimensions", [])
    if "MetricName" in wanted:
        wanted.setdefault("Period", 60)
    store[name] = {
        **defaults,
        **wanted,
        **initial,
        **kept,
        "AlarmArn": arn,
        "AlarmConfigurationUpdatedTimestamp": now,
    }
    cloudwatch._resource_tags[arn] = tags
    return name, {"Arn": arn}


def _handlers(store: Any, operation: str) -> dict[str, Any]:
    def create(logical_id: str, properties: Properties, stack_name: str) -> Made:
        name = properties.get("AlarmName") or table.physical_name(stack_name, logical_id, max_len=255)
        return _put(store, operation, name, properties)

    def update(name: str, old: Properties, new: Properties, stack_name: str, logical_id: str) -> Made:
        return _put(store, operation, name, new)

    def delete(name: str, properties: Properties) -> None:
        gone = store.pop(name, None)
        if gone is not None:
            cloudwatch._resource_tags.pop(gone["AlarmArn"], None)

    return {"create": create, "update": update, "delete": delete, "replaced_by": ("AlarmName",)}


def register() -> None:
    """Replace the alarm types, and switch MiniStack's own evaluation off: it knows one rule of many.

    Composite alarms stay with MiniStack: they follow from the states that `local.alarms` sets.
    """
    table.add(_ALARM, **_handlers(cloudwatch._alarms, "PutMetricAlarm"))
    table.add(_COMPOSITE, **_handlers(cloudwatch._composite_alarms, "PutCompositeAlarm"))

    def judged_elsewhere(*_: object) -> None:
        return None

    cloudwatch._evaluate_alarm = judged_elsewhere
    cloudwatch._evaluate_all_alarms = judged_elsewhere
    cloudwatch.TWO_WEEKS_SECONDS = _KEPT_SECONDS
