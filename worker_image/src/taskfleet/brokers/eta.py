"""When a message is due; and, for SQS, who keeps it until then: SQS, not a worker's memory."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from taskfleet.contract.limits import SQS_MAX_DELAY_SECONDS, SQS_MAX_VISIBILITY_SECONDS

NEAR_SECONDS = 1
# SQS counts the twelve hours from the moment of receiving.
_LONGEST_SECONDS = SQS_MAX_VISIBILITY_SECONDS - 60


def seconds_until(headers: Any, *, now: float) -> float:
    """Until the message's ETA; 0 when it has none, or one that Celery itself must judge."""
    value = headers.get("eta") if isinstance(headers, dict) else None
    if not isinstance(value, str):
        return 0.0
    try:
        moment = datetime.fromisoformat(value)
        # Celery's own rule: an ETA without a zone is in UTC (`celery.utils.time.maybe_make_aware`).
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() - now
    except (ValueError, OverflowError):
        return 0.0


def publish_delay_seconds(message: dict[str, Any], *, now: float) -> int:
    """The DelaySeconds to send a message with: at most fifteen minutes, the rest is hidden at receipt."""
    ahead = int(seconds_until(message.get("headers"), now=now))
    return max(0, min(ahead, SQS_MAX_DELAY_SECONDS))


def hide_seconds(body: str, *, now: float, may_hold: bool) -> int:
    """For how long to hide a received message again; 0 if it is due, or not ours to read.

    SQS hides for whole seconds. What is due within `NEAR_SECONDS` is held by Celery's timer, to the moment,
    while it ``may_hold`` more; else it is up to a second late.
    """
    if '"eta"' not in body or '"eta": null' in body:
        return 0
    try:
        message = json.loads(body)
    except (ValueError, RecursionError):
        return 0
    ahead = seconds_until(message.get("headers") if isinstance(message, dict) else None, now=now)
    if ahead <= (NEAR_SECONDS if may_hold else 0):
        return 0
    return max(1, min(int(ahead), _LONGEST_SECONDS))
