"""Tasks that came too late: dead letters by the fleet's default, counted by the team's word.

Celery drops both without a trace. A team that says ``expires`` means it; a default of ours must lose nothing.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from celery import Task
from celery.signals import task_revoked
from celery.utils.time import maybe_iso8601

from taskfleet.contract import metrics
from taskfleet.contract.messages import DEFAULT_EXPIRY_HEADER
from taskfleet.dead_letters.dead_letter import DeadLetterKind, Finding
from taskfleet.settings import WorkerSettings
from taskfleet.worker.timing import logger


def examine(headers: Mapping[str, Any] | None, *, now: float) -> Finding | None:
    """Why a message is not run: it expired, and only the fleet's default says so. None for any other."""
    if not isinstance(headers, Mapping) or not headers.get(DEFAULT_EXPIRY_HEADER):
        return None
    expired_at = _seconds(headers.get("expires"))
    if expired_at is None or now <= expired_at:
        return None
    days = (now - expired_at) / 86400
    return Finding(
        DeadLetterKind.EXPIRED,
        f"it waited a week, and {days:.1f} days more: nobody said `expires`, so the fleet's default ended it",
    )


def _seconds(expires: Any) -> float | None:
    try:
        at: datetime | None = maybe_iso8601(expires)
        return None if at is None else (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, AttributeError, OverflowError):
        return None  # Celery says what is wrong with it


def count(settings: WorkerSettings) -> None:
    """Have one log line, of which CloudWatch makes a metric, for each task that its team let expire."""
    dimensions = {
        metrics.ENVIRONMENT: settings.environment,
        metrics.POOL: settings.pool,
        metrics.RELEASE: settings.release,
    }

    def expires(sender: Task, request: Any = None, expired: bool = False, **_signal: Any) -> None:
        if expired:
            fields = metrics.embedded({metrics.TASKS_EXPIRED: 1}, dimensions, at=time.time())
            said = {"task": sender.name, "task_id": request.id, **fields}
            logger.info("task expired", extra={"fields": said})

    task_revoked.connect(expires, weak=False, dispatch_uid="taskfleet.expiring")
