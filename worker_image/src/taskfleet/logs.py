"""Logs as JSON lines: one object a line, the same keys everywhere, ready for CloudWatch Logs Insights."""

from __future__ import annotations

import json
import logging
import sys
import traceback
from datetime import UTC, datetime
from typing import Any

from billiard.util import get_logger
from celery import current_task
from celery.signals import setup_logging

from taskfleet.contract import names

logger = logging.getLogger("taskfleet")


class JsonFormatter(logging.Formatter):
    """``time, level, logger, message``, what is ``fixed`` for the process, and the task if there is one."""

    def __init__(self, **fixed: str) -> None:
        super().__init__()
        self._fixed = fixed

    def format(self, record: logging.LogRecord) -> str:
        """One line of JSON, without line breaks."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **self._fixed,
            **_task(record),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["exception"] = "".join(traceback.format_exception(*record.exc_info))
        return json.dumps(line, ensure_ascii=False, default=str)


def _task(record: logging.LogRecord) -> dict[str, Any]:
    """The task that is running here, or the one that Celery's main process reports on."""
    request = getattr(current_task, "request", None) if current_task else None
    if request is not None and request.id:
        routing_key = (request.delivery_info or {}).get("routing_key") or ""
        parts = names.split_versioned_queue(routing_key)
        return {"task": current_task.name, "task_id": request.id, "queue": parts[0] if parts else routing_key}
    reported = getattr(record, "data", None)
    if isinstance(reported, dict) and "id" in reported and "name" in reported:
        return {"task": reported["name"], "task_id": reported["id"]}
    return {}


def configure(*, level: str, **fixed: str) -> None:
    """Send everything to standard output as JSON lines; replaces what was configured."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonFormatter(**fixed))
    root, billiard = logging.getLogger(), get_logger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    billiard.handlers[:] = [handler]  # says which child died, and of what
    # At INFO these would log every request that the fleet makes for itself.
    for noisy in ("botocore", "boto3", "urllib3", "kombu.pidbox"):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, logging.getLevelName(level)))


def on_setup(*, level: str, **fixed: str) -> None:
    """Have Celery set up its logs as `configure` does."""

    def set_up(**_signal: Any) -> None:
        configure(level=level, **fixed)

    setup_logging.connect(set_up, weak=False)
