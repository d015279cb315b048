"""One log line for each finished task with its wait and its run time, of which CloudWatch makes metrics.

Nothing is sent and nothing can fail with AWS: the worker prints JSON in CloudWatch's embedded metric
format, as it prints every other line. The dashboard's answers to "do tasks get slower" and "how long do
tasks wait" come from here.
"""

from __future__ import annotations

import logging
import time
from datetime import UTC, datetime
from typing import Any

from celery import Task
from celery.signals import task_postrun, task_prerun

from taskfleet import logs
from taskfleet.contract import metrics
from taskfleet.contract.messages import PUBLISHED_AT_HEADER
from taskfleet.settings import WorkerSettings

# Its own level and, from `measure` on, its own handler: metrics don't go away when somebody asks for fewer
# logs, or sets up logs in another format.
logger = logging.getLogger("taskfleet.timing")
logger.setLevel(logging.INFO)

_BEGAN = "taskfleet_began"  # on the task's request: (seconds since the epoch, monotonic seconds)


def measure(settings: WorkerSettings) -> None:
    """Have every task of this process timed."""
    logger.handlers[:] = [logs.handler(release=settings.release, pool=settings.pool)]
    logger.propagate = False
    dimensions = {
        metrics.ENVIRONMENT: settings.environment,
        metrics.POOL: settings.pool,
        metrics.RELEASE: settings.release,
    }

    def begin(task: Task, **_signal: Any) -> None:
        setattr(task.request, _BEGAN, (time.time(), time.monotonic()))

    def end(task: Task, state: str | None = None, **_signal: Any) -> None:
        began = getattr(task.request, _BEGAN, None)
        if began is None:
            return
        at, counter = began
        values = {metrics.TASK_RUNTIME: time.monotonic() - counter}
        due = due_at(getattr(task.request, PUBLISHED_AT_HEADER, None), task.request.eta)
        if due is not None:
            values[metrics.TASK_WAIT] = max(0.0, at - due)
        fields = metrics.embedded(values, dimensions, at=at)
        logger.info("task finished", extra={"fields": {"state": state, **fields}})

    task_prerun.connect(begin, weak=False, dispatch_uid="taskfleet.timing")
    task_postrun.connect(end, weak=False, dispatch_uid="taskfleet.timing")


def due_at(published_at: float | None, eta: str | None) -> float | None:
    """When a message could first have run: at its publishing or its ETA, in seconds since the epoch.

    None for a message of a producer that doesn't say when it published.
    """
    if published_at is None:
        return None
    if not eta:
        return published_at
    when = datetime.fromisoformat(eta)
    # Celery's own rule: an ETA without a zone is in UTC.
    return max(published_at, (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp())
