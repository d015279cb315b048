"""When a message is due; and, for SQS, who keeps it until then: SQS, not a worker's memory."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from taskfleet.contract.limits import SQS_MAX_DELAY_SECONDS, SQS_MAX_VISIBILITY_SECONDS

# Nearer than this a worker may as well hold it, to the second.
WORTH_HIDING_SECONDS = 30
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


def snooze_seconds(body: str, *, now: float) -> int:
    """For how long to hide a received message again; 0 if it is due, nearly due, or not ours to read."""
    if '"eta"' not in body or '"eta": null' in body:
        return 0
    try:
        message = json.loads(body)
    except (ValueError, RecursionError):
        return 0
    ahead = int(seconds_until(message.get("headers") if isinstance(message, dict) else None, now=now))
    return min(ahead, _LONGEST_SECONDS) if ahead > WORTH_HIDING_SECONDS else 0
